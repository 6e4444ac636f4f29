//! CircleCI: API v2 for pipelines, workflows, jobs and tests; API v1.1 for the output of steps.
//!
//! Facts: CircleCI's API reference (v2, v1.1) and its developer's guide. v2 and v1.1 are "Legacy" beside v3, but every `GET`
//! here stays, also on self-hosted servers. v3 is another adapter for the same model.

use std::collections::HashMap;

use anyhow::Context as _;
use chrono::DateTime;
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::api::{Api, in_words, read_items};
use super::circleci_forms::{
    ActionForm, DetailsForm, JobForm, Page, PipelineForm, TestForm, WorkflowForm, add_output,
};
use super::{RunTarget, at_once};
use crate::ci::{CiJob, CiService, JobDetails, JobState, Pipeline, Workflow};
use crate::github::Repository;
use crate::http::parse_url;
use crate::text::percent_encoded;

/// The most pages of a list: 20 items each.
const MOST_PAGES: usize = 50;
/// The most pages of pipelines in which a commit is looked for.
const PAGES_OF_PIPELINES: usize = 15;
/// The most outputs that are read of one job: the containers of one step usually fail alike.
const MOST_OUTPUTS: usize = 6;

pub struct CircleCi {
    pub api: Api,
    /// `gh/owner/name`, or `circleci/<org>/<project>` for projects of the GitHub App.
    slug: String,
    /// The address of the web pages.
    pages: String,
}

impl CircleCi {
    pub fn new(api: Api, host: &Url, slug: &str) -> Self {
        let own = host.as_str().trim_end_matches('/');
        let pages = match own {
            "https://circleci.com" => "https://app.circleci.com".to_owned(),
            own => own.to_owned(),
        };
        Self {
            api,
            slug: slug.to_owned(),
            pages,
        }
    }

    /// The slug of a repository on GitHub.
    pub fn slug_of(repository: &Repository) -> String {
        format!("gh/{repository}")
    }

    pub(super) async fn pipelines(
        &self,
        target: &RunTarget,
        with_earlier: bool,
        gaps: &mut Vec<String>,
    ) -> Vec<Pipeline> {
        match self.find(target).await {
            Ok(forms) => self.read_all(forms, with_earlier, gaps).await,
            Err(error) => {
                gaps.push(in_words(&error));
                Vec::new()
            }
        }
    }

    async fn find(&self, target: &RunTarget) -> anyhow::Result<Vec<PipelineForm>> {
        let slug = &self.slug;
        let by_id = |id: String| async move {
            let form: PipelineForm = self.form(&format!("/api/v2/pipeline/{id}")).await?;
            anyhow::Ok(vec![form])
        };
        let (list, mut wanted) = match target {
            RunTarget::Branch(branch) => (
                format!(
                    "/api/v2/project/{slug}/pipeline?branch={}",
                    percent_encoded(branch)
                ),
                None,
            ),
            RunTarget::Revision {
                revision,
                branch: Some(branch),
            } => (
                format!(
                    "/api/v2/project/{slug}/pipeline?branch={}",
                    percent_encoded(branch)
                ),
                Some(revision.clone()),
            ),
            RunTarget::Revision {
                revision,
                branch: None,
            } => (format!("/api/v2/project/{slug}/pipeline"), Some(revision.clone())),
            RunTarget::Pipeline(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                let form = self
                    .form(&format!("/api/v2/project/{slug}/pipeline/{number}"))
                    .await?;
                return Ok(vec![form]);
            }
            RunTarget::Pipeline(id) => return by_id(id.clone()).await,
            RunTarget::Workflow(id) => {
                let workflow = self.api.get(&format!("/api/v2/workflow/{id}")).await?;
                let pipeline = workflow["pipeline_id"]
                    .as_str()
                    .context("the workflow names no pipeline")?;
                return by_id(pipeline.to_owned()).await;
            }
        };
        let mut found: Vec<PipelineForm> = Vec::new();
        let mut token = None;
        for _ in 0..PAGES_OF_PIPELINES {
            let page = self.page(&list, token.as_deref()).await?;
            let is_last = page.next_page_token.is_none();
            token = page.next_page_token;
            for item in page.items {
                let form: PipelineForm =
                    serde_json::from_value(item).context("a pipeline is not as documented")?;
                let Some(revision) = form.revision() else { continue };
                let wanted = wanted.get_or_insert_with(|| revision.to_owned());
                if revision.starts_with(wanted.as_str()) {
                    found.push(form);
                } else if !found.is_empty() {
                    return Ok(found);
                }
            }
            if is_last {
                break;
            }
        }
        anyhow::ensure!(
            !found.is_empty(),
            "CircleCI has no pipeline of `{}` for {}",
            self.slug,
            match (target, &wanted) {
                (RunTarget::Branch(branch), _) => format!(
                    "the branch `{branch}`: does the project's configuration run it? (LiteLLM's runs `main` and `litellm_*`)"
                ),
                (_, Some(revision)) => format!("the commit `{revision}`"),
                _ => "this commit".to_owned(),
            }
        );
        Ok(found)
    }

    pub(super) async fn history(
        &self,
        branch: &str,
        except: &str,
        most: usize,
        gaps: &mut Vec<String>,
    ) -> Vec<Pipeline> {
        let list = format!(
            "/api/v2/project/{}/pipeline?branch={}",
            self.slug,
            percent_encoded(branch)
        );
        let mut forms = Vec::new();
        let mut token = None;
        while forms.len() < most {
            let page = match self.page(&list, token.as_deref()).await {
                Ok(page) => page,
                Err(error) => {
                    gaps.push(format!("the history of `{branch}`: {}", in_words(&error)));
                    break;
                }
            };
            let items = page.items.into_iter();
            let items = items.filter_map(|item| serde_json::from_value::<PipelineForm>(item).ok());
            forms.extend(items.filter(|form| form.revision().is_some_and(|revision| revision != except)));
            token = page.next_page_token;
            if token.is_none() {
                break;
            }
        }
        forms.truncate(most);
        self.read_all(forms, true, gaps).await
    }

    async fn read_all(
        &self,
        forms: Vec<PipelineForm>,
        with_earlier: bool,
        gaps: &mut Vec<String>,
    ) -> Vec<Pipeline> {
        let read = at_once(forms.into_iter().map(|form| self.pipeline(form, with_earlier))).await;
        let (pipelines, missing): (Vec<_>, Vec<Vec<String>>) = read.into_iter().unzip();
        gaps.extend(missing.into_iter().flatten());
        pipelines
    }

    async fn pipeline(&self, form: PipelineForm, with_earlier: bool) -> (Pipeline, Vec<String>) {
        let mut gaps = Vec::new();
        let title = format!("pipeline {}", form.number);
        let mut pipeline = Pipeline {
            service: CiService::CircleCi,
            id: form.id.clone(),
            title: title.clone(),
            revision: form.revision().unwrap_or_default().to_owned(),
            branch: form.branch().map(str::to_owned),
            errors: form.errors(),
            workflows: Vec::new(),
            earlier: Vec::new(),
        };
        let path = format!("/api/v2/pipeline/{}/workflow", form.id);
        let mut forms: Vec<WorkflowForm> = self.list(&path, &title, &mut gaps).await;
        // A rerun is a new workflow of the same name: the newest of a name counts.
        forms.sort_by(|one, other| other.created_at.cmp(&one.created_at));
        let mut attempts: HashMap<String, u32> = HashMap::new();
        for form in &forms {
            *attempts.entry(form.name.clone()).or_default() += 1;
        }
        let mut seen = Vec::new();
        for form in forms {
            let is_newest = !seen.contains(&form.name);
            seen.push(form.name.clone());
            let attempt = attempts.get_mut(&form.name).expect("it was counted");
            let mut workflow = self.head_of(&form, *attempt);
            *attempt -= 1;
            if is_newest || with_earlier {
                workflow.jobs = self.jobs(&form, &mut gaps).await;
            }
            match is_newest {
                true => pipeline.workflows.push(workflow),
                false => pipeline.earlier.push(workflow),
            }
        }
        let is_pending = ["pending", "setup", "setup-pending"].contains(&form.state.as_str());
        if is_pending && pipeline.workflows.is_empty() && gaps.is_empty() {
            pipeline.workflows.push(Workflow {
                id: String::new(),
                name: "(not yet created)".into(),
                state: JobState::Running,
                status: form.state,
                attempt: 1,
                url: String::new(),
                jobs: Vec::new(),
            });
        }
        (pipeline, gaps)
    }

    fn head_of(&self, form: &WorkflowForm, attempt: u32) -> Workflow {
        let slug = match form.project_slug.as_str() {
            "" => &self.slug,
            slug => slug,
        };
        Workflow {
            id: form.id.clone(),
            name: form.name.clone(),
            state: JobState::of_circleci(&form.status),
            status: form.status.clone(),
            attempt,
            url: format!(
                "{}/pipelines/{}/{}/workflows/{}",
                self.pages,
                long_slug(slug),
                form.pipeline_number,
                form.id
            ),
            jobs: Vec::new(),
        }
    }

    async fn jobs(&self, workflow: &WorkflowForm, gaps: &mut Vec<String>) -> Vec<CiJob> {
        let path = format!("/api/v2/workflow/{}/job", workflow.id);
        let what = format!("the jobs of workflow `{}`", workflow.name);
        let forms: Vec<JobForm> = self.list(&path, &what, gaps).await;
        let names: HashMap<&str, &str> = forms.iter().map(|form| (&*form.id, &*form.name)).collect();
        let jobs = forms.iter().map(|form| CiJob {
            number: form.job_number,
            name: form.name.clone(),
            state: JobState::of_circleci(&form.status),
            status: form.status.clone(),
            seconds: seconds_between(form.started_at.as_deref(), form.stopped_at.as_deref()),
            after: form
                .dependencies
                .iter()
                .map(|id| names.get(&**id).copied().unwrap_or(id).to_owned())
                .collect(),
            url: form
                .job_number
                .map(|number| format!("{}/{}/{number}", self.pages, long_slug(&self.slug))),
        });
        jobs.collect()
    }

    pub(super) async fn workflow(&self, id: &str) -> anyhow::Result<Workflow> {
        let form: WorkflowForm = self.form(&format!("/api/v2/workflow/{id}")).await?;
        let mut gaps = Vec::new();
        let mut workflow = self.head_of(&form, 1);
        workflow.jobs = self.jobs(&form, &mut gaps).await;
        anyhow::ensure!(gaps.is_empty(), "{}", gaps.join("; "));
        Ok(workflow)
    }

    pub(super) async fn rerun_from_failed(&self, id: &str) -> anyhow::Result<String> {
        let path = format!("/api/v2/workflow/{id}/rerun");
        let answer = self.api.post(&path, &json!({ "from_failed": true })).await?;
        let new = answer["workflow_id"].as_str();
        Ok(new.context("CircleCI named no new workflow")?.to_owned())
    }

    pub(super) async fn details(&self, job: &CiJob, with_log: bool) -> JobDetails {
        let mut details = JobDetails::default();
        let Some(number) = job.number else {
            details
                .notes
                .push(format!("job `{}` never started, so it has no log", job.name));
            return details;
        };
        let path = format!("/api/v2/project/{}/{number}/tests", self.slug);
        let what = format!("the tests of job `{}`", job.name);
        let tests: Vec<TestForm> = self.list(&path, &what, &mut details.notes).await;
        details.tests = tests.into_iter().filter_map(TestForm::failed).collect();
        if with_log {
            self.add_log(number, &mut details).await;
        }
        details
    }

    async fn add_log(&self, number: u64, details: &mut JobDetails) {
        let path = format!("/api/v1.1/project/{}/{number}", long_slug(&self.slug));
        let form: DetailsForm = match self.form(&path).await {
            Ok(form) => form,
            Err(error) => {
                details
                    .notes
                    .push(format!("no steps of job {number}: {}", in_words(&error)));
                return;
            }
        };
        for message in &form.messages {
            details.log += message["message"].as_str().unwrap_or_default();
            details.log.push('\n');
        }
        let red = form.red_actions(&mut details.notes);
        if red.is_empty() {
            details.notes.push(format!("job {number} names no failed step"));
        }
        if red.len() > MOST_OUTPUTS {
            let left_out = red.len() - MOST_OUTPUTS;
            details.notes.push(format!(
                "{left_out} more failed steps or containers were not read"
            ));
        }
        for action in red.iter().take(MOST_OUTPUTS) {
            let output = self.output(action).await;
            add_output(details, action, output);
        }
    }

    /// The store of the outputs is another server: it gets no token.
    async fn output(&self, action: &ActionForm) -> Result<String, String> {
        let Some(address) = &action.output_url else {
            return match action.has_output {
                Some(true) => Err("CircleCI gave no address for it".into()),
                _ => Ok(String::new()),
            };
        };
        let url = parse_url(address).ok_or("its address is no URL")?;
        self.api.text(&url).await.map_err(|error| in_words(&error))
    }

    async fn form<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let value = self.api.get(path).await?;
        serde_json::from_value(value)
            .with_context(|| format!("CircleCI's answer to `{path}` is not as documented"))
    }

    async fn page(&self, path: &str, token: Option<&str>) -> anyhow::Result<Page> {
        let path = match token {
            None => path.to_owned(),
            Some(token) => {
                let separator = if path.contains('?') { '&' } else { '?' };
                format!("{path}{separator}page-token={}", percent_encoded(token))
            }
        };
        self.form(&path).await
    }

    /// All items of a list. What cannot be read becomes a gap, which begins with `what`.
    async fn list<T: DeserializeOwned>(&self, path: &str, what: &str, gaps: &mut Vec<String>) -> Vec<T> {
        let mut items: Vec<Value> = Vec::new();
        let mut token: Option<String> = None;
        for number in 1.. {
            if number > MOST_PAGES {
                gaps.push(format!("{what} have more than {MOST_PAGES} pages"));
                break;
            }
            match self.page(path, token.as_deref()).await {
                Ok(page) => {
                    items.extend(page.items);
                    token = page.next_page_token;
                    if token.is_none() {
                        break;
                    }
                }
                Err(error) => {
                    gaps.push(format!("{what}, page {number}: {}", in_words(&error)));
                    break;
                }
            }
        }
        read_items(items, what, gaps)
    }
}

/// API v1.1 and the web pages write `github` where v2 writes `gh`.
fn long_slug(slug: &str) -> String {
    match slug.split_once('/') {
        Some(("gh", rest)) => format!("github/{rest}"),
        Some(("bb", rest)) => format!("bitbucket/{rest}"),
        _ => slug.to_owned(),
    }
}

pub(super) fn seconds_between(start: Option<&str>, end: Option<&str>) -> Option<u64> {
    let time = |text: Option<&str>| DateTime::parse_from_rfc3339(text?).ok();
    let seconds = (time(end)? - time(start)?).num_seconds();
    u64::try_from(seconds).ok()
}
