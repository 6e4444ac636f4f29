//! Which requests at the provider a request of Claude Code became.

use crate::wire::{Direction, Operation, Route, Usage, messages};
use serde_json::json;

use super::{Change, Difference, Fate, Part};
use crate::wire::exchange::{GatewayExchange, Matched, ProviderExchange, ProviderReply};
use crate::wire::message::MessageRequest;

/// A request of Claude Code and what became of it.
pub(super) struct Pair<'a> {
    pub(super) passage: &'a GatewayExchange,
    /// Which request of its kind it is, from 1.
    pub(super) turn: usize,
    /// As a model would see it.
    pub(super) message: Option<MessageRequest>,
    /// The requests at the provider that it became: none, one, or one an attempt of the gateway.
    pub(super) exchanges: Vec<&'a ProviderExchange>,
}

impl<'a> Pair<'a> {
    pub(super) fn last(&self) -> Option<&'a ProviderExchange> {
        self.exchanges.last().copied()
    }
}

/// Pairs by time: a request at the provider is that of the passage that was open when it came. Of several, it is the one
/// that it says the same as.
pub(super) fn pair<'a>(sent: &'a [GatewayExchange], exchanges: &'a [ProviderExchange]) -> Vec<Pair<'a>> {
    let mut pairs: Vec<Pair<'a>> = Vec::new();
    for passage in sent.iter().filter(|passage| is_compared(passage.operation)) {
        let earlier = pairs
            .iter()
            .filter(|pair| pair.passage.operation == passage.operation)
            .count();
        pairs.push(Pair {
            passage,
            turn: earlier + 1,
            message: read(passage),
            exchanges: Vec::new(),
        });
    }
    for exchange in exchanges {
        if let Some(index) = origin(&pairs, exchange) {
            pairs[index].exchanges.push(exchange);
        }
    }
    pairs
}

/// Requests at the provider that no request of Claude Code explains.
pub(super) fn orphans(pairs: &[Pair], exchanges: &[ProviderExchange]) -> Vec<Change> {
    if pairs.is_empty() {
        return Vec::new();
    }
    let orphans = exchanges.iter().filter(|exchange| {
        is_compared(exchange.operation)
            && !pairs
                .iter()
                .any(|pair| pair.exchanges.iter().any(|own| own.number == exchange.number))
    });
    orphans
        .map(|exchange| Change {
            direction: Direction::Request,
            operation: exchange.operation,
            turn: exchange.turn.unwrap_or(exchange.number),
            sent: 0,
            exchange: Some(exchange.number),
            route: exchange.route,
            what: Difference::with_fate(
                Part::Request,
                Fate::Added,
                "a request that Claude Code did not make",
                None,
                Some(json!(exchange.request.path)),
            ),
        })
        .collect()
}

/// The requests at the provider that `passage`, one of `sent`, became: none, one, or one an attempt of the gateway.
pub fn became<'a>(
    passage: &GatewayExchange,
    sent: &'a [GatewayExchange],
    exchanges: &'a [ProviderExchange],
) -> Vec<&'a ProviderExchange> {
    let pairs = pair(sent, exchanges);
    let own = pairs
        .into_iter()
        .find(|pair| pair.passage.number == passage.number);
    own.map(|pair| pair.exchanges).unwrap_or_default()
}

/// The requests of Claude Code as they would have arrived had no gateway been between, each with the reply to what it
/// became.
pub fn as_sent(sent: &[GatewayExchange], exchanges: &[ProviderExchange]) -> Vec<ProviderExchange> {
    let pairs = pair(sent, exchanges);
    pairs
        .into_iter()
        .map(|pair| ProviderExchange {
            number: pair.passage.number,
            turn: pair.passage.turn,
            route: Some(Route::Anthropic),
            operation: pair.passage.operation,
            request: pair.passage.request.clone(),
            matched: Matched::BuiltIn,
            reply: pair
                .last()
                .map_or_else(no_reply, |exchange| exchange.reply.clone()),
            message: pair.message,
        })
        .collect()
}

fn no_reply() -> ProviderReply {
    ProviderReply {
        status: 0,
        headers: Vec::new(),
        stream: false,
        events: Vec::new(),
        message: None,
        usage: Usage::default(),
        lockstep: None,
        cut_off: true,
    }
}

/// Access tokens are the gateway's own business, and unknown paths (a list of models, a health check) too.
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

fn ended_at(passage: &GatewayExchange) -> u64 {
    match &passage.reply {
        None => u64::MAX,
        Some(reply) => reply.events.last().map_or(reply.at_ms, |event| event.at_ms),
    }
}

/// How many blocks of the one are no blocks of the other, less than zero.
fn likeness(pair: &Pair, exchange: &ProviderExchange) -> i64 {
    let (Some(sent), Some(arrived)) = (&pair.message, &exchange.message) else {
        return i64::MIN;
    };
    let (sent, arrived) = (sent.blocks(), arrived.blocks());
    let missing = |of: &[&crate::wire::message::Block], among: &[&crate::wire::message::Block]| {
        let missing = of
            .iter()
            .filter(|block| !among.iter().any(|other| other.content == block.content));
        missing.count() as i64
    };
    -(missing(&sent, &arrived) + missing(&arrived, &sent))
}
