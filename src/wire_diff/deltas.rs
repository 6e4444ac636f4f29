//! The content deltas of a stream: whether each one came, and in time.

use serde_json::Value;

use super::{Difference, Fate, Part};
use crate::transcript::DeltaKind;
use crate::wire::exchange::{GatewayReply, ProviderReply, SentEvent};
use crate::wire::script::LOCKSTEP_PATIENCE_MS;

/// The time between the provider's first and last delta, in milliseconds, from which a burst is the gateway's. A busy machine was seen
/// to stop a gateway for half a second.
const SPREAD_MS: u64 = 1_000;
/// A burst takes less than the provider's time divided by this.
const BURST: u64 = 4;

/// What a gateway did to the deltas of each kind: it lost, repeated or added some, or joined or split them.
pub(super) fn differences(given: &ProviderReply, back: &GatewayReply) -> Vec<Difference> {
    let kinds = [
        (DeltaKind::Text, "text deltas"),
        (DeltaKind::Thinking, "thinking deltas"),
        (DeltaKind::Input, "tool argument deltas"),
    ];
    let of_kind = |(kind, name)| {
        let texts = |events| -> Vec<&str> {
            let of_kind = pieces(events).filter(|(found, _)| *found == kind);
            of_kind.map(|(_, text)| text).collect()
        };
        let (sent, came) = (texts(&given.events), texts(&back.events));
        let is_same_text = sent.concat() == came.concat();
        let lost = || beside(&sent, &came).filter(|_| !is_same_text);
        let new = || beside(&came, &sent).filter(|_| !is_same_text);
        let (before, after, fate) = if !given.stream || sent.len() == came.len() {
            return None;
        } else if let Some(lost) = lost() {
            (lost.concat().into(), Value::Null, Fate::Dropped)
        } else if let Some(new) = new() {
            let is_sent = new.iter().all(|text| sent.contains(text));
            let fate = if is_sent { Fate::Repeated } else { Fate::Added };
            (Value::Null, new.concat().into(), fate)
        } else {
            let is_less = came.len() < sent.len();
            let fate = if is_less { Fate::Merged } else { Fate::Split };
            (sent.len().into(), came.len().into(), fate)
        };
        Some(Difference::of(Part::Event, name, before, after).with_fate(fate))
    };
    kinds.into_iter().filter_map(of_kind).collect()
}

/// What `all` has beside `some`; `None` if it does not have all of `some`, in the same order.
fn beside<'a>(all: &[&'a str], some: &[&str]) -> Option<Vec<&'a str>> {
    let mut due = some.iter().peekable();
    let rest = all.iter().filter(|text| due.next_if_eq(text).is_none());
    let rest = rest.copied().collect();
    due.next().is_none().then_some(rest)
}

/// The times of the content deltas.
pub(super) fn times(events: &[SentEvent]) -> Vec<u64> {
    let deltas = events.iter().filter(|event| delta(&event.data).is_some());
    deltas.map(|event| event.at_ms).collect()
}

fn pieces(events: &[SentEvent]) -> impl Iterator<Item = (DeltaKind, &str)> {
    events.iter().filter_map(|event| delta(&event.data))
}

/// Whether some deltas were lost or added, so that the times of the others cannot be compared by their order.
pub(super) fn are_shifted(given: &ProviderReply, back: &GatewayReply) -> bool {
    let is_shift = |found: &Difference| matches!(found.fate, Fate::Dropped | Fate::Added | Fate::Repeated);
    differences(given, back).iter().any(is_shift)
}

/// The kind and the text of a content delta, in the form of the Messages API or of Converse. An empty one carries nothing: a stream
/// of arguments may begin with one.
pub(super) fn delta(event: &Value) -> Option<(DeltaKind, &str)> {
    let places = [
        ("/delta/text", DeltaKind::Text),
        ("/delta/thinking", DeltaKind::Thinking),
        ("/delta/partial_json", DeltaKind::Input),
        ("/contentBlockDelta/delta/text", DeltaKind::Text),
        (
            "/contentBlockDelta/delta/reasoningContent/text",
            DeltaKind::Thinking,
        ),
        ("/contentBlockDelta/delta/toolUse/input", DeltaKind::Input),
    ];
    let mut places = places.into_iter();
    let found = places.find_map(|(place, kind)| Some((kind, event.pointer(place)?.as_str()?)));
    found.filter(|(_, text)| !text.is_empty())
}

/// A lockstep stream needs no clock: each delta must reach Claude Code before the provider sends the next one. The relay and
/// the simulator share a clock, so for other streams a burst shows in the times.
pub(super) fn pace(given: &ProviderReply, back: &GatewayReply) -> Option<Difference> {
    if are_shifted(given, back) {
        return None;
    }
    let (sent, came) = (times(&given.events), times(&back.events));
    match given.lockstep {
        Some(lockstep) if lockstep.is_held_back() && !is_passed_in_time(given, back) => {
            held_back(&sent, &came)
        }
        Some(_) => None,
        None => burst(&sent, &came),
    }
}

/// Whether the gateway passed on the first delta of a lockstep stream that Claude Code did not show in time, and left Claude Code at
/// least half of the provider's patience. The provider does not wait for the deltas after it.
pub(super) fn is_passed_in_time(given: &ProviderReply, back: &GatewayReply) -> bool {
    let Some(lockstep) = given.lockstep.filter(|lockstep| lockstep.is_held_back()) else {
        return false;
    };
    let (sent, came) = (times(&given.events), times(&back.events));
    let (Some(came), [sent, next, ..]) = (came.get(lockstep.seen), &sent[lockstep.seen.min(sent.len())..])
    else {
        return false;
    };
    came <= next && came.saturating_sub(*sent) <= LOCKSTEP_PATIENCE_MS / 2
}

fn held_back(sent: &[u64], came: &[u64]) -> Option<Difference> {
    let due = sent.len().saturating_sub(1);
    let pairs = came.iter().zip(sent.iter().skip(1));
    let in_time = pairs.filter(|(came, next)| came <= next).count();
    let before = format!("all {due}");
    let after = format!("{in_time} came before the next was sent,");
    (in_time < due).then(|| delayed(before, after))
}

fn delayed(before: String, after: String) -> Difference {
    Difference::of(Part::Pace, "content deltas", before, after).with_fate(Fate::Delayed)
}

fn burst(sent: &[u64], came: &[u64]) -> Option<Difference> {
    let spread = |times: &[u64]| match (times.first(), times.last()) {
        (Some(first), Some(last)) => last.saturating_sub(*first),
        _ => 0,
    };
    let (before, after) = (spread(sent), spread(came));
    (before >= SPREAD_MS && after < before / BURST).then(|| {
        delayed(
            format!("within {before} ms"),
            format!("they came within {after} ms,"),
        )
    })
}
