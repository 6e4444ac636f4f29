//! `compat publish`: the daily run, from the newest versions to the docs repository, step by step.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::files::Output;
use super::print::talk;
use super::versions::{Channel, filter};
use crate::env::{self, Environment};
use crate::http::RetryPolicy;
use crate::process::RunId;
use crate::progress;
use crate::publish::credentials::{self, Held, Source as TokenSource, Tokens};
use crate::publish::daily::{Daily, Docs, Report, Request, Source};
use crate::publish::deliver::Proposal;
use crate::publish::git::{Author, RemoteUrl};
use crate::publish::github_app::{Api, App, Repository};
use crate::publish::plan::{Policy, RepositoryPath, Target};
use crate::publish::release_run::{GatewayOrigin, Versions, Wanted};
use crate::publish::steps::Voice;
use crate::publish::summary::Ending;
use crate::spec_files::Project;
use crate::toolchain::ToolEnvironment;
use crate::versions::age::Age;
use crate::versions::litellm::Pattern;

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
    /// How long it waits before it tries again, in milliseconds; twice as long each time
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(..=60_000))]
    first_wait: u64,
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

fn repository(text: &str) -> Result<Repository, String> {
    Repository::parse(text).ok_or_else(|| "expected `owner/name`".to_owned())
}

/// The exit status of a run that may not be published.
const REFUSED: u8 = 4;

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let environment = Environment::from_process();
    let tokens = arguments.tokens(&environment)?;
    credentials::hide_memory().context("cannot keep other processes out of this one's memory")?;
    let request = arguments.request(&environment)?;
    tokio::runtime::Runtime::new()?.block_on(run_async(request, tokens, environment))
}

async fn run_async(request: Request, tokens: Tokens, environment: Environment) -> anyhow::Result<ExitCode> {
    let interrupted = interrupted()?;
    let is_dry = request.docs.as_ref().is_some_and(|docs| docs.only_plan);
    let progress = progress::on_standard_error();
    let voice = Voice {
        say,
        relay: |line| talk!("{line}"),
        progress: &*progress,
    };
    let mut daily = Daily::begin(request, tokens, environment, voice)?;
    let ending = daily.run(interrupted).await;
    if let Some(plan) = daily.plan().filter(|_| is_dry) {
        Output::Standard.write(&plan.to_text())?;
    }
    match &ending {
        Ending::Failed { step, error } => talk!("error: {step}: {error}"),
        ending => say("done", &ending.in_words()),
    }
    daily.end();
    Ok(match &ending {
        Ending::Failed { .. } => ExitCode::from(super::FAILED),
        ending if ending.is_refusal() => ExitCode::from(REFUSED),
        _ => ExitCode::SUCCESS,
    })
}

/// One line of the log.
fn say(step: &str, text: &str) {
    talk!("compat publish: {step}: {text}");
}

/// Ends when somebody wants the run to end, and says how they said it.
fn interrupted() -> std::io::Result<impl Future<Output = &'static str>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "interrupted",
            _ = terminate.recv() => "told to end",
        }
    })
}

impl Arguments {
    /// What is asked for, whole.
    fn request(self, environment: &Environment) -> anyhow::Result<Request> {
        let project = self.run.project()?;
        let output = match &self.run.output {
            Some(folder) => folder.clone(),
            None => project.join("test-results/publish"),
        };
        Ok(Request {
            docs: self.docs(environment)?,
            allow_inconclusive: self.docs.allow_inconclusive,
            patience: self.patience(),
            source: self.run.source(),
            report: Report {
                summary: self
                    .report
                    .summary
                    .or_else(|| environment.path(env::GITHUB_STEP_SUMMARY)),
                webhook: self.report.webhook_file,
            },
            project,
            output,
        })
    }

    fn docs(&self, environment: &Environment) -> anyhow::Result<Option<Docs>> {
        let docs = &self.docs;
        if docs.skip_publish {
            return Ok(None);
        }
        if docs.via_pr && docs.pr_branch == docs.branch {
            bail!("`--pr-branch` is `--branch` itself: a pull request needs a branch of its own");
        }
        let proposal = match docs.via_pr {
            true => Some(Proposal {
                api: self.api(environment)?,
                repository: self.repository()?,
                branch: docs.pr_branch.clone(),
            }),
            false => None,
        };
        Ok(Some(Docs {
            url: self
                .url()?
                .context("which docs repository? name it with `--docs-repo`")?,
            policy: docs.policy(),
            author: docs.author.clone(),
            proposal,
            attempts: docs.attempts,
            only_plan: docs.dry_run,
        }))
    }

    /// The docs repository. Read here and not by clap, which would show an address that holds a token.
    fn url(&self) -> anyhow::Result<Option<RemoteUrl>> {
        let url = self.docs.docs_repo.as_deref().map(str::parse::<RemoteUrl>);
        url.transpose()
            .map_err(|error| anyhow::anyhow!("the value of `--docs-repo`: {error}"))
    }

    /// Where the token comes from. Descriptors are read here, before anything is started that could inherit them.
    fn tokens(&self, environment: &Environment) -> anyhow::Result<Tokens> {
        self.url()?;
        let given = &self.credentials;
        let token = held(&given.token_file, given.token_fd, "the token")?;
        let key = held(&given.app_key_file, given.app_key_fd, "the App's private key")?;
        let source = match (token, &given.app_id, key) {
            (Some(token), ..) => TokenSource::Token(token),
            (None, Some(id), Some(key)) => TokenSource::App(Box::new(App {
                id: id.clone(),
                key,
                installation: given.installation_id,
                repository: self.repository()?,
                pull_requests: self.docs.via_pr,
                api: self.api(environment)?,
            })),
            _ => TokenSource::None,
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

    fn api(&self, environment: &Environment) -> anyhow::Result<Api> {
        Ok(Api::find(&ToolEnvironment {
            environment: environment.clone(),
            retry: self.patience(),
            run: RunId::mint(),
        })?)
    }

    fn patience(&self) -> RetryPolicy {
        RetryPolicy {
            first_wait: Duration::from_millis(self.docs.first_wait),
            ..RetryPolicy::default()
        }
    }
}

/// A secret that is in a file or comes from a descriptor.
fn held(file: &Option<PathBuf>, descriptor: Option<i32>, what: &'static str) -> anyhow::Result<Option<Held>> {
    Ok(match (file, descriptor) {
        (Some(file), _) => Some(Held::File(file.clone())),
        (None, Some(number)) => Some(Held::take_descriptor(number, what)?),
        (None, None) => None,
    })
}

impl RunArguments {
    fn project(&self) -> anyhow::Result<PathBuf> {
        let start = match &self.project {
            Some(folder) => folder.clone(),
            None => std::env::current_dir().context("there is no working directory")?,
        };
        Project::find_root(&start)
            .with_context(|| format!("no `manifest.yaml` in `{}` or above it", start.display()))
    }

    fn source(self) -> Source {
        match self.results {
            Some(file) => Source::Results {
                file,
                versions: Versions {
                    litellm_version: self.litellm_version,
                    claude_code_version: self.claude_code_version,
                    image_digest: None,
                },
            },
            None => Source::Release(Box::new(Wanted {
                gateway: match self.gateway {
                    Some(GatewayKind::Docker) => GatewayOrigin::Container(self.image),
                    _ => GatewayOrigin::Package(self.litellm_package),
                },
                litellm_version: self.litellm_version,
                filter: filter(self.pattern, self.channel),
                litellm_repository: self.litellm_repository,
                claude_code_version: self.claude_code_version,
                simulated: self.simulated,
                harness: self.harness,
            })),
        }
    }
}

impl DocsArguments {
    fn policy(&self) -> Policy {
        Policy {
            target: Target {
                branch: self.branch.clone(),
                path: self.path.clone(),
                details_path: self.details_path.clone(),
            },
            refresh_after: self.refresh_after.map(|age| age.0),
        }
    }
}
