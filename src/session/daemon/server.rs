//! The daemon: the process that runs the warm session.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::{DaemonInfo, Fingerprint, StateDir};
use crate::env::Environment;
use crate::gateway::{GatewayProcess, WantedTools};
use crate::process::RunId;
use crate::progress::ProgressSink;
use crate::provider::{self, new_control_key};
use crate::session::boot::{Boot, RunGuard, boot, simulator_options};

/// How often the daemon checks whether it should stop.
const POLL_PAUSE: Duration = Duration::from_millis(200);

#[derive(Clone, Debug)]
pub struct DaemonOptions {
    pub environment: Environment,
    pub root: PathBuf,
    pub state: StateDir,
    /// How long it stays without a client.
    pub idle: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Its file was deleted or replaced: by `compat down`, by another `compat up`, or with its folder.
    Removed,
    /// It had no client for this time.
    Idle(Duration),
    Signal,
    /// The gateway ended with this status.
    Gateway(String),
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Removed => f.write_str("the warm session was stopped"),
            Self::Idle(idle) => write!(f, "the warm session stopped: no run for {} s", idle.as_secs()),
            Self::Signal => f.write_str("the warm session was interrupted"),
            Self::Gateway(how) => write!(f, "the warm session stopped: its gateway ended ({how})"),
        }
    }
}

/// Starts gateway and simulator, calls `ready`, and runs until there is a reason to stop. All its children are dead when it
/// returns.
pub async fn serve(
    options: &DaemonOptions,
    progress: &dyn ProgressSink,
    ready: impl FnOnce(&DaemonInfo),
) -> anyhow::Result<StopReason> {
    // From here on, a signal ends the daemon in order.
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let inputs = Fingerprint::of(&options.root)?;
    options.state.prepare()?;
    let run = RunId::mint();
    let guard = RunGuard::start(run, None)?;
    let control_key = new_control_key()
        .ok()
        .context("cannot make a control key for the provider simulator")?;
    let boot_options = Boot {
        environment: &options.environment,
        root: &options.root,
        run,
        scratch: guard.scratch(),
        simulator: provider::SimulatorOptions {
            control_key: Some(control_key.clone()),
            ..simulator_options(&options.root)
        },
        relay_behind: false,
        wanted: &WantedTools::pinned(),
    };
    let mut booted = tokio::select! {
        booted = boot(boot_options, progress) => booted?,
        () = signals.any() => return Ok(StopReason::Signal),
    };
    let info = DaemonInfo {
        pid: std::process::id(),
        since: Utc::now(),
        idle_seconds: options.idle.as_secs(),
        inputs,
        litellm: booted.version,
        gateway: booted.gateway.base_url().to_owned(),
        gateway_key: booted.gateway.key().expose().to_owned(),
        gateway_log: booted.gateway.log().path().to_owned(),
        gateway_pid: booted.gateway.id(),
        provider: booted.simulator.base_url().to_owned(),
        control_key,
    };
    options.state.write(&info)?;
    ready(&info);
    let reason = tokio::select! {
        reason = watch(options, &info, &mut booted.gateway) => reason,
        () = signals.any() => StopReason::Signal,
    };
    if options.state.read().is_some_and(|current| current == info) {
        options.state.remove();
    }
    booted.gateway.stop().await;
    booted.simulator.shutdown().await;
    guard.end().await;
    Ok(reason)
}

/// Waits for a reason to stop.
async fn watch(options: &DaemonOptions, info: &DaemonInfo, gateway: &mut GatewayProcess) -> StopReason {
    let mut used = Instant::now();
    loop {
        sleep(POLL_PAUSE).await;
        if let Some(ended) = gateway.try_ended() {
            return StopReason::Gateway(ended.to_string());
        }
        if options.state.read().as_ref() != Some(info) {
            return StopReason::Removed;
        }
        match options.state.exclusive_lease() {
            None => used = Instant::now(),
            Some(_lease) if used.elapsed() >= options.idle => {
                // The file goes before the lease: a client that gets the lease next must not find this daemon.
                options.state.remove();
                return StopReason::Idle(options.idle);
            }
            Some(_) => {}
        }
    }
}

/// SIGINT, SIGTERM and SIGHUP, which end the daemon.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> std::io::Result<Self> {
        use SignalKind as Kind;
        let (interrupt, terminate) = (signal(Kind::interrupt())?, signal(Kind::terminate())?);
        Ok(Self([interrupt, terminate, signal(Kind::hangup())?]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
