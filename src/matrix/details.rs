//! `compatibility-details.json`: every tier of every cell of the matrix, for the page's drill-down and for the causes
//! in comparisons. The schema of the matrix is locked; this one is our own.

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::builder::{BuildError, Stamp, Tried};
use super::published::Matrix;
use super::view::ManifestView;
use crate::cells::manifest::Feature;
use crate::evidence::Behind;
use crate::findings::Subject;
use crate::findings::summary::RunFinding;
use crate::ids::{CellId, FeatureId, ProviderId, TierId, TrialName};
use crate::isolation::IsolationLevel;
use crate::outcome::{Attempt, Cause, CheckResult, Mismatch, Retry, TrialVerdict};
use crate::report;
use crate::results::json::{self, JsonError, SchemaVersion, timestamp};
use crate::results::{
    CellStatus, GatewayRecord, Results, RunRecord, StatusWord, TrialRecord, client_format_in_words,
};
use crate::wire::Usage;

/// The name of the details' file, beside the matrix.
pub const DETAILS: &str = "compatibility-details.json";

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "compatibility-details.json")]
pub struct Details {
    /// The version of this layout.
    pub schema_version: SchemaVersion,
    /// As in the matrix it belongs to.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub generated_at: DateTime<Utc>,
    /// As in the matrix it belongs to.
    pub litellm_version: String,
    /// As in the matrix it belongs to.
    pub claude_code_version: String,
    /// What the verdicts rest on: what stood behind the gateway.
    pub evidence: Behind,
    /// The gateway as the run saw it.
    pub gateway: GatewayRecord,
    /// The API in which `claude` called the gateway, if it was not the Messages API: `passthrough` or `provider`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_format: Option<String>,
    /// How strongly each `claude` was confined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<IsolationLevel>,
    /// When the run began.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub started_at: DateTime<Utc>,
    /// Whether every trial of the project was selected and finished.
    pub complete: bool,
    /// What the gateway breaks, once each; features first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<RunFinding>,
    /// The tiers of the run, in the manifest's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierName>,
    /// What readers see about the rows, in the manifest's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowDetails>,
    /// By feature and provider, in the matrix's order: one entry a tier, in the manifest's order.
    pub features: IndexMap<FeatureId, IndexMap<ProviderId, Vec<TierDetails>>>,
}

/// A tier of models, for readers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierName {
    /// The tier.
    pub id: TierId,
    /// Its name for readers, `Haiku 4.5`.
    pub name: String,
    /// The set that it belongs to; absent if there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
}

/// A row of the matrix, for readers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowDetails {
    /// The feature.
    pub id: FeatureId,
    /// The group of rows that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What works if the row is green, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The clause of the gateway contract that it rests on, below `https://code.claude.com/docs/en/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// The address of its documentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
}

impl RowDetails {
    /// `None` if the manifest says nothing about the row but its name.
    pub(super) fn of(feature: &Feature) -> Option<Self> {
        let row = Self {
            id: feature.id.clone(),
            category: feature.category.clone(),
            description: feature.description.clone(),
            clause: feature.clause.clone(),
            docs: feature.docs.clone(),
        };
        let is_described = [&row.category, &row.description, &row.clause, &row.docs]
            .iter()
            .any(|text| text.is_some());
        is_described.then_some(row)
    }
}

/// What was tested: `LiteLLM v1.83.0`, or the other gateway that the details name, with what is not as usual.
pub(super) fn gateway_in_words(matrix: &Matrix, details: Option<&Details>) -> String {
    let gateway = details.map(|details| &details.gateway);
    let is_other = |name: &String| name != "litellm";
    let words = match gateway {
        Some(gateway) if gateway.kind == "none" || gateway.name.as_ref().is_some_and(is_other) => {
            gateway.in_words()
        }
        _ => format!(
            "LiteLLM {}{}",
            matrix.litellm_version,
            gateway.map_or_else(String::new, GatewayRecord::configuration_in_words)
        ),
    };
    let format = details.and_then(|details| details.client_format.as_ref());
    words + &client_format_in_words(format)
}

/// What a matrix was made of, in one line: `LiteLLM v1.83.0, Claude Code 2.1.326, 2026-11-21T09:00:00Z, live providers`.
pub(super) fn headline(matrix: &Matrix, details: Option<&Details>) -> String {
    format!(
        "{}, Claude Code {}, {}{}",
        gateway_in_words(matrix, details),
        matrix.claude_code_version,
        timestamp::to_text(&matrix.generated_at),
        providers_in_words(details)
    )
}

/// The end of a headline: `, simulated providers`; empty without details.
pub(super) fn providers_in_words(details: Option<&Details>) -> &'static str {
    match details.map(|details| details.evidence) {
        Some(Behind::Simulated) => ", simulated providers",
        Some(Behind::Live) => ", live providers",
        None => "",
    }
}

/// A cell on a tier. Where it was not tried, it has a name, a status, and a reason if one is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierDetails {
    /// The tier.
    pub tier: TierId,
    /// The trial's name: `cargo test --test compat -- FLAGS --exact NODEID` runs it alone, with `flags`.
    #[schemars(with = "String")]
    pub nodeid: TrialName,
    /// The flags of its run that say what was tested: `--gateway portkey`. Empty for the pinned LiteLLM and Claude Code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub flags: String,
    /// Whether the feature works.
    pub status: StatusWord,
    /// Whether the feature works and the gateway keeps the contract; absent where nothing was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<TrialVerdict>,
    /// Of a failure: what did not hold, in a few lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Of `not_applicable`: why not. Of `not_tested`: why the run has no verdict, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The gateway's alias that `claude` asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
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
    /// Of a failure: the contract clause that was broken, `llm-gateway-protocol#request-headers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// What the gateway breaks: subjects of `findings` above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub findings: Vec<Subject>,
    /// Of a failure: what did not hold, with places and evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<Mismatch>,
    /// What became of each expectation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expectations: Vec<CheckResult>,
    /// How many attempts there were; absent where nothing was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<usize>,
    /// The attempts before the one that gave the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_attempts: Vec<AttemptDetails>,
    /// Failed first, then passed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub flaky: bool,
    /// Token counts that `claude` reported, of all attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Cost in US dollars that `claude` reported, of all attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Milliseconds from the first attempt's start to the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The evidence folder, among the run's artifacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_path: Option<String>,
}

/// An attempt before the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttemptDetails {
    /// Milliseconds it took.
    pub duration_ms: u64,
    /// Whose fault its failure was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Its failure in a few lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Transient errors that `claude` itself retried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retries: Vec<Retry>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Details {
    /// The details of the matrix that [`build`](super::build) makes of the same arguments.
    pub fn build(manifest: &ManifestView, results: &Results, stamp: &Stamp) -> Result<Self, BuildError> {
        let tried = Tried::new(manifest, results)?;
        let flags = results.results.first().map_or("", |trial| trial.flags.as_str());
        let tiers = |feature: &FeatureId, provider: &ProviderId| -> Vec<TierDetails> {
            let cell = CellId::new(feature, provider);
            let tiers = tried.tiers(&cell).into_iter();
            tiers
                .map(|(tier, trial)| TierDetails::new(cell.trial(tier), trial, &results.run, flags))
                .collect()
        };
        let cells = |feature: &FeatureId| {
            let providers = manifest.providers.iter();
            providers
                .map(|provider| (provider.clone(), tiers(feature, provider)))
                .collect()
        };
        let features = manifest.features.iter();
        Ok(Self {
            schema_version: SchemaVersion::One,
            generated_at: stamp.generated_at,
            litellm_version: stamp.litellm_version.clone(),
            claude_code_version: stamp.claude_code_version.clone(),
            evidence: results.run.behind,
            gateway: results.run.gateway.clone(),
            client_format: results.run.client_format.clone(),
            isolation: results.run.isolation,
            started_at: results.run.started_at,
            complete: results.is_whole(),
            findings: results.findings.clone(),
            tiers: manifest.names_of(&tried.tiers),
            rows: manifest.rows.clone(),
            features: features.map(|(id, _)| (id.clone(), cells(id))).collect(),
        })
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        json::write(self)
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        json::read(text)
    }

    /// Whether these are the details of `matrix`, and not of another one.
    pub fn belongs_to(&self, matrix: &Matrix) -> bool {
        self.generated_at == matrix.generated_at
            && self.litellm_version == matrix.litellm_version
            && self.claude_code_version == matrix.claude_code_version
    }

    /// The tiers, in order.
    pub fn tier_names(&self) -> Vec<&str> {
        let first = self.features.values().flat_map(IndexMap::values).next();
        first.map_or_else(Vec::new, |tiers| {
            tiers.iter().map(|tier| tier.tier.as_str()).collect()
        })
    }

    /// The tiers of a cell; none where the cell is not known.
    pub fn tiers(&self, cell: &CellId) -> &[TierDetails] {
        let providers = self.features.get(&cell.feature);
        providers
            .and_then(|providers| providers.get(&cell.provider))
            .map_or(&[], Vec::as_slice)
    }

    /// The findings of each trial.
    pub fn findings_of_trials(&self) -> impl Iterator<Item = (&ProviderId, &TierId, &Subject)> {
        let tiers = self.features.values().flatten();
        tiers.flat_map(|(provider, tiers)| {
            tiers.iter().flat_map(move |tier| {
                tier.findings
                    .iter()
                    .map(move |subject| (provider, &tier.tier, subject))
            })
        })
    }

    /// Whose fault a cell's failures are, in the order of the tiers, none twice.
    pub fn causes(&self, cell: &CellId) -> Vec<Cause> {
        let mut causes = Vec::new();
        for cause in self.tiers(cell).iter().filter_map(|tier| tier.cause) {
            if !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        causes
    }
}

impl TierDetails {
    /// `flags` are those of the run, for a trial that it has not.
    fn new(name: TrialName, trial: Option<&TrialRecord>, run: &RunRecord, flags: &str) -> Self {
        let status = trial.map_or(CellStatus::NotTested {}, |trial| trial.result.clone().into());
        let (word, error, reason) = match status {
            CellStatus::Fail { error } => (StatusWord::Fail, Some(error), None),
            CellStatus::NotApplicable { reason } => (StatusWord::NotApplicable, None, Some(reason)),
            CellStatus::NotTested {} => (StatusWord::NotTested, None, run.why_left_out(&name.cell).cloned()),
            CellStatus::Pass {} => (StatusWord::Pass, None, None),
        };
        let run = trial.filter(|trial| !trial.attempts.is_empty());
        let mismatches = trial.map_or_else(Vec::new, |trial| trial.mismatches.clone());
        let expectations = trial.map_or_else(Vec::new, |trial| trial.expectations.clone());
        Self {
            tier: name.tier.clone(),
            nodeid: name,
            flags: trial.map_or(flags, |trial| &trial.flags).to_owned(),
            status: word,
            verdict: trial.and_then(|trial| trial.verdict),
            error,
            reason,
            model: trial
                .map(|trial| trial.model.clone())
                .filter(|model| !model.is_empty()),
            cause: trial.and_then(|trial| trial.cause),
            why: trial.and_then(|trial| trial.why.clone()),
            next: trial.and_then(|trial| trial.next.clone()),
            wire: trial.map_or_else(Vec::new, |trial| trial.wire.clone()),
            clause: mismatches.iter().find_map(|mismatch| mismatch.clause.clone()),
            findings: trial.map_or_else(Vec::new, |trial| {
                trial
                    .findings
                    .iter()
                    .map(|finding| finding.subject.clone())
                    .collect()
            }),
            mismatches,
            expectations,
            attempts: run.map(|trial| trial.attempts.len()),
            earlier_attempts: run.map_or_else(Vec::new, |trial| earlier_attempts(&trial.attempts)),
            flaky: trial.is_some_and(|trial| trial.flaky),
            usage: run.map(|trial| trial.usage),
            cost_usd: run.map(|trial| trial.cost_usd),
            duration_ms: run.map(|trial| trial.duration_ms),
            evidence_path: trial.and_then(|trial| trial.evidence.clone()),
        }
    }
}

fn earlier_attempts(attempts: &[Attempt]) -> Vec<AttemptDetails> {
    let earlier = &attempts[..attempts.len() - 1];
    let details = earlier.iter().map(|attempt| AttemptDetails {
        duration_ms: attempt.duration_ms,
        cause: attempt.failure.as_ref().map(|failure| failure.cause),
        error: attempt.failure.as_ref().map(report::failure_in_short),
        retries: attempt.retries.clone(),
    });
    details.collect()
}
