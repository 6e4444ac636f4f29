//! How each cell fared over the published revisions of the matrix, for the page's history strip.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::published::{ByProvider, Matrix};
use crate::ids::{CellId, FeatureId, ProviderId};
use crate::results::json::{self, JsonError, SchemaVersion, timestamp};

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "matrix-history.json")]
pub struct History {
    /// The version of this layout.
    pub schema_version: SchemaVersion,
    /// The revisions, the oldest first.
    pub revisions: Vec<Revision>,
    /// Revisions that are no matrix of a known schema, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// The rows that any revision had: those of the newest first, in its order.
    pub features: Vec<FeatureHistory>,
}

/// A revision of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// The commit.
    pub commit: String,
    /// When its results were made.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub generated_at: DateTime<Utc>,
    /// The tag of the LiteLLM release.
    pub litellm_version: String,
    /// The version of Claude Code.
    pub claude_code_version: String,
}

/// A revision that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unreadable {
    /// The commit.
    pub commit: String,
    /// Why not.
    pub why: String,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureHistory {
    /// Its id.
    pub id: FeatureId,
    /// By column: a status a revision, in the order of `revisions`.
    pub providers: ByProvider<Vec<Past>>,
}

/// What a cell was in a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Past {
    /// Every tier passed.
    Pass,
    /// A tier failed.
    Fail,
    /// The feature cannot exist on the provider.
    NotApplicable,
    /// Not every tier was tried.
    NotTested,
    /// The matrix had no such cell.
    Absent,
}

impl From<&crate::results::CellStatus> for Past {
    fn from(status: &crate::results::CellStatus) -> Self {
        use crate::results::CellStatus;
        match status {
            CellStatus::Pass {} => Self::Pass,
            CellStatus::Fail { .. } => Self::Fail,
            CellStatus::NotApplicable { .. } => Self::NotApplicable,
            CellStatus::NotTested {} => Self::NotTested,
        }
    }
}

impl History {
    /// From the texts of the matrix file, commit by commit, the oldest first.
    pub fn new<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut matrices, mut revisions, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for (commit, text) in texts {
            match Matrix::parse(text) {
                Ok(matrix) => {
                    revisions.push(Revision {
                        commit: commit.to_owned(),
                        generated_at: matrix.generated_at,
                        litellm_version: matrix.litellm_version.clone(),
                        claude_code_version: matrix.claude_code_version.clone(),
                    });
                    matrices.push(matrix);
                }
                Err(error) => unreadable.push(Unreadable {
                    commit: commit.to_owned(),
                    why: error.to_string(),
                }),
            }
        }
        Self {
            schema_version: SchemaVersion::One,
            revisions,
            unreadable,
            features: features(&matrices),
        }
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
}

fn features(matrices: &[Matrix]) -> Vec<FeatureHistory> {
    let newest_first = || matrices.iter().rev();
    let mut rows: Vec<&FeatureId> = Vec::new();
    let mut columns: Vec<&ProviderId> = Vec::new();
    for matrix in newest_first() {
        add_new(&mut rows, matrix.features.iter().map(|feature| &feature.id));
        add_new(&mut columns, &matrix.providers);
    }
    let strip = |feature: &FeatureId, provider: &ProviderId| -> Vec<Past> {
        let cell = CellId {
            feature: feature.clone(),
            provider: provider.clone(),
        };
        matrices
            .iter()
            .map(|matrix| matrix.cell(&cell).map_or(Past::Absent, Past::from))
            .collect()
    };
    rows.into_iter()
        .map(|id| {
            let strips = columns
                .iter()
                .map(|provider| ((*provider).clone(), strip(id, provider)));
            let known = strips.filter(|(_, strip)| strip.iter().any(|past| *past != Past::Absent));
            FeatureHistory {
                id: id.clone(),
                providers: ByProvider(known.collect()),
            }
        })
        .collect()
}

fn add_new<'a, T: PartialEq>(list: &mut Vec<&'a T>, more: impl IntoIterator<Item = &'a T>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}
