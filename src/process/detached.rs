//! A program that outlives this process.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use parking_lot::Mutex;

use super::{Ended, Launch};

/// The programs that this process has started this way.
static STARTED: Mutex<Vec<i32>> = Mutex::new(Vec::new());

pub(super) fn pids() -> Vec<i32> {
    STARTED.lock().clone()
}

/// A program that continues after this process. It has no tag and must end by itself. It should call [`leave_session`], so
/// that a signal to this process's session does not end it.
#[derive(Debug)]
pub struct Detached(Child);

impl Detached {
    /// Starts it without standard input. Its output goes to the file `log`, which is emptied first and readable by its
    /// owner only.
    pub fn start(launch: &Launch, log: &Path) -> anyhow::Result<Self> {
        let spawn = || {
            let log = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(log)?;
            let mut command = launch.command();
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            command.spawn()
        };
        let child = spawn().map_err(|reason| launch.not_started(reason))?;
        STARTED.lock().extend(i32::try_from(child.id()).ok());
        Ok(Self(child))
    }

    /// How it ended, if it has ended.
    pub fn try_ended(&mut self) -> Option<Ended> {
        self.0.try_wait().ok().flatten().map(Ended::from)
    }
}

/// Moves this process out of its terminal's session.
pub fn leave_session() {
    // It fails only for a group leader, which a terminal started on its own.
    let _ = nix::unistd::setsid();
}
