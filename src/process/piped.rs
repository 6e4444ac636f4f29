//! A program that exchanges lines with this process.

use std::process::Stdio;

use tokio::process::{Child, ChildStdin, ChildStdout};

use super::collector::{Collector, Keep};
use super::{Ended, Group, Launch, Line, Lines};

/// A program with piped streams. Dropping it kills its group at once.
#[derive(Debug)]
pub struct Piped {
    /// Dropping it closes the program's standard input.
    pub stdin: Option<ChildStdin>,
    pub stdout: Lines<ChildStdout>,
    child: Child,
    group: Group,
    stderr: Collector,
    launch: Launch,
}

impl Piped {
    /// Starts it and keeps the last `stderr_bytes` of its standard error.
    pub fn start(launch: Launch, stderr_bytes: usize) -> anyhow::Result<Self> {
        let (mut child, group) = launch.spawn(Stdio::piped(), Stdio::piped)?;
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

    /// The next line; `None` when the output is closed or the program has ended. The lines that it printed just before its
    /// end can still be read. A dropped call loses nothing.
    pub async fn next(&mut self) -> Option<Line> {
        tokio::select! {
            biased;
            line = self.stdout.next() => line,
            // A descendant may hold the output open for ever, so the program's own end counts too.
            _ = self.child.wait() => None,
        }
    }

    /// Waits until it ends by itself; does not end its descendants. A dropped call loses nothing.
    pub async fn ended(&mut self) -> anyhow::Result<Ended> {
        let status = self.child.wait().await;
        self.launch.ended(status)
    }

    /// Kills it and its descendants, so that nothing holds its output open. The printed lines can still be read, and
    /// [`Piped::finish`] returns how it ended.
    pub async fn kill(&mut self) {
        self.group.end().await;
    }

    /// Waits for its end, kills its descendants, and returns how it ended and its standard error.
    pub async fn finish(mut self) -> anyhow::Result<(Ended, Vec<u8>)> {
        let status = self.child.wait().await;
        self.group.end().await;
        let (stderr, _) = self.stderr.finish().await;
        Ok((self.launch.ended(status)?, stderr))
    }
}
