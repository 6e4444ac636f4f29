//! Recorded exchanges: a request and its reply, in front of the gateway or at the provider.
//!
//! Pure data, serialized as one line each. The recorders redact the values of `authorization`, `x-api-key` and similar
//! headers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::MessageRequest;
use super::place::ProcessingPlace;
use super::{Operation, Route, Usage};

/// A request that the relay in front of the gateway passed on, and the gateway's reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayExchange {
    /// Its position among the gateway exchanges of its trial, from 1.
    pub number: usize,
    /// The number of this Messages request within its trial, from 1; `None` for every other operation.
    pub turn: Option<usize>,
    pub operation: Operation,
    pub request: RecordedRequest,
    /// `None` when the client hung up before a reply came.
    pub reply: Option<GatewayReply>,
}

/// The reply that the relay received from the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayReply {
    /// Milliseconds since the Unix epoch at which its head came.
    pub at_ms: u64,
    /// Milliseconds since the Unix epoch until which the relay held it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at_ms: Option<u64>,
    pub status: u16,
    /// Names in lower case, in the order of arrival; credentials read `[redacted, N bytes]`.
    pub headers: Vec<(String, String)>,
    /// Whether it came as a stream of events.
    pub stream: bool,
    /// The events of a stream, or the single body of another reply, both decoded: JSON, or its text as a JSON string. Empty
    /// for an empty body. An event that Claude Code cannot read is its whole text, whatever its data.
    pub events: Vec<SentEvent>,
    /// Whether it ended early: the gateway or the client closed the connection.
    pub cut_off: bool,
    /// Milliseconds since the Unix epoch at which the gateway ended it. If the gateway did not, then when the client closed the
    /// connection, or the trial ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    /// Why its body does not have the encoding that `content-encoding` claims, or which encoding it has that no header names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong_encoding: Option<String>,
    /// When the gateway or this program waited for a CPU, from the request to the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpu_waits: Vec<CpuWait>,
}

/// A span of time in which processes waited for a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuWait {
    /// Milliseconds since the Unix epoch.
    pub from_ms: u64,
    /// Milliseconds since the Unix epoch.
    pub to_ms: u64,
    pub waited_ms: u64,
}

impl GatewayReply {
    /// The first value of header `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// How many milliseconds between two times may be waits for a CPU.
    pub fn cpu_wait_ms(&self, from_ms: u64, to_ms: u64) -> u64 {
        let waits = self.cpu_waits.iter();
        let within = waits.map(|wait| {
            let common = to_ms.min(wait.to_ms).saturating_sub(from_ms.max(wait.from_ms));
            common.min(wait.waited_ms)
        });
        within.sum()
    }
}

/// A request that reached the provider simulator, and the simulator's reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderExchange {
    /// Its position among the provider exchanges of its trial, from 1.
    pub number: usize,
    /// The number of this Messages request within its trial, from 1; `None` for every other operation.
    pub turn: Option<usize>,
    /// The route, where the path belongs to one.
    pub route: Option<Route>,
    pub operation: Operation,
    /// Whether it came without its trial's key, and its time and its content tell the trial.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keyless: bool,
    /// Where the caller's credential is in the request: `header x-key`, `path`, `query`, `body`. The caller is Claude Code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caller_credential: Vec<String>,
    /// Where the gateway's configuration wants it to be processed.
    #[serde(default, skip_serializing_if = "ProcessingPlace::is_unknown")]
    pub wanted_place: ProcessingPlace,
    pub request: RecordedRequest,
    /// The request as a model sees it, where the simulator could read it as one.
    pub message: Option<MessageRequest>,
    pub matched: Matched,
    pub reply: ProviderReply,
}

impl ProviderExchange {
    /// The first of `later` that ends as this refused request does and that the provider did not refuse: its sender repaired it,
    /// and the conversation went on from there.
    pub fn repetition<'a>(&self, later: &'a [Self]) -> Option<&'a Self> {
        let end = |exchange: &'a Self| {
            exchange
                .message
                .as_ref()?
                .blocks()
                .last()
                .map(|block| &block.content)
        };
        let is_refused = |exchange: &Self| matches!(exchange.matched, Matched::Rejected { .. });
        let own = self.message.as_ref().filter(|_| is_refused(self))?;
        let own = own.blocks().last().copied()?;
        later.iter().find(|other| {
            (other.number > self.number, other.operation) == (true, self.operation)
                && !is_refused(other)
                && end(other) == Some(&own.content)
        })
    }

    pub fn is_sent_again(&self, later: &[Self]) -> bool {
        self.repetition(later).is_some()
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A received HTTP request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedRequest {
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

impl RecordedRequest {
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

    /// Whether the harness itself sent it: a cell's direct request or token count.
    pub fn is_of_harness(&self) -> bool {
        self.header("user-agent").any(|agent| agent == HARNESS_AGENT)
    }
}

/// The beginning of the system prompt of a token count that the harness sends; the trial's key follows.
pub const KEY_OF_COUNT: &str = "Session ";

/// The `user-agent` of the harness's own requests.
pub const HARNESS_AGENT: &str = "compat-matrix";

/// Stands for a body over the provider's limit.
pub const TOO_LARGE: &str = "[too large to record]";

/// Stands for a body of which not all arrived.
pub const BROKEN_OFF: &str = "[broken off]";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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

/// Why the simulator gave its reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matched {
    /// The cell's script has a reply for this turn.
    Script {
        /// Position in the script, from 1.
        reply: usize,
    },
    /// The reply needs no script: a token count, an access token, a standalone server's default reply.
    BuiltIn,
    /// The request broke a provider rule.
    Rejected {
        rule: String,
    },
    Unmatched {
        why: String,
    },
}

/// The reply that the simulator sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderReply {
    pub status: u16,
    /// Names in lower case, without headers of the connection; empty in older evidence.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    pub stream: bool,
    /// The events of a stream, or the single JSON body of another reply, in the provider's own form, before framing.
    pub events: Vec<SentEvent>,
    /// The message sent, in the Messages API's form (`content`, `stop_reason`, …); `None` for an error.
    pub message: Option<Value>,
    /// The counts that the reply reports; zero for an error.
    pub usage: Usage,
    /// Results of a lockstep stream; `None` for any other reply.
    pub lockstep: Option<Lockstep>,
    /// Whether the client hung up before the whole reply was sent.
    pub cut_off: bool,
}

impl ProviderReply {
    /// A reply of which nothing was sent yet.
    pub fn unsent(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            stream: false,
            events: Vec::new(),
            message: None,
            usage: Usage::default(),
            lockstep: None,
            cut_off: true,
        }
    }

    /// Whether it is a whole message, and no error.
    pub fn is_answer(&self) -> bool {
        self.status < 400 && self.message.is_some() && !self.cut_off
    }
}

/// A body or a stream event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SentEvent {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub data: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lockstep {
    /// Content deltas of the stream.
    pub deltas: usize,
    /// How many of them the client showed before the next one was sent. A stream that is not buffered shows all but
    /// the last.
    pub seen: usize,
}

impl Lockstep {
    /// Whether a delta did not show before the next one was due. The last delta has no next one.
    pub fn is_held_back(self) -> bool {
        self.seen + 1 < self.deltas
    }
}
