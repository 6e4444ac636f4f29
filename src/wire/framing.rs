//! Splits a streamed body into events, and writes events as bytes.
//!
//! Each event keeps its own bytes, so an unchanged event passes on unchanged.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{event_stream, sse};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    ServerSentEvents,
    /// Amazon's event stream. InvokeModel wraps each Messages API event in a `chunk` event; Converse does not.
    EventStream,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FramedEvent {
    /// `message_start`, `contentBlockDelta`, …; of a server-sent event the `type` of its data, where it has one.
    pub name: String,
    /// JSON; a JSON string if the text is not JSON; null for a comment.
    pub data: Value,
    pub bytes: Bytes,
    /// Whether Claude Code can read it. It ignores a server-sent event without data, or without a known `event:` line,
    /// whatever the `type` of its data (measured with 2.1.327). It stops at data that is no JSON.
    pub is_read: bool,
}

/// The `event:` lines of the events that Claude Code reads; it takes their kind from the data. Of a `ping` it reads nothing.
pub const READ_EVENTS: [&str; 8] = [
    "message_start",
    "message_delta",
    "message_stop",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message",
    "error",
];

impl Framing {
    /// The framing of a content type; `None` for a body that is no stream.
    pub fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("text/event-stream") {
            Some(Self::ServerSentEvents)
        } else if essence.eq_ignore_ascii_case(event_stream::CONTENT_TYPE) {
            Some(Self::EventStream)
        } else {
            None
        }
    }
}

#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    rest: Vec<u8>,
    /// How many bytes of `rest` have no end of an event before them.
    searched: usize,
    /// Whether the stream's first event is still to come. A byte order mark may precede it.
    at_start: bool,
}

impl Decoder {
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            rest: Vec::new(),
            searched: 0,
            at_start: true,
        }
    }

    /// Adds `bytes`, and returns the events that are now complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<FramedEvent> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut start = 0;
        while let Some((event, length)) = self.read(start) {
            events.push(event);
            start += length;
            self.searched = start;
            self.at_start = false;
        }
        self.rest.drain(..start);
        // The end of an event may come in two pieces.
        self.searched = self.rest.len().saturating_sub(LONGEST_SEPARATOR - 1);
        events
    }

    /// The event at `start` and its length, if it is complete. A long event in many small pieces is searched once, not at each
    /// piece.
    fn read(&self, start: usize) -> Option<(FramedEvent, usize)> {
        match self.framing {
            Framing::ServerSentEvents => {
                let end = self.searched + end_of_event(&self.rest[self.searched..])?;
                Some((server_sent(&self.rest[start..end], self.at_start), end - start))
            }
            Framing::EventStream => read_frame(&self.rest[start..]),
        }
    }

    /// The bytes after the last complete event; empty unless the stream was cut off.
    pub fn finish(self) -> Bytes {
        self.rest.into()
    }
}

/// What ends a server-sent event.
const SEPARATORS: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];
const LONGEST_SEPARATOR: usize = 4;

fn end_of_event(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len()).find_map(|at| {
        let found = SEPARATORS
            .iter()
            .find(|separator| bytes[at..].starts_with(separator))?;
        Some(at + found.len())
    })
}

/// The event in `bytes`, with its end. Only the first one of a stream may begin with a byte order mark.
fn server_sent(bytes: &[u8], is_first: bool) -> FramedEvent {
    let whole = String::from_utf8_lossy(bytes);
    let text = match whole.strip_prefix(sse::BYTE_ORDER_MARK) {
        Some(text) if is_first => text,
        _ => &whole,
    };
    let Some((name, text)) = sse::decode_part(text).pop() else {
        return without_data(text, bytes);
    };
    let data = match text.is_empty() {
        true => Value::Null,
        false => crate::wire::json::parse(&text).unwrap_or(Value::String(text)),
    };
    // A ping may have any data, or none.
    let is_ping = name == "ping" && (data["type"].is_null() || data["type"] == "ping");
    let data = if is_ping { json!({"type": "ping"}) } else { data };
    FramedEvent {
        is_read: data.is_null() || is_ping || (READ_EVENTS.contains(&name.as_str()) && !data.is_string()),
        name: data["type"].as_str().map_or(name, str::to_owned),
        data,
        bytes: Bytes::copy_from_slice(bytes),
    }
}

/// A comment, or an event of the Messages API without a line that begins with `data:`. Clients ignore such an event.
fn without_data(whole: &str, bytes: &[u8]) -> FramedEvent {
    let names = whole
        .split(['\r', '\n'])
        .filter_map(|line| line.strip_prefix("event:"));
    let name = names.map(str::trim).find(|name| READ_EVENTS.contains(name));
    FramedEvent {
        name: name.unwrap_or_default().to_owned(),
        data: name.map_or(Value::Null, |_| Value::from(whole.trim())),
        bytes: Bytes::copy_from_slice(bytes),
        is_read: name.is_none(),
    }
}

/// The first four bytes of a frame are its length. An invalid frame keeps its bytes.
fn read_frame(bytes: &[u8]) -> Option<(FramedEvent, usize)> {
    let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?.max(4);
    let frame = bytes.get(..length)?;
    let (kind, payload) = event_stream::decode(frame)
        .ok()
        .and_then(|mut events| events.pop())
        .unwrap_or_default();
    let (name, data) = match (kind.as_str(), chunk(&payload)) {
        ("chunk", Some(data)) => (data["type"].as_str().unwrap_or_default().to_owned(), data),
        _ => (kind, payload),
    };
    Some((
        FramedEvent {
            name,
            data,
            bytes: Bytes::copy_from_slice(frame),
            is_read: true,
        },
        length,
    ))
}

fn chunk(payload: &Value) -> Option<Value> {
    let bytes = STANDARD.decode(payload["bytes"].as_str()?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

impl FramedEvent {
    /// Frames `data`. In Amazon's framing a Messages API event (which has a `type`) becomes a `chunk`.
    pub fn new(framing: Framing, name: &str, data: Value) -> Self {
        let bytes = match framing {
            Framing::ServerSentEvents => sse::frame(name, &data.to_string()),
            Framing::EventStream if data.get("type").is_some() => {
                let payload = json!({"bytes": STANDARD.encode(data.to_string())});
                event_stream::encode("chunk", &payload).unwrap_or_default()
            }
            Framing::EventStream => event_stream::encode(name, &data).unwrap_or_default(),
        };
        Self {
            name: name.to_owned(),
            data,
            bytes: bytes.into(),
            is_read: true,
        }
    }

    /// What Claude Code reads: the data, or the whole text of an event that it cannot read.
    pub fn into_read(self) -> Value {
        match self.is_read {
            true => self.data,
            false => Value::String(String::from_utf8_lossy(&self.bytes).trim().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_anywhere(framing: Framing, events: &[FramedEvent]) {
        let whole: Vec<u8> = events.iter().flat_map(|event| event.bytes.to_vec()).collect();
        for size in [1, 3, 50, whole.len()] {
            let mut decoder = Decoder::new(framing);
            let decoded: Vec<FramedEvent> =
                whole.chunks(size).flat_map(|chunk| decoder.push(chunk)).collect();
            assert_eq!(decoded, events, "{framing:?} in pieces of {size}");
            assert!(decoder.finish().is_empty());
        }
    }

    #[test]
    fn events_are_complete_wherever_the_bytes_are_cut() {
        let delta = json!({"type": "content_block_delta", "index": 0, "delta": {"text": "ä\n"}});
        for framing in [Framing::ServerSentEvents, Framing::EventStream] {
            cut_anywhere(
                framing,
                &[
                    FramedEvent::new(framing, "message_start", json!({"type": "message_start"})),
                    FramedEvent::new(framing, "content_block_delta", delta.clone()),
                ],
            );
        }
        cut_anywhere(
            Framing::EventStream,
            &[FramedEvent::new(
                Framing::EventStream,
                "messageStart",
                json!({"role": "assistant"}),
            )],
        );
    }

    #[test]
    fn an_incomplete_event_is_left_over() {
        let mut decoder = Decoder::new(Framing::ServerSentEvents);
        assert!(decoder.push(b"event: ping\ndata: {").is_empty());
        assert_eq!(decoder.finish(), "event: ping\ndata: {");
        let mut decoder = Decoder::new(Framing::ServerSentEvents);
        let comment = decoder.push(b": hello\r\n\r\n");
        assert_eq!((comment.len(), &comment[0].data), (1, &Value::Null));
    }

    #[test]
    fn only_events_with_a_known_event_line_are_read() {
        let delta = r#"{"type":"content_block_delta"}"#;
        let ping = "event: ping\ndata: {\"type\":\"ping\"}";
        let read = |text: &str| {
            let mut decoder = Decoder::new(Framing::ServerSentEvents);
            decoder
                .push(format!("{text}\n\n").as_bytes())
                .remove(0)
                .into_read()
        };
        for name in ["content_block_delta", "message_delta", "message"] {
            let event = format!("event: {name}\ndata: {delta}");
            assert_eq!(read(&event), json!({"type": "content_block_delta"}), "{event}");
        }
        for line in ["", "event: ping\n", "event: delta\n"] {
            let event = format!("{line}data: {delta}");
            assert_eq!(read(&event), json!(event), "{event}");
        }
        assert_eq!(read(ping), json!({"type": "ping"}));
        assert_eq!(read("event: ping\ndata: {}"), json!({"type": "ping"}));
        assert_eq!(read(": keep-alive"), Value::Null);
        for event in [
            format!("event: content_block_delta\nData: {delta}"),
            format!("event: content_block_delta\ndata: {}", &delta[..20]),
            format!("event: content_block_delta\ndata: {delta}\nevent: message_stop\ndata: {delta}"),
        ] {
            assert_eq!(read(&event), json!(event));
        }
    }

    #[test]
    fn a_byte_order_mark_may_only_begin_a_stream() {
        let event = "data: {\"type\":\"message_start\"}\nevent: message_start\nid: 1\nretry: 3000\n\n";
        let stream = format!("{}{event}", sse::BYTE_ORDER_MARK);
        let start = json!({"type": "message_start"});
        for size in [1, 2, stream.len()] {
            let mut decoder = Decoder::new(Framing::ServerSentEvents);
            let pieces = stream.as_bytes().chunks(size);
            let mut events: Vec<FramedEvent> = pieces.flat_map(|piece| decoder.push(piece)).collect();
            assert_eq!(events[0].bytes, stream, "the mark passes on");
            assert_eq!(events.remove(0).into_read(), start);
            assert_ne!(decoder.push(stream.as_bytes()).remove(0).into_read(), start);
        }
        assert_eq!(sse::decode(&stream)[0].0, "message_start");
    }

    #[test]
    fn half_a_character_does_not_make_an_event_unreadable() {
        let mut decoder = Decoder::new(Framing::ServerSentEvents);
        let event = br#"event: content_block_delta
data: {"type": "content_block_delta", "delta": {"text": "\ud83d"}}

"#;
        let data = &decoder.push(event)[0].data;
        assert_eq!(
            crate::wire::json::joined(data["delta"]["text"].as_str().unwrap()),
            "\u{fffd}"
        );
    }

    #[test]
    fn the_content_type_decides_the_framing() {
        assert_eq!(
            Framing::of("Text/Event-Stream; charset=utf-8"),
            Some(Framing::ServerSentEvents)
        );
        assert_eq!(
            Framing::of("application/vnd.amazon.eventstream"),
            Some(Framing::EventStream)
        );
        assert_eq!(Framing::of("application/json"), None);
    }
}
