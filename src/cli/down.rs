//! `compat down`: ends what `compat up` keeps running.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::Runtime;

use super::check;
use super::print::status;
use crate::env::Environment;
use crate::warm::{self, Place};

/// End what `compat up` keeps running
///
/// Waits until gateway and simulator are gone. Where nothing is kept it says so; the exit status is 0 then too.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  compat down")]
pub struct Arguments {
    /// The folder that holds `manifest.yaml` [default: the nearest one upwards]
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let current = std::env::current_dir().context("the working directory is gone")?;
    let root = check::root(arguments.root.as_deref(), &current)?;
    let place = Place::of(&Environment::from_process(), &root)?;
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    match runtime.block_on(warm::end(&place)) {
        Some(description) => status!(
            "the session of process {} has ended (LiteLLM {} at {})",
            description.pid,
            description.made_of.litellm,
            description.gateway
        ),
        None => status!("no session is kept warm"),
    }
    Ok(ExitCode::SUCCESS)
}
