//! Differences between a provider's reply and the reply that Claude Code received.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value, json};

use super::broken::{ERROR, THE_ANSWER};
use super::conversation::within_block;
use super::pairing::Pair;
use super::reply_headers::{encoding, headers};
use super::{Difference, Fate, LOST_ANSWER, Part, broken, delay, deltas, frame, values};
use crate::text::clipped;
use crate::transcript::{Answer, AnswerBlock};
use crate::wire::exchange::{GatewayReply, ProviderReply, SentEvent};
use crate::wire::model::canonical_name;
use crate::wire::{Operation, Route, error_reply};

pub(super) fn differences(pair: &Pair) -> Vec<Difference> {
    let (Some(exchange), Some(back)) = (pair.last(), &pair.passage.reply) else {
        return Vec::new();
    };
    let given = &exchange.reply;
    let mut found: Vec<Difference> = status(given, back).into_iter().collect();
    found.extend(headers(exchange, back));
    found.extend(encoding(back));
    if given.status >= 400 || back.status >= 400 {
        found.extend(error(given, back));
        return found;
    }
    found.extend(content_type(pair, back));
    if exchange.operation == Operation::CountTokens {
        found.extend(token_count(given, back));
        return found;
    }
    let broken = broken::events(back);
    found.extend(broken.clone());
    found.extend(in_one_piece(pair, back));
    // An error may come with the status of an answer.
    let is_message = |event: &SentEvent| back.stream || event.data["content"].is_array();
    let came = Answer::received(back).filter(|_| back.events.first().is_some_and(is_message));
    let (Some(sent), Some(came)) = (Answer::given(given), came) else {
        if back.stream && given.message.is_some() {
            let unknown = unknown_events(given, back).into_iter();
            let (errors, others): (Vec<_>, Vec<_>) = unknown.partition(|event| event.path == ERROR);
            found.extend(errors);
            let lost = no_message(given, back);
            let is_whole_answer = lost.as_ref().is_some_and(|lost| lost.path == THE_ANSWER);
            found.extend(lost);
            found.extend(others.into_iter().filter(|_| is_whole_answer));
            return found;
        }
        found.extend(no_message(given, back));
        return found;
    };
    found.extend(head(pair, &sent, &came));
    found.extend(content(&sent, &came));
    found.extend(stop_reason(&sent, &came));
    // Converse has no place for these.
    if exchange.route != Some(Route::BedrockConverse) {
        let of = |answer: &Answer| Value::Object(answer.details.clone());
        let mut details = values::differences(Part::StopReason, "", &of(&sent), &of(&came));
        // The verdicts of a safety check do not say why a reply ended.
        let verdicts = |difference: &&mut Difference| difference.path.starts_with("safeguard_results");
        let verdicts = details.iter_mut().filter(verdicts);
        verdicts.for_each(|difference| difference.part = Part::Field);
        found.extend(details);
    }
    if !frame::is_same_form(exchange, back) {
        let (before, after) = (json!(given.usage), json!(came.usage.unwrap_or_default()));
        found.extend(values::differences(Part::Usage, "", &before, &after));
        found.extend(frame::cache_creation(exchange, &sent, &came));
    }
    found.extend(frame::differences(exchange, back));
    if back.stream {
        let unknown = unknown_events(given, back).into_iter();
        let (mut events, unknown): (Vec<_>, Vec<_>) = unknown.partition(|event| event.path == ERROR);
        let is_broken = !broken.is_empty() || events.iter().any(Difference::is_broken_event);
        let lost = lost_events(back, &sent, &came);
        let is_start = |lost: &Difference| lost.path == "content_block_start";
        let is_explained = is_broken || lost.iter().any(is_start);
        let early_end = broken::early_end(back);
        let is_whole = early_end.is_none();
        match early_end.filter(|_| !is_explained) {
            Some(end) => events.push(end),
            None => {
                events.extend(lost);
                let deltas = deltas::differences(given, back).into_iter();
                events.extend(deltas.filter(|_| !is_broken));
            }
        }
        events.extend(pings(&given.events, &back.events));
        events.extend(unknown);
        if broken.is_empty() {
            found.extend(broken::order(back, &events));
        }
        found.extend(events);
        let pace = deltas::pace(given, back).filter(|_| is_whole);
        found.extend(pace.or_else(|| delay::difference(given, back)));
    } else {
        found.extend(delay::of_answer(given, back));
    }
    found
}

fn status(given: &ProviderReply, back: &GatewayReply) -> Option<Difference> {
    let path = match given.status < 400 && back.status >= 400 {
        true => LOST_ANSWER.to_owned(),
        // What a gateway does to one status says nothing about the others.
        false => format!("HTTP status {}", given.status),
    };
    (given.status != back.status).then(|| Difference::of(Part::Status, path, given.status, back.status))
}

fn asks_for_stream(pair: &Pair) -> bool {
    let body = pair.passage.request.body.json();
    body.is_some_and(|body| body["stream"] == true)
}

/// A client chooses by the content type how to read a reply.
fn content_type(pair: &Pair, back: &GatewayReply) -> Option<Difference> {
    let wanted = match asks_for_stream(pair) {
        true => "text/event-stream",
        false => "application/json",
    };
    let came = back.header("content-type");
    let is_wanted = came.is_some_and(|came| came.to_ascii_lowercase().starts_with(wanted));
    (!is_wanted).then(|| Difference::of(Part::Header, "content-type", wanted, came))
}

/// An answer has an id, which may be the gateway's. Its model may have the name in the request.
fn head(pair: &Pair, sent: &Answer, came: &Answer) -> Vec<Difference> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut found = Vec::new();
    if let (Some(id), None) = (&sent.id, text(&came.id)) {
        found.push(Difference::of(Part::Field, "id", id.as_str(), Value::Null));
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
        found.push(Difference::of(Part::Field, "model", model.as_str(), named));
    }
    found
}

/// The beginning of the path of a difference: the status follows.
pub(super) const MESSAGE_OF_ERROR: &str = "the message of error";

/// An error event with which the provider ends a stream, and its words.
const STREAM_ERROR: &str = "the stream's error";
pub(super) const MESSAGE_OF_STREAM_ERROR: &str = "the message of the stream's error";

/// A gateway's message may say more than the provider's, but not less.
fn error(given: &ProviderReply, back: &GatewayReply) -> Vec<Difference> {
    let (Some(before), Some(after)) = (given.events.first(), back.events.first()) else {
        return Vec::new();
    };
    let (before, after) = (&before.data, &after.data);
    // What a gateway does to the error of one status says nothing about the others.
    let changed = |what: &str, before: Value, after: Value| {
        let difference = Difference::of(Part::Error, format!("{what} {}", given.status), before, after);
        difference.with_fate(Fate::Changed)
    };
    let mut found = Vec::new();
    match missing_of_error(after).as_slice() {
        _ if given.status < 400 => {}
        [] => {}
        // Claude Code reads the message without it.
        [name] if *name == TYPE_OF_BODY => {
            found.push(Difference::of(
                Part::Field,
                "type",
                "error",
                after["type"].clone(),
            ));
        }
        missing => found.push(changed(
            "the shape of error",
            Value::Null,
            format!("it has no {}", missing.join(", ")).into(),
        )),
    }
    let words = error_reply::message_of(before);
    if !words.is_empty() && !holds(after, words) {
        found.push(changed(
            MESSAGE_OF_ERROR,
            words.into(),
            error_reply::message_of(after).into(),
        ));
    }
    let (old, new) = (kind(given, before), after["error"]["type"].as_str());
    if let (Some(old), Some(new)) = (old, new)
        && old != new
    {
        found.push(changed("the type of error", old.into(), new.into()));
    }
    found
}

/// The type that Claude Code should get. In a form of Bedrock or Google, the status tells it, if only one type has it.
fn kind<'a>(given: &ProviderReply, error: &'a Value) -> Option<&'a str> {
    match is_messages_error(error) {
        true => error["error"]["type"].as_str(),
        false => [400, 401, 402, 403, 404, 413, 429]
            .contains(&given.status)
            .then(|| error_reply::kind_of(given.status)),
    }
}

/// The first field of an error's body.
const TYPE_OF_BODY: &str = "`type: error`";

/// What a body lacks of an error of the Messages API.
fn missing_of_error(body: &Value) -> Vec<&'static str> {
    let error = &body["error"];
    let parts = [
        (TYPE_OF_BODY, body["type"] == "error"),
        ("`error.type`", error["type"].is_string()),
        ("`error.message`", error["message"].is_string()),
    ];
    let missing = parts.into_iter().filter(|(_, has)| !has);
    missing.map(|(name, _)| name).collect()
}

fn is_messages_error(body: &Value) -> bool {
    missing_of_error(body).is_empty()
}

/// Whether any text in `value` contains `words`, as they are or with JSON escapes.
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

/// Compares the number and the other keys of a token count. Bedrock has another name for the number.
fn token_count(given: &ProviderReply, back: &GatewayReply) -> Vec<Difference> {
    let Some(came) = back.events.first().map(|event| &event.data) else {
        return Vec::new();
    };
    let counted = given.usage.input_tokens;
    let number = &came["input_tokens"];
    let changed =
        (*number != counted).then(|| Difference::of(Part::Usage, "input_tokens", counted, number.clone()));
    let without = |body: &Value, names: &[&str]| {
        let mut keys = body.as_object().cloned().unwrap_or_default();
        keys.retain(|name, _| !names.contains(&name.as_str()));
        Value::Object(keys)
    };
    let body = given.events.first().filter(|_| !given.stream);
    let sent = body.map_or_else(
        || json!({}),
        |body| without(&body.data, &["input_tokens", "inputTokens"]),
    );
    let others = values::differences(Part::Field, "", &sent, &without(came, &["input_tokens"]));
    changed.into_iter().chain(others).collect()
}

fn no_message(given: &ProviderReply, back: &GatewayReply) -> Option<Difference> {
    if given.message.is_none() {
        return broken_stream(given, back);
    }
    let is_of_message = |event: &SentEvent| event.data["type"] == "content_block_start";
    let has_start = back
        .events
        .iter()
        .any(|event| event.data["type"] == "message_start");
    if !has_start && back.events.iter().any(is_of_message) {
        return count("message_start", 1, 0);
    }
    let sent = format!("a message in {} events", given.events.len());
    let came = match back.events.as_slice() {
        [body] if !back.stream => match body.data.get("content") {
            Some(content) if !content.is_array() => {
                format!(
                    "a message whose `content` is no list: {}",
                    clipped(&content.to_string())
                )
            }
            _ => format!("no message: {}", clipped(&body.data.to_string())),
        },
        events => format!("{} events without a message", events.len()),
    };
    Some(Difference::of(Part::Event, THE_ANSWER, sent, came).with_fate(Fate::Dropped))
}

/// Claude Code asked for a stream, and got a whole message.
fn in_one_piece(pair: &Pair, back: &GatewayReply) -> Option<Difference> {
    let is_message = !back.stream && back.events.first()?.data["content"].is_array();
    let (sent, came) = ("a stream", "a message in one piece");
    (asks_for_stream(pair) && is_message)
        .then(|| Difference::of(Part::Event, THE_ANSWER, sent, came).with_fate(Fate::Changed))
}

/// The words of the error with which the provider ends a stream; empty if it ends otherwise.
pub fn error_within(given: &ProviderReply) -> &str {
    given
        .events
        .last()
        .map_or("", |event| match exception(&event.data) {
            Some(exception) => error_reply::message_of(exception),
            None if is_error(event) => error_reply::message_of(&event.data),
            None => "",
        })
}

fn is_error(event: &SentEvent) -> bool {
    event.data["type"] == "error"
}

/// The names of what a gateway makes of a cut stream. Each has another effect, so each is a finding of its own.
pub(super) const CUT_STREAM: &str = "a cut stream";
pub const CUT_MADE_WHOLE: &str = "a cut stream made whole";
pub const CUT_MADE_ERROR: &str = "a cut stream made an error";
pub const CUT_MADE_END: &str = "a cut stream made an early end";

/// A reply that the provider breaks must break at Claude Code too: with the provider's words, or without an end. Claude Code asks
/// again after a stream that is cut, and not after an `error` event.
fn broken_stream(given: &ProviderReply, back: &GatewayReply) -> Option<Difference> {
    let words = error_within(given);
    if !words.is_empty() {
        return error_in_stream(given, back, words);
    }
    let last = || back.events.last().map_or(Value::Null, |event| event.data.clone());
    let is_stop = |event: &SentEvent| event.data["type"] == "message_stop";
    let (path, came) = match back.events.iter().find(|event| is_error(event)) {
        // Claude Code stops at it, whatever follows.
        Some(error) => {
            let words = clipped(error_reply::message_of(&error.data));
            (CUT_MADE_ERROR, format!("ended by an `error` event: {words}"))
        }
        None if back.cut_off => return None,
        None if back.events.iter().any(is_stop) => (CUT_MADE_WHOLE, "complete".to_owned()),
        // Claude Code does not read an error that is no event.
        None => match untyped_error(&last()) {
            Some(words) => (
                CUT_MADE_END,
                format!("ended by an unread error: {}", clipped(&words)),
            ),
            None => {
                let last = clipped(&last().to_string());
                (CUT_MADE_END, format!("ended without `message_stop`, by {last}"))
            }
        },
    };
    Some(Difference::of(Part::Event, path, "cut off", came).with_fate(Fate::Changed))
}

/// The provider ended a stream with an error of these `words`.
fn error_in_stream(given: &ProviderReply, back: &GatewayReply, words: &str) -> Option<Difference> {
    let is_read = |event: &&SentEvent| is_error(event) || exception(&event.data).is_some();
    let errors: Vec<&Value> = (back.events.iter().filter(is_read))
        .map(|event| &event.data)
        .collect();
    // Claude Code stops at the first.
    let Some(error) = errors.first() else {
        let last = back.events.last().filter(|last| holds(&last.data, words));
        let came = last.map(|last| format!("no error event: {}", clipped(&last.data.to_string())));
        return Some(Difference::of(Part::Error, STREAM_ERROR, words, came).with_fate(Fate::Dropped));
    };
    let kind = |error: &Value| error["error"]["type"].as_str().map(str::to_owned);
    let (old, new) = (kind(&given.events.last()?.data), kind(error));
    if old.is_some() && old != new {
        return Some(Difference::of(
            Part::Error,
            "the type of the stream's error",
            old,
            new,
        ));
    }
    let came = clipped(error_reply::message_of(error));
    (!holds(error, words)).then(|| Difference::of(Part::Error, MESSAGE_OF_STREAM_ERROR, words, came))
}

/// The words of an error that came without the type of an event: as a line of text, or as an object.
fn untyped_error(data: &Value) -> Option<String> {
    let body = match data {
        Value::String(line) => {
            let line = line.trim();
            serde_json::from_str(line.strip_prefix("data:").unwrap_or(line)).ok()?
        }
        Value::Object(body) if !body.contains_key("type") => data.clone(),
        _ => return None,
    };
    let words = error_reply::message_of(&body);
    (!words.is_empty()).then(|| words.to_owned())
}

/// The payload of an exception in Bedrock's stream, which is recorded as a map with its name.
fn exception(event: &Value) -> Option<&Value> {
    let (name, payload) = event.as_object()?.iter().next()?;
    name.ends_with("Exception").then_some(payload)
}

fn content(sent: &Answer, came: &Answer) -> Vec<Difference> {
    let [old, new] = [sent, came].map(|answer| answer.content.iter().map(in_json).collect::<Vec<_>>());
    let [before, after] = [&old, &new].map(|blocks| blocks.iter().map(|(kind, _)| kind.clone()).collect());
    let compare = |index: usize, (kind, before): &(String, Value), after: &Value| {
        within_block(&format!("content[{index}] ({kind})"), before, after)
    };
    match before == after {
        true => {
            let pairs = old.iter().zip(&new).enumerate();
            pairs
                .flat_map(|(index, (old, (_, new)))| compare(index, old, new))
                .collect()
        }
        false => outline(&old, new, before, after, compare),
    }
}

/// The kinds of blocks that were lost, replaced or added, once each, and the differences within the blocks that remain.
fn outline(
    old: &[(String, Value)],
    mut gained: Vec<(String, Value)>,
    before: Vec<String>,
    after: Vec<String>,
    compare: impl Fn(usize, &(String, Value), &Value) -> Vec<Difference>,
) -> Vec<Difference> {
    let mut rest: Vec<_> = old.iter().enumerate().collect();
    // An equal block is the same one; then the next of the same kind is.
    rest.retain(|(_, block)| take_first(&mut gained, |new| new == *block).is_none());
    let mut within = Vec::new();
    rest.retain(|(index, block)| {
        let same = take_first(&mut gained, |new| new.0 == block.0);
        within.extend(same.iter().flat_map(|(_, new)| compare(*index, block, new)));
        same.is_none()
    });
    if rest.is_empty() && gained.is_empty() {
        let moved = Difference::of(Part::Block, "content", before, after).with_fate(Fate::Moved);
        return [vec![moved], within].concat();
    }
    let lost: Vec<_> = rest.into_iter().map(|(_, block)| block.clone()).collect();
    // A block that another one replaced is shown with its type.
    let whole = |(kind, content): &(String, Value)| {
        let mut fields = Map::from_iter([("type".to_owned(), json!(kind))]);
        fields.extend(content.as_object().cloned().unwrap_or_default());
        Value::Object(fields)
    };
    let named = if lost.is_empty() { &gained } else { &lost };
    let mut kinds = HashSet::new();
    let first_of_kind = named.iter().filter(|(kind, _)| kinds.insert(kind));
    let outlines = first_of_kind.map(|block| {
        let (before, after) = match (lost.is_empty(), gained.first()) {
            (true, _) => (Value::Null, block.1.clone()),
            (false, None) => (block.1.clone(), Value::Null),
            (false, Some(new)) => (whole(block), whole(new)),
        };
        Difference::of(Part::Block, format!("content ({})", block.0), before, after)
    });
    outlines.chain(within).collect()
}

fn take_first<T>(values: &mut Vec<T>, is_wanted: impl Fn(&T) -> bool) -> Option<T> {
    values
        .iter()
        .position(is_wanted)
        .map(|index| values.remove(index))
}

/// The block's type and content.
fn in_json(block: &AnswerBlock) -> (String, Value) {
    let (kind, value) = match block {
        AnswerBlock::Text(text) => ("text", json!({"text": text})),
        AnswerBlock::Thinking { thinking, signature } => {
            let signature = Some(signature).filter(|text| !text.is_empty());
            ("thinking", json!({"thinking": thinking, "signature": signature}))
        }
        AnswerBlock::RedactedThinking(data) => ("redacted_thinking", json!({"data": data})),
        AnswerBlock::ToolUse { id, name, input } => {
            ("tool_use", json!({"id": id, "name": name, "input": input}))
        }
        AnswerBlock::Other(value) => {
            let mut content = value.clone();
            content.as_object_mut().map(|fields| fields.shift_remove("type"));
            (value["type"].as_str().unwrap_or("unknown"), content)
        }
    };
    (kind.to_owned(), value)
}

fn stop_reason(sent: &Answer, came: &Answer) -> Option<Difference> {
    let (before, after) = (&sent.stop_reason, &came.stop_reason);
    // What a gateway does to one reason says nothing about the others.
    let reason = before.as_deref().unwrap_or("none");
    (before != after).then(|| Difference::of(Part::StopReason, reason, before.clone(), after.clone()))
}

/// Counts the events of a stream that are no deltas: one frame per block.
fn lost_events(back: &GatewayReply, sent: &Answer, came: &Answer) -> Vec<Difference> {
    // A block whose start was lost still has its deltas. More indexes than blocks are wrong indexes.
    let named = back
        .events
        .iter()
        .filter_map(|event| event.data["index"].as_u64());
    let named = named.collect::<BTreeSet<_>>().len();
    // A second start of the same block is no other block.
    let is_start = |event: &SentEvent| event.data["type"] == "content_block_start";
    let is_again = |pair: &&[SentEvent]| is_start(&pair[0]) && pair[0].data == pair[1].data;
    let again = back.events.windows(2).filter(is_again).count();
    let blocks = (came.content.len().saturating_sub(again)).max(named.min(sent.content.len()));
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
    let counted = |(kind, wanted)| count(kind, wanted, of_type(kind));
    frame.into_iter().filter_map(counted).collect()
}

/// Several pings in a row keep a silent stream alive; Claude Code gives it up after a silence of five minutes
/// (<https://code.claude.com/docs/en/llm-gateway-protocol#streaming>). A gateway may replace them with others of its own.
fn pings(given: &[SentEvent], came: &[SentEvent]) -> Option<Difference> {
    let is_ping = |event: &SentEvent| event.data["type"] == "ping";
    let in_silence = |events: &[SentEvent]| {
        let content = events
            .iter()
            .position(|event| deltas::delta(&event.data).is_some());
        let rest = &events[content.unwrap_or(events.len())..];
        rest.iter().filter(|event| is_ping(event)).count()
    };
    let has_silence = given.windows(2).any(|pair| pair.iter().all(is_ping));
    let (sent, came) = (in_silence(given), in_silence(came));
    (has_silence && sent > 0 && came == 0)
        .then(|| Difference::of(Part::Event, "pings of a silence", sent, came).with_fate(Fate::Dropped))
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

/// Events of unknown types that the provider did not send, errors, and texts that are no events.
fn unknown_events(given: &ProviderReply, back: &GatewayReply) -> Vec<Difference> {
    let is_sent = |kind: &str| given.events.iter().any(|sent| sent.data["type"] == kind);
    let is_known = |event: &SentEvent| match event.data["type"].as_str() {
        Some(kind) => EVENTS.contains(&kind) || is_sent(kind),
        // Empty lines between events are allowed.
        None => event.data.as_str().is_some_and(|text| text.trim().is_empty()),
    };
    let unknown = (back.events.iter())
        .filter(|event| is_error(event) || (!is_known(event) && broken::unreadable(event).is_none()));
    let mut kinds = BTreeSet::new();
    unknown
        .map(|event| {
            let kind = match untyped_error(&event.data) {
                Some(_) => ERROR,
                None => event.data["type"].as_str().unwrap_or("without a type"),
            };
            Difference::of(Part::Event, kind, Value::Null, event.data.clone())
        })
        .filter(|event| event.path == ERROR || kinds.insert(event.path.clone()))
        .collect()
}

fn count(kind: &str, wanted: usize, found: usize) -> Option<Difference> {
    let fate = match found.cmp(&wanted) {
        Ordering::Equal => return None,
        Ordering::Less => Fate::Dropped,
        Ordering::Greater => Fate::Repeated,
    };
    Some(Difference::of(Part::Event, kind, wanted, found).with_fate(fate))
}
