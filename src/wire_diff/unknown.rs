//! Keys of a request's objects that the typed form of a request does not have. A key that appears or vanishes is a
//! difference, whatever it means.

use serde_json::{Map, Value};

use super::{Difference, Fate, Part, values};

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
    if [sent, arrived]
        .iter()
        .all(|block| block["source"]["type"] == "base64")
    {
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

/// Compares the keys that Converse took over from the Messages API: those of a document, if as many arrived, and of a tool
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html>,
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html>). A key that no object of Converse
/// has was added.
pub(super) fn on_converse(sent: &Value, arrived: &Value) -> Vec<Difference> {
    let documents = [sent, arrived].map(|body| {
        let mut documents = Vec::new();
        collect_documents(&body["messages"], &mut documents);
        documents
    });
    let is_complete = documents[0].len() == documents[1].len();
    let pairs = documents[0].iter().zip(&documents[1]).filter(|_| is_complete);
    let of_documents = pairs.enumerate().flat_map(|(index, (sent, arrived))| {
        let label = format!("documents[{index}]");
        selected(Part::Block, &label, sent, arrived, &["citations", "context"])
    });
    let tools = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let offered = tools(&arrived["toolConfig"]["tools"]);
    let of_tools = tools(&sent["tools"]).into_iter().flat_map(|tool| {
        let specs = offered.iter().map(|tool| &tool["toolSpec"]);
        let spec = specs.into_iter().find(|spec| spec["name"] == tool["name"]);
        let label = tool["name"].as_str().unwrap_or_default();
        spec.map_or_else(Vec::new, |spec| {
            selected(Part::Tool, label, &tool, spec, &["strict"])
        })
    });
    let mut found: Vec<Difference> = of_documents.chain(of_tools).collect();
    for name in ["messages", "system", "toolConfig"] {
        added_members(name, name, &arrived[name], &mut found);
    }
    found
}

/// The members of the objects in a Converse request, by the name of the object or of the list that has it. Of other objects,
/// such as a schema, the keys are open.
///
/// Source: `data/bedrock-runtime/2023-09-30/service-2.json` of <https://github.com/boto/botocore>
const MEMBERS_OF_CONVERSE: [(&str, &[&str]); 14] = [
    ("messages", &["role", "content"]),
    (
        "content",
        &[
            "text",
            "image",
            "document",
            "video",
            "audio",
            "toolUse",
            "toolResult",
            "guardContent",
            "cachePoint",
            "reasoningContent",
            "citationsContent",
            "searchResult",
            "json",
        ],
    ),
    ("system", &["text", "guardContent", "cachePoint"]),
    ("image", &["format", "source", "error"]),
    ("document", &["format", "name", "source", "citations", "context"]),
    ("toolUse", &["toolUseId", "name", "input", "type"]),
    ("toolResult", &["toolUseId", "content", "status", "type"]),
    ("cachePoint", &["type", "ttl"]),
    ("reasoningContent", &["reasoningText", "redactedContent"]),
    ("reasoningText", &["text", "signature"]),
    ("toolConfig", &["tools", "toolChoice"]),
    ("tools", &["toolSpec", "systemTool", "cachePoint"]),
    ("toolSpec", &["name", "description", "inputSchema", "strict"]),
    ("inputSchema", &["json"]),
];

/// Finds the keys that the object `name` of Converse does not have, and those of the objects within it.
fn added_members(place: &str, name: &str, value: &Value, found: &mut Vec<Difference>) {
    let known = MEMBERS_OF_CONVERSE.iter().find(|(known, _)| *known == name);
    match (value, known) {
        (Value::Array(values), Some(_)) => {
            for (index, value) in values.iter().enumerate() {
                added_members(&format!("{place}[{index}]"), name, value, found);
            }
        }
        (Value::Object(keys), Some((_, members))) => {
            for (key, value) in keys {
                let place = format!("{place}.{key}");
                match members.contains(&key.as_str()) {
                    true => added_members(&place, key, value, found),
                    false => {
                        let added = Difference::of(Part::Block, place, Value::Null, value.clone());
                        found.push(added.with_fate(Fate::Added));
                    }
                }
            }
        }
        _ => {}
    }
}

/// The document blocks of either API, in order: `{"type": "document", …}` and `{"document": {…}}`.
fn collect_documents<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect_documents(value, found)),
        Value::Object(keys) if keys.get("type").is_some_and(|kind| kind == "document") => found.push(value),
        Value::Object(keys) => match keys.get("document") {
            Some(document) if document.is_object() => found.push(document),
            _ => {
                let parts = ["content", "toolResult"]
                    .iter()
                    .filter_map(|name| keys.get(*name));
                parts.for_each(|value| collect_documents(value, found));
            }
        },
        _ => {}
    }
}

/// Compares only `keys`.
fn selected(part: Part, label: &str, sent: &Value, arrived: &Value, keys: &[&str]) -> Vec<Difference> {
    filtered(part, label, [sent, arrived], |name| keys.contains(&name))
}

/// Compares all keys but the `known` ones.
fn differences(part: Part, label: &str, sent: &Value, arrived: &Value, known: &[&str]) -> Vec<Difference> {
    filtered(part, label, [sent, arrived], |name| !known.contains(&name))
}

fn filtered(
    part: Part,
    label: &str,
    sides: [&Value; 2],
    is_compared: impl Fn(&str) -> bool,
) -> Vec<Difference> {
    let [sent, arrived] = sides.map(|value| -> Value {
        let mut keys: Map<String, Value> = value.as_object().cloned().unwrap_or_default();
        keys.retain(|name, _| is_compared(name));
        keys.into()
    });
    values::differences(part, label, &sent, &arrived)
}
