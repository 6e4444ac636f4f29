//! `compat publish`: the daily run, from the newest versions to the docs repository, step by step.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use super::{files, progress};
use crate::env::{self, Environment};
use crate::matrix::builder::Stamp;
use crate::process::{RunId, Watchdog};
use crate::provider::{self, Simulator, Unscripted, new_control_key};
use crate::publish::credentials::{self, Held, Source, Tokens};
use crate::publish::deliver::{Delivery, DeliveryError, Proposal};
use crate::publish::gate::{self, Judgement, Rules};
use crate::publish::gateway::{self, Running};
use crate::publish::git::{Author, Clone, RemoteUrl};
use crate::publish::github_app::{Api, App, Repository};
use crate::publish::plan::{Plan, Policy, RepositoryPath, Target};
use crate::publish::resolve::{self, Resolved};
use crate::publish::summary::{self, Ending, Known};
use crate::publish::{run as harness, webhook};
use crate::results::Results;
use crate::spec_files::Project;
use crate::toolchain::http::Patience;
use crate::toolchain::npm::Registry;
use crate::toolchain::{Installer, Surroundings, lock, update};
use crate::versions::age::Age;
use crate::versions::litellm::{Filter, Pattern};
use crate::{atomic_write, toolchain};

/// Run the matrix on the newest release and publish it
///
/// The daily run: resolves the newest release of LiteLLM and the newest `claude`, starts that gateway, runs the whole
/// matrix, builds `compatibility-matrix.json`, judges whether it may be published, and pushes that one file to the docs
/// repository. With `--results` it begins with the results of an earlier run, so that the process that has the token
/// never runs `claude`.
///
/// The exit status is 0 if the matrix is published or unchanged, 4 if it was refused (a simulated, filtered or broken-off
/// run, failures that are not the gateway's), and 1 if a step failed. Unless it is 0, nothing was published.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  Everything, on a machine with the providers' credentials in the environment:
    compat publish --gateway docker --docs-repo https://github.com/BerriAI/litellm-docs.git \\
      --app-id 12345 --app-key-file /run/secrets/app-key.pem
  The same in two steps, of which only the second knows the key:
    compat publish --gateway docker --skip-publish --output run
    compat publish --results run/compat-results.json --docs-repo … --app-id 12345 --app-key-file …
  A rehearsal without accounts:
    compat publish --gateway venv --simulated --skip-publish")]
pub struct Arguments {
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    docs: DocsArguments,
    #[command(flatten)]
    credentials: CredentialArguments,
    #[command(flatten)]
    report: ReportArguments,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "The run")]
struct RunArguments {
    /// Where the gateway of the release comes from
    #[arg(long, value_enum, required_unless_present = "results")]
    gateway: Option<GatewayKind>,
    /// Publish these results instead of running anything
    #[arg(long, value_name = "FILE", conflicts_with_all = ["gateway", "simulated", "harness"])]
    results: Option<PathBuf>,
    /// Take this tag of LiteLLM [default: the newest of `--channel`]
    #[arg(long, value_name = "TAG")]
    litellm_version: Option<String>,
    /// Which tags are releases
    #[arg(long, value_enum, default_value_t = Channel::Stable)]
    channel: Channel,
    /// What the tag of a release looks like, instead of a channel: `v1.83.*-stable`
    #[arg(long, value_name = "PATTERN", conflicts_with = "channel")]
    pattern: Option<Pattern>,
    /// The repository of LiteLLM, as `owner/name`
    #[arg(long, value_name = "REPOSITORY", default_value = "BerriAI/litellm")]
    litellm_repository: String,
    /// Take this version of Claude Code [default: the newest, however young]
    #[arg(long, value_name = "VERSION")]
    claude_code_version: Option<String>,
    /// The container image of a tag
    #[arg(long, value_name = "IMAGE", default_value = "ghcr.io/berriai/litellm:{tag}")]
    image: String,
    /// The version of the Python package, where the tag does not name it
    #[arg(long, value_name = "VERSION")]
    litellm_package: Option<String>,
    /// Put the provider simulator behind the gateway: a rehearsal, which is never published
    #[arg(long)]
    simulated: bool,
    /// The built harness [default: `cargo test --test compat` in the project]
    #[arg(long, value_name = "PROGRAM")]
    harness: Option<PathBuf>,
    /// The project, with `manifest.yaml` and `proxy_config.yaml` [default: the one that the working directory is in]
    #[arg(long, value_name = "FOLDER")]
    project: Option<PathBuf>,
    /// Where results, matrix and logs go [default: `test-results/publish` in the project]
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "The docs repository")]
struct DocsArguments {
    /// Its address, without credentials
    #[arg(long, value_name = "URL", required_unless_present = "skip_publish")]
    docs_repo: Option<String>,
    /// The branch that the docs are built from
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    branch: String,
    /// The matrix's file in it: the only one that a commit may touch
    #[arg(
        long,
        value_name = "PATH",
        default_value = "static/data/compatibility-matrix.json"
    )]
    path: RepositoryPath,
    /// The details' file in it, to publish them too
    #[arg(long, value_name = "PATH")]
    details_path: Option<RepositoryPath>,
    /// Who makes the commit
    #[arg(
        long,
        value_name = "AUTHOR",
        default_value = "litellm-compat-matrix-bot <litellm-compat-matrix-bot@users.noreply.github.com>"
    )]
    author: Author,
    /// Offer a pull request instead of pushing to the branch; it merges by itself unless there are regressions
    #[arg(long)]
    via_pr: bool,
    /// The branch that pull requests are made from
    #[arg(
        long,
        value_name = "BRANCH",
        default_value = "automation/compatibility-matrix"
    )]
    pr_branch: String,
    /// Owner and name on GitHub [default: as the address ends]
    #[arg(long, value_name = "REPOSITORY", value_parser = repository)]
    repository: Option<Repository>,
    /// Publish trials that could not be judged as not tested, instead of refusing
    #[arg(long)]
    allow_inconclusive: bool,
    /// Publish an unchanged matrix anew once the published one is this old, so that `compat status` sees the run
    #[arg(long, value_name = "AGE")]
    refresh_after: Option<Age>,
    /// How often publishing is tried, if the branch moves or the network breaks off
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10))]
    attempts: u32,
    /// Print what would be done as JSON, and do not do it
    #[arg(long)]
    dry_run: bool,
    /// Stop before the docs repository
    #[arg(long, conflicts_with = "dry_run")]
    skip_publish: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Credentials for the docs repository")]
struct CredentialArguments {
    /// File that holds a token; read when it is needed
    #[arg(long, value_name = "FILE", group = "token")]
    token_file: Option<PathBuf>,
    /// Descriptor to read a token from; closed at once
    #[arg(long, value_name = "NUMBER", group = "token", value_parser = clap::value_parser!(i32).range(3..))]
    token_fd: Option<i32>,
    /// The GitHub App that mints tokens: its id or client id
    #[arg(long, value_name = "ID", conflicts_with = "token", requires = "app_key")]
    app_id: Option<String>,
    /// File that holds the App's private key; read when it is needed
    #[arg(long, value_name = "FILE", group = "app_key", requires = "app_id")]
    app_key_file: Option<PathBuf>,
    /// Descriptor to read the App's private key from; closed at once
    #[arg(
        long,
        value_name = "NUMBER",
        group = "app_key",
        requires = "app_id",
        value_parser = clap::value_parser!(i32).range(3..)
    )]
    app_key_fd: Option<i32>,
    /// The App's installation [default: the one of the docs repository]
    #[arg(long, value_name = "ID", requires = "app_id")]
    installation_id: Option<u64>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Reports")]
struct ReportArguments {
    /// File to append a summary to, in Markdown [default: `$GITHUB_STEP_SUMMARY`, if it is set]
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// File that holds the address of a webhook in Slack's format: told of regressions, fixes and failures
    #[arg(long, value_name = "FILE")]
    webhook_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum GatewayKind {
    /// Its container image
    Docker,
    /// Its Python package, in a virtual environment
    Venv,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Channel {
    /// Tags that are a bare version, `v1.106.0`
    Final,
    /// Tags like `v*-stable`
    Stable,
}

fn repository(text: &str) -> Result<Repository, String> {
    Repository::parse(text).ok_or_else(|| "expected `owner/name`".to_owned())
}

/// The exit status of a run that may not be published.
const REFUSED: u8 = 4;
/// What the results of a run are called.
const RESULTS: &str = "compat-results.json";
/// What was run, beside the results.
const VERSIONS: &str = "versions.json";

/// Runs the command.
///
/// # Errors
/// What keeps it from beginning; what goes wrong later is told where it is reported.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let url = arguments.url()?;
    let tokens = arguments.tokens()?;
    credentials::hide_memory().context("cannot keep other processes out of this one's memory")?;
    tokio::runtime::Runtime::new()?.block_on(run_async(arguments, url, tokens))
}

async fn run_async(arguments: Arguments, url: Option<RemoteUrl>, tokens: Tokens) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut publisher = Publisher::begin(arguments, url, tokens)?;
    let ended = tokio::select! {
        ended = publisher.run() => ended,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("told to end")),
    };
    let (ending, status) = match ended {
        Ok(Ending::Refused) => (Ending::Refused, ExitCode::from(REFUSED)),
        Ok(ending) => (ending, ExitCode::SUCCESS),
        Err(error) => {
            let is_conflict = matches!(
                error.downcast_ref::<DeliveryError>(),
                Some(DeliveryError::Conflict(_))
            );
            let ending = Ending::Failed {
                step: publisher.step.to_owned(),
                error: format!("{error:#}"),
            };
            let status = if is_conflict { REFUSED } else { super::FAILED };
            (ending, ExitCode::from(status))
        }
    };
    publisher.report(&ending).await;
    match &ending {
        Ending::Failed { step, error } => anstream::eprintln!("error: {step}: {error}"),
        ending => say("done", &ending.in_words()),
    }
    publisher.end();
    Ok(status)
}

/// One line of the log.
fn say(step: &str, text: &str) {
    anstream::eprintln!("compat publish: {step}: {text}");
}

impl Arguments {
    /// The docs repository. Read here and not by clap, which would show an address that holds a token.
    fn url(&self) -> anyhow::Result<Option<RemoteUrl>> {
        let url = self
            .docs
            .docs_repo
            .as_deref()
            .map(str::parse::<RemoteUrl>)
            .transpose();
        url.map_err(|error| anyhow::anyhow!("the value of `--docs-repo`: {error}"))
    }

    /// Where the token comes from. Descriptors are read here, before anything is started that could inherit them.
    fn tokens(&self) -> anyhow::Result<Tokens> {
        let given = &self.credentials;
        let held = |file: &Option<PathBuf>, descriptor: Option<i32>, what| match (file, descriptor) {
            (Some(file), _) => Ok(Some(Held::File(file.clone()))),
            (None, Some(number)) => Held::take_descriptor(number, what).map(Some),
            (None, None) => Ok(None),
        };
        let token = held(&given.token_file, given.token_fd, "the token")?;
        let key = held(&given.app_key_file, given.app_key_fd, "the App's private key")?;
        let source = match (token, &given.app_id, key) {
            (Some(token), ..) => Source::Token(token),
            (None, Some(id), Some(key)) => Source::App(Box::new(App {
                id: id.clone(),
                key,
                installation: given.installation_id,
                repository: self.repository()?,
                pull_requests: self.docs.via_pr,
                api: self.api()?,
            })),
            _ => Source::None,
        };
        Ok(Tokens::new(source))
    }

    fn repository(&self) -> anyhow::Result<Repository> {
        let of_address = || Repository::parse(self.url().ok()??.path());
        self.docs
            .repository
            .clone()
            .or_else(of_address)
            .context("which repository on GitHub? name it with `--repository owner/name`")
    }

    fn api(&self) -> anyhow::Result<Api> {
        let surroundings = Surroundings::new(Environment::from_process(), RunId::mint());
        Ok(Api::find(&surroundings)?)
    }

    fn policy(&self) -> Policy {
        Policy {
            target: Target {
                branch: self.docs.branch.clone(),
                path: self.docs.path.clone(),
                details_path: self.docs.details_path.clone(),
            },
            refresh_after: self.docs.refresh_after.map(|age| age.0),
        }
    }
}

/// What was run, for whoever publishes the results later.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Versions {
    litellm_version: Option<String>,
    claude_code_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image_digest: Option<String>,
}

/// A run of the command.
struct Publisher {
    arguments: Arguments,
    /// The docs repository.
    url: Option<RemoteUrl>,
    tokens: Tokens,
    environment: Environment,
    root: PathBuf,
    output: PathBuf,
    run: RunId,
    scratch: tempfile::TempDir,
    watchdog: Watchdog,
    /// The step that is under way.
    step: &'static str,
    judgement: Option<Judgement>,
    plan: Option<Plan>,
}

impl Publisher {
    fn begin(arguments: Arguments, url: Option<RemoteUrl>, tokens: Tokens) -> anyhow::Result<Self> {
        let environment = Environment::from_process();
        let start = match &arguments.run.project {
            Some(folder) => folder.clone(),
            None => std::env::current_dir().context("there is no working directory")?,
        };
        let root = Project::find_root(&start)
            .with_context(|| format!("no `manifest.yaml` in `{}` or above it", start.display()))?;
        let root = root
            .canonicalize()
            .with_context(|| format!("cannot find `{}`", root.display()))?;
        let output = match &arguments.run.output {
            Some(folder) => folder.clone(),
            None => root.join("test-results/publish"),
        };
        std::fs::create_dir_all(&output).with_context(|| format!("cannot make `{}`", output.display()))?;
        let output = output
            .canonicalize()
            .with_context(|| format!("cannot find `{}`", output.display()))?;
        let run = RunId::mint();
        let mut watchdog = Watchdog::start(run)?;
        // Only its owner may look into a temporary folder.
        let scratch = tempfile::Builder::new().prefix("compat-publish-").tempdir()?;
        watchdog.remove_at_end(scratch.path())?;
        Ok(Self {
            arguments,
            url,
            tokens,
            environment,
            root,
            output,
            run,
            scratch,
            watchdog,
            step: "begin",
            judgement: None,
            plan: None,
        })
    }

    fn end(self) {
        drop(self.scratch);
        // It has nothing left to end; that it cannot be waited for harms nobody.
        let _ = self.watchdog.finish();
    }

    fn begin_step(&mut self, step: &'static str) {
        self.step = step;
    }

    fn say(&self, text: &str) {
        say(self.step, text);
    }

    async fn run(&mut self) -> anyhow::Result<Ending> {
        let (results, versions) = match self.arguments.run.results.clone() {
            Some(file) => self.read_results(&file)?,
            None => self.run_matrix().await?,
        };
        let judgement = self.build(&results, &versions)?;
        self.validate(&judgement);
        let may_publish = judgement.refusals.is_empty();
        self.judgement = Some(judgement);
        self.begin_step("publish");
        if self.arguments.docs.skip_publish {
            self.check_credentials().await?;
            return Ok(Ending::Skipped);
        }
        match may_publish || self.arguments.docs.dry_run {
            true => self.publish(may_publish).await,
            false => Ok(Ending::Refused),
        }
    }

    /// Step: the results of an earlier run.
    fn read_results(&mut self, file: &Path) -> anyhow::Result<(Results, Versions)> {
        self.begin_step("results");
        let results = files::read(file, Results::parse)?;
        let beside = file.with_file_name(VERSIONS);
        let mut versions = Versions::default();
        if beside.is_file() {
            versions = files::read(&beside, |text| Ok(serde_json::from_str(text)?))?;
        }
        let given = &self.arguments.run;
        versions.litellm_version = given.litellm_version.clone().or(versions.litellm_version);
        versions.claude_code_version = given.claude_code_version.clone().or(versions.claude_code_version);
        self.say(&format!(
            "{} trials from `{}`",
            results.results.len(),
            file.display()
        ));
        Ok((results, versions))
    }

    async fn run_matrix(&mut self) -> anyhow::Result<(Results, Versions)> {
        let surroundings = Surroundings::new(self.environment.clone(), self.run);
        let tag = self.resolve_litellm(&surroundings).await?;
        let version = self.resolve_claude(&surroundings).await?;
        let simulator = self.simulator().await?;
        let (gateway, image_digest) = self.start_gateway(&tag.version, simulator.as_ref()).await?;
        // The gateway is stopped whatever becomes of the run.
        let results = match self.install_claude(&version.version).await {
            Ok(claude) => self.run_harness(&gateway, &claude, simulator.as_ref()).await,
            Err(error) => Err(error),
        };
        let log = std::fs::copy(gateway.log(), self.output.join("gateway.log"));
        gateway.stop().await;
        if let Some((simulator, _)) = simulator {
            simulator.shutdown().await;
        }
        let results = results?;
        log.context("cannot keep the gateway's log")?;
        let versions = Versions {
            litellm_version: Some(tag.version),
            claude_code_version: Some(version.version),
            image_digest,
        };
        self.write(VERSIONS, &(serde_json::to_string_pretty(&versions)? + "\n"))?;
        Ok((results, versions))
    }

    /// Step: which release of LiteLLM.
    async fn resolve_litellm(&mut self, surroundings: &Surroundings) -> anyhow::Result<Resolved> {
        self.begin_step("resolve LiteLLM");
        let given = &self.arguments.run;
        let filter = match (&given.pattern, given.channel) {
            (Some(pattern), _) => Filter::Pattern(pattern.clone()),
            (None, Channel::Final) => Filter::Final,
            (None, Channel::Stable) => Filter::stable(),
        };
        let tag = given.litellm_version.clone();
        let resolved = resolve::litellm(tag, &given.litellm_repository, &filter, surroundings).await?;
        self.say(&resolved.reason);
        Ok(resolved)
    }

    /// Step: which `claude`.
    async fn resolve_claude(&mut self, surroundings: &Surroundings) -> anyhow::Result<Resolved> {
        self.begin_step("resolve Claude Code");
        let given = self.arguments.run.claude_code_version.clone();
        let resolved = resolve::claude(given, surroundings).await?;
        self.say(&resolved.reason);
        Ok(resolved)
    }

    /// Step, in a rehearsal: the provider simulator, and the key for its control routes.
    async fn simulator(&mut self) -> anyhow::Result<Option<(Simulator, String)>> {
        if !self.arguments.run.simulated {
            return Ok(None);
        }
        self.begin_step("provider simulator");
        let key = new_control_key().context("cannot make a control key")?;
        let simulator = Simulator::start(provider::Options {
            unscripted: Unscripted::Refuse,
            control_key: Some(key.clone()),
            ..provider::Options::default()
        })
        .await?;
        self.say(&format!("listens at {}", simulator.base_url()));
        Ok(Some((simulator, key)))
    }

    /// Step: the gateway of the release; of an image also its digest.
    async fn start_gateway(
        &mut self,
        tag: &str,
        simulator: Option<&(Simulator, String)>,
    ) -> anyhow::Result<(Running, Option<String>)> {
        self.begin_step("gateway");
        let config = self.root.join("proxy_config.yaml");
        let providers = match simulator {
            Some((simulator, _)) => simulator.credentials().for_gateway(simulator.base_url()),
            None => gateway::live_providers(&config)?,
        };
        let folder = self.scratch.path().join("gateway");
        let options = gateway::Options {
            tag,
            config: &config,
            folder: &folder,
            environment: &self.environment,
            providers,
            providers_on_loopback: simulator.is_some(),
            run: self.run,
        };
        let (running, digest) = match self.arguments.run.gateway {
            Some(GatewayKind::Docker) => {
                let name = self.arguments.run.image.replace("{tag}", tag);
                self.say(&format!("pulling {name}"));
                let image = gateway::pull(&name, &self.environment, self.run).await?;
                self.say(&format!("pulled {}", image.digest));
                (
                    gateway::start_container(&options, &image).await?,
                    Some(image.digest),
                )
            }
            _ => {
                let progress = progress::on_standard_error();
                let installer = Installer::new(self.environment.clone(), self.run, &*progress)?;
                let lock = self.root.join(lock::FOLDER);
                let version = self.arguments.run.litellm_package.as_deref();
                (
                    gateway::start_venv(&options, version, &installer, &lock).await?,
                    None,
                )
            }
        };
        self.say(&format!("LiteLLM {tag} answers at {}", running.base_url()));
        Ok((running, digest))
    }

    /// Step: `claude` in a folder of its own, its digest checked against the registry's.
    async fn install_claude(&mut self, version: &str) -> anyhow::Result<PathBuf> {
        self.begin_step("install Claude Code");
        let progress = progress::on_standard_error();
        let installer = Installer::new(self.environment.clone(), self.run, &*progress)?;
        let registry = Registry::find(&installer.surroundings).await?;
        let pin = update::pin_claude(&registry, version).await?;
        let claude = installer.ensure_claude(&pin).await?;
        let says = toolchain::claude_version(&claude, &installer.surroundings).await?;
        self.say(&format!("`{}` says it is {says}", claude.display()));
        Ok(claude)
    }

    /// Step: the whole matrix.
    async fn run_harness(
        &mut self,
        gateway: &Running,
        claude: &Path,
        simulator: Option<&(Simulator, String)>,
    ) -> anyhow::Result<Results> {
        self.begin_step("run");
        let results = self.output.join(RESULTS);
        let log = self.output.join("harness.log");
        let options = harness::Options {
            program: self.arguments.run.harness.as_deref(),
            project: &self.root,
            environment: &self.environment,
            base_url: gateway.base_url(),
            key: gateway.key(),
            claude,
            simulator: simulator.map(|(simulator, key)| (simulator.base_url(), key.as_str())),
            results: &results,
            log: &log,
            run: self.run,
        };
        self.say("running the whole matrix");
        let results = harness::run(&options, |line| anstream::eprintln!("{line}")).await?;
        self.say(&format!("{} trials finished", results.results.len()));
        Ok(results)
    }

    /// Step: the matrix.
    fn build(&mut self, results: &Results, versions: &Versions) -> anyhow::Result<Judgement> {
        self.begin_step("build");
        let manifest = files::manifest(&self.root.join("manifest.yaml"))?;
        let stamp = Stamp::new(
            results,
            versions.litellm_version.clone(),
            versions.claude_code_version.clone(),
            None,
        )?;
        let rules = Rules {
            stamp: &stamp,
            allow_inconclusive: self.arguments.docs.allow_inconclusive,
        };
        let judgement = gate::judge(&manifest, results, rules)?;
        let candidate = &judgement.candidate;
        self.write("compatibility-matrix.json", &candidate.matrix.to_text())?;
        self.write("compatibility-details.json", &candidate.details.to_text())?;
        let failures = candidate.matrix.failures();
        self.say(&format!(
            "{} cells, {} of them red, in `{}`",
            candidate.matrix.cells().count(),
            failures.iter().map(|(_, places)| places.len()).sum::<usize>(),
            self.output.display()
        ));
        Ok(judgement)
    }

    /// Step: whether it may be published.
    fn validate(&mut self, judgement: &Judgement) {
        self.begin_step("validate");
        for refusal in &judgement.refusals {
            self.say(&format!("refused: {refusal}"));
        }
        if !judgement.left_out.is_empty() {
            let number = judgement.left_out.len();
            self.say(&format!(
                "{number} trials could not be judged and count as not tested"
            ));
        }
        if judgement.refusals.is_empty() {
            self.say("it may be published");
        }
    }

    /// In a run that publishes nothing: that the App can get a token is worth knowing all the same.
    async fn check_credentials(&mut self) -> anyhow::Result<()> {
        self.tokens.get(chrono::Utc::now()).await?;
        if let Some(scope) = self.tokens.scope() {
            self.say(&format!("minted a token for {scope}"));
        }
        Ok(())
    }

    /// Step: the docs repository.
    async fn publish(&mut self, may_publish: bool) -> anyhow::Result<Ending> {
        let Some(judgement) = &self.judgement else {
            bail!("there is nothing to publish");
        };
        let docs = &self.arguments.docs;
        let url = self
            .url
            .as_ref()
            .context("which docs repository? name it with `--docs-repo`")?;
        let policy = self.arguments.policy();
        let folder = self.scratch.path().join("docs");
        let clone = Clone::make(&folder, url, &self.environment, self.run).await?;
        let proposal = match docs.via_pr {
            true => Some(Proposal {
                api: self.arguments.api()?,
                repository: self.arguments.repository()?,
                branch: docs.pr_branch.clone(),
            }),
            false => None,
        };
        let delivery = Delivery {
            clone: &clone,
            candidate: &judgement.candidate,
            policy: &policy,
            author: &docs.author,
            proposal: proposal.as_ref(),
            attempts: docs.attempts,
            first_wait: Patience::default().first_wait,
        };
        if docs.dry_run {
            let plan = delivery.plan(&judgement.refusals, &mut self.tokens).await?;
            anstream::print!("{}", plan.to_text());
            self.plan = Some(plan);
            return Ok(match may_publish {
                true => Ending::Skipped,
                false => Ending::Refused,
            });
        }
        say(self.step, &format!("asking {url}"));
        let (plan, ending) = delivery
            .deliver(&mut self.tokens, &|text| say("publish", text))
            .await?;
        if let Some(diff) = &plan.diff {
            say(self.step, &format!("{} ({})", diff.summary(), diff.headline()));
        }
        self.plan = Some(plan);
        Ok(ending)
    }

    /// Step: the summary and the webhook. That nobody can be told is told, and changes nothing.
    async fn report(&self, ending: &Ending) {
        let known = Known {
            judgement: self.judgement.as_ref(),
            plan: self.plan.as_ref(),
        };
        let summary = self
            .arguments
            .report
            .summary
            .clone()
            .or_else(|| self.environment.path(env::GITHUB_STEP_SUMMARY));
        if let Some(file) = summary
            && let Err(error) = append(&file, &summary::markdown(ending, known))
        {
            say(
                "report",
                &format!("cannot write the summary to `{}`: {error}", file.display()),
            );
        }
        if let Err(error) = self.tell_webhook(ending, known).await {
            say("report", &format!("{error:#}"));
        }
    }

    async fn tell_webhook(&self, ending: &Ending, known: Known<'_>) -> anyhow::Result<()> {
        let Some(file) = &self.arguments.report.webhook_file else {
            return Ok(());
        };
        if self.arguments.docs.dry_run {
            return Ok(());
        }
        let Some(message) = summary::webhook(ending, known) else {
            return Ok(());
        };
        let address = Held::File(file.clone()).read("the webhook's address")?;
        webhook::tell(&address, &message, Patience::default()).await?;
        say("report", "told the webhook");
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.output.join(name);
        atomic_write::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
    }
}

fn append(file: &Path, text: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)?
        .write_all(text.as_bytes())
}
