//! `compat down`: stops the warm session.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::Runtime;

use super::print::status;
use super::project::RootFlag;
use crate::env::Environment;
use crate::session::daemon::{self, StateDir};

/// Stop the warm session that `compat up` started
///
/// Returns when gateway and simulator have ended. The exit status is 0 even if there is no session.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  compat down")]
pub struct Arguments {
    #[command(flatten)]
    pub root: RootFlag,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let root = arguments.root.find()?;
    let state = StateDir::of(&Environment::from_process(), &root)?;
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    match runtime.block_on(daemon::end(&state)) {
        Some(info) => status!(
            "the warm session of process {} was stopped (LiteLLM {} at {})",
            info.pid,
            info.litellm,
            info.gateway
        ),
        None => status!("no warm session is running"),
    }
    Ok(ExitCode::SUCCESS)
}
