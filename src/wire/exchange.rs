//! One request that reached a provider and the reply it got, recorded: the unit of evidence on the
//! provider's side.
//!
//! Pure data, serialized a line each into `exchanges.jsonl`. Credentials are redacted before an exchange is made:
//! header values of `authorization`, `x-api-key` and the like never stand in one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::MessageRequest;
use super::{Operation, Route, Usage};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// Its place among the exchanges of its trial, from 1.
    pub number: usize,
    /// Which Messages request of its trial this is, from 1; `None` for every other operation.
    pub turn: Option<usize>,
    /// The route, where the path belongs to one.
    pub route: Option<Route>,
    pub operation: Operation,
    pub request: Request,
    /// The request as a model sees it, where it could be read as one.
    pub message: Option<MessageRequest>,
    pub matched: Matched,
    pub reply: SentReply,
}

/// An HTTP request as it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Milliseconds since the Unix epoch at which its body was complete.
    pub at_ms: u64,
    pub method: String,
    pub path: String,
    /// The query, without `?`; empty when there is none.
    pub query: String,
    /// Names in lower case, in the order of arrival; credentials read `[redacted, N bytes]`.
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

impl Request {
    /// The path with its query.
    pub fn target(&self) -> String {
        match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }

    /// The values of header `name` (lower case).
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    Json(Value),
    /// Not JSON: the text, with bytes that are not UTF-8 replaced.
    Text(String),
    Empty,
}

impl Body {
    /// The JSON value, if it is one.
    pub fn json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matched {
    /// The reply that the cell's script has for this turn (from 1).
    Script {
        /// Place in the script, from 1.
        reply: usize,
    },
    /// An answer that needs no script: a token count, an access token, a standalone server's default reply.
    BuiltIn,
    /// The request broke one of the provider's rules.
    Rejected {
        rule: String,
    },
    Unmatched {
        why: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentReply {
    pub status: u16,
    /// Names in lower case, without the headers of the connection; empty in older evidence.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    pub stream: bool,
    /// The events of a streamed reply as they were sent, or the one JSON body of another, in the
    /// provider's own form before framing.
    pub events: Vec<SentEvent>,
    /// The message sent, in the Messages API's form (`content`, `stop_reason`, …); `None` for an error.
    pub message: Option<Value>,
    /// The counts that the reply reports; zero for an error.
    pub usage: Usage,
    /// How a lockstep stream went; `None` for any other.
    pub lockstep: Option<Lockstep>,
    /// Whether the client closed the connection before the end of the reply.
    pub cut_off: bool,
}

/// A body or stream event that was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentEvent {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub data: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lockstep {
    /// Content deltas that the stream has.
    pub deltas: usize,
    /// How many of them the client showed before the next one was sent. A gateway that does not buffer shows all but the
    /// last.
    pub seen: usize,
}

impl Lockstep {
    /// Whether a delta did not show before the next one was due. The last delta does not count.
    pub fn is_held_back(self) -> bool {
        self.seen + 1 < self.deltas
    }
}
