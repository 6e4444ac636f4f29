//! Differences in the objects around a reply's content: the token counts of each event, and the keys that nothing else
//! compares.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Difference, Part, values};
use crate::transcript::Answer;
use crate::wire::Route;
use crate::wire::exchange::{GatewayReply, ProviderExchange, SentEvent};

/// The keys of a message that other comparisons read.
const MESSAGE: [&str; 10] = [
    "type",
    "id",
    "model",
    "content",
    "usage",
    "stop_reason",
    "stop_sequence",
    "stop_details",
    "safeguard_results",
    // Of an error event or an error body.
    "error",
];

/// The keys of a block or of a delta that other comparisons read.
const CONTENT: [&str; 11] = [
    "type",
    "text",
    "thinking",
    "signature",
    "data",
    "id",
    "name",
    "input",
    "partial_json",
    "citation",
    "citations",
];

/// The blocks of which `conversation` compares [`CONTENT`] only. It compares others whole.
const BLOCKS: [&str; 4] = ["text", "thinking", "redacted_thinking", "tool_use"];

/// The counts of a request's prompt, which are known before the answer.
const COUNTS_OF_PROMPT: [&str; 3] = [
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
];

/// The objects of a reply, by their paths.
#[derive(Default)]
struct Frames {
    usage: BTreeMap<String, Value>,
    /// Without the keys that other comparisons read.
    rest: BTreeMap<String, Map<String, Value>>,
}

/// Whether the events on both sides have the same form, so that each one compares with its own.
pub(super) fn is_same_form(exchange: &ProviderExchange, back: &GatewayReply) -> bool {
    exchange.route != Some(Route::BedrockConverse) && exchange.reply.stream == back.stream
}

/// Compares each event with its own, or finds the keys that a gateway invents when it translates a reply.
pub(super) fn differences(exchange: &ProviderExchange, back: &GatewayReply) -> Vec<Difference> {
    let mut came = Frames::of(&back.events);
    let mut found = Vec::new();
    if is_same_form(exchange, back) {
        let sent = Frames::of(&exchange.reply.events);
        for path in keys(&sent.usage, &came.usage) {
            let of = |frames: &Frames| frames.usage.get(path).cloned().unwrap_or_else(|| json!({}));
            found.extend(values::differences(Part::Usage, path, &of(&sent), &of(&came)));
        }
        found.extend(rest(&sent, &came));
    } else {
        came.rest
            .values_mut()
            .for_each(|keys| drop(keys.shift_remove("role")));
        found.extend(rest(&Frames::default(), &came));
        found.extend(counts_at_start(exchange, &came));
    }
    if back.stream {
        found.extend(starts(&back.events));
    }
    found
}

/// A message and its blocks start empty, because a client adds what comes after to what is there
/// (<https://platform.claude.com/docs/en/build-with-claude/streaming>). Each wrong value once.
fn starts(events: &[SentEvent]) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    for SentEvent { data, .. } in events {
        let kind = data["type"].as_str().unwrap_or_default();
        let (place, empty) = match kind {
            "message_start" => (
                "message",
                json!({"type": "message", "content": [], "stop_reason": null, "stop_sequence": null}),
            ),
            "content_block_start" => (
                "content_block",
                match data["content_block"]["type"].as_str() {
                    Some("text") => json!({"text": ""}),
                    Some("thinking") => json!({"thinking": ""}),
                    Some("tool_use" | "server_tool_use") => json!({"input": {}}),
                    _ => json!({}),
                },
            ),
            _ => ("", json!({})),
        };
        // Without the object itself, the event is broken.
        let started = data.get(place).filter(|started| started.is_object());
        let keys = empty.as_object().into_iter().flatten();
        let wrong = keys.filter_map(|(key, empty)| {
            let came = &started?[key];
            let path = format!("{kind}.{place}.{key}");
            (came != empty).then(|| Difference::of(Part::Field, path, empty.clone(), came.clone()))
        });
        let has_index = kind.starts_with("content_block_") && !data["index"].is_u64();
        let index = has_index.then(|| {
            let came = data["index"].clone();
            Difference::of(Part::Field, format!("{kind}.index"), "a number", came)
        });
        for difference in wrong.chain(index) {
            if found.iter().all(|earlier| earlier.path != difference.path) {
                found.push(difference);
            }
        }
    }
    found
}

fn rest(sent: &Frames, came: &Frames) -> Vec<Difference> {
    let of = |frames: &Frames, path: &str| Value::Object(frames.rest.get(path).cloned().unwrap_or_default());
    keys(&sent.rest, &came.rest)
        .flat_map(|path| values::differences(Part::Field, path, &of(sent, path), &of(came, path)))
        .collect()
}

fn keys<'a, T>(
    one: &'a BTreeMap<String, T>,
    other: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = &'a str> {
    let more = other.keys().filter(|key| !one.contains_key(*key));
    one.keys().chain(more).map(String::as_str)
}

/// A running count shows the counts of `message_start`. Converse has its counts only at the end of a stream, so a gateway
/// may leave them out.
fn counts_at_start(exchange: &ProviderExchange, came: &Frames) -> Vec<Difference> {
    let Some(start) = came.usage.get("message_start.usage") else {
        return Vec::new();
    };
    let given = json!(exchange.reply.usage);
    let is_late = exchange.route == Some(Route::BedrockConverse);
    let wrong = COUNTS_OF_PROMPT.into_iter().filter(|name| {
        let (given, came) = (
            given[name].as_u64().unwrap_or(0),
            start[name].as_u64().unwrap_or(0),
        );
        came != given && (came != 0 || (!is_late && *name == "input_tokens"))
    });
    wrong
        .map(|name| {
            let path = format!("message_start.usage.{name}");
            Difference::of(Part::Usage, path, given[name].clone(), start[name].clone())
        })
        .collect()
}

/// Compares the cache writes by lifetime, on which their price depends. Without counts of its own, Claude Code takes a write to
/// be for five minutes, so a gateway that translates from Converse must report those for an hour.
pub(super) fn cache_creation(exchange: &ProviderExchange, sent: &Answer, came: &Answer) -> Vec<Difference> {
    let is_converse = exchange.route == Some(Route::BedrockConverse);
    let of = |answer: &Answer| match &answer.usage_fields["cache_creation"] {
        counts if is_converse => {
            let tokens = counts["ephemeral_1h_input_tokens"].as_u64();
            json!({"ephemeral_1h_input_tokens": tokens.filter(|tokens| *tokens > 0)})
        }
        counts => counts.clone(),
    };
    values::differences(Part::Usage, "cache_creation", &of(sent), &of(came))
}

impl Frames {
    /// Of an event that comes more than once, the last one counts.
    fn of(events: &[SentEvent]) -> Self {
        let mut frames = Self::default();
        for SentEvent { data, .. } in events {
            match data["type"].as_str() {
                Some("message") => frames.add_message("", data),
                Some(kind @ "message_start") => {
                    frames.add(kind, data, &["type", "message"]);
                    frames.add_message(kind, &data["message"]);
                }
                Some(kind @ "message_delta") => {
                    frames
                        .usage
                        .insert(format!("{kind}.usage"), data["usage"].clone());
                    frames.add(kind, data, &["type", "delta", "usage"]);
                    frames.add("message_delta.delta", &data["delta"], &MESSAGE);
                }
                Some(kind @ "message_stop") => frames.add(kind, data, &["type"]),
                Some(kind @ "content_block_start") => {
                    frames.add(kind, data, &["type", "index", "content_block"]);
                    frames.add_block(&data["index"], &data["content_block"]);
                }
                Some(kind @ "content_block_delta") => {
                    frames.add(kind, data, &["type", "index", "delta"]);
                    frames.add("content_block_delta.delta", &data["delta"], &CONTENT);
                }
                Some(kind @ "content_block_stop") => frames.add(kind, data, &["type", "index"]),
                _ => {}
            }
        }
        frames
    }

    fn add_message(&mut self, path: &str, message: &Value) {
        let usage = if path.is_empty() {
            "usage".to_owned()
        } else {
            format!("{path}.usage")
        };
        self.usage.insert(usage, message["usage"].clone());
        self.add(path, message, &MESSAGE);
        for (index, block) in message["content"].as_array().into_iter().flatten().enumerate() {
            self.add_block(&json!(index), block);
        }
    }

    fn add_block(&mut self, index: &Value, block: &Value) {
        if block["type"].as_str().is_some_and(|kind| BLOCKS.contains(&kind)) {
            self.add(&format!("content[{index}]"), block, &CONTENT);
        }
    }

    fn add(&mut self, path: &str, value: &Value, compared: &[&str]) {
        let keys = value.as_object().into_iter().flatten();
        let unknown = keys.filter(|(name, _)| !compared.contains(&name.as_str()));
        let own = self.rest.entry(path.to_owned()).or_default();
        own.extend(unknown.map(|(name, value)| (name.clone(), value.clone())));
    }
}
