//! Cells and the manifest: from YAML text to checked values.
//!
//! Pure: texts in, values and faults out. Parse, then resolve: a mirror of each file whose every field is
//! known (`mirror`), then the checked types below, which leave planning and judging nothing to ask about.
//! Every fault of a file is found at once, each with the place where its text really stands.
#![warn(clippy::disallowed_methods)]

pub mod cell;
pub mod expectation;
pub mod manifest;
pub mod proxy_config;
pub mod mirror;
pub mod forms;
pub mod reference;
pub mod owned;
pub mod resolve;
mod resolve_expectation;
