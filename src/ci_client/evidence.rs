//! Reads the evidence of other runs: earlier attempts of a commit, and the last runs of a branch.

use super::CiClient;
use crate::ci::{
    CiJob, CiLog, CiService, CommitRuns, JobDetails, JobFailure, JobState, PastAttempt, PastJob, Pipeline,
    RunHistory, Workflow, failures_of,
};

/// The most red jobs of earlier runs whose failures are read.
const MOST_DETAILS: usize = 36;

/// The red jobs of a commit in one service.
pub fn red_jobs(runs: &CommitRuns, service: CiService) -> Vec<&CiJob> {
    let pipelines = runs
        .pipelines
        .iter()
        .filter(|pipeline| pipeline.service == service);
    let workflows = pipelines.flat_map(|pipeline| &pipeline.workflows);
    let jobs = workflows.flat_map(|workflow| &workflow.jobs);
    jobs.filter(|job| job.state.is_red()).collect()
}

/// What a service refused, and red workflows without a red job, as failures.
pub fn refused(runs: &CommitRuns) -> Vec<JobFailure> {
    let mut failures = Vec::new();
    let mut add = |name: &str, state: JobState, log: String| {
        let job = CiJob {
            number: None,
            name: name.to_owned(),
            state,
            status: String::new(),
            seconds: None,
            after: Vec::new(),
            url: None,
        };
        let details = JobDetails {
            log,
            ..JobDetails::default()
        };
        failures.extend(failures_of(&job, &details));
    };
    for pipeline in &runs.pipelines {
        for error in &pipeline.errors {
            // A refused configuration has many wordings; the type of the error is enough.
            let kind = match error.split(':').next() {
                Some("config" | "config-fetch") => "config compilation failed: ",
                Some("plan") => "the plan is out of credits: ",
                Some("permission") => "not authorized to use the context: ",
                _ => "",
            };
            add(&pipeline.title, JobState::Failed, format!("{kind}{error}\n"));
        }
        for workflow in &pipeline.workflows {
            let has_red_job = workflow.jobs.iter().any(|job| job.state.is_red());
            if workflow.state.is_red() && !has_red_job && pipeline.errors.is_empty() {
                add(&workflow.name, workflow.state, String::new());
            }
        }
    }
    failures
}

/// Earlier attempts of the commit, and the last `most` runs of `branch`. Only jobs named in `red` are read.
pub async fn history(
    clients: &[CiClient],
    runs: &CommitRuns,
    branch: &str,
    most: usize,
    red: &[String],
    notes: &mut Vec<String>,
) -> RunHistory {
    let mut history = RunHistory::default();
    let mut left = MOST_DETAILS;
    for client in clients {
        let service = client.service();
        if red_jobs(runs, service).is_empty() {
            continue;
        }
        for pipeline in runs
            .pipelines
            .iter()
            .filter(|pipeline| pipeline.service == service)
        {
            for workflow in &pipeline.earlier {
                let attempt = read(client, &pipeline.revision, workflow, red, false, &mut left).await;
                history.same_commit.push(attempt);
            }
        }
        let mut gaps = Vec::new();
        let pipelines = client.history(branch, &runs.revision, most, &mut gaps).await;
        notes.extend(
            gaps.into_iter()
                .map(|gap| format!("the history is not complete: {gap}")),
        );
        let finished = pipelines.iter().filter(|pipeline| is_finished(pipeline));
        for (index, pipeline) in finished.enumerate() {
            for workflow in pipeline.workflows.iter().chain(&pipeline.earlier) {
                let attempt = read(client, &pipeline.revision, workflow, red, index == 0, &mut left).await;
                if !attempt.jobs.is_empty() {
                    history.branch.push(attempt);
                }
            }
        }
    }
    if left == 0 {
        notes.push(format!("only {MOST_DETAILS} red jobs of earlier runs were read"));
    }
    history
}

/// Cancelled and running runs prove nothing.
fn is_finished(pipeline: &Pipeline) -> bool {
    let states = pipeline.workflows.iter().map(|workflow| workflow.state);
    !pipeline.workflows.is_empty() && states.into_iter().all(|state| !state.is_unfinished())
}

async fn read(
    client: &CiClient,
    revision: &str,
    workflow: &Workflow,
    red: &[String],
    is_newest: bool,
    left: &mut usize,
) -> PastAttempt {
    let mut attempt = PastAttempt {
        revision: revision.to_owned(),
        jobs: Vec::new(),
    };
    let jobs: Vec<&CiJob> = workflow
        .jobs
        .iter()
        .filter(|job| red.contains(&job.name))
        .collect();
    let mut to_read: Vec<&CiJob> = jobs.iter().copied().filter(|job| job.state.is_red()).collect();
    to_read.truncate(*left);
    *left -= to_read.len();
    // The newest run is compared by its logs, older ones by their failed tests. GitHub has only logs.
    let with_log = is_newest || client.service() == CiService::GitHub;
    let details = client.details_of(&to_read, with_log).await;
    for job in jobs {
        let read = to_read.iter().position(|read| std::ptr::eq(*read, job));
        let known = read
            .map(|index| &details[index])
            .filter(|details| is_known(details));
        attempt.jobs.push(PastJob {
            name: job.name.clone(),
            state: job.state,
            failures: known.map(|details| failures_of(job, details)),
        });
    }
    attempt
}

fn is_known(details: &JobDetails) -> bool {
    !details.tests.is_empty() || !CiLog::new(&details.log).tail(1).is_empty()
}
