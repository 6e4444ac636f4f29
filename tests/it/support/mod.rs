//! Helpers and doubles that several test modules use.

pub mod cell;
pub mod claude;
pub mod evidence;
pub mod files;
pub mod hub;
pub mod loopback;
pub mod machine;
pub mod mutant;
pub mod project;
pub mod provider_client;
pub mod ran;
pub mod registry;
pub mod sample_run;
pub mod small_project;
pub mod text;
pub mod wait;

use std::path::Path;

/// A complete simulated run without failures.
pub const RESULTS: &str = include_str!("../../fixtures/results-of-90-trials.json");
/// The matrix of [`RESULTS`].
pub const MATRIX: &str = include_str!("../../../sample_compatibility-matrix.json");

/// The folder of this project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
