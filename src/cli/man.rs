//! `compat man`: man pages, from the same description of the command line that `--help` shows.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

/// Write man pages, one a command
///
/// `compat.1`, and for each command a page of its own (`compat-check.1`, `compat-new-feature.1`).
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat man ~/.local/share/man/man1\n  compat man target/man && man target/man/compat-check.1"
)]
pub struct Arguments {
    /// The folder that they go to, made if there is none
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder `{}`", folder.display()))?;
    let command = super::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, folder)
        .with_context(|| format!("writing man pages to `{}`", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
