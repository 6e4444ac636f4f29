//! A gateway that this process started, watched until it is stopped: after its first end it is started again, once.

use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::process::GatewayProcess;

/// How often the gateway is started again.
const RESTARTS: usize = 1;

/// How long after a refused connection the gateway's end may show.
const END_SHOWS: Duration = Duration::from_secs(2);

/// The state of a watched gateway.
#[derive(Debug, Default)]
struct GatewayState {
    /// How often it has ended.
    ends: usize,
    /// Whether it answers, or will soon.
    phase: Phase,
    /// How each end came, with the end of the log.
    reports: Vec<String>,
    /// The id of its process.
    process: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Running,
    Restarting,
    Gone,
}

/// A gateway and the task that watches it.
#[derive(Debug)]
pub struct WatchedGateway {
    state: watch::Receiver<GatewayState>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A run of the gateway, between its start and its end.
#[derive(Clone, Copy, Debug)]
pub struct GatewayRun(usize);

impl WatchedGateway {
    /// Watches `process` on the current runtime.
    pub fn new(process: GatewayProcess) -> Self {
        let (sender, state) = watch::channel(GatewayState {
            process: process.id(),
            ..GatewayState::default()
        });
        let (stop, stopped) = oneshot::channel();
        Self {
            state,
            stop,
            task: tokio::spawn(watch_until_stopped(process, sender, stopped)),
        }
    }

    /// Waits until the gateway runs. Fails if it ended and was not started again.
    pub async fn running(&self) -> anyhow::Result<GatewayRun> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| state.phase != Phase::Restarting).await;
        let settled = settled.map_err(|_| anyhow!("the watch of the gateway has ended"))?;
        match settled.phase {
            Phase::Gone => Err(anyhow!(settled.reports.last().cloned().unwrap_or_default())),
            Phase::Running | Phase::Restarting => Ok(GatewayRun(settled.ends)),
        }
    }

    /// Waits for the end of this run of the gateway.
    pub async fn end_of(&self, run: GatewayRun) {
        let mut state = self.state.clone();
        if state.wait_for(|state| state.ends > run.0).await.is_err() {
            // The gateway is being stopped, which is no end of its own.
            std::future::pending().await
        }
    }

    /// Whether this run of the gateway has ended. The end may show only some time after a refused connection.
    pub async fn has_ended(&self, run: GatewayRun) -> bool {
        timeout(END_SHOWS, self.end_of(run)).await.is_ok()
    }

    /// How each end came, with the end of the log.
    pub fn reports(&self) -> Vec<String> {
        self.state.borrow().reports.clone()
    }

    /// Says, whenever asked, the id of its process.
    pub fn process(&self) -> impl Fn() -> Option<u32> + Send + 'static {
        let state = self.state.clone();
        move || state.borrow().process
    }

    pub async fn stop(self) {
        let _ = self.stop.send(());
        // It fails only if the task panicked; the watchdog then ends the process.
        let _ = self.task.await;
    }
}

async fn watch_until_stopped(
    mut process: GatewayProcess,
    state: watch::Sender<GatewayState>,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        let ended = tokio::select! {
            // Sent or dropped: both stop the gateway.
            _ = &mut stopped => return process.stop().await,
            ended = process.ended() => ended,
        };
        let starts_again = state.borrow().ends < RESTARTS;
        let report = process.report_of_end(&ended, starts_again);
        state.send_modify(|state| {
            state.ends += 1;
            state.phase = if starts_again {
                Phase::Restarting
            } else {
                Phase::Gone
            };
            state.reports.push(report);
        });
        if !starts_again {
            return;
        }
        let restarted = tokio::select! {
            _ = &mut stopped => return process.stop().await,
            restarted = process.restart() => restarted,
        };
        state.send_modify(|state| match restarted {
            Ok(()) => (state.phase, state.process) = (Phase::Running, process.id()),
            Err(error) => {
                state.phase = Phase::Gone;
                state.reports.push(format!("{error:#}"));
            }
        });
    }
}
