//! placeholder
use clap::{Parser, Subcommand};
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}
#[derive(Subcommand)]
enum Command {
    Toolchain(compat_matrix::cli::toolchain::Arguments),
}
fn main() -> anyhow::Result<std::process::ExitCode> {
    match Cli::parse().command {
        Command::Toolchain(arguments) => compat_matrix::cli::toolchain::run(arguments),
    }
}
