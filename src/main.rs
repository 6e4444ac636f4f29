//! The binary `compat`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use compat_matrix::cli;

#[derive(Parser)]
struct Compat {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(cli::check::Arguments),
    Schema(cli::schema::Arguments),
    Explain(cli::explain::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    match Compat::parse().command {
        Command::Check(arguments) => cli::check::run(&arguments),
        Command::Explain(arguments) => cli::explain::run(&arguments),
        Command::Schema(arguments) => cli::schema::run(&arguments),
    }
}
