//! Runs a program to its end.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use super::collector::{Collector, Keep};
use super::{Ended, Launch};

/// How many bytes of each output are kept: the first ones. The rest is read and dropped.
pub const MAX_OUTPUT_BYTES: usize = 16 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramOutput {
    pub ended: Ended,
    /// Whether it was killed at its deadline.
    pub timed_out: bool,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// Whether an output was longer than [`MAX_OUTPUT_BYTES`].
    pub truncated: bool,
}

impl ProgramOutput {
    /// Whether it ended by itself with status 0.
    pub fn is_success(&self) -> bool {
        self.ended.is_success() && !self.timed_out
    }

    /// Standard output. Bytes that are not UTF-8 are replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error. Bytes that are not UTF-8 are replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Runs a program to its end; it writes to this process's own outputs. Its group is dead when the call returns or is
/// dropped.
pub async fn on_terminal(launch: &Launch) -> anyhow::Result<Ended> {
    let (mut child, mut group) = launch.spawn(Stdio::null(), Stdio::inherit)?;
    let status = child.wait().await;
    group.end().await;
    launch.ended(status)
}

/// Runs a program to its end with `input` on its standard input, and returns its output. A program that runs longer than
/// `deadline` is killed. Its group is dead when the call returns.
pub async fn output(launch: &Launch, input: &[u8], deadline: Duration) -> anyhow::Result<ProgramOutput> {
    watched_output(launch, input, deadline, |_| {}).await
}

/// [`output`]. While the program runs, `watch` gets its standard error so far, every half second.
pub async fn watched_output(
    launch: &Launch,
    input: &[u8],
    deadline: Duration,
    watch: impl Fn(&[u8]),
) -> anyhow::Result<ProgramOutput> {
    let stdin = match input.is_empty() {
        true => Stdio::null(),
        false => Stdio::piped(),
    };
    let (mut child, mut group) = launch.spawn(stdin, Stdio::piped)?;
    let stdout = Collector::start(child.stdout.take(), Keep::First(MAX_OUTPUT_BYTES));
    let stderr = Collector::start(child.stderr.take(), Keep::First(MAX_OUTPUT_BYTES));
    let stdin = child.stdin.take();
    let whole = async {
        // Only the program's end counts: it need not read its input, and a descendant may hold its outputs open.
        tokio::select! {
            biased;
            status = child.wait() => status,
            () = write_all(stdin, input) => child.wait().await,
        }
    };
    let watching = async {
        loop {
            sleep(Duration::from_millis(500)).await;
            stderr.look(&watch);
        }
    };
    let finished = tokio::select! {
        finished = timeout(deadline, whole) => finished,
        never = watching => match never {},
    };
    let timed_out = finished.is_err();
    let status = match finished {
        Ok(status) => status,
        Err(_) => {
            group.signal(Signal::SIGKILL);
            child.wait().await
        }
    };
    group.end().await;
    let ended = launch.ended(status)?;
    let (stdout, stdout_cut) = stdout.finish().await;
    let (stderr, stderr_cut) = stderr.finish().await;
    Ok(ProgramOutput {
        ended,
        timed_out,
        stdout,
        stderr,
        truncated: stdout_cut || stderr_cut,
    })
}

/// [`output`] for synchronous callers. It waits on its own thread, so it may be called inside a runtime too.
pub fn output_blocking(launch: &Launch, input: &[u8], deadline: Duration) -> anyhow::Result<ProgramOutput> {
    let run = || Runtime::new()?.block_on(output(launch, input, deadline));
    let ended = std::thread::scope(|scope| scope.spawn(run).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn write_all(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        // A program need not read its input.
        let _ = stdin.write_all(input).await;
    }
}
