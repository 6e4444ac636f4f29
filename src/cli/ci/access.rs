//! Which repository and which services a command asks, and with which tokens.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use crate::ci_client::{Api, CiClient, CircleCi, GitHubActions, RunTarget};
use crate::cli::git::git as in_folder;
use crate::cli::project::current_dir;
use crate::env::{self, Environment, Secret};
use crate::github::Repository;
use crate::http::{RetryPolicy, parse_url};
use crate::publish::credentials::SecretSource;

const PUBLIC_CIRCLECI: &str = "https://circleci.com";
const PUBLIC_GITHUB: &str = "https://api.github.com";

/// The services that run a repository's CI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ServiceChoice {
    /// CircleCI
    Circleci,
    /// GitHub Actions
    Github,
    /// Both
    All,
}

#[derive(Args, Debug)]
pub struct AccessFlags {
    /// The repository: `owner/name`, `gh/owner/name`, or CircleCI's `circleci/<org>/<project>` [default: that of `git remote
    /// origin`]
    #[arg(long, value_name = "SLUG")]
    project: Option<String>,
    /// The service to ask
    #[arg(long, value_enum, default_value_t = ServiceChoice::All)]
    provider: ServiceChoice,
    /// File that holds CircleCI's token, instead of `CIRCLECI_TOKEN`
    #[arg(long, value_name = "FILE", group = "circleci_token")]
    token_file: Option<PathBuf>,
    /// Descriptor to read CircleCI's token from; closed at once
    #[arg(long, value_name = "NUMBER", group = "circleci_token", value_parser = clap::value_parser!(i32).range(3..))]
    token_fd: Option<i32>,
    /// File that holds GitHub's token, instead of `GITHUB_TOKEN`
    #[arg(long, value_name = "FILE")]
    github_token_file: Option<PathBuf>,
}

/// The clients of a command.
pub struct Access {
    pub repository: Repository,
    pub clients: Vec<CiClient>,
}

impl Access {
    pub fn requests(&self) -> usize {
        let requests = self.clients.iter().map(|client| match client {
            CiClient::CircleCi(client) => client.api.requests(),
            CiClient::GitHub(client) => client.api.requests(),
        });
        requests.sum()
    }
}

impl AccessFlags {
    pub fn open(&self) -> anyhow::Result<Access> {
        let environment = Environment::from_process();
        let slug = match &self.project {
            Some(slug) => slug.clone(),
            None => git(&["config", "--get", "remote.origin.url"]).context(
                "no repository: run this in a clone with a remote `origin`, or name it with `--project`",
            )?,
        };
        let is_opaque = slug.starts_with("circleci/");
        ensure!(
            !(is_opaque && self.provider == ServiceChoice::Github),
            "`{slug}` is a project of CircleCI, not a repository of GitHub"
        );
        let repository = repository_of(&slug)?;
        let retry = RetryPolicy::default();
        let mut clients = Vec::new();
        if self.provider != ServiceChoice::Github {
            let address = environment.get(env::CIRCLECI_CLI_HOST).unwrap_or(PUBLIC_CIRCLECI);
            let host = parse_url(address).with_context(|| {
                format!(
                    "`{}` is `{address}`, which is not an `http` or `https` URL",
                    env::CIRCLECI_CLI_HOST
                )
            })?;
            let token = self.circleci_token(&environment)?;
            let api = Api::new("CircleCI", host.clone(), token, env::CIRCLECI_TOKENS[0], retry)?;
            let slug = match is_opaque {
                true => slug.clone(),
                false => CircleCi::slug_of(&repository),
            };
            clients.push(CiClient::CircleCi(CircleCi::new(api, &host, &slug)));
        }
        if self.provider != ServiceChoice::Circleci && !is_opaque {
            let address = environment.get(env::GITHUB_API_URL).unwrap_or(PUBLIC_GITHUB);
            let host = parse_url(address).with_context(|| {
                format!(
                    "`{}` is `{address}`, which is not an `http` or `https` URL",
                    env::GITHUB_API_URL
                )
            })?;
            let token = match &self.github_token_file {
                Some(file) => Some(SecretSource::File(file.clone()).read("GitHub's token")?),
                None => first_of(&environment, &env::GITHUB_TOKENS),
            };
            let api = Api::new("GitHub", host, token, env::GITHUB_TOKENS[0], retry)?;
            clients.push(CiClient::GitHub(GitHubActions::new(api, repository.clone())));
        }
        Ok(Access { repository, clients })
    }

    fn circleci_token(&self, environment: &Environment) -> anyhow::Result<Option<Secret>> {
        let what = "CircleCI's token";
        let source = match (&self.token_file, self.token_fd) {
            (Some(file), _) => SecretSource::File(file.clone()),
            (None, Some(number)) => SecretSource::from_descriptor(number, what)?,
            (None, None) => return Ok(first_of(environment, &env::CIRCLECI_TOKENS)),
        };
        source.read(what).map(Some)
    }
}

fn first_of(environment: &Environment, names: &[&str]) -> Option<Secret> {
    let value = names.iter().find_map(|name| environment.get(name))?;
    Some(Secret::new(value.trim()))
}

/// Parses a slug or the address of a clone.
fn repository_of(slug: &str) -> anyhow::Result<Repository> {
    let path = slug.trim().replace(':', "/");
    match path.parse() {
        Ok(repository) => Ok(repository),
        Err(_) => bail!("`{slug}` is no repository: write `owner/name` or `gh/owner/name`"),
    }
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output = in_folder(&current_dir()?, arguments)?;
    Ok(output.trim().to_owned())
}

#[derive(Args, Debug)]
pub struct TargetFlags {
    /// The newest commit of this branch [default: the branch of this clone, or `main`]
    #[arg(long, value_name = "BRANCH", group = "target")]
    branch: Option<String>,
    /// This commit, whole or its first digits (GitHub needs all 40)
    #[arg(long, value_name = "SHA", group = "target")]
    sha: Option<String>,
    /// A pipeline, workflow or run: its web address
    #[arg(value_name = "URL", group = "target")]
    url: Option<String>,
}

impl TargetFlags {
    pub fn target(&self) -> anyhow::Result<RunTarget> {
        if let Some(url) = &self.url {
            return target_of(url);
        }
        if let Some(revision) = &self.sha {
            let is_hex = revision.len() >= 7 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
            ensure!(
                is_hex,
                "`{revision}` is no commit: write 7 to 40 hexadecimal digits"
            );
            let revision = revision.to_ascii_lowercase();
            return Ok(RunTarget::Revision {
                revision,
                branch: None,
            });
        }
        let branch = match &self.branch {
            Some(branch) => branch.clone(),
            None => git(&["symbolic-ref", "--short", "HEAD"]).unwrap_or_else(|_| "main".to_owned()),
        };
        Ok(RunTarget::Branch(branch))
    }
}

/// Parses the addresses of CircleCI's and GitHub's web pages:
/// `…/pipelines/github/owner/name/12[/workflows/<id>]` and `…/owner/name/actions/runs/12`.
fn target_of(url: &str) -> anyhow::Result<RunTarget> {
    let parsed = parse_url(url).with_context(|| format!("`{url}` is no `http` or `https` address"))?;
    let parts: Vec<&str> = parsed.path_segments().map(Iterator::collect).unwrap_or_default();
    let after = |word: &str, offset: usize| {
        let index = parts.iter().position(|part| *part == word)?;
        parts
            .get(index + offset)
            .filter(|part| !part.is_empty())
            .map(|part| (*part).to_owned())
    };
    if let Some(id) = after("workflows", 1) {
        return Ok(RunTarget::Workflow(id));
    }
    match after("runs", 1).or_else(|| after("pipelines", 4)) {
        Some(id) => Ok(RunTarget::Pipeline(id)),
        None => bail!("`{url}` names no pipeline, workflow or run"),
    }
}
