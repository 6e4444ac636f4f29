//! A run measured against a baseline: the matrix of a state that is put up with. Red cells that the baseline has
//! too do not fail the run; regressions do, and so does a stale entry: a failure in the baseline that the run shows to be
//! no more, or a cell that the manifest does not know. What a run does not measure is counted, never passed over.

use std::fmt;

use super::builder::{BuildError, Stamp, build};
use super::details::Details;
use super::diff::{Change, Diff, Kind};
use super::published::Matrix;
use super::view::ManifestView;
use crate::results::{CellStatus, Results};

/// What a baseline says of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The baseline, compared with the run.
    pub diff: Diff,
    /// Cells that passed in the baseline and fail now.
    pub regressions: Vec<Change>,
    /// Entries of the baseline that no longer say anything true.
    pub stale: Vec<Stale>,
    /// How many cells fail in the baseline and in the run.
    pub put_up_with: usize,
    /// Cells that fail, or were made not applicable, and of which the baseline does not say that they did: no regressions,
    /// and nothing that it puts up with either.
    pub unmeasured: Vec<Change>,
    /// How many cells that passed or failed in the baseline the run did not try on every tier.
    pub untried: usize,
}

/// An entry of a baseline that no longer says anything true.
#[derive(Clone, Debug, PartialEq)]
pub struct Stale {
    pub change: Change,
    pub why: Staleness,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// It puts up with a failure that is no more.
    Fixed,
    /// It puts up with a failure of a cell that is now said not to apply.
    NotApplicable,
    /// The manifest has no such cell.
    Gone,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change {
            feature, provider, ..
        } = &self.change;
        match self.why {
            Staleness::Fixed => write!(f, "`{feature}::{provider}` fails in the baseline and passes now"),
            Staleness::NotApplicable => write!(
                f,
                "`{feature}::{provider}` fails in the baseline and does not apply now"
            ),
            Staleness::Gone => write!(
                f,
                "`{feature}::{provider}` is in the baseline and not in the manifest"
            ),
        }
    }
}

impl Verdict {
    /// Measures `results` against `baseline`. A cell that the run did not try on every tier, or that is new, is not
    /// measured unless it failed; what the baseline says of it stays.
    pub fn new(baseline: &Matrix, manifest: &ManifestView, results: &Results) -> Result<Self, BuildError> {
        // Versions and times play no part in the verdict.
        let stamp = Stamp {
            generated_at: results.run.written_at,
            litellm_version: results
                .run
                .gateway
                .version
                .clone()
                .unwrap_or_else(|| "unknown".into()),
            claude_code_version: results
                .run
                .claude_code_version
                .clone()
                .unwrap_or_else(|| "unknown".into()),
        };
        let matrix = build(manifest, results, &stamp)?;
        let details = Details::build(manifest, results, &stamp)?;
        let diff = Diff::new(baseline, &matrix, Some(&details));
        let stale = diff.changes.iter().filter_map(|change| {
            let why = staleness(change)?;
            Some(Stale {
                change: change.clone(),
                why,
            })
        });
        let of_kind = |kind| diff.of_kind(kind).cloned();
        let is_unmeasured = |change: &Change| match &change.new {
            Some(CellStatus::Fail { .. }) => true,
            Some(CellStatus::NotApplicable { .. }) => matches!(change.old, Some(CellStatus::Pass {})),
            _ => false,
        };
        let unmeasured = [Kind::New, Kind::Tested, Kind::Greyed]
            .into_iter()
            .flat_map(of_kind);
        Ok(Self {
            regressions: of_kind(Kind::Regression).collect(),
            stale: stale.collect(),
            put_up_with: put_up_with(baseline, &matrix),
            unmeasured: unmeasured.filter(is_unmeasured).collect(),
            untried: of_kind(Kind::Greyed)
                .filter(|change| change.new == Some(CellStatus::NotTested {}))
                .count(),
            diff,
        })
    }

    /// Whether the run is accepted: no regression, and nothing stale in the baseline.
    pub fn is_accepted(&self) -> bool {
        self.regressions.is_empty() && self.stale.is_empty()
    }
}

fn put_up_with(baseline: &Matrix, run: &Matrix) -> usize {
    let fails = |status: &CellStatus| matches!(status, CellStatus::Fail { .. });
    run.cells()
        .filter(|(cell, _, status)| fails(status) && baseline.cell(cell).is_some_and(fails))
        .count()
}

fn staleness(change: &Change) -> Option<Staleness> {
    match (change.kind, &change.old) {
        (Kind::Fix, _) => Some(Staleness::Fixed),
        (Kind::Greyed, Some(CellStatus::Fail { .. })) => {
            matches!(change.new, Some(CellStatus::NotApplicable { .. })).then_some(Staleness::NotApplicable)
        }
        (Kind::Gone, old) if !matches!(old, Some(CellStatus::NotTested {})) => Some(Staleness::Gone),
        _ => None,
    }
}
