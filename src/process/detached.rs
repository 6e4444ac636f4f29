//! A program that is to outlive this process.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Ended, Launch, ProcessError};

/// A program that goes on when this process has ended. It carries no cookie, and is expected to leave the session of this
/// process by [`leave_session`], so that nothing which ends this process ends it; how it ends is its own concern.
#[derive(Debug)]
pub struct Detached(Child);

impl Detached {
    /// Starts it, without standard input; what it prints goes to the file `log`, which is made anew and its owner's alone.
    pub fn start(launch: &Launch, log: &Path) -> Result<Self, ProcessError> {
        let failed = |source| ProcessError::Start {
            program: launch.program.clone(),
            source,
        };
        let log = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(log)
            .map_err(failed)?;
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.arguments)
            .env_clear()
            .envs(&launch.environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log);
        if let Some(directory) = &launch.directory {
            command.current_dir(directory);
        }
        command.spawn().map(Self).map_err(failed)
    }

    /// How it ended, if it has.
    pub fn try_ended(&mut self) -> Option<Ended> {
        self.0.try_wait().ok().flatten().map(Ended::from)
    }
}

/// Has this process leave its terminal, and whatever is sent to the processes there.
pub fn leave_session() {
    // It fails only for a group's leader: then a terminal has started it by itself.
    let _ = nix::unistd::setsid();
}
