//! The gateway of a release: its container image by `docker`, or its package in a virtual environment.
//!
//! Provider credentials reach the gateway alone, and through the environment, never as arguments. A container listens on
//! loopback only.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::env::{self, Environment, Secret, Variables};
use crate::gateway::{self, Litellm, LitellmOptions, Log};
use crate::process::{self, Launch, ProcessError, ProcessTag, ProgramOutput, RunId, Service};
use crate::toolchain::{Installer, Lock, lock, update};

/// How long a pull may take: the image has a gigabyte and more.
const PULL_DEADLINE: Duration = Duration::from_secs(30 * 60);
/// How long any other call of `docker` may take.
const DOCKER_DEADLINE: Duration = Duration::from_secs(60);
/// How long a container may take to answer.
const BOOT_PATIENCE: Duration = Duration::from_secs(180);
/// How long a container has to end by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// The label by which containers of earlier runs are found; its value is the run.
const LABEL: &str = "compat-matrix";
/// The port that LiteLLM listens on in its container.
const INNER_PORT: u16 = 4000;

/// What is shorter is no credential, and would be found in words that are none.
const SHORTEST_SECRET: usize = 8;

/// What of `variables` no log and no results may show: credentials, and of a service account also the key in it.
pub fn secrets(variables: &Variables) -> Vec<Secret> {
    let is_credential = |(name, _): &(&OsString, &OsString)| env::is_credential(name);
    let values = variables.iter().filter(is_credential);
    values
        .flat_map(|(_, value)| with_key_inside(&value.to_string_lossy()))
        .filter(|value| value.len() >= SHORTEST_SECRET)
        .map(Secret::new)
        .collect()
}

/// `value`, and, if it is the JSON of a service account or the name of a file that holds one, the private key in it: as it
/// is, and as JSON writes it.
fn with_key_inside(value: &str) -> Vec<String> {
    let text = std::fs::read_to_string(value).unwrap_or_else(|_| value.to_owned());
    let account = serde_json::from_str::<serde_json::Value>(&text).ok();
    let key = account.and_then(|account| Some(account.get("private_key")?.as_str()?.to_owned()));
    let in_json = key.as_ref().map(|key| key.replace('\n', "\\n"));
    let lines = key
        .iter()
        .flat_map(|key| key.lines())
        .filter(|line| !line.starts_with("-----"));
    std::iter::once(value.to_owned())
        .chain(in_json)
        .chain(lines.map(str::to_owned))
        .collect()
}

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    pub tag: &'a str,
    pub config: &'a Path,
    pub folder: &'a Path,
    pub environment: &'a Environment,
    /// Bases and credentials of the providers.
    pub providers: Variables,
    /// Whether the providers are on this machine's loopback.
    pub providers_on_loopback: bool,
    pub run: RunId,
}

#[derive(Debug)]
pub enum Running {
    Venv(Box<Litellm>),
    Container(Box<Container>),
}

/// A gateway that does not answer.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("cannot read `{}`: {source}", path.display())]
    Config { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Tools(String),
    #[error("`{0}` is no tag of a LiteLLM release: expected something like `v1.83.3-stable`")]
    Tag(String),
    #[error(transparent)]
    Start(#[from] gateway::StartError),
    #[error("{0}; is docker installed? `--gateway venv` does without")]
    Process(#[from] ProcessError),
    #[error("`docker {what}` failed: {said}")]
    Docker { what: &'static str, said: String },
    /// The container ended or did not answer.
    #[error("the gateway {how}; the end of `{}`:\n{tail}", log.display())]
    Silent { how: String, log: PathBuf, tail: String },
}

impl From<anyhow::Error> for GatewayError {
    fn from(error: anyhow::Error) -> Self {
        Self::Tools(format!("{error:#}"))
    }
}

impl Running {
    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> &str {
        match self {
            Self::Venv(litellm) => litellm.base_url(),
            Self::Container(container) => &container.base_url,
        }
    }

    pub fn key(&self) -> &Secret {
        match self {
            Self::Venv(litellm) => litellm.key(),
            Self::Container(container) => &container.key,
        }
    }

    pub fn log(&self) -> &Path {
        match self {
            Self::Venv(litellm) => litellm.log().path(),
            Self::Container(container) => container.log.path(),
        }
    }

    pub async fn stop(self) {
        match self {
            Self::Venv(litellm) => litellm.stop().await,
            Self::Container(container) => container.stop().await,
        }
    }
}

/// The values of the variables that `config` names (`os.environ/NAME`), where this process has them.
pub fn live_providers(config: &Path) -> Result<Variables, GatewayError> {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"os\.environ/([A-Za-z0-9_]+)").expect("the pattern is valid"));
    let text = std::fs::read_to_string(config).map_err(|source| GatewayError::Config {
        path: config.to_owned(),
        source,
    })?;
    let names = NAME.captures_iter(&text).filter_map(|found| found.get(1));
    Ok(env::named_by_a_file(names.map(|name| name.as_str())))
}

/// The package's version of a tag: `1.83.3` of `v1.83.3-stable`, `1.83.3.post2` of `v1.83.3-stable.patch.2`.
pub fn package_version(tag: &str) -> Option<String> {
    static TAG: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^v(\d+\.\d+\.\d+)(?:-stable)?(?:[.-](?:patch[.-]?)?(\d+))?$")
            .expect("the pattern is valid")
    });
    let found = TAG.captures(tag)?;
    Some(match found.get(2) {
        Some(patch) => format!("{}.post{}", &found[1], patch.as_str()),
        None => found[1].to_owned(),
    })
}

/// Installs the package of the tag, pinned by hashes, and starts it.
pub async fn start_venv(
    options: &Options<'_>,
    version: Option<&str>,
    installer: &Installer<'_>,
    lock_folder: &Path,
) -> Result<Running, GatewayError> {
    let version = match version {
        Some(version) => version.to_owned(),
        None => package_version(options.tag).ok_or_else(|| GatewayError::Tag(options.tag.to_owned()))?,
    };
    let lock = Lock::read(lock_folder)?;
    let pin = if lock.litellm.version == version {
        lock.litellm.clone()
    } else {
        let source = lock::read(&lock_folder.join(lock::LITELLM_SOURCE))?;
        let wanted = update::with_version(&source, &lock.litellm.package, Some(&version));
        update::pin_python(installer, &lock.uv, &lock.litellm.package, &wanted, None).await?
    };
    let program = installer.ensure_litellm(&pin, &lock.uv).await?;
    start_program(options, program).await
}

/// Starts a `litellm` that is installed already.
pub async fn start_program(options: &Options<'_>, program: PathBuf) -> Result<Running, GatewayError> {
    let litellm = Litellm::start(&LitellmOptions {
        program,
        config: options.config.to_owned(),
        folder: options.folder.to_owned(),
        inherited: options.environment.inherited(),
        providers: options.providers.clone(),
        run: options.run,
    })
    .await?;
    Ok(Running::Venv(Box::new(litellm)))
}

/// An image that is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub name: String,
    /// Its digest, which says which bytes they are.
    pub digest: String,
}

/// Pulls the image and says its digest.
pub async fn pull(name: &str, environment: &Environment, run: RunId) -> Result<Image, GatewayError> {
    let docker = Docker {
        environment: environment.for_docker(),
        run,
    };
    docker
        .run("pull", ["pull", "--quiet", name], PULL_DEADLINE)
        .await?;
    let digests = [
        "image",
        "inspect",
        "--format",
        "{{join .RepoDigests \" \"}}",
        name,
    ];
    let output = docker.run("image inspect", digests, DOCKER_DEADLINE).await?;
    let digest = output.stdout_text().trim().to_owned();
    Ok(Image {
        name: name.to_owned(),
        digest,
    })
}

/// Starts a container of the image and waits until it answers. Containers that an earlier run left are removed.
pub async fn start_container(options: &Options<'_>, image: &Image) -> Result<Running, GatewayError> {
    let docker = Docker {
        environment: options.environment.for_docker(),
        run: options.run,
    };
    docker.remove_containers(LABEL).await?;
    let folder = |source| GatewayError::Config {
        path: options.folder.to_owned(),
        source,
    };
    std::fs::create_dir_all(options.folder).map_err(folder)?;
    let key = Secret::new(format!(
        "sk-{}{}",
        Uuid::new_v4().simple(),
        Uuid::new_v4().simple()
    ));
    let variables = container_variables(options, &key);
    let secrets = secrets(&variables)
        .into_iter()
        .map(|secret| secret.expose().to_owned());
    let log = Log::create(&options.folder.join("gateway.log"), secrets.collect()).map_err(folder)?;
    let port = free_port().map_err(folder)?;
    let name = format!("compat-matrix-{}", Uuid::new_v4().simple());
    let launch = docker.launch_container(options, image, &name, port, &variables);
    let sink = log.clone();
    let service = Service::start(launch, move |_, line| sink.push(&line.text))?;
    let mut container = Container {
        docker,
        service,
        name,
        base_url: format!("http://127.0.0.1:{port}"),
        key,
        log,
    };
    match container.answered().await {
        Ok(()) => Ok(Running::Container(Box::new(container))),
        Err(error) => {
            container.stop().await;
            Err(error)
        }
    }
}

/// Removes the containers of `run`, whatever started them and is gone now.
pub async fn remove_containers_of(run: RunId, environment: &Environment) -> Result<(), GatewayError> {
    let docker = Docker {
        environment: environment.for_docker(),
        run,
    };
    docker.remove_containers(&label(run)).await
}

fn label(run: RunId) -> String {
    format!("{LABEL}={}", run.0)
}

/// What the container is given. A file that a variable names is not in the container, so its content is given instead.
fn container_variables(options: &Options, key: &Secret) -> Variables {
    let mut variables = options.providers.clone();
    let service_account = variables.get_mut(std::ffi::OsStr::new(env::VERTEXAI_CREDENTIALS));
    if let Some(value) = service_account
        && let Ok(text) = std::fs::read_to_string(&value)
    {
        *value = text.into();
    }
    variables.insert(env::LITELLM_MASTER_KEY.into(), key.expose().into());
    variables.insert(env::LITELLM_LOCAL_MODEL_COST_MAP.into(), "True".into());
    variables
}

#[derive(Clone, Debug)]
struct Docker {
    environment: Variables,
    run: RunId,
}

impl Docker {
    fn launch(&self) -> Launch {
        Launch::new("docker", ProcessTag::run(self.run)).environment(self.environment.clone())
    }

    async fn run<'a>(
        &self,
        what: &'static str,
        arguments: impl IntoIterator<Item = &'a str>,
        deadline: Duration,
    ) -> Result<ProgramOutput, GatewayError> {
        let launch = self.launch().arguments(arguments);
        let output = process::output(&launch, b"", deadline).await?;
        if output.is_success() {
            return Ok(output);
        }
        let said = match output.timed_out {
            true => format!("it did not end within {} s", deadline.as_secs()),
            false => output.stderr_text().trim().to_owned(),
        };
        Err(GatewayError::Docker { what, said })
    }

    /// A client that was killed leaves its container: only the daemon can end it.
    async fn remove_containers(&self, label: &str) -> Result<(), GatewayError> {
        let filter = format!("label={label}");
        let listed = self
            .run(
                "ps",
                ["ps", "--all", "--quiet", "--filter", &filter],
                DOCKER_DEADLINE,
            )
            .await?;
        let text = listed.stdout_text();
        let ids: Vec<&str> = text.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(());
        }
        self.run("rm", ["rm", "--force"].into_iter().chain(ids), DOCKER_DEADLINE)
            .await
            .map(drop)
    }

    fn launch_container(
        &self,
        options: &Options,
        image: &Image,
        name: &str,
        port: u16,
        variables: &Variables,
    ) -> Launch {
        let (network, port, host) = if options.providers_on_loopback {
            // Providers on this machine's loopback are out of reach of a network of the container's own.
            (["--network".to_owned(), "host".to_owned()], port, "127.0.0.1")
        } else {
            let published = format!("127.0.0.1:{port}:{INNER_PORT}");
            (["--publish".to_owned(), published], INNER_PORT, "0.0.0.0")
        };
        let mut volume = options.config.as_os_str().to_owned();
        volume.push(":/app/config.yaml:ro");
        // `--env NAME` without a value: docker takes it from its own environment, so it is in no argument.
        let names = variables.keys().flat_map(|name| ["--env".into(), name.clone()]);
        self.launch()
            .environment(variables.clone())
            .arguments(["run", "--rm", "--name", name, "--label", &label(self.run)])
            .arguments(["--security-opt", "no-new-privileges", "--pids-limit", "1024"])
            .arguments(network)
            .arguments(["--volume".into(), volume])
            .arguments(names)
            .arguments([
                image.name.as_str(),
                "--config",
                "/app/config.yaml",
                "--host",
                host,
            ])
            .arguments(["--port".to_owned(), port.to_string()])
    }
}

#[derive(Debug)]
pub struct Container {
    docker: Docker,
    service: Service,
    name: String,
    base_url: String,
    key: Secret,
    log: Log,
}

impl Container {
    async fn answered(&mut self) -> Result<(), GatewayError> {
        let url = format!("{}/health/liveliness", self.base_url);
        let client = reqwest::Client::new();
        let begun = Instant::now();
        while begun.elapsed() < BOOT_PATIENCE {
            if let Some(ended) = self.service.try_ended() {
                // The last lines may still be on their way.
                sleep(Duration::from_millis(100)).await;
                return Err(self.silent(format!("ended before it answered ({ended})")));
            }
            let answer = client.get(&url).timeout(Duration::from_secs(5)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        Err(self.silent(format!("did not answer within {} s", BOOT_PATIENCE.as_secs())))
    }

    fn silent(&self, how: String) -> GatewayError {
        let lines: Vec<String> = self.log.tail(20).iter().map(|line| format!("  {line}")).collect();
        GatewayError::Silent {
            how,
            log: self.log.path().to_owned(),
            tail: lines.join("\n"),
        }
    }

    async fn stop(self) {
        // A container that does not stop is removed by the next run; that is no reason to fail this one.
        let _ = self
            .docker
            .run("stop", ["stop", "--time", "5", &self.name], DOCKER_DEADLINE)
            .await;
        let _ = self.service.stop(STOP_PATIENCE).await;
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_package() {
        for (tag, version) in [
            ("v1.83.3-stable", Some("1.83.3")),
            ("v1.106.2", Some("1.106.2")),
            ("v1.83.3-stable.patch.2", Some("1.83.3.post2")),
            ("v1.80.5-stable.1", Some("1.80.5.post1")),
            ("v1.83.3-nightly", None),
            ("main", None),
        ] {
            assert_eq!(package_version(tag).as_deref(), version, "{tag}");
        }
    }
}
