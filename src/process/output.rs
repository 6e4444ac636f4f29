//! Runs a program to its end.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::time::timeout;

use super::collector::{Collector, Keep};
use super::{Ended, Launch, ProcessError};

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
    pub ended: Ended,
    /// Whether it was killed because its time was up.
    pub timed_out: bool,
    pub stdout: Vec<u8>,
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

/// Runs a program to its end that prints where this process prints. Its group is dead when this returns, and also when
/// this is dropped before.
pub async fn on_terminal(launch: &Launch) -> Result<Ended, ProcessError> {
    let (mut child, mut group) = launch.spawn_with(Stdio::null(), Stdio::inherit)?;
    let status = child.wait().await;
    group.end().await;
    status.map(Ended::from).map_err(|source| launch.lost(source))
}

/// Runs a program to its end, with `input` on its standard input, and returns what it printed. Its group is dead
/// when this returns.
pub async fn output(launch: &Launch, input: &[u8], bounds: Bounds) -> Result<Output, ProcessError> {
    let (mut child, mut group) = launch.spawn(if input.is_empty() {
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
    let status = status.map_err(|source| launch.lost(source))?;
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
            .map_err(|source| launch.lost(source))?
            .block_on(output(launch, input, bounds))
    };
    std::thread::scope(|scope| {
        scope
            .spawn(run)
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

async fn write_all(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        // A program that does not read its input is free to.
        let _ = stdin.write_all(input).await;
    }
}
