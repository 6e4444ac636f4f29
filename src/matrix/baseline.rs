//! Compares a run with a baseline, which is the matrix of an accepted state.
//!
//! A cell that fails in both is accepted. Regressions fail the run, and so do stale entries of the baseline. A cell that
//! the run did not measure is counted and reported.

use std::fmt;

use super::builder::{BuildError, Stamp, build};
use super::details::Details;
use super::diff::{CellChange, ChangeKind, Diff};
use super::published::Matrix;
use super::view::ManifestView;
use crate::results::{CellStatus, Results};

#[derive(Clone, Debug, PartialEq)]
pub struct BaselineComparison {
    /// The baseline, compared with the run.
    pub diff: Diff,
    /// Cells that passed in the baseline and fail now.
    pub regressions: Vec<CellChange>,
    pub stale: Vec<StaleEntry>,
    /// How many cells fail in the baseline and in the run.
    pub accepted: usize,
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
    pub fn new(baseline: &Matrix, manifest: &ManifestView, results: &Results) -> Result<Self, BuildError> {
        let matrix = build(manifest, results, &stamp(results))?;
        let details = Details::build(manifest, results, &stamp(results))?;
        let diff = Diff::new(baseline, &matrix, Some(&details));
        let of_kind = |kind| diff.of_kind(kind).cloned();
        let stale = diff.changes.iter().filter_map(|change| {
            Some(StaleEntry {
                why: staleness(change)?,
                change: change.clone(),
            })
        });
        let unmeasured = [ChangeKind::New, ChangeKind::Tested, ChangeKind::Greyed];
        let unmeasured = unmeasured.into_iter().flat_map(of_kind);
        Ok(Self {
            regressions: of_kind(ChangeKind::Regression).collect(),
            stale: stale.collect(),
            accepted: failing_in_both(baseline, &matrix),
            unmeasured: unmeasured.filter(is_unmeasured).collect(),
            untried: of_kind(ChangeKind::Greyed)
                .filter(|change| change.new == Some(CellStatus::NotTested {}))
                .count(),
            diff,
        })
    }

    /// Whether there is no regression and no stale entry.
    pub fn is_accepted(&self) -> bool {
        self.regressions.is_empty() && self.stale.is_empty()
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
