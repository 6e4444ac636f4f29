//! The wire diff: what became of each request of Claude Code on its way to the provider, and of each reply on its way
//! back, told in the words of the Messages API whichever route it took.
//!
//! Pure. It compares and says what differs; what every gateway may change is filtered by the rules of [`noise`], each
//! with its reason, and counted. Whose fault a difference is, it never says.
#![warn(clippy::disallowed_methods)]

mod conversation;
pub mod noise;
mod pairing;
mod reply;
mod request;
mod wording;
mod values;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::evidence::Evidence;
use crate::wire::exchange::{GatewayExchange, ProviderExchange};
use crate::wire::{Direction, Operation, Route};

pub use pairing::{as_sent, became};
pub use request::arrived_betas;

/// What became of the requests and replies of a trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WireDiff {
    /// What differs and is no noise, in the order of the requests.
    pub changes: Vec<Change>,
    /// How many differences each rule of [`noise`] has filtered.
    pub filtered: BTreeMap<&'static str, usize>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// On which way.
    pub direction: Direction,
    /// What was asked for.
    pub operation: Operation,
    /// Which request of its kind `claude` made, from 1; that of Messages requests is their turn.
    pub turn: usize,
    /// The line in `sent.jsonl`, from 1.
    pub sent: usize,
    /// The line in `exchanges.jsonl`, from 1; `None` where nothing arrived.
    pub exchange: Option<usize>,
    /// The route by which it arrived.
    pub route: Option<Route>,
    /// What differs.
    #[serde(flatten)]
    pub what: Difference,
}

/// What differs: the part, what became of it, and its values on the near and the far side of the gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The kind of thing.
    pub part: Part,
    /// What became of it.
    pub fate: Fate,
    /// Where it is or what it is called: `anthropic-beta`, `thinking.budget_tokens`, `messages[2] user block 0 (text)`.
    pub path: String,
    /// What went in.
    pub before: Option<Value>,
    /// What came out.
    pub after: Option<Value>,
}

/// The kind of thing that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A whole request.
    Request,
    /// The HTTP status.
    Status,
    /// An error's type, message or shape.
    Error,
    /// A block of the system prompt, of a message or of an answer.
    Block,
    /// The signature of a thinking block.
    Signature,
    /// A tool that is offered.
    Tool,
    /// A cache breakpoint.
    Breakpoint,
    /// What a provider caches: a prompt's beginning that was the same in two requests.
    Prefix,
    /// Events of a stream.
    Event,
    /// When the events of a stream come.
    Pace,
    /// A token count.
    Usage,
    /// Why an answer ended.
    StopReason,
    /// A body field.
    Field,
    /// A beta flag.
    Beta,
    /// A header.
    Header,
}

/// What became of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It went in and did not come out.
    Dropped,
    /// It came out and had not gone in.
    Added,
    /// It came out with another value.
    Changed,
    /// It came out at another place.
    Moved,
    /// It came out more than once.
    Repeated,
    /// Several came out as fewer.
    Merged,
    /// It came out as more and smaller ones.
    Split,
    /// It was held back.
    Delayed,
}

impl Difference {
    /// A value that went in as `before` and came out as `after`: the fate is told from which of them there is.
    fn of(part: Part, path: impl Into<String>, before: Option<Value>, after: Option<Value>) -> Self {
        let fate = match (&before, &after) {
            (Some(_), None) => Fate::Dropped,
            (None, Some(_)) => Fate::Added,
            _ => Fate::Changed,
        };
        Self::with_fate(part, fate, path, before, after)
    }

    fn with_fate(
        part: Part,
        fate: Fate,
        path: impl Into<String>,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Self {
        Self {
            part,
            fate,
            path: path.into(),
            before,
            after,
        }
    }
}

/// Compares the two sides of the gateway; `None` where there is no gateway or one of its sides was not recorded.
pub fn of_trial(evidence: &Evidence) -> Option<WireDiff> {
    evidence
        .has_both_sides()
        .then(|| compare(&evidence.sent, &evidence.exchanges))
}

/// Compares what passed in front of the gateway with what reached the provider.
pub fn compare(sent: &[GatewayExchange], exchanges: &[ProviderExchange]) -> WireDiff {
    let mut diff = WireDiff::default();
    let pairs = pairing::pair(sent, exchanges);
    for pair in &pairs {
        diff.take(pair, Direction::Request, request::differences(pair));
        diff.take(pair, Direction::Reply, reply::differences(pair));
    }
    for window in pairs.windows(2) {
        let changed = conversation::prefix_difference(&window[0], &window[1]);
        diff.take(&window[1], Direction::Request, changed.into_iter().collect());
    }
    for orphan in pairing::orphans(&pairs, exchanges) {
        diff.changes.push(orphan);
    }
    diff.changes.sort_by_key(|change| (change.sent, change.direction));
    diff
}

impl WireDiff {
    fn take(&mut self, pair: &pairing::Pair, direction: Direction, differences: Vec<Difference>) {
        for what in differences {
            let change = Change {
                direction,
                operation: pair.passage.operation,
                turn: pair.turn,
                sent: pair.passage.number,
                exchange: pair.last().map(|exchange| exchange.number),
                route: pair.last().and_then(|exchange| exchange.route),
                what,
            };
            match noise::rule_for(&change) {
                Some(rule) => *self.filtered.entry(rule.name).or_default() += 1,
                None => self.changes.push(change),
            }
        }
    }
}
