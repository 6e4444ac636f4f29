//! Keys of a request's objects that the typed form of a request does not have. A key that appears or vanishes is a
//! difference, whatever it means.

use serde_json::{Map, Value};

use super::{Difference, Part, values};

/// The types of the blocks that `conversation` compares by some keys, and these keys. It compares blocks of other types whole.
const BLOCKS: [(&str, &[&str]); 7] = [
    ("text", &["text"]),
    ("image", &["source"]),
    ("document", &["source"]),
    ("thinking", &["thinking", "signature"]),
    ("redacted_thinking", &["data"]),
    ("tool_use", &["id", "name", "input"]),
    ("tool_result", &["tool_use_id", "content", "is_error"]),
];

/// Compares the keys of a block, of its source, of its cache breakpoint and of the blocks in a tool result.
pub(super) fn of_block(label: &str, sent: &Value, arrived: &Value) -> Vec<Difference> {
    let mut found = of_breakpoint(label, sent, arrived);
    let form = BLOCKS.iter().find(|(kind, _)| sent["type"] == *kind);
    let Some((_, keys)) = form.filter(|_| sent.is_object() && arrived.is_object()) else {
        return found;
    };
    let known = [*keys, &["type", "cache_control"]].concat();
    found.extend(differences(Part::Block, label, sent, arrived, &known));
    if sent["source"]["type"] == "base64" {
        let label = format!("{label}.source");
        let known = ["type", "media_type", "data"];
        found.extend(differences(
            Part::Block,
            &label,
            &sent["source"],
            &arrived["source"],
            &known,
        ));
    }
    let content = |block: &Value| block["content"].as_array().cloned().unwrap_or_default();
    for (index, (sent, arrived)) in content(sent).iter().zip(&content(arrived)).enumerate() {
        found.extend(of_block(&format!("{label} content[{index}]"), sent, arrived));
    }
    found
}

/// Compares the keys of a cache breakpoint other than its lifetime, if both sides have one.
pub(super) fn of_breakpoint(label: &str, sent: &Value, arrived: &Value) -> Vec<Difference> {
    let [sent, arrived] = [sent, arrived].map(|value| &value["cache_control"]);
    match sent.is_object() && arrived.is_object() {
        true => differences(Part::Breakpoint, label, sent, arrived, &["ttl"]),
        false => Vec::new(),
    }
}

/// Compares the keys of each message. Messages of one role may be joined; then nothing is compared.
pub(super) fn of_messages(sent: &Value, arrived: &Value) -> Vec<Difference> {
    let (Some(sent), Some(arrived)) = (sent["messages"].as_array(), arrived["messages"].as_array()) else {
        return Vec::new();
    };
    let pairs = sent.iter().zip(arrived).filter(|_| sent.len() == arrived.len());
    pairs
        .enumerate()
        .flat_map(|(index, (sent, arrived))| {
            let label = format!("messages[{index}]");
            differences(Part::Block, &label, sent, arrived, &["role", "content"])
        })
        .collect()
}

fn differences(part: Part, label: &str, sent: &Value, arrived: &Value, known: &[&str]) -> Vec<Difference> {
    let without = |value: &Value| -> Value {
        let mut keys: Map<String, Value> = value.as_object().cloned().unwrap_or_default();
        keys.retain(|name, _| !known.contains(&name.as_str()));
        keys.into()
    };
    values::differences(part, label, &without(sent), &without(arrived))
}
