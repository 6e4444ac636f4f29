//! `compatibility-matrix.json`, schema v1: the file that the docs page and everybody else reads.
//!
//! Its layout is locked: no key may be added. What more there is to say stands in the details file.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ordered_map::OrderedMap;
use crate::ids::{CellId, FeatureId, ProviderId};
use crate::results::CellStatus;
use crate::results::json::{self, Contradiction, JsonError, SchemaVersion, timestamp};

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "compatibility-matrix.json")]
pub struct Matrix {
    /// The version of this layout.
    pub schema_version: SchemaVersion,
    /// When the results were made, ISO 8601, UTC, ending in `Z`.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub generated_at: DateTime<Utc>,
    /// The tag of the LiteLLM release, `v1.83.0-stable`.
    #[schemars(length(min = 1))]
    pub litellm_version: String,
    /// The version of Claude Code, `2.1.120`.
    #[schemars(length(min = 1))]
    pub claude_code_version: String,
    /// The columns, in order.
    pub providers: Vec<ProviderId>,
    /// The rows, in order.
    pub features: Vec<Feature>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Its id, `tool_use`.
    pub id: FeatureId,
    /// The name that people read, `Tool use`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its cells, one a column, in the order of the columns.
    pub providers: OrderedMap<ProviderId, CellStatus>,
}

impl Matrix {
    /// The file's text.
    pub fn to_text(&self) -> String {
        json::write(self)
    }

    /// Reads any valid file of schema v1, whatever its features and providers.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let mut matrix: Self = json::read(text)?;
        matrix
            .check()
            .map_err(|contradiction| contradiction.in_text(text))?;
        matrix.order_cells();
        Ok(matrix)
    }

    /// Every cell with its row's name, row after row.
    pub fn cells(&self) -> impl Iterator<Item = (CellId, &str, &CellStatus)> {
        self.features.iter().flat_map(|feature| {
            feature.providers.0.iter().map(|(provider, status)| {
                let cell = CellId {
                    feature: feature.id.clone(),
                    provider: provider.clone(),
                };
                (cell, feature.name.as_str(), status)
            })
        })
    }

    /// The status of `cell`, if the matrix has it.
    pub fn cell(&self, cell: &CellId) -> Option<&CellStatus> {
        let feature = self.features.iter().find(|feature| feature.id == cell.feature)?;
        feature.providers.get(&cell.provider)
    }

    /// What failed: each different error with the row's name and the column of every cell that has it, in the order
    /// of the first of them.
    pub fn failures(&self) -> Vec<(&str, Vec<(&str, ProviderId)>)> {
        let mut failures: Vec<(&str, Vec<(&str, ProviderId)>)> = Vec::new();
        for (cell, name, status) in self.cells() {
            let CellStatus::Fail { error } = status else {
                continue;
            };
            let place = (name, cell.provider);
            match failures.iter_mut().find(|(other, _)| other == error) {
                Some((_, places)) => places.push(place),
                None => failures.push((error, vec![place])),
            }
        }
        failures
    }

    fn check(&self) -> Result<(), Contradiction> {
        for (field, value) in [
            ("litellm_version", &self.litellm_version),
            ("claude_code_version", &self.claude_code_version),
        ] {
            if value.trim().is_empty() {
                return Err(contradiction(field.into(), "empty".into()));
            }
        }
        let mut columns = HashSet::new();
        for (index, provider) in self.providers.iter().enumerate() {
            if !columns.insert(provider) {
                return Err(contradiction(
                    format!("providers[{index}]"),
                    format!("`{provider}` stands twice"),
                ));
            }
        }
        let mut rows = HashSet::new();
        for (index, feature) in self.features.iter().enumerate() {
            if !rows.insert(&feature.id) {
                return Err(contradiction(
                    format!("features[{index}].id"),
                    format!("`{}` stands twice", feature.id),
                ));
            }
            for (field, value) in [("id", feature.id.as_str()), ("name", &feature.name)] {
                if value.trim().is_empty() {
                    return Err(contradiction(
                        format!("features[{index}].{field}"),
                        "empty".into(),
                    ));
                }
            }
            feature
                .check(&columns)
                .map_err(|what| contradiction(format!("features[{index}].providers"), what))?;
        }
        Ok(())
    }

    fn order_cells(&mut self) {
        let place = |provider: &ProviderId| self.providers.iter().position(|column| column == provider);
        for feature in &mut self.features {
            feature.providers.0.sort_by_key(|(provider, _)| place(provider));
        }
    }
}

impl Feature {
    fn check(&self, columns: &HashSet<&ProviderId>) -> Result<(), String> {
        let cells: HashSet<&ProviderId> = self.providers.0.iter().map(|(provider, _)| provider).collect();
        let mut surplus: Vec<_> = cells.difference(columns).collect();
        surplus.sort();
        if let Some(provider) = surplus.first() {
            return Err(format!("`{provider}` is not one of the matrix's `providers`"));
        }
        let mut missing: Vec<_> = columns.difference(&cells).collect();
        missing.sort();
        match missing.first() {
            Some(provider) => Err(format!("no cell for `{provider}`")),
            None => Ok(()),
        }
    }
}

fn contradiction(at: String, what: String) -> Contradiction {
    Contradiction { at, what }
}
