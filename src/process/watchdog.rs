//! Ends a run's processes when the process that started them is gone, however it went.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use uuid::Uuid;

use super::{Cookie, RunId, sweep};

/// First argument of the hidden mode: too odd for a user to type, and not a flag of any of our programs.
const HIDDEN_MODE: &str = "__compat-watchdog";

/// What the watchdog prints once nothing can interrupt it any more.
const READY: &str = "ready";

/// How many looks in a row, [`PAUSE`] apart, must find nothing before the watchdog of a process that was killed
/// believes that all is dead: a child carries its cookie only from its `exec` on, a moment after it was forked.
const QUIET_LOOKS: usize = 10;

/// The message that the end is an orderly one: a path of no bytes.
const ORDERLY: &[u8] = &[0];

const PAUSE: Duration = Duration::from_millis(20);

/// A second process that outlives this one and then ends what a run has left: every process that carries the
/// run's cookie, and temporary folders.
///
/// It waits for the end of a pipe of which only this process holds the other end, so nothing needs to be
/// told: it works after `kill -9` as after a normal end.
#[derive(Debug)]
pub struct Watchdog {
    child: Child,
    pipe: Option<ChildStdin>,
}

/// The watchdog could not be started.
#[derive(Debug, thiserror::Error)]
pub enum WatchdogError {
    /// The executable could not be started again.
    #[error("cannot start the watchdog: {0}")]
    Start(#[from] io::Error),
    /// The executable did not enter its hidden mode: its `main` does not call [`run_hidden_mode_if_asked`].
    #[error("the watchdog did not start: `{}` said `{said}` instead of `{READY}`", executable.display())]
    NotReady { executable: PathBuf, said: String },
}

impl Watchdog {
    /// Starts one for `run`, from the executable that runs now. It is ready when this returns.
    pub fn start(run: RunId) -> Result<Self, WatchdogError> {
        Self::start_from(&this_executable()?, run)
    }

    /// [`Watchdog::start`] from another executable whose `main` calls [`run_hidden_mode_if_asked`].
    pub fn start_from(executable: &Path, run: RunId) -> Result<Self, WatchdogError> {
        // Both ends of a pipe that std makes are closed on `exec`: no other child ever holds this one open.
        let mut child = Command::new(executable)
            .arg(HIDDEN_MODE)
            .arg(run.0.to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = child.stdin.take();
        let said = first_line(child.stdout.take())?;
        if said == READY {
            return Ok(Self { child, pipe });
        }
        drop(pipe);
        let _ = child.kill();
        let _ = child.wait();
        Err(WatchdogError::NotReady {
            executable: executable.to_owned(),
            said,
        })
    }

    /// Has it remove `folder` in the end as well.
    pub fn remove_at_end(&mut self, folder: &Path) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        let mut message = folder.as_os_str().as_bytes().to_vec();
        message.push(0);
        pipe.write_all(&message)
    }

    /// Has it do its work now, and waits for it (some milliseconds, blocking): afterwards no process of the run is
    /// left, provided that none is being started.
    pub fn finish(mut self) -> io::Result<()> {
        let told = self
            .pipe
            .take()
            .map_or(Ok(()), |mut pipe| pipe.write_all(ORDERLY));
        self.child.wait().and(told)
    }
}

impl Drop for Watchdog {
    /// Lets it do its work, without waiting.
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.child.try_wait();
    }
}

/// On Linux the running file itself, which may have been rebuilt or removed since; elsewhere its path.
fn this_executable() -> io::Result<PathBuf> {
    let link = Path::new("/proc/self/exe");
    if link.exists() {
        Ok(link.to_owned())
    } else {
        std::env::current_exe()
    }
}

fn first_line(source: Option<impl Read>) -> io::Result<String> {
    let mut line = Vec::new();
    if let Some(source) = source {
        BufReader::new(source.take(1 << 10)).read_until(b'\n', &mut line)?;
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// If this process was started as a watchdog: does its work and returns what `main` returns. To be called first
/// in `main` of every executable that starts a [`Watchdog`].
pub fn run_hidden_mode_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != OsStr::new(HIDDEN_MODE) {
        return None;
    }
    let run = arguments
        .next()
        .and_then(|run| run.to_str()?.parse::<Uuid>().ok());
    Some(match run.map(|run| watch(RunId(run))) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(_)) | None => ExitCode::FAILURE,
    })
}

fn watch(run: RunId) -> io::Result<()> {
    // A session of its own: what the terminal sends to its foreground group does not reach it.
    nix::unistd::setsid()?;
    writeln!(io::stdout(), "{READY}")?;
    let folders = paths_until_the_end(io::stdin().lock());
    let is_orderly = folders.iter().any(|folder| folder.as_os_str().is_empty());
    let looks = if is_orderly { 1 } else { QUIET_LOOKS };
    let mut quiet = 0;
    while quiet < looks {
        thread::sleep(if quiet > 0 { PAUSE } else { Duration::ZERO });
        quiet = if sweep(Cookie::Run(run)) == 0 {
            quiet + 1
        } else {
            0
        };
    }
    for folder in folders.iter().filter(|folder| !folder.as_os_str().is_empty()) {
        let _ = std::fs::remove_dir_all(folder);
    }
    Ok(())
}

/// Paths, each ended by a zero byte. One that is cut short is not one.
fn paths_until_the_end(mut pipe: impl BufRead) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut path = Vec::new();
    while let Ok(1..) = pipe.read_until(0, &mut path) {
        if path.pop() == Some(0) {
            paths.push(PathBuf::from(OsString::from_vec(std::mem::take(&mut path))));
        }
    }
    paths
}
