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
    Versions(compat_matrix::cli::versions::Arguments),
}
fn main() -> anyhow::Result<std::process::ExitCode> {
    match Cli::parse().command {
        Command::Versions(arguments) => compat_matrix::cli::versions::run(arguments),
        Command::Toolchain(arguments) => compat_matrix::cli::toolchain::run(arguments),
    }
}
