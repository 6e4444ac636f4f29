//! `compat-results.json`: the results of a run, one record per finished trial, sorted by name.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json::{self, Contradiction, JsonError, SchemaVersion, timestamp};
use super::spending::Spending;
use super::status::TrialResult;
use crate::catalogue::DEFAULT;
use crate::cells::{Manifest, ProxyConfig};
use crate::evidence::Behind;
use crate::expectation::RUN;
use crate::findings::summary::{self, RunFinding};
use crate::findings::{Finding, Level, Subject, Versions};
use crate::ids::{CellId, FeatureId, ProviderId, TierId, TrialName};
use crate::isolation::IsolationLevel;
use crate::outcome::{Attempt, Cause, CheckResult, Failure, Mismatch, Outcome, TrialVerdict, Verdict};
use crate::report;
use crate::wire::Usage;
use crate::wire::client_format::ClientFormat;

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "compat-results.json")]
pub struct Results {
    /// The version of this layout.
    pub schema_version: SchemaVersion,
    /// The conditions of the run.
    pub run: RunRecord,
    /// What the gateway breaks, once each; features first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<RunFinding>,
    /// One entry for each finished trial, in the order of their names.
    pub results: Vec<TrialRecord>,
}

/// The conditions of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// The run's name: its folder below `target/compat/runs`; absent in results that were merged from several runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The providers behind the gateway.
    pub behind: Behind,
    /// Whether it went as a live run, with a simulator that answers like a model in place of the providers. Their side is not
    /// judged then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rehearsal: bool,
    /// What a live run has cost, with the runs that it reran, by the prices of `prices.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Spending>,
    /// The gateway.
    pub gateway: GatewayRecord,
    /// The version of Claude Code, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claude_code_version: Option<String>,
    /// How strongly each `claude` was confined; absent where none was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<IsolationLevel>,
    /// When the run began.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub started_at: DateTime<Utc>,
    /// When the results were written.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub written_at: DateTime<Utc>,
    /// Of a run that was rerun: the milliseconds that both took, without the time between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_ms: Option<u64>,
    /// The API in which `claude` called the gateway, if it was not the Messages API: `passthrough` or `provider`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_format: Option<String>,
    /// The cells that a run of this kind cannot have, with the reason of each: a live run, a run without a gateway, or one in another
    /// API.
    #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
    pub left_out: LeftOut,
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

/// Why a run has no verdict on a cell, in a sentence, by feature and provider.
pub type LeftOut = BTreeMap<FeatureId, BTreeMap<ProviderId, String>>;

/// In place of a version.
pub const UNKNOWN_VERSION: &str = "of unknown version";

/// The system under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayRecord {
    /// `litellm`, `catalogue` (another one of `gateways/`), `attached` (one that already ran: its configuration is unknown, so the
    /// location on Vertex AI, the quota project and the geography on Bedrock are not compared) or `none`.
    pub kind: String,
    /// Its name, if it is known. The known findings are those of `gateways/<name>.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its configuration, as `gateways/<name>.yaml` names it; absent for the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// The switches and numbers of its configuration, `litellm_settings.drop_params: true`. Texts are left out, since they may be
    /// secret. Empty if the run did not configure it from `proxy_config.yaml`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Value>,
    /// The provider's name of the model behind each of its aliases, as far as it is known. An ARN is left out: it contains the
    /// number of an account.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, String>,
}

/// A finished trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialRecord {
    /// The row.
    pub feature_id: FeatureId,
    /// The column.
    pub provider: ProviderId,
    /// The trial's name, `feature::provider::tier`.
    #[schemars(with = "String", regex(pattern = "^[^:]+::[^:]+::[^:]+$"))]
    pub nodeid: TrialName,
    /// The flags of its run that say what was tested: `--gateway portkey`. Empty for the pinned LiteLLM and Claude Code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub flags: String,
    /// Whether the feature works.
    pub result: TrialResult,
    /// Whether the feature works and the gateway keeps the contract; absent where nothing was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<TrialVerdict>,
    /// What the gateway breaks, once each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The tier.
    pub tier: TierId,
    /// The gateway's alias that `claude` asked for.
    pub model: String,
    /// Whose fault it is; absent where everything held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The facts that decided the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of the gateway's fault: the first change on the wire that explains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headline: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The gateway's changes on the wire, a line each; those that explain the failure come first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wire: Vec<String>,
    /// Everything that did not hold, new findings first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<Mismatch>,
    /// The judgement of each expectation; absent where nothing was run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expectations: Vec<CheckResult>,
    /// The attempts, in order; absent where nothing was run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// It passed after an attempt that failed, or that broke the contract otherwise.
    pub flaky: bool,
    /// Token counts that `claude` reported, of all attempts.
    pub usage: Usage,
    /// Cost in US dollars that `claude` reported, of all attempts.
    pub cost_usd: f64,
    /// Milliseconds from the first attempt's start to the verdict.
    pub duration_ms: u64,
    /// Milliseconds that its requests, and Claude Code before a repetition, waited for the limits of a live provider; not part of
    /// `duration_ms`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_ms: u64,
    /// When the first attempt began.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub started_at: DateTime<Utc>,
    /// The trial's evidence folder, relative to the project's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

impl Results {
    /// The file of a run; `results` may be in any order.
    pub fn new(run: RunRecord, mut results: Vec<TrialRecord>) -> Self {
        results.sort_by(|a, b| a.nodeid.cmp(&b.nodeid));
        Self {
            schema_version: SchemaVersion::One,
            run,
            findings: Self::findings_of(&results),
            results,
        }
    }

    fn findings_of(results: &[TrialRecord]) -> Vec<RunFinding> {
        summary::of_trials(results.iter().map(|trial| (&trial.nodeid, &trial.findings[..])))
    }

    /// Adds `selected` to the trials that the run has to finish. A trial that has a result keeps it until it finishes
    /// again.
    pub fn begin(&mut self, selected: &[TrialName]) {
        let known: HashSet<&TrialName> = (self.results.iter().map(|trial| &trial.nodeid))
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

    /// Adds a finished trial. If it already has a result, the runner has repeated it: the attempts of both are kept.
    pub fn finish(&mut self, mut trial: TrialRecord) {
        self.run.unfinished.retain(|name| *name != trial.nodeid);
        match self
            .results
            .binary_search_by(|other| other.nodeid.cmp(&trial.nodeid))
        {
            Ok(index) => {
                trial.follow(self.results[index].clone());
                self.results[index] = trial;
            }
            Err(index) => self.results.insert(index, trial),
        }
        self.settle(false);
    }

    /// Updates the counts and the findings of the run; `ended` says that no trial is left to begin.
    pub fn settle(&mut self, ended: bool) {
        self.run.selected = self.results.len() + self.run.unfinished.len();
        self.run.complete = ended && self.run.unfinished.is_empty();
        self.findings = Self::findings_of(&self.results);
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
        for (index, trial) in self.results.iter().enumerate() {
            let at = |field: &str| format!("results[{index}].{field}");
            trial.check(at)?;
            if !seen.insert(&trial.nodeid) {
                let what = format!("`{}` is there twice", trial.nodeid);
                return Err(Contradiction::new(at("nodeid"), what));
            }
        }
        self.run.check(self.results.len())
    }
}

/// ` (client format NAME)`; empty for the Messages API.
pub fn client_format_in_words(format: Option<&String>) -> String {
    format.map_or_else(String::new, |name| format!(" (client format {name})"))
}

impl GatewayRecord {
    /// The name of its configuration.
    pub fn configuration_name(&self) -> &str {
        self.configuration.as_deref().unwrap_or(DEFAULT)
    }

    /// Name, version and configuration: `portkey 1.15.2 (configuration cached)`; `no gateway`.
    pub fn in_words(&self) -> String {
        if self.kind == "none" {
            return "no gateway".to_owned();
        }
        let name = self.name.as_ref().unwrap_or(&self.kind);
        let version = self.version.as_deref().unwrap_or(UNKNOWN_VERSION);
        format!("{name} {version}{}", self.configuration_in_words())
    }

    /// ` (configuration NAME)`; empty for the usual one.
    pub fn configuration_in_words(&self) -> String {
        let name = self.configuration.as_ref();
        name.map_or_else(String::new, |name| format!(" (configuration {name})"))
    }

    /// Takes settings and models from the gateway's configuration. An ARN is left out: the results are published, and it contains
    /// the number of an account.
    pub fn configured_by(&mut self, config: &ProxyConfig, manifest: &Manifest) {
        self.settings.clone_from(config.settings());
        let columns = manifest.providers.iter();
        let aliases = columns.flat_map(|provider| {
            let tiers = manifest.tiers.iter();
            tiers.filter_map(move |tier| manifest.alias(provider, &tier.id))
        });
        let models = aliases.filter_map(|alias| config.model(&alias).map(|model| (alias, model)));
        self.models = models.filter(|(_, model)| !model.starts_with("arn:")).collect();
    }

    /// Its switches and numbers, `litellm_settings.drop_params: true`; `None` if they are not known.
    pub fn settings_in_words(&self) -> Option<String> {
        let settings = self.settings.iter();
        let settings: Vec<String> = settings.map(|(name, value)| format!("{name}: {value}")).collect();
        (!settings.is_empty()).then(|| settings.join(", "))
    }
}

impl RunRecord {
    /// How long it ran.
    pub fn duration(&self) -> Duration {
        let of_one = || (self.written_at - self.started_at).to_std().unwrap_or_default();
        self.ran_ms.map_or_else(of_one, Duration::from_millis)
    }

    pub fn versions(&self) -> Versions<'_> {
        Versions {
            gateway: self.gateway.version.as_deref(),
            claude_code: self.claude_code_version.as_deref(),
            configuration: self.gateway.configuration.as_deref(),
            client_format: self
                .client_format
                .as_deref()
                .map(ClientFormat::called)
                .unwrap_or_default(),
        }
    }

    /// Why the run has no verdict on a cell, if that is known.
    pub fn why_left_out(&self, cell: &CellId) -> Option<&String> {
        self.left_out.get(&cell.feature)?.get(&cell.provider)
    }

    fn check(&self, finished: usize) -> Result<(), Contradiction> {
        let Self { selected, trials, .. } = self;
        let unfinished = self.unfinished.len();
        if unfinished > 0 && (self.complete || finished + unfinished != *selected) {
            let what = format!("{unfinished} trials, and {finished} results, of {selected} selected");
            return Err(Contradiction::new("run.unfinished", what));
        }
        if selected > trials {
            let what = format!("{selected} trials of {trials} selected");
            return Err(Contradiction::new("run.selected", what));
        }
        if finished > *selected || (self.complete && finished != *selected) {
            let what = format!("{finished} results of {selected} selected trials");
            return Err(Contradiction::new("run.selected", what));
        }
        Ok(())
    }
}

impl TrialRecord {
    /// A trial without attempts; `outcome` says why it was not run.
    pub fn new(name: &TrialName, model: &str, outcome: &Outcome, started_at: DateTime<Utc>) -> Self {
        let mut trial = Self {
            feature_id: name.cell.feature.clone(),
            provider: name.cell.provider.clone(),
            nodeid: name.clone(),
            flags: String::new(),
            result: TrialResult::Pass {},
            verdict: None,
            findings: Vec::new(),
            tier: name.tier.clone(),
            model: model.to_owned(),
            cause: None,
            why: None,
            headline: None,
            next: None,
            wire: Vec::new(),
            mismatches: Vec::new(),
            expectations: Vec::new(),
            attempts: Vec::new(),
            flaky: false,
            usage: Usage::default(),
            cost_usd: 0.0,
            duration_ms: 0,
            waited_ms: 0,
            started_at,
            evidence: None,
        };
        trial.conclude(outcome);
        trial
    }

    /// Adds an attempt. Its outcome and its findings become the trial's, with the contract findings of earlier attempts.
    pub fn add(&mut self, attempt: Attempt, outcome: &Outcome, usage: Usage, cost_usd: f64) {
        self.duration_ms += attempt.duration_ms;
        self.usage = [self.usage, usage].into_iter().sum();
        self.cost_usd = in_microdollars(self.cost_usd + cost_usd);
        self.findings.clone_from(&attempt.findings);
        self.attempts.push(attempt);
        self.conclude(outcome);
        self.verdict = match outcome {
            Outcome::Pass => Some(TrialVerdict::Clean),
            Outcome::Unfaithful(_) => Some(TrialVerdict::Unfaithful),
            Outcome::Fail(failure) if failure.cause.is_judged() => Some(TrialVerdict::Broken),
            Outcome::Fail(_) | Outcome::NotApplicable(_) => None,
        };
        self.keep_contract_findings();
    }

    fn conclude(&mut self, outcome: &Outcome) {
        let failure = match outcome {
            Outcome::Fail(failure) | Outcome::Unfaithful(failure) => Some(failure),
            Outcome::Pass | Outcome::NotApplicable(_) => None,
        };
        self.result = match outcome {
            Outcome::Pass | Outcome::Unfaithful(_) => TrialResult::Pass {},
            Outcome::Fail(failure) => TrialResult::Fail {
                error: report::failure_in_short(failure),
            },
            Outcome::NotApplicable(reason) => TrialResult::NotApplicable {
                reason: reason.clone(),
            },
        };
        self.cause = failure.map(|failure| failure.cause);
        self.why = failure.map(|failure| failure.why.clone());
        self.headline = failure.and_then(|failure| failure.headline.clone());
        self.next = failure.and_then(|failure| failure.next.clone());
        self.wire = failure.map_or_else(Vec::new, |failure| failure.wire.clone());
        self.mismatches = failure.map_or_else(Vec::new, |failure| failure.mismatches.clone());
    }

    /// Adds the contract findings that only earlier attempts had: a repetition must not hide them. A trial that is then no
    /// longer clean has the failure of the attempt that found them.
    fn keep_contract_findings(&mut self) {
        let Some((_, earlier)) = self.attempts.split_last() else {
            return;
        };
        let mut is_flaky = earlier.iter().any(Attempt::has_failed);
        let mut failure = None;
        for attempt in earlier {
            // What a model did not do breaks expectations of the contract too. The recordings prove the changes on the wire.
            let cause = attempt.failure.as_ref().map(|failure| failure.cause);
            let of_model = attempt.has_failed() && cause == Some(Cause::Assertion);
            let is_proven =
                |finding: &&Finding| !of_model || matches!(finding.subject, Subject::Change { .. });
            for finding in attempt.findings.iter().filter(is_proven) {
                let is_known = self.findings.iter().any(|other| other.subject == finding.subject);
                if finding.level == Level::Contract && !is_known {
                    is_flaky = true;
                    self.findings.push(finding.clone());
                    failure = failure.or(attempt.failure.as_ref());
                }
            }
        }
        let passed = self.result == TrialResult::Pass {};
        self.flaky = is_flaky && passed;
        if let (Some(failure), true) = (failure.cloned(), self.verdict == Some(TrialVerdict::Clean)) {
            self.conclude(&Outcome::Unfaithful(failure));
            self.verdict = Some(TrialVerdict::Unfaithful);
        }
    }

    /// Puts the attempts of `earlier` before its own.
    fn follow(&mut self, earlier: Self) {
        self.attempts.splice(0..0, earlier.attempts);
        self.usage = [earlier.usage, self.usage].into_iter().sum();
        self.cost_usd += earlier.cost_usd;
        self.duration_ms += earlier.duration_ms;
        self.waited_ms += earlier.waited_ms;
        self.started_at = earlier.started_at;
        self.keep_contract_findings();
    }

    /// Whether it fails the run: it has a new finding, or it could not be judged.
    pub fn fails_run(&self) -> bool {
        let failed = matches!(self.result, TrialResult::Fail { .. });
        let is_judged = self.verdict.is_some() && !self.findings.is_empty();
        self.has_new_finding() || (failed && !is_judged)
    }

    /// Whether it may have ended before a finding could show: it was not judged, or Claude Code ended with an error. What such a
    /// trial does not show may be there all the same.
    pub fn ended_early(&self) -> bool {
        let is_unjudged = self.cause.is_some_and(|cause| !cause.is_judged());
        let has_failed = matches!(self.result, TrialResult::Fail { .. });
        let mut broken = self.mismatches.iter().map(|mismatch| &mismatch.expectation);
        let mut checks = self.expectations.iter();
        is_unjudged
            || (has_failed && self.mismatches.is_empty())
            || broken.any(|name| name == RUN)
            || checks.any(|check| check.name == RUN && check.verdict == Verdict::Broken)
    }

    pub fn has_new_finding(&self) -> bool {
        self.findings.iter().any(|finding| finding.status.is_new())
    }

    /// The first known finding in words, if the trial has any.
    pub fn known_in_words(&self) -> Option<String> {
        let known = self.findings.iter().find(|finding| finding.known.is_some())?;
        Some(format!("{} It is {}", known.loses, known.status_in_words()))
    }

    /// What does not hold, of a trial that is broken or unfaithful. A file from another program may have no mismatches; then
    /// the error becomes one.
    pub fn failure(&self) -> Option<Failure> {
        let error = match (&self.result, self.verdict) {
            (TrialResult::Fail { error }, _) => error.as_str(),
            (TrialResult::Pass {}, Some(TrialVerdict::Unfaithful)) => "the gateway breaks the contract",
            _ => return None,
        };
        let mut mismatches = self.mismatches.clone();
        if mismatches.is_empty() {
            mismatches.push(Mismatch {
                expectation: "run".into(),
                summary: error.to_owned(),
                ..Mismatch::default()
            });
        }
        Some(Failure {
            cause: self.cause.unwrap_or(Cause::Assertion),
            why: self.why.clone().unwrap_or_default(),
            headline: self.headline.clone(),
            next: self.next.clone(),
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
                return Err(Contradiction::new(at(field), what));
            }
        }
        let failed = matches!(self.result, TrialResult::Fail { .. });
        let unfaithful = self.verdict == Some(TrialVerdict::Unfaithful);
        if (failed || unfaithful) != self.cause.is_some() {
            let what = match failed || unfaithful {
                true => "a trial that is broken or unfaithful has a `cause`",
                false => "only a trial that is broken or unfaithful has a `cause`",
            };
            return Err(Contradiction::new(at("cause"), what));
        }
        if self
            .verdict
            .is_some_and(|verdict| (verdict == TrialVerdict::Broken) != failed)
        {
            let what = "a trial is `broken` if it fails, and only then";
            return Err(Contradiction::new(at("verdict"), what));
        }
        if self.flaky && !matches!(self.result, TrialResult::Pass {}) {
            return Err(Contradiction::new(at("flaky"), "only a pass is flaky"));
        }
        Ok(())
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// `cost` rounded; JSON has no infinity.
fn in_microdollars(cost: f64) -> f64 {
    if cost.is_finite() {
        (cost * 1e6).round() / 1e6
    } else {
        0.0
    }
}
