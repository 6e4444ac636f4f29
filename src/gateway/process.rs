//! A gateway that this process started, and the wait until it answers.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::LogFile;
use super::container::Container;
use crate::env::Secret;
use crate::http;
use crate::process::{Ended, Launch, Service};

/// The longest boot of a gateway. The first start on a machine compiles Python for up to 40 s (measured); a busy machine
/// takes up to three times that.
const BOOT_PATIENCE: Duration = Duration::from_secs(180);
/// The pause between two probes of a process that boots.
const PROBE_PAUSE: Duration = Duration::from_millis(50);
/// The time that a program has to end before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct GatewayProcess {
    service: Service,
    base_url: String,
    key: Secret,
    log: LogFile,
    /// Set if the process is a `docker` client.
    container: Option<Container>,
}

impl GatewayProcess {
    /// Starts it and waits until it answers.
    pub(super) async fn start(
        launch: Launch,
        port: u16,
        key: Secret,
        log: LogFile,
        container: Option<Container>,
    ) -> anyhow::Result<Self> {
        let sink = log.clone();
        let mut started = Self {
            service: Service::start(launch, move |_, line| sink.push(&line.text))?,
            base_url: format!("http://127.0.0.1:{port}"),
            key,
            log,
            container,
        };
        let client = http::client();
        let probe = async || is_alive(&client, &started.base_url).await.then_some(());
        let ended = || started.service.try_ended();
        match wait_until_ready("the gateway", BOOT_PATIENCE, &started.log, ended, probe).await {
            Ok(()) => Ok(started),
            Err(error) => {
                started.stop().await;
                Err(error.into())
            }
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    pub fn key(&self) -> &Secret {
        &self.key
    }

    pub fn log(&self) -> &LogFile {
        &self.log
    }

    /// How it ended, if it has ended.
    pub fn try_ended(&mut self) -> Option<Ended> {
        self.service.try_ended()
    }

    pub async fn stop(self) {
        if let Some(container) = self.container {
            container.stop().await;
        }
        // If this fails, the watchdog ends the process.
        let _ = self.service.stop(STOP_PATIENCE).await;
    }
}

/// Whether a LiteLLM proxy answers its health check within five seconds.
pub async fn is_alive(client: &reqwest::Client, base_url: &str) -> bool {
    let url = format!("{base_url}/health/liveliness");
    let reply = client.get(url).timeout(Duration::from_secs(5)).send().await;
    reply.is_ok_and(|reply| reply.status().is_success())
}

/// A process ended or timed out before it was ready.
#[derive(Debug, thiserror::Error)]
#[error("{what} {how}; the end of `{}`:\n{tail}", log.display())]
pub struct NotReady {
    what: &'static str,
    how: String,
    log: PathBuf,
    tail: String,
}

impl NotReady {
    /// Whether `error` shows that another process took the gateway's port.
    pub(super) fn is_port_taken(error: &anyhow::Error) -> bool {
        let error = error.downcast_ref::<Self>();
        error.is_some_and(|error| error.tail.to_lowercase().contains("address already in use"))
    }

    pub fn new(what: &'static str, how: String, log: &LogFile) -> Self {
        Self {
            what,
            how,
            log: log.path().to_owned(),
            tail: log.indented_tail(),
        }
    }
}

/// Calls `probe` until it returns a value. Fails when the process has `ended`, and after `patience`.
pub async fn wait_until_ready<T>(
    what: &'static str,
    patience: Duration,
    log: &LogFile,
    mut ended: impl FnMut() -> Option<Ended>,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> Result<T, NotReady> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(ended) = ended() {
            // Its last lines may not be in the log yet.
            sleep(Duration::from_millis(100)).await;
            let how = format!("ended before it was ready ({ended})");
            return Err(NotReady::new(what, how, log));
        }
        if let Some(value) = probe().await {
            return Ok(value);
        }
        if Instant::now() > deadline {
            let how = format!("was not ready within {} s", patience.as_secs());
            return Err(NotReady::new(what, how, log));
        }
        sleep(PROBE_PAUSE).await;
    }
}

pub(super) fn free_port() -> anyhow::Result<u16> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    Ok(address.context("cannot find a free port for the gateway")?.port())
}

/// A random key. LiteLLM refuses well-known ones such as `sk-1234`.
pub(super) fn new_key() -> Secret {
    let [first, second] = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::simple);
    Secret::new(format!("sk-{first}{second}"))
}
