//! `compat man`: man pages, generated from the same definitions as `--help`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

/// Write man pages, one for each command
///
/// Writes `compat.1` and a page for each command (`compat-check.1`, `compat-new-feature.1`).
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat man ~/.local/share/man/man1\n  compat man target/man && man target/man/compat-check.1"
)]
pub struct Arguments {
    /// The folder for the pages; created if it is missing
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let folder = &arguments.folder;
    let command = super::command().disable_help_subcommand(true);
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command, folder))
        .with_context(|| format!("cannot write man pages to `{}`", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
