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

/// One of a program's two outputs.
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
    /// Starts it; `sink` gets each line of both outputs as it arrives.
    pub fn start(
        launch: Launch,
        sink: impl Fn(Stream, Line) + Clone + Send + 'static,
    ) -> Result<Self, ProcessError> {
        let (mut child, group) = launch.spawn(Stdio::null(), Stdio::piped)?;
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(tokio::spawn(read_lines(stdout, Stream::Stdout, sink.clone())));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(tokio::spawn(read_lines(stderr, Stream::Stderr, sink)));
        }
        Ok(Self {
            child,
            group,
            readers,
            launch,
        })
    }

    /// Waits until it ends by itself. A dropped call loses nothing.
    pub async fn ended(&mut self) -> Result<Ended, ProcessError> {
        let status = self.child.wait().await;
        self.launch.ended(status)
    }

    /// How it ended, if it has ended.
    pub fn try_ended(&mut self) -> Option<Ended> {
        self.child.try_wait().ok().flatten().map(Ended::from)
    }

    /// Sends SIGTERM to its group, waits for `grace` at most, kills the rest of the group, and passes on the last lines.
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
            // A descendant outside the group may hold the output open; nobody needs its lines.
            let _ = timeout(DRAIN, reader).await;
        }
        self.launch.ended(status)
    }
}

async fn read_lines(source: impl AsyncRead + Unpin, stream: Stream, sink: impl Fn(Stream, Line)) {
    let mut lines = Lines::new(source);
    while let Some(line) = lines.next().await {
        sink(stream, line);
    }
}
