//! `compat ci`: from a red pipeline to its causes.

mod access;
mod runs;
mod sort;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Find the causes of a red pipeline
///
/// Reads CircleCI and GitHub Actions. Public projects need no token. Otherwise the token comes from `CIRCLECI_TOKEN`,
/// `GITHUB_TOKEN`, a file or a descriptor; never from the command line. docs/ci-failures.md reads a red pipeline from start to end.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat ci status --project BerriAI/litellm --branch main\n  compat ci failures --project BerriAI/litellm --branch main\n  compat ci sort job.log"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(runs::StatusArguments),
    Failures(runs::FailuresArguments),
    Watch(runs::WatchArguments),
    Sort(sort::Arguments),
    Rerun(runs::RerunArguments),
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Status(arguments) => runs::show_status(&arguments),
        Command::Failures(arguments) => runs::show_failures(&arguments),
        Command::Watch(arguments) => runs::watch(&arguments),
        Command::Sort(arguments) => sort::run(&arguments),
        Command::Rerun(arguments) => runs::rerun(&arguments),
    }
}

/// The formats of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// For a reader
    Text,
    /// For programs
    Json,
    /// For a job summary or a comment
    Markdown,
}
