//! The daily run, step by step: the matrix of the newest release, or the results of an earlier run; the validation gate;
//! the docs repository; and who is told.
//!
//! Each step is a function and a line of the log. What is decided, `gate` and `plan` decide; this does it in order, and
//! whatever ends it, it says how it ended and leaves nothing of its own behind.

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use chrono::Utc;

use super::credentials::{CredentialError, Held, Tokens};
use super::deliver::{Delivery, DeliveryError, Proposal};
use super::gate::{self, Judgement, Rules};
use super::git::{Author, Clone, GitError, RemoteUrl};
use super::plan::{Plan, Policy};
use super::release_run::{GatewayOrigin, ReleaseRun, ReleaseRunError, VERSIONS, Versions, Wanted};
use super::steps::{Steps, Voice};
use super::summary::{self, Ending, Known};
use super::webhook::{self, WebhookError};
use crate::atomic_write;
use crate::document::render;
use crate::env::Environment;
use crate::gateway;
use crate::matrix::ManifestView;
use crate::matrix::builder::{BuildError, Stamp};
use crate::process::{RunId, Watchdog, WatchdogError};
use crate::results::Results;
use crate::results::json::JsonError;
use crate::spec_files::Project;
use crate::toolchain::http::Patience;

/// What a daily run is asked to do.
#[derive(Debug)]
pub struct Request {
    pub project: PathBuf,
    /// Where results, matrix and logs go.
    pub output: PathBuf,
    pub source: Source,
    /// Whether trials that could not be judged are published as not tested.
    pub allow_inconclusive: bool,
    /// Where the matrix is published; nowhere, if there is none.
    pub docs: Option<Docs>,
    pub report: Report,
    pub patience: Patience,
}

#[derive(Debug)]
pub enum Source {
    /// A run of the newest release, now.
    Release(Box<Wanted>),
    Results {
        file: PathBuf,
        /// The versions that were run, where what lies beside the results does not say them.
        versions: Versions,
    },
}

/// The docs repository, and how it is written to.
#[derive(Debug)]
pub struct Docs {
    pub url: RemoteUrl,
    /// Where the matrix goes in it, and when it does not.
    pub policy: Policy,
    pub author: Author,
    /// How pull requests are made; `None` to push to the branch itself.
    pub proposal: Option<Proposal>,
    /// How often it is tried at most.
    pub attempts: u32,
    /// Whether it is only planned what would be done.
    pub only_plan: bool,
}

/// Who is told how a run ended.
#[derive(Debug, Default)]
pub struct Report {
    /// A file to append a summary to, in Markdown.
    pub summary: Option<PathBuf>,
    /// A file that holds the address of a webhook in Slack's format.
    pub webhook: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum DailyError {
    /// A file or folder cannot be used.
    #[error("cannot {action} `{}`: {source}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Watchdog(#[from] WatchdogError),
    /// The matrix could not be run.
    #[error(transparent)]
    ReleaseRun(#[from] ReleaseRunError),
    #[error("`{}`: {reason}", path.display())]
    Results { path: PathBuf, reason: JsonError },
    /// What lies beside the results does not say which versions ran.
    #[error("`{}`: {reason}", path.display())]
    Versions {
        path: PathBuf,
        reason: serde_json::Error,
    },
    #[error("`{}` is no project\n{faults}", path.display())]
    Project {
        path: PathBuf,
        /// All that is wrong with it.
        faults: String,
    },
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    #[error("{0}")]
    Interrupted(&'static str),
}

impl DailyError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

#[derive(Debug)]
pub struct Daily<'a> {
    request: Request,
    tokens: Tokens,
    environment: Environment,
    run: RunId,
    scratch: tempfile::TempDir,
    watchdog: Watchdog,
    steps: Steps<'a>,
    judgement: Option<Judgement>,
    plan: Option<Plan>,
}

impl<'a> Daily<'a> {
    /// Makes its folders and starts its watchdog; nothing else yet.
    pub fn begin(
        mut request: Request,
        tokens: Tokens,
        environment: Environment,
        voice: Voice<'a>,
    ) -> Result<Self, DailyError> {
        request.project = found(&request.project)?;
        std::fs::create_dir_all(&request.output).map_err(DailyError::file("make", &request.output))?;
        request.output = found(&request.output)?;
        let run = RunId::mint();
        let mut watchdog = Watchdog::start(run)?;
        // Only its owner may look into a temporary folder.
        let scratch = tempfile::Builder::new()
            .prefix("compat-publish-")
            .tempdir()
            .map_err(DailyError::file("make a folder in", &std::env::temp_dir()))?;
        watchdog
            .remove_at_end(scratch.path())
            .map_err(WatchdogError::Start)?;
        Ok(Self {
            request,
            tokens,
            environment,
            run,
            scratch,
            watchdog,
            steps: Steps::new(voice),
            judgement: None,
            plan: None,
        })
    }

    /// Runs all steps, or those that come before `interrupted` says why it ends, and tells how it went.
    pub async fn run(&mut self, interrupted: impl Future<Output = &'static str>) -> Ending {
        let ended = tokio::select! {
            ended = self.all_steps() => ended,
            why = interrupted => Err(DailyError::Interrupted(why)),
        };
        if matches!(ended, Err(DailyError::Interrupted(_))) {
            self.remove_containers().await;
        }
        let ending = ended.unwrap_or_else(|error| self.failed(&error));
        self.report(&ending).await;
        ending
    }

    /// What was planned, once it is.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Removes what the run has made for itself.
    pub fn end(self) {
        drop(self.scratch);
        // It has nothing left to end; that it cannot be waited for harms nobody.
        let _ = self.watchdog.finish();
    }

    fn failed(&self, error: &DailyError) -> Ending {
        match error {
            DailyError::Delivery(DeliveryError::Conflict(conflict)) => Ending::Withheld {
                why: conflict.to_string(),
            },
            error => Ending::Failed {
                step: self.steps.current().to_owned(),
                error: error.to_string(),
            },
        }
    }

    async fn all_steps(&mut self) -> Result<Ending, DailyError> {
        let (results, versions) = self.results().await?;
        let judgement = self.build(&results, versions)?;
        self.validate(&judgement);
        self.judgement = Some(judgement);
        self.publish().await
    }

    async fn results(&mut self) -> Result<(Results, Versions), DailyError> {
        match &self.request.source {
            Source::Results { file, versions } => {
                self.steps.begin("results");
                let read = read_results(file, versions)?;
                self.steps.say(&format!(
                    "{} trials from `{}`",
                    read.0.results.len(),
                    file.display()
                ));
                Ok(read)
            }
            Source::Release(wanted) => {
                let mut release = ReleaseRun {
                    wanted,
                    project: &self.request.project,
                    output: &self.request.output,
                    scratch: self.scratch.path(),
                    environment: &self.environment,
                    patience: self.request.patience,
                    run: self.run,
                    steps: &mut self.steps,
                };
                Ok(release.run().await?)
            }
        }
    }

    /// Step: the matrix, and what the gate says of it.
    fn build(&mut self, results: &Results, versions: Versions) -> Result<Judgement, DailyError> {
        self.steps.begin("build");
        let project = open(&self.request.project)?;
        let stamp = Stamp::new(
            results,
            versions.litellm_version,
            versions.claude_code_version,
            None,
        )?;
        let rules = Rules {
            stamp: &stamp,
            trials: project.trials().len(),
            allow_inconclusive: self.request.allow_inconclusive,
        };
        let judgement = gate::judge(&ManifestView::from(&project.manifest), results, rules)?;
        let candidate = &judgement.candidate;
        self.write("compatibility-matrix.json", &candidate.matrix.to_text())?;
        self.write("compatibility-details.json", &candidate.details.to_text())?;
        let failures = candidate.matrix.failures();
        self.steps.say(&format!(
            "{} cells, {} of them red, in `{}`",
            candidate.matrix.cells().count(),
            failures.iter().map(|(_, places)| places.len()).sum::<usize>(),
            self.request.output.display()
        ));
        Ok(judgement)
    }

    /// Step: whether it may be published.
    fn validate(&mut self, judgement: &Judgement) {
        self.steps.begin("validate");
        for refusal in &judgement.refusals {
            self.steps.say(&format!("refused: {refusal}"));
        }
        if !judgement.left_out.is_empty() {
            let number = judgement.left_out.len();
            self.steps.say(&format!(
                "{number} trials could not be judged and count as not tested"
            ));
        }
        if judgement.refusals.is_empty() {
            self.steps.say("it may be published");
        }
    }

    async fn publish(&mut self) -> Result<Ending, DailyError> {
        self.steps.begin("publish");
        let (Some(judgement), Some(docs)) = (&self.judgement, &self.request.docs) else {
            return self.check_credentials().await;
        };
        let may_publish = judgement.refusals.is_empty();
        if !may_publish && !docs.only_plan {
            return Ok(Ending::Refused);
        }
        let folder = self.scratch.path().join("docs");
        let clone = Clone::make(&folder, &docs.url, &self.environment, self.run).await?;
        let delivery = Delivery {
            clone: &clone,
            candidate: &judgement.candidate,
            policy: &docs.policy,
            author: &docs.author,
            proposal: docs.proposal.as_ref(),
            attempts: docs.attempts,
            first_wait: self.request.patience.first_wait,
        };
        if docs.only_plan {
            self.plan = Some(delivery.plan(&judgement.refusals, &mut self.tokens).await?);
            return Ok(if may_publish {
                Ending::Planned
            } else {
                Ending::Refused
            });
        }
        let steps = self.steps;
        steps.say(&format!("asking {}", docs.url));
        let (plan, ending) = delivery
            .deliver(&mut self.tokens, &|text| steps.say(text))
            .await?;
        if let Some(diff) = &plan.diff {
            steps.say(&format!("{} ({})", diff.summary(), diff.headline()));
        }
        self.plan = Some(plan);
        Ok(ending)
    }

    /// In a run that publishes nothing: that the App can get a token is worth knowing all the same.
    async fn check_credentials(&mut self) -> Result<Ending, DailyError> {
        self.tokens.get(Utc::now()).await?;
        if let Some(scope) = self.tokens.scope() {
            self.steps.say(&format!("minted a token for {scope}"));
        }
        Ok(Ending::Skipped)
    }

    /// Step: the summary and the webhook. That nobody can be told is told, and changes nothing.
    async fn report(&mut self, ending: &Ending) {
        self.steps.begin("report");
        let known = Known {
            judgement: self.judgement.as_ref(),
            plan: self.plan.as_ref(),
        };
        if let Some(file) = &self.request.report.summary
            && let Err(error) = append(file, &summary::markdown(ending, known))
        {
            self.steps.say(&format!(
                "cannot write the summary to `{}`: {error}",
                file.display()
            ));
        }
        match self.tell_webhook(ending, known).await {
            Ok(true) => self.steps.say("told the webhook"),
            Ok(false) => {}
            Err(error) => self.steps.say(&error.to_string()),
        }
    }

    /// Whether there was anything to tell, and somebody to tell it to.
    async fn tell_webhook(&self, ending: &Ending, known: Known<'_>) -> Result<bool, DailyError> {
        let (Some(file), Some(message)) = (&self.request.report.webhook, summary::webhook(ending, known))
        else {
            return Ok(false);
        };
        if self.request.docs.as_ref().is_some_and(|docs| docs.only_plan) {
            return Ok(false);
        }
        let address = Held::File(file.clone()).read("the webhook's address")?;
        webhook::tell(&address, &message, self.request.patience).await?;
        Ok(true)
    }

    /// A `docker` client that was killed leaves its container running.
    async fn remove_containers(&self) {
        let Source::Release(wanted) = &self.request.source else {
            return;
        };
        if matches!(wanted.gateway, GatewayOrigin::Container(_))
            && let Err(error) = gateway::remove_containers_of(self.run, &self.environment).await
        {
            self.steps.say(&format!("a container may be left: {error}"));
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), DailyError> {
        let path = self.request.output.join(name);
        atomic_write::write(&path, text).map_err(DailyError::file("write", &path))
    }
}

/// The results in `file`, and the versions that were run: as given, else as what lies beside the file says.
fn read_results(file: &Path, given: &Versions) -> Result<(Results, Versions), DailyError> {
    let results = Results::parse(&read(file)?).map_err(|reason| DailyError::Results {
        path: file.to_owned(),
        reason,
    })?;
    let path = file.with_file_name(VERSIONS);
    let beside = match path.is_file() {
        true => {
            serde_json::from_str(&read(&path)?).map_err(|reason| DailyError::Versions { path, reason })?
        }
        false => Versions::default(),
    };
    let versions = Versions {
        litellm_version: given.litellm_version.clone().or(beside.litellm_version),
        claude_code_version: given.claude_code_version.clone().or(beside.claude_code_version),
        image_digest: beside.image_digest,
    };
    Ok((results, versions))
}

fn read(path: &Path) -> Result<String, DailyError> {
    std::fs::read_to_string(path).map_err(DailyError::file("read", path))
}

fn open(root: &Path) -> Result<Project, DailyError> {
    Project::open(root).map_err(|faults| DailyError::Project {
        path: root.to_owned(),
        faults: render::render(&faults, render::Format::Text, false)
            .trim_end()
            .to_owned(),
    })
}

fn found(path: &Path) -> Result<PathBuf, DailyError> {
    path.canonicalize().map_err(DailyError::file("find", path))
}

fn append(file: &Path, text: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)?
        .write_all(text.as_bytes())
}
