//! A program that runs until it is stopped.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncRead;
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::collector::DRAIN;
use super::{Ended, Group, Launch, Line, Lines};

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
    readers: [JoinHandle<()>; 2],
    launch: Launch,
}

impl Service {
    /// Starts it; `sink` gets each line of both outputs as it arrives.
    pub fn start(
        launch: Launch,
        sink: impl Fn(Stream, Line) + Clone + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (mut child, group) = launch.spawn(Stdio::null(), Stdio::piped)?;
        let stdout = read_lines(child.stdout.take(), Stream::Stdout, sink.clone());
        let stderr = read_lines(child.stderr.take(), Stream::Stderr, sink);
        Ok(Self {
            child,
            group,
            readers: [tokio::spawn(stdout), tokio::spawn(stderr)],
            launch,
        })
    }

    /// The id of its process, until its end.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it ends by itself. A dropped call loses nothing.
    pub async fn ended(&mut self) -> anyhow::Result<Ended> {
        let status = self.child.wait().await;
        self.launch.ended(status)
    }

    /// Waits until the lines that it printed before its end have been passed on, for [`DRAIN`] at most.
    pub async fn drain(&self) {
        let all = async {
            while !self.readers.iter().all(JoinHandle::is_finished) {
                sleep(DRAIN / 200).await;
            }
        };
        // A descendant outside the group may hold the output open.
        let _ = timeout(DRAIN, all).await;
    }

    /// How it ended, if it has ended.
    pub fn try_ended(&mut self) -> Option<Ended> {
        self.child.try_wait().ok().flatten().map(Ended::from)
    }

    /// Sends SIGTERM to its group, waits for `grace` at most, kills the rest of the group, and passes on the last lines.
    pub async fn stop(self, grace: Duration) -> anyhow::Result<Ended> {
        self.stop_by(Signal::SIGTERM, grace).await
    }

    /// As [`Self::stop`], with another signal.
    pub async fn stop_by(mut self, signal: Signal, grace: Duration) -> anyhow::Result<Ended> {
        self.group.signal(signal);
        let status = match timeout(grace, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                self.group.signal(Signal::SIGKILL);
                self.child.wait().await
            }
        };
        self.group.end().await;
        for reader in self.readers {
            // A descendant outside the group may hold the output open. Its lines are not needed.
            let _ = timeout(DRAIN, reader).await;
        }
        self.launch.ended(status)
    }
}

async fn read_lines(source: Option<impl AsyncRead + Unpin>, stream: Stream, sink: impl Fn(Stream, Line)) {
    let Some(source) = source else { return };
    let mut lines = Lines::new(source);
    while let Some(line) = lines.next().await {
        sink(stream, line);
    }
}
