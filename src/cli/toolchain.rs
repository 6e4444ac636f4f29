//! `compat toolchain`: the pinned `claude` and LiteLLM, installed, shown, verified.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::progress;
use crate::toolchain::{Installer, Lock, lock};

/// Install, show and update the pinned `claude` and LiteLLM.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder of the lock
    #[arg(long, global = true, value_name = "FOLDER", default_value = lock::FOLDER)]
    lock: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what is pinned and not installed yet
    Install {
        /// Only this one
        tool: Option<Tool>,
    },
    /// Print the path of an installed tool
    Path {
        /// Which one
        tool: Tool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Tool {
    Claude,
    Litellm,
}

/// Runs `compat toolchain`.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new()?.block_on(run_async(arguments))
}

async fn run_async(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let lock = Lock::read(&arguments.lock)?;
    let progress = progress::on_standard_error();
    let installer = Installer::new(crate::env::Environment::from_process(), &*progress)?;
    match arguments.command {
        Command::Install { tool } => {
            if tool != Some(Tool::Litellm) {
                anstream::println!("{}", installer.ensure_claude(&lock.claude).await?.display());
            }
            if tool != Some(Tool::Claude) {
                anstream::println!(
                    "{}",
                    installer
                        .ensure_litellm(&lock.litellm, &lock.uv)
                        .await?
                        .bin
                        .display()
                );
            }
        }
        Command::Path { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}
