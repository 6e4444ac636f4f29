//! A run measured against a baseline: the matrix of a state that is put up with. Red cells that the baseline has
//! too do not fail the run; regressions do, and so does an entry of the baseline that has had its day.

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
}

/// An entry of a baseline that no longer says anything true.
#[derive(Clone, Debug, PartialEq)]
pub struct Stale {
    /// The cell.
    pub change: Change,
    /// What is wrong with it.
    pub why: Staleness,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// It puts up with a failure that is no more.
    Fixed,
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
    ///
    /// # Errors
    /// [`BuildError::Unknown`], where a result is of something that the manifest does not have.
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
        Ok(Self {
            regressions: diff.of_kind(Kind::Regression).cloned().collect(),
            stale: stale.collect(),
            diff,
        })
    }

    /// Whether the run is accepted: no regression, and nothing stale in the baseline.
    pub fn is_accepted(&self) -> bool {
        self.regressions.is_empty() && self.stale.is_empty()
    }
}

fn staleness(change: &Change) -> Option<Staleness> {
    match (change.kind, &change.old) {
        (Kind::Fix, _) => Some(Staleness::Fixed),
        (Kind::Gone, old) if !matches!(old, Some(CellStatus::NotTested {})) => Some(Staleness::Gone),
        _ => None,
    }
}
