//! The form of a kind of file: its JSON Schema, generated from the Rust type, and the errors of form it finds.
//!
//! Reports all errors of form of a file at once, in its author's words, each at its text. Does not check the meaning of the
//! values.

use jsonschema::Validator;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::diagnostic::Diagnostic;
use super::explain::{explain, schema_of};
use super::node::{Node, NodeValue};
use super::reader::written;
use crate::text::is_slip_of;

/// The form of a kind of file.
#[derive(Debug)]
pub struct Form {
    schema: Value,
    validator: Validator,
}

impl Form {
    /// The form that `T` deserializes from.
    pub fn of<T: JsonSchema>() -> Self {
        Self::new(generate::<T>())
    }

    /// The same form without the top-level keys `keys`, under another title and description.
    pub fn without(&self, keys: &[&str], title: &str, description: &str) -> Self {
        let mut schema = self.schema.clone();
        schema["title"] = title.into();
        schema["description"] = description.into();
        if let Some(properties) = schema["properties"].as_object_mut() {
            for key in keys {
                properties.shift_remove(*key);
            }
        }
        Self::new(schema)
    }

    fn new(schema: Value) -> Self {
        let validator = jsonschema::validator_for(&schema).expect("a generated schema is a valid schema");
        Self { schema, validator }
    }

    /// The JSON Schema (draft 7, without references).
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// The text of the schema's file.
    pub fn schema_text(&self) -> String {
        format!("{:#}\n", self.schema)
    }

    /// Every error of form in `node`.
    pub fn check(&self, node: &Node) -> Vec<FormError> {
        let value = node.to_json();
        let mut errors: Vec<FormError> = self
            .validator
            .iter_errors(&value)
            .flat_map(|error| explain(&error, &self.schema, node))
            .collect();
        drop_consequences(&mut errors);
        errors.sort_by_key(|found| (found.diagnostic.place.line, found.diagnostic.place.column));
        errors
    }

    /// Every error of form in `node`, and the value that it is without them: `None` if too little is left.
    pub fn read<T: DeserializeOwned>(&self, node: &Node) -> (Vec<Diagnostic>, Option<(T, Repaired)>) {
        let errors = self.check(node);
        let repaired = self.repair(node, &errors, |_| usize::MAX);
        let errors = errors.iter().chain(&repaired.below_slips);
        let mut diagnostics: Vec<Diagnostic> = errors.map(|found| found.diagnostic.clone()).collect();
        match serde_json::from_value(repaired.node.to_json()) {
            Ok(value) => (diagnostics, Some((value, repaired))),
            Err(error) => {
                if diagnostics.is_empty() {
                    diagnostics.push(Diagnostic::at(&node.span, error.to_string()));
                }
                (diagnostics, None)
            }
        }
    }

    /// `node` without its `errors`: a slip is corrected, and another wrong value is removed. `depth` says how many steps of its path
    /// lead to a value that can be missing without an error that follows.
    pub fn repair(&self, node: &Node, errors: &[FormError], depth: impl Fn(&[String]) -> usize) -> Repaired {
        let mut repaired = Repaired {
            node: node.clone(),
            damaged: Vec::new(),
            slips: Vec::new(),
            below_slips: Vec::new(),
        };
        let is_kept = |error: &&FormError| {
            matches!(error.kind, FormErrorKind::NoKind | FormErrorKind::Name) || repaired.is_block(error)
        };
        let kept: Vec<&FormError> = errors.iter().filter(is_kept).collect();
        repaired.damaged = kept.iter().map(|error| error.path.clone()).collect();
        let mut left = errors.to_vec();
        // What is left of a value may lack a key. A value that was removed cannot be wrong again.
        for _ in 0..MOST_ROUNDS {
            left.retain(|error| !repaired.is_harmless(error));
            if left.is_empty() {
                break;
            }
            for error in &left {
                repaired.repair(error, &self.schema, &depth);
            }
            left = self.check(&repaired.node);
            let is_below =
                |error: &&FormError| repaired.slips.iter().any(|slip| error.path.starts_with(slip));
            let below_slips: Vec<FormError> = left.iter().filter(is_below).cloned().collect();
            repaired.below_slips.extend(below_slips);
            // Each is one error, whatever the repairs make of it.
            repaired.slips.clear();
        }
        repaired
    }
}

/// A bound for the repairs of a document: one for each level of its form.
const MOST_ROUNDS: usize = 12;

/// A document without its errors of form.
#[derive(Debug)]
pub struct Repaired {
    pub node: Node,
    /// The paths of the values that were removed, or that stand for missing ones.
    pub damaged: Vec<Vec<String>>,
    /// The paths of the keys that were corrected last.
    slips: Vec<Vec<String>>,
    /// The errors of form below corrected keys, which only their correction shows.
    pub below_slips: Vec<FormError>,
}

impl Repaired {
    fn repair(&mut self, error: &FormError, schema: &Value, depth: impl Fn(&[String]) -> usize) {
        let path = &error.path[..];
        match &error.kind {
            FormErrorKind::Quotes => {
                let number = self.node.at(path).map(|node| &node.value);
                if matches!(number, Some(NodeValue::Number(number)) if number.is_f64()) {
                    // It lacks zeros at its end.
                    self.damaged.push(path.to_vec());
                }
                return self.node.change_quotes(path);
            }
            FormErrorKind::UnknownKey { meant: Some(meant) }
                if path.last().is_some_and(|key| is_slip_of(key, meant)) && self.node.rename(path, meant) =>
            {
                let around = path[..path.len() - 1].iter().chain([meant]);
                return self.slips.push(around.cloned().collect());
            }
            FormErrorKind::MissingKey(key) if depth(path) > path.len() => {
                let form = schema_of(schema, path).map_or(&Value::Null, |form| &form["properties"][key]);
                let empty = match form["type"].as_str() {
                    Some("string") => Some(NodeValue::Text(String::new())),
                    Some("object") => Some(NodeValue::Map(Vec::new())),
                    Some("integer") => form["minimum"]
                        .as_u64()
                        .map(|least| NodeValue::Number(least.into())),
                    _ => None,
                };
                if let Some(empty) = empty {
                    self.node.add(path, key, empty);
                    let path = path.iter().chain([key]);
                    return self.damaged.push(path.cloned().collect());
                }
            }
            _ => {}
        }
        let mut path = &path[..depth(path).min(path.len())];
        // Without an entry, the later ones would have other places.
        while let [around @ .., _] = path
            && self.node.is_in_list(path)
        {
            path = around;
        }
        self.node.remove(path);
        self.damaged.push(path.to_vec());
    }

    /// Whether the value can be read in spite of the error: a name, an expectation without a kind, a block of none or of several
    /// kinds, and what stands for a missing value.
    fn is_harmless(&self, error: &FormError) -> bool {
        match error.kind {
            FormErrorKind::Name | FormErrorKind::NoKind => true,
            FormErrorKind::MissingKey(_) => false,
            _ => self.is_block(error) || self.damaged.contains(&error.path),
        }
    }

    /// Whether the error is that an entry of a list has none or several of the keys of which it has one.
    fn is_block(&self, error: &FormError) -> bool {
        let is_map = |node: &Node| matches!(node.value, NodeValue::Map(_));
        error.kind == FormErrorKind::Other
            && self.node.is_in_list(&error.path)
            && self.node.at(&error.path).is_some_and(is_map)
    }

    /// Whether a value at or below `path` was removed, or is another one.
    pub fn is_damaged(&self, path: &[&str]) -> bool {
        is_damaged(&self.damaged, path)
    }
}

/// Removes the errors of values that stand for missing ones.
pub fn drop_damaged(damaged: &[Vec<String>], errors: &mut Vec<Diagnostic>) {
    errors.retain(|error| damaged.iter().all(|path| written(path) != error.path));
}

/// Whether one of the paths `damaged` is at or below `path`, or above it.
pub fn is_damaged<T: AsRef<str>>(damaged: &[Vec<String>], path: &[T]) -> bool {
    let is_same = |(one, other): (&String, &T)| one == other.as_ref();
    damaged
        .iter()
        .any(|damaged| damaged.iter().zip(path).all(is_same))
}

fn generate<T: JsonSchema>() -> Value {
    // Draft 7 without references: every editor understands it and shows the hover text at its key.
    let settings = SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(Plain);
    let schema = settings
        .for_deserialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    heading_first(schema)
}

/// Puts `$schema`, `title` and `description` before the other keys.
fn heading_first(schema: Value) -> Value {
    let Value::Object(mut rest) = schema else {
        return schema;
    };
    let mut ordered = serde_json::Map::new();
    for key in ["$schema", "title", "description"] {
        ordered.extend(rest.shift_remove(key).map(|value| (key.to_owned(), value)));
    }
    ordered.extend(rest);
    Value::Object(ordered)
}

/// Removes details of the Rust types that authors do not need: nulls for optional keys, integer formats, defaults, and the line
/// breaks of the source.
#[derive(Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        schema.remove("format");
        schema.remove("default");
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [only] = &types[..] {
                let only = only.clone();
                schema.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.replace('\n', " ");
        }
        unwrap_nullable(schema);
    }
}

/// Replaces `anyOf: [X, null]` by `X`; its own description stays.
fn unwrap_nullable(schema: &mut Schema) {
    let Some(Value::Array(options)) = schema.get("anyOf") else {
        return;
    };
    let rest: Vec<Value> = options
        .iter()
        .filter(|option| option["type"] != "null")
        .cloned()
        .collect();
    let [Value::Object(inner)] = &rest[..] else { return };
    schema.remove("anyOf");
    for (key, value) in inner {
        if schema.get(key).is_none() {
            schema.insert(key.clone(), value.clone());
        }
    }
}

/// An error of form.
#[derive(Clone, Debug)]
pub struct FormError {
    /// The path to the value: keys, and list indexes from 0. For an unknown key, the path ends with that key.
    pub path: Vec<String>,
    pub kind: FormErrorKind,
    pub diagnostic: Diagnostic,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FormErrorKind {
    /// A key that the form does not have. `meant` is the most similar one that it has.
    UnknownKey {
        meant: Option<String>,
    },
    MissingKey(String),
    /// A key that is no name.
    Name,
    /// An expectation without a kind.
    NoKind,
    WrongType,
    /// A number where a text belongs, or a text where a number belongs.
    Quotes,
    UnknownValue,
    Other,
}

/// Drops errors that follow from another one: a misspelt key is not also missing, and a value of the wrong type is not also
/// unknown.
fn drop_consequences(errors: &mut Vec<FormError>) {
    let mut misspelt: Vec<(Vec<String>, Option<String>)> = Vec::new();
    let mut wrong_type: Vec<Vec<String>> = Vec::new();
    for error in &*errors {
        match &error.kind {
            FormErrorKind::UnknownKey { meant } => {
                let parent = &error.path[..error.path.len() - 1];
                misspelt.push((parent.to_vec(), meant.clone()));
            }
            FormErrorKind::WrongType | FormErrorKind::Quotes => wrong_type.push(error.path.clone()),
            _ => {}
        }
    }
    errors.retain(|error| match &error.kind {
        FormErrorKind::MissingKey(name) => !misspelt.contains(&(error.path.clone(), Some(name.clone()))),
        // Two keys where one is allowed.
        FormErrorKind::NoKind | FormErrorKind::Other => {
            !misspelt.iter().any(|(parent, _)| *parent == error.path)
        }
        FormErrorKind::UnknownValue => !wrong_type.contains(&error.path),
        _ => true,
    });
}
