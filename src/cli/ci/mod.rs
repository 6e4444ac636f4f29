//! `compat ci`: from a red pipeline to its causes.

mod sort;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Find the causes of a red pipeline
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Sort(sort::Arguments),
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Sort(arguments) => sort::run(&arguments),
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
