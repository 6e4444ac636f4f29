//! A session that is kept warm: gateway and provider simulator in a process of their own, for runs that come and go.
//!
//! [`host`](serve) is that process. It says in a file of its [`Place`] where it listens, with which keys, and what it was
//! made of; whoever removes the file ends it, and by itself it ends when nobody has held a lease for a while, or when its
//! gateway does. A run is a guest: it takes a lease, sees whether what it finds is what it would start itself, and speaks
//! the simulator's control routes as with any simulator that it is told of. Nothing is killed by its number, and what the
//! host starts ends with the host, however that ends. A guest judges nothing and changes nothing at its host.

mod fingerprint;
mod guest;
mod host;
mod place;
mod shared_run;

use std::path::PathBuf;
use std::time::Duration;

pub use fingerprint::{Fingerprint, FingerprintError};
pub use guest::{Found, Guest, Started, end, ensure, find};
pub use host::{End, Hosting, serve};
pub use place::{Description, Place};
pub use shared_run::{Held, SharedRun};

/// Which warm session a run may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Warmth {
    /// None: the run starts what it needs.
    #[default]
    Cold,
    /// The one that `compat up` keeps, if it is there and fits.
    IfThere,
    /// The same; else one for all processes of a run, which the first of them starts.
    Shared {
        program: PathBuf,
        /// What the processes have in common.
        run: String,
    },
}

/// How long a session that processes of one run share stays after the last of them: they come one after the other.
pub const SHARED_IDLE: Duration = Duration::from_secs(15);

/// Why there is no warm session.
#[derive(Debug, thiserror::Error)]
pub enum WarmError {
    /// The cache's folder, the lock or the watchdog failed.
    #[error("{0}")]
    Tools(String),
    /// What it is to be made of cannot be read.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
    #[error("cannot {action} in `{}`: {source}", folder.display())]
    Place {
        action: &'static str,
        folder: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Process(#[from] crate::process::ProcessError),
    /// It ended before it was ready.
    #[error("the process that was to keep the session ended before it was ready ({how}); the end of `{}`:\n{tail}", log.display())]
    Ended { how: String, log: PathBuf, tail: String },
    /// It was not ready in time.
    #[error("the process that was to keep the session was not ready within {} s; the end of `{}`:\n{tail}", .patience.as_secs(), log.display())]
    Silent {
        patience: Duration,
        log: PathBuf,
        tail: String,
    },
    /// What it needs could not be started.
    #[error(transparent)]
    Session(#[from] Box<crate::session::SessionError>),
    /// One that does not fit is in the way of another run that uses it.
    #[error(
        "the session that is kept warm does not fit ({why}), and a run uses it: wait for its end, or run `compat down`"
    )]
    InUse { why: String },
    #[error("cannot make a control key for the provider simulator")]
    Key,
}

impl From<anyhow::Error> for WarmError {
    fn from(error: anyhow::Error) -> Self {
        Self::Tools(format!("{error:#}"))
    }
}
