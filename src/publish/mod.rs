//! The daily run: the matrix of the newest release, published in the docs repository.
//!
//! Pure functions decide whether and what to publish (`gate`, `plan`, `summary`, `freshness`). The edge carries it out:
//! `release_run` (with `run`) produces the matrix of a release, `deliver` (with `credentials`, `tokens`, `git`) publishes it,
//! and `daily` runs all steps in order. This module judges no trial and prints nothing. In the docs repository it writes only
//! the planned files.

pub mod gate;
pub mod plan;
pub mod summary;
pub mod freshness;
pub mod steps;
pub mod run;
pub mod release_run;
pub mod credentials;
pub mod tokens;
pub mod git;
pub mod deliver;
pub mod webhook;
pub mod daily;

use std::path::Path;

use anyhow::Context as _;

use crate::files::atomic_write;

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    atomic_write::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}
