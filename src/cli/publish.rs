//! `compat publish`: the daily run, from the newest versions to the docs repository.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use chrono::{TimeDelta, Utc};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::files::Output;
use super::print::status;
use super::versions::{Channel, filter};
use crate::cells::limits::NamedLimit;
use crate::env::{self, Environment};
use crate::files::Project;
use crate::github::{GitHub, Repository};
use crate::http::RetryPolicy;
use crate::isolation::IsolationLevel;
use crate::progress;
use crate::publish::credentials::SecretSource;
use crate::publish::daily::{DailyOptions, DailyRun, ReportOptions, ResultsSource};
use crate::publish::deliver::{DocsOptions, Proposal};
use crate::publish::git::{Author, RemoteUrl};
use crate::publish::plan::{DocsTarget, Policy, RepositoryPath};
use crate::publish::release_run::{GatewayOrigin, ReleaseOptions, ReleaseVersions};
use crate::publish::steps::StepLog;
use crate::publish::summary::Ending;
use crate::publish::tokens::{App, TokenSource, Tokens};
use crate::run::dollars;
use crate::toolchain::platform::CLAUDE_PACKAGE;
use crate::versions::WantedVersion;
use crate::versions::age::Age;
use crate::versions::litellm::Pattern;

/// Run the matrix on the newest release and publish it
///
/// The daily run resolves the newest LiteLLM and the newest `claude`, starts that gateway, and runs the whole matrix. Then it
/// builds `compatibility-matrix.json`, checks whether it may be published, and pushes this one file to the docs repository. With
/// `--results` it starts from the results of an earlier run, so that the process with the token never runs `claude`.
///
/// The exit status is 0 if the matrix is published or unchanged, and 1 if a step failed. It is 4 if the gate refuses the
/// matrix: after a simulated, filtered or incomplete run, or if trials failed for reasons other than the gateway.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  Everything, on a machine with the providers' credentials in the environment:
    compat publish --gateway docker --docs-repo https://github.com/BerriAI/litellm-docs.git \\
      --app-id 12345 --app-key-file /run/secrets/app-key.pem
  The same in two steps; only the second one has the key:
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
    /// Use this tag of LiteLLM [default: the newest of `--channel`]
    #[arg(long, value_name = "TAG")]
    litellm_version: Option<String>,
    /// Which tags are releases
    #[arg(long, value_enum, default_value_t = Channel::Stable)]
    channel: Channel,
    /// A pattern for the tag, instead of a channel: `v1.83.*-stable`
    #[arg(long, value_name = "PATTERN", conflicts_with = "channel")]
    pattern: Option<Pattern>,
    /// The repository of LiteLLM, as `owner/name`
    #[arg(long, value_name = "REPOSITORY", default_value = "BerriAI/litellm")]
    litellm_repository: String,
    /// Use this version of Claude Code [default: the newest, at any age]
    #[arg(long, value_name = "VERSION")]
    claude_code_version: Option<String>,
    /// The container image of a tag
    #[arg(long, value_name = "IMAGE", default_value = "ghcr.io/berriai/litellm:{tag}")]
    image: String,
    /// The version of the Python package, if the tag does not give it
    #[arg(long, value_name = "VERSION")]
    litellm_package: Option<String>,
    /// Run and publish this part of the manifest's `matrices` [default: the whole matrix, on all tiers]
    #[arg(long, value_name = "MATRIX")]
    matrix: Option<String>,
    /// Rehearse with the provider simulator; the result is never published
    #[arg(long)]
    simulated: bool,
    /// Run no `claude` that is confined less than this, and publish no such results: `none`, `process`, `landlock` or `full`
    #[arg(long, value_name = "LEVEL", default_value_t = IsolationLevel::None)]
    require_isolation: IsolationLevel,
    /// Keep what passes on the sides of the gateway in `cassette` of the output's folder, for `compat drift`
    #[arg(long, conflicts_with = "results")]
    record: bool,
    /// In a live run, start no trial that may pass this sum, by the prices of `prices.yaml`. A run that its budget ends is
    /// incomplete, and is not published
    #[arg(
        long,
        value_name = "USD",
        value_parser = dollars,
        allow_negative_numbers = true,
        conflicts_with_all = ["results", "simulated"]
    )]
    max_cost: Option<f64>,
    /// In a live run, send a provider at most so many requests, and tokens, a minute for each model: `any=50`. May be given
    /// several times
    #[arg(
        long = "limit",
        value_name = "NAME=REQUESTS[/TOKENS]",
        value_parser = limit,
        conflicts_with_all = ["results", "simulated"]
    )]
    limits: Vec<String>,
    /// The built harness [default: `cargo test --test compat` in a checkout, else this program]
    #[arg(long, value_name = "PROGRAM")]
    harness: Option<PathBuf>,
    /// The project's folder, with `manifest.yaml` and `proxy_config.yaml` [default: the nearest one upwards]
    #[arg(long, value_name = "FOLDER")]
    project: Option<PathBuf>,
    /// The folder for results, matrix and logs [default: `test-results/publish` in the project]
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "The docs repository")]
struct DocsArguments {
    /// Its address, without credentials
    #[arg(long, value_name = "URL", required_unless_present = "skip_publish")]
    docs_repo: Option<String>,
    /// The branch of the docs
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    branch: String,
    /// The matrix's file in it. A commit changes only this file and the files of the next options
    #[arg(
        long,
        value_name = "PATH",
        default_value = "static/data/compatibility-matrix.json"
    )]
    path: RepositoryPath,
    /// The details' file in it; publishes the details too
    #[arg(long, value_name = "PATH")]
    details_path: Option<RepositoryPath>,
    /// A file with the output of `compat history --format json`; publishes it too. Without it, the published one stays
    #[arg(long, value_name = "FILE")]
    version_history: Option<PathBuf>,
    /// The version history's file in the docs repository
    #[arg(long, value_name = "PATH", default_value = "static/data/version-history.json")]
    version_history_path: RepositoryPath,
    /// The author of the commit
    #[arg(
        long,
        value_name = "AUTHOR",
        default_value = "litellm-compat-matrix-bot <litellm-compat-matrix-bot@users.noreply.github.com>"
    )]
    author: Author,
    /// Open a pull request instead of pushing to the branch; it merges automatically unless there are regressions
    #[arg(long)]
    via_pr: bool,
    /// The branch of the pull requests
    #[arg(
        long,
        value_name = "BRANCH",
        default_value = "automation/compatibility-matrix"
    )]
    pr_branch: String,
    /// Owner and name on GitHub [default: the end of the address]
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<Repository>,
    /// Publish trials that could not be judged as not tested, instead of refusing
    #[arg(long)]
    allow_inconclusive: bool,
    /// Publish an unchanged matrix again once the published one is this old, so that `compat status` sees the run
    #[arg(long, value_name = "AGE")]
    refresh_after: Option<Age>,
    /// How often to try to publish, if the branch moves or the network fails
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10))]
    attempts: u32,
    /// The wait before the second try, in milliseconds; it doubles each time
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(..=60_000))]
    first_wait: u64,
    /// Print the plan as JSON and publish nothing
    #[arg(long)]
    dry_run: bool,
    /// Stop before the docs repository
    #[arg(long, conflicts_with = "dry_run")]
    skip_publish: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Credentials for the docs repository")]
struct CredentialArguments {
    /// File that holds a token; read when needed
    #[arg(long, value_name = "FILE", group = "token")]
    token_file: Option<PathBuf>,
    /// Descriptor to read a token from; closed at once
    #[arg(long, value_name = "NUMBER", group = "token", value_parser = clap::value_parser!(i32).range(3..))]
    token_fd: Option<i32>,
    /// The GitHub App that mints tokens, by its id or client id
    #[arg(long, value_name = "ID", conflicts_with = "token", requires = "app_key")]
    app_id: Option<String>,
    /// File that holds the App's private key; read when needed
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
    /// The App's installation [default: that of the docs repository]
    #[arg(long, value_name = "ID", requires = "app_id")]
    installation_id: Option<u64>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Reports")]
struct ReportArguments {
    /// File to append a summary to, in Markdown [default: `$GITHUB_STEP_SUMMARY`, if it is set]
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// File that holds the address of a webhook in Slack's format, for regressions, fixes and failures
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

/// The exit status of a run that must not be published.
const REFUSED: u8 = 4;

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let environment = Environment::from_process();
    let tokens = arguments.tokens(&environment)?;
    let options = arguments.options(&environment)?;
    tokio::runtime::Runtime::new()?.block_on(run_async(options, tokens, environment))
}

async fn run_async(
    options: DailyOptions,
    tokens: Tokens,
    environment: Environment,
) -> anyhow::Result<ExitCode> {
    let interrupted = interrupted()?;
    let is_dry = options.docs.as_ref().is_some_and(|docs| docs.only_plan);
    let progress = progress::on_standard_error();
    let log = StepLog::new(say, |line| status!("{line}"), &*progress);
    let mut daily = DailyRun::begin(options, tokens, environment, log)?;
    let ending = daily.run(interrupted).await;
    if let Some(plan) = daily.plan().filter(|_| is_dry) {
        Output::Standard.write(&plan.to_text())?;
    }
    match &ending {
        Ending::Failed { step, error } => status!("error: {step}: {error}"),
        ending => say("done", &ending.to_string()),
    }
    daily.end();
    Ok(match &ending {
        Ending::Failed { .. } => ExitCode::from(super::project::FAILED),
        ending if ending.is_refusal() => ExitCode::from(REFUSED),
        _ => ExitCode::SUCCESS,
    })
}

/// Prints a line of the log.
fn say(step: &str, text: &str) {
    status!("compat publish: {step}: {text}");
}

/// Completes with the name of the signal that asks the run to stop.
fn interrupted() -> std::io::Result<impl Future<Output = &'static str>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "interrupted by SIGINT",
            _ = terminate.recv() => "interrupted by SIGTERM",
        }
    })
}

impl Arguments {
    fn options(self, environment: &Environment) -> anyhow::Result<DailyOptions> {
        let project = self.run.project()?;
        let output = self.run.output.clone();
        let summary = self.report.summary;
        Ok(DailyOptions {
            docs: self.docs.options(environment)?,
            allow_inconclusive: self.docs.allow_inconclusive,
            isolation: self.run.require_isolation,
            retry: self.docs.retry(),
            matrix: self.run.matrix.clone(),
            version_history: self.docs.version_history.as_deref().map(history).transpose()?,
            source: self.run.source(),
            report: ReportOptions {
                summary: summary.or_else(|| environment.path(env::GITHUB_STEP_SUMMARY)),
                webhook: self.report.webhook_file,
            },
            output: output.unwrap_or_else(|| project.join("test-results/publish")),
            project,
        })
    }

    /// Reads the descriptors too, before a process starts that could inherit them.
    fn tokens(&self, environment: &Environment) -> anyhow::Result<Tokens> {
        self.docs.url()?;
        let given = &self.credentials;
        let token = secret(&given.token_file, given.token_fd, "the token")?;
        let key = secret(&given.app_key_file, given.app_key_fd, "the App's private key")?;
        let source = match (token, &given.app_id, key) {
            (Some(token), ..) => TokenSource::Given(token),
            (None, Some(id), Some(key)) => TokenSource::App(Box::new(App {
                id: id.clone(),
                key,
                installation: given.installation_id,
                repository: self.docs.repository()?,
                pull_requests: self.docs.via_pr,
                github: self.docs.github(environment)?,
            })),
            _ => TokenSource::None,
        };
        Ok(Tokens::new(source))
    }
}

/// A limit that the harness reads itself; a run takes hours, so a wrong one must fail before it.
fn limit(text: &str) -> Result<String, String> {
    text.parse::<NamedLimit>().map(|_| text.to_owned())
}

/// The version history in a file. A run takes hours, so a wrong path must fail before it.
fn history(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the version history `{}`", file.display()))
}

/// The secret in a file or from a descriptor; errors call it `what`.
fn secret(
    file: &Option<PathBuf>,
    descriptor: Option<i32>,
    what: &str,
) -> anyhow::Result<Option<SecretSource>> {
    match (file, descriptor) {
        (Some(file), _) => Ok(Some(SecretSource::File(file.clone()))),
        (None, Some(number)) => SecretSource::from_descriptor(number, what).map(Some),
        (None, None) => Ok(None),
    }
}

impl RunArguments {
    fn project(&self) -> anyhow::Result<PathBuf> {
        let start = match &self.project {
            Some(folder) => folder.clone(),
            None => super::project::current_dir()?,
        };
        Project::find_root(&start)
            .with_context(|| format!("no `manifest.yaml` in `{}` or above it", start.display()))
    }

    fn source(self) -> ResultsSource {
        if let Some(file) = self.results {
            let versions = ReleaseVersions {
                litellm_version: self.litellm_version,
                claude_code_version: self.claude_code_version,
                image_digest: None,
            };
            return ResultsSource::File { file, versions };
        }
        let newest_litellm = WantedVersion::Litellm {
            filter: filter(self.pattern, self.channel),
            repository: self.litellm_repository,
            by: None,
        };
        let newest_claude = WantedVersion::ClaudeCode {
            min_age: Age(TimeDelta::zero()),
            at: Utc::now(),
        };
        ResultsSource::Release(Box::new(ReleaseOptions {
            gateway: match self.gateway {
                Some(GatewayKind::Docker) => GatewayOrigin::Container(self.image),
                _ => GatewayOrigin::Package(self.litellm_package),
            },
            litellm: newest_litellm.unless_given("LiteLLM", self.litellm_version),
            claude_code: newest_claude.unless_given(CLAUDE_PACKAGE, self.claude_code_version),
            simulated: self.simulated,
            records: self.record,
            max_cost: self.max_cost,
            limits: self.limits,
            harness: self.harness,
        }))
    }
}

impl DocsArguments {
    /// `None` to stop before the docs repository.
    fn options(&self, environment: &Environment) -> anyhow::Result<Option<DocsOptions>> {
        if self.skip_publish {
            return Ok(None);
        }
        if self.via_pr && self.pr_branch == self.branch {
            bail!("`--pr-branch` is the same as `--branch`: a pull request needs another branch");
        }
        let proposal = || {
            anyhow::Ok(Proposal {
                github: self.github(environment)?,
                repository: self.repository()?,
                branch: self.pr_branch.clone(),
            })
        };
        let url = self.url()?;
        Ok(Some(DocsOptions {
            proposal: self.via_pr.then(proposal).transpose()?,
            url: url.context("no docs repository: name it with `--docs-repo`")?,
            policy: Policy {
                target: DocsTarget {
                    branch: self.branch.clone(),
                    path: self.path.clone(),
                    details_path: self.details_path.clone(),
                    version_history_path: self
                        .version_history
                        .is_some()
                        .then(|| self.version_history_path.clone()),
                },
                refresh_after: self.refresh_after.map(|age| age.0),
            },
            author: self.author.clone(),
            attempts: self.attempts,
            first_wait: self.retry().first_wait,
            only_plan: self.dry_run,
        }))
    }

    /// The docs repository. clap does not parse it, because its error would show a token in the address.
    fn url(&self) -> anyhow::Result<Option<RemoteUrl>> {
        let url = self.docs_repo.as_deref().map(str::parse::<RemoteUrl>);
        url.transpose()
            .map_err(|error| anyhow!("the value of `--docs-repo`: {error}"))
    }

    fn repository(&self) -> anyhow::Result<Repository> {
        let of_address = || self.url().ok()??.path().parse().ok();
        let repository = self.repository.clone().or_else(of_address);
        repository.context("no repository on GitHub: name it with `--repository owner/name`")
    }

    fn github(&self, environment: &Environment) -> anyhow::Result<GitHub> {
        GitHub::find(environment, self.retry())?.for_credentials()
    }

    fn retry(&self) -> RetryPolicy {
        RetryPolicy {
            first_wait: Duration::from_millis(self.first_wait),
            ..RetryPolicy::default()
        }
    }
}
