//! One model for the runs of CircleCI and GitHub Actions, and the verdict on a commit.

use schemars::JsonSchema;
use serde::Serialize;

/// A pipeline of CircleCI, or the runs of one event of GitHub Actions.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Pipeline {
    pub service: CiService,
    pub id: String,
    /// Its number or its event, for readers.
    pub title: String,
    pub revision: String,
    pub branch: Option<String>,
    /// What the service refused, in its own words.
    pub errors: Vec<String>,
    /// The newest workflow of each name.
    pub workflows: Vec<Workflow>,
    /// Earlier attempts: workflows that a rerun of the same name replaced.
    pub earlier: Vec<Workflow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CiService {
    CircleCi,
    GitHub,
}

impl CiService {
    pub fn name(self) -> &'static str {
        match self {
            Self::CircleCi => "CircleCI",
            Self::GitHub => "GitHub Actions",
        }
    }
}

/// A workflow of CircleCI, or a run of GitHub Actions.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Workflow {
    pub id: String,
    pub name: String,
    pub state: JobState,
    /// The status in the service's own words.
    pub status: String,
    pub attempt: u32,
    pub url: String,
    pub jobs: Vec<CiJob>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CiJob {
    /// CircleCI: the number; GitHub: the id. Absent if the job never started.
    pub number: Option<u64>,
    pub name: String,
    pub state: JobState,
    /// The status in the service's own words.
    pub status: String,
    pub seconds: Option<u64>,
    /// The names of the jobs that it waits for.
    pub after: Vec<String>,
    pub url: Option<String>,
}

/// The state of a job or of a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Passed,
    Failed,
    /// Stopped at a limit of time, or of time without output.
    TimedOut,
    InfrastructureFailed,
    /// The service did not let the author run it.
    Unauthorized,
    /// Queued or running.
    Running,
    /// Waits for a person's approval.
    OnHold,
    /// An earlier job failed, or a condition was false.
    NotRun,
    Canceled,
    /// A word that this program does not know. It never counts as passed.
    Unknown,
}

impl JobState {
    /// CircleCI's words for jobs and workflows (API v2, `Job.status` and `Workflow.status`; API v1.1, `status`).
    pub fn of_circleci(status: &str) -> Self {
        match status {
            "success" | "fixed" => Self::Passed,
            "failed" | "failing" | "error" | "terminated-unknown" => Self::Failed,
            "timedout" => Self::TimedOut,
            "infrastructure_fail" => Self::InfrastructureFailed,
            "unauthorized" => Self::Unauthorized,
            "running" | "queued" | "not_running" | "scheduled" | "created" | "setup" | "pending" => {
                Self::Running
            }
            "on_hold" => Self::OnHold,
            "not_run" | "blocked" | "no_tests" | "skipped" | "retried" => Self::NotRun,
            "canceled" => Self::Canceled,
            _ => Self::Unknown,
        }
    }

    /// GitHub's words (REST API, `status` and `conclusion` of workflow runs and jobs).
    pub fn of_github(status: &str, conclusion: Option<&str>) -> Self {
        match (status, conclusion) {
            ("queued" | "in_progress" | "requested" | "pending", _) => Self::Running,
            ("waiting", _) => Self::OnHold,
            ("completed", Some("success" | "neutral")) => Self::Passed,
            ("completed", Some("failure")) => Self::Failed,
            ("completed", Some("timed_out")) => Self::TimedOut,
            ("completed", Some("startup_failure")) => Self::Failed,
            ("completed", Some("action_required")) => Self::OnHold,
            ("completed", Some("skipped")) => Self::NotRun,
            ("completed", Some("cancelled" | "stale")) => Self::Canceled,
            _ => Self::Unknown,
        }
    }

    pub fn is_red(self) -> bool {
        matches!(
            self,
            Self::Failed | Self::TimedOut | Self::InfrastructureFailed | Self::Unauthorized
        )
    }

    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Running | Self::OnHold)
    }
}

/// Everything known about one commit.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CommitRuns {
    pub repository: String,
    pub branch: Option<String>,
    /// Empty if no run was found.
    pub revision: String,
    pub pipelines: Vec<Pipeline>,
    /// What could not be read. With a gap, nothing counts as green.
    pub gaps: Vec<String>,
}

/// The sum of a commit's jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommitVerdict {
    Green,
    Red,
    /// Jobs run, or wait for an approval.
    Unfinished,
    /// No run, a gap, a cancelled job, or an unknown status.
    Unclear,
}

impl CommitRuns {
    pub fn workflows(&self) -> impl Iterator<Item = &Workflow> {
        self.pipelines.iter().flat_map(|pipeline| &pipeline.workflows)
    }

    pub fn jobs(&self) -> impl Iterator<Item = &CiJob> {
        self.workflows().flat_map(|workflow| &workflow.jobs)
    }

    /// Everything that keeps the commit from being called green although no job failed.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = self.gaps.clone();
        if self.pipelines.is_empty() && doubts.is_empty() {
            doubts.push(
                "no pipeline ran for this commit: was it filtered out, or skipped with `[skip ci]`?".into(),
            );
        }
        for pipeline in &self.pipelines {
            let title = &pipeline.title;
            if pipeline.workflows.is_empty() && pipeline.errors.is_empty() {
                doubts.push(format!(
                    "{title} has no workflow: its filters may exclude this commit"
                ));
            }
            for workflow in &pipeline.workflows {
                let name = &workflow.name;
                let ran_nothing = workflow.jobs.iter().all(|job| job.state == JobState::NotRun);
                if ran_nothing && !workflow.state.is_red() && workflow.state != JobState::NotRun {
                    doubts.push(format!("workflow `{name}` of {title} ran no job"));
                }
                let odd = |state| matches!(state, JobState::Canceled | JobState::Unknown);
                let jobs = workflow.jobs.iter().filter(|job| odd(job.state));
                let odd_jobs: Vec<String> = jobs
                    .map(|job| format!("job `{}` of workflow `{name}` is `{}`", job.name, job.status))
                    .collect();
                if odd(workflow.state) && odd_jobs.is_empty() {
                    doubts.push(format!("workflow `{name}` of {title} is `{}`", workflow.status));
                }
                doubts.extend(odd_jobs);
            }
        }
        let states: Vec<JobState> = self.jobs().map(|job| job.state).collect();
        let is_open =
            |state: &JobState| state.is_unfinished() || state.is_red() || *state == JobState::Passed;
        if doubts.is_empty() && !self.pipelines.is_empty() && !states.iter().any(is_open) {
            doubts.push("no job of this commit ran".into());
        }
        doubts
    }

    pub fn verdict(&self) -> CommitVerdict {
        let states = || {
            let jobs = self.jobs().map(|job| job.state);
            jobs.chain(self.workflows().map(|workflow| workflow.state))
        };
        let has_errors = self.pipelines.iter().any(|pipeline| !pipeline.errors.is_empty());
        if has_errors || states().any(JobState::is_red) {
            CommitVerdict::Red
        } else if !self.gaps.is_empty() {
            CommitVerdict::Unclear
        } else if states().any(JobState::is_unfinished) {
            CommitVerdict::Unfinished
        } else if self.doubts().is_empty() {
            CommitVerdict::Green
        } else {
            CommitVerdict::Unclear
        }
    }

    pub fn is_unfinished(&self) -> bool {
        let workflows = self.workflows();
        workflows.into_iter().any(|workflow| {
            workflow.state.is_unfinished()
                || workflow.status == "failing"
                || workflow.jobs.iter().any(|job| job.state.is_unfinished())
        })
    }
}

/// The details of a red job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobDetails {
    /// The output of the failed steps.
    pub log: String,
    pub tests: Vec<FailedTest>,
    /// What could not be read, and what the reader should know.
    pub notes: Vec<String>,
}

/// A failed test in the service's own list, or in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedTest {
    pub name: String,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: JobState) -> CiJob {
        CiJob {
            number: Some(1),
            name: "lint".into(),
            state,
            status: "x".into(),
            seconds: None,
            after: Vec::new(),
            url: None,
        }
    }

    fn commit(workflow: JobState, jobs: Vec<CiJob>) -> CommitRuns {
        CommitRuns {
            repository: "a/b".into(),
            branch: None,
            revision: "abc".into(),
            pipelines: vec![Pipeline {
                service: CiService::CircleCi,
                id: "p".into(),
                title: "pipeline 1".into(),
                revision: "abc".into(),
                branch: None,
                errors: Vec::new(),
                workflows: vec![Workflow {
                    id: "w".into(),
                    name: "build".into(),
                    state: workflow,
                    status: "x".into(),
                    attempt: 1,
                    url: String::new(),
                    jobs,
                }],
                earlier: Vec::new(),
            }],
            gaps: Vec::new(),
        }
    }

    #[test]
    fn only_passed_jobs_make_a_commit_green() {
        use CommitVerdict::{Green, Red, Unclear, Unfinished};
        use JobState::*;
        for (state, expected) in [
            (Passed, Green),
            (Failed, Red),
            (TimedOut, Red),
            (InfrastructureFailed, Red),
            (Unauthorized, Red),
            (Running, Unfinished),
            (OnHold, Unfinished),
            (Canceled, Unclear),
            (Unknown, Unclear),
            (NotRun, Unclear),
        ] {
            assert_eq!(commit(Passed, vec![job(state)]).verdict(), expected, "{state:?}");
        }
        let some_skipped = commit(Passed, vec![job(Passed), job(NotRun)]);
        assert_eq!(some_skipped.verdict(), Green);
    }

    #[test]
    fn nothing_found_is_never_green() {
        use CommitVerdict::{Red, Unclear};
        let mut runs = commit(JobState::Passed, Vec::new());
        assert_eq!(runs.verdict(), Unclear);
        runs.pipelines[0].workflows.clear();
        assert_eq!(runs.verdict(), Unclear);
        runs.pipelines[0].errors.push("refused".into());
        assert_eq!(runs.verdict(), Red);
        runs.pipelines.clear();
        assert_eq!(runs.verdict(), Unclear);
        let mut partial = commit(JobState::Passed, vec![job(JobState::Passed)]);
        partial.gaps.push("page 2".into());
        assert_eq!(partial.verdict(), Unclear);
    }

    #[test]
    fn an_unknown_word_is_not_passed() {
        assert_eq!(JobState::of_circleci("brand-new"), JobState::Unknown);
        assert_eq!(JobState::of_github("completed", Some("odd")), JobState::Unknown);
        assert_eq!(JobState::of_github("completed", None), JobState::Unknown);
    }
}
