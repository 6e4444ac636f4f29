//! `unchanged`: the gateway passed everything on unchanged.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::evidence::file;
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene};
use crate::findings::{Level, Subject};
use crate::text::clipped;
use crate::wire::{Direction, Operation};
use crate::wire_diff::{Change, DELAYS, Fate, Part};

/// Both sides: the gateway passed everything on unchanged, except for what every gateway may change (`wire-diff.txt` in a
/// trial's evidence lists both). `request`: from Claude Code to the provider.
/// `reply`: from the provider to Claude Code, except for the time of its events. Not judged in a live run.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(transparent)]
#[schemars(extend("examples" = ["request"]))]
pub struct UnchangedCheck(pub Direction);

impl Kind for UnchangedCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str = "A request or a reply does not arrive as it was sent.";

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
            // Expectations about the stream know the provider's pace, but not how long each delta may take.
            .filter(|change| change.what.part != Part::Pace || DELAYS.contains(&change.what.path.as_str()))
            .collect();
        let is_of_harness = |change: &&Change| {
            let sent = scene.evidence.sent.iter().find(|sent| sent.number == change.sent);
            sent.is_some_and(|sent| sent.request.is_of_harness())
        };
        let is_of_harness = !changes.is_empty() && changes.iter().all(is_of_harness);
        Ruling::Changed(self.deviations(&changes, is_of_harness))
    }

    fn level(&self) -> Level {
        Level::Contract
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest {
            direction: self.0,
            ..Interest::reply(EVERY, None)
        }]
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
    Part::Query,
    Part::Beta,
    Part::Header,
    Part::Credential,
    Part::Place,
    Part::Event,
    Part::Usage,
    Part::StopReason,
    Part::Prefix,
    Part::Pace,
];

impl UnchangedCheck {
    /// One deviation for each thing that changed, however often it did.
    fn deviations(&self, changes: &[&Change], is_of_harness: bool) -> Vec<(Subject, Deviation)> {
        let is_count = |change: &&Change| change.operation == Operation::CountTokens;
        let summary = match self.0 {
            Direction::Request if changes.iter().all(is_count) => {
                "the request for a token count did not reach the provider as it was sent"
            }
            Direction::Request if is_of_harness => {
                "the test's own request did not reach the provider as it was sent"
            }
            Direction::Request => "Claude Code's request did not reach the provider as it was sent",
            Direction::Reply if is_of_harness => {
                "the provider's reply to the test's own request did not come back as it was sent"
            }
            Direction::Reply => "the provider's reply did not come back to Claude Code as it was sent",
        };
        let mut seen = HashSet::new();
        let deviation = |change: &&Change| {
            let subject = Subject::of_change(change);
            let deviation = Deviation {
                summary: summary.into(),
                expected: "no change except for those that every gateway may make".into(),
                actual: clipped(&change.line()),
                evidence: Some(match (self.0, change.what.fate, change.exchange) {
                    (Direction::Request, Fate::Added, Some(exchange)) => {
                        (file::PROVIDER_EXCHANGES.into(), exchange)
                    }
                    _ => (file::GATEWAY_EXCHANGES.into(), change.sent),
                }),
            };
            seen.insert(subject.clone()).then_some((subject, deviation))
        };
        changes.iter().filter_map(deviation).collect()
    }
}
