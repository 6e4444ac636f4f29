//! A YAML value with its place in the file.

use serde_json::{Map, Number, Value};

use super::diagnostic::Span;
use crate::text::quotable;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its text; of a list or map only the beginning.
    pub span: Span,
    pub value: NodeValue,
}

#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

/// A key of a map and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Node,
}

impl Node {
    /// The value of `key`, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries, if this is a map; none otherwise.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            NodeValue::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Where to point for the value that `path` leads to (keys, and places in lists from 0): a scalar's own text, a
    /// list's or map's key. Where the path breaks off, the last place on it.
    pub fn span_at<'a>(&'a self, path: &[String]) -> &'a Span {
        let mut node = self;
        let mut span = &self.span;
        for step in path {
            match &node.value {
                NodeValue::List(items) => {
                    let Some(item) = step.parse().ok().and_then(|index: usize| items.get(index)) else {
                        return span;
                    };
                    node = item;
                    span = &item.span;
                }
                _ => {
                    let Some(entry) = node.get(step) else { return span };
                    node = &entry.value;
                    span = match node.value {
                        NodeValue::List(_) | NodeValue::Map(_) | NodeValue::Null => &entry.key_span,
                        _ => &node.span,
                    };
                }
            }
        }
        span
    }

    /// The place of the last key of `path`.
    pub fn key_span_at<'a>(&'a self, path: &[String]) -> &'a Span {
        let Some((last, before)) = path.split_last() else {
            return &self.span;
        };
        self.at(before)
            .and_then(|parent| parent.get(last))
            .map_or_else(|| self.span_at(path), |entry| &entry.key_span)
    }

    /// The value that `path` leads to.
    pub fn at(&self, path: &[String]) -> Option<&Self> {
        path.iter().try_fold(self, |node, step| match &node.value {
            NodeValue::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => Some(&node.get(step)?.value),
        })
    }

    /// Removes the entry of a map that `path` leads to.
    pub fn remove(&mut self, path: &[String]) {
        let Some((key, around)) = path.split_last() else {
            return;
        };
        if let Some(NodeValue::Map(entries)) = self.at_mut(around).map(|around| &mut around.value) {
            entries.retain(|entry| entry.key != *key);
        }
    }

    /// The value that `path` leads to.
    fn at_mut(&mut self, path: &[String]) -> Option<&mut Self> {
        path.iter().try_fold(self, |node, step| match &mut node.value {
            NodeValue::List(items) => items.get_mut(step.parse::<usize>().ok()?),
            NodeValue::Map(entries) => {
                let entry = entries.iter_mut().find(|entry| entry.key == *step)?;
                Some(&mut entry.value)
            }
            _ => None,
        })
    }

    /// Whether `path` leads to an entry of a list.
    pub fn is_in_list(&self, path: &[String]) -> bool {
        let around = path.split_last().and_then(|(_, around)| self.at(around));
        around.is_some_and(|around| matches!(around.value, NodeValue::List(_)))
    }

    /// Gives the entry of a map that `path` leads to the name `name`, unless the map has that.
    pub fn rename(&mut self, path: &[String], name: &str) -> bool {
        let Some((key, around)) = path.split_last() else {
            return false;
        };
        match self.at_mut(around).map(|around| &mut around.value) {
            Some(NodeValue::Map(entries)) if entries.iter().all(|entry| entry.key != name) => {
                let entries = entries.iter_mut().filter(|entry| entry.key == *key);
                entries.for_each(|entry| name.clone_into(&mut entry.key));
                true
            }
            _ => false,
        }
    }

    /// Makes a text of a number or a boolean, and the other way round.
    pub fn change_quotes(&mut self, path: &[String]) {
        let Some(node) = self.at_mut(path) else { return };
        node.value = match std::mem::replace(&mut node.value, NodeValue::Null) {
            NodeValue::Bool(value) => NodeValue::Text(value.to_string()),
            NodeValue::Number(number) => NodeValue::Text(number.to_string()),
            NodeValue::Text(text) => match serde_json::from_str(&text) {
                Ok(Value::Bool(value)) => NodeValue::Bool(value),
                Ok(Value::Number(number)) => NodeValue::Number(number),
                _ => NodeValue::Text(text),
            },
            other => other,
        };
    }

    /// Adds `value` to the map that `path` leads to.
    pub fn add(&mut self, path: &[String], key: &str, value: NodeValue) {
        let Some(node) = self.at_mut(path) else { return };
        let span = node.span.clone();
        if let NodeValue::Map(entries) = &mut node.value {
            entries.push(Entry {
                key: key.to_owned(),
                key_span: span.clone(),
                value: Self { span, value },
            });
        }
    }

    /// The same as JSON, without places.
    pub fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(value) => Value::Bool(*value),
            NodeValue::Number(number) => Value::Number(number.clone()),
            NodeValue::Text(text) => Value::String(text.clone()),
            NodeValue::List(items) => items.iter().map(Self::to_json).collect(),
            NodeValue::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.to_json()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }

    /// What it is, for a reader: ``the text `yes` ``, `a list`.
    pub fn describe(&self) -> String {
        match &self.value {
            NodeValue::Null => "nothing".to_owned(),
            NodeValue::Bool(value) => format!("the boolean `{value}`"),
            NodeValue::Number(number) => format!("the number `{number}`"),
            NodeValue::Text(text) => format!("the text `{}`", quotable(text)),
            NodeValue::List(_) => "a list".to_owned(),
            NodeValue::Map(_) => "a map".to_owned(),
        }
    }
}
