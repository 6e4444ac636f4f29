//! One request that passed the relay in front of the gateway, and what came back for it: the unit of evidence on
//! Claude Code's side of the wire.
//!
//! Pure data, serialized a line each into `sent.jsonl`. It is told apart from an [`super::exchange::Exchange`] only by
//! what a relay cannot know: why the answer is what it is. Credentials are redacted before a passage is made.

use serde::{Deserialize, Serialize};

use super::Operation;
use super::exchange::{Request, SentEvent};

/// A request to the gateway and the gateway's reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passage {
    /// Its place among the passages of its trial, from 1.
    pub number: usize,
    /// Which Messages request of its trial this is, from 1; `None` for every other operation.
    pub turn: Option<usize>,
    pub operation: Operation,
    /// The request as it was sent to the gateway.
    pub request: Request,
    /// `None` if the client closed the connection before a reply.
    pub reply: Option<PassedReply>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassedReply {
    /// Milliseconds since the Unix epoch at which its head came.
    pub at_ms: u64,
    pub status: u16,
    /// Names in lower case, in the order of arrival; credentials read `[redacted, N bytes]`.
    pub headers: Vec<(String, String)>,
    /// Whether it came as a stream of events.
    pub stream: bool,
    /// The events of a stream as they came, or the one body of another reply: JSON, or its text as a JSON string;
    /// none for an empty body.
    pub events: Vec<SentEvent>,
    /// Whether it is incomplete, because the gateway or the client closed the connection.
    pub cut_off: bool,
}

impl PassedReply {
    /// The first value of header `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}
