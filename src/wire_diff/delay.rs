//! The delay that a gateway adds to each content delta of a stream: from its sending by the provider to its arrival in front
//! of the gateway, both on one clock. The order that lockstep proves says nothing about it.

use serde::Serialize;

use super::{Difference, Fate, Part, reply};
use crate::wire::exchange::{GatewayReply, ProviderReply};

/// The bound on half of the deltas of a lockstep stream, in milliseconds. A gateway needs a few; a busy machine adds some
/// hundreds to single deltas, not to half of them.
pub const TYPICAL_MS: u64 = 500;
/// The bound on each delta of any stream, in milliseconds: longer than a busy machine stops a process.
pub const LONGEST_MS: u64 = 10_000;

/// The path of the difference that a too long delay is.
pub const DELAY: &str = "each content delta";

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

/// The delay of each content delta, in milliseconds; empty if the gateway joined or split deltas. The time for which the
/// relay itself held the reply does not count.
pub(super) fn of_reply(given: &ProviderReply, back: &GatewayReply) -> Vec<u64> {
    let (sent, came) = (
        reply::deltas(&given.events, None),
        reply::deltas(&back.events, None),
    );
    if !(given.stream && back.stream) || sent.len() != came.len() {
        return Vec::new();
    }
    let released = back.released_at_ms.unwrap_or_default();
    let pairs = sent.iter().zip(came);
    pairs
        .map(|(sent, came)| came.saturating_sub(released.max(*sent)))
        .collect()
}

/// The deltas of a lockstep stream wait for each other, so a delay of each one shows in half of them. Those of another
/// stream queue up, so only the bound on the longest delay holds there.
pub(super) fn difference(given: &ProviderReply, back: &GatewayReply) -> Option<Difference> {
    let delay = DeltaDelay::of(of_reply(given, back))?;
    let late = |bound: u64, measured: String| {
        let bound = format!("at most {bound} ms");
        Difference::of(Part::Pace, DELAY, bound, measured).with_fate(Fate::Delayed)
    };
    if given.lockstep.is_some() && delay.median_ms > TYPICAL_MS {
        return Some(late(
            TYPICAL_MS,
            format!("{} ms for half of {}", delay.median_ms, delay.deltas),
        ));
    }
    (delay.longest_ms > LONGEST_MS).then(|| late(LONGEST_MS, format!("{} ms", delay.longest_ms)))
}
