//! `compat watch`: runs the trials of each changed file.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::Runtime;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

use super::print::status;
use super::project::{self, RootFlag};
use crate::document::render::Format;
use crate::env::{self, Environment};
use crate::files::Project;
use crate::files::private_folder;
use crate::ids::TrialName;
use crate::plan::selection::{self, Axes, Names};
use crate::process::{self, ProcessTag, RunId};
use crate::progress;
use crate::run::launch;
use crate::session::daemon::{self, Started, StateDir};
use crate::text::{self, counted};
use crate::watch::{Watch, WatchEvent};

/// How long the session stays if the watcher is killed.
const IDLE: Duration = Duration::from_mins(10);

/// Run the trials of each changed file as soon as it is saved
///
/// A cell's file changes its own trials. `_shared.yaml` and the other files in a feature's folder change the feature's trials.
/// `manifest.yaml`, `proxy_config.yaml` and the pinned tools change all trials. The filters select among these trials.
///
/// Errors in a changed file are shown, and no trial runs until they are fixed. The trials run on
/// a session like that of `compat up`. The watcher ends the session if it started it. It watches until interrupted.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  compat watch
  compat watch tool_use --tier haiku")]
pub struct Arguments {
    /// Run only trials whose name contains any of these
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Filters by the manifest.
    #[command(flatten)]
    pub axes: Axes,
    /// The built harness [default: `cargo test --test compat` in a checkout, else this program]
    #[arg(long, value_name = "FILE")]
    pub harness: Option<PathBuf>,
    #[command(flatten)]
    pub root: RootFlag,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let root = arguments.root.find()?;
    let runtime = Runtime::new().context("cannot start the asynchronous runtime")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut watcher = Watcher::new(arguments, root)?;
        let watched = tokio::select! {
            watched = watcher.watch() => watched,
            _ = ctrl_c() => Ok(()),
            _ = terminate.recv() => Ok(()),
        };
        watcher.end().await;
        watched.map(|()| ExitCode::SUCCESS)
    })
}

struct Watcher<'a> {
    arguments: &'a Arguments,
    names: Names,
    axes: Axes,
    root: PathBuf,
    environment: Environment,
    /// The path of this program at its start, because a build may replace it.
    program: PathBuf,
    /// The session, and a lease on it.
    session: Option<Started>,
    /// Whether this watcher started a session.
    started: bool,
}

impl<'a> Watcher<'a> {
    fn new(arguments: &'a Arguments, root: PathBuf) -> anyhow::Result<Self> {
        Ok(Self {
            arguments,
            names: Names {
                filters: arguments.filters.clone(),
                ..Names::default()
            },
            axes: arguments.axes.clone(),
            root,
            environment: Environment::from_process(),
            program: std::env::current_exe().context("cannot find this program")?,
            session: None,
            started: false,
        })
    }

    async fn watch(&mut self) -> anyhow::Result<()> {
        let mut watch = Watch::start(&self.root)
            .with_context(|| format!("cannot watch the files in `{}`", self.root.display()))?;
        if let Some(project) = self.project() {
            self.axes.check(&project.manifest)?;
            let trials = self.axes.in_scope(&project.manifest, project.trials());
            if !trials.iter().any(|name| self.selects(name)) {
                status!(
                    "no trial matches: {}",
                    selection::why_nothing(&self.names, &trials)
                );
            }
        }
        self.warm_up().await;
        status!("watching `{}` until interrupted", self.root.display());
        loop {
            match watch.next().await {
                WatchEvent::Changed(files) => self.run_touched(&files).await,
                WatchEvent::Error(error) => status!("file watcher error (still watching): {error:#}"),
            }
        }
    }

    fn selects(&self, name: &TrialName) -> bool {
        self.names.select(name) && self.axes.select(name)
    }

    /// Opens the project, or prints its errors.
    fn project(&self) -> Option<Project> {
        project::open(&self.root)
            .map_err(|error| project::report(&error))
            .ok()
    }

    /// Ensures that there is a session. Without one, the runs still work but are slower.
    async fn warm_up(&mut self) {
        if self.environment.get(env::LITELLM_PROXY_BASE_URL).is_some() {
            return;
        }
        // Our lease would keep an outdated session alive.
        self.session = None;
        match self.ensure_session().await {
            Ok(started) => {
                self.started |= !started.was_running;
                self.session = Some(started);
            }
            Err(error) => status!("cannot start a session: {error:#}"),
        }
    }

    async fn ensure_session(&self) -> anyhow::Result<Started> {
        let Self {
            root,
            environment,
            program,
            ..
        } = self;
        let state = StateDir::of(environment, root)?;
        let progress = progress::on_standard_error();
        daemon::find_or_start(&state, root, environment, program, IDLE, progress.as_ref()).await
    }

    async fn run_touched(&mut self, files: &[PathBuf]) {
        let Some(project) = self.project() else { return };
        let in_scope = self.axes.in_scope(&project.manifest, project.trials());
        let mut names = selection::touched(files, in_scope);
        names.retain(|name| self.selects(name));
        if names.is_empty() {
            return;
        }
        status!("\n{}: {}", listed(files), counted(names.len(), "trial"));
        let faults = project.check(files);
        if !faults.is_empty() {
            return project::print(&faults, Format::Text);
        }
        self.warm_up().await;
        if let Err(error) = self.run(&names).await {
            status!("cannot run the trials: {error:#}");
        }
    }

    async fn run(&self, names: &[TrialName]) -> anyhow::Result<()> {
        let folder = private_folder::make("compat-").context("cannot create a temporary folder")?;
        let trials = folder.path().join("trials");
        let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
        std::fs::write(&trials, lines).context("cannot write the names of the trials")?;
        let tag = ProcessTag::run(RunId::mint());
        let launch = launch::of_run(self.arguments.harness.as_deref(), &self.root, "--quiet", tag)?
            .arguments(["--trials".as_ref(), trials.as_os_str()])
            .environment(self.environment.variables().clone())
            .environment([(env::CARGO_MANIFEST_DIR, &self.root)])
            .directory(&self.root);
        // Its last lines already show the result, so the exit status is not needed.
        process::on_terminal(&launch).await?;
        Ok(())
    }

    /// Ends the session if this watcher started it.
    async fn end(&mut self) {
        self.session = None;
        if !self.started {
            return;
        }
        if let Ok(state) = StateDir::of(&self.environment, &self.root) {
            daemon::end(&state).await;
        }
    }
}

/// The first three.
fn listed(files: &[PathBuf]) -> String {
    let shown = text::listed(files.iter().take(3).filter_map(|file| file.to_str()));
    match files.len() {
        0..=3 => shown,
        number => format!("{shown}, {} more", number - 3),
    }
}
