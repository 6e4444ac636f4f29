//! The wire diff: the differences between Claude Code's requests and those at the provider, and between the replies on both
//! sides. All are in the words of the Messages API, whatever the route.
//!
//! Pure. The rules of [`noise`] filter and count the changes that every gateway may make. The wire diff does not say whose
//! fault a difference is.
#![warn(clippy::disallowed_methods)]

mod broken;
mod conversation;
mod delay;
mod deltas;
mod frame;
mod ids;
pub mod lost;
mod names;
pub mod noise;
mod pairing;
mod reply;
mod reply_headers;
mod request;
mod unknown;
mod wording;
mod values;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::evidence::Evidence;
use crate::wire::exchange::{GatewayExchange, KEY_OF_COUNT, ProviderExchange};
use crate::wire::{Direction, Operation, Route};

/// The path of a status that changed from an answer to an error.
pub const LOST_ANSWER: &str = "HTTP status of an answer";

pub use delay::{DELAYS, DeltaDelay};
pub use names::{STATUS, names};
pub use pairing::{as_sent, forwarded, strays};
pub use reply::{CUT_MADE_END, CUT_MADE_ERROR, CUT_MADE_WHOLE, error_within};
use request::ANSWERED_REQUEST;
pub use request::{SECOND_HEADER, arrived_betas, fields_of_converse};

/// The differences of a trial's requests and replies.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WireDiff {
    /// In the order of the requests, without noise.
    pub changes: Vec<Change>,
    /// The number of differences that each rule of [`noise`] filtered.
    pub filtered: BTreeMap<&'static str, usize>,
    /// How long the gateway delayed content deltas; `None` without a stream.
    pub delay: Option<DeltaDelay>,
}

/// A difference of one request or reply.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    pub direction: Direction,
    pub operation: Operation,
    /// The number of the request among those of `claude` with this operation, from 1. A refused request that `claude` sent again
    /// has the number of its repetition.
    pub turn: usize,
    /// The line in `sent.jsonl`, from 1; 0 for a request that `claude` did not send.
    pub sent: usize,
    /// The line in `exchanges.jsonl`, from 1; `None` if nothing arrived.
    pub exchange: Option<usize>,
    /// The route to the provider.
    pub route: Option<Route>,
    /// Whether the model called a tool in the conversation of the request, and did not think in it.
    pub calls_without_thinking: bool,
    #[serde(flatten)]
    pub what: Difference,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    pub part: Part,
    pub fate: Fate,
    /// A name or a path: `anthropic-beta`, `thinking.budget_tokens`, `messages[2] user block 0 (text)`.
    pub path: String,
    /// The value before the gateway.
    pub before: Option<Value>,
    /// The value after the gateway.
    pub after: Option<Value>,
}

/// The part of a message that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A whole request.
    Request,
    Status,
    /// An error's type, message or shape.
    Error,
    /// A block of the system prompt, of a message or of an answer.
    Block,
    /// The signature of a thinking block.
    Signature,
    /// An offered tool.
    Tool,
    /// A cache breakpoint.
    Breakpoint,
    /// The beginning of a prompt that was the same in two requests, so that the provider can cache it.
    Prefix,
    /// Events of a stream.
    Event,
    /// The times of a stream's events.
    Pace,
    /// A token count.
    Usage,
    StopReason,
    /// A field of the body.
    Field,
    /// A parameter of the query.
    Query,
    Beta,
    Header,
    /// A credential that the other side must not get.
    Credential,
    /// Where a request is processed.
    Place,
}

/// How a part differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Dropped,
    Added,
    /// It has another value.
    Changed,
    /// It is at another place.
    Moved,
    /// It comes more than once.
    Repeated,
    /// Several became fewer.
    Merged,
    /// It became several smaller ones.
    Split,
    /// The gateway held it back.
    Delayed,
}

impl Difference {
    /// A null value is an absent one: without `after` the part is dropped, without `before` it is added.
    fn of(part: Part, path: impl Into<String>, before: impl Into<Value>, after: impl Into<Value>) -> Self {
        let [before, after] =
            [before.into(), after.into()].map(|value| Some(value).filter(|value| !value.is_null()));
        Self {
            part,
            fate: match (&before, &after) {
                (Some(_), None) => Fate::Dropped,
                (None, Some(_)) => Fate::Added,
                _ => Fate::Changed,
            },
            path: path.into(),
            before,
            after,
        }
    }

    fn with_fate(self, fate: Fate) -> Self {
        Self { fate, ..self }
    }
}

/// Compares the two sides of the gateway; `None` without a gateway, or if one side was not recorded.
pub fn of_trial(evidence: &Evidence) -> Option<WireDiff> {
    if !evidence.has_both_sides() {
        return None;
    }
    let mut diff = compare(&evidence.sent, &evidence.exchanges);
    let is_missing =
        |change: &&mut Change| change.what.part == Part::Request && change.what.fate == Fate::Dropped;
    for change in diff.changes.iter_mut().filter(is_missing) {
        let passage = evidence.sent.iter().find(|passage| passage.number == change.sent);
        if let Some(moved) = passage.and_then(|passage| pairing::moved(passage, &evidence.exchanges)) {
            change.what = moved;
            continue;
        }
        let mut operations = evidence.ambiguous.iter().map(|exchange| exchange.operation);
        if operations.any(|operation| operation == change.operation) {
            change.what = request::without_key("this request, or a like one of another trial,");
        }
    }
    Some(diff)
}

/// The request of Claude Code for which the gateway sent this request to the provider.
pub fn origin<'a>(evidence: &'a Evidence, exchange: &ProviderExchange) -> Option<&'a GatewayExchange> {
    let mut pairs = pairing::pair(&evidence.sent, &evidence.exchanges).into_iter();
    let own = pairs.find(|pair| {
        let mut exchanges = pair.exchanges.iter();
        exchanges.any(|own| own.number == exchange.number)
    });
    own.map(|pair| pair.passage)
}

/// Whether Claude Code showed a delta of this lockstep stream late that the gateway had passed on in time: the fault of Claude
/// Code or of the machine.
pub fn is_shown_late(evidence: &Evidence, exchange: &ProviderExchange) -> bool {
    let back = origin(evidence, exchange).and_then(|passage| passage.reply.as_ref());
    back.is_some_and(|back| deltas::is_passed_in_time(&exchange.reply, back))
}

/// Where two values differ, as deep as possible; each difference has the part `field`.
pub fn differing_values(before: &Value, after: &Value) -> Vec<Difference> {
    values::differences(Part::Field, "", before, after)
}

/// Compares the exchanges in front of the gateway with those at the provider.
pub fn compare(sent: &[GatewayExchange], exchanges: &[ProviderExchange]) -> WireDiff {
    let mut diff = WireDiff::default();
    let pairs = pairing::pair(sent, exchanges);
    for pair in &pairs {
        diff.take(pair, Direction::Request, request::differences(pair));
        diff.take(pair, Direction::Reply, reply::differences(pair));
    }
    for (index, pair) in pairs.iter().enumerate() {
        let repeated = ids::repeated_id(&pairs, index);
        diff.take(pair, Direction::Reply, repeated.into_iter().collect());
    }
    let is_readable = |pair: &pairing::Pair| {
        let last = pair.last();
        last.is_none_or(|exchange| request::other_route(exchange).is_none())
    };
    for window in pairs.windows(2).filter(|window| window.iter().all(is_readable)) {
        let changed = conversation::prefix_difference(&window[0], &window[1]);
        diff.take(&window[1], Direction::Request, changed.into_iter().collect());
    }
    let delays = pairs
        .iter()
        .flat_map(|pair| match (pair.last(), &pair.passage.reply) {
            (Some(exchange), Some(back)) => delay::of_reply(&exchange.reply, back),
            _ => Vec::new(),
        });
    diff.delay = DeltaDelay::of(delays.collect());
    diff.changes.extend(pairing::orphans(&pairs, exchanges));
    diff.changes.sort_by_key(|change| (change.sent, change.direction));
    diff
}

impl WireDiff {
    /// The first request that the gateway forwarded without its trial's key.
    pub fn without_key(&self) -> Option<&Change> {
        let mut changes = self.changes.iter();
        changes.find(|change| change.what.part == Part::Request && change.what.fate == Fate::Changed)
    }

    /// Claude Code sends back the reply that it got. So a change of the assistant's own words in a request follows from the first
    /// change of such a block in an earlier reply.
    pub fn echoed(&self, change: &Change) -> Option<&Change> {
        fn kind(change: &Change) -> Option<&str> {
            let (_, rest) = change.what.path.split_once('(')?;
            rest.split_once(')').map(|(kind, _)| kind)
        }
        let is_echo = change.direction == Direction::Request && change.what.path.contains("assistant block");
        let of_content = [Part::Block, Part::Signature];
        self.changes.iter().find(|earlier| {
            is_echo
                && kind(earlier) == kind(change)
                && earlier.direction == Direction::Reply
                && earlier.operation == change.operation
                && earlier.sent < change.sent
                && of_content.contains(&earlier.what.part)
        })
    }

    /// The provider answered a request twice, and `change` is about the second answer.
    pub fn answered_twice(&self, change: &Change) -> Option<&Change> {
        let is_reply = change.direction == Direction::Reply;
        self.changes.iter().find(|earlier| {
            is_reply
                && (earlier.operation, earlier.what.part, earlier.what.fate)
                    == (change.operation, Part::Request, Fate::Repeated)
                && earlier.what.path == ANSWERED_REQUEST
                && earlier.sent == change.sent
        })
    }

    /// What else the gateway changed in a request that it forwarded without its trial's key.
    pub fn lost_with_the_key(&self, without_key: &Change) -> Option<&Change> {
        let changes = self.changes.iter().filter(|other| {
            other.direction == Direction::Request
                && other.sent == without_key.sent
                && other.what.part != Part::Request
        });
        // The text with the key is the harness's own.
        let is_of_key = |other: &&Change| {
            let text = other
                .what
                .before
                .as_ref()
                .and_then(|block| block["text"].as_str());
            text.is_some_and(|text| text.starts_with(KEY_OF_COUNT))
        };
        changes.min_by_key(|other| (is_of_key(other), other.what.part))
    }

    /// The block or tool of a request by which its beginning differs from that of an earlier one, if `change` says that it does.
    pub fn at_prefix(&self, change: &Change) -> Option<&Change> {
        let piece = Some(change.what.path.as_str()).filter(|_| change.what.part == Part::Prefix)?;
        let key = |change: &Change| (change.operation, change.sent, change.direction);
        let mut of_request = self.changes.iter().filter(|other| key(other) == key(change));
        let Some(tool) = piece.strip_prefix("tool ") else {
            return of_request.find(|other| {
                let is_place = || other.what.after.as_ref().is_some_and(|place| place == piece);
                other.what.part == Part::Block && (other.what.path.starts_with(piece) || is_place())
            });
        };
        // The tool itself or its new name, then the order of the tools, then one tool more or less.
        let rank = |other: &Change| {
            let (path, fate) = (other.what.path.as_str(), other.what.fate);
            let rest = path.strip_prefix(tool);
            let is_itself = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            let is_new_name =
                path.ends_with(".name") && other.what.after.as_ref().is_some_and(|name| name == tool);
            match () {
                () if other.what.part != Part::Tool => None,
                () if is_itself || is_new_name => Some(0),
                () if fate == Fate::Moved => Some(1),
                () => (!path.contains('.')).then_some(2),
            }
        };
        let ranked = of_request.filter_map(|other| Some((rank(other)?, other)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, other)| other)
    }

    /// The gateway asked for a reply in another form, and `change` is what became of that reply.
    pub fn other_form(&self, change: &Change) -> Option<&Change> {
        let is_reply = change.direction == Direction::Reply && change.what.part == Part::Event;
        self.changes.iter().find(|other| {
            is_reply
                && (other.operation, other.sent, other.direction)
                    == (change.operation, change.sent, Direction::Request)
                && (other.what.part, other.what.path.as_str()) == (Part::Field, "stream")
        })
    }

    fn take(&mut self, pair: &pairing::Pair, direction: Direction, differences: Vec<Difference>) {
        let exchange = match direction {
            Direction::Request => pair.exchanges.first().copied(),
            Direction::Reply => pair.last(),
        };
        for what in differences {
            let change = Change {
                direction,
                operation: pair.passage.operation,
                turn: pair.turn,
                sent: pair.passage.number,
                exchange: exchange.map(|exchange| exchange.number),
                route: exchange.and_then(|exchange| exchange.route),
                calls_without_thinking: pair.calls_without_thinking(),
                what,
            };
            match noise::rule_for(&change) {
                Some(rule) => *self.filtered.entry(rule.name).or_default() += 1,
                None => self.changes.push(change),
            }
        }
    }
}
