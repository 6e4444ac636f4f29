//! The answers of CircleCI's APIs v2 and v1.1, as far as they are used. Every field may be missing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::ci::{FailedTest, JobDetails, of_chunks};

#[derive(Debug, Default, Deserialize)]
pub(super) struct Page {
    pub(super) items: Vec<Value>,
    #[serde(default)]
    pub(super) next_page_token: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct PipelineForm {
    pub(super) id: String,
    #[serde(default)]
    pub(super) number: u64,
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    errors: Vec<Value>,
    #[serde(default)]
    vcs: Value,
    #[serde(default)]
    trigger_parameters: Value,
}

impl PipelineForm {
    /// Projects of the GitHub App and of GitLab have no `vcs`.
    pub(super) fn revision(&self) -> Option<&str> {
        let revision = self.vcs["revision"].as_str();
        revision.or_else(|| self.trigger_parameters["git"]["checkout_sha"].as_str())
    }

    pub(super) fn branch(&self) -> Option<&str> {
        let branch = self.vcs["branch"].as_str();
        branch.or_else(|| self.trigger_parameters["git"]["branch"].as_str())
    }

    pub(super) fn errors(&self) -> Vec<String> {
        let errors = self.errors.iter().map(|error| {
            let word = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
            format!("{}: {}", word("type"), word("message"))
        });
        let mut errors: Vec<String> = errors.collect();
        if errors.is_empty() && self.state == "errored" {
            errors.push("config: the pipeline is `errored` without a message".into());
        }
        errors
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct WorkflowForm {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) created_at: String,
    #[serde(default)]
    pub(super) pipeline_number: u64,
    #[serde(default)]
    pub(super) project_slug: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct JobForm {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) status: String,
    /// Absent for approvals and for jobs that never started.
    #[serde(default)]
    pub(super) job_number: Option<u64>,
    #[serde(default)]
    pub(super) dependencies: Vec<String>,
    #[serde(default)]
    pub(super) started_at: Option<String>,
    #[serde(default)]
    pub(super) stopped_at: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TestForm {
    #[serde(default)]
    classname: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    result: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    file: Option<String>,
}

impl TestForm {
    pub(super) fn failed(self) -> Option<FailedTest> {
        if !matches!(self.result.as_str(), "failure" | "error") {
            return None;
        }
        let place = self.file.or(self.classname).filter(|place| !place.is_empty());
        Some(FailedTest {
            name: place.map_or_else(|| self.name.clone(), |place| format!("{place}::{}", self.name)),
            message: self.message.unwrap_or_default(),
        })
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct DetailsForm {
    #[serde(default)]
    steps: Vec<StepForm>,
    #[serde(default)]
    pub(super) messages: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct StepForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    actions: Vec<ActionForm>,
}

/// One container's run of one step.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ActionForm {
    #[serde(default)]
    pub(super) index: u64,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    failed: Option<bool>,
    #[serde(default)]
    timedout: Option<bool>,
    #[serde(default)]
    infrastructure_fail: Option<bool>,
    #[serde(default)]
    exit_code: Option<i64>,
    #[serde(default)]
    background: Option<bool>,
    #[serde(default)]
    pub(super) has_output: Option<bool>,
    #[serde(default)]
    pub(super) truncated: Option<bool>,
    #[serde(default)]
    pub(super) output_url: Option<String>,
}

impl ActionForm {
    /// A step that timed out has `failed: null` and `exit_code: null`, so the status word decides.
    fn is_red(&self) -> bool {
        let is_background = self.background == Some(true);
        match self.status.as_str() {
            "success" | "running" | "not_run" | "queued" => self.failed == Some(true),
            "canceled" => !is_background && self.failed == Some(true),
            _ => true,
        }
    }

    pub(super) fn has_timed_out(&self) -> bool {
        self.status == "timedout" || self.timedout == Some(true)
    }

    /// The line that the service shows below the step's output.
    pub(super) fn ending(&self) -> String {
        match self.exit_code {
            _ if self.has_timed_out() => "Too long with no output (exceeded the step's limit)".to_owned(),
            _ if self.infrastructure_fail == Some(true) || self.status == "infrastructure_fail" => {
                "infrastructure_fail".to_owned()
            }
            Some(code) if code != 0 => format!("Exited with code exit status {code}"),
            _ => format!("The step is `{}`", self.status),
        }
    }
}

impl DetailsForm {
    /// The last attempt of each failed step in each container. `notes` gets the steps that passed when the service repeated
    /// them.
    pub(super) fn red_actions(self, notes: &mut Vec<String>) -> Vec<ActionForm> {
        let mut last: BTreeMap<(String, u64), (usize, ActionForm)> = BTreeMap::new();
        for (order, step) in self.steps.into_iter().enumerate() {
            for mut action in step.actions {
                if action.name.is_empty() {
                    action.name.clone_from(&step.name);
                }
                let key = (action.name.clone(), action.index);
                let now_red = action.is_red();
                if let Some((_, before)) = last.insert(key, (order, action.clone()))
                    && before.is_red()
                    && !now_red
                {
                    notes.push(format!(
                        "step `{}` failed, then passed when it was repeated",
                        action.name
                    ));
                }
                if action.name.contains("halt") && !now_red {
                    notes.push(format!("step `{}` may have halted the job early", action.name));
                }
            }
        }
        let mut red: Vec<(usize, ActionForm)> =
            last.into_values().filter(|(_, action)| action.is_red()).collect();
        red.sort_by_key(|(order, action)| (*order, action.index));
        red.into_iter().map(|(_, action)| action).collect()
    }
}

/// Adds the output of a step to the details of its job.
pub(super) fn add_output(details: &mut JobDetails, action: &ActionForm, output: Result<String, String>) {
    let (name, container) = (&action.name, action.index);
    match output {
        Ok(raw) => details.log += of_chunks(&raw).as_deref().unwrap_or(&raw),
        Err(reason) => details.notes.push(format!(
            "no output of step `{name}` in container {container}: {reason}"
        )),
    }
    if action.truncated == Some(true) {
        details
            .notes
            .push(format!("CircleCI cut the output of step `{name}`"));
    }
    details.log += &format!("\n{}\n", action.ending());
}
