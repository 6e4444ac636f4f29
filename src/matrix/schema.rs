//! The JSON Schemas of every file that this program writes, generated from its types.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use super::compare::GatewayComparison;
use super::details::Details;
use super::diff::Diff;
use super::history::History;
use super::published::Matrix;
use super::versions::VersionHistory;
use crate::results::{Results, json};

/// Each schema's file name below `schema/` and its text.
pub fn files() -> Vec<(&'static str, String)> {
    vec![
        ("compat-results.schema.json", text::<Results>()),
        ("compatibility-matrix.schema.json", text::<Matrix>()),
        ("compatibility-details.schema.json", text::<Details>()),
        ("matrix-diff.schema.json", text::<Diff>()),
        ("gateway-comparison.schema.json", text::<GatewayComparison>()),
        ("compatibility-history.schema.json", text::<History>()),
        ("version-history.schema.json", text::<VersionHistory>()),
    ]
}

/// The text of the schema of a type.
pub fn text<T: JsonSchema>() -> String {
    let generator = SchemaSettings::draft2020_12().into_generator();
    json::write(&generator.into_root_schema_for::<T>())
}
