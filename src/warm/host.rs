//! The process that keeps a session warm.

use std::path::PathBuf;
use std::time::Duration;

use chrono::Utc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::{Description, Fingerprint, Place, WarmError};
use crate::env::Environment;
use crate::process::{RunId, Watchdog};
use crate::progress::ProgressSink;
use crate::provider::{self, new_control_key};
use crate::session::{self, Booted, SessionError};

/// How often the host looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(200);

/// What is hosted, and for how long.
#[derive(Clone, Debug)]
pub struct Hosting {
    pub environment: Environment,
    pub root: PathBuf,
    /// Where it says that it is there.
    pub place: Place,
    /// How long it stays without a guest.
    pub idle: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Its file is gone, or another's: `compat down`, another `compat up`, or a folder that was removed.
    Told,
    /// Nobody needed it for so long.
    Idle(Duration),
    Signal,
    Gateway(String),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Told => f.write_str("the session has been ended"),
            Self::Idle(idle) => write!(f, "nobody has used the session for {} s", idle.as_secs()),
            Self::Signal => f.write_str("the session has been interrupted"),
            Self::Gateway(how) => write!(f, "the gateway has ended by itself: {how}"),
        }
    }
}

/// Starts gateway and simulator, hands what guests need to know to `ready`, and stays until nobody wants it any more.
/// Everything it started is dead when this returns.
pub async fn serve(
    hosting: &Hosting,
    progress: &dyn ProgressSink,
    ready: impl FnOnce(&Description),
) -> Result<End, WarmError> {
    let session = |error: SessionError| WarmError::Session(Box::new(error));
    // From here on a signal ends it in order.
    let mut signals = Signals::listen().map_err(hosting.place.failed("listen for signals"))?;
    let made_of = Fingerprint::of(&hosting.root)?;
    hosting.place.prepare()?;
    let run = RunId::mint();
    let mut watchdog = Watchdog::start(run)?;
    let scratch = tempfile::Builder::new()
        .prefix("compat-")
        .tempdir()
        .map_err(|error| session(SessionError::Scratch(error)))?;
    watchdog.remove_at_end(scratch.path())?;
    let control_key = new_control_key().map_err(|_| WarmError::Key)?;
    let boot = session::Boot {
        environment: &hosting.environment,
        root: &hosting.root,
        run,
        scratch: scratch.path(),
        simulator: provider::Options {
            control_key: Some(control_key.clone()),
            ..provider::Options::default()
        },
        relay_behind: false,
    };
    let mut booted = tokio::select! {
        booted = session::boot(boot, progress) => booted.map_err(session)?,
        () = signals.any() => return Ok(End::Signal),
    };
    let description = Description {
        pid: std::process::id(),
        since: Utc::now(),
        idle_seconds: hosting.idle.as_secs(),
        made_of,
        gateway: booted.litellm.base_url().to_owned(),
        gateway_key: booted.litellm.key().expose().to_owned(),
        gateway_log: booted.litellm.log().path().to_owned(),
        provider: booted.simulator.base_url().to_owned(),
        control_key,
    };
    hosting.place.write(&description)?;
    ready(&description);
    let end = tokio::select! {
        end = stay(hosting, &description, &mut booted) => end,
        () = signals.any() => End::Signal,
    };
    if hosting.place.read().is_some_and(|there| there == description) {
        hosting.place.remove();
    }
    booted.litellm.stop().await;
    booted.simulator.shutdown().await;
    // It has nothing left to end but what escaped; that it cannot be waited for harms nobody.
    let _ = tokio::task::spawn_blocking(|| watchdog.finish()).await;
    Ok(end)
}

/// Waits until the host is not wanted any more, or cannot go on.
async fn stay(hosting: &Hosting, description: &Description, booted: &mut Booted) -> End {
    let mut wanted = Instant::now();
    loop {
        sleep(LOOK).await;
        if let Some(ended) = booted.litellm.try_ended() {
            return End::Gateway(ended.to_string());
        }
        if hosting.place.read().as_ref() != Some(description) {
            return End::Told;
        }
        match hosting.place.nobody() {
            None => wanted = Instant::now(),
            Some(_nobody) if wanted.elapsed() >= hosting.idle => {
                // Before a guest can come that would find it ending.
                hosting.place.remove();
                return End::Idle(hosting.idle);
            }
            Some(_) => {}
        }
    }
}

/// What asks a process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
