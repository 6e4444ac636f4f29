//! `compat-results.json`: what a run found, one entry a finished trial.
//!
//! Pure. [`Results::from_records`] makes it from records, [`Results::to_text`] and [`Results::parse`] are its two
//! ways across the rim. Entries stand in the order of their names, whatever the order in which trials finished.

use crate::document::Place;
use std::collections::HashSet;
use std::path::Path;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json::{self, Contradiction, JsonError, SchemaVersion, timestamp};
use super::status::TrialResult;
use crate::evidence::Behind;
use crate::ids::{FeatureId, ProviderId, TierId, TrialName};
use crate::outcome::{Attempt, Cause, Failure, Judged, Mismatch, Outcome, RunRecord, TrialRecord};
use crate::report;
use crate::wire::Usage;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "compat-results.json")]
pub struct Results {
    /// The version of this layout.
    pub schema_version: SchemaVersion,
    /// What the run was made of.
    pub run: Run,
    /// One entry a finished trial, in the order of their names.
    pub results: Vec<Entry>,
}

/// What a run was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// What stood behind the gateway.
    pub behind: Behind,
    /// The gateway.
    pub gateway: Gateway,
    /// The version of Claude Code, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claude_code_version: Option<String>,
    /// When the run began.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub started_at: DateTime<Utc>,
    /// When the results were written.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub written_at: DateTime<Utc>,
    /// Whether every selected trial has finished; where each trial is a process of its own, every one that has begun.
    pub complete: bool,
    /// How many trials the project has.
    pub trials: usize,
    /// How many of them the run selected.
    pub selected: usize,
    /// Those of them that have not finished: under way, or lost with a run that was broken off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub unfinished: Vec<TrialName>,
}

/// The system under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// `litellm`, `attached` (one that already ran) or `none`.
    pub kind: String,
    /// Its version, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A finished trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The row.
    pub feature_id: FeatureId,
    /// The column.
    pub provider: ProviderId,
    /// The trial's name, `feature::provider::tier`.
    #[schemars(with = "String", regex(pattern = "^[^:]+::[^:]+::[^:]+$"))]
    pub nodeid: TrialName,
    /// The verdict.
    pub result: TrialResult,
    /// The tier.
    pub tier: TierId,
    /// The gateway's alias that `claude` asked for.
    pub model: String,
    /// Of a failure: whose fault it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Of a failure: the facts that decided the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of a failure: what to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Of a failure: what the gateway changed on the wire, a line each, what explains it first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wire: Vec<String>,
    /// Of a failure: what did not hold, the one that says most first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<MismatchEntry>,
    /// What became of each expectation; absent where nothing was run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expectations: Vec<Judged>,
    /// The attempts, in order; absent where nothing was run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptEntry>,
    /// Failed first, then passed.
    pub flaky: bool,
    /// Token counts that `claude` reported, of all attempts.
    pub usage: Usage,
    /// Cost in US dollars that `claude` reported, of all attempts.
    pub cost_usd: f64,
    /// Milliseconds from the first attempt's start to the verdict.
    pub duration_ms: u64,
    /// When the first attempt began.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub started_at: DateTime<Utc>,
    /// The trial's evidence folder, relative to the project's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// One attempt at a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttemptEntry {
    /// Milliseconds it took.
    pub duration_ms: u64,
    /// Why it failed; absent if it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureEntry>,
    /// Transient errors that `claude` itself retried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retries: Vec<RetryEntry>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailureEntry {
    /// Whose fault it is.
    pub cause: Cause,
    /// The facts that decided the cause.
    pub why: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What the gateway changed on the wire, a line each, what explains it first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wire: Vec<String>,
    /// What did not hold.
    pub mismatches: Vec<MismatchEntry>,
}

/// A transient error that `claude` itself retried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryEntry {
    /// The HTTP status.
    pub status: u16,
    /// The error's type.
    pub error: String,
}

/// One expectation that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MismatchEntry {
    /// The expectation's name.
    pub expectation: String,
    /// The contract clause it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// Where its text stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<PlaceEntry>,
    /// What broke, in one line.
    pub summary: String,
    /// What was expected.
    pub expected: String,
    /// What was found instead.
    pub actual: String,
    /// Where the evidence is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceLine>,
}

/// A place in a file of the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceEntry {
    /// The file, relative to the project's root.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
}

/// A line of the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceLine {
    /// A file of the trial's evidence folder.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
}

impl Results {
    /// Makes the file's content from what a run left behind.
    pub fn from_records(run: &RunRecord, trials: &[TrialRecord]) -> Self {
        let mut results: Vec<Entry> = trials.iter().map(Entry::from_record).collect();
        results.sort_by(|a, b| a.nodeid.cmp(&b.nodeid));
        Self {
            schema_version: SchemaVersion::One,
            run: Run {
                behind: run.behind,
                gateway: Gateway {
                    kind: run.gateway.clone(),
                    version: run.gateway_version.clone(),
                },
                claude_code_version: run.claude_code_version.clone(),
                started_at: run.started_at,
                written_at: run.written_at,
                complete: run.complete,
                trials: run.trials,
                selected: run.selected,
                unfinished: Vec::new(),
            },
            results,
        }
    }

    /// A run of which `selected` is to finish, and nothing has.
    pub fn begun(run: &RunRecord, selected: &[TrialName]) -> Self {
        let mut results = Self::from_records(run, &[]);
        results.run.selected = 0;
        results.begin(selected);
        results
    }

    /// Trials begin that the run selected. One that has a result already keeps it until it finishes again.
    pub fn begin(&mut self, selected: &[TrialName]) {
        let known: HashSet<&TrialName> = (self.results.iter().map(|entry| &entry.nodeid))
            .chain(&self.run.unfinished)
            .collect();
        let new: Vec<TrialName> = selected
            .iter()
            .filter(|name| !known.contains(name))
            .cloned()
            .collect();
        self.run.unfinished.extend(new);
        self.settle(false);
    }

    /// A trial finishes. If it had a result already, a runner that repeats what failed ran it again, and what came before
    /// is earlier attempts at the same trial.
    pub fn finish(&mut self, record: &TrialRecord) {
        let mut entry = Entry::from_record(record);
        self.run.unfinished.retain(|name| *name != entry.nodeid);
        match self
            .results
            .binary_search_by(|other| other.nodeid.cmp(&entry.nodeid))
        {
            Ok(index) => {
                entry.follow(self.results[index].clone());
                self.results[index] = entry;
            }
            Err(index) => self.results.insert(index, entry),
        }
        self.settle(false);
    }

    /// Brings what is counted in line with what is there; `ended` says that the run, as far as it is known, is over.
    pub fn settle(&mut self, ended: bool) {
        self.run.selected = self.results.len() + self.run.unfinished.len();
        self.run.complete = ended && self.run.unfinished.is_empty();
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        json::write(self)
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let results: Self = json::read(text)?;
        results
            .check()
            .map_err(|contradiction| contradiction.in_text(text))?;
        Ok(results)
    }

    /// Whether every trial of the project was selected and has finished.
    pub fn is_whole(&self) -> bool {
        self.run.complete && self.run.selected == self.run.trials
    }

    fn check(&self) -> Result<(), Contradiction> {
        let mut seen = HashSet::new();
        for (index, entry) in self.results.iter().enumerate() {
            let at = |field: &str| format!("results[{index}].{field}");
            entry.check(at)?;
            if !seen.insert(&entry.nodeid) {
                return Err(contradiction(
                    at("nodeid"),
                    format!("`{}` stands twice", entry.nodeid),
                ));
            }
        }
        self.run.check(self.results.len())
    }
}

impl Run {
    fn check(&self, finished: usize) -> Result<(), Contradiction> {
        let unfinished = self.unfinished.len();
        if unfinished > 0 && (self.complete || finished + unfinished != self.selected) {
            return Err(contradiction(
                "run.unfinished".into(),
                format!(
                    "{unfinished} trials, and {finished} results, of {} selected",
                    self.selected
                ),
            ));
        }
        if self.selected > self.trials {
            return Err(contradiction(
                "run.selected".into(),
                format!("{} trials of {} selected", self.selected, self.trials),
            ));
        }
        if finished > self.selected || (self.complete && finished != self.selected) {
            return Err(contradiction(
                "run.selected".into(),
                format!("{finished} results of {} selected trials", self.selected),
            ));
        }
        Ok(())
    }
}

fn contradiction(at: String, what: String) -> Contradiction {
    Contradiction { at, what }
}

impl Entry {
    fn from_record(record: &TrialRecord) -> Self {
        let failure = match &record.outcome {
            Outcome::Fail(failure) => Some(failure),
            Outcome::Pass | Outcome::NotApplicable(_) => None,
        };
        Self {
            feature_id: record.name.cell.feature.clone(),
            provider: record.name.cell.provider.clone(),
            nodeid: record.name.clone(),
            result: result_of(&record.outcome),
            tier: record.name.tier.clone(),
            model: record.model.clone(),
            cause: failure.map(|failure| failure.cause),
            why: failure.map(|failure| failure.why.clone()),
            next: failure.and_then(next_of),
            wire: failure.map_or_else(Vec::new, |failure| failure.wire.clone()),
            mismatches: failure.map_or_else(Vec::new, mismatches_of),
            expectations: record.judged.clone(),
            attempts: record.attempts.iter().map(AttemptEntry::from_attempt).collect(),
            flaky: record.is_flaky(),
            usage: record.usage,
            cost_usd: in_microdollars(record.cost_usd),
            duration_ms: record.duration_ms,
            started_at: record.started_at,
            evidence: record.evidence.as_deref().map(with_slashes),
        }
    }

    /// Takes what `earlier` has as the attempts before its own.
    fn follow(&mut self, earlier: Self) {
        self.attempts.splice(0..0, earlier.attempts);
        self.usage = [earlier.usage, self.usage].into_iter().sum();
        self.cost_usd += earlier.cost_usd;
        self.duration_ms += earlier.duration_ms;
        self.started_at = earlier.started_at;
        let has_failed = self.attempts.iter().any(|attempt| attempt.failure.is_some());
        self.flaky = has_failed && matches!(self.result, TrialResult::Pass {});
    }

    /// The failure as a value, for reports.
    pub fn failure(&self) -> Option<Failure> {
        let TrialResult::Fail { error } = &self.result else {
            return None;
        };
        let mut mismatches: Vec<Mismatch> = self.mismatches.iter().map(MismatchEntry::to_mismatch).collect();
        if mismatches.is_empty() {
            mismatches.push(Mismatch {
                expectation: "run".into(),
                clause: None,
                place: None,
                summary: error.clone(),
                expected: String::new(),
                actual: String::new(),
                evidence: None,
            });
        }
        Some(Failure {
            cause: self.cause.unwrap_or(Cause::Assertion),
            why: self.why.clone().unwrap_or_default(),
            next: self.next.clone().unwrap_or_default(),
            wire: self.wire.clone(),
            mismatches,
        })
    }

    fn check(&self, at: impl Fn(&str) -> String) -> Result<(), Contradiction> {
        let name = &self.nodeid;
        let parts = [
            ("feature_id", self.feature_id.as_str(), name.cell.feature.as_str()),
            ("provider", self.provider.as_str(), name.cell.provider.as_str()),
            ("tier", self.tier.as_str(), name.tier.as_str()),
        ];
        for (field, value, named) in parts {
            if value != named {
                let what = format!("`{value}` is not the `{named}` of the nodeid `{name}`");
                return Err(contradiction(at(field), what));
            }
        }
        let failed = matches!(self.result, TrialResult::Fail { .. });
        if failed != self.cause.is_some() {
            let what = if failed {
                "a failure has a `cause`"
            } else {
                "only a failure has a `cause`"
            };
            return Err(contradiction(at("cause"), what.into()));
        }
        if self.flaky && !matches!(self.result, TrialResult::Pass {}) {
            return Err(contradiction(at("flaky"), "only a pass is flaky".into()));
        }
        Ok(())
    }
}

fn result_of(outcome: &Outcome) -> TrialResult {
    match outcome {
        Outcome::Pass => TrialResult::Pass {},
        Outcome::Fail(failure) => TrialResult::Fail {
            error: report::failure_in_short(failure),
        },
        Outcome::NotApplicable(reason) => TrialResult::NotApplicable {
            reason: reason.clone(),
        },
    }
}

/// Rounded to what is worth telling; JSON has no other numbers than finite ones.
fn in_microdollars(cost: f64) -> f64 {
    if cost.is_finite() {
        (cost * 1e6).round() / 1e6
    } else {
        0.0
    }
}

fn next_of(failure: &Failure) -> Option<String> {
    Some(failure.next.clone()).filter(|next| !next.is_empty())
}

fn mismatches_of(failure: &Failure) -> Vec<MismatchEntry> {
    failure
        .mismatches
        .iter()
        .map(MismatchEntry::from_mismatch)
        .collect()
}

fn with_slashes(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/").replace("//", "/")
}

impl AttemptEntry {
    fn from_attempt(attempt: &Attempt) -> Self {
        Self {
            duration_ms: attempt.duration_ms,
            failure: attempt.failure.as_ref().map(|failure| FailureEntry {
                cause: failure.cause,
                why: failure.why.clone(),
                next: next_of(failure),
                wire: failure.wire.clone(),
                mismatches: mismatches_of(failure),
            }),
            retries: attempt
                .retries
                .iter()
                .map(|(status, error)| RetryEntry {
                    status: *status,
                    error: error.clone(),
                })
                .collect(),
        }
    }
}

impl FailureEntry {
    /// The failure in a few lines.
    pub fn in_short(&self) -> String {
        report::failure_in_short(&self.to_failure())
    }

    /// The failure as a value, for reports.
    pub fn to_failure(&self) -> Failure {
        Failure {
            cause: self.cause,
            why: self.why.clone(),
            next: self.next.clone().unwrap_or_default(),
            wire: self.wire.clone(),
            mismatches: self.mismatches.iter().map(MismatchEntry::to_mismatch).collect(),
        }
    }
}

impl MismatchEntry {
    fn from_mismatch(mismatch: &Mismatch) -> Self {
        Self {
            expectation: mismatch.expectation.clone(),
            clause: mismatch.clause.clone(),
            place: mismatch.place.as_ref().map(|place| PlaceEntry {
                file: with_slashes(&place.file),
                line: place.line,
                column: place.column,
            }),
            summary: mismatch.summary.clone(),
            expected: mismatch.expected.clone(),
            actual: mismatch.actual.clone(),
            evidence: mismatch
                .evidence
                .clone()
                .map(|(file, line)| EvidenceLine { file, line }),
        }
    }

    fn to_mismatch(&self) -> Mismatch {
        Mismatch {
            expectation: self.expectation.clone(),
            clause: self.clause.clone(),
            place: self.place.as_ref().map(|place| Place {
                file: place.file.clone().into(),
                line: place.line,
                column: place.column,
            }),
            summary: self.summary.clone(),
            expected: self.expected.clone(),
            actual: self.actual.clone(),
            evidence: self
                .evidence
                .clone()
                .map(|evidence| (evidence.file, evidence.line)),
        }
    }
}
