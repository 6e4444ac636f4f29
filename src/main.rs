//! The binary `compat`.

use std::process::ExitCode;

use clap::Parser;
use compat_matrix::cli;

#[derive(Parser)]
enum Arguments {
    /// The provider simulator on its own.
    Provider(cli::provider::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse() {
        Arguments::Provider(arguments) => cli::provider::run(arguments),
    }
}
