//! The shape of a reply: which fields, of which types, in which parts, in which order. No words, no numbers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::wire::exchange::SentEvent;

/// The types at each path of a part: `usage.input_tokens` → `number`.
pub(super) type Fields = BTreeMap<String, BTreeSet<String>>;

/// A part of a reply: its only body, or the events of one kind.
pub(super) const BODY: &str = "body";
const PING: &str = "ping";

/// The shape of a reply, or of several replies to the same request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ReplyShape {
    pub(super) parts: BTreeMap<String, Fields>,
    /// The kinds of events in order; equal ones in a row count once. A ping may stand anywhere, so it does not count.
    pub(super) order: Vec<String>,
}

impl ReplyShape {
    pub(super) fn of(events: &[SentEvent], is_stream: bool) -> Self {
        let mut shape = Self::default();
        for SentEvent { data, .. } in events {
            let label = match is_stream {
                true => label(data),
                false => BODY.to_owned(),
            };
            fields(data, "", shape.parts.entry(label.clone()).or_default());
            if label != PING && shape.order.last() != Some(&label) {
                shape.order.push(label);
            }
        }
        shape
    }

    /// Adds the shape of another reply to the same request, whose order does not count.
    pub(super) fn add(&mut self, other: Self) {
        for (label, fields) in other.parts {
            let own = self.parts.entry(label).or_default();
            for (path, types) in fields {
                own.entry(path).or_default().extend(types);
            }
        }
    }

    /// Without the parts and the fields of the message's content.
    pub(super) fn without_content(mut self) -> Self {
        let is_content =
            |label: &String| label.starts_with("content_block") || label.starts_with("contentBlock");
        self.parts.retain(|label, _| !is_content(label));
        self.order.retain(|label| !is_content(label));
        for fields in self.parts.values_mut() {
            fields.retain(|path, _| !path.contains("content["));
        }
        self
    }
}

/// The kind of an event: its type, with the type of its block or of its delta.
fn label(event: &Value) -> String {
    if let Some(kind) = event["type"].as_str() {
        let inner = event["content_block"]["type"].as_str();
        let inner = match kind {
            "content_block_start" => inner,
            "content_block_delta" => event["delta"]["type"].as_str(),
            _ => None,
        };
        return with_inner(kind, inner);
    }
    // Converse: the name of the event is the only key, and the name of the union's member tells the kind.
    let only = event.as_object().filter(|fields| fields.len() == 1);
    let Some((name, payload)) = only.and_then(|fields| fields.iter().next()) else {
        return "an event without a type".to_owned();
    };
    let member = |value: &Value| -> Option<String> { Some(value.as_object()?.keys().next()?.clone()) };
    let union = match name.as_str() {
        "contentBlockStart" => &payload["start"],
        "contentBlockDelta" => &payload["delta"],
        _ => &Value::Null,
    };
    let inner = member(union).map(|first| match member(&union[&first]) {
        Some(second) if first == "reasoningContent" => format!("{first}.{second}"),
        _ => first,
    });
    with_inner(name, inner.as_deref())
}

fn with_inner(kind: &str, inner: Option<&str>) -> String {
    match inner {
        Some(inner) => format!("{kind}[{inner}]"),
        None => kind.to_owned(),
    }
}

/// Adds the types at all paths of `value`. An item of a list has its `type` in the path, if it has one.
fn fields(value: &Value, path: &str, found: &mut Fields) {
    if !path.is_empty() {
        found
            .entry(path.to_owned())
            .or_default()
            .insert(type_of(value, path));
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = match path {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                // The model's own words, whatever they are.
                match key.as_str() {
                    "input" => drop(found.entry(path).or_default().insert(type_of(value, ""))),
                    _ => fields(value, &path, found),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let kind = item["type"].as_str().unwrap_or_default();
                fields(item, &format!("{path}[{kind}]"), found);
            }
        }
        _ => {}
    }
}

/// The names of an error and of a type are a part of the shape.
fn type_of(value: &Value, path: &str) -> String {
    let is_name = path == "type" || path.ends_with(".type") || ["error.status", "error.code"].contains(&path);
    match value {
        Value::Null => NULL.to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(text) if is_name => format!("\"{text}\""),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "list".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

/// The type of a value that may have any type.
pub(super) const NULL: &str = "null";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events(data: Vec<Value>) -> Vec<SentEvent> {
        data.into_iter()
            .map(|data| SentEvent { at_ms: 0, data })
            .collect()
    }

    #[test]
    fn a_stream_has_its_kinds_of_events_in_order() {
        let delta =
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}});
        let shape = ReplyShape::of(
            &events(vec![
                json!({"type": "message_start", "message": {"usage": {"input_tokens": 1}}}),
                json!({"type": "ping"}),
                delta.clone(),
                delta,
                json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "b"}}}}),
                json!("unread"),
            ]),
            true,
        );
        assert_eq!(
            shape.order,
            [
                "message_start",
                "content_block_delta[text_delta]",
                "contentBlockDelta[reasoningContent.text]",
                "an event without a type",
            ]
        );
        assert_eq!(
            shape.parts["message_start"]["message.usage.input_tokens"],
            BTreeSet::from(["number".to_owned()])
        );
        assert!(shape.parts.contains_key("ping"));
    }

    #[test]
    fn a_body_has_types_at_its_paths() {
        let body = json!({"type": "error", "error": {"type": "x_error", "message": "words"},
            "content": [{"type": "tool_use", "input": {"a": 1}}]});
        let shape = ReplyShape::of(&events(vec![body]), false);
        let fields: Vec<&str> = shape.parts[BODY].keys().map(String::as_str).collect();
        assert_eq!(
            fields,
            [
                "content",
                "content[tool_use]",
                "content[tool_use].input",
                "content[tool_use].type",
                "error",
                "error.message",
                "error.type",
                "type"
            ]
        );
        assert_eq!(
            shape.parts[BODY]["error.type"],
            BTreeSet::from(["\"x_error\"".to_owned()])
        );
    }
}
