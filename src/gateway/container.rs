//! LiteLLM as a container, by `docker`. It is reachable on loopback only.
//!
//! Credentials reach the container through the environment, never as arguments.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use uuid::Uuid;

use super::credentials::config_files;
use super::process::{free_port, new_key};
use super::{GatewayOptions, GatewayProcess};
use crate::env::{self, Environment, Secret, Variables};
use crate::process::{self, Launch, ProcessTag, ProgramOutput, RunId};

/// The longest pull. An image has more than a gigabyte.
const PULL_DEADLINE: Duration = Duration::from_secs(30 * 60);
/// The longest time of any other call of `docker`.
const DOCKER_DEADLINE: Duration = Duration::from_secs(60);
/// Marks the containers of this program; its value is the run.
const LABEL: &str = "compat-matrix";
/// The port that LiteLLM listens on in its container.
const INNER_PORT: u16 = 4000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub name: String,
    /// The name with the digest of its content, if the registry gave one: `ghcr.io/berriai/litellm@sha256:…`.
    pub digest: String,
}

impl Image {
    /// The name by which it runs: by its content, because a tag may move between pull and start.
    pub fn reference(&self) -> &str {
        match self.digest.split_whitespace().next() {
            Some(digest) => digest,
            None => &self.name,
        }
    }
}

/// Pulls an image and reads its digest.
pub async fn pull(name: &str, environment: &Environment, run: RunId) -> anyhow::Result<Image> {
    let docker = Docker::new(environment, run);
    docker
        .run("pull", ["pull", "--quiet", name], PULL_DEADLINE)
        .await?;
    let format = "{{join .RepoDigests \" \"}}";
    let inspect = ["image", "inspect", "--format", format, name];
    let output = docker.run("image inspect", inspect, DOCKER_DEADLINE).await?;
    Ok(Image {
        name: name.to_owned(),
        digest: output.stdout_text().trim().to_owned(),
    })
}

/// Removes the containers of earlier runs, starts one of `image` and waits until it answers. A container cannot reach
/// providers on this machine's loopback unless `on_host_network`.
pub async fn start_container(
    options: &GatewayOptions<'_>,
    image: &Image,
    on_host_network: bool,
) -> anyhow::Result<GatewayProcess> {
    let docker = Docker::new(options.environment, options.run);
    docker.remove_containers(LABEL).await?;
    let key = new_key();
    let log = options.prepare(&key)?;
    let port = free_port()?;
    let name = format!("compat-matrix-{}", Uuid::new_v4().simple());
    let variables = container_variables(options, &key);
    // `--env NAME` without a value: docker reads it from its own environment, so that no argument contains it.
    let names: Vec<OsString> = variables
        .keys()
        .flat_map(|name| ["--env".into(), name.clone()])
        .collect();
    let mut volumes: Vec<OsString> = vec!["--volume".into(), mounted(options.config, "config.yaml".as_ref())];
    let folder = options.config.parent().unwrap_or(Path::new(""));
    for file in config_files(options.config).iter().skip(1) {
        let inside = file.strip_prefix(folder).unwrap_or(file);
        volumes.extend(["--volume".into(), mounted(file, inside)]);
    }
    let (network, host, inner_port) = network(port, on_host_network);
    let launch = docker
        .launch()
        .environment(variables)
        .arguments(["run", "--rm", "--name", &name, "--label", &label(options.run)])
        .arguments(["--security-opt", "no-new-privileges", "--pids-limit", "1024"])
        .arguments(network)
        .arguments(volumes)
        .arguments(names)
        .arguments([image.reference(), "--config", "/app/config.yaml"])
        .arguments(["--host", host, "--port", &inner_port.to_string()]);
    let container = Container { docker, name };
    GatewayProcess::start(launch, port, key, log, Some(container)).await
}
pub async fn remove_containers_of(run: RunId, environment: &Environment) -> anyhow::Result<()> {
    Docker::new(environment, run).remove_containers(&label(run)).await
}

/// The argument that mounts `file` as `inside`, read only, beside the container's configuration.
fn mounted(file: &Path, inside: &Path) -> OsString {
    let mut volume = file.as_os_str().to_owned();
    volume.push(":");
    volume.push(Path::new("/app").join(inside));
    volume.push(":ro");
    volume
}

fn label(run: RunId) -> String {
    format!("{LABEL}={}", run.0)
}

/// The environment of the container. It cannot read a file of this machine, so it gets the content of the credentials file.
fn container_variables(options: &GatewayOptions, key: &Secret) -> Variables {
    let mut variables = options.providers.clone();
    if let Some(value) = variables.get_mut(OsStr::new(env::VERTEXAI_CREDENTIALS))
        && let Ok(text) = std::fs::read_to_string(&value)
    {
        *value = text.into();
    }
    variables.insert(env::LITELLM_MASTER_KEY.into(), key.expose().into());
    variables.extend(super::local_tables().map(|(name, value)| (name.into(), value.into())));
    variables
}

/// The network's arguments for docker, and the host and port that LiteLLM listens on.
fn network(port: u16, on_host_network: bool) -> ([String; 2], &'static str, u16) {
    if on_host_network {
        (["--network".into(), "host".into()], "127.0.0.1", port)
    } else {
        let published = format!("127.0.0.1:{port}:{INNER_PORT}");
        (["--publish".into(), published], "0.0.0.0", INNER_PORT)
    }
}

#[derive(Clone, Debug)]
struct Docker {
    environment: Variables,
    run: RunId,
}

impl Docker {
    fn new(environment: &Environment, run: RunId) -> Self {
        Self {
            environment: environment.for_docker(),
            run,
        }
    }

    fn launch(&self) -> Launch {
        Launch::new("docker", ProcessTag::run(self.run)).environment(self.environment.clone())
    }

    async fn run<'a>(
        &self,
        what: &'static str,
        arguments: impl IntoIterator<Item = &'a str>,
        deadline: Duration,
    ) -> anyhow::Result<ProgramOutput> {
        let launch = self.launch().arguments(arguments);
        let output = match process::output(&launch, b"", deadline).await {
            Ok(output) => output,
            Err(error) => bail!("{error}; is docker installed? `--gateway venv` does not need it"),
        };
        if output.timed_out {
            bail!("`docker {what}` did not end within {} s", deadline.as_secs());
        }
        if !output.is_success() {
            bail!("`docker {what}` failed: {}", output.stderr_text().trim());
        }
        Ok(output)
    }

    /// The daemon keeps a container whose client was killed.
    async fn remove_containers(&self, label: &str) -> anyhow::Result<()> {
        let filter = format!("label={label}");
        let list = ["ps", "--all", "--quiet", "--filter", &filter];
        let listed = self.run("ps", list, DOCKER_DEADLINE).await?;
        let text = listed.stdout_text();
        let ids: Vec<&str> = text.split_whitespace().collect();
        if !ids.is_empty() {
            let remove = ["rm", "--force"].into_iter().chain(ids);
            self.run("rm", remove, DOCKER_DEADLINE).await?;
        }
        Ok(())
    }
}

/// A container and the client that can stop it.
#[derive(Debug)]
pub(super) struct Container {
    docker: Docker,
    name: String,
}

impl Container {
    pub(super) async fn stop(&self) {
        let stop = ["stop", "--time", "5", &self.name];
        // The next run removes a container that does not stop, so the error is ignored.
        let _ = self.docker.run("stop", stop, DOCKER_DEADLINE).await;
    }
}
