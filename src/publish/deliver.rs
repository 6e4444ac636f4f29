//! Publishes a planned commit: pushed to the branch or offered as a pull request.
//!
//! The docs repository gets the whole commit or nothing. If somebody else pushed first or the network broke, it reads the
//! published files again and plans again. The same files on the same base give the same commit, so a commit that did arrive
//! is recognized.

use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::Utc;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::gate::{Candidate, Refusal};
use super::git::{Author, BareRepo, GitError, RemoteUrl};
use super::plan::{self, Action, Plan, Policy, PublishedFiles, RepositoryPath};
use super::steps::StepLog;
use super::summary::{self, Ending};
use super::tokens::Tokens;
use crate::env::Secret;
use crate::github::{GitHub, Repository};

#[derive(Debug)]
pub struct DocsOptions {
    pub url: RemoteUrl,
    pub policy: Policy,
    pub author: Author,
    /// How to make pull requests; `None` to push to the branch itself.
    pub proposal: Option<Proposal>,
    /// How often to try at most.
    pub attempts: u32,
    /// The wait after the first attempt; it doubles each time.
    pub first_wait: Duration,
    pub only_plan: bool,
}

/// How to make pull requests.
#[derive(Debug)]
pub struct Proposal {
    pub github: GitHub,
    pub repository: Repository,
    /// The branch of every pull request.
    pub branch: String,
}

pub struct Delivery<'a> {
    pub repo: &'a BareRepo,
    pub candidate: &'a Candidate,
    pub docs: &'a DocsOptions,
    pub log: StepLog<'a>,
}

impl Delivery<'_> {
    /// Reads the published files and plans; writes nothing.
    pub async fn plan(&self, refusals: &[Refusal], tokens: &mut Tokens) -> anyhow::Result<Plan> {
        let plan = async |token: Option<&Secret>| {
            let published = self.published(token).await?;
            Ok(plan::plan(
                self.candidate,
                refusals,
                &published,
                &self.docs.policy,
            )?)
        };
        self.retry(tokens, plan).await
    }

    /// Publishes, and returns the plan and the result.
    pub async fn deliver(&self, tokens: &mut Tokens) -> anyhow::Result<(Plan, Ending)> {
        let mut sent = None;
        self.retry(tokens, async |token| self.attempt(token, &mut sent).await)
            .await
    }

    /// Repeats `action` after failures that may pass, and once with a new token.
    async fn retry<T>(
        &self,
        tokens: &mut Tokens,
        mut action: impl AsyncFnMut(Option<&Secret>) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut renewed = false;
        let mut attempt = 1;
        loop {
            let token = tokens.get(Utc::now()).await?;
            let error = match action(token.as_ref()).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            match error.downcast_ref() {
                Some(GitError::TokenRefused(_)) if !renewed && tokens.forget() => {
                    renewed = true;
                    self.log.say("the token was refused; minting a new one");
                }
                Some(GitError::Moved(_) | GitError::Unreachable(_)) if attempt < self.docs.attempts => {
                    let wait = self.docs.first_wait * 2u32.saturating_pow(attempt - 1);
                    attempt += 1;
                    let most = self.docs.attempts;
                    self.log
                        .say(format!("{error:#}; trying again (attempt {attempt} of {most})"));
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(error),
            }
        }
    }

    async fn published(&self, token: Option<&Secret>) -> anyhow::Result<PublishedFiles> {
        let target = &self.docs.policy.target;
        let fetched = self.repo.fetch(&target.branch, token).await?;
        let base = fetched.ok_or_else(|| GitError::NoBranch(target.branch.clone()))?;
        let file = async |path: Option<&RepositoryPath>| match path {
            Some(path) => self.repo.file(&base, path, token).await,
            None => Ok(None),
        };
        Ok(PublishedFiles {
            matrix: file(Some(&target.path)).await?,
            details: file(target.details_path.as_ref()).await?,
            version_history: file(target.version_history_path.as_ref()).await?,
            base: base.clone(),
        })
    }

    /// One attempt. `sent` is the commit that an earlier attempt pushed without learning the result.
    async fn attempt(
        &self,
        token: Option<&Secret>,
        sent: &mut Option<(String, Plan)>,
    ) -> anyhow::Result<(Plan, Ending)> {
        let published = self.published(token).await?;
        if let Some((commit, plan)) = sent.take_if(|(commit, _)| *commit == published.base) {
            self.log.say("an earlier attempt pushed the commit");
            return Ok((plan, Ending::Pushed(commit)));
        }
        let plan = plan::plan(self.candidate, &[], &published, &self.docs.policy)?;
        for note in &plan.notes {
            self.log.say(format!("note: {note}"));
        }
        let proposal = self.docs.proposal.as_ref();
        let ending = match (plan.action, proposal) {
            (Action::Commit, None) => {
                let commit = self.commit(&plan, &[&plan.base]).await?;
                *sent = Some((commit.clone(), plan.clone()));
                self.repo.push(&commit, &plan.target.branch, token).await?;
                Ending::Pushed(commit)
            }
            (Action::Commit, Some(proposal)) => self.propose(proposal, &plan, required(token)?).await?,
            (_, None) => Ending::Unchanged,
            (_, Some(proposal)) => {
                // The docs branch already has the matrix.
                if let Some(url) = proposal.withdraw(&plan, required(token)?).await? {
                    self.log.say(format!("closed {url}: superseded"));
                }
                Ending::Unchanged
            }
        };
        Ok((plan, ending))
    }

    /// Makes the commit and compares it with the plan before anybody can see it.
    async fn commit(&self, plan: &Plan, parents: &[&str]) -> anyhow::Result<String> {
        let (author, at) = (&self.docs.author, self.candidate.matrix.generated_at);
        let commit = self
            .repo
            .commit(&plan.base, parents, &plan.files, &plan.message, author, at)
            .await?;
        let changed = self.repo.changed(&plan.base, &commit).await?;
        plan::check_commit(&changed, &plan.target)?;
        Ok(commit)
    }

    async fn propose(&self, proposal: &Proposal, plan: &Plan, token: &Secret) -> anyhow::Result<Ending> {
        let open = proposal.open(&plan.target.branch, token).await?;
        // This comes before the push: a pull request that merges automatically must not get a regression.
        if let Some(open) = open.as_ref().filter(|open| open.auto_merge.is_some())
            && plan.has_regressions()
        {
            proposal.set_auto_merge(open, false, token).await?;
            self.log.say("auto-merge switched off: there are regressions");
        }
        // The branch may exist from an earlier day. Since no push is forced, the new commit becomes its child, with the tree of
        // the docs branch and the new file.
        let head = self.repo.fetch(&proposal.branch, Some(token)).await?;
        let parents: Vec<&str> = match &head {
            Some(head) if *head != plan.base => vec![head, &plan.base],
            _ => vec![&plan.base],
        };
        let commit = self.commit(plan, &parents).await?;
        let is_there = match &head {
            Some(head) => self.repo.changed(head, &commit).await?.is_empty() && open.is_some(),
            None => false,
        };
        if !is_there {
            self.repo.push(&commit, &proposal.branch, Some(token)).await?;
        }
        let pull_request = proposal.write(open, plan, token).await?;
        let mut auto_merge = !plan.has_regressions();
        if auto_merge && pull_request.auto_merge.is_none() {
            // GitHub refuses if the repository does not allow auto-merge or has no required check.
            if let Err(error) = proposal.set_auto_merge(&pull_request, true, token).await {
                self.log.say(format!("no auto-merge: {error:#}"));
                auto_merge = false;
            }
        }
        Ok(Ending::Proposed {
            url: pull_request.html_url,
            auto_merge,
        })
    }
}

fn required(token: Option<&Secret>) -> anyhow::Result<&Secret> {
    token.context("a pull request needs a token: give `--app-id` with the App's key, or `--token-file`")
}

#[derive(Debug, Deserialize)]
struct PullRequest {
    number: u64,
    node_id: String,
    html_url: String,
    #[serde(default)]
    auto_merge: Option<Value>,
}

impl Proposal {
    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: &Secret,
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let path = format!("/repos/{}/pulls{path}", self.repository);
        let answer = self.github.call(method, &path, token, body).await?;
        serde_json::from_value(answer).context("GitHub's answer about pull requests is not as documented")
    }

    /// The open pull request from our branch, if there is one.
    async fn open(&self, base: &str, token: &Secret) -> anyhow::Result<Option<PullRequest>> {
        let head = format!("{}:{}", self.repository.owner, self.branch);
        let query = format!(
            "?state=open&head={}&base={}",
            utf8_percent_encode(&head, NON_ALPHANUMERIC),
            utf8_percent_encode(base, NON_ALPHANUMERIC)
        );
        let open: Vec<PullRequest> = self.call(Method::GET, &query, token, None).await?;
        Ok(open.into_iter().next())
    }
    async fn patch(&self, open: &PullRequest, token: &Secret, body: &Value) -> anyhow::Result<PullRequest> {
        let path = format!("/{}", open.number);
        self.call(Method::PATCH, &path, token, Some(body)).await
    }

    /// Closes the open pull request, if there is one, and returns its address.
    async fn withdraw(&self, plan: &Plan, token: &Secret) -> anyhow::Result<Option<String>> {
        let Some(open) = self.open(&plan.target.branch, token).await? else {
            return Ok(None);
        };
        self.patch(&open, token, &json!({ "state": "closed" })).await?;
        Ok(Some(open.html_url))
    }

    /// Creates the pull request, or updates the open one.
    async fn write(
        &self,
        open: Option<PullRequest>,
        plan: &Plan,
        token: &Secret,
    ) -> anyhow::Result<PullRequest> {
        let title = match (&plan.diff, plan.has_regressions()) {
            (Some(diff), true) => format!("Update Claude Code compatibility matrix ({})", diff.summary()),
            _ => "Update Claude Code compatibility matrix".to_owned(),
        };
        let mut body = json!({ "title": title, "body": summary::of_pull_request(plan) });
        if let Some(open) = open {
            return self.patch(&open, token, &body).await;
        }
        body["head"] = json!(self.branch);
        body["base"] = json!(plan.target.branch);
        self.call(Method::POST, "", token, Some(&body)).await
    }

    /// Whether the pull request merges automatically once its checks pass. Only GitHub's GraphQL API can set this.
    async fn set_auto_merge(&self, of: &PullRequest, on: bool, token: &Secret) -> anyhow::Result<()> {
        let query = if on {
            "mutation($id: ID!) { enablePullRequestAutoMerge(input: {pullRequestId: $id, mergeMethod: SQUASH}) \
             { clientMutationId } }"
        } else {
            "mutation($id: ID!) { disablePullRequestAutoMerge(input: {pullRequestId: $id}) { clientMutationId } }"
        };
        let body = json!({ "query": query, "variables": { "id": of.node_id } });
        let answer = self
            .github
            .call(Method::POST, "/graphql", token, Some(&body))
            .await?;
        // GraphQL reports errors with status 200.
        if let Some(error) = answer.pointer("/errors/0") {
            let message = error["message"].as_str().unwrap_or("no message");
            bail!("GitHub refused it: {message}");
        }
        Ok(())
    }
}
