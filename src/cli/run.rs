//! `compat run`: runs the matrix without cargo.

use std::process::ExitCode;

use clap::Args;

use super::print::status;
use crate::files::built_in;
use crate::harness::{self, Libtest};
use crate::run::RunOptions;

/// Run the matrix
///
/// The same as `cargo test --test compat`, without cargo: the same flags and exit statuses. It runs the cells of the project here or
/// above. Where there is none, a released program runs the cells that are built in: it writes them into `compat-matrix/`, which then
/// has the results too. A program of `cargo build` has none built in.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  compat run
  compat run tool_use vision --tier haiku
  compat run --rerun-failed")]
pub struct Arguments {
    #[command(flatten)]
    pub run: RunOptions,
    #[command(flatten, next_help_heading = "Options")]
    pub libtest: Libtest,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let current = super::project::current_dir()?;
    if let Some(folder) = built_in::ensure(&current)? {
        status!(
            "no `manifest.yaml` here or above: using the cells that are built in, in `{}`",
            folder.display()
        );
    }
    Ok(harness::status(&arguments.run, &arguments.libtest, None))
}
