//! Starts processes and ends them: the only module that does.
//!
//! [`output`] runs a program to its end and returns its output; [`on_terminal`] runs one that writes to this process's own
//! terminal. A [`Service`] runs until it is stopped. A [`Piped`] program exchanges lines with this process. A [`Detached`]
//! program outlives this process.
//!
//! Every child but a detached one gets an explicit environment and nothing else, leads its own process group, and carries
//! a [`ProcessTag`] in its environment. The tag finds descendants that left the group. A [`Watchdog`] ends all tagged
//! processes when this process is killed. This needs `/proc` (Linux); elsewhere only process groups are killed.

mod cage;
mod collector;
mod cpu_waits;
mod detached;
mod hide;
mod lines;
mod output;
mod piped;
mod service;
mod sweep;
mod watchdog;

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::{fmt, io};

use anyhow::anyhow;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use uuid::Uuid;

#[cfg(target_os = "linux")]
pub use cage::Door;
pub use cage::{Cage, CageLayer, CageLayers};
pub use cpu_waits::CpuWaits;
pub use detached::{Detached, leave_session};
pub use hide::hide;
pub use lines::{Line, Lines, MAX_LINE_BYTES};
pub use output::{MAX_OUTPUT_BYTES, ProgramOutput, on_terminal, output, output_blocking, watched_output};
pub use piped::Piped;
pub use service::{Service, Stream};
pub use sweep::{sweep, tagged};
pub use watchdog::Watchdog;

use crate::env::{self, Variables};
use crate::ids::TrialKey;

/// If this process was started in a hidden mode, as a watchdog or inside a cage: does its work and returns the status for
/// `main`. The `main` of every executable that starts a [`Watchdog`] or a [`Cage`] must call this first.
pub fn run_hidden_mode_if_asked() -> Option<ExitCode> {
    cage::run_hidden_mode_if_asked().or_else(watchdog::run_hidden_mode_if_asked)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(pub Uuid);

impl RunId {
    pub fn mint() -> Self {
        Self(Uuid::new_v4())
    }
}

/// The run, and maybe the trial, that a process belongs to: variables in its environment, which its descendants inherit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessTag {
    pub run: RunId,
    pub trial: Option<TrialKey>,
}

impl ProcessTag {
    /// A process of `run` and of no trial.
    pub fn run(run: RunId) -> Self {
        Self { run, trial: None }
    }

    pub fn trial(run: RunId, trial: TrialKey) -> Self {
        Self {
            run,
            trial: Some(trial),
        }
    }

    /// Its variables, the most specific one last.
    fn variables(self) -> impl DoubleEndedIterator<Item = (&'static str, String)> {
        let trial = self.trial.map(|trial| (env::COMPAT_TRIAL, trial.to_string()));
        std::iter::once((env::COMPAT_RUN, self.run.0.to_string())).chain(trial)
    }
}

/// A program to start, with everything that it gets.
#[derive(Clone, PartialEq, Eq)]
pub struct Launch {
    /// A path, or a name that is looked up on the `PATH` of `environment`.
    pub program: PathBuf,
    /// The arguments, without the program's name.
    pub arguments: Vec<OsString>,
    /// The whole environment, apart from the tag.
    pub environment: Variables,
    /// The working directory; `None` for this process's own.
    pub directory: Option<PathBuf>,
    pub tag: ProcessTag,
    /// The cage to start it in, and the only folder that it may write to.
    pub cage: Option<(Arc<Cage>, PathBuf)>,
}

/// Without the environment's values: some are keys.
impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("environment", &self.environment.keys())
            .field("directory", &self.directory)
            .field("tag", &self.tag)
            .finish()
    }
}

impl Launch {
    /// `program` without arguments and with an empty environment.
    pub fn new(program: impl Into<PathBuf>, tag: ProcessTag) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Variables::new(),
            directory: None,
            tag,
            cage: None,
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
        let variables = variables.into_iter();
        self.environment
            .extend(variables.map(|(name, value)| (name.into(), value.into())));
        self
    }

    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Confines it to `cage`; it may write below `folder` only.
    pub fn confined(mut self, cage: Option<&Arc<Cage>>, folder: &Path) -> Self {
        self.cage = cage.map(|cage| (Arc::clone(cage), folder.to_owned()));
        self
    }

    fn spawn(&self, stdin: Stdio, out: fn() -> Stdio) -> anyhow::Result<(Child, Group)> {
        let mut command = tokio::process::Command::from(self.command());
        command
            .envs(self.tag.variables())
            .stdin(stdin)
            .stdout(out())
            .stderr(out())
            .process_group(0);
        let child = command.spawn().map_err(|reason| self.not_started(reason))?;
        let group = Group::of(&child, self.tag);
        Ok((child, group))
    }

    fn command(&self) -> Command {
        let (program, arguments) = match &self.cage {
            None => (self.program.clone(), self.arguments.clone()),
            Some((cage, folder)) => cage.confine(self, folder),
        };
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&self.environment);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    fn not_started(&self, reason: io::Error) -> anyhow::Error {
        let program = self.program.display();
        match &self.cage {
            Some((cage, _)) if !cage.keeper().exists() => anyhow!(
                "cannot start `{program}`: `{}`, which confines it, is gone; do not build or move it during a run",
                cage.keeper().display()
            ),
            _ => anyhow!("cannot start `{program}`: {reason}"),
        }
    }

    fn ended(&self, status: io::Result<ExitStatus>) -> anyhow::Result<Ended> {
        let lost = |reason| anyhow!("lost `{}` while it ran: {reason}", self.program.display());
        let ended = status.map(Ended::from).map_err(lost)?;
        Ok(match &self.cage {
            Some((cage, _)) => cage.ended(ended),
            None => ended,
        })
    }
}

/// How a process ended: one of the two is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

impl Ended {
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
    tag: ProcessTag,
}

impl Group {
    fn of(child: &Child, tag: ProcessTag) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            leader: leader.map(Pid::from_raw),
            tag,
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // It fails only if the group is already gone.
            let _ = killpg(leader, signal);
        }
    }

    /// Kills the group and, for a trial, every process with its tag. All processes of a run share the run's tag, so a
    /// process that belongs to no trial is ended by its group only.
    async fn end(&mut self) {
        if self.leader.is_none() {
            return;
        }
        if self.tag.trial.is_some() {
            let tag = self.tag;
            // Before the group: its leader may be a keeper, which ends last. It fails only if the sweep panicked; the
            // watchdog sweeps again at the end of the run.
            let _ = tokio::task::spawn_blocking(move || sweep(tag)).await;
        }
        self.signal(Signal::SIGKILL);
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.leader.is_some() {
            if self.tag.trial.is_some() {
                sweep(self.tag);
            }
            self.signal(Signal::SIGKILL);
        }
    }
}
