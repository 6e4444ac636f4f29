//! A plan carried out: one commit of one file, pushed to the branch or offered as a pull request.
//!
//! Whatever ends it, the docs repository has the whole commit or nothing of it. Where somebody else was faster or the
//! network broke off, it looks again what is published and plans anew: the same commit on the same base is the same commit,
//! so one that did arrive is found.

use std::time::Duration;

use chrono::Utc;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::credentials::{CredentialError, Tokens};
use super::gate::{Candidate, Refusal};
use super::git::{Author, Clone, GitError};
use super::github_app::{Api, ApiError, Repository};
use super::plan::{self, Action, Conflict, Plan, Policy, Published, WrongCommit};
use super::summary::{self, Ending};
use crate::env::Secret;

#[derive(Debug)]
pub struct Delivery<'a> {
    pub clone: &'a Clone,
    pub candidate: &'a Candidate,
    pub policy: &'a Policy,
    pub author: &'a Author,
    /// How pull requests are made; `None` to push to the branch itself.
    pub proposal: Option<&'a Proposal>,
    /// How often it is tried at most.
    pub attempts: u32,
    /// The wait after the first attempt; it doubles each time.
    pub first_wait: Duration,
}

/// How a pull request is made.
#[derive(Debug)]
pub struct Proposal {
    pub api: Api,
    pub repository: Repository,
    /// The branch that it is made from, always the same one.
    pub branch: String,
}

pub type Log<'a> = &'a (dyn Fn(&str) + Sync);

/// A delivery that failed. Nothing is half published.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// What is published must not be replaced.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The commit is not what it should be.
    #[error(transparent)]
    Wrong(#[from] WrongCommit),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("GitHub's answer about pull requests is not what is documented: {0}")]
    Malformed(serde_json::Error),
    /// A pull request needs a token.
    #[error("a pull request needs a token: give `--app-id` with the App's key, or `--token-file`")]
    NoToken,
}

impl DeliveryError {
    /// Whether it may go better in a moment.
    fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Git(GitError::Moved { .. } | GitError::Unreachable { .. })
        )
    }

    fn is_refused_token(&self) -> bool {
        matches!(self, Self::Git(GitError::TokenRefused { .. }))
    }
}

impl Delivery<'_> {
    /// Looks at what is published and says what is to be done; writes nothing.
    pub async fn plan(&self, refusals: &[Refusal], tokens: &mut Tokens) -> Result<Plan, DeliveryError> {
        let mut renewed = false;
        loop {
            match self.planned(refusals, tokens).await {
                Err(error) if error.is_refused_token() && !renewed && tokens.forget() => renewed = true,
                other => return other,
            }
        }
    }

    async fn planned(&self, refusals: &[Refusal], tokens: &mut Tokens) -> Result<Plan, DeliveryError> {
        let token = tokens.get(Utc::now()).await?;
        let published = self.published(token.as_ref()).await?;
        Ok(plan::plan(self.candidate, refusals, &published, self.policy)?)
    }

    /// Publishes, and says how it ended.
    pub async fn deliver(&self, tokens: &mut Tokens, log: Log<'_>) -> Result<(Plan, Ending), DeliveryError> {
        let mut renewed = false;
        let mut sent = None;
        let mut attempt = 1;
        loop {
            let error = match self.attempt(tokens, &mut sent, log).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if error.is_refused_token() && !renewed && tokens.forget() {
                renewed = true;
                log("the token was refused; asking for a fresh one");
            } else if error.is_passing() && attempt < self.attempts {
                let wait = self.first_wait * 2u32.saturating_pow(attempt - 1);
                log(&format!(
                    "{error}; looking again (attempt {} of {})",
                    attempt + 1,
                    self.attempts
                ));
                tokio::time::sleep(wait).await;
                attempt += 1;
            } else {
                return Err(error);
            }
        }
    }

    async fn published(&self, token: Option<&Secret>) -> Result<Published, DeliveryError> {
        let target = &self.policy.target;
        let base = self
            .clone
            .fetch(&target.branch, token)
            .await?
            .ok_or_else(|| GitError::NoBranch(target.branch.clone()))?;
        let matrix = self.clone.file(&base, &target.path, token).await?;
        let details = match &target.details_path {
            Some(path) => self.clone.file(&base, path, token).await?,
            None => None,
        };
        Ok(Published {
            base,
            matrix,
            details,
        })
    }

    /// One attempt; `sent` is the commit that an earlier one sent, whatever became of it.
    async fn attempt(
        &self,
        tokens: &mut Tokens,
        sent: &mut Option<(String, Plan)>,
        log: Log<'_>,
    ) -> Result<(Plan, Ending), DeliveryError> {
        let token = tokens.get(Utc::now()).await?;
        let token = token.as_ref();
        let published = self.published(token).await?;
        if let Some((commit, plan)) = sent.take_if(|(commit, _)| *commit == published.base) {
            log("the commit had arrived");
            return Ok((plan, Ending::Pushed { commit }));
        }
        let plan = plan::plan(self.candidate, &[], &published, self.policy)?;
        for note in &plan.notes {
            log(&format!("note: {note}"));
        }
        if plan.action != Action::Commit {
            if let Some(proposal) = self.proposal {
                proposal
                    .withdraw(&plan, token.ok_or(DeliveryError::NoToken)?, log)
                    .await?;
            }
            return Ok((plan, Ending::Unchanged));
        }
        let ending = match self.proposal {
            None => {
                let commit = self.commit(&plan, &[&plan.base]).await?;
                *sent = Some((commit.clone(), plan.clone()));
                self.clone.push(&commit, &plan.target.branch, token).await?;
                Ending::Pushed { commit }
            }
            Some(proposal) => self.propose(proposal, &plan, token, log).await?,
        };
        Ok((plan, ending))
    }

    /// Makes the commit, and makes sure that it is what the plan says before anybody sees it.
    async fn commit(&self, plan: &Plan, parents: &[&str]) -> Result<String, DeliveryError> {
        let at = self.candidate.matrix.generated_at;
        let commit = self
            .clone
            .commit(&plan.base, parents, &plan.files, &plan.message, self.author, at)
            .await?;
        let touched = self.clone.touched(&plan.base, &commit).await?;
        plan::check_commit(&touched, &plan.target)?;
        Ok(commit)
    }

    async fn propose(
        &self,
        proposal: &Proposal,
        plan: &Plan,
        token: Option<&Secret>,
        log: Log<'_>,
    ) -> Result<Ending, DeliveryError> {
        let token = token.ok_or(DeliveryError::NoToken)?;
        let open = proposal.open(&plan.target.branch, token).await?;
        // First of all: what merges by itself must not merge a regression.
        if let Some(open) = open.as_ref().filter(|open| open.auto_merge.is_some())
            && plan.has_regressions()
        {
            proposal.set_auto_merge(open, false, token).await?;
            log("auto-merge switched off: there are regressions");
        }
        // The branch may be there from an earlier day. As nothing is ever forced, the new commit is made its child, with
        // the tree of the docs branch and the new file.
        let head = self.clone.fetch(&proposal.branch, Some(token)).await?;
        let parents: Vec<&str> = match &head {
            Some(head) if *head != plan.base => vec![head, &plan.base],
            _ => vec![&plan.base],
        };
        let commit = self.commit(plan, &parents).await?;
        let is_there = match &head {
            Some(head) => self.clone.touched(head, &commit).await?.is_empty() && open.is_some(),
            None => false,
        };
        if !is_there {
            self.clone.push(&commit, &proposal.branch, Some(token)).await?;
        }
        let pull_request = proposal.write(open, plan, token).await?;
        let mut auto_merge = !plan.has_regressions();
        if auto_merge && pull_request.auto_merge.is_none() {
            // A repository that does not allow it, or has no check to wait for, says no: then somebody has to merge.
            if let Err(error) = proposal.set_auto_merge(&pull_request, true, token).await {
                log(&format!("it does not merge by itself: {error}"));
                auto_merge = false;
            }
        }
        Ok(Ending::Proposed {
            url: pull_request.html_url,
            auto_merge,
        })
    }
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
    /// The open pull request from our branch, if there is one.
    async fn open(&self, base: &str, token: &Secret) -> Result<Option<PullRequest>, DeliveryError> {
        let path = format!(
            "/repos/{}/pulls?state=open&head={}&base={}",
            self.repository,
            utf8_percent_encode(
                &format!("{}:{}", self.repository.owner, self.branch),
                NON_ALPHANUMERIC
            ),
            utf8_percent_encode(base, NON_ALPHANUMERIC)
        );
        let answer = self.api.call(Method::GET, &path, token, None).await?;
        let open: Vec<PullRequest> = read(answer)?;
        Ok(open.into_iter().next())
    }

    /// Closes the open pull request, if there is one: the docs branch has the matrix already, so that what it proposes is no
    /// longer so.
    async fn withdraw(&self, plan: &Plan, token: &Secret, log: Log<'_>) -> Result<(), DeliveryError> {
        let Some(open) = self.open(&plan.target.branch, token).await? else {
            return Ok(());
        };
        let path = format!("/repos/{}/pulls/{}", self.repository, open.number);
        let closed = json!({ "state": "closed" });
        self.api.call(Method::PATCH, &path, token, Some(&closed)).await?;
        log(&format!(
            "closed {}: what it proposed is no longer so",
            open.html_url
        ));
        Ok(())
    }

    /// Makes the pull request, or brings the open one up to date.
    async fn write(
        &self,
        open: Option<PullRequest>,
        plan: &Plan,
        token: &Secret,
    ) -> Result<PullRequest, DeliveryError> {
        let title = match (&plan.diff, plan.has_regressions()) {
            (Some(diff), true) => format!("Update Claude Code compatibility matrix ({})", diff.summary()),
            _ => "Update Claude Code compatibility matrix".to_owned(),
        };
        let text = json!({ "title": title, "body": summary::of_pull_request(plan) });
        let pulls = format!("/repos/{}/pulls", self.repository);
        let answer = match open {
            Some(open) => {
                let path = format!("{pulls}/{}", open.number);
                self.api.call(Method::PATCH, &path, token, Some(&text)).await?
            }
            None => {
                let mut body = text;
                body["head"] = json!(self.branch);
                body["base"] = json!(plan.target.branch);
                self.api.call(Method::POST, &pulls, token, Some(&body)).await?
            }
        };
        read(answer)
    }

    /// Whether it merges by itself once its checks have passed; only GitHub's GraphQL API can say so.
    async fn set_auto_merge(&self, of: &PullRequest, on: bool, token: &Secret) -> Result<(), DeliveryError> {
        let query = if on {
            "mutation($id: ID!) { enablePullRequestAutoMerge(input: {pullRequestId: $id, mergeMethod: SQUASH}) \
             { clientMutationId } }"
        } else {
            "mutation($id: ID!) { disablePullRequestAutoMerge(input: {pullRequestId: $id}) { clientMutationId } }"
        };
        let body = json!({ "query": query, "variables": { "id": of.node_id } });
        let answer = self
            .api
            .call(Method::POST, "/graphql", token, Some(&body))
            .await?;
        // GraphQL says no with status 200.
        match answer.get("errors").and_then(|errors| errors.as_array()?.first()) {
            None => Ok(()),
            Some(error) => Err(DeliveryError::Api(ApiError {
                call: "POST /graphql".into(),
                status: None,
                said: error["message"]
                    .as_str()
                    .unwrap_or("an error without words")
                    .to_owned(),
            })),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, DeliveryError> {
    serde_json::from_value(answer).map_err(DeliveryError::Malformed)
}
