//! What differs between a provider's reply and what came back to Claude Code.

use serde_json::{Value, json};

use super::pairing::Pair;
use super::{Difference, Fate, Part, values};
use crate::transcript::{Answer, AnswerBlock, DeltaKind, Event, TimedEvent, Transcript};
use crate::wire::exchange::{GatewayReply, ProviderExchange, ProviderReply, SentEvent};
use crate::wire::model::canonical_name;
use crate::wire::{Operation, Route, Usage};

/// A stream whose deltas the provider spread over at least this many milliseconds can be told from a burst.
const SPREAD_MS: u64 = 200;
/// A burst takes less than this part of the time that the provider took.
const BURST: u64 = 4;

pub(super) fn differences(pair: &Pair) -> Vec<Difference> {
    let (Some(exchange), Some(back)) = (pair.last(), &pair.passage.reply) else {
        return Vec::new();
    };
    let given = &exchange.reply;
    let mut found: Vec<Difference> = status(given, back).into_iter().collect();
    found.extend(headers(given, back));
    if given.status >= 400 || back.status >= 400 {
        found.extend(error(given, back));
        return found;
    }
    found.extend(content_type(pair, back));
    if exchange.operation == Operation::CountTokens {
        found.extend(token_count(given, back));
        return found;
    }
    let (Some(sent), Some(came)) = (given_answer(given), passed_answer(back)) else {
        found.extend(nothing_came(given, back));
        return found;
    };
    found.extend(head(pair, &sent, &came));
    found.extend(content(&sent, &came));
    found.extend(stop_reason(&sent, &came));
    found.extend(usage(given.usage, came.usage.unwrap_or_default()));
    found.extend(cache_creation(exchange, &sent, &came));
    if back.stream {
        found.extend(events(exchange, back, &came));
        found.extend(pace(given, back));
    }
    found
}

fn status(given: &ProviderReply, back: &GatewayReply) -> Option<Difference> {
    (given.status != back.status).then(|| {
        Difference::of(
            Part::Status,
            "HTTP status",
            Some(json!(given.status)),
            Some(json!(back.status)),
        )
    })
}

/// What a reply's headers say to Claude Code, or to whoever asks the provider about it: its id
/// (<https://platform.claude.com/docs/en/api/errors>) and when to ask again
/// (<https://platform.claude.com/docs/en/api/rate-limits>). The others are the connection's, or the gateway's own.
const TELLING_HEADERS: [&str; 2] = ["request-id", "retry-after"];

fn headers(given: &ProviderReply, back: &GatewayReply) -> Vec<Difference> {
    let telling = given
        .headers
        .iter()
        .filter(|(name, _)| TELLING_HEADERS.contains(&name.as_str()));
    telling
        .filter(|(name, value)| back.header(name) != Some(value))
        .map(|(name, value)| {
            let came = back.header(name).map(Value::from);
            Difference::of(Part::Header, name, Some(json!(value)), came)
        })
        .collect()
}

/// By it a client knows how to read a reply.
fn content_type(pair: &Pair, back: &GatewayReply) -> Option<Difference> {
    let asks_for_stream = |body: &Value| body["stream"] == true;
    let wanted = if pair.passage.request.body.json().is_some_and(asks_for_stream) {
        "text/event-stream"
    } else {
        "application/json"
    };
    let came = back.header("content-type");
    let is_wanted = came.is_some_and(|came| came.to_ascii_lowercase().starts_with(wanted));
    (!is_wanted).then(|| {
        Difference::of(
            Part::Header,
            "content-type",
            Some(json!(wanted)),
            came.map(Value::from),
        )
    })
}

/// An answer has an id, which may be the gateway's, and the name of the model that gave it, which may be the one by which
/// it was asked for.
fn head(pair: &Pair, sent: &Answer, came: &Answer) -> Vec<Difference> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut found = Vec::new();
    if let (Some(id), None) = (&sent.id, text(&came.id)) {
        found.push(Difference::of(Part::Field, "id", Some(json!(id)), None));
    }
    let asked = pair.passage.request.body.json().map(|body| &body["model"]);
    let Some(model) = &sent.model else {
        return found;
    };
    let is_meant = |name: &String| {
        asked.is_some_and(|asked| asked == name) || canonical_name(model) == canonical_name(name)
    };
    let named = text(&came.model);
    if !named.as_ref().is_some_and(is_meant) {
        found.push(Difference::of(
            Part::Field,
            "model",
            Some(json!(model)),
            named.map(Value::from),
        ));
    }
    found
}

/// For how long it was written is what writing to the cache costs. Converse does not say it in its own words.
fn cache_creation(exchange: &ProviderExchange, sent: &Answer, came: &Answer) -> Vec<Difference> {
    if exchange.route == Some(Route::BedrockConverse) {
        return Vec::new();
    }
    let of = |answer: &Answer| answer.usage_fields["cache_creation"].clone();
    values::differences("cache_creation", &of(sent), &of(came))
        .into_iter()
        .map(|found| Difference::of(Part::Usage, found.path, found.before, found.after))
        .collect()
}

/// A gateway's message may say more than the provider's, but not less.
fn error(given: &ProviderReply, back: &GatewayReply) -> Vec<Difference> {
    let (Some(before), Some(after)) = (given.events.first(), back.events.first()) else {
        return Vec::new();
    };
    let (before, after) = (&before.data, &after.data);
    let mut found = Vec::new();
    if given.status >= 400 && !is_messages_error(after) {
        found.push(Difference::with_fate(
            Part::Error,
            Fate::Changed,
            "the error's shape",
            Some(json!({"type": "error", "error": {"type": "…", "message": "…"}})),
            Some(after.clone()),
        ));
    }
    let words = error_message(before);
    if !words.is_empty() && !holds(after, words) {
        found.push(Difference::of(
            Part::Error,
            "the error's message",
            Some(json!(words)),
            Some(json!(error_message(after))),
        ));
    }
    let (old, new) = (&before["error"]["type"], &after["error"]["type"]);
    if is_messages_error(before) && is_messages_error(after) && old != new {
        found.push(Difference::of(
            Part::Error,
            "the error's type",
            Some(old.clone()),
            Some(new.clone()),
        ));
    }
    found
}

fn is_messages_error(body: &Value) -> bool {
    body["type"] == "error" && body["error"]["type"].is_string() && body["error"]["message"].is_string()
}

/// Anthropic and Google say it in `error`, AWS at the top.
fn error_message(body: &Value) -> &str {
    body["error"]["message"]
        .as_str()
        .or(body["message"].as_str())
        .or(body.as_str())
        .unwrap_or_default()
}

/// Whether any text within `value` holds `words`, which may stand escaped within it.
fn holds(value: &Value, words: &str) -> bool {
    let escaped = json!(words).to_string();
    let escaped = escaped.trim_matches('"');
    match value {
        Value::String(text) => text.contains(words) || text.contains(escaped),
        Value::Array(values) => values.iter().any(|value| holds(value, words)),
        Value::Object(fields) => fields.values().any(|value| holds(value, words)),
        _ => false,
    }
}

fn token_count(given: &ProviderReply, back: &GatewayReply) -> Option<Difference> {
    let counted = json!(given.usage.input_tokens);
    let came = back.events.first()?.data.get("input_tokens").cloned();
    (came.as_ref() != Some(&counted))
        .then(|| Difference::of(Part::Usage, "input_tokens", Some(counted), came))
}

fn nothing_came(given: &ProviderReply, back: &GatewayReply) -> Option<Difference> {
    given.message.as_ref()?;
    Some(Difference::with_fate(
        Part::Event,
        Fate::Dropped,
        "the answer",
        Some(json!(format!("a message in {} events", given.events.len()))),
        Some(json!(format!(
            "{} events that make no message",
            back.events.len()
        ))),
    ))
}

/// The answer as [`Transcript`] puts it together; of a stream that begins twice, the last.
fn answer(events: Vec<TimedEvent>) -> Option<Answer> {
    Transcript { events }.messages().pop()
}

fn given_answer(given: &ProviderReply) -> Option<Answer> {
    answer(vec![whole_message(given.message.as_ref()?)])
}

fn passed_answer(back: &GatewayReply) -> Option<Answer> {
    if back.stream {
        answer(stream_events(&back.events))
    } else {
        answer(vec![whole_message(&back.events.first()?.data)])
    }
}

fn whole_message(message: &Value) -> TimedEvent {
    TimedEvent {
        at_ms: 0,
        event: Event::Json(json!({"type": "assistant", "message": message})),
    }
}

fn stream_events(events: &[SentEvent]) -> Vec<TimedEvent> {
    events
        .iter()
        .map(|event| TimedEvent {
            at_ms: event.at_ms,
            event: Event::Json(json!({"type": "stream_event", "event": event.data})),
        })
        .collect()
}

fn content(sent: &Answer, came: &Answer) -> Vec<Difference> {
    let mut found = Vec::new();
    let (old, new) = (&sent.content, &came.content);
    let kinds =
        |blocks: &[AnswerBlock]| -> Vec<String> { blocks.iter().map(|block| said(block).0).collect() };
    if old.len() != new.len() || kinds(old) != kinds(new) {
        return vec![outline(old, new, kinds(old), kinds(new))];
    }
    for (index, (old, new)) in old.iter().zip(new).enumerate() {
        let (kind, before) = said(old);
        let label = format!("content[{index}] ({kind})");
        for difference in values::differences(&label, &before, &said(new).1) {
            let is_signature = difference.path.ends_with(".signature");
            let part = if is_signature {
                Part::Signature
            } else {
                Part::Block
            };
            found.push(Difference::with_fate(
                part,
                Fate::Changed,
                difference.path,
                difference.before,
                difference.after,
            ));
        }
    }
    found
}

fn outline(old: &[AnswerBlock], new: &[AnswerBlock], before: Vec<String>, after: Vec<String>) -> Difference {
    let has_all = old.iter().all(|block| new.contains(block));
    let fate = match (has_all, old.len().cmp(&new.len())) {
        (true, std::cmp::Ordering::Equal) => Fate::Moved,
        (true, _) => Fate::Added,
        (false, std::cmp::Ordering::Greater) => Fate::Dropped,
        (false, _) => Fate::Changed,
    };
    Difference::with_fate(
        Part::Block,
        fate,
        "content",
        Some(json!(before)),
        Some(json!(after)),
    )
}

fn said(block: &AnswerBlock) -> (String, Value) {
    let (kind, value) = match block {
        AnswerBlock::Text(text) => ("text", json!({"text": text})),
        AnswerBlock::Thinking { thinking, signature } => {
            ("thinking", json!({"thinking": thinking, "signature": signature}))
        }
        AnswerBlock::RedactedThinking(data) => ("redacted_thinking", json!({"data": data})),
        AnswerBlock::ToolUse { id, name, input } => {
            ("tool_use", json!({"id": id, "name": name, "input": input}))
        }
        AnswerBlock::Other(value) => (value["type"].as_str().unwrap_or("unknown"), value.clone()),
    };
    (kind.to_owned(), value)
}

fn stop_reason(sent: &Answer, came: &Answer) -> Option<Difference> {
    (sent.stop_reason != came.stop_reason).then(|| {
        Difference::of(
            Part::StopReason,
            "stop_reason",
            sent.stop_reason.clone().map(Value::from),
            came.stop_reason.clone().map(Value::from),
        )
    })
}

fn usage(sent: Usage, came: Usage) -> Vec<Difference> {
    values::differences("", &json!(sent), &json!(came))
        .into_iter()
        .map(|found| Difference::of(Part::Usage, found.path, found.before, found.after))
        .collect()
}

/// The frame of a stream by the number of its blocks, and its content deltas by those that the provider sent.
fn events(exchange: &ProviderExchange, back: &GatewayReply, came: &Answer) -> Vec<Difference> {
    let blocks = came.content.len();
    let frame = [
        ("message_start", 1),
        ("content_block_start", blocks),
        ("content_block_stop", blocks),
        ("message_delta", 1),
        ("message_stop", 1),
    ];
    let of_type = |kind: &str| {
        back.events
            .iter()
            .filter(|event| event.data["type"] == kind)
            .count()
    };
    let mut found: Vec<Difference> = frame
        .into_iter()
        .filter_map(|(kind, wanted)| count(kind, wanted, of_type(kind)))
        .collect();
    for (kind, name) in [
        (DeltaKind::Text, "text deltas"),
        (DeltaKind::Thinking, "thinking deltas"),
        (DeltaKind::Input, "tool argument deltas"),
    ] {
        let sent = given_deltas(&exchange.reply, Some(kind)).len();
        let came = came.delta_count(kind);
        if exchange.reply.stream && sent != came {
            let fate = if came < sent { Fate::Merged } else { Fate::Split };
            found.push(Difference::with_fate(
                Part::Event,
                fate,
                name,
                Some(json!(sent)),
                Some(json!(came)),
            ));
        }
    }
    let errors = back.events.iter().filter(|event| event.data["type"] == "error");
    found.extend(errors.map(|event| Difference::of(Part::Event, "error", None, Some(event.data.clone()))));
    found.extend(unknown_events(&exchange.reply, back));
    if found.is_empty() {
        found.extend(out_of_order(back));
    }
    found
}

/// The events of the Messages API (<https://platform.claude.com/docs/en/build-with-claude/streaming>).
const EVENTS: [&str; 8] = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
    "error",
];

/// Events of other kinds that the provider did not send, and what is no event.
fn unknown_events(given: &ProviderReply, back: &GatewayReply) -> Vec<Difference> {
    let is_sent = |kind: &str| given.events.iter().any(|sent| sent.data["type"] == kind);
    let is_known = |event: &SentEvent| match event.data["type"].as_str() {
        Some(kind) => EVENTS.contains(&kind) || is_sent(kind),
        // Between events there may be empty lines.
        None => event.data.as_str().is_some_and(|text| text.trim().is_empty()),
    };
    let unknown = back.events.iter().filter(|event| !is_known(event));
    unknown
        .map(|event| {
            let kind = event.data["type"].as_str().unwrap_or("without a type");
            Difference::of(Part::Event, kind, None, Some(event.data.clone()))
        })
        .collect()
}

fn out_of_order(back: &GatewayReply) -> Option<Difference> {
    let events = stream_events(&back.events);
    let problem = Transcript { events }.stream_problems().into_iter().next()?;
    Some(Difference::with_fate(
        Part::Event,
        Fate::Changed,
        "order",
        None,
        Some(json!(problem.what)),
    ))
}

fn count(kind: &str, wanted: usize, found: usize) -> Option<Difference> {
    let fate = match found.cmp(&wanted) {
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Less => Fate::Dropped,
        std::cmp::Ordering::Greater => Fate::Repeated,
    };
    Some(Difference::with_fate(
        Part::Event,
        fate,
        kind,
        Some(json!(wanted)),
        Some(json!(found)),
    ))
}

/// When the provider sent its content deltas, of one kind or of all.
fn given_deltas(given: &ProviderReply, kind: Option<DeltaKind>) -> Vec<u64> {
    let deltas = given
        .events
        .iter()
        .filter_map(|event| Some((event.at_ms, delta_kind(&event.data)?)));
    deltas
        .filter(|(_, found)| kind.is_none_or(|kind| kind == *found))
        .map(|(at_ms, _)| at_ms)
        .collect()
}

/// The kind of a content delta, in the Messages API's form or in Converse's.
fn delta_kind(event: &Value) -> Option<DeltaKind> {
    if let Some(delta) = event.get("contentBlockDelta") {
        let delta = &delta["delta"];
        return if delta.get("text").is_some() {
            Some(DeltaKind::Text)
        } else if delta.get("toolUse").is_some() {
            Some(DeltaKind::Input)
        } else {
            delta
                .pointer("/reasoningContent/text")
                .map(|_| DeltaKind::Thinking)
        };
    }
    DeltaKind::from_type(event.pointer("/delta/type")?.as_str()?)
}

/// In lockstep no clock of another machine is asked: each delta is to be in front of the gateway before the provider sends
/// the next. Otherwise a burst is told by what the provider took.
fn pace(given: &ProviderReply, back: &GatewayReply) -> Option<Difference> {
    let sent = given_deltas(given, None);
    let came: Vec<u64> = back
        .events
        .iter()
        .filter(|event| delta_kind(&event.data).is_some())
        .map(|event| event.at_ms)
        .collect();
    match given.lockstep {
        Some(lockstep) if lockstep.seen + 1 < lockstep.deltas => held_back(&sent, &came),
        Some(_) => None,
        None => burst(&sent, &came),
    }
}

fn held_back(sent: &[u64], came: &[u64]) -> Option<Difference> {
    let due = sent.len().saturating_sub(1);
    let in_time = came
        .iter()
        .zip(sent.iter().skip(1))
        .filter(|(came, next)| came <= next)
        .count();
    (in_time < due).then(|| {
        Difference::with_fate(
            Part::Pace,
            Fate::Delayed,
            "content deltas",
            Some(json!(format!("{due} deltas, each waiting for the one before"))),
            Some(json!(format!("{in_time} came before the next was sent"))),
        )
    })
}

fn burst(sent: &[u64], came: &[u64]) -> Option<Difference> {
    let spread = |times: &[u64]| match (times.first(), times.last()) {
        (Some(first), Some(last)) => last.saturating_sub(*first),
        _ => 0,
    };
    let (before, after) = (spread(sent), spread(came));
    (before >= SPREAD_MS && after < before / BURST).then(|| {
        Difference::with_fate(
            Part::Pace,
            Fate::Delayed,
            "content deltas",
            Some(json!(format!("over {before} ms"))),
            Some(json!(format!("over {after} ms"))),
        )
    })
}
