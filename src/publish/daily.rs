//! The daily run, step by step: results, matrix, validation gate, docs repository, report.
//!
//! Each step is a function and a line of the log; `gate` and `plan` make the decisions. At its end, even after a failure, it
//! reports the result and leaves no processes or temporary files behind.

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chrono::Utc;

use super::credentials::SecretSource;
use super::deliver::{Delivery, DocsOptions};
use super::gate::{self, Candidate, GateDecision, GateRules};
use super::git::BareRepo;
use super::plan::{Conflict, Plan};
use super::release_run::{GatewayOrigin, ReleaseOptions, ReleaseRun, ReleaseVersions, VERSIONS};
use super::steps::StepLog;
use super::summary::{self, Ending, SummaryInput};
use super::tokens::Tokens;
use super::{webhook, write};
use crate::cells::manifest::ALL_SETS;
use crate::document::Diagnostic;
use crate::env::Environment;
use crate::files::Project;
use crate::files::private_folder;
use crate::files::project::rendered;
use crate::findings::KnownFindings;
use crate::gateway;
use crate::http::RetryPolicy;
use crate::isolation::IsolationLevel;
use crate::matrix::ManifestView;
use crate::matrix::builder::Stamp;
use crate::plan::selection::Axes;
use crate::process::{RunId, Watchdog};
use crate::results::Results;
use crate::text::counted;
use crate::toolchain::Installer;

#[derive(Debug)]
pub struct DailyOptions {
    pub project: PathBuf,
    /// The folder for results, matrix and logs.
    pub output: PathBuf,
    pub source: ResultsSource,
    /// What `compat history --format json` printed, to publish it too.
    pub version_history: Option<String>,
    /// The part of the manifest's `matrices` to publish; `None` for the whole matrix, on all tiers.
    pub matrix: Option<String>,
    /// Whether to publish trials that could not be judged as not tested.
    pub allow_inconclusive: bool,
    /// The lowest isolation level of `claude` that may run and be published.
    pub isolation: IsolationLevel,
    /// The docs repository; `None` to publish nothing.
    pub docs: Option<DocsOptions>,
    pub report: ReportOptions,
    pub retry: RetryPolicy,
}

/// The part `matrix`, or the whole matrix on all tiers.
fn scope(matrix: Option<&str>) -> Axes {
    Axes {
        set: matrix.is_none().then(|| ALL_SETS.to_owned()),
        matrix: matrix.map(str::to_owned),
        ..Axes::default()
    }
}

#[derive(Debug)]
pub enum ResultsSource {
    /// Run the newest release now.
    Release(Box<ReleaseOptions>),
    /// The results of an earlier run.
    File {
        file: PathBuf,
        /// Overrides the versions file beside the results.
        versions: ReleaseVersions,
    },
}

#[derive(Debug, Default)]
pub struct ReportOptions {
    /// A file to append a summary to, in Markdown.
    pub summary: Option<PathBuf>,
    /// A file that holds the address of a webhook in Slack's format.
    pub webhook: Option<PathBuf>,
}

pub struct DailyRun<'a> {
    options: DailyOptions,
    tokens: Tokens,
    environment: Environment,
    run: RunId,
    scratch: tempfile::TempDir,
    watchdog: Watchdog,
    log: StepLog<'a>,
    decision: Option<GateDecision>,
    plan: Option<Plan>,
}

impl<'a> DailyRun<'a> {
    /// Creates the folders and starts the watchdog.
    pub fn begin(
        mut options: DailyOptions,
        tokens: Tokens,
        environment: Environment,
        log: StepLog<'a>,
    ) -> anyhow::Result<Self> {
        options.project = absolute(&options.project)?;
        std::fs::create_dir_all(&options.output)
            .with_context(|| format!("cannot create `{}`", options.output.display()))?;
        options.output = absolute(&options.output)?;
        let run = RunId::mint();
        let mut watchdog = Watchdog::start(run)?;
        // A temporary folder is readable by its owner only.
        let scratch = private_folder::make("compat-publish-").context("cannot create a temporary folder")?;
        watchdog.remove_at_end(scratch.path())?;
        Ok(Self {
            options,
            tokens,
            environment,
            run,
            scratch,
            watchdog,
            log,
            decision: None,
            plan: None,
        })
    }

    /// Runs all steps until `interrupted` completes with a reason to stop, and reports the result.
    pub async fn run(&mut self, interrupted: impl Future<Output = &'static str>) -> Ending {
        let (ended, is_interrupted) = tokio::select! {
            ended = self.all_steps() => (ended, false),
            reason = interrupted => (Err(anyhow!(reason)), true),
        };
        if is_interrupted {
            self.remove_containers().await;
        }
        let ending = ended.unwrap_or_else(|error| match error.downcast::<Conflict>() {
            Ok(conflict) => Ending::Withheld(conflict.to_string()),
            Err(error) => Ending::Failed {
                step: self.log.current().to_owned(),
                error: format!("{error:#}"),
            },
        });
        self.report(&ending).await;
        ending
    }

    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Removes the temporary files.
    pub fn end(self) {
        drop(self.scratch);
        // All processes have ended already, so a failure here does no harm.
        let _ = self.watchdog.finish();
    }

    async fn all_steps(&mut self) -> anyhow::Result<Ending> {
        let (results, versions) = self.results().await?;
        let decision = self.build(&results, versions)?;
        self.validate(&decision);
        self.decision = Some(decision);
        self.publish().await
    }

    async fn results(&mut self) -> anyhow::Result<(Results, ReleaseVersions)> {
        match &self.options.source {
            ResultsSource::File { file, versions } => {
                self.log.begin("results");
                let read = read_results(file, versions)?;
                let trials = counted(read.0.results.len(), "trial");
                self.log.say(format!("{trials} from `{}`", file.display()));
                Ok(read)
            }
            ResultsSource::Release(release) => {
                let mut installer = Installer::new(self.environment.clone(), self.run, self.log.progress)?;
                installer.tools.retry = self.options.retry;
                let mut run = ReleaseRun {
                    options: release,
                    isolation: self.options.isolation,
                    project: &self.options.project,
                    axes: scope(self.options.matrix.as_deref()),
                    output: &self.options.output,
                    scratch: self.scratch.path(),
                    installer,
                    log: &mut self.log,
                };
                run.run().await
            }
        }
    }

    /// Builds the matrix and asks the gate.
    fn build(&mut self, results: &Results, versions: ReleaseVersions) -> anyhow::Result<GateDecision> {
        self.log.begin("build");
        let project = open(&self.options.project)?;
        let ReleaseVersions {
            litellm_version,
            claude_code_version,
            ..
        } = versions;
        let stamp = Stamp::new(results, litellm_version, claude_code_version, None)?;
        let axes = scope(self.options.matrix.as_deref());
        axes.check(&project.manifest)?;
        let known = match &results.run.gateway.name {
            Some(gateway) => project
                .known_findings(gateway)
                .map_err(|errors| broken(&errors))?,
            None => KnownFindings::NONE,
        };
        let trials = axes.in_scope(&project.manifest, project.trials());
        let scripted = trials
            .iter()
            .filter(|trial| project.needs_script(trial).is_some());
        let rules = GateRules {
            stamp: &stamp,
            trials: trials.len(),
            scripted: scripted.count(),
            applicable: &project.applicable_trials(),
            known: &known,
            allow_inconclusive: self.options.allow_inconclusive,
            isolation: self.options.isolation,
        };
        let mut decision = gate::decide(
            &ManifestView::of_part(&project.manifest, axes.matrix.as_deref()),
            results,
            rules,
        )?;
        if let Some(text) = &self.options.version_history {
            decision.add_version_history(text.clone());
        }
        let Candidate { matrix, details, .. } = &decision.candidate;
        let output = &self.options.output;
        write(&output.join("compatibility-matrix.json"), &matrix.to_text())?;
        write(&output.join("compatibility-details.json"), &details.to_text())?;
        let cells = matrix.cells().count();
        let red: usize = matrix.failures().iter().map(|(_, cells)| cells.len()).sum();
        self.log.say(format!(
            "{}, {red} of them red, in `{}`",
            counted(cells, "cell"),
            output.display()
        ));
        Ok(decision)
    }

    fn validate(&mut self, decision: &GateDecision) {
        self.log.begin("validate");
        for refusal in &decision.refusals {
            self.log.say(format!("refused: {refusal}"));
        }
        for note in &decision.notes {
            self.log.say(format!("note: {note}"));
        }
        let left_out = decision.left_out.len();
        if left_out > 0 {
            self.log.say(format!(
                "not judged, and so published as not tested: {}",
                counted(left_out, "trial")
            ));
        }
        if decision.refusals.is_empty() {
            self.log.say("the matrix may be published");
        }
    }

    async fn publish(&mut self) -> anyhow::Result<Ending> {
        self.log.begin("publish");
        let (Some(decision), Some(docs)) = (&self.decision, &self.options.docs) else {
            return self.check_credentials().await;
        };
        let is_refused = !decision.refusals.is_empty();
        if is_refused && !docs.only_plan {
            return Ok(Ending::Refused);
        }
        let folder = self.scratch.path().join("docs");
        let repo = BareRepo::create(&folder, &docs.url, &self.environment, self.run).await?;
        let delivery = Delivery {
            repo: &repo,
            candidate: &decision.candidate,
            docs,
            log: self.log,
        };
        if docs.only_plan {
            self.plan = Some(delivery.plan(&decision.refusals, &mut self.tokens).await?);
            return Ok(match is_refused {
                true => Ending::Refused,
                false => Ending::Planned,
            });
        }
        self.log.say(format!("reading {}", docs.url));
        let (plan, ending) = delivery.deliver(&mut self.tokens).await?;
        if let Some(diff) = &plan.diff {
            self.log.say(format!("{} ({})", diff.summary(), diff.headline()));
        }
        self.plan = Some(plan);
        Ok(ending)
    }

    /// Without a docs repository: requests a token anyway, to test the App.
    async fn check_credentials(&mut self) -> anyhow::Result<Ending> {
        self.tokens.get(Utc::now()).await?;
        if let Some(scope) = self.tokens.scope() {
            self.log.say(format!("minted a token for {scope}"));
        }
        Ok(Ending::Skipped)
    }

    /// Writes the summary and calls the webhook. A failure is logged and does not change the ending.
    async fn report(&mut self, ending: &Ending) {
        self.log.begin("report");
        let input = SummaryInput {
            decision: self.decision.as_ref(),
            plan: self.plan.as_ref(),
        };
        if let Some(file) = &self.options.report.summary
            && let Err(error) = append(file, &summary::markdown(ending, input))
        {
            let file = file.display();
            self.log
                .say(format!("cannot write the summary to `{file}`: {error}"));
        }
        match self.call_webhook(ending, input).await {
            Ok(true) => self.log.say("called the webhook"),
            Ok(false) => {}
            Err(error) => self.log.say(format!("{error:#}")),
        }
    }

    /// Returns whether there was a message and a webhook.
    async fn call_webhook(&self, ending: &Ending, input: SummaryInput<'_>) -> anyhow::Result<bool> {
        let is_dry = self.options.docs.as_ref().is_some_and(|docs| docs.only_plan);
        let file = self.options.report.webhook.as_ref().filter(|_| !is_dry);
        let (Some(file), Some(message)) = (file, summary::webhook(ending, input)) else {
            return Ok(false);
        };
        let address = SecretSource::File(file.clone()).read("the webhook's address")?;
        webhook::send(&address, &message, self.options.retry).await?;
        Ok(true)
    }

    /// A killed `docker` client leaves its container running.
    async fn remove_containers(&self) {
        if let ResultsSource::Release(release) = &self.options.source
            && matches!(release.gateway, GatewayOrigin::Container(_))
            && let Err(error) = gateway::remove_containers_of(self.run, &self.environment).await
        {
            self.log.say(format!("a container may be left: {error}"));
        }
    }
}

/// The results in `file`, and the versions that ran: the given ones, else those in the file beside.
fn read_results(file: &Path, given: &ReleaseVersions) -> anyhow::Result<(Results, ReleaseVersions)> {
    let results = Results::parse(&read(file)?).with_context(|| format!("`{}`", file.display()))?;
    let path = file.with_file_name(VERSIONS);
    let beside = match path.is_file() {
        true => serde_json::from_str(&read(&path)?).with_context(|| format!("`{}`", path.display()))?,
        false => ReleaseVersions::default(),
    };
    let versions = ReleaseVersions {
        litellm_version: given.litellm_version.clone().or(beside.litellm_version),
        claude_code_version: given.claude_code_version.clone().or(beside.claude_code_version),
        image_digest: beside.image_digest,
    };
    Ok((results, versions))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn open(root: &Path) -> anyhow::Result<Project> {
    Project::open(root)
        .map_err(|faults| broken(&faults).context(format!("`{}` is not a project", root.display())))
}

fn broken(faults: &[Diagnostic]) -> anyhow::Error {
    anyhow!(rendered(faults))
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("cannot find `{}`", path.display()))
}

fn append(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    let mut file = options.create(true).append(true).open(file)?;
    file.write_all(text.as_bytes())
}
