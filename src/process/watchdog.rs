//! Ends a run's processes when the process that started them has ended, even by `SIGKILL`.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use uuid::Uuid;

use super::sweep::{self, sweep};
use super::{ProcessTag, RunId};
use super::{detached, hide};

/// First argument of the hidden mode: no user types it, and no program of ours has such a flag.
const HIDDEN_MODE: &str = "__compat-watchdog";

/// The watchdog prints this once a signal to the terminal's group can no longer reach it.
const READY: &str = "ready";

/// After a kill, so many looks in a row, [`PAUSE`] apart, must find no process: a child has its tag only after `exec`, a
/// moment after the fork.
const QUIET_LOOKS: usize = 10;

/// The message of an orderly end: an empty path.
const ORDERLY: &[u8] = &[0];

/// The watchdogs of this process. With another one, a run is alive whose processes are descendants too.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

const PAUSE: Duration = Duration::from_millis(20);

/// A second process that outlives this one and then ends the rest of a run: every process with the run's tag, and
/// temporary folders.
///
/// It waits for the end of a pipe whose other end only this process holds. So it needs no message and works after
/// `kill -9` too.
#[derive(Debug)]
pub struct Watchdog {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts one for `run` from the running executable. It is ready when this returns.
    pub fn start(run: RunId) -> anyhow::Result<Self> {
        let executable = this_executable().context("cannot find this executable for the watchdog")?;
        Self::start_from(&executable, run)
    }

    /// [`Watchdog::start`] from another executable whose `main` calls [`super::run_hidden_mode_if_asked`].
    pub fn start_from(executable: &Path, run: RunId) -> anyhow::Result<Self> {
        // std closes both ends of this pipe on `exec`, so no other child can hold it open.
        let mut child = Command::new(executable)
            .arg(HIDDEN_MODE)
            .arg(run.0.to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the watchdog")?;
        let pipe = child.stdin.take();
        let said = first_line(child.stdout.take()).context("cannot start the watchdog")?;
        if said == READY {
            ALIVE.fetch_add(1, Ordering::SeqCst);
            return Ok(Self { child, pipe });
        }
        drop(pipe);
        let _ = child.kill();
        let _ = child.wait();
        bail!(
            "the watchdog did not start: `{}` printed `{said}` instead of `{READY}`",
            executable.display()
        )
    }

    /// Makes it remove `folder` at the end too.
    pub fn remove_at_end(&mut self, folder: &Path) -> anyhow::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        let mut message = folder.as_os_str().as_bytes().to_vec();
        message.push(0);
        pipe.write_all(&message).context("the watchdog has ended")
    }

    /// Whether it has ended, though nobody asked it to.
    pub fn is_lost(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Makes it do its work now and waits for it (some milliseconds, blocking). Afterwards no process of the run is left,
    /// unless one is being started.
    pub fn finish(mut self) -> io::Result<()> {
        if hide::adopts() && ALIVE.load(Ordering::SeqCst) == 1 {
            let mut spared = detached::pids();
            spared.extend(i32::try_from(self.child.id()).ok());
            sweep::descendants(&spared);
        }
        let sent = self
            .pipe
            .take()
            .map_or(Ok(()), |mut pipe| pipe.write_all(ORDERLY));
        self.child.wait().and(sent)
    }
}

impl Drop for Watchdog {
    /// Lets it do its work, without waiting.
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
        self.pipe = None;
        let _ = self.child.try_wait();
    }
}

/// On Linux the running file itself, even if its path has been rebuilt or removed; elsewhere its path.
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

/// If this process was started as a watchdog: does its work and returns the status for `main`.
pub(super) fn run_hidden_mode_if_asked() -> Option<ExitCode> {
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
    // With its own session it does not get the signals that the terminal sends to its foreground group.
    nix::unistd::setsid()?;
    writeln!(io::stdout(), "{READY}")?;
    let folders = paths_until_the_end(io::stdin().lock());
    let is_orderly = folders.iter().any(|folder| folder.as_os_str().is_empty());
    let looks = if is_orderly { 1 } else { QUIET_LOOKS };
    let mut quiet = 0;
    while quiet < looks {
        thread::sleep(if quiet > 0 { PAUSE } else { Duration::ZERO });
        quiet = match sweep(ProcessTag::run(run)) {
            0 => quiet + 1,
            _ => 0,
        };
    }
    for folder in folders.iter().filter(|folder| !folder.as_os_str().is_empty()) {
        let _ = std::fs::remove_dir_all(folder);
    }
    Ok(())
}

/// Paths, each ended by a zero byte. An incomplete last one is dropped.
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
