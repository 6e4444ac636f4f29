//! `compat up`: starts a warm session.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::Runtime;

use super::print::{output, status};
use super::project::RootFlag;
use crate::env::{self, Environment};
use crate::process;
use crate::progress;
use crate::session::daemon::{self, DaemonInfo, DaemonOptions, Fingerprint, StateDir};

/// Start gateway and provider simulator in the background, for later runs
///
/// Returns when LiteLLM and the provider simulator answer. Later runs use this warm session and
/// start in a second instead of ten. A run uses it only if it was started from identical inputs: this build, the pinned
/// LiteLLM and the same `proxy_config.yaml`. Otherwise the next `compat up` replaces it, unless a run is using it.
///
/// It stops after `compat down`, after some time without a run, when its gateway ends, and when its folder is removed.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  compat up
  compat run tool_use::anthropic::haiku
  compat down

  Stay in the terminal until interrupted:
    compat up --foreground")]
pub struct Arguments {
    /// Seconds without a run after which it stops
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub idle: u64,
    /// Stay in this process until interrupted
    #[arg(long)]
    pub foreground: bool,
    #[command(flatten)]
    pub root: RootFlag,
    /// Run as the daemon of the session in this folder; `compat up` starts itself this way
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub daemon: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.daemon.is_some() {
        process::leave_session();
    }
    let environment = Environment::from_process();
    let root = arguments.root.find()?;
    anyhow::ensure!(
        environment.get(env::LITELLM_PROXY_BASE_URL).is_none(),
        "`{}` names a gateway that already runs, so there is no session to start",
        env::LITELLM_PROXY_BASE_URL
    );
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    let options = DaemonOptions {
        state: match &arguments.daemon {
            Some(folder) => StateDir::at(folder),
            None => StateDir::of(&environment, &root)?,
        },
        environment,
        root,
        idle: Duration::from_secs(arguments.idle),
    };
    runtime.block_on(async {
        if arguments.daemon.is_some() {
            serve(&options, |_| ()).await
        } else if arguments.foreground {
            in_foreground(&options).await
        } else {
            in_background(&options).await
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(options: &DaemonOptions, ready: impl FnOnce(&DaemonInfo)) -> anyhow::Result<()> {
    let reason = daemon::serve(options, progress::on_standard_error().as_ref(), ready).await?;
    status!("{reason}");
    Ok(())
}

async fn in_foreground(options: &DaemonOptions) -> anyhow::Result<()> {
    options.state.prepare()?;
    let start = options.state.lock_start()?;
    let wanted = Fingerprint::of(&options.root)?;
    let progress = progress::on_standard_error();
    if let Some(client) = daemon::find_or_end(&options.state, &wanted, progress.as_ref()).await? {
        announce(&client.info, ALREADY, STOP);
        return Ok(());
    }
    serve(options, |info| {
        announce(info, "is ready", "Ctrl-C stops it");
        drop(start);
    })
    .await
}

async fn in_background(options: &DaemonOptions) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let progress = progress::on_standard_error();
    let DaemonOptions {
        state,
        root,
        environment,
        idle,
    } = options;
    let started = daemon::find_or_start(state, root, environment, &program, *idle, progress.as_ref()).await?;
    let status = if started.was_running { ALREADY } else { "is ready" };
    announce(&started.client.info, status, STOP);
    Ok(())
}

const ALREADY: &str = "is already running";
const STOP: &str = "`compat down` stops it";

fn announce(info: &DaemonInfo, status: &str, stop: &str) {
    output!("the warm session {status}");
    output!("  gateway    LiteLLM {} at {}", info.litellm, info.gateway);
    output!("  simulator  {}", info.provider);
    output!("  process    {}", info.pid);
    output!("  log        {}", info.gateway_log.display());
    output!("{stop}; it also stops {} s after the last run", info.idle_seconds);
}
