//! Results and manifest to the published matrix.

use std::collections::HashMap;

use chrono::{DateTime, SubsecRound, Utc};

use super::published::{Feature, Matrix};
use super::view::ManifestView;
use crate::ids::{CellId, TierId};
use crate::results::json::SchemaVersion;
use crate::results::{CellStatus, Results, TrialRecord, TrialResult};

/// What a matrix says of itself.
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
    /// A result is of something that the manifest does not have.
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
    /// The results do not say which version ran.
    #[error("the results do not say which version of {what} ran: give `{flag}`")]
    NoVersion { what: &'static str, flag: &'static str },
}

impl BuildError {
    /// The path in the results to what is at fault, `results[3].provider`.
    pub fn path(&self) -> Option<String> {
        match self {
            Self::Unknown { index, field, .. } => Some(format!("results[{index}].{field}")),
            Self::NoVersion { .. } => None,
        }
    }
}

impl Stamp {
    /// What the results themselves say, where a version or a time is not given. A bare version of LiteLLM
    /// (`1.83.0`) becomes its tag (`v1.83.0`).
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
            let cell = CellId {
                feature: id.clone(),
                provider: provider.clone(),
            };
            (provider.clone(), aggregate(&tried.tiers(&cell)))
        });
        Feature {
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

/// The results by trial, each known to be of the manifest.
pub(super) struct Tried<'a> {
    manifest: &'a ManifestView,
    entries: HashMap<(CellId, &'a TierId), &'a TrialRecord>,
}

impl<'a> Tried<'a> {
    pub(super) fn new(manifest: &'a ManifestView, results: &'a Results) -> Result<Self, BuildError> {
        let features: Vec<&str> = manifest.features.iter().map(|(id, _)| id.as_str()).collect();
        let providers: Vec<&str> = manifest.providers.iter().map(|id| id.as_str()).collect();
        let tiers: Vec<&str> = manifest.tiers.iter().map(|id| id.as_str()).collect();
        let mut entries = HashMap::new();
        for (index, entry) in results.results.iter().enumerate() {
            known(index, "feature_id", entry.feature_id.as_str(), &features)?;
            known(index, "provider", entry.provider.as_str(), &providers)?;
            known(index, "tier", entry.tier.as_str(), &tiers)?;
            entries.insert((entry.nodeid.cell.clone(), &entry.tier), entry);
        }
        Ok(Self { manifest, entries })
    }

    /// Each tier of a cell, in the manifest's order, with its result if it was tried.
    pub(super) fn tiers(&self, cell: &CellId) -> Vec<(&'a TierId, Option<&'a TrialRecord>)> {
        let entry = |tier: &'a TierId| self.entries.get(&(cell.clone(), tier)).copied();
        self.manifest
            .tiers
            .iter()
            .map(|tier| (tier, entry(tier)))
            .collect()
    }
}

fn known(index: usize, field: &'static str, name: &str, names: &[&str]) -> Result<(), BuildError> {
    if names.contains(&name) {
        return Ok(());
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let near = names
        .iter()
        .filter(|known| strsim::damerau_levenshtein(known, name) <= 2)
        .min_by_key(|known| strsim::damerau_levenshtein(known, name));
    Err(BuildError::Unknown {
        index,
        field,
        name: name.to_owned(),
        known: quoted.join(", "),
        suggestion: near.map_or_else(String::new, |near| format!(": did you mean `{near}`?")),
    })
}

/// One status from those of the tiers: `fail` if any failed; `not_tested` if any was not tried;
/// `not_applicable` if each is; else `pass`: a tier on which the feature cannot exist is neutral among
/// tiers that passed.
pub(super) fn aggregate(tiers: &[(&TierId, Option<&TrialRecord>)]) -> CellStatus {
    let results = || {
        tiers
            .iter()
            .map(|(tier, entry)| (*tier, entry.map(|entry| &entry.result)))
    };
    let failures: Vec<(&TierId, &str)> = results()
        .filter_map(|(tier, result)| match result {
            Some(TrialResult::Fail { error }) => Some((tier, error.as_str())),
            _ => None,
        })
        .collect();
    let mut reasons = results().filter_map(|(_, result)| match result {
        Some(TrialResult::NotApplicable { reason }) => Some(reason),
        _ => None,
    });
    if !failures.is_empty() {
        return CellStatus::Fail {
            error: error(&failures),
        };
    }
    if tiers.is_empty() || results().any(|(_, result)| result.is_none()) {
        return CellStatus::NotTested {};
    }
    if results().any(|(_, result)| matches!(result, Some(TrialResult::Pass {}))) {
        return CellStatus::Pass {};
    }
    match reasons.next() {
        Some(reason) => CellStatus::NotApplicable {
            reason: reason.clone(),
        },
        None => CellStatus::NotTested {},
    }
}

/// `haiku, opus: what failed`, a paragraph for each different text, the first tier's first.
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
