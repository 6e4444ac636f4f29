//! Finds a trial's requests among those that reached the provider without any trial's key.
//!
//! A request belongs to the trial whose open request is most similar to it. If another trial has a request that is as
//! similar, the request is ambiguous and belongs to neither.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::pairing::{Pair, ended_at, pair};
use crate::wire::exchange::{GatewayExchange, ProviderExchange};
use crate::wire::message::MessageRequest;
use crate::wire::{Operation, Route};

/// The least similarity of a gateway's changed request to the original: half of the words. A gateway's own requests (health
/// checks) have less.
const LEAST: f64 = 0.5;

/// A running trial, as both sides recorded it.
#[derive(Clone, Debug)]
pub struct RecordedSides {
    pub sent: Vec<GatewayExchange>,
    pub exchanges: Vec<ProviderExchange>,
    /// The route of the trial's provider, if it is a known one.
    pub route: Option<Route>,
}

/// The requests without a key that belong to a trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LostRequests {
    pub own: Vec<ProviderExchange>,
    /// Those that fit another trial as well.
    pub ambiguous: Vec<ProviderExchange>,
}

impl RecordedSides {
    /// Whether a request of Claude Code has no counterpart at the provider.
    pub fn lacks_one(&self) -> bool {
        pair(&self.sent, &self.exchanges)
            .iter()
            .any(|pair| pair.exchanges.is_empty())
    }

    /// The trial's requests among `orphans`, which reached the provider without a key. `others` are the trials that ran at
    /// the same time.
    pub fn lost(&self, others: &[Self], orphans: &[ProviderExchange]) -> LostRequests {
        let own = Unforwarded::of(self);
        let others: Vec<Unforwarded> = others.iter().map(Unforwarded::of).collect();
        let mut lost = LostRequests::default();
        let mut fits: Vec<(usize, Fit, &ProviderExchange)> = Vec::new();
        for orphan in orphans {
            let Some((sent, fit)) = own.best(orphan) else {
                continue;
            };
            let rivals = others.iter().filter_map(|other| other.best(orphan));
            let order: Vec<Option<Ordering>> = rivals.map(|(_, rival)| fit.compare(&rival)).collect();
            if order.contains(&Some(Ordering::Less)) {
                continue;
            }
            match order.iter().all(|order| *order == Some(Ordering::Greater)) {
                true => fits.push((sent, fit, orphan)),
                false => lost.ambiguous.push(orphan.clone()),
            }
        }
        // The gateway's attempts at one request are equal. A less similar one is another trial's, in another process.
        let is_best = |(sent, fit, _): &&(usize, Fit, &ProviderExchange)| {
            let mut same = fits.iter().filter(|(other, ..)| other == sent);
            same.all(|(_, other, _)| fit.compare(other) != Some(Ordering::Less))
        };
        lost.own = fits
            .iter()
            .filter(is_best)
            .map(|(.., orphan)| (*orphan).clone())
            .collect();
        lost
    }
}

/// `exchanges` with the trial's requests that came without its key, in order of time.
pub fn with_lost(mut exchanges: Vec<ProviderExchange>, lost: Vec<ProviderExchange>) -> Vec<ProviderExchange> {
    if lost.is_empty() {
        return exchanges;
    }
    exchanges.extend(lost.into_iter().map(|exchange| {
        let is_probe = exchange.message.as_ref().is_some_and(MessageRequest::is_probe);
        let is_turn = exchange.operation == Operation::Messages && !is_probe;
        ProviderExchange {
            turn: is_turn.then_some(0),
            keyless: true,
            ..exchange
        }
    }));
    exchanges.sort_by_key(|exchange| exchange.request.at_ms);
    let mut turns = 0;
    for (index, exchange) in exchanges.iter_mut().enumerate() {
        exchange.number = index + 1;
        if let Some(turn) = &mut exchange.turn {
            turns += 1;
            *turn = turns;
        }
    }
    exchanges
}

/// A trial's requests without a counterpart at the provider.
struct Unforwarded<'a> {
    pairs: Vec<(Pair<'a>, Words)>,
    route: Option<Route>,
}

impl<'a> Unforwarded<'a> {
    fn of(sides: &'a RecordedSides) -> Self {
        let pairs = pair(&sides.sent, &sides.exchanges).into_iter();
        let missing = pairs.filter(|pair| pair.exchanges.is_empty()).map(|pair| {
            let words = pair.message.as_ref().map(Words::of).unwrap_or_default();
            (pair, words)
        });
        Self {
            pairs: missing.collect(),
            route: sides.route,
        }
    }

    /// The request that was open when `orphan` came and is most similar to it, by its line in `sent.jsonl`.
    fn best(&self, orphan: &ProviderExchange) -> Option<(usize, Fit)> {
        let message = orphan.message.as_ref()?;
        let arrived = Words::of(message);
        let fits = self.pairs.iter().filter_map(|(pair, words)| {
            let sent = pair.passage;
            let at_ms = orphan.request.at_ms;
            let is_open = (sent.request.at_ms..=ended_at(sent)).contains(&at_ms);
            let similarity = words.similarity(&arrived);
            let fits = sent.operation == orphan.operation && is_open && similarity >= LEAST;
            let wants_stream = |body: &serde_json::Value| body["stream"] == true;
            let fit = || Fit {
                route: self.route.is_none() || self.route == orphan.route,
                model: words_of(pair.message.as_ref().map_or("", |message| &message.model))
                    .intersection(&words_of(&message.model))
                    .count(),
                stream: sent.request.body.json().is_some_and(wants_stream) == orphan.reply.stream
                    || orphan.reply.status != 200,
                similarity,
            };
            fits.then(|| (sent.number, fit()))
        });
        fits.max_by(|(_, one), (_, other)| one.total(other))
    }
}

/// How well a request at the provider fits a request of Claude Code.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fit {
    route: bool,
    /// The number of words that the alias and the provider's model id share.
    model: usize,
    stream: bool,
    /// The share of equal words, from 0 to 1.
    similarity: f64,
}

impl Fit {
    fn parts(&self, other: &Self) -> [Ordering; 4] {
        [
            self.route.cmp(&other.route),
            self.model.cmp(&other.model),
            self.stream.cmp(&other.stream),
            self.similarity.total_cmp(&other.similarity),
        ]
    }

    fn total(&self, other: &Self) -> Ordering {
        let [route, model, stream, similarity] = self.parts(other);
        route.then(model).then(stream).then(similarity)
    }

    /// `None` if each fits better in some part.
    fn compare(&self, other: &Self) -> Option<Ordering> {
        let parts = self.parts(other);
        match (
            parts.contains(&Ordering::Less),
            parts.contains(&Ordering::Greater),
        ) {
            (true, true) => None,
            (true, false) => Some(Ordering::Less),
            (false, true) => Some(Ordering::Greater),
            (false, false) => Some(Ordering::Equal),
        }
    }
}

/// The words of a request, in any order, with their numbers.
#[derive(Default)]
struct Words {
    counts: HashMap<String, usize>,
    total: usize,
}

impl Words {
    fn of(message: &MessageRequest) -> Self {
        let tools: Vec<_> = message.tools.iter().map(|tool| tool.parts()).collect();
        let text = json!([message.system, message.messages, tools]).to_string();
        let mut words = Self::default();
        for word in split(&text) {
            *words.counts.entry(word).or_default() += 1;
            words.total += 1;
        }
        words
    }

    fn similarity(&self, other: &Self) -> f64 {
        let shared: usize = self
            .counts
            .iter()
            .map(|(word, count)| (*count).min(other.counts.get(word).copied().unwrap_or_default()))
            .sum();
        2.0 * shared as f64 / (self.total + other.total).max(1) as f64
    }
}

fn words_of(text: &str) -> BTreeSet<String> {
    split(text).collect()
}

fn split(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|character: char| !character.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}
