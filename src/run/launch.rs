//! A run as a program of its own.

use std::path::Path;

use anyhow::Context as _;

use crate::process::{Launch, ProcessTag};

/// A run of the project at `root` as a program of its own: `harness` if it is given, cargo with `cargo_flag` in a checkout, else
/// this program.
pub fn of_run(
    harness: Option<&Path>,
    root: &Path,
    cargo_flag: &str,
    tag: ProcessTag,
) -> anyhow::Result<Launch> {
    if let Some(program) = harness {
        return Ok(Launch::new(program, tag));
    }
    if root.join("harness/main.rs").is_file() {
        let arguments = ["test", cargo_flag, "--test", "compat", "--"];
        return Ok(Launch::new("cargo", tag).arguments(arguments));
    }
    of_own_run(tag)
}

/// `compat run` of this program.
pub fn of_own_run(tag: ProcessTag) -> anyhow::Result<Launch> {
    let own = std::env::current_exe().context("cannot find this program")?;
    Ok(Launch::new(own, tag).arguments(["run"]))
}
