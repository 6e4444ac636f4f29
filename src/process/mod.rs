//! Starts processes and ends them: the only place that does.
//!
//! Three kinds: [`output`] runs a program to its end and returns what it printed; [`Service`] is a program that
//! runs until it is stopped, its lines handed on as they come; [`Piped`] is one that is talked to line by line.
//! Every child gets an explicit environment and nothing else, leads a process group of its own, and carries the
//! cookies of its [`Mark`], so that its descendants are found even where they left the group. A
//! [`Watchdog`] does the same when this process is killed. Nothing here knows what the programs are.
//!
//! Finding processes by cookie needs `/proc` (Linux); elsewhere only process groups are killed.

mod lines;
mod sweep;
mod watchdog;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

pub use lines::{Line, Lines, MAX_LINE_BYTES};
pub use sweep::{Cookie, carriers, sweep};
pub use watchdog::{Watchdog, WatchdogError, run_hidden_mode_if_asked};

use crate::env::{self, Variables};
use crate::ids::TrialKey;

/// A run of the project, whose processes are found by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(pub Uuid);

impl RunId {
    /// A new one.
    pub fn mint() -> Self {
        Self(Uuid::new_v4())
    }
}

/// What a process belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The run.
    pub run: RunId,
    /// The trial, if it is a trial's.
    pub trial: Option<TrialKey>,
}

impl Mark {
    /// Belongs to `run` and to no trial.
    pub fn run(run: RunId) -> Self {
        Self { run, trial: None }
    }

    /// Belongs to `trial` of `run`.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The program: a path, or a name that is looked for on the `PATH` of `environment`.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub arguments: Vec<OsString>,
    /// Its whole environment, beside the cookies.
    pub environment: Variables,
    /// Its working directory; this process's own if there is none.
    pub directory: Option<PathBuf>,
    /// What it belongs to.
    pub mark: Mark,
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

    /// Adds arguments.
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds variables.
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

    /// Sets the working directory.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    fn spawn(&self, stdin: Stdio) -> Result<(Child, Group), ProcessError> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .env(env::COMPAT_RUN, self.mark.run.0.to_string())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
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
}

/// A process could not be started or waited for.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot start `{}`: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was started, but talking to it or waiting for it failed.
    #[error("lost `{}` while it ran: {source}", program.display())]
    Lost {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// How a process ended: one of the two is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status.
    pub code: Option<i32>,
    /// The signal that ended it.
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

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    async fn end(mut self) {
        self.signal(Signal::SIGKILL);
        self.leader = None;
        if self.mark.trial.is_some() {
            let cookie = self.mark.cookie();
            // A failed join means that the sweep panicked; the watchdog sweeps again at the end of the run.
            let _ = tokio::task::spawn_blocking(move || sweep(cookie)).await;
        }
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

/// What bounds a run to completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long it may take; then its group is killed.
    pub deadline: Duration,
    /// How many bytes of each of its outputs are kept: the first ones. The rest is read and dropped.
    pub bytes: usize,
}

impl Bounds {
    /// A deadline, and 16 MiB of each output.
    pub fn deadline(deadline: Duration) -> Self {
        Self {
            deadline,
            bytes: 16 << 20,
        }
    }
}

/// What a program printed and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub ended: Ended,
    /// Whether it was killed because its time was up.
    pub timed_out: bool,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Whether an output was longer than the bound.
    pub truncated: bool,
}

impl Output {
    /// Whether it ended by itself with status 0.
    pub fn is_success(&self) -> bool {
        self.ended.is_success() && !self.timed_out
    }

    /// Standard output as text, bytes that are not UTF-8 replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text, bytes that are not UTF-8 replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Runs a program to its end, with `input` on its standard input, and returns what it printed. Its group is dead
/// when this returns.
pub async fn output(launch: &Launch, input: &[u8], bounds: Bounds) -> Result<Output, ProcessError> {
    let (mut child, group) = launch.spawn(if input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    })?;
    let stdout = Collector::start(child.stdout.take(), Keep::First(bounds.bytes));
    let stderr = Collector::start(child.stderr.take(), Keep::First(bounds.bytes));
    let stdin = child.stdin.take();
    let whole = async {
        // Its end is what counts: it need not read its input, and a descendant may hold its outputs open.
        tokio::select! {
            biased;
            status = child.wait() => status,
            () = write_all(stdin, input) => child.wait().await,
        }
    };
    let finished = timeout(bounds.deadline, whole).await;
    let timed_out = finished.is_err();
    let status = match finished {
        Ok(status) => status,
        Err(_) => {
            group.signal(Signal::SIGKILL);
            child.wait().await
        }
    };
    group.end().await;
    let status = status.map_err(|source| lost(launch, source))?;
    let (stdout, stdout_cut) = stdout.finish().await;
    let (stderr, stderr_cut) = stderr.finish().await;
    Ok(Output {
        ended: status.into(),
        timed_out,
        stdout,
        stderr,
        truncated: stdout_cut || stderr_cut,
    })
}

/// [`output`] for callers that are not asynchronous. May be called anywhere: it waits on a thread of its own.
pub fn output_blocking(launch: &Launch, input: &[u8], bounds: Bounds) -> Result<Output, ProcessError> {
    let run = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| lost(launch, source))?
            .block_on(output(launch, input, bounds))
    };
    std::thread::scope(|scope| {
        scope
            .spawn(run)
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn lost(launch: &Launch, source: io::Error) -> ProcessError {
    ProcessError::Lost {
        program: launch.program.clone(),
        source,
    }
}

async fn write_all(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        // A program that does not read its input is free to.
        let _ = stdin.write_all(input).await;
    }
}

/// Which bytes of an output are kept.
#[derive(Clone, Copy, Debug)]
enum Keep {
    First(usize),
    Last(usize),
}

/// Reads an output in the background, so that the program never waits for a reader.
#[derive(Debug)]
struct Collector {
    collected: Arc<Mutex<Collected>>,
    reader: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    truncated: bool,
}

impl Collected {
    fn add(&mut self, part: &[u8], keep: Keep) {
        match keep {
            Keep::First(bound) => {
                let room = bound - self.bytes.len();
                self.bytes.extend_from_slice(&part[..part.len().min(room)]);
                self.truncated |= part.len() > room;
            }
            Keep::Last(bound) => {
                self.bytes.extend_from_slice(part);
                let surplus = self.bytes.len().saturating_sub(bound);
                self.bytes.drain(..surplus);
                self.truncated |= surplus > 0;
            }
        }
    }
}

impl Collector {
    fn start(source: Option<impl AsyncRead + Unpin + Send + 'static>, keep: Keep) -> Self {
        let collected = Arc::new(Mutex::new(Collected::default()));
        let sink = collected.clone();
        let reader = tokio::spawn(async move {
            let Some(mut source) = source else { return };
            let mut buffer = vec![0; 16 << 10];
            // An output that cannot be read any more has ended.
            while let Ok(count @ 1..) = source.read(&mut buffer).await {
                locked(&sink).add(&buffer[..count], keep);
            }
        });
        Self { collected, reader }
    }

    /// What was read until the output ended, or until [`DRAIN`] is over: a descendant that left the group may hold
    /// it open for ever.
    async fn finish(mut self) -> (Vec<u8>, bool) {
        let _ = timeout(DRAIN, &mut self.reader).await;
        self.reader.abort();
        let collected = std::mem::take(&mut *locked(&self.collected));
        (collected.bytes, collected.truncated)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which of a program's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A program that runs until it is stopped. Dropping it kills its group at once.
#[derive(Debug)]
pub struct Service {
    child: Child,
    group: Group,
    readers: Vec<JoinHandle<()>>,
    launch: Launch,
}

impl Service {
    /// Starts it; `sink` is given each line of both outputs as it comes.
    pub fn start(
        launch: Launch,
        sink: impl Fn(Stream, Line) + Clone + Send + 'static,
    ) -> Result<Self, ProcessError> {
        let (mut child, group) = launch.spawn(Stdio::null())?;
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let sink = sink.clone();
            readers.push(tokio::spawn(hand_on(Lines::new(stdout), move |line| {
                sink(Stream::Stdout, line)
            })));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(tokio::spawn(hand_on(Lines::new(stderr), move |line| {
                sink(Stream::Stderr, line)
            })));
        }
        Ok(Self {
            child,
            group,
            readers,
            launch,
        })
    }

    /// Waits until it ends by itself. May be dropped and called again.
    pub async fn ended(&mut self) -> Result<Ended, ProcessError> {
        let status = self.child.wait().await;
        status
            .map(Ended::from)
            .map_err(|source| lost(&self.launch, source))
    }

    /// How it ended, if it has.
    pub fn try_ended(&mut self) -> Option<Ended> {
        self.child.try_wait().ok().flatten().map(Ended::from)
    }

    /// Asks it to end (SIGTERM to its group), waits for at most `grace`, kills what is left, and hands on its last
    /// lines.
    pub async fn stop(mut self, grace: Duration) -> Result<Ended, ProcessError> {
        self.group.signal(Signal::SIGTERM);
        let status = match timeout(grace, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                self.group.signal(Signal::SIGKILL);
                self.child.wait().await
            }
        };
        self.group.end().await;
        for reader in self.readers {
            // A descendant outside the group may hold the output open; its lines are nobody's.
            let _ = timeout(DRAIN, reader).await;
        }
        status
            .map(Ended::from)
            .map_err(|source| lost(&self.launch, source))
    }
}

/// How long the rest of an output is waited for once its program has ended.
const DRAIN: Duration = Duration::from_secs(1);

async fn hand_on(mut lines: Lines<impl AsyncRead + Unpin>, sink: impl Fn(Line)) {
    while let Some(line) = lines.next().await {
        sink(line);
    }
}

/// A program that is talked to: its three streams, and its end. Dropping it kills its group at once.
#[derive(Debug)]
pub struct Piped {
    /// Its standard input; dropping it closes it.
    pub stdin: Option<ChildStdin>,
    /// The lines of its standard output.
    pub stdout: Lines<ChildStdout>,
    child: Child,
    group: Group,
    stderr: Collector,
    launch: Launch,
}

/// What a [`Piped`] program does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It printed a line.
    Line(Line),
    /// It closed its standard output.
    Closed,
    /// It ended; lines that it printed right before may still be read.
    Ended,
}

impl Piped {
    /// Starts it. Of standard error the last `stderr_bytes` are kept.
    pub fn start(launch: Launch, stderr_bytes: usize) -> Result<Self, ProcessError> {
        let (mut child, group) = launch.spawn(Stdio::piped())?;
        let stdout = child.stdout.take().expect("standard output is piped");
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: Lines::new(stdout),
            group,
            stderr: Collector::start(child.stderr.take(), Keep::Last(stderr_bytes)),
            child,
            launch,
        })
    }

    /// What happens next: what was printed comes before the end. May be dropped and called again.
    pub async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            line = self.stdout.next() => line.map_or(Next::Closed, Next::Line),
            // A descendant may hold the output open for ever: the end of the program is an end as well.
            _ = self.child.wait() => Next::Ended,
        }
    }

    /// Waits until it ends by itself, without ending what it left behind. May be dropped and called again.
    pub async fn ended(&mut self) -> Result<Ended, ProcessError> {
        let status = self.child.wait().await;
        status
            .map(Ended::from)
            .map_err(|source| lost(&self.launch, source))
    }

    /// Kills its group. [`Piped::finish`] then tells how it ended.
    pub fn kill(&self) {
        self.group.signal(Signal::SIGKILL);
    }

    /// Waits for its end, kills whatever it left behind, and returns how it ended and its standard error.
    pub async fn finish(mut self) -> Result<(Ended, Vec<u8>), ProcessError> {
        let status = self.child.wait().await;
        self.group.end().await;
        let (stderr, _) = self.stderr.finish().await;
        let status = status.map_err(|source| lost(&self.launch, source))?;
        Ok((status.into(), stderr))
    }
}
