//! `compatibility-details.json`: what stands behind each cell of the matrix, tier by tier, for the page's
//! drill-down and for comparisons that name causes. A schema of our own, beside the locked one.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::builder::{BuildError, Stamp, Tried, aggregate};
use super::published::{ByProvider, Matrix};
use super::view::ManifestView;
use crate::evidence::Behind;
use crate::ids::{CellId, FeatureId, ProviderId, TierId, TrialName};
use crate::outcome::{Cause, Judged};
use crate::results::file::{FailureEntry, Gateway, MismatchEntry, RetryEntry};
use crate::results::json::{self, JsonError, SchemaVersion, timestamp};
use crate::results::{CellStatus, Entry, Results};
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
    pub evidence_kind: Behind,
    /// The gateway as the run saw it.
    pub gateway: Gateway,
    /// When the run began.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub started_at: DateTime<Utc>,
    /// Whether every trial of the project was selected and finished.
    pub complete: bool,
    /// The columns, in order.
    pub providers: Vec<ProviderId>,
    /// The tiers, in order.
    pub tiers: Vec<TierId>,
    /// The rows, in order.
    pub features: Vec<FeatureDetails>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureDetails {
    /// Its id.
    pub id: FeatureId,
    /// The name that people read.
    pub name: String,
    /// Its cells, one a column, in the order of the columns.
    pub providers: ByProvider<CellDetails>,
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellDetails {
    /// As in the matrix.
    pub result: CellStatus,
    /// One a tier, in order.
    pub tiers: Vec<TierDetails>,
}

/// A cell on a tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierDetails {
    /// The tier.
    pub tier: TierId,
    /// The trial's name: `cargo test --test compat -- --exact NODEID` runs it alone.
    #[schemars(with = "String")]
    pub nodeid: TrialName,
    /// What became of it; `not_tested` where it was not tried, and then nothing of the rest is there.
    pub result: CellStatus,
    /// How it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialDetails>,
}

/// How a trial went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialDetails {
    /// The gateway's alias that `claude` asked for.
    pub model: String,
    /// Of a failure: whose fault it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Of a failure: the facts that decided the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of a failure: what did not hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<MismatchEntry>,
    /// What became of each expectation, with its contract clause and, of a known failure, its link.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expectations: Vec<Judged>,
    /// The attempts, in order; absent where nothing was run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptDetails>,
    /// Failed first, then passed.
    pub flaky: bool,
    /// Token counts that `claude` reported.
    pub usage: Usage,
    /// Cost in US dollars that `claude` reported.
    pub cost_usd: f64,
    /// Milliseconds from the first attempt's start to the verdict.
    pub duration_ms: u64,
    /// When the first attempt began.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub started_at: DateTime<Utc>,
    /// The evidence folder, in the run's artifacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttemptDetails {
    /// Milliseconds it took.
    pub duration_ms: u64,
    /// Whose fault its failure was; absent if it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Its failure in a few lines; absent if it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Transient errors that `claude` itself retried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retries: Vec<RetryEntry>,
}

impl Details {
    /// Builds the details beside the matrix of the same inputs.
    ///
    /// # Errors
    /// As [`build`](super::build).
    pub fn build(manifest: &ManifestView, results: &Results, stamp: &Stamp) -> Result<Self, BuildError> {
        let tried = Tried::new(manifest, results)?;
        let features = manifest.features.iter().map(|(id, name)| {
            let cells = manifest.providers.iter().map(|provider| {
                let cell = CellId {
                    feature: id.clone(),
                    provider: provider.clone(),
                };
                (provider.clone(), CellDetails::new(&tried, &cell))
            });
            FeatureDetails {
                id: id.clone(),
                name: name.clone(),
                providers: ByProvider(cells.collect()),
            }
        });
        Ok(Self {
            schema_version: SchemaVersion::One,
            generated_at: stamp.generated_at,
            litellm_version: stamp.litellm_version.clone(),
            claude_code_version: stamp.claude_code_version.clone(),
            evidence_kind: results.run.behind,
            gateway: results.run.gateway.clone(),
            started_at: results.run.started_at,
            complete: results.is_whole(),
            providers: manifest.providers.clone(),
            tiers: manifest.tiers.clone(),
            features: features.collect(),
        })
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        json::write(self)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// [`JsonError`], with line and column.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        json::read(text)
    }

    /// Whether these are the details of `matrix`, and not of another one.
    pub fn belongs_to(&self, matrix: &Matrix) -> bool {
        self.generated_at == matrix.generated_at
            && self.litellm_version == matrix.litellm_version
            && self.claude_code_version == matrix.claude_code_version
    }

    /// What stands behind a cell.
    pub fn cell(&self, cell: &CellId) -> Option<&CellDetails> {
        let feature = self.features.iter().find(|feature| feature.id == cell.feature)?;
        feature.providers.get(&cell.provider)
    }
}

impl CellDetails {
    fn new(tried: &Tried<'_>, cell: &CellId) -> Self {
        let tiers = tried.tiers(cell);
        Self {
            result: aggregate(&tiers),
            tiers: tiers
                .into_iter()
                .map(|(tier, entry)| TierDetails::new(cell, tier, entry))
                .collect(),
        }
    }

    /// The causes of its failures, in the order of the tiers, none twice.
    pub fn causes(&self) -> Vec<Cause> {
        let mut causes = Vec::new();
        for cause in self.tiers.iter().filter_map(|tier| tier.trial.as_ref()?.cause) {
            if !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        causes
    }
}

impl TierDetails {
    fn new(cell: &CellId, tier: &TierId, entry: Option<&Entry>) -> Self {
        Self {
            tier: tier.clone(),
            nodeid: cell.trial(tier),
            result: entry.map_or(CellStatus::NotTested {}, |entry| entry.result.clone().into()),
            trial: entry.map(TrialDetails::new),
        }
    }
}

impl TrialDetails {
    fn new(entry: &Entry) -> Self {
        Self {
            model: entry.model.clone(),
            cause: entry.cause,
            why: entry.why.clone(),
            mismatches: entry.mismatches.clone(),
            expectations: entry.expectations.clone(),
            attempts: entry
                .attempts
                .iter()
                .map(|attempt| AttemptDetails {
                    duration_ms: attempt.duration_ms,
                    cause: attempt.failure.as_ref().map(|failure| failure.cause),
                    error: attempt.failure.as_ref().map(FailureEntry::in_short),
                    retries: attempt.retries.clone(),
                })
                .collect(),
            flaky: entry.flaky,
            usage: entry.usage,
            cost_usd: entry.cost_usd,
            duration_ms: entry.duration_ms,
            started_at: entry.started_at,
            evidence: entry.evidence.clone(),
        }
    }
}
