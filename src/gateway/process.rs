//! A gateway that this process started, and the wait until it answers.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::LogFile;
use super::catalogued::Services;
use super::container::Container;
use crate::env::Secret;
use crate::http;
use crate::process::{Ended, Launch, Service};

/// The longest boot of a gateway. The first start on a machine compiles Python for up to 40 s (measured); a busy machine
/// takes up to three times that.
const BOOT_PATIENCE: Duration = Duration::from_secs(180);
/// The path of LiteLLM's health check.
const LITELLM_READY: &str = "/health/liveliness";
/// How many ports are tried: another process may take a free port before the gateway does.
pub(super) const PORT_TRIES: usize = 4;
/// The pause between two probes of a process that boots.
const PROBE_PAUSE: Duration = Duration::from_millis(50);
/// The time that a program has to end before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct GatewayProcess {
    service: Service,
    /// How it was started, to start it again.
    launch: Launch,
    base_url: String,
    key: Secret,
    log: LogFile,
    /// The path that answers with success when it is ready.
    ready: String,
    /// Set if the process is a `docker` client.
    container: Option<Container>,
    /// What it needs. They end after it.
    services: Services,
}

impl GatewayProcess {
    /// Starts a LiteLLM and waits until it answers.
    pub(super) async fn start(
        launch: Launch,
        port: u16,
        key: Secret,
        log: LogFile,
        container: Option<Container>,
    ) -> anyhow::Result<Self> {
        Self::start_with(launch, port, key, log, LITELLM_READY, container).await
    }

    /// Starts a gateway that answers at the path `ready` with success, and waits until it does.
    pub(super) async fn start_ready_at(
        launch: Launch,
        port: u16,
        key: Secret,
        log: LogFile,
        ready: &str,
    ) -> anyhow::Result<Self> {
        Self::start_with(launch, port, key, log, ready, None).await
    }

    async fn start_with(
        launch: Launch,
        port: u16,
        key: Secret,
        log: LogFile,
        ready: &str,
        container: Option<Container>,
    ) -> anyhow::Result<Self> {
        let mut started = Self {
            ready: ready.to_owned(),
            service: started(&launch, &log)?,
            launch,
            base_url: format!("http://127.0.0.1:{port}"),
            key,
            log,
            container,
            services: Services::default(),
        };
        match started.until_ready().await {
            Ok(()) => Ok(started),
            Err(error) => {
                started.stop().await;
                Err(error.into())
            }
        }
    }

    async fn until_ready(&mut self) -> Result<(), NotReady> {
        let client = http::client();
        let probe = || {
            let (client, url) = (client.clone(), format!("{}{}", self.base_url, self.ready));
            async move { answers_with_success(&client, &url).await.then_some(()) }
        };
        let ended = || self.service.try_ended();
        wait_until_ready("the gateway", BOOT_PATIENCE, &self.log, ended, probe).await
    }

    /// It has `services`, and clients call it with `key`.
    pub(super) fn with(self, services: Services, key: Secret) -> Self {
        Self {
            services,
            key,
            ..self
        }
    }

    /// The id of its process, until its end.
    pub fn id(&self) -> Option<u32> {
        self.service.id()
    }

    /// Starts it again after its end, with the same port, key and log.
    pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
        self.service = started(&self.launch, &self.log)?;
        let ready = self.until_ready().await;
        ready.context("the gateway could not be started again")
    }

    /// Waits until it ends by itself and its log is complete. A dropped call loses nothing.
    pub async fn ended(&mut self) -> anyhow::Result<Ended> {
        let ended = self.service.ended().await;
        self.service.drain().await;
        ended
    }

    /// What its end means for a run, with the end of its log.
    pub fn report_of_end(&self, ended: &anyhow::Result<Ended>, starts_again: bool) -> String {
        let how = match ended {
            Ok(ended) => ended.to_string(),
            Err(error) => error.to_string(),
        };
        let then = match starts_again {
            true => "it is started again, and the trials under way run again",
            false => "the trials without it cannot be judged",
        };
        let hint = match ended {
            Ok(Ended { signal: Some(9), .. }) => {
                "\nhint: something else on this machine ended it; the kernel does so without memory (`dmesg`)"
            }
            _ => "",
        };
        let (log, tail) = (self.log.path().display(), self.log.indented_tail());
        format!("the gateway ended during the run ({how}); {then}; the end of `{log}`:\n{tail}{hint}")
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
        self.services.stop().await;
    }
}

fn started(launch: &Launch, log: &LogFile) -> anyhow::Result<Service> {
    let sink = log.clone();
    Service::start(launch.clone(), move |_, line| sink.push(&line.text))
}

/// Whether a LiteLLM proxy answers its health check within five seconds.
pub async fn is_alive(client: &reqwest::Client, base_url: &str) -> bool {
    answers_with_success(client, &format!("{base_url}{LITELLM_READY}")).await
}

async fn answers_with_success(client: &reqwest::Client, url: &str) -> bool {
    let reply = client.get(url).timeout(Duration::from_secs(5)).send().await;
    reply.is_ok_and(|reply| reply.status().is_success())
}

/// A process ended or timed out before it was ready.
#[derive(Debug, thiserror::Error)]
#[error("{what} {how}{}; the end of `{}`:\n{tail}", with_exception(exception.as_deref()), log.display())]
pub struct NotReady {
    what: &'static str,
    how: String,
    log: PathBuf,
    /// The first exception in the log. The tail may show only what followed from it.
    exception: Option<String>,
    tail: String,
}

/// The words before the first exception in an error of a boot.
pub const FIRST_EXCEPTION: &str = "; its first exception:\n";

fn with_exception(exception: Option<&str>) -> String {
    exception.map_or_else(String::new, |exception| format!("{FIRST_EXCEPTION}{exception}\n"))
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
            exception: log.first_exception(),
            tail: log.indented_tail(),
        }
    }
}

/// Calls `probe` until it returns a value. Fails when the process has `ended`, and after `patience`.
pub async fn wait_until_ready<T, P: Future<Output = Option<T>>>(
    what: &'static str,
    patience: Duration,
    log: &LogFile,
    mut ended: impl FnMut() -> Option<Ended>,
    mut probe: impl FnMut() -> P,
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

/// Writes a file that only this user can read, because it may contain credentials.
pub(super) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(path)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}

/// A random key. LiteLLM refuses well-known ones such as `sk-1234`.
pub(super) fn new_key() -> Secret {
    let [first, second] = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::simple);
    Secret::new(format!("sk-{first}{second}"))
}
