//! A LiteLLM proxy on loopback, with the project's `proxy_config.yaml` as it is.
//!
//! It gets an allow-listed environment, a home of its own and a fresh random key, and nothing that it could call home
//! with: its cost map is the one it ships.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::Log;
use crate::env::{self, Secret, Variables};
use crate::process::{Ended, Launch, ProcessError, ProcessTag, RunId, Service};

/// How long a proxy may take to answer: the very first start on a machine compiles Python for up to 40 s (measured), and
/// a busy machine has been seen to take three times that.
const BOOT_PATIENCE: Duration = Duration::from_secs(180);

/// How often a port that somebody else took in the meantime is replaced.
const PORT_TRIES: usize = 4;

/// Longest wait for a proxy to end by itself before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct Litellm {
    service: Service,
    base_url: String,
    key: Secret,
    log: Log,
}

/// What a proxy is started with.
#[derive(Clone, Debug)]
pub struct LitellmOptions {
    pub program: PathBuf,
    pub config: PathBuf,
    /// A folder of its own, for its home, its temporary files and its log.
    pub folder: PathBuf,
    /// What it may know of the parent's environment.
    pub inherited: Variables,
    /// Bases and credentials of the providers, as `proxy_config.yaml` names them.
    pub providers: Variables,
    pub run: RunId,
}

/// Why a proxy does not answer.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its folder or its log could not be made.
    #[error("cannot prepare `{}` for the gateway: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("the gateway ended before it answered ({how}); the end of `{}`:\n{tail}", log.display())]
    Ended { how: String, log: PathBuf, tail: String },
    /// It did not answer in time.
    #[error("the gateway did not answer within {} s; the end of `{}`:\n{tail}", BOOT_PATIENCE.as_secs(), log.display())]
    Silent { log: PathBuf, tail: String },
}

impl Litellm {
    /// Starts a proxy and waits until it answers.
    pub async fn start(options: &LitellmOptions) -> Result<Self, StartError> {
        let folder = |source| StartError::Folder {
            path: options.folder.clone(),
            source,
        };
        for name in ["home", "tmp"] {
            std::fs::create_dir_all(options.folder.join(name)).map_err(folder)?;
        }
        // Well-known keys such as `sk-1234` are refused; a fresh one cannot be known to anybody else.
        let key = Secret::new(format!(
            "sk-{}{}",
            Uuid::new_v4().simple(),
            Uuid::new_v4().simple()
        ));
        let secrets = options
            .providers
            .iter()
            .filter(|(name, _)| env::is_credential(name))
            .map(|(_, value)| value.to_string_lossy().into_owned())
            .chain([key.expose().to_owned()])
            .collect();
        let log = Log::create(&options.folder.join("gateway.log"), secrets).map_err(folder)?;
        let mut tries = 1;
        loop {
            let port = free_port().map_err(folder)?;
            let launch = launch(options, port, &key);
            match boot(launch, port, key.clone(), log.clone()).await {
                Err(StartError::Ended { tail, .. }) if tries < PORT_TRIES && port_was_taken(&tail) => {
                    tries += 1
                }
                other => return other,
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

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// How it ended, if it has.
    pub fn try_ended(&mut self) -> Option<Ended> {
        self.service.try_ended()
    }

    pub async fn stop(self) {
        // Nothing can be done about a proxy that does not stop: the watchdog ends it.
        let _ = self.service.stop(STOP_PATIENCE).await;
    }
}

fn launch(options: &LitellmOptions, port: u16, key: &Secret) -> Launch {
    let path = |name: &str| options.folder.join(name).into_os_string();
    Launch::new(&options.program, ProcessTag::run(options.run))
        .arguments([
            "--config".into(),
            options.config.clone().into_os_string(),
            "--host".into(),
            "127.0.0.1".into(),
            "--port".into(),
            port.to_string().into(),
        ])
        .environment(options.inherited.clone())
        .environment(options.providers.clone())
        .environment([
            (env::HOME, path("home")),
            (env::TMPDIR, path("tmp")),
            (env::LITELLM_MASTER_KEY, key.expose().into()),
            (env::LITELLM_LOCAL_MODEL_COST_MAP, "True".into()),
            (env::PYTHONUNBUFFERED, "1".into()),
            (env::NO_PROXY, "127.0.0.1,localhost".into()),
        ])
        .directory(&options.folder)
}

async fn boot(launch: Launch, port: u16, key: Secret, log: Log) -> Result<Litellm, StartError> {
    let sink = log.clone();
    let service = Service::start(launch, move |_, line| sink.push(&line.text))?;
    let mut litellm = Litellm {
        service,
        base_url: format!("http://127.0.0.1:{port}"),
        key,
        log,
    };
    match timeout(BOOT_PATIENCE, litellm.answered()).await {
        Ok(Ok(())) => Ok(litellm),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StartError::Silent {
            tail: litellm.log.indented_tail(),
            log: litellm.log.path().to_owned(),
        }),
    }
}

impl Litellm {
    /// Waits for the proxy to answer, or to end.
    async fn answered(&mut self) -> Result<(), StartError> {
        let url = format!("{}/health/liveliness", self.base_url);
        let client = reqwest::Client::new();
        let mut pause = Instant::now();
        loop {
            if let Some(ended) = self.service.try_ended() {
                // The last lines may still be on their way.
                sleep(Duration::from_millis(100)).await;
                return Err(StartError::Ended {
                    how: ended.to_string(),
                    tail: self.log.indented_tail(),
                    log: self.log.path().to_owned(),
                });
            }
            let answer = client.get(&url).timeout(Duration::from_secs(5)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            pause += Duration::from_millis(100);
            tokio::time::sleep_until(pause.max(Instant::now() + Duration::from_millis(20))).await;
        }
    }
}

fn port_was_taken(tail: &str) -> bool {
    tail.contains("address already in use") || tail.contains("Address already in use")
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
