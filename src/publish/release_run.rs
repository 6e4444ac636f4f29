//! The matrix of a release: starts the newest LiteLLM and the newest `claude`, and runs the whole matrix on them.
//!
//! Each step is a function and a line of the log. It judges and publishes nothing. No process that it starts gets the token
//! for the docs repository.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::run::Harness;
use super::steps::StepLog;
use super::write;
use crate::drift::PrivateValues;
use crate::env::{self, Secret, Variables};
use crate::files::project::{PROXY_CONFIG, broken_project};
use crate::files::{Project, cassette_files};
use crate::gateway::{self, GatewayOptions, GatewayProcess};
use crate::isolation::IsolationLevel;
use crate::plan::selection::Axes;
use crate::process::ProcessTag;
use crate::provider::{self, Simulator, Unscripted, new_control_key};
use crate::results::{Results, json};
use crate::run::launch;
use crate::text::counted;
use crate::toolchain::npm::Registry;
use crate::toolchain::platform::Platform;
use crate::toolchain::{self, Installer, lock, update};
use crate::versions::claude_code::DEFAULT_MIN_AGE;
use crate::versions::{self, ResolvedVersion, WantedVersion};
use crate::wire::secrets::Secrets;

/// The name of a run's results file.
pub const RESULTS: &str = "compat-results.json";
/// The name of the folder with what passed on the sides of the gateway, beside the results.
const CASSETTE: &str = "cassette";
/// The name of the file with the versions that ran, beside the results.
pub const VERSIONS: &str = "versions.json";

#[derive(Clone, Debug)]
pub struct ReleaseOptions {
    pub gateway: GatewayOrigin,
    pub litellm: WantedVersion,
    pub claude_code: WantedVersion,
    /// A rehearsal with the provider simulator, which is never published.
    pub simulated: bool,
    /// Whether the run keeps what passes on the sides of the gateway in [`CASSETTE`].
    pub records: bool,
    /// The sum in US dollars that the run may cost, as `--max-cost` has it.
    pub max_cost: Option<f64>,
    /// The limits of providers, as `--limit` has them.
    pub limits: Vec<String>,
    /// The built harness; `None` for cargo in a checkout, or this program.
    pub harness: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayOrigin {
    /// The container image of this name; the tag replaces `{tag}`.
    Container(String),
    /// The Python package; the version if the tag does not give it.
    Package(Option<String>),
}

/// The versions that ran, for a later publication of the results.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseVersions {
    pub litellm_version: Option<String>,
    pub claude_code_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
}

pub struct ReleaseRun<'a, 'l> {
    pub options: &'a ReleaseOptions,
    /// The lowest isolation level of `claude` that may run.
    pub isolation: IsolationLevel,
    pub project: &'a Path,
    /// The part of the matrix and the tiers to run.
    pub axes: Axes,
    pub output: &'a Path,
    /// A folder that is removed at the end.
    pub scratch: &'a Path,
    pub installer: Installer<'a>,
    pub log: &'a mut StepLog<'l>,
}

/// The provider simulator of a rehearsal, and the key for its control routes.
type Rehearsal = (Simulator, Secret);

impl ReleaseRun<'_, '_> {
    /// Runs all steps. Afterwards the results and logs are in the output folder.
    pub async fn run(&mut self) -> anyhow::Result<(Results, ReleaseVersions)> {
        if self.options.simulated {
            self.ensure_inside()?;
        }
        let litellm = self.resolve("resolve LiteLLM", &self.options.litellm).await?;
        let claude_code = self
            .resolve("resolve Claude Code", &self.options.claude_code)
            .await?;
        self.require_cage_for_young(&claude_code);
        let rehearsal = self.start_simulator().await?;
        let providers = self.providers(rehearsal.as_ref())?;
        let (mut gateway, image_digest) = self.start_gateway(&litellm.version, &providers).await?;
        // The gateway is stopped even if this fails.
        let results = async {
            let claude = self.install_claude(&claude_code.version).await?;
            self.run_harness(&gateway, &claude, rehearsal.as_ref(), &providers)
                .await
        }
        .await;
        let kept = self.keep_log(&gateway);
        // Without its gateway, a run says nothing.
        let lost = gateway
            .try_ended()
            .map(|ended| gateway.report_of_end(&Ok(ended), false));
        gateway.stop().await;
        if let Some((simulator, _)) = rehearsal {
            simulator.shutdown().await;
        }
        if let Some(lost) = lost {
            kept?;
            bail!(lost);
        }
        let results = results?;
        kept?;
        let versions = ReleaseVersions {
            litellm_version: Some(litellm.version),
            claude_code_version: Some(claude_code.version),
            image_digest,
        };
        write(&self.output.join(VERSIONS), &json::write(&versions))?;
        Ok((results, versions))
    }

    /// Nobody may have noticed yet what is wrong with a new version, so only the whole cage runs it.
    fn require_cage_for_young(&mut self, claude_code: &ResolvedVersion) {
        if let Some(age) = claude_code.age.filter(|age| *age < DEFAULT_MIN_AGE) {
            let version = &claude_code.version;
            self.isolation = IsolationLevel::Full;
            self.log.say(format!(
                "Claude Code {version} is {age} old, younger than {DEFAULT_MIN_AGE}: it runs only at isolation level `full`"
            ));
        }
    }

    async fn resolve(
        &mut self,
        step: &'static str,
        wanted: &WantedVersion,
    ) -> anyhow::Result<ResolvedVersion> {
        self.log.begin(step);
        let resolved = versions::resolve(wanted, &self.installer.tools).await?;
        self.log.say(&resolved.reason);
        Ok(resolved)
    }

    /// Fails if a line of the gateway's configuration would leave the simulator of a rehearsal.
    fn ensure_inside(&mut self) -> anyhow::Result<()> {
        self.log.begin("gateway's configuration");
        let project = Project::open(self.project).map_err(broken_project)?;
        let config = project.proxy_config().map_err(broken_project)?;
        project.ensure_inside(&config, &project.trials())
    }

    /// In a rehearsal only.
    async fn start_simulator(&mut self) -> anyhow::Result<Option<Rehearsal>> {
        if !self.options.simulated {
            return Ok(None);
        }
        self.log.begin("provider simulator");
        let key = new_control_key().map_err(|_| anyhow!("no randomness for a control key"))?;
        let simulator = Simulator::start(provider::SimulatorOptions {
            unscripted: Unscripted::Refuse,
            control_key: Some(key.clone()),
            ..provider::SimulatorOptions::default()
        })
        .await
        .map_err(|error| anyhow!("cannot start the provider simulator: {error}"))?;
        self.log.say(format!("listens at {}", simulator.base_url()));
        Ok(Some((simulator, Secret::new(key))))
    }

    /// The providers' addresses and credentials, which only the gateway gets.
    fn providers(&self, rehearsal: Option<&Rehearsal>) -> anyhow::Result<Variables> {
        match rehearsal {
            Some((simulator, _)) => Ok(simulator.credentials().for_gateway(simulator.base_url())),
            None => Ok(gateway::live_providers(&self.project.join(PROXY_CONFIG))?),
        }
    }

    /// Starts the gateway; returns the digest of a container image too.
    async fn start_gateway(
        &mut self,
        tag: &str,
        providers: &Variables,
    ) -> anyhow::Result<(GatewayProcess, Option<String>)> {
        self.log.begin("gateway");
        let (environment, run) = (&self.installer.tools.environment, self.installer.tools.run);
        let options = GatewayOptions {
            config: &self.project.join(PROXY_CONFIG),
            folder: &self.scratch.join("gateway"),
            environment,
            providers: providers.clone(),
            run,
        };
        let (running, digest) = match &self.options.gateway {
            GatewayOrigin::Container(image) => {
                let name = image.replace("{tag}", tag);
                self.log.say(format!("pulling {name}"));
                let image = gateway::pull(&name, environment, run).await?;
                let signed = gateway::verify_signature(image.reference(), environment, run).await?;
                self.log.say(format!("pulled {}; {signed}", image.digest));
                let running = gateway::start_container(&options, &image, self.options.simulated).await?;
                (running, Some(image.digest))
            }
            GatewayOrigin::Package(version) => {
                let lock = self.project.join(lock::FOLDER);
                let program =
                    gateway::install_release(tag, version.as_deref(), &self.installer, &lock).await?;
                (gateway::start_litellm(&options, &program).await?, None)
            }
        };
        self.log
            .say(format!("LiteLLM {tag} answers at {}", running.base_url()));
        Ok((running, digest))
    }

    /// Installs `claude` and compares its digest with the registry's.
    async fn install_claude(&mut self, version: &str) -> anyhow::Result<PathBuf> {
        self.log.begin("install Claude Code");
        let tools = &self.installer.tools;
        let registry = Registry::find(tools).await?;
        let pin = update::pin_claude(&registry, version, &Platform::ALL).await?;
        let claude = self.installer.ensure_claude(&pin).await?;
        let printed = toolchain::claude_version(&claude, tools, None).await?;
        self.log
            .say(format!("`{}` is version {printed}", claude.display()));
        Ok(claude)
    }

    async fn run_harness(
        &mut self,
        gateway: &GatewayProcess,
        claude: &Path,
        rehearsal: Option<&Rehearsal>,
        providers: &Variables,
    ) -> anyhow::Result<Results> {
        self.log.begin("run");
        self.log.say("running the whole matrix");
        let tag = ProcessTag::run(self.installer.tools.run);
        let launch = launch::of_run(self.options.harness.as_deref(), self.project, "--locked", tag)?;
        let flags = [("--matrix", &self.axes.matrix), ("--tiers", &self.axes.set)];
        let flags = flags
            .into_iter()
            .filter_map(|(flag, value)| Some([flag, value.as_deref()?]));
        let cassette = self.output.join(CASSETTE);
        let record = self
            .options
            .records
            .then_some([Path::new("--record"), cassette.as_path()]);
        let max_cost = self.options.max_cost.map(|usd| usd.to_string());
        let max_cost = max_cost.iter().flat_map(|usd| ["--max-cost", usd.as_str()]);
        let limits = self.options.limits.iter();
        let launch = launch
            .arguments(record.into_iter().flatten())
            .arguments(max_cost)
            .arguments(limits.flat_map(|limit| ["--limit", limit.as_str()]))
            .arguments(["--require-isolation", self.isolation.as_str()])
            .arguments(flags.flatten());
        let results = &self.output.join(RESULTS);
        // Of all credentials, the harness gets only the gateway's key and the simulator's control key.
        let key = gateway.key();
        let mut variables: Vec<(&str, OsString)> = vec![
            (env::CARGO_MANIFEST_DIR, self.project.into()),
            (env::LITELLM_PROXY_BASE_URL, gateway.base_url().into()),
            (env::COMPAT_GATEWAY_NAME, gateway::LITELLM.into()),
            (env::LITELLM_PROXY_API_KEY, key.expose().into()),
            (env::COMPAT_CLAUDE, claude.into()),
            (env::COMPAT_RESULTS_PATH, results.into()),
        ];
        let mut secrets = gateway::secrets(providers, &self.project.join(PROXY_CONFIG));
        secrets.push(key.expose().to_owned());
        if let Some((simulator, key)) = rehearsal {
            variables.push((env::COMPAT_PROVIDER_URL, simulator.base_url().into()));
            variables.push((env::COMPAT_PROVIDER_CONTROL_KEY, key.expose().into()));
            secrets.push(key.expose().to_owned());
        }
        let secrets = Secrets::new(secrets);
        let harness = Harness {
            launch: launch
                .environment(self.installer.tools.environment.for_harness())
                .environment(variables)
                .directory(self.project),
            results,
            project: self.project,
            log: &self.output.join("harness.log"),
            secrets: secrets.clone(),
        };
        let results = harness.run(self.log.relay).await;
        self.clean(&cassette, providers, &secrets)?;
        let mut results = results?;
        // For the harness the gateway already ran, so it does not know the settings.
        if let Ok(project) = Project::open(self.project)
            && let Ok(config) = project.proxy_config()
        {
            results.run.gateway.configured_by(&config, &project.manifest);
        }
        let versions = [
            ("--gateway litellm@", &results.run.gateway.version),
            ("--claude ", &results.run.claude_code_version),
        ];
        let flags =
            versions.map(|(flag, version)| version.as_ref().map(|version| format!("{flag}{version}")));
        let flags = flags.into_iter().flatten().collect::<Vec<_>>().join(" ");
        results
            .results
            .iter_mut()
            .for_each(|trial| trial.flags.clone_from(&flags));
        let file = self.output.join(RESULTS);
        std::fs::write(&file, results.to_text())
            .with_context(|| format!("cannot write `{}`", file.display()))?;
        self.log
            .say(format!("{} finished", counted(results.results.len(), "trial")));
        Ok(results)
    }

    /// Cleans a cassette, also that of a failed run: the harness does not know the credentials and the names of the providers.
    fn clean(&self, cassette: &Path, providers: &Variables, secrets: &Secrets) -> anyhow::Result<()> {
        if !cassette.is_dir() {
            return Ok(());
        }
        let private = PrivateValues::new(gateway::private_names(providers));
        let cleaned = cassette_files::clean(cassette, &private, secrets);
        let deleted = match cleaned {
            Ok(deleted) => deleted,
            Err(error) => {
                let shown = cassette.display();
                std::fs::remove_dir_all(cassette).with_context(|| format!("cannot delete `{shown}`"))?;
                vec![format!("deleted `{shown}`, which cannot be cleaned: {error:#}")]
            }
        };
        deleted.into_iter().for_each(|line| self.log.say(line));
        Ok(())
    }

    fn keep_log(&self, gateway: &GatewayProcess) -> anyhow::Result<()> {
        let path = self.output.join("gateway.log");
        std::fs::copy(gateway.log().path(), &path)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(())
    }
}
