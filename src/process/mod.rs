//! Starts processes and ends them: the only place that does.
//!
//! Several kinds: [`output`] runs a program to its end and returns what it printed, [`on_terminal`] one that prints where
//! this process does; [`Service`] is a program that runs until it is stopped, its lines handed on as they come; [`Piped`]
//! is one that is talked to line by line; [`Detached`] is one that outlives this process. Every other child gets an explicit environment and nothing else, leads a process group of its own, and carries the
//! cookies of its [`Mark`], so that its descendants are found even where they left the group. A
//! [`Watchdog`] does the same when this process is killed. Nothing here knows what the programs are.
//!
//! Finding processes by cookie needs `/proc` (Linux); elsewhere only process groups are killed.

mod collector;
mod detached;
mod lines;
mod output;
mod piped;
mod service;
mod sweep;
mod watchdog;

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::{fmt, io};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use uuid::Uuid;

pub use detached::{Detached, leave_session};
pub use lines::{Line, Lines, MAX_LINE_BYTES};
pub use output::{Bounds, Output, on_terminal, output, output_blocking};
pub use piped::{Next, Piped};
pub use service::{Service, Stream};
pub use sweep::{Cookie, carriers, sweep};
pub use watchdog::{Watchdog, WatchdogError, run_hidden_mode_if_asked};

use crate::env::{self, Variables};
use crate::ids::TrialKey;

/// A run of the project, whose processes are found by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(pub Uuid);

impl RunId {
    pub fn mint() -> Self {
        Self(Uuid::new_v4())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub run: RunId,
    /// The trial, if it is a trial's.
    pub trial: Option<TrialKey>,
}

impl Mark {
    /// Belongs to `run` and to no trial.
    pub fn run(run: RunId) -> Self {
        Self { run, trial: None }
    }

    pub fn trial(run: RunId, trial: TrialKey) -> Self {
        Self {
            run,
            trial: Some(trial),
        }
    }

    /// The narrowest cookie that all processes of this mark carry.
    pub fn cookie(self) -> Cookie {
        match self.trial {
            Some(trial) => Cookie::Trial(trial),
            None => Cookie::Run(self.run),
        }
    }
}

/// A program to start, and all it is given.
#[derive(Clone, PartialEq, Eq)]
pub struct Launch {
    /// The program: a path, or a name that is looked for on the `PATH` of `environment`.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<OsString>,
    /// Its whole environment, beside the cookies.
    pub environment: Variables,
    /// Its working directory; this process's own if there is none.
    pub directory: Option<PathBuf>,
    pub mark: Mark,
}

/// Without the environment's values, some of which are keys.
impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("environment", &self.environment.keys())
            .field("directory", &self.directory)
            .field("mark", &self.mark)
            .finish()
    }
}

impl Launch {
    /// `program` without arguments and with an empty environment.
    pub fn new(program: impl Into<PathBuf>, mark: Mark) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Variables::new(),
            directory: None,
            mark,
        }
    }

    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub fn environment(
        mut self,
        variables: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Self {
        self.environment.extend(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        self
    }

    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    fn spawn(&self, stdin: Stdio) -> Result<(Child, Group), ProcessError> {
        self.spawn_with(stdin, Stdio::piped)
    }

    fn spawn_with(&self, stdin: Stdio, out: fn() -> Stdio) -> Result<(Child, Group), ProcessError> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .env(env::COMPAT_RUN, self.mark.run.0.to_string())
            .stdin(stdin)
            .stdout(out())
            .stderr(out())
            .process_group(0);
        if let Some(trial) = self.mark.trial {
            command.env(env::COMPAT_TRIAL, trial.to_string());
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let child = command.spawn().map_err(|source| ProcessError::Start {
            program: self.program.clone(),
            source,
        })?;
        let group = Group::of(&child, self.mark);
        Ok((child, group))
    }

    fn lost(&self, source: io::Error) -> ProcessError {
        ProcessError::Lost {
            program: self.program.clone(),
            source,
        }
    }
}

/// A process could not be started or waited for.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("cannot start `{}`: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    /// It was started, but talking to it or waiting for it failed.
    #[error("lost `{}` while it ran: {source}", program.display())]
    Lost { program: PathBuf, source: io::Error },
}

/// How a process ended: one of the two is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

impl Ended {
    /// Whether it ended by itself with status 0.
    pub fn is_success(self) -> bool {
        self.code == Some(0)
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        Self {
            code: status.code(),
            signal: status.signal(),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit status {code}"),
            (None, Some(signal)) => match Signal::try_from(signal) {
                Ok(name) => write!(f, "{name}"),
                Err(_) => write!(f, "signal {signal}"),
            },
            (None, None) => f.write_str("an unknown end"),
        }
    }
}

/// A process group that this process started. Dropping it before [`Group::end`] kills the group.
#[derive(Debug)]
struct Group {
    leader: Option<Pid>,
    mark: Mark,
}

impl Group {
    fn of(child: &Child, mark: Mark) -> Self {
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .map(Pid::from_raw);
        Self { leader, mark }
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // It fails only where the group is gone already.
            let _ = killpg(leader, signal);
        }
    }

    /// Kills what is left of the group and, of a trial, every process that carries its cookie. The cookie of a
    /// run is shared by all its processes, so those that belong to no trial end by group alone.
    async fn end(&mut self) {
        if self.leader.is_none() {
            return;
        }
        self.signal(Signal::SIGKILL);
        if self.mark.trial.is_some() {
            let cookie = self.mark.cookie();
            // A failed join means that the sweep panicked; the watchdog sweeps again at the end of the run.
            let _ = tokio::task::spawn_blocking(move || sweep(cookie)).await;
        }
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.leader.is_some() {
            self.signal(Signal::SIGKILL);
            if self.mark.trial.is_some() {
                sweep(self.mark.cookie());
            }
        }
    }
}
