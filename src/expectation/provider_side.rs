//! Helpers for kinds that are judged on the requests at the provider.

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;

use super::{Deviation, Ruling, Scene};
use crate::evidence::file;
use crate::text::{clipped, counted};
use crate::wire::Operation;
use crate::wire::exchange::{ProviderExchange, RecordedRequest};
use crate::wire::message::Message;

/// Which request of a trial, among those of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The n-th, from 1.
    Number(usize),
    /// Each of them, of which there must be at least one.
    Every,
    Last,
}

impl Turn {
    /// Its number, if it names a single request by number.
    pub fn number(self) -> Option<usize> {
        match self {
            Self::Number(number) => Some(number),
            Self::Every | Self::Last => None,
        }
    }
}

impl<'de> Deserialize<'de> for Turn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        match (value.as_str(), number) {
            (Some("every"), _) => Ok(Self::Every),
            (Some("last"), _) => Ok(Self::Last),
            (None, Some(number @ 1..)) => Ok(Self::Number(number)),
            _ => Err(D::Error::custom("expected a number from 1, `every` or `last`")),
        }
    }
}

impl JsonSchema for Turn {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Turn".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Which request of the trial: a number from 1, `every` or `last`.",
            "type": ["integer", "string"],
            "minimum": 1,
            "pattern": "^(every|last)$",
            "examples": [1, "every", "last"],
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// An exchange, as the place of evidence.
pub(super) fn at(exchange: &ProviderExchange) -> (String, usize) {
    (file::PROVIDER_EXCHANGES.into(), exchange.number)
}

/// The kind of request that an expectation is for if it names none.
pub(super) fn messages_operation() -> Operation {
    Operation::Messages
}

/// Judges each Messages request that `turn` selects.
pub(super) fn on_each_message(
    turn: Turn,
    scene: &Scene<'_>,
    judge_one: impl Fn(&ProviderExchange) -> Vec<Deviation>,
) -> Ruling {
    on_each(turn, Operation::Messages, scene, judge_one)
}

/// Judges each request that `turn` selects. If there is none, that is the deviation.
pub(super) fn on_each(
    turn: Turn,
    operation: Operation,
    scene: &Scene<'_>,
    judge_one: impl Fn(&ProviderExchange) -> Vec<Deviation>,
) -> Ruling {
    let exchanges = &scene.evidence.exchanges;
    let all: Vec<&ProviderExchange> = of_operation(operation, exchanges).collect();
    let named: &[&ProviderExchange] = match turn {
        Turn::Every => &all,
        Turn::Last => &all[all.len().saturating_sub(1)..],
        Turn::Number(n) => all.get(n - 1..n).unwrap_or(&[]),
    };
    Ruling::Judged(match named {
        [] => vec![absent(turn, operation, exchanges)],
        named => named.iter().flat_map(|exchange| judge_one(exchange)).collect(),
    })
}

/// What the user loses if a request does not reach the provider.
pub const LOST_REQUEST: &str = "The provider does not get the request.";
/// The end of the summary if no such request reached the provider.
const ABSENT: &str = " reached the provider";

/// Whether the deviation is that the request did not reach the provider.
pub fn is_of_lost_request(deviation: &Deviation) -> bool {
    deviation.evidence.is_none() && deviation.summary.ends_with(ABSENT)
}

fn absent(turn: Turn, operation: Operation, exchanges: &[ProviderExchange]) -> Deviation {
    let noun = noun(operation);
    let (summary, expected) = match turn {
        Turn::Number(n) => (
            format!("{noun} {n} never{ABSENT}"),
            format!("at least {n} {noun}s at the provider"),
        ),
        Turn::Every | Turn::Last => (format!("no {noun}{ABSENT}"), format!("a {noun} at the provider")),
    };
    Deviation {
        summary,
        expected,
        actual: arrivals(exchanges),
        evidence: None,
    }
}

/// Whether Claude Code sent no request of this kind for which `has` holds: a gateway cannot pass on what it never got.
/// Without a recorded near side nothing is known, and the answer is no.
pub(super) fn never_sent(
    operation: Operation,
    scene: &Scene<'_>,
    has: impl Fn(&RecordedRequest) -> bool,
) -> bool {
    let sent = scene.evidence.sent.iter();
    let mut sent = sent.filter(|exchange| exchange.operation == operation).peekable();
    sent.peek().is_some() && !sent.any(|exchange| has(&exchange.request))
}

/// The exchanges of a kind. A Messages request without a turn is a probe, which no cell describes. A refused request that was
/// sent again is the same turn as its repetition: that the provider refused it is a finding of its own.
pub(super) fn of_operation(
    operation: Operation,
    exchanges: &[ProviderExchange],
) -> impl DoubleEndedIterator<Item = &ProviderExchange> + Clone {
    exchanges.iter().filter(move |exchange| {
        exchange.operation == operation
            && (operation != Operation::Messages || exchange.turn.is_some())
            && !exchange.is_sent_again(exchanges)
    })
}

pub(super) fn noun(operation: Operation) -> &'static str {
    match operation {
        Operation::Messages => "Messages request",
        Operation::CountTokens => "count_tokens request",
        Operation::OauthToken => "access token request",
        Operation::ListModels => "request for the list of models",
        Operation::Unknown => "request to an unknown path",
    }
}

/// The requests that reached the provider, in short: equal ones once, with their number.
pub(super) fn arrivals<'a>(exchanges: impl IntoIterator<Item = &'a ProviderExchange>) -> String {
    let mut times: IndexMap<String, usize> = IndexMap::new();
    for exchange in exchanges {
        let (request, status) = (&exchange.request, exchange.reply.status);
        let line = format!("{} {} → {status}", request.method, request.path);
        *times.entry(line).or_default() += 1;
    }
    let total: usize = times.values().sum();
    if total == 0 {
        return "no request of this trial reached the provider".into();
    }
    let lines = times.into_iter().map(|(line, count)| match count {
        1 => line,
        count => format!("{line} ({count} times)"),
    });
    let lines = lines.collect::<Vec<_>>().join(", ");
    clipped(&format!("{}: {lines}", counted(total, "request")))
}

pub(super) fn messages(exchange: &ProviderExchange) -> &[Message] {
    exchange
        .message
        .as_ref()
        .map_or(&[], |message| message.messages.as_slice())
}

/// The kinds of block in each message: what arrived instead.
pub(super) fn outline(exchange: &ProviderExchange) -> String {
    let outlines: Vec<String> = messages(exchange)
        .iter()
        .map(|message| {
            let kinds: Vec<&str> = message.content.iter().map(|block| block.content.kind()).collect();
            format!("{}: {}", message.role, kinds.join(" + "))
        })
        .collect();
    match outlines.is_empty() {
        true => "the request could not be read as a Messages request".into(),
        false => clipped(&outlines.join("; ")),
    }
}

/// The content blocks that the provider sent before `exchange`.
pub(super) fn blocks_before<'a>(
    exchange: &ProviderExchange,
    exchanges: &'a [ProviderExchange],
) -> impl Iterator<Item = &'a Value> {
    let number = exchange.number;
    exchanges
        .iter()
        .filter(move |earlier| earlier.number < number)
        .filter_map(|earlier| earlier.reply.message.as_ref()?["content"].as_array())
        .flatten()
}
