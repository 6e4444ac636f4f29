//! A program that runs until it is stopped.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncRead;
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::collector::DRAIN;
use super::{Ended, Group, Launch, Line, Lines, ProcessError};

/// Which of a program's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
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
        status.map(Ended::from).map_err(|source| self.launch.lost(source))
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
        status.map(Ended::from).map_err(|source| self.launch.lost(source))
    }
}

async fn hand_on(mut lines: Lines<impl AsyncRead + Unpin>, sink: impl Fn(Line)) {
    while let Some(line) = lines.next().await {
        sink(line);
    }
}
