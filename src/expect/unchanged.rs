//! Whether what went into the gateway came out of it as it was.

use super::{Finding, Ruling, clipped};
use crate::evidence::Evidence;
use crate::wire::Operation;
use crate::wire_diff::{self, Change, Direction, Part};

/// When something came is for checks that know the provider's pace: no clock is compared here.
pub(super) fn judge(way: Direction, except: &[String], evidence: &Evidence) -> Ruling {
    let Some(diff) = wire_diff::of_trial(evidence) else {
        return Ruling::NotJudged;
    };
    let is_fault = |change: &&Change| {
        change.direction == way
            && change.operation == Operation::Messages
            && change.what.part != Part::Pace
            && !except.contains(&change.what.path)
    };
    let changes: Vec<&Change> = diff.changes.iter().filter(is_fault).collect();
    let Some(first) = changes.first() else {
        return Ruling::Judged(Vec::new());
    };
    let mut told: Vec<String> = changes.iter().map(|change| change.told()).collect();
    told.dedup();
    let summary = match way {
        Direction::Request => "what Claude Code sent did not reach the provider as it was",
        Direction::Reply => "what the provider answered did not come back to Claude Code as it was",
    };
    Ruling::Judged(vec![Finding {
        summary: summary.into(),
        expected: "no difference but what every gateway may change".into(),
        actual: clipped(&told.join("; ")),
        evidence: Some(("sent.jsonl".into(), first.sent)),
    }])
}
