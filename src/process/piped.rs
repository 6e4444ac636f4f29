//! A program that is talked to line by line.

use std::process::Stdio;

use tokio::process::{Child, ChildStdin, ChildStdout};

use super::collector::{Collector, Keep};
use super::{Ended, Group, Launch, Line, Lines, ProcessError};

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
    Line(Line),
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
        status.map(Ended::from).map_err(|source| self.launch.lost(source))
    }

    /// Kills it and whatever it started, so that nothing holds its output open any more; what it printed may still be read.
    /// [`Piped::finish`] then tells how it ended.
    pub async fn kill(&mut self) {
        self.group.end().await;
    }

    /// Waits for its end, kills whatever it left behind, and returns how it ended and its standard error.
    pub async fn finish(mut self) -> Result<(Ended, Vec<u8>), ProcessError> {
        let status = self.child.wait().await;
        self.group.end().await;
        let (stderr, _) = self.stderr.finish().await;
        let status = status.map_err(|source| self.launch.lost(source))?;
        Ok((status.into(), stderr))
    }
}
