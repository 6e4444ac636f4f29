//! Whether what went into the gateway came out of it as it was.

use super::{Finding, Ruling};
use crate::spec::expectation::KnownFailure;
use crate::text::clipped;
use crate::wire::Operation;
use crate::wire_diff::{Change, Direction, Part, WireDiff};

/// What is known to change, by the name that the wire diff has for it.
type Known = (String, KnownFailure);

/// When something came is for checks that know the provider's pace: no clock is compared here.
pub(super) fn judge(way: Direction, except: Vec<&Known>, diff: Option<&WireDiff>) -> Ruling {
    let Some(diff) = diff else {
        return Ruling::NotJudged;
    };
    let changes: Vec<&Change> = diff
        .changes
        .iter()
        .filter(|change| change.direction == way)
        .filter(|change| change.operation == Operation::Messages && change.what.part != Part::Pace)
        .collect();
    let is_known = |change: &Change| except.iter().any(|(what, _)| *what == change.what.path);
    let faults: Vec<&Change> = changes
        .iter()
        .copied()
        .filter(|change| !is_known(change))
        .collect();
    if let Some(first) = faults.first() {
        return Ruling::Judged(vec![changed(way, first, &faults)]);
    }
    let shows = |(what, _): &Known| changes.iter().any(|change| change.what.path == *what);
    let gone: Vec<Finding> = except
        .iter()
        .filter(|known| !shows(known))
        .map(|known| unchanged_now(known))
        .collect();
    match (except.first(), gone.is_empty()) {
        (None, _) => Ruling::Judged(Vec::new()),
        (_, false) => Ruling::Stale(gone),
        (Some(first), true) => Ruling::Known {
            reason: joined(
                except
                    .iter()
                    .map(|(what, known)| format!("`{what}` changed: {}", known.reason)),
            ),
            link: first.1.link.clone(),
        },
    }
}

fn changed(way: Direction, first: &Change, faults: &[&Change]) -> Finding {
    let mut told: Vec<String> = faults.iter().map(|change| change.told()).collect();
    told.dedup();
    Finding {
        summary: match way {
            Direction::Request => "what Claude Code sent did not reach the provider as it was",
            Direction::Reply => "what the provider answered did not come back to Claude Code as it was",
        }
        .into(),
        expected: "no difference but what every gateway may change".into(),
        actual: clipped(&told.join("; ")),
        evidence: Some(("sent.jsonl".into(), first.sent)),
    }
}

/// What a gateway mends must not stay excused.
fn unchanged_now((what, known): &Known) -> Finding {
    Finding {
        summary: "a declared known change no longer shows: remove it from `except`".into(),
        expected: format!("`{what}` to be changed: {} ({})", known.reason, known.link),
        actual: "it came out as it went in, or was not sent".into(),
        evidence: None,
    }
}

fn joined(reasons: impl Iterator<Item = String>) -> String {
    reasons.collect::<Vec<_>>().join("; ")
}
