//! GitHub Actions: runs, jobs and logs of the REST API (version 2022-11-28).
//!
//! A run of GitHub counts as a workflow; the runs of one event form a pipeline. A job's log is one text behind a redirect. The
//! archive of all logs is not used, because it cuts and renames the steps.

use anyhow::Context as _;
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;

use super::api::{Api, in_words, read_items};
use super::circleci::seconds_between;
use super::{RunTarget, at_once};
use crate::ci::{CiJob, CiService, JobDetails, JobState, Pipeline, Workflow};
use crate::github::Repository;
use crate::text::percent_encoded;

/// GitHub lists 100 items a page.
const PAGE: usize = 100;
/// GitHub lists at most 1,000 runs.
const MOST_PAGES: usize = 10;
/// Earlier attempts of one run that are read.
const MOST_ATTEMPTS: u32 = 3;

pub struct GitHubActions {
    pub api: Api,
    repository: Repository,
}

#[derive(Clone, Debug, Deserialize)]
struct RunForm {
    id: u64,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    workflow_id: u64,
    #[serde(default)]
    head_branch: Option<String>,
    head_sha: String,
    #[serde(default)]
    event: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    run_attempt: Option<u32>,
    #[serde(default)]
    run_number: u64,
    #[serde(default)]
    html_url: String,
}

#[derive(Clone, Debug, Deserialize)]
struct RunJobForm {
    id: u64,
    name: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    conclusion: Option<String>,
    #[serde(default)]
    started_at: Option<String>,
    #[serde(default)]
    completed_at: Option<String>,
    #[serde(default)]
    html_url: Option<String>,
}

impl GitHubActions {
    pub fn new(api: Api, repository: Repository) -> Self {
        Self { api, repository }
    }

    /// The newest commit of a branch.
    pub(super) async fn head(&self, branch: &str) -> anyhow::Result<String> {
        let path = format!("/repos/{}/commits/{}", self.repository, percent_encoded(branch));
        let commit = self.api.get(&path).await?;
        let revision = commit["sha"].as_str();
        Ok(revision.context("GitHub's commit has no `sha`")?.to_owned())
    }

    pub(super) async fn pipelines(
        &self,
        target: &RunTarget,
        with_earlier: bool,
        gaps: &mut Vec<String>,
    ) -> Vec<Pipeline> {
        let runs = match self.find(target, gaps).await {
            Ok(runs) => runs,
            Err(error) => {
                gaps.push(in_words(&error));
                return Vec::new();
            }
        };
        self.read_all(runs, with_earlier, gaps).await
    }

    async fn find(&self, target: &RunTarget, gaps: &mut Vec<String>) -> anyhow::Result<Vec<RunForm>> {
        let repository = &self.repository;
        let query = match target {
            RunTarget::Branch(branch) => format!("branch={}", percent_encoded(branch)),
            RunTarget::Revision { revision, .. } => format!("head_sha={}", percent_encoded(revision)),
            RunTarget::Pipeline(id) | RunTarget::Workflow(id) => {
                let run = self
                    .api
                    .get(&format!(
                        "/repos/{repository}/actions/runs/{}",
                        percent_encoded(id)
                    ))
                    .await?;
                return Ok(vec![
                    serde_json::from_value(run).context("GitHub's run is not as documented")?,
                ]);
            }
        };
        let path = format!("/repos/{repository}/actions/runs?{query}");
        let pages = if matches!(target, RunTarget::Branch(_)) {
            1
        } else {
            MOST_PAGES
        };
        let mut runs: Vec<RunForm> = self.list(&path, "workflow_runs", "the runs", pages, gaps).await;
        if let (RunTarget::Branch(_), Some(newest)) = (target, runs.first().map(|run| run.head_sha.clone())) {
            runs.retain(|run| run.head_sha == newest);
        }
        anyhow::ensure!(
            !(runs.is_empty() && gaps.is_empty()),
            "GitHub Actions has no run of `{repository}` for {query}"
        );
        Ok(runs)
    }

    pub(super) async fn history(
        &self,
        branch: &str,
        except: &str,
        most: usize,
        gaps: &mut Vec<String>,
    ) -> Vec<Pipeline> {
        let path = format!(
            "/repos/{}/actions/runs?branch={}&event=push",
            self.repository,
            percent_encoded(branch)
        );
        let runs: Vec<RunForm> = self.list(&path, "workflow_runs", "the history", 1, gaps).await;
        let mut revisions: Vec<String> = Vec::new();
        let mut kept = Vec::new();
        for run in runs.into_iter().filter(|run| run.head_sha != except) {
            if !revisions.contains(&run.head_sha) {
                if revisions.len() == most {
                    break;
                }
                revisions.push(run.head_sha.clone());
            }
            kept.push(run);
        }
        self.read_all(kept, false, gaps).await
    }

    /// The runs as pipelines, one for each commit and event, in order.
    async fn read_all(
        &self,
        runs: Vec<RunForm>,
        with_earlier: bool,
        gaps: &mut Vec<String>,
    ) -> Vec<Pipeline> {
        let read = at_once(runs.iter().map(|run| self.read(run, with_earlier))).await;
        let mut pipelines: Vec<Pipeline> = Vec::new();
        let mut seen: Vec<(String, u64)> = Vec::new();
        for (run, (workflow, earlier, missing)) in runs.iter().zip(read) {
            gaps.extend(missing);
            let id = format!("{}:{}", run.head_sha, run.event);
            let index = pipelines.iter().position(|pipeline| pipeline.id == id);
            let index = index.unwrap_or_else(|| {
                pipelines.push(Pipeline {
                    service: CiService::GitHub,
                    id: id.clone(),
                    title: format!("runs of `{}`", run.event),
                    revision: run.head_sha.clone(),
                    branch: run.head_branch.clone(),
                    errors: Vec::new(),
                    workflows: Vec::new(),
                    earlier: Vec::new(),
                });
                pipelines.len() - 1
            });
            let pipeline = &mut pipelines[index];
            // The list is newest first: an older run of the same workflow and event is an earlier attempt.
            match seen.contains(&(id.clone(), run.workflow_id)) {
                true => pipeline.earlier.push(workflow),
                false => {
                    if workflow.state == JobState::Failed && workflow.jobs.is_empty() {
                        pipeline.errors.push(format!(
                            "config: `{}` is `{}` without a job: GitHub refused the workflow file",
                            workflow.name, workflow.status
                        ));
                    }
                    seen.push((id, run.workflow_id));
                    pipeline.workflows.push(workflow);
                }
            }
            pipeline.earlier.extend(earlier);
        }
        pipelines
    }

    async fn read(&self, run: &RunForm, with_earlier: bool) -> (Workflow, Vec<Workflow>, Vec<String>) {
        let mut gaps = Vec::new();
        let attempt = run.run_attempt.unwrap_or(1);
        let mut workflow = head_of(run, attempt);
        let jobs = format!("/repos/{}/actions/runs/{}", self.repository, run.id);
        workflow.jobs = self
            .jobs(&format!("{jobs}/jobs?filter=latest"), &workflow.name, &mut gaps)
            .await;
        let mut earlier = Vec::new();
        let first = attempt.saturating_sub(MOST_ATTEMPTS).max(1);
        for before in (first..attempt).rev().filter(|_| with_earlier) {
            let mut workflow = head_of(run, before);
            let path = format!("{jobs}/attempts/{before}/jobs?");
            workflow.jobs = self.jobs(&path, &workflow.name, &mut gaps).await;
            earlier.push(workflow);
        }
        (workflow, earlier, gaps)
    }

    async fn jobs(&self, path: &str, workflow: &str, gaps: &mut Vec<String>) -> Vec<CiJob> {
        let what = format!("the jobs of `{workflow}`");
        let forms: Vec<RunJobForm> = self.list(path, "jobs", &what, MOST_PAGES, gaps).await;
        let jobs = forms.into_iter().map(|form| {
            let status = form.status.unwrap_or_default();
            CiJob {
                number: Some(form.id),
                name: form.name,
                state: JobState::of_github(&status, form.conclusion.as_deref()),
                status: form.conclusion.unwrap_or(status),
                seconds: seconds_between(form.started_at.as_deref(), form.completed_at.as_deref()),
                after: Vec::new(),
                url: form.html_url,
            }
        });
        jobs.collect()
    }

    pub(super) async fn workflow(&self, id: &str) -> anyhow::Result<Workflow> {
        let runs = self
            .find(&RunTarget::Workflow(id.to_owned()), &mut Vec::new())
            .await?;
        let run = runs.first().context("GitHub has no such run")?;
        let (workflow, _, gaps) = self.read(run, false).await;
        anyhow::ensure!(gaps.is_empty(), "{}", gaps.join("; "));
        Ok(workflow)
    }

    pub(super) async fn rerun_from_failed(&self, id: &str) -> anyhow::Result<String> {
        let path = format!(
            "/repos/{}/actions/runs/{}/rerun-failed-jobs",
            self.repository,
            percent_encoded(id)
        );
        self.api.post(&path, &json!({})).await?;
        Ok(id.to_owned())
    }

    pub(super) async fn details(&self, job: &CiJob, with_log: bool) -> JobDetails {
        let mut details = JobDetails::default();
        let Some(id) = job.number.filter(|_| with_log) else {
            return details;
        };
        match self.log(id).await {
            Ok(log) => details.log = failed_part(&log),
            Err(error) => details
                .notes
                .push(format!("no log of job `{}`: {}", job.name, in_words(&error))),
        }
        details
    }

    async fn log(&self, id: u64) -> anyhow::Result<String> {
        let path = format!("/repos/{}/actions/jobs/{id}/logs", self.repository);
        let address: Url = self.api.redirect(&path).await?;
        self.api.text(&address).await
    }

    async fn list<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        what: &str,
        pages: usize,
        gaps: &mut Vec<String>,
    ) -> Vec<T> {
        let mut items = Vec::new();
        for page in 1..=pages {
            let answer = match self.api.get(&format!("{path}&per_page={PAGE}&page={page}")).await {
                Ok(answer) => answer,
                Err(error) => {
                    gaps.push(format!("{what}, page {page}: {}", in_words(&error)));
                    break;
                }
            };
            let Some(found) = answer[key].as_array() else {
                gaps.push(format!("{what}: the answer has no list `{key}`"));
                break;
            };
            items.extend(read_items(found.iter().cloned(), what, gaps));
            let total = answer["total_count"].as_u64().unwrap_or_default();
            let is_all = found.len() < PAGE || (page * PAGE) as u64 >= total;
            if is_all {
                break;
            }
            if page == pages && pages > 1 {
                gaps.push(format!("{what}: GitHub lists only {} of {total}", page * PAGE));
            }
        }
        items
    }
}

fn head_of(run: &RunForm, attempt: u32) -> Workflow {
    let status = run.status.clone().unwrap_or_default();
    Workflow {
        id: run.id.to_string(),
        name: run
            .name
            .clone()
            .unwrap_or_else(|| format!("run {}", run.run_number)),
        state: JobState::of_github(&status, run.conclusion.as_deref()),
        status: run.conclusion.clone().unwrap_or(status),
        attempt,
        url: run.html_url.clone(),
        jobs: Vec::new(),
    }
}

/// A log up to the end of its last failed step: the steps after it only clean up.
fn failed_part(log: &str) -> String {
    let end = log.rfind("##[error]").map_or(log.len(), |start| {
        log[start..].find('\n').map_or(log.len(), |length| start + length)
    });
    log[..end].to_owned()
}
