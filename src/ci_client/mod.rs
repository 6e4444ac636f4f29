//! Reads the runs of a commit from CircleCI and from GitHub Actions.
//!
//! A token is sent in one header to the API's own origin only: never on a redirect, and never to the store of the logs. All
//! lists are followed to their end. A part that cannot be read becomes a gap, so that nothing missing reads as green.

mod api;
mod circleci;
mod circleci_forms;
pub mod evidence;
mod github_actions;

use futures_util::StreamExt as _;

pub use api::Api;
pub use circleci::CircleCi;
pub use github_actions::GitHubActions;

use crate::ci::{CiJob, CiService, CommitRuns, JobDetails, Pipeline, Workflow};
use crate::github::Repository;

/// Which runs to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunTarget {
    /// The newest commit of a branch that has runs.
    Branch(String),
    /// A commit; the branch shortens the search.
    Revision {
        revision: String,
        branch: Option<String>,
    },
    /// One pipeline, workflow or run, with its number or id.
    Pipeline(String),
    Workflow(String),
}

/// How many requests are under way at once.
pub const AT_ONCE: usize = 4;

/// A client of one service for one repository.
pub enum CiClient {
    CircleCi(CircleCi),
    GitHub(GitHubActions),
}

impl CiClient {
    pub fn service(&self) -> CiService {
        match self {
            Self::CircleCi(_) => CiService::CircleCi,
            Self::GitHub(_) => CiService::GitHub,
        }
    }

    /// The pipelines of one commit, with workflows and jobs. `gaps` gets what could not be read.
    pub async fn pipelines(
        &self,
        target: &RunTarget,
        with_earlier: bool,
        gaps: &mut Vec<String>,
    ) -> Vec<Pipeline> {
        match self {
            Self::CircleCi(client) => client.pipelines(target, with_earlier, gaps).await,
            Self::GitHub(client) => client.pipelines(target, with_earlier, gaps).await,
        }
    }

    /// The pipelines of the last `most` finished commits of `branch` before `except`, newest first.
    pub async fn history(
        &self,
        branch: &str,
        except: &str,
        most: usize,
        gaps: &mut Vec<String>,
    ) -> Vec<Pipeline> {
        match self {
            Self::CircleCi(client) => client.history(branch, except, most, gaps).await,
            Self::GitHub(client) => client.history(branch, except, most, gaps).await,
        }
    }

    /// Log and failed tests of a red job.
    pub async fn details(&self, job: &CiJob, with_log: bool) -> JobDetails {
        match self {
            Self::CircleCi(client) => client.details(job, with_log).await,
            Self::GitHub(client) => client.details(job, with_log).await,
        }
    }

    /// The details of several jobs, in the order of `jobs`.
    pub async fn details_of(&self, jobs: &[&CiJob], with_log: bool) -> Vec<JobDetails> {
        // Each job needs several requests, one after the other.
        at_once(jobs.iter().map(|job| self.details(job, with_log))).await
    }

    /// One workflow with its jobs, for a rerun.
    pub async fn workflow(&self, id: &str) -> anyhow::Result<Workflow> {
        match self {
            Self::CircleCi(client) => client.workflow(id).await,
            Self::GitHub(client) => client.workflow(id).await,
        }
    }

    /// Starts the failed jobs of a workflow again. Sent once: a repeated request would start them twice.
    pub async fn rerun_from_failed(&self, id: &str) -> anyhow::Result<String> {
        match self {
            Self::CircleCi(client) => client.rerun_from_failed(id).await,
            Self::GitHub(client) => client.rerun_from_failed(id).await,
        }
    }
}

/// What `reads` give, in order; [`AT_ONCE`] are under way at once.
async fn at_once<T>(reads: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let reads = futures_util::stream::iter(reads);
    reads.buffered(AT_ONCE).collect().await
}

/// The runs of one commit in all services. A branch is first resolved to the newest commit with runs, so that all services
/// speak of the same commit.
pub async fn commit_runs(
    clients: &[CiClient],
    repository: &Repository,
    target: &RunTarget,
    with_earlier: bool,
) -> CommitRuns {
    let mut runs = CommitRuns {
        repository: repository.to_string(),
        branch: None,
        revision: String::new(),
        pipelines: Vec::new(),
        gaps: Vec::new(),
    };
    let mut target = target.clone();
    if let RunTarget::Branch(branch) = &target {
        // Both services may know different commits as the newest: the branch itself decides.
        for client in clients {
            let CiClient::GitHub(github) = client else {
                continue;
            };
            match github.head(branch).await {
                Ok(revision) => {
                    let branch = Some(branch.clone());
                    target = RunTarget::Revision { revision, branch };
                }
                Err(error) => runs
                    .gaps
                    .push(format!("the newest commit of `{branch}`: {error:#}")),
            }
            break;
        }
    }
    for client in clients {
        let found = client.pipelines(&target, with_earlier, &mut runs.gaps).await;
        runs.pipelines.extend(found);
    }
    if let Some(first) = runs.pipelines.first() {
        runs.revision = first.revision.clone();
        runs.branch = runs.pipelines.iter().find_map(|pipeline| pipeline.branch.clone());
    }
    runs
}
