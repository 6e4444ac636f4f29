//! Judges the evidence of a trial by the expectations of its cell.
//!
//! Pure. It knows no provider, gateway, `claude` or process, only the evidence they left. An expectation that cannot be
//! judged is reported as such, never as held.
#![warn(clippy::disallowed_methods)]

mod implied;

use crate::cells::Test;
use crate::evidence::Evidence;
use crate::expectation::{
    Check, Deviation, Expectation, Interest, REFUSED, RUN, Ruling, Scene, Trace, WORKAROUNDS,
};
use crate::findings::{Finding, FindingStatus, KnownForRun, Level, Subject, summary};
use crate::ids::{FeatureId, TrialName};
use crate::outcome::{CheckResult, EvidenceLine, Mismatch, Verdict};
use crate::wire::Direction;
use crate::wire_diff::{self, Change, Fate, Part, WireDiff};

/// The evaluation of one attempt at a trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Every expectation: first the implied ones, then the cell's, in order.
    pub judged: Vec<CheckResult>,
    /// The names of the expectations that are not written yet.
    pub unwritten: Vec<String>,
    /// Everything that does not hold: first what the gateway is not known to break, and of that first what a person notices.
    pub mismatches: Vec<Mismatch>,
    /// Everything that does not hold, once each.
    pub findings: Vec<Finding>,
    /// Each broken expectation, followed to the near side of the gateway, where both sides were recorded. Without the known
    /// ones if another is broken.
    pub traces: Vec<Trace>,
    /// The changes between the two sides of the gateway, where both were recorded. Without the known ones if something else
    /// is broken.
    pub diff: Option<WireDiff>,
    /// All changes, with the known ones: for the evidence.
    pub whole_diff: Option<WireDiff>,
}

/// Judges one attempt at the trial `name` of `test`.
pub fn judge(test: &Test, name: &TrialName, evidence: &Evidence, known: KnownForRun<'_>) -> Evaluation {
    let mut judge = Judge {
        name,
        evidence,
        known,
        evaluation: Evaluation::default(),
    };
    let diff = wire_diff::of_trial(evidence);
    let scene = Scene {
        prompts: &test.prompts,
        evidence,
        diff: diff.as_ref(),
    };
    for (name, deviations) in implied::judge(test, &name.tier, evidence) {
        judge.implied(name, deviations);
    }
    for expectation in test.expectations_on(&name.tier) {
        judge.one(expectation, &scene);
    }
    let mut evaluation = judge.evaluation;
    evaluation.diff.clone_from(&diff);
    evaluation.whole_diff = diff;
    evaluation.put_new_first(|change| known.status(&Subject::of_change(change), name).0);
    evaluation
}

impl Evaluation {
    /// The lines of the wire diff for a report: the changes that can explain the broken expectations first.
    pub fn wire_lines(&self) -> Vec<String> {
        let interests: Vec<Interest> = self.traces.iter().map(|trace| trace.interest.clone()).collect();
        let lines = |diff: &WireDiff| diff.lines(Interest::in_order(&interests, diff));
        self.diff.as_ref().map_or_else(Vec::new, lines)
    }

    /// Sorts the mismatches. A known finding must not explain a new one, so the known ones go if there is a new one.
    fn put_new_first(&mut self, status: impl Fn(&Change) -> FindingStatus) {
        let level = |name: &str| {
            let result = self.judged.iter().find(|result| result.name == name);
            result.map_or(Level::Feature, |result| result.level)
        };
        self.mismatches
            .sort_by_key(|mismatch| (mismatch.status, level(&mismatch.expectation)));
        let is_new = |name: &str| {
            let mut of_name = self.mismatches.iter().filter(|one| one.expectation == name);
            of_name.any(|mismatch| !mismatch.status.is_known())
        };
        if self.mismatches.iter().any(|mismatch| !mismatch.status.is_known()) {
            self.traces.retain(|trace| is_new(&trace.expectation));
            if let Some(diff) = &mut self.diff {
                diff.changes.retain(|change| !status(change).is_known());
            }
        }
    }
}

/// Something that is judged: a cell's expectation, or an implied one.
#[derive(Clone, Copy)]
struct Judged<'a> {
    name: &'a str,
    level: Level,
    expectation: Option<&'a Expectation>,
}

impl Judged<'_> {
    fn is_about_changes(&self) -> bool {
        self.expectation
            .is_some_and(|one| matches!(one.check, Check::Unchanged(_)))
    }
}

struct Judge<'a> {
    name: &'a TrialName,
    evidence: &'a Evidence,
    known: KnownForRun<'a>,
    evaluation: Evaluation,
}

impl Judge<'_> {
    fn implied(&mut self, name: &'static str, deviations: Vec<Deviation>) {
        let judged = Judged {
            name,
            level: match name {
                WORKAROUNDS | REFUSED => Level::Contract,
                _ => Level::Feature,
            },
            expectation: None,
        };
        let verdict = self.take(judged, Ruling::Judged(deviations));
        if verdict == Verdict::Broken && self.evidence.has_both_sides() {
            self.evaluation.traces.extend(implied::traces(name));
        }
    }

    fn one(&mut self, expectation: &Expectation, scene: &Scene<'_>) {
        let no_gateway = expectation.needs_gateway && !self.evidence.gateway;
        let no_provider = expectation.check.is_provider_side() && !self.evidence.is_simulated();
        let ruling = match no_gateway || no_provider {
            true => Ruling::NotJudged,
            false => expectation.check.judge(scene),
        };
        let judged = Judged {
            name: &expectation.name,
            level: expectation.level,
            expectation: Some(expectation),
        };
        let verdict = self.take(judged, ruling);
        if matches!(expectation.check, Check::Todo(_)) {
            self.evaluation.unwritten.push(expectation.name.clone());
        } else if verdict == Verdict::Broken && self.evidence.has_both_sides() {
            let trace = |interest: Interest, held_before: Option<bool>| Trace {
                expectation: expectation.name.clone(),
                interest,
                held_before,
            };
            let held_before = expectation.check.held_before(scene);
            let further = expectation.check.further_interest();
            let traces = &mut self.evaluation.traces;
            traces.push(trace(expectation.check.interest(), held_before));
            traces.extend(further.map(|interest| trace(interest, None)));
        }
    }

    /// Records the ruling on an expectation.
    fn take(&mut self, judged: Judged<'_>, ruling: Ruling) -> Verdict {
        let verdict = match ruling {
            Ruling::NotJudged => Verdict::NotJudged,
            Ruling::Judged(deviations) => {
                let subject = self.subject(judged);
                self.broken(judged, deviations.into_iter().map(|one| (subject.clone(), one)))
            }
            Ruling::Changed(changes) => self.broken(judged, changes.into_iter()),
        };
        self.evaluation.judged.push(CheckResult {
            name: judged.name.to_owned(),
            verdict,
            level: judged.level,
            clause: judged.expectation.and_then(|one| one.clause.clone()),
        });
        verdict
    }

    fn broken(
        &mut self,
        judged: Judged<'_>,
        deviations: impl Iterator<Item = (Subject, Deviation)>,
    ) -> Verdict {
        let mut verdict = Verdict::Held;
        for (subject, deviation) in deviations {
            verdict = Verdict::Broken;
            let status = self.found(judged, subject, &deviation);
            self.mismatch(judged, deviation, status);
        }
        verdict
    }

    /// Adds a finding, unless the trial has it already.
    fn found(&mut self, judged: Judged<'_>, subject: Subject, deviation: &Deviation) -> FindingStatus {
        let (status, known) = self.known.status(&subject, self.name);
        let is_consequence = matches!(subject, Subject::Expectation { .. })
            && judged.name != RUN
            && self.evaluation.is_broken(RUN);
        let mut findings = self.evaluation.findings.iter_mut();
        if let Some(finding) = findings.find(|finding| finding.subject == subject) {
            finding.level = finding.level.min(judged.level);
            return status;
        }
        let is_unwritten = judged
            .expectation
            .is_some_and(|one| matches!(one.check, Check::Todo(_)));
        if is_consequence || is_unwritten {
            return status;
        }
        self.evaluation.findings.push(Finding {
            level: judged.level,
            expectation: judged.name.to_owned(),
            summary: match judged.is_about_changes() {
                true => deviation.actual.clone(),
                false => deviation.summary.clone(),
            },
            loses: summary::loses(&subject, known),
            status,
            known: known.map(Into::into),
            subject,
        });
        status
    }

    /// Adds a mismatch. Changes of one expectation and status are one mismatch.
    fn mismatch(&mut self, judged: Judged<'_>, deviation: Deviation, status: FindingStatus) {
        let mut mismatches = self.evaluation.mismatches.iter_mut();
        let same = mismatches.find(|one| one.expectation == judged.name && one.status == status);
        if let Some(mismatch) = same.filter(|_| judged.is_about_changes()) {
            mismatch.actual = format!("{}; {}", mismatch.actual, deviation.actual);
            return;
        }
        self.evaluation.mismatches.push(Mismatch {
            expectation: judged.name.to_owned(),
            clause: judged.expectation.and_then(|one| one.clause.clone()),
            place: judged.expectation.map(|one| one.place.clone()),
            status,
            summary: deviation.summary,
            expected: deviation.expected,
            actual: deviation.actual,
            evidence: deviation.evidence.map(|(file, line)| EvidenceLine { file, line }),
        });
    }

    /// The subject of an expectation: of this row, or of every row if a file of all rows defines it. A lost beta is one
    /// finding, whether an expectation or the wire diff finds it.
    fn subject(&self, judged: Judged<'_>) -> Subject {
        if let Some(Check::Beta(beta)) = judged.expectation.map(|one| &one.check) {
            return Subject::Change {
                direction: Direction::Request,
                part: Part::Beta,
                path: beta.name.clone(),
                fate: Fate::Dropped,
            };
        }
        let is_of_every_row = judged.expectation.is_some_and(Expectation::is_of_every_row);
        let feature: &FeatureId = &self.name.cell.feature;
        Subject::Expectation {
            feature: (!is_of_every_row).then(|| feature.clone()),
            name: judged.name.to_owned(),
        }
    }
}

impl Evaluation {
    /// The change on the wire that explains the first mismatch that one can explain.
    pub fn first_divergence(&self) -> Option<&Change> {
        let diff = self.diff.as_ref()?;
        self.mismatches.iter().find_map(|mismatch| {
            let traces = self
                .traces
                .iter()
                .filter(|trace| trace.expectation == mismatch.expectation);
            let changes = traces.flat_map(|trace| trace.interest.of_diff(diff));
            changes.min_by_key(|change| (change.sent == 0, change.sent, change.direction))
        })
    }

    fn is_broken(&self, name: &str) -> bool {
        let mut judged = self.judged.iter();
        judged.any(|judged| judged.name == name && judged.verdict == Verdict::Broken)
    }
}
