//! Amazon's binary event stream (`application/vnd.amazon.eventstream`), with the headers that Bedrock uses.

use aws_smithy_eventstream::error::Error;
use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use serde_json::Value;

/// The content type of a stream of frames.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Length, checksum or header encoding is wrong.
    #[error("not a valid event-stream frame: {0}")]
    Frame(#[from] Error),
    #[error("the payload of an event-stream frame is not JSON: {0}")]
    Payload(#[from] serde_json::Error),
}

pub fn encode(event_type: &str, payload: &Value) -> Result<Vec<u8>, FrameError> {
    frame("event", event_type, payload)
}

/// An error within a stream. Its headers are those of
/// <https://smithy.io/2.0/aws/amazon-eventstream.html#exception-message>.
pub fn exception(name: &str, payload: &Value) -> Result<Vec<u8>, FrameError> {
    frame("exception", name, payload)
}

fn frame(message_type: &str, name: &str, payload: &Value) -> Result<Vec<u8>, FrameError> {
    let message = Message::new(payload.to_string().into_bytes())
        .add_header(header(&format!(":{message_type}-type"), name))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", message_type));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes)?;
    Ok(bytes)
}

fn header(name: &str, value: &str) -> Header {
    Header::new(name.to_owned(), HeaderValue::String(value.to_owned().into()))
}

/// The events of a whole stream: type and payload of each. An exception is an event of its own type.
pub fn decode(mut bytes: &[u8]) -> Result<Vec<(String, Value)>, FrameError> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let message = read_message_from(&mut bytes)?;
        let event_type = message
            .headers()
            .iter()
            .find(|header| [":event-type", ":exception-type"].contains(&header.name().as_str()))
            .and_then(|header| header.value().as_string().ok())
            .map_or("", |value| value.as_str());
        events.push((event_type.to_owned(), serde_json::from_slice(message.payload())?));
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_flipped_bit_is_an_error() {
        let payload = json!({"role": "assistant"});
        let mut bytes = encode("messageStart", &payload).unwrap();
        assert_eq!(decode(&bytes).unwrap(), [("messageStart".to_owned(), payload)]);
        let last = bytes.len() - 6;
        bytes[last] ^= 1;
        assert!(decode(&bytes).is_err());
    }
}
