//! Judges the evidence of a trial by the expectations of its cell.
//!
//! Pure. It knows no provider, gateway, `claude` or process: only what they left behind. What it cannot judge it
//! says so of, never that it held.
#![warn(clippy::disallowed_methods)]

mod claude_side;
mod matcher;
mod provider_side;
mod trace;
mod unchanged;
mod value_tree;

use crate::evidence::{Behind, Evidence};
use crate::ids::TierId;
use crate::outcome::{CheckResult, EvidenceLine, KNOWN_FAILURES, Mismatch, Verdict};
use crate::spec::cell::Test;
use crate::spec::expectation::{Check, Expectation, KnownFailure};
use crate::wire_diff::interest::Interest;
use crate::wire_diff::{self, WireDiff};

pub use crate::spec::expectation::{IMPLIED, RUN, TRANSCRIPT, UNMATCHED, WORKAROUNDS};

pub use matcher::{Miss, refusal_shown};
pub use trace::Trace;

/// What became of each expectation, and what does not hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// Every expectation, those implied first, then in the cell's order.
    pub judged: Vec<CheckResult>,
    /// The names of those that are still to be written.
    pub unwritten: Vec<String>,
    /// What makes the trial fail; empty when it passes.
    pub mismatches: Vec<Mismatch>,
    /// Of what is broken, where the other side of the wire has been recorded: what it says.
    pub traces: Vec<Trace>,
    /// What differs between the two sides of the gateway, where both have been recorded.
    pub diff: Option<WireDiff>,
}

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    summary: String,
    expected: String,
    actual: String,
    evidence: Option<(String, usize)>,
}

enum Ruling {
    Judged(Vec<Finding>),
    /// It does not hold, in just the ways that the expectation itself declares.
    Known {
        reason: String,
        link: String,
    },
    /// It holds, but for declarations that no longer say the truth.
    Stale(Vec<Finding>),
    NotJudged,
}

/// Judges one attempt at a trial of `test` on `tier`.
pub fn judge(test: &Test, tier: &TierId, evidence: &Evidence) -> Judgement {
    let mut judgement = Judgement {
        diff: wire_diff::of_trial(evidence),
        ..Judgement::default()
    };
    for (name, findings) in implied(test, tier, evidence) {
        let known = test.known_failure_of_implied(name, tier);
        if judgement.take(name, None, known, Ruling::Judged(findings)) == Verdict::Broken
            && evidence.has_both_sides()
        {
            judgement.traces.extend(trace::of_implied(name));
        }
    }
    for expectation in test.expectations_on(tier) {
        let known = expectation
            .known_failure
            .as_ref()
            .filter(|known| known.applies_to(tier));
        let ruling = match expectation.needs_gateway && !evidence.gateway {
            true => Ruling::NotJudged,
            false => match &expectation.check {
                Check::Unchanged { way, except } => {
                    let except = except
                        .iter()
                        .filter(|(_, known)| known.applies_to(tier))
                        .collect();
                    unchanged::judge(*way, except, judgement.diff.as_ref())
                }
                check => rule(check, test, evidence),
            },
        };
        let verdict = judgement.take(&expectation.name, Some(expectation), known, ruling);
        if matches!(expectation.check, Check::Todo(_)) {
            judgement.unwritten.push(expectation.name.clone());
        } else if verdict == Verdict::Broken && evidence.has_both_sides() {
            let trace = trace::of_check(&expectation.name, &expectation.check, test, evidence);
            judgement.traces.push(trace);
        }
    }
    judgement
}

fn implied(test: &Test, tier: &TierId, evidence: &Evidence) -> Vec<(&'static str, Vec<Finding>)> {
    let may_fail = test
        .expectations_on(tier)
        .any(|expectation| matches!(expectation.check, Check::Exit(code) if code != 0));
    let mut implied = Vec::new();
    if !may_fail {
        implied.push((RUN, claude_side::run(test, evidence)));
    }
    implied.push((TRANSCRIPT, claude_side::transcript(evidence)));
    implied.push((WORKAROUNDS, claude_side::workarounds(evidence)));
    if evidence.behind == Behind::Simulated {
        implied.push((UNMATCHED, provider_side::unmatched(&evidence.exchanges)));
    }
    implied
}

fn rule(check: &Check, test: &Test, evidence: &Evidence) -> Ruling {
    if check.is_provider_side() {
        return match evidence.behind {
            Behind::Simulated => {
                Ruling::Judged(provider_side::judge(check, &test.prompts, &evidence.exchanges))
            }
            Behind::Live => Ruling::NotJudged,
        };
    }
    claude_side::judge(check, evidence)
}

impl Judgement {
    /// What on the wire can explain what is broken.
    pub fn interests(&self) -> Vec<Interest> {
        self.traces.iter().map(|trace| trace.interest.clone()).collect()
    }

    fn take(
        &mut self,
        name: &str,
        expectation: Option<&Expectation>,
        known: Option<&KnownFailure>,
        ruling: Ruling,
    ) -> Verdict {
        let clause = expectation.and_then(|expectation| expectation.clause.clone());
        let mismatch = |finding: Finding| Mismatch {
            expectation: name.to_owned(),
            clause: clause.clone(),
            place: expectation.map(|expectation| expectation.place.clone()),
            summary: finding.summary,
            expected: finding.expected,
            actual: finding.actual,
            evidence: finding.evidence.map(|(file, line)| EvidenceLine { file, line }),
        };
        let mut declared = known.map(|known| (known.reason.clone(), known.link.clone()));
        let verdict = match (ruling, known) {
            (Ruling::Known { reason, link }, _) => {
                declared.get_or_insert((reason, link));
                Verdict::KnownFailure
            }
            (Ruling::Stale(findings), _) => {
                self.mismatches
                    .extend(findings.into_iter().map(|finding| Mismatch {
                        expectation: format!("{KNOWN_FAILURES}{name}"),
                        ..mismatch(finding)
                    }));
                Verdict::UnexpectedlyHeld
            }
            (Ruling::NotJudged, _) => Verdict::NotJudged,
            (Ruling::Judged(findings), None) if findings.is_empty() => Verdict::Held,
            (Ruling::Judged(findings), None) => {
                self.mismatches.extend(findings.into_iter().map(mismatch));
                Verdict::Broken
            }
            (Ruling::Judged(findings), Some(known)) if findings.is_empty() => {
                self.mismatches.push(Mismatch {
                    expectation: format!("{KNOWN_FAILURES}{name}"),
                    place: Some(known.place.clone()),
                    ..mismatch(Finding {
                        summary: "a declared known failure holds now: remove its declaration".into(),
                        expected: format!("`{name}` to fail: {} ({})", known.reason, known.link),
                        actual: "it held".into(),
                        evidence: None,
                    })
                });
                Verdict::UnexpectedlyHeld
            }
            (Ruling::Judged(_), Some(_)) => Verdict::KnownFailure,
        };
        let (reason, link) = declared.unzip();
        self.judged.push(CheckResult {
            name: name.to_owned(),
            verdict,
            clause,
            reason,
            link,
        });
        verdict
    }
}
