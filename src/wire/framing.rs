//! A streamed body as events, whichever way it is framed, and events as bytes again.
//!
//! Pure. Bytes go in as they come, events come out as soon as they are whole, each with its own bytes: what is not
//! changed is passed on as it was.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{event_stream, sse};

/// How a body frames its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    ServerSentEvents,
    /// Amazon's event stream; InvokeModel's `chunk` events hold a Messages API event each, Converse's are
    /// themselves the events.
    EventStream,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `message_start`, `contentBlockDelta`, …; of a server-sent event the `type` of its data, where it has one.
    pub name: String,
    /// What it says; a text that is no JSON as a JSON string, null for a comment.
    pub data: Value,
    pub bytes: Bytes,
}

impl Framing {
    /// The framing that goes with a content type, if it is one of a stream.
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

    /// Reads the first event of `bytes`, if it is whole: it and its length.
    fn read(self, bytes: &[u8]) -> Option<(Event, usize)> {
        match self {
            Self::ServerSentEvents => read_server_sent(bytes),
            Self::EventStream => read_frame(bytes),
        }
    }
}

#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    rest: Vec<u8>,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            rest: Vec::new(),
        }
    }

    /// The events that are whole now that `bytes` have come.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut start = 0;
        while let Some((event, length)) = self.framing.read(&self.rest[start..]) {
            events.push(event);
            start += length;
        }
        self.rest.drain(..start);
        events
    }

    /// What is left at the end of the stream: nothing, unless it was cut off.
    pub fn finish(self) -> Bytes {
        self.rest.into()
    }
}

fn read_server_sent(bytes: &[u8]) -> Option<(Event, usize)> {
    let end = (0..bytes.len()).find_map(|at| {
        [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"]
            .iter()
            .find(|separator| bytes[at..].starts_with(separator))
            .map(|separator| at + separator.len())
    })?;
    let (name, text) = sse::decode(&String::from_utf8_lossy(&bytes[..end]))
        .pop()
        .unwrap_or_default();
    let data = match text.is_empty() {
        true => Value::Null,
        false => serde_json::from_str(&text).unwrap_or(Value::String(text)),
    };
    Some((
        Event {
            name: data["type"].as_str().map_or(name, str::to_owned),
            data,
            bytes: Bytes::copy_from_slice(&bytes[..end]),
        },
        end,
    ))
}

/// The first four bytes of a frame are its length. What cannot be read as a frame is passed on as it is.
fn read_frame(bytes: &[u8]) -> Option<(Event, usize)> {
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
        Event {
            name,
            data,
            bytes: Bytes::copy_from_slice(frame),
        },
        length,
    ))
}

fn chunk(payload: &Value) -> Option<Value> {
    let bytes = STANDARD.decode(payload["bytes"].as_str()?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

impl Event {
    /// An event of this name that says `data`, framed. Where Amazon's framing carries Messages API events (which have a
    /// `type`), it is framed as a chunk.
    pub fn new(framing: Framing, name: &str, data: Value) -> Self {
        let bytes = match framing {
            Framing::ServerSentEvents => {
                let text = data.to_string();
                format!("event: {name}\ndata: {text}\n\n").into_bytes()
            }
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_anywhere(framing: Framing, events: &[Event]) {
        let whole: Vec<u8> = events.iter().flat_map(|event| event.bytes.to_vec()).collect();
        for size in [1, 3, 50, whole.len()] {
            let mut decoder = Decoder::new(framing);
            let decoded: Vec<Event> = whole.chunks(size).flat_map(|chunk| decoder.push(chunk)).collect();
            assert_eq!(decoded, events, "{framing:?} in pieces of {size}");
            assert!(decoder.finish().is_empty());
        }
    }

    #[test]
    fn events_come_out_whole_wherever_the_bytes_are_cut() {
        let delta = json!({"type": "content_block_delta", "index": 0, "delta": {"text": "ä\n"}});
        for framing in [Framing::ServerSentEvents, Framing::EventStream] {
            cut_anywhere(
                framing,
                &[
                    Event::new(framing, "message_start", json!({"type": "message_start"})),
                    Event::new(framing, "content_block_delta", delta.clone()),
                ],
            );
        }
        cut_anywhere(
            Framing::EventStream,
            &[Event::new(
                Framing::EventStream,
                "messageStart",
                json!({"role": "assistant"}),
            )],
        );
    }

    #[test]
    fn what_is_cut_off_is_left_over() {
        let mut decoder = Decoder::new(Framing::ServerSentEvents);
        assert!(decoder.push(b"event: ping\ndata: {").is_empty());
        assert_eq!(decoder.finish(), "event: ping\ndata: {");
        let mut decoder = Decoder::new(Framing::ServerSentEvents);
        let comment = decoder.push(b": hello\r\n\r\n");
        assert_eq!((comment.len(), &comment[0].data), (1, &Value::Null));
    }

    #[test]
    fn the_content_type_tells_the_framing() {
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
