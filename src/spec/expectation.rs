//! What a cell expects, checked: of what Claude Code printed, and of what reached the provider.

use std::path::PathBuf;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::ids::TierId;
use crate::wire::{Operation, Route};
use crate::wire_diff::Direction;

/// The name under which it is judged that `claude` came to an answer at all.
pub const RUN: &str = "run";
/// The name under which it is judged that every line of the transcript can be read and its streams are whole.
pub const TRANSCRIPT: &str = "transcript";
/// The name under which it is judged that the provider had an answer to every request.
pub const UNMATCHED: &str = "unmatched_requests";

/// The name under which it is judged that `claude` did not have to ask for less than it wanted.
pub const WORKAROUNDS: &str = "workarounds";

/// What is expected of every trial, whatever its cell says; a cell's known failures may name these too.
pub const IMPLIED: [&str; 4] = [RUN, TRANSCRIPT, WORKAROUNDS, UNMATCHED];

#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Its name in the cell's `expect`: what reports, known failures and mutants call it by.
    pub name: String,
    pub place: Place,
    /// The tiers it is for; `None` for all.
    pub tiers: Option<Vec<TierId>>,
    /// The clause of the gateway contract it rests on (`llm-gateway-protocol#request-headers`).
    pub clause: Option<String>,
    /// Whether it is about what Claude Code says to a gateway alone: not judged without one.
    pub needs_gateway: bool,
    pub check: Check,
    /// That it is known not to hold.
    pub known_failure: Option<KnownFailure>,
}

impl Expectation {
    pub fn applies_to(&self, tier: &TierId) -> bool {
        self.tiers.as_ref().is_none_or(|tiers| tiers.contains(tier))
    }
}

/// A place in a file of the project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The file, relative to the project's root.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
}

/// A declared fault of the pinned gateway or CLI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFailure {
    pub reason: String,
    /// A public page that says so.
    pub link: String,
    /// The tiers it fails on; `None` for all.
    pub tiers: Option<Vec<TierId>>,
    pub place: Place,
}

impl KnownFailure {
    /// Whether it is declared for `tier`.
    pub fn applies_to(&self, tier: &TierId) -> bool {
        self.tiers.as_ref().is_none_or(|tiers| tiers.contains(tier))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// The final text that `claude` printed (of the last prompt).
    Text(Matcher),
    ToolCall {
        name: String,
        input: Vec<(String, Matcher)>,
    },
    /// `claude` ran a tool and got a result.
    ToolResult {
        name: String,
        text: Option<Matcher>,
        is_error: Option<bool>,
    },
    /// A thinking block came back. In a simulated run its text and signature must also be those that the
    /// provider sent.
    Thinking {
        text: Option<Matcher>,
    },
    Stream {
        text_deltas: Option<u64>,
        input_deltas: Option<u64>,
        /// The deltas arrived as the provider sent them, not in one burst at the end. Simulated: by lockstep;
        /// live: the first and the last are at least [`LIVE_SPREAD_MS`] apart, except where `input_deltas` alone
        /// are asked for: a provider may itself hold back a tool's arguments until they are whole.
        incremental: bool,
    },
    Usage {
        /// Of which answer, from 1; `None` for the whole run.
        turn: Option<usize>,
        /// Each count's name (`cache_read_input_tokens`) and what it must be.
        counts: Vec<(String, CountMatcher)>,
    },
    /// The stop reason that `claude` saw.
    StopReason {
        /// Of which answer, from 1; `None` for the last.
        turn: Option<usize>,
        value: Matcher,
    },
    Exit(i32),
    /// Any event that `claude` printed: the JSONPath is applied to the array of all events.
    Event {
        path: Query,
        /// What one of the nodes found must be.
        value: Matcher,
    },
    /// The answer to the cell's direct request.
    DirectReply {
        status: u16,
        body: Vec<(Query, Matcher)>,
    },
    /// The answer to the cell's request for a token count: its status is 200, and the number is this.
    TokenCount(CountMatcher),
    /// How many requests of a kind reached the provider.
    Requests {
        operation: Operation,
        count: u64,
    },
    /// A request that reached the provider.
    Request(RequestCheck),
    /// The images that the provider decoded are those of the prompt, byte for byte.
    ImageArrived {
        turn: Turn,
    },
    /// The documents that the provider received are those of the prompt, byte for byte.
    DocumentArrived {
        turn: Turn,
    },
    /// A tool's result came back to the provider, answering the very call that the provider made.
    ToolResultArrived {
        turn: Turn,
        name: String,
        text: Option<Matcher>,
        /// Whether the result is an error.
        is_error: bool,
    },
    /// The thinking blocks that the provider sent came back unmodified, at the head of their message.
    ThinkingArrived {
        turn: Turn,
    },
    /// Cache breakpoints reached the provider, and what its cache made of them.
    Cache {
        turn: Turn,
        /// Least number of breakpoints (`cache_control`, or `cachePoint` on Converse).
        breakpoints: Option<u64>,
        created_tokens: Option<u64>,
        read_tokens: Option<u64>,
    },
    /// What went into the gateway came out as it was, but for what every gateway may change.
    Unchanged {
        way: Direction,
        /// What the pinned gateway is known to change, by the name that the wire diff has for it.
        except: Vec<(String, KnownFailure)>,
    },
    /// What is still to be written; never holds.
    Todo(String),
}

/// Least time in milliseconds between the first and the last delta of a live stream that is not buffered:
/// a model takes longer for the answers that streaming cells ask for, a burst is over in a tenth of it.
pub const LIVE_SPREAD_MS: u64 = 100;

impl Check {
    /// Whether it is about what reached the provider: not to be judged in a live run.
    pub fn is_provider_side(&self) -> bool {
        matches!(
            self,
            Self::Requests { .. }
                | Self::Request(_)
                | Self::ImageArrived { .. }
                | Self::DocumentArrived { .. }
                | Self::ToolResultArrived { .. }
                | Self::ThinkingArrived { .. }
                | Self::Cache { .. }
                | Self::Unchanged { .. }
        )
    }
}

/// What a request at the provider must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestCheck {
    pub turn: Turn,
    /// The kind of request; `Messages` unless the cell says otherwise.
    pub operation: Operation,
    pub route: Option<Route>,
    /// Whether it asks for a stream.
    pub stream: Option<bool>,
    /// The model, as the body or the path names it.
    pub model: Option<Matcher>,
    /// Headers, by name in lower case. A header sent twice counts as its values joined by `,`.
    pub headers: Vec<(String, Matcher)>,
    /// The body as the provider received it.
    pub body: Vec<(Query, Matcher)>,
}

/// Which request of a trial, among those of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The n-th, from 1.
    Number(usize),
    /// Each of them (and there is at least one).
    Every,
    Last,
}

/// A JSONPath (RFC 9535) and the text it was written as.
#[derive(Clone, Debug)]
pub struct Query {
    pub text: String,
    pub path: JsonPath,
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// What a value must be: all the conditions that are given hold, and at least one is given. For a JSONPath
/// that finds several nodes, one of them must fulfil all conditions, except that `not_contains` must hold for
/// each, and `exists: false` demands that there is none.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    pub equals: Option<Value>,
    pub one_of: Option<Vec<Value>>,
    /// A text (or the JSON text of another value) that holds this.
    pub contains: Option<String>,
    /// A text (or the JSON text of another value) that does not hold this.
    pub not_contains: Option<String>,
    /// A text (or the JSON text of another value) in which this regex finds something.
    pub matches: Option<Regex>,
    /// There is a value at all, or there is none.
    pub exists: Option<bool>,
    /// A number of at least this.
    pub min: Option<f64>,
    /// A number of at most this.
    pub max: Option<f64>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

/// What a token count must be; at least one condition is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountMatcher {
    pub min: Option<u64>,
    pub max: Option<u64>,
    /// Exactly what the provider reported (not judged in a live run).
    pub as_provider: bool,
}
