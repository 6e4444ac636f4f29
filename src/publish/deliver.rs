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
use super::git::{Author, BareRepo, GitError};
use super::plan::{self, Action, Plan, Policy, PublishedFiles};
use super::summary::{self, Ending};
use super::tokens::Tokens;
use crate::env::Secret;
use crate::github::{GitHub, Repository};

#[derive(Debug)]
pub struct Delivery<'a> {
    pub repo: &'a BareRepo,
    pub candidate: &'a Candidate,
    pub policy: &'a Policy,
    pub author: &'a Author,
    /// How to make pull requests; `None` to push to the branch itself.
    pub proposal: Option<&'a Proposal>,
    /// How often to try at most.
    pub attempts: u32,
    /// The wait after the first attempt; it doubles each time.
    pub first_wait: Duration,
}

/// How to make pull requests.
#[derive(Debug)]
pub struct Proposal {
    pub github: GitHub,
    pub repository: Repository,
    /// The branch of every pull request.
    pub branch: String,
}

/// Writes a line of the log.
type Say<'a> = &'a (dyn Fn(&str) + Sync);

impl Delivery<'_> {
    /// Reads the published files and plans; writes nothing.
    pub async fn plan(&self, refusals: &[Refusal], tokens: &mut Tokens) -> anyhow::Result<Plan> {
        match self.planned(refusals, tokens).await {
            Err(error) if is_refused_token(&error) && tokens.forget() => self.planned(refusals, tokens).await,
            planned => planned,
        }
    }

    async fn planned(&self, refusals: &[Refusal], tokens: &mut Tokens) -> anyhow::Result<Plan> {
        let token = tokens.get(Utc::now()).await?;
        let published = self.published(token.as_ref()).await?;
        Ok(plan::plan(self.candidate, refusals, &published, self.policy)?)
    }

    /// Publishes, and returns the plan and the result.
    pub async fn deliver(&self, tokens: &mut Tokens, say: Say<'_>) -> anyhow::Result<(Plan, Ending)> {
        let mut renewed = false;
        let mut sent = None;
        let mut attempt = 1;
        loop {
            let error = match self.attempt(tokens, &mut sent, say).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if is_refused_token(&error) && !renewed && tokens.forget() {
                renewed = true;
                say("the token was refused; minting a new one");
            } else if may_pass(&error) && attempt < self.attempts {
                let wait = self.first_wait * 2u32.saturating_pow(attempt - 1);
                attempt += 1;
                say(&format!(
                    "{error:#}; trying again (attempt {attempt} of {})",
                    self.attempts
                ));
                tokio::time::sleep(wait).await;
            } else {
                return Err(error);
            }
        }
    }

    async fn published(&self, token: Option<&Secret>) -> anyhow::Result<PublishedFiles> {
        let target = &self.policy.target;
        let fetched = self.repo.fetch(&target.branch, token).await?;
        let base = fetched.ok_or_else(|| GitError::NoBranch(target.branch.clone()))?;
        let matrix = self.repo.file(&base, &target.path, token).await?;
        let details = match &target.details_path {
            Some(path) => self.repo.file(&base, path, token).await?,
            None => None,
        };
        Ok(PublishedFiles {
            base,
            matrix,
            details,
        })
    }

    /// One attempt. `sent` is the commit that an earlier attempt pushed without learning the result.
    async fn attempt(
        &self,
        tokens: &mut Tokens,
        sent: &mut Option<(String, Plan)>,
        say: Say<'_>,
    ) -> anyhow::Result<(Plan, Ending)> {
        let token = tokens.get(Utc::now()).await?;
        let token = token.as_ref();
        let published = self.published(token).await?;
        if let Some((commit, plan)) = sent.take_if(|(commit, _)| *commit == published.base) {
            say("the commit had arrived");
            return Ok((plan, Ending::Pushed(commit)));
        }
        let plan = plan::plan(self.candidate, &[], &published, self.policy)?;
        for note in &plan.notes {
            say(&format!("note: {note}"));
        }
        if plan.action != Action::Commit {
            if let Some(proposal) = self.proposal {
                proposal.withdraw(&plan, required(token)?, say).await?;
            }
            return Ok((plan, Ending::Unchanged));
        }
        let ending = match self.proposal {
            None => {
                let commit = self.commit(&plan, &[&plan.base]).await?;
                *sent = Some((commit.clone(), plan.clone()));
                self.repo.push(&commit, &plan.target.branch, token).await?;
                Ending::Pushed(commit)
            }
            Some(proposal) => self.propose(proposal, &plan, required(token)?, say).await?,
        };
        Ok((plan, ending))
    }

    /// Makes the commit, and compares it with the plan before anybody can see it.
    async fn commit(&self, plan: &Plan, parents: &[&str]) -> anyhow::Result<String> {
        let at = self.candidate.matrix.generated_at;
        let commit = self
            .repo
            .commit(&plan.base, parents, &plan.files, &plan.message, self.author, at)
            .await?;
        let changed = self.repo.changed(&plan.base, &commit).await?;
        plan::check_commit(&changed, &plan.target)?;
        Ok(commit)
    }

    async fn propose(
        &self,
        proposal: &Proposal,
        plan: &Plan,
        token: &Secret,
        say: Say<'_>,
    ) -> anyhow::Result<Ending> {
        let open = proposal.open(&plan.target.branch, token).await?;
        // This comes before the push: a pull request that merges automatically must not get a regression.
        if let Some(open) = open.as_ref().filter(|open| open.auto_merge.is_some())
            && plan.has_regressions()
        {
            proposal.set_auto_merge(open, false, token).await?;
            say("auto-merge switched off: there are regressions");
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
                say(&format!("no auto-merge: {error:#}"));
                auto_merge = false;
            }
        }
        Ok(Ending::Proposed {
            url: pull_request.html_url,
            auto_merge,
        })
    }
}

fn may_pass(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(GitError::Moved(_) | GitError::Unreachable(_))
    )
}

fn is_refused_token(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(GitError::TokenRefused(_)))
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
    async fn call(
        &self,
        method: Method,
        path: &str,
        token: &Secret,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let path = format!("/repos/{}/pulls{path}", self.repository);
        self.github.call(method, &path, token, body).await
    }

    /// The open pull request from our branch, if there is one.
    async fn open(&self, base: &str, token: &Secret) -> anyhow::Result<Option<PullRequest>> {
        let head = format!("{}:{}", self.repository.owner, self.branch);
        let query = format!(
            "?state=open&head={}&base={}",
            utf8_percent_encode(&head, NON_ALPHANUMERIC),
            utf8_percent_encode(base, NON_ALPHANUMERIC)
        );
        let open: Vec<PullRequest> = parse(self.call(Method::GET, &query, token, None).await?)?;
        Ok(open.into_iter().next())
    }

    /// Closes the open pull request, if there is one: the docs branch already has the matrix.
    async fn withdraw(&self, plan: &Plan, token: &Secret, say: Say<'_>) -> anyhow::Result<()> {
        let Some(open) = self.open(&plan.target.branch, token).await? else {
            return Ok(());
        };
        let closed = json!({ "state": "closed" });
        self.call(Method::PATCH, &format!("/{}", open.number), token, Some(&closed))
            .await?;
        say(&format!("closed {}: superseded", open.html_url));
        Ok(())
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
        parse(match open {
            Some(open) => {
                self.call(Method::PATCH, &format!("/{}", open.number), token, Some(&body))
                    .await?
            }
            None => {
                body["head"] = json!(self.branch);
                body["base"] = json!(plan.target.branch);
                self.call(Method::POST, "", token, Some(&body)).await?
            }
        })
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
        match answer["errors"].as_array().and_then(|errors| errors.first()) {
            None => Ok(()),
            Some(error) => bail!(
                "GitHub refused it: {}",
                error["message"].as_str().unwrap_or("no message")
            ),
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(answer: Value) -> anyhow::Result<T> {
    serde_json::from_value(answer).context("GitHub's answer about pull requests is not as documented")
}
