//! Judges the evidence of a trial by the expectations of its cell.
//!
//! Pure. It knows no provider, gateway, `claude` or process, only the evidence they left. An expectation that cannot be
//! judged is reported as such, never as held.
#![warn(clippy::disallowed_methods)]

mod implied;

use std::collections::BTreeSet;

use implied::Implied;

use crate::cells::Test;
use crate::document::Place;
use crate::evidence::{Evidence, file};
use crate::expectation::{
    Check, Deviation, Expectation, Interest, RUN, Ruling, Scene, Trace, UNMATCHED, WORKAROUNDS,
    is_of_lost_request,
};
use crate::findings::{Finding, FindingStatus, KnownForRun, Level, Subject, loses};
use crate::ids::{FeatureId, TrialName};
use crate::outcome::{CheckResult, EvidenceLine, Mismatch, Verdict};
use crate::wire::client_format::ClientFormat;
use crate::wire::exchange::Matched;
use crate::wire::script::{Reply, ReplyBlock};
use crate::wire::{Direction, Operation};
use crate::wire_diff::{self, Change, Fate, Part, SECOND_HEADER, WireDiff};

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
    /// The first tool that a used reply of the cell calls and that no request of Claude Code offers.
    pub unoffered_tool: Option<UnofferedTool>,
    /// Each broken expectation, followed to the near side of the gateway, where both sides were recorded. Without the known
    /// ones if another is broken.
    pub traces: Vec<Trace>,
    /// The changes between the two sides of the gateway, where both were recorded. Without the known ones if something else
    /// is broken.
    pub diff: Option<WireDiff>,
    /// All changes, with the known ones: for the evidence.
    pub whole_diff: Option<WireDiff>,
    /// The numbers of the requests that the provider refused by a rule of its own.
    pub refused: Vec<usize>,
    /// The number of the last request that it answered; 0 if it answered none.
    pub answered: usize,
}

/// A tool that a reply of the cell calls in vain.
#[derive(Clone, Debug, PartialEq)]
pub struct UnofferedTool {
    pub name: String,
    /// Where the cell names it.
    pub place: Place,
    /// The tools that Claude Code offers.
    pub offered: BTreeSet<String>,
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
        workspace: &test.workspace,
        evidence,
        diff: diff.as_ref(),
    };
    for implied in implied::judge(test, &name.tier, evidence) {
        judge.implied(implied);
    }
    for expectation in test.expectations_on(&name.tier) {
        judge.one(expectation, &scene);
    }
    let mut evaluation = judge.evaluation;
    evaluation.unoffered_tool = unoffered_tool(test, evidence);
    let exchanges = evidence.exchanges.iter();
    let refused = exchanges
        .clone()
        .filter(|one| matches!(one.matched, Matched::Rejected { .. }));
    evaluation.refused = refused.map(|exchange| exchange.number).collect();
    let answered = exchanges.rev().find(|exchange| exchange.reply.status < 400);
    evaluation.answered = answered.map_or(0, |exchange| exchange.number);
    evaluation.diff.clone_from(&diff);
    evaluation.whole_diff = diff;
    evaluation.put_new_first(|change| known.status(&Subject::of_change(change), name).0);
    evaluation
}

/// Claude Code's own requests tell what it offers: no gateway could deliver a call of another tool. The token count is the
/// cell's request. If no answer reaches Claude Code, it cannot offer a tool that an answer finds.
fn unoffered_tool(test: &Test, evidence: &Evidence) -> Option<UnofferedTool> {
    let own = || (evidence.sent.iter()).filter(|sent| sent.operation == Operation::Messages);
    let has_answer = own().any(|sent| sent.reply.as_ref().is_some_and(|reply| reply.status < 400));
    let bodies = own().filter_map(|sent| sent.request.body.json());
    let tools = bodies.filter_map(|body| body["tools"].as_array()).flatten();
    let offered: BTreeSet<&str> = tools.filter_map(|tool| tool["name"].as_str()).collect();
    let used = evidence
        .exchanges
        .iter()
        .filter_map(|exchange| match exchange.matched {
            Matched::Script { reply } => test.script.replies.get(reply.checked_sub(1)?),
            _ => None,
        });
    let blocks = used.filter_map(|reply| match reply {
        Reply::Message(message) => Some(&message.content),
        Reply::Error(_) => None,
    });
    let name = blocks.flatten().find_map(|block| match block {
        ReplyBlock::ToolUse { name, .. } => Some(name).filter(|name| !offered.contains(name.as_str())),
        _ => None,
    })?;
    let (_, place) = test.called_tools.iter().find(|(called, _)| called == name)?;
    has_answer.then(|| UnofferedTool {
        name: name.clone(),
        place: place.clone(),
        offered: offered.into_iter().map(str::to_owned).collect(),
    })
}

impl Evaluation {
    /// The lines of the wire diff for a report: the changes that can explain the broken expectations first.
    pub fn wire_lines(&self) -> Vec<String> {
        let interests: Vec<Interest> = self.traces.iter().map(|trace| trace.interest.clone()).collect();
        let lines = |diff: &WireDiff| {
            let mut changes = Interest::in_order(&interests, diff);
            let first = self.first_divergence();
            changes.sort_by_key(|change| !first.is_some_and(|first| std::ptr::eq(first, *change)));
            diff.lines(changes)
        };
        self.diff.as_ref().map_or_else(Vec::new, lines)
    }

    /// Sorts the mismatches: another model first, because it explains other replies. A known finding must not explain a new
    /// one, so only the traces and changes of the first mismatch's status stay, and of newer ones.
    fn put_new_first(&mut self, status: impl Fn(&Change) -> FindingStatus) {
        let level = |name: &str| {
            let result = self.judged.iter().find(|result| result.name == name);
            result.map_or(Level::Feature, |result| result.level)
        };
        let mut mismatches = std::mem::take(&mut self.mismatches);
        mismatches.sort_by_key(|mismatch| {
            let name = &mismatch.expectation;
            let follows = name == UNMATCHED;
            (mismatch.status, !self.is_about_model(name), level(name), follows)
        });
        self.mismatches = mismatches;
        let place = |name: &str| self.mismatches.iter().position(|one| one.expectation == name);
        self.traces.sort_by_key(|trace| place(&trace.expectation));
        // They are sorted, the new ones first.
        let Some(newest) = self.mismatches.first().map(|mismatch| mismatch.status) else {
            return;
        };
        let is_as_new = |name: &str| {
            let mut of_name = self.mismatches.iter().filter(|one| one.expectation == name);
            of_name.any(|mismatch| mismatch.status <= newest)
        };
        self.traces.retain(|trace| is_as_new(&trace.expectation));
        if let Some(diff) = &mut self.diff {
            diff.changes.retain(|change| status(change) <= newest);
        }
    }
}

/// Something that is judged: a cell's expectation, or an implied one.
#[derive(Clone, Copy)]
struct Judged<'a> {
    name: &'a str,
    level: Level,
    expectation: Option<&'a Expectation>,
    /// Whether it is broken by changes on the wire.
    is_about_changes: bool,
    /// If it is broken: whether it held on the near side of the gateway, as far as that is known.
    held_before: Option<bool>,
}

impl Judged<'_> {
    /// What the user of Claude Code loses, in one sentence.
    fn loses(&self, subject: &Subject, deviation: &Deviation) -> &'static str {
        match (subject, self.expectation) {
            (
                Subject::Change {
                    direction,
                    part,
                    path,
                    fate,
                },
                _,
            ) => loses::loses(*direction, *part, path, *fate),
            (_, Some(expectation)) => expectation.check.loses(deviation),
            (_, None) => implied::loses(self.name),
        }
    }
}

struct Judge<'a> {
    name: &'a TrialName,
    evidence: &'a Evidence,
    known: KnownForRun<'a>,
    evaluation: Evaluation,
}

impl Judge<'_> {
    fn implied(&mut self, implied: Implied) {
        let name = implied.name;
        let judged = Judged {
            name,
            level: implied.level,
            expectation: None,
            is_about_changes: false,
            held_before: None,
        };
        let verdict = self.take(judged, Ruling::Judged(implied.deviations));
        if verdict == Verdict::Broken && self.evidence.has_both_sides() {
            self.evaluation.traces.extend(implied::traces(name));
        }
    }

    fn one(&mut self, expectation: &Expectation, scene: &Scene<'_>) {
        let no_gateway = expectation.needs_gateway && !self.evidence.gateway;
        let no_provider = expectation.check.is_provider_side() && !self.evidence.is_simulated();
        // Outside the row about it, a gateway may offer no token counts (llm-gateway-protocol#optional-endpoints-and-startup-traffic).
        let no_counts = matches!(expectation.check, Check::TokenCount(_))
            && expectation.level == Level::Contract
            && self.evidence.offers_no_counts();
        // In its own modes for cloud providers, Claude Code asks for no list of models.
        let no_list = matches!(&expectation.check, Check::GatewayRequest(check) if check.path == "/v1/models")
            && self.known.versions.client_format == ClientFormat::Provider;
        let ruling = match no_gateway || no_provider || no_counts || no_list {
            true => Ruling::NotJudged,
            false => expectation.check.judge(scene),
        };
        let is_broken = match &ruling {
            Ruling::NotJudged => false,
            Ruling::Judged(deviations) => !deviations.is_empty(),
            Ruling::Changed(changes) => !changes.is_empty(),
        };
        let is_traced = is_broken && self.evidence.has_both_sides();
        let judged = Judged {
            name: &expectation.name,
            level: expectation.level,
            expectation: Some(expectation),
            is_about_changes: matches!(ruling, Ruling::Changed(_)),
            held_before: is_traced.then(|| expectation.check.held_before(scene)).flatten(),
        };
        self.take(judged, ruling);
        if matches!(expectation.check, Check::Todo(_)) {
            self.evaluation.unwritten.push(expectation.name.clone());
        } else if is_traced {
            let mut held_before = judged.held_before;
            let interests = expectation.check.interests().into_iter();
            let exchanges = &self.evidence.exchanges;
            self.evaluation.traces.extend(interests.map(|interest| Trace {
                expectation: expectation.name.clone(),
                is_asked: {
                    let operation = interest.operation.unwrap_or(Operation::Messages);
                    exchanges.iter().any(|exchange| exchange.operation == operation)
                },
                interest,
                held_before: held_before.take(),
            }));
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
        if let Some(of_run) = self.consequence_of_run(judged, &subject, deviation) {
            return status.max(of_run);
        }
        let mut findings = self.evaluation.findings.iter_mut();
        if let Some(finding) = findings.find(|finding| finding.subject == subject) {
            finding.level = finding.level.min(judged.level);
            return status;
        }
        let is_unwritten = judged
            .expectation
            .is_some_and(|one| matches!(one.check, Check::Todo(_)));
        if is_unwritten {
            return status;
        }
        self.evaluation.findings.push(Finding {
            level: judged.level,
            expectation: judged.name.to_owned(),
            summary: match judged.is_about_changes {
                true => deviation.actual.clone(),
                false => deviation.summary.clone(),
            },
            loses: known.map_or_else(
                || judged.loses(&subject, deviation).to_owned(),
                |known| known.loses.clone(),
            ),
            status,
            known: known.map(Into::into),
            subject,
        });
        status
    }

    /// The status of the run's own failure, if `deviation` only follows from it. If the gateway is known to break the run, what
    /// the cell expects of a recorded request or reply does not follow from that, unless Claude Code did not send it either.
    fn consequence_of_run(
        &self,
        judged: Judged<'_>,
        subject: &Subject,
        deviation: &Deviation,
    ) -> Option<FindingStatus> {
        // A beta that no request can have follows from the run too.
        let is_own = matches!(subject, Subject::Change { .. }) && !is_of_lost_request(deviation);
        if judged.name == RUN || is_own {
            return None;
        }
        let mut mismatches = self.evaluation.mismatches.iter();
        let run = mismatches.find(|mismatch| mismatch.expectation == RUN)?;
        let recorded = [
            file::PROVIDER_EXCHANGES,
            file::GATEWAY_EXCHANGES,
            file::DIRECT_REPLY,
        ];
        let place = deviation.evidence.as_ref();
        let is_recorded =
            judged.expectation.is_some() && place.is_some_and(|(file, _)| recorded.contains(&file.as_str()));
        (run.status.is_new() || !is_recorded || judged.held_before == Some(false)).then_some(run.status)
    }

    /// Adds a mismatch. Changes of one expectation and status are one mismatch.
    fn mismatch(&mut self, judged: Judged<'_>, deviation: Deviation, status: FindingStatus) {
        let mut mismatches = self.evaluation.mismatches.iter_mut();
        let same = mismatches.find(|one| one.expectation == judged.name && one.status == status);
        if let Some(mismatch) = same.filter(|_| judged.is_about_changes) {
            mismatch.actual = format!("{}; {}", mismatch.actual, deviation.actual);
            return;
        }
        let mut mismatches = self.evaluation.mismatches.iter();
        let is_repeated = mismatches.any(|one| {
            one.expectation == judged.name
                && (&one.summary, &one.expected, &one.actual)
                    == (&deviation.summary, &deviation.expected, &deviation.actual)
        });
        if is_repeated {
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
            evidence: deviation
                .evidence
                .filter(|(file, line)| (1..=self.evidence.lines_of(file)).contains(line))
                .map(|(file, line)| EvidenceLine { file, line }),
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
    fn is_about_model(&self, expectation: &str) -> bool {
        // At a path that the provider does not have, the model is not the first fault.
        let mut changes = self.diff.iter().flat_map(|diff| &diff.changes);
        let astray = (Operation::Messages, Part::Request, Fate::Moved);
        let is_astray =
            changes.any(|change| (change.operation, change.what.part, change.what.fate) == astray);
        let mut traces = self.traces.iter();
        traces.any(|trace| {
            !is_astray
                && trace.expectation == expectation
                && trace.interest.is_of_model()
                && trace.held_before == Some(true)
                && self.never_arrived(trace).is_none()
                && trace.is_asked
        })
    }

    /// Whether the gateway asked for another model than Claude Code did, which explains all else.
    pub fn asks_for_another_model(&self) -> bool {
        let first = self.mismatches.first();
        first.is_some_and(|first| self.is_about_model(&first.expectation))
    }

    /// The request of an expectation, if the gateway did not forward it: then it asked for no model at all.
    pub fn never_arrived(&self, trace: &Trace) -> Option<&Change> {
        let operation = trace.interest.operation?;
        let mut changes = self.diff.as_ref()?.changes.iter();
        changes.find(|change| {
            change.what.part == Part::Request
                && matches!(change.what.fate, Fate::Dropped | Fate::Moved)
                && change.operation == operation
                && match trace.interest.turn {
                    Some(turn) => change.turn == turn,
                    // Other requests for a message may have arrived.
                    None => operation != Operation::Messages,
                }
        })
    }

    /// The gravest new change: a credential passed on, then a reply without its status or a part of its content. A header that
    /// was lost too matters less.
    fn gravest<'a>(&'a self, diff: &'a WireDiff) -> Option<&'a Change> {
        let explained = self.new_traces().flat_map(|trace| trace.interest.of_diff(diff));
        let grave = explained.filter_map(|change| Some((gravity(change)?, change)));
        let grave = grave.filter(|(_, change)| !self.is_overcome(change));
        let gravest = grave.min_by_key(|(gravity, change)| (*gravity, change.sent == 0, change.sent));
        gravest.map(|(_, change)| change)
    }

    fn new_traces(&self) -> impl Iterator<Item = &Trace> {
        self.traces.iter().filter(|trace| {
            let mut mismatches = self.mismatches.iter();
            mismatches.any(|mismatch| mismatch.expectation == trace.expectation && mismatch.status.is_new())
        })
    }

    /// The change on the wire that explains the first mismatch that one can explain. `None` if the request was for another
    /// model, which explains the others.
    pub fn first_divergence(&self) -> Option<&Change> {
        let diff = self.diff.as_ref()?;
        if let Some(change) = diff.without_key() {
            return diff.lost_with_the_key(change).or(Some(change));
        }
        // A body that cannot be read: all else follows.
        if let Some(change) = diff.changes.iter().find(|change| change.is_unreadable_body()) {
            let gravest = self.gravest(diff);
            return gravest
                .filter(|gravest| gravest.what.part == Part::Credential)
                .or(Some(change));
        }
        if self.asks_for_another_model() {
            return None;
        }
        let first = self.first_explained(diff);
        // An error in other words matters less than an answer that became an error.
        let light = [Part::Header, Part::Beta, Part::Query, Part::Error];
        let is_light = |change: &&Change| light.contains(&change.what.part);
        let change = match self.gravest(diff) {
            Some(gravest) if gravest.what.part == Part::Credential => Some(gravest),
            Some(gravest) if first.is_none_or(|first| is_light(&first) && !gravest.may_follow(first)) => {
                Some(gravest)
            }
            _ => first,
        }?;
        let earlier = diff
            .other_form(change)
            .or_else(|| diff.at_prefix(change))
            .or_else(|| diff.echoed(change))
            .or_else(|| diff.answered_twice(change));
        let change = earlier.unwrap_or(change);
        // A stream that ended early may have ended at an event that Claude Code could not read.
        let change = diff.broken_event(change).unwrap_or(change);
        Some(diff.broken_event(change).unwrap_or(change))
    }

    /// The change that explains the first mismatch that one can explain.
    fn first_explained<'a>(&'a self, diff: &'a WireDiff) -> Option<&'a Change> {
        self.mismatches.iter().find_map(|mismatch| {
            let traces = self
                .traces
                .iter()
                .filter(|trace| trace.expectation == mismatch.expectation);
            let changes = traces.flat_map(|trace| {
                let is_prefix = trace.interest.is_of_prefix();
                let changes = trace.interest.of_diff(diff).into_iter();
                changes.map(move |change| (change, is_prefix))
            });
            let first = changes.min_by_key(|(change, is_prefix)| {
                // What Claude Code did without explains the workaround itself, and no later failure.
                let is_later = mismatch.expectation != WORKAROUNDS && self.is_overcome(change);
                // Tokens that the gateway itself changed say nothing about the prompt.
                (
                    is_later,
                    change.sent == 0,
                    change.sent,
                    *is_prefix,
                    change.direction,
                )
            });
            first.map(|(change, _)| change)
        })
    }

    /// Whether it is about the reply to a request that the provider refused.
    pub fn is_of_refusal(&self, change: &Change) -> bool {
        let is_reply = change.direction == Direction::Reply;
        is_reply
            && change
                .exchange
                .is_some_and(|number| self.refused.contains(&number))
    }

    /// Whether it is about the reply to a refused request, after which Claude Code or the gateway went on without something.
    fn is_overcome(&self, change: &Change) -> bool {
        self.is_of_refusal(change) && change.exchange.is_some_and(|number| number < self.answered)
    }

    /// The first mismatch that `change` can explain: a new one, or a known one if all are known.
    pub fn explained_by(&self, change: &Change) -> Option<&str> {
        let status = self.mismatches.first()?.status;
        let mismatches = self
            .mismatches
            .iter()
            .filter(|mismatch| mismatch.status == status);
        let explained = mismatches.filter_map(|mismatch| {
            let traces = self
                .traces
                .iter()
                .filter(|trace| trace.expectation == mismatch.expectation);
            let takes = traces.filter(|trace| trace.interest.takes(change));
            let nearest = takes.map(|trace| trace.interest.first_turn).max()?;
            Some((mismatch, nearest))
        });
        // What Claude Code does after a fault says less than the fault. A reply explains its own prompt before an earlier one.
        let is_lost = change.is_lost_answer();
        let explained = explained.min_by_key(|(mismatch, first_turn)| {
            let is_there = is_lost && !mismatch.actual.starts_with("nothing");
            (
                mismatch.expectation == UNMATCHED,
                is_there,
                std::cmp::Reverse(*first_turn),
            )
        });
        explained.map(|(mismatch, _)| mismatch.expectation.as_str())
    }
}

/// How grave a change is, the gravest first; `None` for all others.
fn gravity(change: &Change) -> Option<u8> {
    let is_lost = change.what.fate == Fate::Dropped;
    match (change.direction, change.what.part) {
        (_, Part::Credential) if change.what.path != SECOND_HEADER => Some(0),
        (Direction::Reply, Part::Status) if change.is_lost_answer() => Some(1),
        (Direction::Reply, Part::Event | Part::Block | Part::StopReason) if is_lost => Some(1),
        _ => None,
    }
}
