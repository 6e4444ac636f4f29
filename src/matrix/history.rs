//! `compatibility-history.json`: how each cell fared over the published revisions of the matrix, for the page's
//! history strip.

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::published::{FeatureRow, Matrix};
use crate::ids::{FeatureId, ProviderId};
use crate::results::StatusWord;
use crate::results::json::{self, JsonError, SchemaVersion, timestamp};

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "compatibility-history.json")]
pub struct History {
    /// The version of this layout.
    pub schema_version: SchemaVersion,
    /// The published matrices, the oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Revisions of the file that are no matrix of a known schema, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
}

/// One published matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The commit that published it.
    pub commit: String,
    /// When its results were made.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub generated_at: DateTime<Utc>,
    /// The tag of the LiteLLM release.
    pub litellm_version: String,
    /// The version of Claude Code.
    pub claude_code_version: String,
    /// Each cell's status, by feature and provider.
    pub cells: IndexMap<FeatureId, IndexMap<ProviderId, StatusWord>>,
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

impl History {
    /// From the texts of the matrix file, each with its commit, the oldest first.
    pub fn new<'a>(revisions: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut snapshots, mut unreadable) = (Vec::new(), Vec::new());
        for (commit, text) in revisions {
            match Matrix::parse(text) {
                Ok(matrix) => snapshots.push(Snapshot::new(commit, &matrix)),
                Err(error) => unreadable.push(Unreadable {
                    commit: commit.to_owned(),
                    why: error.to_string(),
                }),
            }
        }
        Self {
            schema_version: SchemaVersion::One,
            snapshots,
            unreadable,
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        json::write(self)
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        json::read(text)
    }
}

impl Snapshot {
    fn new(commit: &str, matrix: &Matrix) -> Self {
        let words = |feature: &FeatureRow| {
            let cells = feature.providers.iter();
            cells
                .map(|(provider, status)| (provider.clone(), status.word()))
                .collect()
        };
        Self {
            commit: commit.to_owned(),
            generated_at: matrix.generated_at,
            litellm_version: matrix.litellm_version.clone(),
            claude_code_version: matrix.claude_code_version.clone(),
            cells: matrix
                .features
                .iter()
                .map(|feature| (feature.id.clone(), words(feature)))
                .collect(),
        }
    }
}
