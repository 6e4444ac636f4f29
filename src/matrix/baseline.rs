//! Compares a run with a baseline: the matrix of an accepted state, and its details if there are any.
//!
//! A cell that fails in both is accepted, unless the details show that it now has another finding. Regressions and new
//! findings fail the run, and so do stale entries of the baseline. A cell that the run did not measure is counted and reported.

use std::collections::HashSet;
use std::fmt;

use super::builder::{BuildError, Stamp, build};
use super::details::Details;
use super::diff::{CellChange, ChangeKind, Diff};
use super::published::Matrix;
use super::view::ManifestView;
use crate::findings::summary::{self, RunFinding};
use crate::findings::{Finding, Level, Subject};
use crate::ids::{ProviderId, TierId};
use crate::results::{CellStatus, Results, TrialRecord};

/// An accepted state.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    pub matrix: Matrix,
    /// The findings of each trial. The published matrix has none.
    pub details: Option<Details>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BaselineComparison {
    /// The baseline, compared with the run.
    pub diff: Diff,
    /// Cells that passed in the baseline and fail now, and not only as known.
    pub regressions: Vec<CellChange>,
    /// Findings that are neither known nor in the baseline: of the contract in any cell, of a feature in a cell that fails in
    /// both.
    pub new_findings: Vec<RunFinding>,
    pub stale: Vec<StaleEntry>,
    /// How many cells fail in the baseline and in the run.
    pub accepted: usize,
    /// Whether the findings of these cells could not be compared, because the baseline has no details.
    pub lacks_details: bool,
    /// Cells that passed in the baseline and fail now, but only as known.
    pub known: usize,
    /// Cells that fail, or that no longer apply, and for which the baseline has no result to compare with.
    pub unmeasured: Vec<CellChange>,
    /// How many cells that passed or failed in the baseline the run did not try on every tier.
    pub untried: usize,
}

/// An entry of the baseline that is no longer true.
#[derive(Clone, Debug, PartialEq)]
pub struct StaleEntry {
    pub change: CellChange,
    pub why: Staleness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// The cell failed and passes now.
    Fixed,
    /// The cell failed and does not apply now.
    NotApplicable,
    /// The manifest has no such cell.
    Gone,
}

impl fmt::Display for StaleEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (feature, provider) = (&self.change.feature, &self.change.provider);
        let what = match self.why {
            Staleness::Fixed => "fails in the baseline and passes now",
            Staleness::NotApplicable => "fails in the baseline and does not apply now",
            Staleness::Gone => "is in the baseline and not in the manifest",
        };
        write!(f, "`{feature}::{provider}` {what}")
    }
}

impl BaselineComparison {
    /// Compares `results` with `baseline`. A cell that is new, or that the run did not try on every tier, counts only if
    /// it failed.
    pub fn new(baseline: &Baseline, manifest: &ManifestView, results: &Results) -> Result<Self, BuildError> {
        let matrix = build(manifest, results, &stamp(results))?;
        let details = Details::build(manifest, results, &stamp(results))?;
        let diff = Diff::new(&baseline.matrix, &matrix, Some(&details));
        let of_kind = |kind| diff.of_kind(kind).cloned();
        let stale = diff.changes.iter().filter_map(|change| {
            Some(StaleEntry {
                why: staleness(change)?,
                change: change.clone(),
            })
        });
        let unmeasured = [ChangeKind::New, ChangeKind::Tested, ChangeKind::Greyed];
        let unmeasured = unmeasured.into_iter().flat_map(of_kind);
        let fails_run = |change: &CellChange| {
            let is_its = |trial: &&TrialRecord| {
                trial.feature_id == change.feature && trial.provider == change.provider
            };
            results.results.iter().filter(is_its).any(TrialRecord::fails_run)
        };
        let (regressions, known): (Vec<_>, Vec<_>) = of_kind(ChangeKind::Regression).partition(fails_run);
        let accepted = failing_in_both(&baseline.matrix, &matrix);
        Ok(Self {
            regressions,
            new_findings: baseline.new_findings(results),
            stale: stale.collect(),
            accepted,
            lacks_details: baseline.details.is_none() && accepted > 0,
            known: known.len(),
            unmeasured: unmeasured.filter(is_unmeasured).collect(),
            untried: of_kind(ChangeKind::Greyed)
                .filter(|change| change.new == Some(CellStatus::NotTested {}))
                .count(),
            diff,
        })
    }

    /// Whether there is no regression, no new finding and no stale entry.
    pub fn is_accepted(&self) -> bool {
        self.regressions.is_empty() && self.new_findings.is_empty() && self.stale.is_empty()
    }
}

impl Baseline {
    /// The findings that are not accepted. The same finding in another cell is the same finding.
    fn new_findings(&self, results: &Results) -> Vec<RunFinding> {
        let accepted: Option<HashSet<(&ProviderId, &TierId, &Subject)>> = self
            .details
            .as_ref()
            .map(|details| details.findings_of_trials().collect());
        let is_new = |trial: &TrialRecord, finding: &Finding| {
            let known = (&trial.provider, &trial.tier, &finding.subject);
            let failed = || {
                matches!(
                    self.matrix.cell(&trial.nodeid.cell),
                    Some(CellStatus::Fail { .. })
                )
            };
            finding.status.is_new()
                && match (finding.level, &accepted) {
                    (Level::Feature, None) => false,
                    (Level::Feature, Some(accepted)) => failed() && !accepted.contains(&known),
                    (Level::Contract, accepted) => accepted
                        .as_ref()
                        .is_none_or(|accepted| !accepted.contains(&known)),
                }
        };
        let of_trial = |trial: &TrialRecord| {
            let findings = trial.findings.iter().filter(|finding| is_new(trial, finding));
            (trial.nodeid.clone(), findings.cloned().collect::<Vec<_>>())
        };
        let trials: Vec<_> = results.results.iter().map(of_trial).collect();
        summary::of_trials(trials.iter().map(|(name, findings)| (name, &findings[..])))
    }
}

/// Versions and times do not matter for the comparison.
fn stamp(results: &Results) -> Stamp {
    let known = |version: &Option<String>| version.clone().unwrap_or_else(|| "unknown".into());
    Stamp {
        generated_at: results.run.written_at,
        litellm_version: known(&results.run.gateway.version),
        claude_code_version: known(&results.run.claude_code_version),
    }
}

fn is_unmeasured(change: &CellChange) -> bool {
    match &change.new {
        Some(CellStatus::Fail { .. }) => true,
        Some(CellStatus::NotApplicable { .. }) => change.old == Some(CellStatus::Pass {}),
        _ => false,
    }
}

fn failing_in_both(baseline: &Matrix, run: &Matrix) -> usize {
    let fails = |status: &CellStatus| matches!(status, CellStatus::Fail { .. });
    run.cells()
        .filter(|(cell, _, status)| fails(status) && baseline.cell(cell).is_some_and(fails))
        .count()
}

fn staleness(change: &CellChange) -> Option<Staleness> {
    match (change.kind, &change.old) {
        (ChangeKind::Fix, _) => Some(Staleness::Fixed),
        (ChangeKind::Greyed, Some(CellStatus::Fail { .. })) => {
            matches!(change.new, Some(CellStatus::NotApplicable { .. })).then_some(Staleness::NotApplicable)
        }
        (ChangeKind::Gone, old) if !matches!(old, Some(CellStatus::NotTested {})) => Some(Staleness::Gone),
        _ => None,
    }
}
