//! `compat watch`: runs what a changed file touches, as soon as it is saved.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::Runtime;
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

use super::print::talk;
use super::{check, progress};
use crate::document::render::Format;
use crate::env::{self, Environment};
use crate::ids::TrialName;
use crate::plan::selection::{self, Axes, Names};
use crate::process::{self, Launch, Mark, RunId};
use crate::session::daemon::{self, Started, StateDir};
use crate::spec_files::Project;
use crate::text::counted;
use crate::watch::{Noticed, Watch};

/// How long the session stays when the watcher is gone and could not end it.
const IDLE: Duration = Duration::from_mins(10);

/// Run what a changed file touches, as soon as it is saved
///
/// A cell's file touches its trials, `_shared.yaml` and whatever else is in a feature's folder the feature's, `manifest.yaml`,
/// `proxy_config.yaml` and the pinned tools all; of these the filters say which are run. Faults in a file are shown, and
/// nothing is run until they are mended. The trials are run by `cargo test --test compat`, onto a session that is kept warm as
/// by `compat up`, and ended with the watcher if the watcher began it. It watches until interrupted.
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
    /// The built harness [default: `cargo test --test compat` in the project]
    #[arg(long, value_name = "FILE")]
    pub harness: Option<PathBuf>,
    /// The folder that holds `manifest.yaml` [default: the nearest one upwards]
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let current = std::env::current_dir().context("the working directory is gone")?;
    let root = check::root(arguments.root.as_deref(), &current)?;
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
    /// This program as it was started: the next build puts another in its place.
    program: PathBuf,
    /// The session that is kept warm, and a lease of it.
    session: Option<Started>,
    /// Whether this watcher began one.
    began: bool,
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
            began: false,
        })
    }

    async fn watch(&mut self) -> anyhow::Result<()> {
        let mut watch = Watch::start(&self.root)
            .with_context(|| format!("cannot watch the files in `{}`", self.root.display()))?;
        if let Ok(project) = self.project() {
            self.axes.check(&project.manifest)?;
            let trials = project.trials();
            if !trials
                .iter()
                .any(|name| self.names.select(name) && self.axes.select(name))
            {
                talk!(
                    "nothing would be run as it is: {}",
                    selection::why_nothing(&self.names, &trials)
                );
            }
        }
        self.warm_up().await;
        talk!("watching `{}`, until interrupted", self.root.display());
        loop {
            match watch.next().await {
                Noticed::Changed(files) => self.run_touched(&files).await,
                Noticed::Fault(fault) => talk!("watching had a fault, and goes on: {fault}"),
            }
        }
    }

    /// The project as it is now; its faults are shown.
    fn project(&self) -> Result<Project, ()> {
        check::open(&self.root).map_err(drop)
    }

    /// Sees to a session, without which the runs are slower and no worse.
    async fn warm_up(&mut self) {
        if self.environment.get(env::LITELLM_PROXY_BASE_URL).is_some() {
            return;
        }
        // The lease of one that is renewed must not keep it.
        self.session = None;
        let state = match StateDir::of(&self.environment, &self.root) {
            Ok(state) => state,
            Err(error) => return talk!("no session can be kept warm: {error:#}"),
        };
        let progress = progress::on_standard_error();
        let ensured = daemon::find_or_start(
            &state,
            &self.root,
            &self.environment,
            &self.program,
            IDLE,
            progress.as_ref(),
        );
        match ensured.await {
            Ok(started) => {
                self.began |= !started.was_running;
                self.session = Some(started);
            }
            Err(error) => talk!("no session can be kept warm: {error:#}"),
        }
    }

    async fn run_touched(&mut self, files: &[PathBuf]) {
        let Ok(project) = self.project() else { return };
        let mut names = selection::touched(files, project.trials());
        names.retain(|name| self.names.select(name) && self.axes.select(name));
        if names.is_empty() {
            return;
        }
        talk!("\n{}: {}", listed(files), counted(names.len(), "trial"));
        let faults = project.check(files);
        if !faults.is_empty() {
            return check::print(&faults, Format::Text);
        }
        self.warm_up().await;
        if let Err(error) = self.run(&names).await {
            talk!("cannot run the trials: {error:#}");
        }
    }

    async fn run(&self, names: &[TrialName]) -> anyhow::Result<()> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let trials = folder.path().join("trials");
        let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
        std::fs::write(&trials, lines).context("cannot write the names of the trials")?;
        let mark = Mark::run(RunId::mint());
        let launch = match &self.arguments.harness {
            Some(program) => Launch::new(program, mark),
            None => Launch::new("cargo", mark).arguments(["test", "--quiet", "--test", "compat", "--"]),
        };
        let launch = launch
            .arguments(["--trials".as_ref(), trials.as_os_str()])
            .environment(self.environment.variables().clone())
            .environment([(env::CARGO_MANIFEST_DIR, &self.root)])
            .directory(&self.root);
        // Its exit status says what its last lines say.
        process::on_terminal(&launch).await?;
        Ok(())
    }

    /// Ends the session that this watcher began.
    async fn end(&mut self) {
        self.session = None;
        if !self.began {
            return;
        }
        if let Ok(state) = StateDir::of(&self.environment, &self.root) {
            daemon::end(&state).await;
        }
    }
}

fn listed(files: &[PathBuf]) -> String {
    let mut shown: Vec<String> = files.iter().take(3).map(|file| shown(file)).collect();
    if files.len() > shown.len() {
        shown.push(format!("{} more", files.len() - shown.len()));
    }
    shown.join(", ")
}

fn shown(file: &Path) -> String {
    format!("`{}`", file.display())
}
