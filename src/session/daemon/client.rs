//! The client of the warm session: finds it, starts it, ends it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::{DaemonInfo, Fingerprint, StateDir};
use crate::env::Environment;
use crate::gateway::{self, LogFile, NotReady, wait_until_ready};
use crate::http;
use crate::process::{Detached, Launch, ProcessTag, RunId};
use crate::progress::ProgressSink;
use crate::provider::RemoteSimulator;
use crate::toolchain::{Installer, Lock, lock};

/// The longest wait for the daemon's reply.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);
/// The longest start of the daemon. The gateway's own timeout is shorter.
const READY_PATIENCE: Duration = Duration::from_secs(240);
/// The longest wait for its end.
const END_PATIENCE: Duration = Duration::from_secs(15);
const POLL_PAUSE: Duration = Duration::from_millis(50);

/// A connection to the warm session.
pub struct DaemonClient {
    pub info: DaemonInfo,
    pub provider: RemoteSimulator,
    /// The daemon stays while this is held.
    pub lease: File,
}

/// The session that a state directory describes.
pub enum Found {
    Usable(Box<DaemonClient>),
    /// A session that cannot be used, and the reason.
    Unusable(String),
    /// None. The file of a dead daemon has been removed.
    Absent,
}

pub struct Started {
    pub client: Box<DaemonClient>,
    /// Whether it ran before.
    pub was_running: bool,
}

/// Looks for a warm session with the `wanted` inputs.
pub async fn find(state: &StateDir, wanted: &Fingerprint) -> anyhow::Result<Found> {
    if state.read().is_none() {
        return Ok(Found::Absent);
    }
    // The lease comes before the check: from then on a running daemon stays.
    let of = state.clone();
    let lease = spawn_blocking(move || of.lease())
        .await
        .expect("locking does not panic")?;
    let Some(info) = state.read() else {
        return Ok(Found::Absent);
    };
    let provider = match hello(&info).await {
        Hello::Running(provider) => provider,
        Hello::Silent => return Ok(Found::Unusable("it does not answer".into())),
        Hello::Gone => {
            if state.read().is_some_and(|current| current == info) {
                state.remove();
            }
            return Ok(Found::Absent);
        }
    };
    if let Some(difference) = info.inputs.difference(wanted) {
        return Ok(Found::Unusable(difference));
    }
    if !gateway::is_alive(&http::client(), &info.gateway).await {
        return Ok(Found::Unusable("its gateway does not answer".into()));
    }
    Ok(Found::Usable(Box::new(DaemonClient {
        info,
        provider,
        lease,
    })))
}

/// Finds a session with the inputs of `root`, or has `program` start one that ends after `idle` without a client. It ends a
/// session with other inputs, unless a run uses it. One process at a time does this.
pub async fn find_or_start(
    state: &StateDir,
    root: &Path,
    environment: &Environment,
    program: &Path,
    idle: Duration,
    progress: &dyn ProgressSink,
) -> anyhow::Result<Started> {
    let wanted = Fingerprint::of(root)?;
    let running = |client| Started {
        client,
        was_running: true,
    };
    if let Found::Usable(client) = find(state, &wanted).await? {
        return Ok(running(client));
    }
    state.prepare()?;
    let of = state.clone();
    let _start = spawn_blocking(move || of.lock_start())
        .await
        .expect("locking does not panic")?;
    if let Some(client) = find_or_end(state, &wanted, progress).await? {
        return Ok(running(client));
    }
    // Here, so that the caller's terminal shows the progress.
    let pins = Lock::read(&root.join(lock::FOLDER))?;
    let installer = Installer::new(environment.clone(), RunId::mint(), progress)?;
    installer.ensure_litellm(&pins.litellm, &pins.uv).await?;
    let label = format!("starting LiteLLM {} as a warm session", pins.litellm.version);
    progress.begin(&label);
    let launch = Launch::new(program, ProcessTag::run(RunId::mint()))
        .arguments(["up", "--daemon"])
        .arguments([state.folder()])
        .arguments(["--idle".to_owned(), idle.as_secs().to_string()])
        .arguments(["--root"])
        .arguments([root])
        .environment(environment.for_harness())
        .directory(root);
    let client = start(state, &launch, &wanted).await;
    progress.end(&label);
    Ok(Started {
        client: client?,
        was_running: false,
    })
}

/// Finds a usable session, or ends one that is not. Fails if a run uses the other one.
pub async fn find_or_end(
    state: &StateDir,
    wanted: &Fingerprint,
    progress: &dyn ProgressSink,
) -> anyhow::Result<Option<Box<DaemonClient>>> {
    match find(state, wanted).await? {
        Found::Usable(client) => return Ok(Some(client)),
        Found::Unusable(why) => {
            ensure!(
                state.exclusive_lease().is_some(),
                "the warm session cannot be used here ({why}), and a run uses it: wait for the end of that run, or run \
                 `compat down`"
            );
            progress.note(&format!("ending the warm session: {why}"));
            end(state).await;
        }
        Found::Absent => {}
    }
    Ok(None)
}

/// Ends the session and waits until it has ended. Returns its description if there was one.
pub async fn end(state: &StateDir) -> Option<DaemonInfo> {
    let info = state.read()?;
    let was_running = !matches!(hello(&info).await, Hello::Gone);
    state.remove();
    let deadline = Instant::now() + END_PATIENCE;
    while Instant::now() < deadline && !matches!(hello(&info).await, Hello::Gone) {
        sleep(POLL_PAUSE).await;
    }
    was_running.then_some(info)
}

enum Hello {
    /// It accepts the control key, so it is this daemon.
    Running(RemoteSimulator),
    /// Something listens there, but it does not answer.
    Silent,
    Gone,
}

async fn hello(info: &DaemonInfo) -> Hello {
    let connect = RemoteSimulator::connect(&info.provider, &info.control_key);
    match timeout(HELLO_PATIENCE, connect).await {
        Ok(Ok(simulator)) => Hello::Running(simulator),
        Ok(Err(error)) if RemoteSimulator::is_gone(&error) => Hello::Gone,
        Ok(Err(_)) | Err(_) => Hello::Silent,
    }
}

async fn start(state: &StateDir, launch: &Launch, wanted: &Fingerprint) -> anyhow::Result<Box<DaemonClient>> {
    const WHAT: &str = "the process of the warm session";
    let log = LogFile::at(&state.log());
    let mut daemon = Detached::start(launch, &state.log())?;
    let probe = || async {
        match find(state, wanted).await {
            Ok(Found::Absent) => None,
            found => Some(found),
        }
    };
    let ended = || daemon.try_ended();
    match wait_until_ready(WHAT, READY_PATIENCE, &log, ended, probe).await?? {
        Found::Usable(client) => Ok(client),
        Found::Unusable(why) => {
            end(state).await;
            Err(NotReady::new(WHAT, format!("cannot be used ({why})"), &log).into())
        }
        Found::Absent => unreachable!("the probe waits for a session"),
    }
}
