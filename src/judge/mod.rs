//! Judges the evidence of a trial by the expectations of its cell.
//!
//! Pure. It knows no provider, gateway, `claude` or process, only the evidence they left. An expectation that cannot be
//! judged is reported as such, never as held.
#![warn(clippy::disallowed_methods)]

mod implied;

use crate::cells::Test;
use crate::evidence::Evidence;
use crate::expectation::{Check, Deviation, Expectation, Interest, KnownFailure, Ruling, Scene, Trace};
use crate::ids::TierId;
use crate::outcome::{Judged, KNOWN_FAILURES, Mismatch, Verdict};
use crate::wire_diff::{self, WireDiff};

/// The evaluation of one attempt at a trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Every expectation: first the implied ones, then the cell's, in order.
    pub judged: Vec<Judged>,
    /// The names of the expectations that are not written yet.
    pub unwritten: Vec<String>,
    /// The reasons why the trial fails; empty when it passes.
    pub mismatches: Vec<Mismatch>,
    /// Each broken expectation, followed to the near side of the gateway, where both sides were recorded.
    pub traces: Vec<Trace>,
    /// The changes between the two sides of the gateway, where both were recorded.
    pub diff: Option<WireDiff>,
}

/// Judges one attempt at a trial of `test` on `tier`.
pub fn judge(test: &Test, tier: &TierId, evidence: &Evidence) -> Evaluation {
    let diff = wire_diff::of_trial(evidence);
    let scene = Scene {
        prompts: &test.prompts,
        evidence,
        diff: diff.as_ref(),
        known_changes: test
            .known_changes
            .iter()
            .filter(|change| change.known.applies_to(tier))
            .collect(),
    };
    let mut evaluation = Evaluation::default();
    for (name, deviations) in implied::judge(test, tier, evidence) {
        let known = test.known_failure_of_implied(name, tier);
        let verdict = evaluation.take(name, None, known, Ruling::Judged(deviations));
        if verdict == Verdict::Broken && evidence.has_both_sides() {
            evaluation.traces.extend(implied::traces(name));
        }
    }
    for expectation in test.expectations_on(tier) {
        evaluation.judge_one(expectation, tier, &scene);
    }
    evaluation.diff = diff;
    evaluation
}

impl Evaluation {
    /// The lines of the wire diff for a report: the changes that can explain the broken expectations first.
    pub fn wire_lines(&self) -> Vec<String> {
        let interests: Vec<Interest> = self.traces.iter().map(|trace| trace.interest.clone()).collect();
        let lines = |diff: &WireDiff| diff.lines(Interest::in_order(&interests, diff));
        self.diff.as_ref().map_or_else(Vec::new, lines)
    }

    fn judge_one(&mut self, expectation: &Expectation, tier: &TierId, scene: &Scene<'_>) {
        let evidence = scene.evidence;
        let known = expectation
            .known_failure
            .as_ref()
            .filter(|known| known.applies_to(tier));
        let no_gateway = expectation.needs_gateway && !evidence.gateway;
        let no_provider = expectation.check.is_provider_side() && !evidence.is_simulated();
        let ruling = match no_gateway || no_provider {
            true => Ruling::NotJudged,
            false => expectation.check.judge(scene),
        };
        let verdict = self.take(&expectation.name, Some(expectation), known, ruling);
        if matches!(expectation.check, Check::Todo(_)) {
            self.unwritten.push(expectation.name.clone());
        } else if verdict == Verdict::Broken && evidence.has_both_sides() {
            self.traces.push(Trace {
                expectation: expectation.name.clone(),
                interest: expectation.check.interest(),
                held_before: expectation.check.held_before(scene),
            });
        }
    }

    /// Records the ruling on the expectation `name`.
    fn take(
        &mut self,
        name: &str,
        expectation: Option<&Expectation>,
        known: Option<&KnownFailure>,
        ruling: Ruling,
    ) -> Verdict {
        let clause = expectation.and_then(|expectation| expectation.clause.clone());
        let mismatch = |deviation: Deviation| Mismatch {
            expectation: name.to_owned(),
            clause: clause.clone(),
            place: expectation.map(|expectation| expectation.place.clone()),
            summary: deviation.summary,
            expected: deviation.expected,
            actual: deviation.actual,
            evidence: deviation.evidence,
        };
        let of_declaration = |mismatch: Mismatch| Mismatch {
            expectation: format!("{KNOWN_FAILURES}{name}"),
            ..mismatch
        };
        let mut declared = known.map(|known| (known.reason.clone(), known.link.clone()));
        let verdict = match (ruling, known) {
            (Ruling::Known { reason, link }, _) => {
                declared.get_or_insert((reason, link));
                Verdict::KnownFailure
            }
            (Ruling::Stale(deviations), _) => {
                let mismatches = deviations.into_iter().map(mismatch).map(of_declaration);
                self.mismatches.extend(mismatches);
                Verdict::UnexpectedlyHeld
            }
            (Ruling::NotJudged, _) => Verdict::NotJudged,
            (Ruling::Judged(deviations), None) if deviations.is_empty() => Verdict::Held,
            (Ruling::Judged(deviations), None) => {
                self.mismatches.extend(deviations.into_iter().map(mismatch));
                Verdict::Broken
            }
            (Ruling::Judged(deviations), Some(known)) if deviations.is_empty() => {
                self.mismatches.push(Mismatch {
                    place: Some(known.place.clone()),
                    ..of_declaration(mismatch(holds_now(name, known)))
                });
                Verdict::UnexpectedlyHeld
            }
            (Ruling::Judged(_), Some(_)) => Verdict::KnownFailure,
        };
        let (reason, link) = declared.unzip();
        self.judged.push(Judged {
            name: name.to_owned(),
            verdict,
            clause,
            reason,
            link,
        });
        verdict
    }
}

fn holds_now(name: &str, known: &KnownFailure) -> Deviation {
    Deviation {
        summary: "a declared known failure holds now: remove its declaration".into(),
        expected: format!("`{name}` to fail: {} ({})", known.reason, known.link),
        actual: "it held".into(),
        evidence: None,
    }
}
