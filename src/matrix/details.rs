//! `compatibility-details.json`: what stands behind each cell of the matrix, tier by tier, for the page's
//! drill-down and for comparisons that name causes. A schema of our own, beside the locked one.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::builder::{BuildError, Stamp, Tried};
use super::ordered_map::OrderedMap;
use super::published::Matrix;
use super::view::ManifestView;
use crate::evidence::Behind;
use crate::ids::{CellId, FeatureId, ProviderId, TierId, TrialName};
use crate::outcome::{Attempt, Cause, CheckResult, Mismatch, Retry, Verdict};
use crate::report;
use crate::results::json::{self, JsonError, SchemaVersion, timestamp};
use crate::results::{CellStatus, GatewayRecord, Results, StatusWord, TrialRecord};
use crate::wire::Usage;

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
    /// When the run began.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub started_at: DateTime<Utc>,
    /// Whether every trial of the project was selected and finished.
    pub complete: bool,
    /// By feature and provider, in the matrix's order: one entry a tier, in the manifest's order.
    pub features: OrderedMap<FeatureId, OrderedMap<ProviderId, Vec<TierDetails>>>,
}

/// A cell on a tier. Where it was not tried, it has a name and a status only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierDetails {
    /// The tier.
    pub tier: TierId,
    /// The trial's name: `cargo test --test compat -- --exact NODEID` runs it alone.
    #[schemars(with = "String")]
    pub nodeid: TrialName,
    /// What became of it.
    pub status: StatusWord,
    /// Of a failure: what did not hold, in a few lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Of `not_applicable`: why not.
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
    /// Declared faults that showed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_failures: Vec<KnownFailureDetails>,
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

/// A declared fault that showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownFailureDetails {
    /// The expectation that does not hold.
    pub expectation: String,
    /// What fails, for a reader.
    pub reason: String,
    /// The page that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
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
    /// Builds the details beside the matrix of the same inputs.
    pub fn build(manifest: &ManifestView, results: &Results, stamp: &Stamp) -> Result<Self, BuildError> {
        let tried = Tried::new(manifest, results)?;
        let tiers = |feature: &FeatureId, provider: &ProviderId| -> Vec<TierDetails> {
            let cell = CellId {
                feature: feature.clone(),
                provider: provider.clone(),
            };
            let tiers = tried.tiers(&cell).into_iter();
            tiers
                .map(|(tier, entry)| TierDetails::new(cell.trial(tier), entry))
                .collect()
        };
        let cells = |feature: &FeatureId| {
            let providers = manifest.providers.iter();
            providers
                .map(|provider| (provider.clone(), tiers(feature, provider)))
                .collect()
        };
        Ok(Self {
            schema_version: SchemaVersion::One,
            generated_at: stamp.generated_at,
            litellm_version: stamp.litellm_version.clone(),
            claude_code_version: stamp.claude_code_version.clone(),
            evidence: results.run.behind,
            gateway: results.run.gateway.clone(),
            started_at: results.run.started_at,
            complete: results.is_whole(),
            features: manifest
                .features
                .iter()
                .map(|(id, _)| (id.clone(), cells(id)))
                .collect(),
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
        let first = self
            .features
            .0
            .first()
            .and_then(|(_, providers)| providers.0.first());
        first
            .map(|(_, tiers)| tiers.iter().map(|tier| tier.tier.as_str()).collect())
            .unwrap_or_default()
    }

    /// The tiers of a cell; none where the cell is not known.
    pub fn tiers(&self, cell: &CellId) -> &[TierDetails] {
        let providers = self.features.get(&cell.feature);
        providers
            .and_then(|providers| providers.get(&cell.provider))
            .map_or(&[], Vec::as_slice)
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
    fn new(name: TrialName, entry: Option<&TrialRecord>) -> Self {
        let untried = Self::untried(name);
        match entry {
            Some(entry) => untried.tried(entry),
            None => untried,
        }
    }

    fn untried(name: TrialName) -> Self {
        Self {
            tier: name.tier.clone(),
            nodeid: name,
            status: StatusWord::NotTested,
            error: None,
            reason: None,
            model: None,
            cause: None,
            why: None,
            next: None,
            wire: Vec::new(),
            clause: None,
            known_failures: Vec::new(),
            mismatches: Vec::new(),
            expectations: Vec::new(),
            attempts: None,
            earlier_attempts: Vec::new(),
            flaky: false,
            usage: None,
            cost_usd: None,
            duration_ms: None,
            evidence_path: None,
        }
    }

    fn tried(self, entry: &TrialRecord) -> Self {
        let status = CellStatus::from(entry.result.clone());
        let (error, reason) = match status.clone() {
            CellStatus::Fail { error } => (Some(error), None),
            CellStatus::NotApplicable { reason } => (None, Some(reason)),
            CellStatus::Pass {} | CellStatus::NotTested {} => (None, None),
        };
        let has_run = !entry.attempts.is_empty();
        Self {
            status: status.word(),
            error,
            reason,
            model: Some(entry.model.clone()).filter(|model| !model.is_empty()),
            cause: entry.cause,
            why: entry.why.clone(),
            next: entry.next.clone(),
            wire: entry.wire.clone(),
            clause: entry
                .mismatches
                .iter()
                .find_map(|mismatch| mismatch.clause.clone()),
            known_failures: known_failures(&entry.expectations),
            mismatches: entry.mismatches.clone(),
            expectations: entry.expectations.clone(),
            attempts: has_run.then_some(entry.attempts.len()),
            earlier_attempts: earlier_attempts(&entry.attempts),
            flaky: entry.flaky,
            usage: has_run.then_some(entry.usage),
            cost_usd: has_run.then_some(entry.cost_usd),
            duration_ms: has_run.then_some(entry.duration_ms),
            evidence_path: entry.evidence.clone(),
            ..self
        }
    }
}

fn known_failures(judged: &[CheckResult]) -> Vec<KnownFailureDetails> {
    let showed = judged
        .iter()
        .filter(|judged| judged.verdict == Verdict::KnownFailure);
    let details = showed.map(|judged| KnownFailureDetails {
        expectation: judged.name.clone(),
        reason: judged
            .reason
            .clone()
            .unwrap_or_else(|| format!("`{}` does not hold", judged.name)),
        link: judged.link.clone(),
    });
    details.collect()
}

fn earlier_attempts(attempts: &[Attempt]) -> Vec<AttemptDetails> {
    let earlier = attempts
        .split_last()
        .map_or(&[][..], |(_, earlier)| earlier)
        .iter();
    let details = earlier.map(|attempt| AttemptDetails {
        duration_ms: attempt.duration_ms,
        cause: attempt.failure.as_ref().map(|failure| failure.cause),
        error: attempt.failure.as_ref().map(report::failure_in_short),
        retries: attempt.retries.clone(),
    });
    details.collect()
}
