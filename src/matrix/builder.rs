//! Builds the published matrix from results and manifest.

use std::collections::HashMap;

use chrono::{DateTime, SubsecRound, Utc};

use super::published::{FeatureRow, Matrix};
use super::view::ManifestView;
use crate::ids::{CellId, ProviderId, TierId, TrialName};
use crate::results::json::SchemaVersion;
use crate::results::{CellStatus, Results, TrialRecord, TrialResult};
use crate::text::{closest, listed};

/// When the results of a matrix were made, and with which versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the results were made; fractions of a second are not published.
    pub generated_at: DateTime<Utc>,
    /// The tag of the LiteLLM release.
    pub litellm_version: String,
    pub claude_code_version: String,
}

/// Why no matrix can be built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The manifest does not have the feature, provider or tier of a result.
    #[error("results[{index}].{field}: the manifest has no `{name}`, it has {known}{suggestion}")]
    Unknown {
        /// Which result, from 0.
        index: usize,
        field: &'static str,
        name: String,
        known: String,
        /// `: did you mean …?`, where one is close.
        suggestion: String,
    },
    #[error("the results do not say which version of {what} ran: give `{flag}`")]
    NoVersion { what: &'static str, flag: &'static str },
}

impl BuildError {
    /// The path in the results to the unknown name, `results[3].provider`.
    pub fn path(&self) -> Option<String> {
        match self {
            Self::Unknown { index, field, .. } => Some(format!("results[{index}].{field}")),
            Self::NoVersion { .. } => None,
        }
    }
}

impl Stamp {
    /// Takes a version or time that is not given from the results. A bare version of LiteLLM (`1.83.0`) becomes its
    /// tag (`v1.83.0`).
    pub fn new(
        results: &Results,
        litellm_version: Option<String>,
        claude_code_version: Option<String>,
        generated_at: Option<DateTime<Utc>>,
    ) -> Result<Self, BuildError> {
        let run = &results.run;
        Ok(Self {
            generated_at: generated_at.unwrap_or(run.written_at).trunc_subsecs(0),
            litellm_version: litellm_version
                .filter(|version| !version.trim().is_empty())
                .or_else(|| run.gateway.version.as_deref().map(tag))
                .ok_or(BuildError::NoVersion {
                    what: "LiteLLM",
                    flag: "--litellm-version",
                })?,
            claude_code_version: claude_code_version
                .filter(|version| !version.trim().is_empty())
                .or_else(|| run.claude_code_version.clone())
                .ok_or(BuildError::NoVersion {
                    what: "Claude Code",
                    flag: "--claude-code-version",
                })?,
        })
    }
}

fn tag(version: &str) -> String {
    match version.chars().next() {
        Some(first) if first.is_ascii_digit() => format!("v{version}"),
        _ => version.to_owned(),
    }
}

/// Builds the matrix: rows and columns in the manifest's order, every pair filled in.
pub fn build(manifest: &ManifestView, results: &Results, stamp: &Stamp) -> Result<Matrix, BuildError> {
    let tried = Tried::new(manifest, results)?;
    let features = manifest.features.iter().map(|(id, name)| {
        let cells = manifest.providers.iter().map(|provider| {
            let tiers = tried.tiers(&CellId::new(id, provider));
            (provider.clone(), aggregate(&tiers))
        });
        FeatureRow {
            id: id.clone(),
            name: name.clone(),
            providers: cells.collect(),
        }
    });
    Ok(Matrix {
        schema_version: SchemaVersion::One,
        generated_at: stamp.generated_at,
        litellm_version: stamp.litellm_version.clone(),
        claude_code_version: stamp.claude_code_version.clone(),
        providers: manifest.providers.clone(),
        features: features.collect(),
    })
}

/// The results by trial; the manifest has each of them.
pub(super) struct Tried<'a> {
    pub(super) tiers: Vec<&'a TierId>,
    trials: HashMap<&'a TrialName, &'a TrialRecord>,
}

impl<'a> Tried<'a> {
    pub(super) fn new(manifest: &'a ManifestView, results: &'a Results) -> Result<Self, BuildError> {
        let features: Vec<&str> = manifest.features.iter().map(|(id, _)| id.as_str()).collect();
        let providers: Vec<&str> = manifest.providers.iter().map(ProviderId::as_str).collect();
        let tiers: Vec<&str> = manifest.tiers.iter().map(TierId::as_str).collect();
        for (index, trial) in results.results.iter().enumerate() {
            known(index, "feature_id", trial.feature_id.as_str(), &features)?;
            known(index, "provider", trial.provider.as_str(), &providers)?;
            known(index, "tier", trial.tier.as_str(), &tiers)?;
        }
        let trials = results.results.iter();
        Ok(Self {
            tiers: manifest.tiers_of(results),
            trials: trials.map(|trial| (&trial.nodeid, trial)).collect(),
        })
    }

    /// Each tier of a cell that was run, in the manifest's order, with its result if there is one. A tier counts as run if a
    /// tier of its set has a result.
    pub(super) fn tiers(&self, cell: &CellId) -> Vec<(&'a TierId, Option<&'a TrialRecord>)> {
        self.tiers
            .iter()
            .map(|tier| (*tier, self.trials.get(&cell.trial(tier)).copied()))
            .collect()
    }
}

fn known(index: usize, field: &'static str, name: &str, names: &[&str]) -> Result<(), BuildError> {
    if names.contains(&name) {
        return Ok(());
    }
    let near = closest(name, names.iter().copied());
    Err(BuildError::Unknown {
        index,
        field,
        name: name.to_owned(),
        known: listed(names.iter().copied()),
        suggestion: near.map_or_else(String::new, |near| format!(": did you mean `{near}`?")),
    })
}

/// One status from those of the tiers: `fail` if a tier failed; else `not_tested` if a tier has no result;
/// `not_applicable` if that is the result of every tier; else `pass`.
fn aggregate(tiers: &[(&TierId, Option<&TrialRecord>)]) -> CellStatus {
    let mut failures = Vec::new();
    let (mut passed, mut untried, mut not_applicable) = (false, false, None);
    for (tier, trial) in tiers {
        match trial.map(|trial| &trial.result) {
            Some(TrialResult::Pass {}) => passed = true,
            Some(TrialResult::Fail { error }) => failures.push((*tier, error.as_str())),
            Some(TrialResult::NotApplicable { reason }) => {
                not_applicable.get_or_insert(reason);
            }
            None => untried = true,
        }
    }
    match not_applicable {
        _ if !failures.is_empty() => CellStatus::Fail {
            error: error(&failures),
        },
        _ if untried => CellStatus::NotTested {},
        _ if passed => CellStatus::Pass {},
        Some(reason) => CellStatus::NotApplicable {
            reason: reason.clone(),
        },
        None => CellStatus::NotTested {},
    }
}

/// `haiku, opus: the error`, one paragraph per different text, in the order of the tiers.
fn error(failures: &[(&TierId, &str)]) -> String {
    let mut groups: Vec<(Vec<&str>, &str)> = Vec::new();
    for (tier, text) in failures {
        match groups.iter_mut().find(|(_, other)| other == text) {
            Some((tiers, _)) => tiers.push(tier.as_str()),
            None => groups.push((vec![tier.as_str()], text)),
        }
    }
    let paragraphs = groups
        .iter()
        .map(|(tiers, text)| format!("{}: {text}", tiers.join(", ")));
    paragraphs.collect::<Vec<_>>().join("\n")
}
