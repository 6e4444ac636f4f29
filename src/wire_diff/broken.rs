//! Events that Claude Code cannot read, or not at their place, and early ends. What is lost of the stream after one follows from
//! it.

use serde_json::Value;

use super::{Change, Difference, Fate, Part, WireDiff};
use crate::transcript::Transcript;
use crate::wire::Direction;
use crate::wire::exchange::{GatewayReply, SentEvent};

/// The events that make a message, each with the field that it needs.
const PARTS_OF_MESSAGE: [(&str, Option<&str>); 6] = [
    ("message_start", Some("message")),
    ("content_block_start", Some("content_block")),
    ("content_block_delta", Some("delta")),
    ("content_block_stop", None),
    ("message_delta", Some("delta")),
    ("message_stop", None),
];

/// The name of the difference between the order of events and that of the Messages API.
pub(super) const ORDER: &str = "order";

/// The name of an error in a stream, in the form of any API.
pub(super) const ERROR: &str = "error";

/// The name of a whole answer.
pub(super) const THE_ANSWER: &str = "the answer";

/// The name of what comes after the early end of a stream.
pub(super) const THE_REST: &str = "the rest of the stream";

/// The unreadable events and the missing fields of a stream, once for each kind of event.
pub(super) fn events(back: &GatewayReply) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    for event in back.events.iter().filter(|_| back.stream) {
        let difference = unreadable(event).or_else(|| without_field(event));
        let is_new = |difference: &Difference| found.iter().all(|earlier| earlier.path != difference.path);
        found.extend(difference.filter(is_new));
    }
    found
}

/// How much of broken data is shown, in characters.
const END: usize = 48;

const NO_JSON: &str = "its data is no JSON";

/// A text that names an event of a message, but is none.
pub(super) fn unreadable(event: &SentEvent) -> Option<Difference> {
    let text = event.data.as_str()?;
    let is_named = |kind: &str| {
        text.split(['\r', '\n']).any(|line| {
            line.strip_prefix("event:")
                .is_some_and(|name| name.strip_prefix(' ').unwrap_or(name) == kind)
        })
    };
    let is_typed = |kind: &str| {
        let mut ends = text.split("\"type\"").skip(1);
        ends.any(|end| {
            let value = end
                .trim_start()
                .strip_prefix(':')
                .unwrap_or_default()
                .trim_start();
            value
                .strip_prefix('"')
                .and_then(|value| value.strip_prefix(kind))
                .is_some_and(|rest| rest.starts_with('"'))
        })
    };
    let kinds = || PARTS_OF_MESSAGE.iter().map(|(kind, _)| *kind);
    let named = kinds().find(|kind| is_named(kind));
    let kind = named.or_else(|| kinds().find(|kind| is_typed(kind)))?;
    let has = |field: &str| text.split(['\r', '\n']).any(|line| line.starts_with(field));
    let reason = match (named, has("data:")) {
        (None, _) if text.contains("\u{feff}event:") => {
            "a byte order mark (U+FEFF) stands before its `event:` line"
        }
        (None, _) if has("event:") => "its `event:` line has another name",
        (None, _) => "it has no `event:` line",
        (_, false) => "it has no `data:` line",
        (_, true) => NO_JSON,
    };
    let names_it = |line: &str| named.is_some() && line.starts_with("event:");
    let lines = text
        .split(['\r', '\n'])
        .filter(|line| !line.is_empty() && !names_it(line));
    let shown = lines.collect::<Vec<_>>().join(" ");
    // Data that is no JSON is wrong at its end.
    let shown = match (reason == NO_JSON, shown.char_indices().rev().nth(END)) {
        (true, Some((start, _))) => format!("…{}", &shown[start..]),
        _ => shown,
    };
    let difference = Difference::of(Part::Event, kind, Value::Null, format!("{reason}: {shown}"));
    Some(difference.with_fate(Fate::Changed))
}

fn without_field(event: &SentEvent) -> Option<Difference> {
    let mut parts = PARTS_OF_MESSAGE.iter();
    let (kind, field) = parts.find(|(kind, _)| event.data["type"] == *kind)?;
    let field = field.filter(|field| !event.data[field].is_object())?;
    let path = format!("{kind}.{field}");
    let difference = Difference::of(Part::Field, path, Value::Null, event.data[field].clone());
    Some(difference.with_fate(Fate::Dropped))
}

/// An event that is not at its place, unless that follows from `others`, the differences in the number of events. Losses at the
/// end of a stream do not explain what stands before them.
pub(super) fn order(back: &GatewayReply, others: &[Difference]) -> Option<Difference> {
    let problems = Transcript::of_stream(&back.events).stream_problems();
    let is_complete = back
        .events
        .iter()
        .any(|event| event.data["type"] == "message_stop");
    let is_of_end = |other: &Difference| {
        let is_lost = matches!(other.fate, Fate::Dropped | Fate::Merged);
        is_lost && !["message_start", "content_block_start"].contains(&other.path.as_str())
    };
    // The last problem of a stream that ends early is its end.
    let is_first = match is_complete {
        true => others.is_empty(),
        false => problems.len() > 1 && others.iter().all(is_of_end),
    };
    let problem = problems.into_iter().next().filter(|_| is_first)?;
    Some(Difference::of(Part::Event, ORDER, Value::Null, problem.what).with_fate(Fate::Changed))
}

/// The end of a stream before its `message_delta`.
pub(super) fn early_end(back: &GatewayReply) -> Option<Difference> {
    let ends = ["message_delta", "message_stop"];
    let kinds = back.events.iter();
    let mut kinds = kinds.filter_map(|event| Some((event, event.data["type"].as_str()?)));
    if kinds.clone().any(|(_, kind)| ends.contains(&kind)) {
        return None;
    }
    let (last, kind) = kinds.rfind(|(_, kind)| *kind != "ping")?;
    let place = match last.data["index"].as_u64() {
        Some(index) if kind != "content_block_stop" => format!("within block {index}"),
        _ => format!("after `{kind}`"),
    };
    Some(Difference::of(
        Part::Event,
        THE_REST,
        format!("the stream ended {place}"),
        Value::Null,
    ))
}

impl WireDiff {
    /// What Claude Code could not read of a stream, or not at its place, or where the stream ended early, if `change` follows from
    /// it: a part of the same reply is lost.
    pub fn broken_event(&self, change: &Change) -> Option<&Change> {
        let what = &change.what;
        let is_event = matches!(what.part, Part::Event | Part::StopReason | Part::Usage);
        let is_content = matches!(
            what.part,
            Part::Block | Part::Signature | Part::Field | Part::Pace
        );
        let is_lost = matches!(what.fate, Fate::Dropped | Fate::Merged);
        let follows = |broken: &Difference| match broken.path.as_str() {
            ORDER => is_event && is_lost,
            THE_REST => is_content || (is_event && is_lost),
            _ => is_event || is_content,
        };
        self.changes.iter().find(|other| {
            change.direction == Direction::Reply
                && (other.direction, other.operation, other.sent)
                    == (change.direction, change.operation, change.sent)
                && other.what.is_broken_event()
                && follows(&other.what)
        })
    }
}

impl Difference {
    pub(super) fn is_broken_event(&self) -> bool {
        let is_part = || PARTS_OF_MESSAGE.iter().any(|(kind, _)| *kind == self.path);
        let is_field = || {
            let mut parts = PARTS_OF_MESSAGE.iter();
            parts.any(|(kind, field)| self.path.split_once('.') == field.map(|field| (*kind, field)))
        };
        match (self.part, self.fate) {
            (Part::Event, Fate::Changed) => [ORDER, THE_ANSWER].contains(&self.path.as_str()) || is_part(),
            (Part::Event, Fate::Added) => self.path == ERROR,
            (Part::Event, Fate::Dropped) => self.path == THE_REST,
            (Part::Field, Fate::Dropped) => is_field(),
            _ => false,
        }
    }
}
