//! The matrix of a release: the newest LiteLLM and the newest `claude`, both started, and the whole matrix run on them.
//!
//! Each step is a function and a line of the log. It judges nothing and publishes nothing, and nothing that it starts knows
//! the token for the docs repository.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::resolve::{self, ResolveError, Resolved};
use super::run::{self as harness, RunError};
use super::steps::Steps;
use crate::atomic_write;
use crate::env::{Environment, Secret, Variables};
use crate::gateway::{self, GatewayOptions, GatewayProcess};
use crate::process::RunId;
use crate::provider::{self, Simulator, Unscripted, new_control_key};
use crate::results::Results;
use crate::spec_files::PROXY_CONFIG;
use crate::toolchain::cache::CacheError;
use crate::toolchain::claude::ClaudeVersionError;
use crate::toolchain::http::Patience;
use crate::toolchain::npm::{Registry, RegistryError};
use crate::toolchain::update::{self, UpdateError};
use crate::toolchain::{self, InstallClaudeError, Installer, Surroundings, lock};
use crate::versions::litellm::Filter;

/// What the results of a run are called.
pub const RESULTS: &str = "compat-results.json";
/// What was run, beside the results.
pub const VERSIONS: &str = "versions.json";

#[derive(Clone, Debug)]
pub struct Wanted {
    pub gateway: GatewayOrigin,
    /// The tag of LiteLLM, where it is not to be resolved.
    pub litellm_version: Option<String>,
    pub filter: Filter,
    pub litellm_repository: String,
    /// The version of Claude Code, where it is not to be the newest.
    pub claude_code_version: Option<String>,
    /// Whether the provider simulator stands behind the gateway: a rehearsal, which is never published.
    pub simulated: bool,
    /// The built harness; none for `cargo test --test compat`.
    pub harness: Option<PathBuf>,
}

/// Where the gateway of a release comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayOrigin {
    /// Its container image, `{tag}` in the name standing for the tag.
    Container(String),
    /// Its Python package; the version, where the tag does not name it.
    Package(Option<String>),
}

/// What was run, for whoever publishes the results later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    pub litellm_version: Option<String>,
    pub claude_code_version: Option<String>,
    /// Of a container image: which bytes it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReleaseRunError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("cannot start the provider simulator: {0}")]
    Simulator(String),
    #[error(transparent)]
    Gateway(#[from] anyhow::Error),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Pin(#[from] UpdateError),
    #[error(transparent)]
    Claude(#[from] InstallClaudeError),
    #[error(transparent)]
    ClaudeVersion(#[from] ClaudeVersionError),
    #[error(transparent)]
    Harness(#[from] RunError),
    #[error("cannot write `{}`: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

#[derive(Debug)]
pub struct ReleaseRun<'a, 'v> {
    pub wanted: &'a Wanted,
    pub project: &'a Path,
    pub output: &'a Path,
    /// A folder that is removed in the end.
    pub scratch: &'a Path,
    pub environment: &'a Environment,
    pub patience: Patience,
    pub run: RunId,
    pub steps: &'a mut Steps<'v>,
}

/// The provider simulator of a rehearsal, and the key for its control routes.
type Rehearsal = (Simulator, Secret);

impl ReleaseRun<'_, '_> {
    /// All steps, from the versions to the results, which are in the output folder then.
    pub async fn run(&mut self) -> Result<(Results, Versions), ReleaseRunError> {
        let tag = self.resolve_litellm().await?;
        let version = self.resolve_claude().await?;
        let rehearsal = self.start_simulator().await?;
        let providers = self.providers(rehearsal.as_ref())?;
        let (gateway, image_digest) = self.start_gateway(&tag.version, &providers).await?;
        // The gateway is stopped whatever becomes of the run.
        let results = match self.install_claude(&version.version).await {
            Ok(claude) => {
                self.run_harness(&gateway, &claude, rehearsal.as_ref(), &providers)
                    .await
            }
            Err(error) => Err(error),
        };
        let kept = self.keep_log(&gateway);
        gateway.stop().await;
        if let Some((simulator, _)) = rehearsal {
            simulator.shutdown().await;
        }
        let results = results?;
        kept?;
        let versions = Versions {
            litellm_version: Some(tag.version),
            claude_code_version: Some(version.version),
            image_digest,
        };
        self.write_versions(&versions)?;
        Ok((results, versions))
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings {
            environment: self.environment.clone(),
            patience: self.patience,
            run: self.run,
        }
    }

    fn installer(&self) -> Result<Installer<'_>, CacheError> {
        let mut installer = Installer::new(self.environment.clone(), self.run, self.steps.voice.progress)?;
        installer.surroundings.patience = self.patience;
        Ok(installer)
    }

    async fn resolve_litellm(&mut self) -> Result<Resolved, ReleaseRunError> {
        self.steps.begin("resolve LiteLLM");
        let wanted = self.wanted;
        let given = wanted.litellm_version.clone();
        let surroundings = self.surroundings();
        let resolved =
            resolve::litellm(given, &wanted.litellm_repository, &wanted.filter, &surroundings).await?;
        self.steps.say(&resolved.reason);
        Ok(resolved)
    }

    async fn resolve_claude(&mut self) -> Result<Resolved, ReleaseRunError> {
        self.steps.begin("resolve Claude Code");
        let given = self.wanted.claude_code_version.clone();
        let resolved = resolve::claude(given, &self.surroundings()).await?;
        self.steps.say(&resolved.reason);
        Ok(resolved)
    }

    /// Step, in a rehearsal: the provider simulator.
    async fn start_simulator(&mut self) -> Result<Option<Rehearsal>, ReleaseRunError> {
        if !self.wanted.simulated {
            return Ok(None);
        }
        self.steps.begin("provider simulator");
        let failed = |error: String| ReleaseRunError::Simulator(error);
        let key = new_control_key().map_err(|_| failed("there is no randomness for a control key".into()))?;
        let simulator = Simulator::start(provider::SimulatorOptions {
            unscripted: Unscripted::Refuse,
            control_key: Some(key.clone()),
            ..provider::SimulatorOptions::default()
        })
        .await
        .map_err(|error| failed(error.to_string()))?;
        self.steps.say(&format!("listens at {}", simulator.base_url()));
        Ok(Some((simulator, Secret::new(key))))
    }

    /// Bases and credentials of the providers, which only the gateway is given.
    fn providers(&self, rehearsal: Option<&Rehearsal>) -> anyhow::Result<Variables> {
        match rehearsal {
            Some((simulator, _)) => Ok(simulator.credentials().for_gateway(simulator.base_url())),
            None => gateway::live_providers(&self.project.join(PROXY_CONFIG)),
        }
    }

    /// Step: the gateway of the release; of an image also its digest.
    async fn start_gateway(
        &mut self,
        tag: &str,
        providers: &Variables,
    ) -> Result<(GatewayProcess, Option<String>), ReleaseRunError> {
        self.steps.begin("gateway");
        let config = self.project.join(PROXY_CONFIG);
        let folder = self.scratch.join("gateway");
        let options = GatewayOptions {
            config: &config,
            folder: &folder,
            environment: self.environment,
            providers: providers.clone(),
            run: self.run,
        };
        let (running, digest) = match &self.wanted.gateway {
            GatewayOrigin::Container(image) => {
                let name = image.replace("{tag}", tag);
                self.steps.say(&format!("pulling {name}"));
                let image = gateway::pull(&name, self.environment, self.run).await?;
                self.steps.say(&format!("pulled {}", image.digest));
                let running = gateway::start_container(&options, &image, self.wanted.simulated).await?;
                (running, Some(image.digest))
            }
            GatewayOrigin::Package(version) => {
                let installer = self.installer()?;
                let lock = self.project.join(lock::FOLDER);
                let program = gateway::install_release(tag, version.as_deref(), &installer, &lock).await?;
                (gateway::start_litellm(&options, &program).await?, None)
            }
        };
        self.steps
            .say(&format!("LiteLLM {tag} answers at {}", running.base_url()));
        Ok((running, digest))
    }

    /// Step: `claude` in a folder of its own, its digest checked against the registry's.
    async fn install_claude(&mut self, version: &str) -> Result<PathBuf, ReleaseRunError> {
        self.steps.begin("install Claude Code");
        let installer = self.installer()?;
        let registry = Registry::find(&installer.surroundings).await?;
        let pin = update::pin_claude(&registry, version).await?;
        let claude = installer.ensure_claude(&pin).await?;
        let says = toolchain::claude_version(&claude, &installer.surroundings).await?;
        self.steps
            .say(&format!("`{}` says it is {says}", claude.display()));
        Ok(claude)
    }

    async fn run_harness(
        &mut self,
        gateway: &GatewayProcess,
        claude: &Path,
        rehearsal: Option<&Rehearsal>,
        providers: &Variables,
    ) -> Result<Results, ReleaseRunError> {
        self.steps.begin("run");
        self.steps.say("running the whole matrix");
        let results = self.output.join(RESULTS);
        let log = self.output.join("harness.log");
        let options = harness::Options {
            program: self.wanted.harness.as_deref(),
            project: self.project,
            environment: self.environment,
            base_url: gateway.base_url(),
            key: gateway.key(),
            claude,
            simulator: rehearsal.map(|(simulator, key)| (simulator.base_url(), key)),
            secrets: gateway::secrets(providers),
            results: &results,
            log: &log,
            run: self.run,
        };
        let results = harness::run(&options, self.steps.voice.relay).await?;
        self.steps
            .say(&format!("{} trials finished", results.results.len()));
        Ok(results)
    }

    fn keep_log(&self, gateway: &GatewayProcess) -> Result<(), ReleaseRunError> {
        let path = self.output.join("gateway.log");
        match std::fs::copy(gateway.log().path(), &path) {
            Ok(_) => Ok(()),
            Err(source) => Err(ReleaseRunError::Write { path, source }),
        }
    }

    fn write_versions(&self, versions: &Versions) -> Result<(), ReleaseRunError> {
        let path = self.output.join(VERSIONS);
        let text = serde_json::to_string_pretty(versions).expect("it has text keys") + "\n";
        atomic_write::write(&path, &text).map_err(|source| ReleaseRunError::Write { path, source })
    }
}
