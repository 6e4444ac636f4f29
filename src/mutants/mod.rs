//! Mutants: seeded bugs of "the gateway", each a YAML file, applied by the relay before or behind the real one. What a
//! matrix is worth is how many of them turn it red, in the right cells and under the right names.
//!
//! Pure. It reads what a mutant is, changes requests and replies that it is given, and counts who caught it. It never
//! passes anything on itself and never runs a trial.
#![warn(clippy::disallowed_methods)]

mod edit;
pub mod raw;
mod reachability;
mod headers;
mod reply;
mod request;
mod resolve;
pub mod score;
mod stream;

use crate::document::{Place, Query};
use std::fmt;

use regex::Regex;
use serde::Serialize;
use serde_json::Value;

pub use headers::Headers;
pub use reply::{MadeUpReply, ReplyHead};
pub use request::{Fate, PassingRequest};
pub use resolve::{Known, resolve};
pub use stream::{Step, StreamChanger};

use crate::ids::{CellId, FeatureId, ProviderId, TierId};
use crate::wire::Operation;

/// The form of `mutants/<class>/<name>.yaml`.
pub static FORM: std::sync::LazyLock<crate::document::Form> =
    std::sync::LazyLock::new(crate::document::Form::of::<raw::MutantForm>);

/// A mutant's name: its class and its file's stem, `thinking/signature_lost`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MutantName(String);

impl MutantName {
    /// The name of the mutant of `class` in the file `stem.yaml`.
    pub fn new(class: &str, stem: &str) -> Self {
        Self(format!("{class}/{stem}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MutantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A seeded bug.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// Its name.
    pub name: MutantName,
    /// What the gateway does wrong, in a sentence.
    pub description: String,
    /// Public pages that tell of such a bug.
    pub sources: Vec<String>,
    /// Where its file begins.
    pub place: Place,
    /// Which side of the real gateway it is on.
    pub position: Position,
    /// The columns that it is tried in; never empty.
    pub providers: Vec<ProviderId>,
    /// The tier that it is tried on; the run's own if `None`.
    pub tier: Option<TierId>,
    /// Whether it is in the quick subset.
    pub quick: bool,
    /// Which requests it changes.
    pub when: When,
    /// What it does to a request.
    pub request: RequestChange,
    /// What it does to the reply to such a request.
    pub reply: ReplyChange,
    /// The cells that must go red, and the expectations that must say so; never empty.
    pub killed_by: Vec<ExpectedKill>,
}

/// A side of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Between Claude Code and the gateway: the Messages API, whatever the provider is.
    Front,
    /// Between the gateway and the provider: the provider's own API.
    Behind,
}

/// Which requests a mutant changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct When {
    /// The kind; `None` for Messages requests.
    pub operation: Option<Operation>,
    /// Which of its kind in the trial, from 1; `None` for each.
    pub turn: Option<usize>,
    /// Whether it asks for a stream.
    pub stream: Option<bool>,
    /// What its body must hold.
    pub body: Option<Query>,
    /// What status the reply must have, for the reply to be changed.
    pub replied: Option<Replied>,
}

/// A class of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Replied {
    /// Status below 400.
    Success,
    /// Status 400 and above.
    Error,
}

/// What a mutant does to a request.
#[derive(Clone, Debug, Default)]
pub struct RequestChange {
    /// To its headers.
    pub headers: Vec<HeaderEdit>,
    /// To its JSON body.
    pub body: Vec<Edit>,
    /// To its path and query: what is found, and what stands there instead.
    pub path: Option<(Regex, String)>,
    /// Milliseconds that it is held back.
    pub delay_ms: u64,
    /// Whether it is sent a second time, whose reply nobody reads.
    pub send_twice: bool,
    /// What is answered instead of passing it on.
    pub answer: Option<MadeUpReply>,
}

/// What a mutant does to a reply.
#[derive(Clone, Debug, Default)]
pub struct ReplyChange {
    /// The status that it gets.
    pub status: Option<u16>,
    /// To its headers.
    pub headers: Vec<HeaderEdit>,
    /// To its JSON body, if it is not streamed.
    pub body: Vec<Edit>,
    /// To the events of its stream, in order.
    pub events: Vec<EventChange>,
    /// Milliseconds that it is held back from its beginning.
    pub delay_ms: u64,
    /// Whether it is held back until it is whole.
    pub buffer: bool,
    /// Bytes in each piece that a body is sent in, whatever its events are.
    pub chunk_bytes: Option<usize>,
    /// What is answered instead.
    pub answer: Option<MadeUpReply>,
}

/// What a mutant does to some events of a stream.
#[derive(Clone, Debug)]
pub struct EventChange {
    /// Their name; `None` for any.
    pub name: Option<String>,
    /// What their data must hold.
    pub filter: Option<Query>,
    /// Which of them, from 1; `None` for each.
    pub nth: Option<usize>,
    /// What is done to them.
    pub action: EventAction,
}

/// What is done to an event.
#[derive(Clone, Debug)]
pub enum EventAction {
    /// It is not passed on.
    Drop,
    /// It is passed on twice.
    Duplicate,
    /// Its data is changed.
    Edit(Vec<Edit>),
    /// It gets another name (and `type`).
    Rename(String),
    /// It comes in two halves, each an event of its own. Only server-sent events are split.
    Split,
    /// It and those like it that follow directly become one, their texts joined.
    Merge,
    /// It is held back until an event comes that is not like it.
    Hold,
    /// It changes places with the next one.
    SwapWithNext,
    /// It is passed on at the end of the stream.
    MoveToEnd,
    /// Another event comes before it: name and data.
    InsertBefore(String, Value),
    /// Another event comes after it: name and data.
    InsertAfter(String, Value),
    /// It is held back for so many milliseconds.
    Delay(u64),
    /// The connection breaks before it.
    CutBefore,
    /// The connection breaks after it.
    CutAfter,
    /// The stream ends, properly, before it.
    EndBefore,
    /// The stream ends, properly, after it.
    EndAfter,
}

/// A change of headers; names are in lower case.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderEdit {
    /// It is left out.
    Drop(String),
    /// It has this value, whether it was there or not.
    Set(String, String),
    /// It has another name.
    Rename(String, String),
    /// An entry is left out of its comma-separated list.
    DropEntry(String, Regexp),
    /// An entry is added to its comma-separated list.
    AddEntry(String, String),
}

/// A regular expression that can be compared by its text.
#[derive(Clone, Debug)]
pub struct Regexp(pub Regex);

impl PartialEq for Regexp {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// A change of a JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// The values found are left out.
    Drop(Query),
    /// The values found are replaced.
    Set(Query, Value),
    /// The values found get an entry: a map under a key, a list at its end or beginning.
    Add {
        /// The maps or lists.
        to: Query,
        /// The key, for maps; one that is there is replaced.
        key: Option<String>,
        /// The entry.
        value: Value,
        /// At the beginning of a list.
        first: bool,
    },
    /// The keys of the values found are replaced.
    Rename(Query, String),
    /// The lists found are turned round.
    Reverse(Query),
    /// The list entries found stand there twice.
    Duplicate(Query),
    /// The values found are taken out and added to a list.
    Move {
        /// What is moved.
        from: Query,
        /// The list.
        to: Query,
        /// To its beginning.
        first: bool,
    },
    /// In the texts found, what a regular expression finds is replaced.
    ReplaceText(Query, Regexp, String),
}

/// Cells that must go red because of a mutant, and the expectation that must not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedKill {
    /// The row; `None` for any.
    pub feature: Option<FeatureId>,
    /// The column; `None` for any that the mutant is tried in.
    pub provider: Option<ProviderId>,
    /// The expectation's name.
    pub expectation: String,
    /// Where it stands.
    pub place: Place,
}

impl ExpectedKill {
    /// Whether it is about `cell`.
    pub fn names(&self, cell: &CellId) -> bool {
        self.feature
            .as_ref()
            .is_none_or(|feature| *feature == cell.feature)
            && self
                .provider
                .as_ref()
                .is_none_or(|provider| *provider == cell.provider)
    }
}
