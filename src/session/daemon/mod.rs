//! The warm session: gateway and provider simulator in a background process, shared by many runs.
//!
//! The daemon ([`serve`]) writes a file into its [`StateDir`] with its addresses, its keys and its [`Fingerprint`]. Deleting
//! the file stops the daemon. It also stops when no run has held a lease for a while, and when its gateway ends. A run
//! ([`find`]) takes a lease, compares fingerprints, and uses the simulator's control routes. We never kill by PID, because
//! PIDs are reused. The daemon's own children end with it, even if it is killed.

mod client;
mod fingerprint;
mod server;
mod state_dir;

use std::path::PathBuf;
use std::time::Duration;

pub use client::{DaemonClient, Found, Started, end, find, find_or_end, find_or_start};
pub use fingerprint::{Fingerprint, SOURCE};
pub use server::{DaemonOptions, StopReason, serve};
pub use state_dir::{DaemonInfo, StateDir};

/// Which warm session a run may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DaemonUse {
    /// None: the run starts its own gateway and simulator.
    #[default]
    Never,
    /// The session of `compat up`, if it runs and has the same inputs.
    IfRunning,
    /// The same, else one for all processes of a run. The first process starts it.
    Shared {
        /// The `compat` to start it with.
        program: PathBuf,
        /// The id that all processes of the run share.
        run: String,
    },
}

/// How long a run's shared session waits for another process of the run. nextest starts them one after the other.
pub const SHARED_IDLE: Duration = Duration::from_secs(15);
