//! `compatibility-matrix.json`, schema v1: the file that the docs page and other programs read.
//!
//! Its layout is locked: no key may be added. Everything else is in the details file.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    pub features: Vec<FeatureRow>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Feature")]
pub struct FeatureRow {
    /// Its id, `tool_use`.
    pub id: FeatureId,
    /// The name that people read, `Tool use`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its cells, one a column, in the order of the columns.
    #[serde(deserialize_with = "json::unique_keys")]
    pub providers: IndexMap<ProviderId, CellStatus>,
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
            feature
                .providers
                .iter()
                .map(|(provider, status)| (CellId::new(&feature.id, provider), feature.name.as_str(), status))
        })
    }

    /// The status of `cell`, if the matrix has it.
    pub fn cell(&self, cell: &CellId) -> Option<&CellStatus> {
        let feature = self.features.iter().find(|feature| feature.id == cell.feature)?;
        feature.providers.get(&cell.provider)
    }

    /// Each different error with the row's name and the column of every cell that has it, in the order of the cells.
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
        not_empty("litellm_version".into(), &self.litellm_version)?;
        not_empty("claude_code_version".into(), &self.claude_code_version)?;
        let mut columns = HashSet::new();
        for (index, provider) in self.providers.iter().enumerate() {
            if !columns.insert(provider) {
                let what = format!("`{provider}` is there twice");
                return Err(Contradiction::new(format!("providers[{index}]"), what));
            }
        }
        let mut rows = HashSet::new();
        for (index, feature) in self.features.iter().enumerate() {
            let at = |field: &str| format!("features[{index}].{field}");
            if !rows.insert(&feature.id) {
                let what = format!("`{}` is there twice", feature.id);
                return Err(Contradiction::new(at("id"), what));
            }
            not_empty(at("id"), feature.id.as_str())?;
            not_empty(at("name"), &feature.name)?;
            let fault = feature.check(&columns);
            fault.map_err(|what| Contradiction::new(at("providers"), what))?;
        }
        Ok(())
    }

    fn order_cells(&mut self) {
        let place = |provider: &ProviderId| self.providers.iter().position(|column| column == provider);
        for feature in &mut self.features {
            feature.providers.sort_by_key(|provider, _| place(provider));
        }
    }
}

impl FeatureRow {
    fn check(&self, columns: &HashSet<&ProviderId>) -> Result<(), String> {
        let cells: HashSet<&ProviderId> = self.providers.keys().collect();
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

fn not_empty(at: String, value: &str) -> Result<(), Contradiction> {
    match value.trim() {
        "" => Err(Contradiction::new(at, "empty")),
        _ => Ok(()),
    }
}
