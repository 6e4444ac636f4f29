//! Selects the trials of a run, from the command line's filters and the last results.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::RunOptions;
use crate::claude::ClientFormat;
use crate::env::{self, Environment};
use crate::files::Project;
use crate::files::project::{broken_project, rendered};
use crate::files::run_folders;
use crate::ids::TrialName;
use crate::plan::{Planned, selection};
use crate::results::Results;

/// The project and the trials that a run selects.
#[derive(Debug)]
pub struct SelectedTrials {
    pub project: Project,
    pub results_path: PathBuf,
    /// The number of trials of the matrix and the sets of tiers that the run is about.
    pub in_scope: usize,
    /// In the project's order.
    pub names: Vec<TrialName>,
    /// The number of trials of this part that the filters exclude.
    pub filtered_out: usize,
    /// The run that `--rerun-failed` reruns.
    pub(super) rerun: Option<Results>,
    /// Whether the filters by name select nothing.
    pub is_unmatched: bool,
    /// Why trials are left out that this kind of run cannot have, a sentence each.
    pub notes: Vec<String>,
}

impl SelectedTrials {
    /// Reads the project and applies the filters. It reads no cell, except for a control run and for the trials that are not
    /// applicable.
    pub fn new(options: &RunOptions, environment: &Environment) -> anyhow::Result<Self> {
        let root = root(environment)?;
        let project = Project::open(&root).map_err(broken_project)?;
        let results_path = environment
            .path(env::COMPAT_RESULTS_PATH)
            .unwrap_or_else(|| root.join("compat-results.json"));
        options.axes.check(&project.manifest)?;
        let scope = options.axes.in_scope(&project.manifest, project.trials());
        let in_scope = scope.len();
        // A whole name or a list asks for its trials, in whatever set, and a rerun for those of its run.
        let is_in_any_set = options.names.exact
            || options.trials.is_some()
            || (options.last.rerun().is_some()
                && options.axes.set.is_none()
                && options.axes.matrix.is_none());
        let mut names = match is_in_any_set {
            true => part(options, project.trials())?,
            false => part(options, scope)?,
        };
        let mut notes = Vec::new();
        if options.is_control() {
            let url = env::LITELLM_PROXY_BASE_URL;
            ensure!(
                environment.get(url).is_none(),
                "`--gateway none` contradicts `{url}`: unset the variable"
            );
            let left_out = leave_out(&mut names, |name| !can_be_control(&project, name));
            notes.push(format!(
                "without a gateway, {left_out} trials cannot run: Claude Code has no protocol for their provider, or the cell \
                 sends a direct request"
            ));
        }
        let is_live = environment.get(env::LITELLM_PROXY_BASE_URL).is_some()
            && environment.get(env::COMPAT_PROVIDER_URL).is_none();
        if is_live {
            let left_out = leave_out(&mut names, |name| uses_subscription(&project, name));
            if left_out > 0 {
                notes.push(format!(
                    "{left_out} trials need the subscription of the provider simulator"
                ));
            }
        }
        let format = options.client_format();
        if format != ClientFormat::Messages {
            ensure!(
                !options.is_control(),
                "`--client-format {}` is for a run through a gateway, and `--gateway none` has none",
                format.name()
            );
            let left_out = leave_out(&mut names, |name| !has_format(format, name, is_live));
            notes.push(format!(
                "with `--client-format {}`, {left_out} trials cannot run: their provider has no such API, or LiteLLM would \
                 call the real provider",
                format.name()
            ));
        }
        let offered = names.len();
        filter(&mut names, options, &project);
        let is_unmatched = names.is_empty();
        let mut rerun = None;
        if options.last.is_set() {
            let path = match options.last.rerun() {
                Some(Some(run)) => run_folders::results(&root, run)?,
                _ => results_path.clone(),
            };
            let results = last_results(&path)?;
            names = options.last.select(&results, names);
            rerun = options.last.rerun().map(|_| results);
        }
        Ok(Self {
            rerun,
            is_unmatched,
            filtered_out: offered - names.len(),
            project,
            results_path,
            in_scope,
            names,
            notes,
        })
    }

    /// Why the filters select nothing.
    pub fn why_nothing(&self, options: &RunOptions) -> String {
        if !self.is_unmatched {
            return format!(
                "no trial in `{}` matches the filters",
                self.results_path.display()
            );
        }
        selection::why_nothing(&options.names, &self.project.trials())
    }

    /// Fails if a file below `cells` belongs to no trial.
    pub fn check_layout(&self) -> anyhow::Result<()> {
        ensure!(
            self.project.layout_errors.is_empty(),
            "these files belong to no trial, so the matrix is incomplete\n\n{}",
            rendered(&self.project.layout_errors)
        );
        Ok(())
    }
}

/// The project for which cargo runs the harness, else the one of the working directory.
fn root(environment: &Environment) -> anyhow::Result<PathBuf> {
    let start = environment
        .path(env::CARGO_MANIFEST_DIR)
        .map_or_else(std::env::current_dir, Ok)
        .context("there is no working directory")?;
    Project::find_root(&start)
        .with_context(|| format!("no `manifest.yaml` in `{}` or above it", start.display()))
}

/// The trials of this process's part: the shard, or the trials of the list.
fn part(options: &RunOptions, names: Vec<TrialName>) -> anyhow::Result<Vec<TrialName>> {
    let listed = match &options.trials {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the trials in `{}`", file.display()))?;
            selection::listed(&text, names)?
        }
        None => names,
    };
    Ok(match options.shard {
        Some(shard) => shard.of(listed),
        None => listed,
    })
}

/// Removes the trials that `is_left_out` names, and returns their number.
fn leave_out(names: &mut Vec<TrialName>, is_left_out: impl Fn(&TrialName) -> bool) -> usize {
    let before = names.len();
    names.retain(|name| !is_left_out(name));
    before - names.len()
}

/// Whether Claude Code can run the trial without a gateway. A direct request needs the Messages API.
fn can_be_control(project: &Project, name: &TrialName) -> bool {
    match name.cell.provider.as_str() {
        "anthropic" => true,
        "bedrock_invoke" | "vertex_ai" | "azure" | "bedrock_mantle" => match project.plan(None, name) {
            Planned::Run(planned) => planned.test().direct.is_none(),
            Planned::Broken(_) | Planned::NotApplicable(_) => true,
        },
        _ => false,
    }
}

fn uses_subscription(project: &Project, name: &TrialName) -> bool {
    matches!(project.plan(None, name), Planned::Run(planned) if planned.test().subscription)
}

/// Whether Claude Code can call a gateway in `format` for the trial's provider. LiteLLM's pass-through to Vertex AI calls Google,
/// whatever the base in its configuration (LiteLLM 1.106.2, `llm_passthrough_endpoints.py`).
fn has_format(format: ClientFormat, name: &TrialName, is_live: bool) -> bool {
    match (format, name.cell.provider.as_str()) {
        (ClientFormat::Messages, _) | (ClientFormat::Passthrough, "anthropic") => true,
        (ClientFormat::Provider, "bedrock_invoke" | "azure" | "bedrock_mantle") => true,
        (ClientFormat::Provider, "vertex_ai") => is_live,
        _ => false,
    }
}

fn filter(names: &mut Vec<TrialName>, options: &RunOptions, project: &Project) {
    if options.bench {
        names.clear();
        return;
    }
    names.retain(|name| options.names.select(name) && options.axes.select(name));
    if options.ignored {
        let not_applicable = project.not_applicable(names);
        names.retain(|name| not_applicable.contains(name));
    }
}

fn last_results(path: &Path) -> anyhow::Result<Results> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("there are no results to select from: `cargo test --test compat` writes `{shown}`")
        }
        read => read.with_context(|| format!("cannot read the last results in `{shown}`"))?,
    };
    Results::parse(&text).with_context(|| format!("`{shown}` contains no results"))
}
