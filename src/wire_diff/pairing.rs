//! Pairs each request of Claude Code with the requests that the gateway sent to the provider for it.

use std::collections::HashMap;

use serde_json::Value;

use super::request::{callers_key, name_of};
use super::{Change, Difference, Fate, Part};
use crate::wire::exchange::{GatewayExchange, Matched, ProviderExchange, ProviderReply};
use crate::wire::message::{Block, Content, MessageRequest};
use crate::wire::place::ProcessingPlace;
use crate::wire::{Direction, Operation, Route, messages};

pub(super) struct Pair<'a> {
    pub(super) passage: &'a GatewayExchange,
    /// The number of the request among those with its operation, from 1. A refused request that Claude Code sent again has the
    /// number of its repetition.
    pub(super) turn: usize,
    /// The request as a model would see it.
    pub(super) message: Option<MessageRequest>,
    /// The requests at the provider: none, one, or one per attempt of the gateway.
    pub(super) exchanges: Vec<&'a ProviderExchange>,
}

impl<'a> Pair<'a> {
    pub(super) fn last(&self) -> Option<&'a ProviderExchange> {
        self.exchanges.last().copied()
    }

    /// See [`Change::calls_without_thinking`].
    pub(super) fn calls_without_thinking(&self) -> bool {
        let messages = self.message.iter().flat_map(|message| &message.messages);
        let mut contents = messages
            .flat_map(|message| &message.content)
            .map(|block| &block.content);
        let calls = contents
            .clone()
            .any(|content| matches!(content, Content::ToolUse { .. }));
        calls && !contents.any(Content::is_thinking)
    }
}

/// Pairs by time: a request at the provider belongs to the request that was open when it came. If several were open, it
/// belongs to the one with the most similar content.
pub(super) fn pair<'a>(sent: &'a [GatewayExchange], exchanges: &'a [ProviderExchange]) -> Vec<Pair<'a>> {
    let mut pairs: Vec<Pair<'a>> = Vec::new();
    for passage in sent.iter().filter(|passage| is_compared(passage.operation)) {
        pairs.push(Pair {
            passage,
            turn: 1,
            message: read(passage),
            exchanges: Vec::new(),
        });
    }
    for exchange in exchanges {
        if let Some(index) = origin(&pairs, exchange) {
            pairs[index].exchanges.push(exchange);
        }
    }
    number(&mut pairs, exchanges);
    pairs
}

/// Numbers the requests that count, then each refused one like its repetition.
fn number(pairs: &mut [Pair], exchanges: &[ProviderExchange]) {
    let repetition = |pair: &Pair| Some(pair.last()?.repetition(exchanges)?.number);
    let repeated: Vec<Option<usize>> = pairs.iter().map(repetition).collect();
    let mut counts: HashMap<Operation, usize> = HashMap::new();
    for (pair, _) in pairs
        .iter_mut()
        .zip(&repeated)
        .filter(|(_, repeated)| repeated.is_none())
    {
        let count = counts.entry(pair.passage.operation).or_default();
        *count += 1;
        pair.turn = *count;
    }
    for (index, repetition) in repeated.iter().enumerate() {
        let is_it = |pair: &&Pair| pair.exchanges.iter().any(|own| Some(own.number) == *repetition);
        if let Some(turn) = pairs.iter().find(is_it).map(|pair| pair.turn) {
            pairs[index].turn = turn;
        }
    }
}

/// Requests at the provider that belong to no request of Claude Code, and the caller's key in one of any kind.
pub(super) fn orphans(pairs: &[Pair], exchanges: &[ProviderExchange]) -> Vec<Change> {
    let paired = || pairs.iter().flat_map(|pair| &pair.exchanges);
    let is_unpaired = |exchange: &&ProviderExchange| paired().all(|own| own.number != exchange.number);
    let changes = |exchange: &ProviderExchange| -> Vec<Change> {
        let name = "a request that Claude Code did not make";
        let made = || Difference::of(Part::Request, name, Value::Null, exchange.request.path.as_str());
        let made = is_compared(exchange.operation).then(made);
        let change = |what| Change {
            direction: Direction::Request,
            operation: exchange.operation,
            turn: exchange.turn.unwrap_or(exchange.number),
            sent: 0,
            exchange: Some(exchange.number),
            route: exchange.route,
            calls_without_thinking: false,
            what,
        };
        made.into_iter()
            .chain(callers_key(exchange))
            .map(change)
            .collect()
    };
    match pairs {
        [] => Vec::new(),
        _ => exchanges.iter().filter(is_unpaired).flat_map(changes).collect(),
    }
}

/// The requests to paths that no provider has. A gateway's own requests to unknown paths, such as a health check, have no body.
pub fn strays(exchanges: &[ProviderExchange]) -> impl Iterator<Item = &ProviderExchange> {
    exchanges
        .iter()
        .filter(|exchange| exchange.operation == Operation::Unknown && exchange.request.body.json().is_some())
}

/// The gateway sent `passage` to a path that the provider does not have.
pub(super) fn moved(passage: &GatewayExchange, exchanges: &[ProviderExchange]) -> Option<Difference> {
    let open = passage.request.at_ms..=ended_at(passage);
    let stray = strays(exchanges).find(|stray| open.contains(&stray.request.at_ms))?;
    let (from, to) = (passage.request.path.as_str(), stray.request.path.as_str());
    Some(Difference::of(Part::Request, name_of(passage.operation), from, to).with_fate(Fate::Moved))
}

/// The requests at the provider for `passage`, which is one of `sent`: none, one, or one per attempt of the gateway.
pub fn forwarded<'a>(
    passage: &GatewayExchange,
    sent: &'a [GatewayExchange],
    exchanges: &'a [ProviderExchange],
) -> Vec<&'a ProviderExchange> {
    let mut pairs = pair(sent, exchanges).into_iter();
    let own = pairs.find(|pair| pair.passage.number == passage.number);
    own.map(|pair| pair.exchanges).unwrap_or_default()
}

/// The exchanges as they would be without a gateway: the requests of Claude Code, each with the provider's reply.
pub fn as_sent(sent: &[GatewayExchange], exchanges: &[ProviderExchange]) -> Vec<ProviderExchange> {
    let pairs = pair(sent, exchanges);
    pairs
        .into_iter()
        .map(|pair| ProviderExchange {
            number: pair.passage.number,
            turn: pair.passage.turn,
            route: Some(Route::Anthropic),
            operation: pair.passage.operation,
            keyless: false,
            caller_credential: Vec::new(),
            wanted_place: ProcessingPlace::default(),
            request: pair.passage.request.clone(),
            matched: pair
                .last()
                .map_or(Matched::BuiltIn, |exchange| exchange.matched.clone()),
            reply: pair
                .last()
                .map_or_else(|| ProviderReply::unsent(0), |exchange| exchange.reply.clone()),
            message: pair.message,
        })
        .collect()
}

/// Requests for access tokens and for unknown paths (a list of models, a health check) are the gateway's own.
fn is_compared(operation: Operation) -> bool {
    matches!(operation, Operation::Messages | Operation::CountTokens)
}

fn read(passage: &GatewayExchange) -> Option<MessageRequest> {
    let betas: Vec<&str> = passage.request.header("anthropic-beta").collect();
    messages::read(passage.request.body.json()?, None, &betas)
}

fn origin(pairs: &[Pair], exchange: &ProviderExchange) -> Option<usize> {
    let began = |pair: &Pair| {
        pair.passage.operation == exchange.operation && pair.passage.request.at_ms <= exchange.request.at_ms
    };
    let candidates = || pairs.iter().enumerate().filter(|(_, pair)| began(pair));
    let open = candidates()
        .filter(|(_, pair)| ended_at(pair.passage) >= exchange.request.at_ms)
        .max_by_key(|(index, pair)| (likeness(pair, exchange), *index));
    open.or_else(|| candidates().next_back()).map(|(index, _)| index)
}

pub(super) fn ended_at(passage: &GatewayExchange) -> u64 {
    match &passage.reply {
        None => u64::MAX,
        Some(reply) => reply.events.last().map_or(reply.at_ms, |event| event.at_ms),
    }
}

/// The number of blocks that only one of the two has, as a negative number.
fn likeness(pair: &Pair, exchange: &ProviderExchange) -> i64 {
    let (Some(sent), Some(arrived)) = (&pair.message, &exchange.message) else {
        return i64::MIN;
    };
    let (sent, arrived) = (sent.blocks(), arrived.blocks());
    let missing = |of: &[&Block], among: &[&Block]| {
        let is_missing = |block: &&&Block| !among.iter().any(|other| other.content == block.content);
        of.iter().filter(is_missing).count() as i64
    };
    -(missing(&sent, &arrived) + missing(&arrived, &sent))
}
