//! The delay that a gateway adds to a request, to an answer and to each event of a stream: from its sending on one side of the
//! gateway to its arrival on the other side, both on one clock. The order that lockstep proves says nothing about it.

use serde::Serialize;
use serde_json::Value;

use super::pairing::Pair;
use super::{Difference, Fate, Part, deltas};
use crate::wire::exchange::{GatewayReply, ProviderReply, SentEvent};

/// The bound on half of the deltas of a lockstep stream, in milliseconds. A gateway needs a few; a busy machine adds some
/// hundreds to single deltas, not to half of them.
pub const TYPICAL_MS: u64 = 200;
/// The bound on each event of any stream, in milliseconds: more than ten times the longest delay of a correct gateway
/// (docs/performance.md).
pub const LONGEST_MS: u64 = 2_000;
/// The bound on a request and on an answer without a stream, in milliseconds. They are longer than an event, and may need a new
/// connection.
const WHOLE_MS: u64 = 6_000;

/// The paths of the difference that a too long delay is.
pub const DELAYS: [&str; 5] = [OF_DELTAS, OF_OTHERS, OF_REQUEST, OF_ANSWER, OF_END];

pub(super) const OF_DELTAS: &str = "each content delta";
pub(super) const OF_OTHERS: &str = "each other event";
pub(super) const OF_REQUEST: &str = "the request";
/// A whole answer, or its beginning.
pub(super) const OF_ANSWER: &str = "the answer";
/// The end of a stream after its last event.
pub(super) const OF_END: &str = "the end of the stream";

/// The other events, in the Messages API and in Converse. `metadata` has the token counts that `message_delta` needs.
const OTHERS: [[&str; 2]; 5] = [
    ["message_start", "messageStart"],
    ["content_block_start", "contentBlockStart"],
    ["content_block_stop", "contentBlockStop"],
    ["message_delta", "metadata"],
    ["message_stop", ""],
];

/// The delays of a trial's content deltas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DeltaDelay {
    pub deltas: usize,
    pub median_ms: u64,
    pub longest_ms: u64,
}

impl DeltaDelay {
    pub(super) fn of(mut delays: Vec<u64>) -> Option<Self> {
        delays.sort_unstable();
        Some(Self {
            deltas: delays.len(),
            median_ms: *delays.get(delays.len() / 2)?,
            longest_ms: *delays.last()?,
        })
    }
}

/// The delay of each content delta, in milliseconds; empty if the gateway lost or added deltas.
pub(super) fn of_reply(given: &ProviderReply, back: &GatewayReply) -> Vec<u64> {
    match deltas::are_shifted(given, back) {
        true => Vec::new(),
        false => delays(given, back, deltas::times),
    }
}

/// The delays of the events at `times`; none if both sides do not have equally many. Two times do not count: for which the relay
/// itself held the reply, and for which the machine had no CPU for the gateway or for this program.
fn delays(given: &ProviderReply, back: &GatewayReply, times: impl Fn(&[SentEvent]) -> Vec<u64>) -> Vec<u64> {
    let (sent, came) = (times(&given.events), times(&back.events));
    if !(given.stream && back.stream) || sent.len() != came.len() {
        return Vec::new();
    }
    let pairs = sent.iter().zip(came);
    pairs.map(|(sent, came)| delay(back, *sent, came)).collect()
}

/// The part of the time between two moments that is the gateway's.
fn delay(back: &GatewayReply, from_ms: u64, to_ms: u64) -> u64 {
    let released = back.released_at_ms.unwrap_or_default().min(to_ms);
    let held = released.saturating_sub(back.at_ms.max(from_ms));
    let passed = to_ms.saturating_sub(from_ms).saturating_sub(held);
    passed.saturating_sub(back.cpu_wait_ms(from_ms, to_ms))
}

/// A request of which the provider learned too late.
pub(super) fn of_request(pair: &Pair) -> Option<Difference> {
    let (exchange, back) = (pair.exchanges.first()?, pair.passage.reply.as_ref()?);
    let delay = delay(back, pair.passage.request.at_ms, exchange.request.at_ms);
    (delay > WHOLE_MS).then(|| late(OF_REQUEST, WHOLE_MS, format!("{delay} ms")))
}

/// An answer without a stream that came too late.
pub(super) fn of_answer(given: &ProviderReply, back: &GatewayReply) -> Option<Difference> {
    let (sent, came) = (given.events.last()?, back.events.last()?);
    let delay = delay(back, sent.at_ms, came.at_ms);
    (!given.stream && delay > WHOLE_MS).then(|| late(OF_ANSWER, WHOLE_MS, format!("{delay} ms")))
}

/// A stream that the gateway left open after its last event. Claude Code waits for its end before it goes on.
fn of_end(given: &ProviderReply, back: &GatewayReply) -> Option<Difference> {
    let is_whole = given.stream && back.stream && !given.cut_off && !back.cut_off;
    // Pings keep a stream open.
    let mut others = back
        .events
        .iter()
        .rev()
        .filter(|event| name(&event.data) != "ping");
    let delay = delay(back, others.next()?.at_ms, back.ended_at_ms?);
    let measured = || format!("{delay} ms after its last event");
    (is_whole && delay > LONGEST_MS).then(|| late(OF_END, LONGEST_MS, measured()))
}

fn late(path: &str, bound: u64, measured: String) -> Difference {
    let bound = format!("at most {bound} ms");
    Difference::of(Part::Pace, path, bound, measured).with_fate(Fate::Delayed)
}

/// The longest delay of the events with one of these pairs of names.
fn longest(given: &ProviderReply, back: &GatewayReply, kinds: &[[&str; 2]]) -> Option<u64> {
    let of_kind = |names: &[&str; 2]| {
        delays(given, back, |events| {
            let is_kind = |event: &&SentEvent| names.contains(&name(&event.data));
            events.iter().filter(is_kind).map(|event| event.at_ms).collect()
        })
    };
    kinds.iter().flat_map(of_kind).max()
}

/// An event's type in the Messages API, or its name in Converse.
fn name(event: &Value) -> &str {
    let in_converse = || event.as_object().and_then(|event| event.keys().next());
    event["type"]
        .as_str()
        .or_else(|| in_converse().map(String::as_str))
        .unwrap_or("unknown")
}

/// The deltas of a lockstep stream wait for each other, so a delay of each one shows in half of them. Those of another
/// stream queue up, so only the bound on the longest delay holds there.
pub(super) fn difference(given: &ProviderReply, back: &GatewayReply) -> Option<Difference> {
    let delay = DeltaDelay::of(of_reply(given, back));
    if let Some(delay) = delay.filter(|delay| given.lockstep.is_some() && delay.median_ms > TYPICAL_MS) {
        let measured = format!("{} ms for half of {}", delay.median_ms, delay.deltas);
        return Some(late(OF_DELTAS, TYPICAL_MS, measured));
    }
    let longest = [
        // What follows the late beginning is late too.
        (OF_ANSWER, longest(given, back, &OTHERS[..1])),
        (OF_DELTAS, delay.map(|delay| delay.longest_ms)),
        (OF_OTHERS, longest(given, back, &OTHERS[1..])),
    ];
    let of_events = longest.into_iter().find_map(|(path, longest)| {
        let longest = longest.filter(|longest| *longest > LONGEST_MS)?;
        Some(late(path, LONGEST_MS, format!("{longest} ms")))
    });
    of_events.or_else(|| of_end(given, back))
}
