//! `unchanged`: the gateway passed everything on as it was.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::evidence::file;
use crate::expectation::{Checker, Deviation, Interest, KnownChange, Ruling, Scene};
use crate::text::clipped;
use crate::wire::{Direction, Operation};
use crate::wire_diff::{Change, Part};

/// Both sides: the gateway passed everything on as it was, except for what every gateway may change and for the cell's
/// `known_changes` (`wire-diff.txt` in a trial's evidence lists both). `request`: from Claude Code to the provider.
/// `reply`: from the provider to Claude Code, except for the time of its events. Not judged in a live run.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(transparent)]
#[schemars(extend("examples" = ["request"]))]
pub struct UnchangedCheck(pub Direction);

impl Kind for UnchangedCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Provider;

    fn resolve(form: &Self, _: &mut Checker<'_>, _: &KeyPath) -> Option<Self> {
        Some(form.clone())
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let Some(diff) = scene.diff else {
            return Ruling::NotJudged;
        };
        let changes: Vec<&Change> = diff
            .changes
            .iter()
            .filter(|change| change.direction == self.0)
            // Expectations about the stream know the provider's pace.
            .filter(|change| change.operation == Operation::Messages && change.what.part != Part::Pace)
            .collect();
        let known: Vec<&KnownChange> = scene
            .known_changes
            .iter()
            .copied()
            .filter(|known| known.direction == self.0)
            .collect();
        let is_known = |change: &Change| known.iter().any(|known| known.what == change.what.path);
        let new: Vec<&Change> = changes
            .iter()
            .copied()
            .filter(|change| !is_known(change))
            .collect();
        if let Some(first) = new.first() {
            return Ruling::Judged(vec![self.changed(first, &new)]);
        }
        let shows = |known: &KnownChange| changes.iter().any(|change| change.what.path == known.what);
        let gone: Vec<Deviation> = known
            .iter()
            .filter(|known| !shows(known))
            .map(|known| unchanged_now(known))
            .collect();
        match known.first() {
            None => Ruling::Judged(Vec::new()),
            Some(_) if !gone.is_empty() => Ruling::Stale(gone),
            Some(first) => Ruling::Known {
                reason: reasons(&known),
                link: first.known.link.clone(),
            },
        }
    }

    fn interest(&self) -> Interest {
        Interest {
            direction: self.0,
            ..Interest::reply(EVERY, None)
        }
    }

    /// It compares with the near side.
    fn held_before(&self, _: &Scene<'_>) -> Option<bool> {
        Some(true)
    }
}

const EVERY: &[Part] = &[
    Part::Request,
    Part::Status,
    Part::Error,
    Part::Signature,
    Part::Block,
    Part::Tool,
    Part::Breakpoint,
    Part::Field,
    Part::Beta,
    Part::Header,
    Part::Event,
    Part::Usage,
    Part::StopReason,
    Part::Prefix,
];

impl UnchangedCheck {
    fn changed(&self, first: &Change, changes: &[&Change]) -> Deviation {
        let mut lines: Vec<String> = changes.iter().map(|change| change.line()).collect();
        lines.dedup();
        let summary = match self.0 {
            Direction::Request => "Claude Code's request did not reach the provider as it was sent",
            Direction::Reply => "the provider's reply did not come back to Claude Code as it was sent",
        };
        Deviation {
            summary: summary.into(),
            expected: "no change except for those that every gateway may make".into(),
            actual: clipped(&lines.join("; ")),
            evidence: Some((file::GATEWAY_EXCHANGES.into(), first.sent)),
        }
    }
}

/// A declared change that no longer shows is reported, so that a repaired gateway does not stay excused.
fn unchanged_now(change: &KnownChange) -> Deviation {
    let (what, known) = (&change.what, &change.known);
    Deviation {
        summary: "a declared known change no longer shows: remove it from `known_changes`".into(),
        expected: format!("`{what}` to be changed: {} ({})", known.reason, known.link),
        actual: "it arrived unchanged, or was not sent".into(),
        evidence: None,
    }
}

fn reasons(known: &[&KnownChange]) -> String {
    let reasons = known
        .iter()
        .map(|change| format!("`{}` changed: {}", change.what, change.known.reason));
    reasons.collect::<Vec<_>>().join("; ")
}
