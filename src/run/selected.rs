//! Selects the trials of a run, from the command line's filters and the last results.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail, ensure};

use super::RunOptions;
use super::gateway_name::gateway_name;
use crate::catalogue::{Configuration, DEFAULT, Install};
use crate::cells::ProxyConfig;
use crate::cells::limits::Limits;
use crate::commands;
use crate::env::{self, Environment};
use crate::files::Project;
use crate::files::built_in;
use crate::files::project::{GATEWAYS, broken_project, rendered};
use crate::files::run_folders;
use crate::findings::GatewayDescription;
use crate::gateway::{LITELLM, NO_GATEWAY, WantedGateway, ensure_override_fits};
use crate::ids::{CellId, TrialName};
use crate::plan::{Planned, selection};
use crate::results::{LeftOut, Results};
use crate::text::{self, counted, suggestion};
use crate::wire::client_format::ClientFormat;

/// The project and the trials that a run selects.
#[derive(Debug)]
pub struct SelectedTrials {
    pub project: Project,
    pub results_path: PathBuf,
    /// The number of trials of the matrix and the sets of tiers that the run is about: all if it selects a trial outside them.
    pub in_scope: usize,
    /// In the project's order.
    pub names: Vec<TrialName>,
    /// The number of trials that the filters exclude.
    pub filtered_out: usize,
    /// The gateway under test, as its file describes it.
    pub gateway: GatewayDescription,
    /// The gateway's configuration; `None` for the usual one.
    pub configuration: Option<Configuration>,
    /// The run that `--rerun-failed` reruns.
    pub(super) rerun: Option<Results>,
    /// Whether the filters select nothing, in no part of the run. It is a mistake of the command line.
    pub is_unmatched: bool,
    /// Why trials are left out that this kind of run cannot have, a sentence each.
    pub notes: Vec<String>,
    /// The cells of these trials, with the reason of each.
    pub(super) left_out: LeftOut,
}

impl SelectedTrials {
    /// Reads the project and applies the filters. It reads no cell, except for a control run and for the trials that are not
    /// applicable.
    pub fn new(options: &RunOptions, environment: &Environment) -> anyhow::Result<Self> {
        Self::in_project(options, environment, &root(environment)?)
    }

    /// The same for the project at `root`.
    pub fn in_project(options: &RunOptions, environment: &Environment, root: &Path) -> anyhow::Result<Self> {
        let project = Project::open(root).map_err(broken_project)?;
        check_gateway(options, environment, &project)?;
        let gateway = match gateway_name(options, environment) {
            Some(name) => project.gateway(&name).map_err(broken_project)?,
            None => GatewayDescription::default(),
        };
        let configuration = gateway.configurations.called(&options.config);
        let configuration = configuration.map_err(|why| anyhow!("`--config {}`: {why}", options.config))?;
        let configuration = configuration.cloned();
        let results_path = environment
            .path(env::COMPAT_RESULTS_PATH)
            .unwrap_or_else(|| root.join("compat-results.json"));
        options.axes.check(&project.manifest)?;
        let tiers = project.manifest.tier_ids();
        for limit in &options.limits {
            if let Some(why) = limit.unknown(project.manifest.providers.iter(), tiers.iter()) {
                bail!("`--limit {}`: {why}", limit.name);
            }
        }
        let scope = options.axes.in_scope(&project.manifest, project.trials());
        // A whole name or a list asks for its trials, in whatever set, and a rerun for those of its run. `--exact` without a
        // name changes nothing, as in libtest.
        let is_in_any_set = (options.names.exact && !options.names.filters.is_empty())
            || options.trials.is_some()
            || (options.last.rerun().is_some()
                && options.axes.set.is_none()
                && options.axes.matrix.is_none());
        let all = project.trials();
        let offered = if is_in_any_set { all.clone() } else { scope.clone() };
        // A part may have none of the trials that the filters select.
        let is_selected = |name: &TrialName| options.names.select(name) && options.axes.select(name);
        let has_match = offered.iter().any(is_selected);
        let listed = listed(options, offered)?;
        // The same number in each shard.
        let scope: HashSet<TrialName> = scope.into_iter().collect();
        let is_outside = |name: &TrialName| is_selected(name) && !scope.contains(name);
        let in_scope = match listed.iter().any(is_outside) {
            true => all.len(),
            false => scope.len(),
        };
        let mut names = listed;
        let stray = selection::stray_filter(&options.names, &all);
        let mut notes: Vec<String> = stray.filter(|_| has_match).into_iter().collect();
        let mut cells = LeftOut::new();
        // The notes count the selected ones: the filters would leave out the others anyway.
        let mut leave_out_selected =
            |names: &mut Vec<TrialName>, why: &dyn Fn(&TrialName) -> Option<String>| {
                let mut selected = 0;
                names.retain(|name| {
                    let Some(why) = why(name) else { return true };
                    let CellId { feature, provider } = &name.cell;
                    let row = cells.entry(feature.clone()).or_default();
                    row.insert(provider.clone(), why);
                    selected += usize::from(is_selected(name));
                    false
                });
                (selected > 0).then(|| counted(selected, "trial"))
            };
        if options.is_control() {
            let url = env::LITELLM_PROXY_BASE_URL;
            ensure!(
                environment.get(url).is_none(),
                "`--gateway none` contradicts `{url}`: unset the variable"
            );
            let left_out = leave_out_selected(&mut names, &|name| {
                (!can_be_control(&project, name))
                    .then(|| "Claude Code cannot run this without a gateway.".to_owned())
            });
            notes.extend(left_out.map(|left_out| {
                format!(
                    "without a gateway, {left_out} cannot run: Claude Code has no protocol for the provider, or the cell sends \
                     a direct request"
                )
            }));
        }
        let is_live = is_live(environment);
        if is_live {
            let left_out = leave_out_selected(&mut names, &|name| {
                let reason = project.needs_script(name)?;
                Some(format!("A live run does not test this. {reason}"))
            });
            notes.extend(left_out.map(|left_out| {
                format!("this live run leaves out {left_out}: only the cell's own replies can show the feature (`needs_script` says why)")
            }));
        }
        let format = options.client_format();
        if format != ClientFormat::Messages {
            ensure!(
                !options.is_control(),
                "`--client-format {}` is for a run through a gateway, and `--gateway none` has none",
                format.name()
            );
            // A gateway that nobody named may be LiteLLM.
            let may_be_litellm = gateway_name(options, environment).is_none_or(|name| name == LITELLM);
            let leaves = may_be_litellm && !is_live;
            let left_out = leave_out_selected(&mut names, &|name| why_no_format(format, name, leaves));
            let or_leaves = if leaves {
                ", or LiteLLM would call the real provider"
            } else {
                ""
            };
            notes.extend(left_out.map(|left_out| {
                format!(
                    "with `--client-format {}`, {left_out} cannot run: the provider has no such API{or_leaves}",
                    format.name()
                )
            }));
        }
        let mut filtered_out = filter(&mut names, options, &project, &gateway);
        let is_unmatched = !has_match || (options.is_whole() && names.is_empty());
        let mut rerun = None;
        if options.last.is_set() {
            let path = match options.last.rerun() {
                Some(Some(run)) => run_folders::results(root, run)?,
                _ => results_path.clone(),
            };
            let results = last_results(&path)?;
            filtered_out += names.len();
            names = options.last.select(&results, names);
            filtered_out -= names.len();
            rerun = options.last.rerun().map(|_| results);
        }
        Ok(Self {
            rerun,
            is_unmatched,
            filtered_out,
            project,
            gateway,
            configuration,
            results_path,
            in_scope,
            names,
            notes,
            left_out: cells,
        })
    }

    /// What to do with a trial. A gateway that lacks its column or its feature makes it not applicable.
    pub fn plan(&self, proxy_config: Option<&ProxyConfig>, name: &TrialName) -> Planned {
        let gateway = &self.gateway;
        match gateway.lacks.reason(&name.cell) {
            Some(reason) => Planned::NotApplicable(format!("{}: {reason}", gateway.known.gateway)),
            None => self.project.plan(proxy_config, name),
        }
    }

    /// Those of `names` that are not applicable.
    pub(super) fn not_applicable(&self, names: &[TrialName]) -> HashSet<TrialName> {
        not_applicable(names, &self.project, &self.gateway)
    }

    /// The limits of a live run: those of the command line go before the manifest's.
    pub fn limits(&self, options: &RunOptions) -> Limits {
        let own = options.limits.iter().chain(&self.project.manifest.limits.0);
        Limits(own.cloned().collect())
    }

    /// Why the filters select nothing.
    pub fn why_nothing(&self, options: &RunOptions) -> String {
        if self.is_unmatched {
            return selection::why_nothing(&options.names, &self.project.trials());
        }
        match options.last.rerun().flatten() {
            Some(run) => format!("no trial of the run `{run}` matches the filters"),
            None if options.last.is_set() => format!(
                "no trial in `{}` matches the filters",
                self.results_path.display()
            ),
            None => "this part has no trial".to_owned(),
        }
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

/// Fails if there is no file for `gateway` among those of `files`.
pub fn ensure_known(gateway: &WantedGateway, files: &[String]) -> anyhow::Result<()> {
    let known = || files.iter().map(String::as_str).chain([NO_GATEWAY]);
    ensure!(
        gateway.is_none() || gateway.name == LITELLM || files.contains(&gateway.file_name()),
        "there is no gateway `{}`{}: known are {}",
        gateway.name,
        suggestion(&gateway.file_name(), known()),
        text::listed(known())
    );
    Ok(())
}

/// Fails if there is no such gateway, or if a version contradicts the gateway that already runs.
fn check_gateway(options: &RunOptions, environment: &Environment, project: &Project) -> anyhow::Result<()> {
    let (gateway, url) = (&options.gateway, env::LITELLM_PROXY_BASE_URL);
    let is_attached = environment.get(url).is_some();
    ensure!(
        options.headers.is_empty() || is_attached,
        "`--header` is for an attached gateway, and `{url}` is not set"
    );
    let name = gateway.file_name();
    if ![LITELLM, NO_GATEWAY].contains(&name.as_str()) {
        ensure!(
            !is_attached,
            "`--gateway {gateway}` contradicts `{url}`, which names a gateway that already runs: unset the variable, or \
             name the running one with `--gateway-name`"
        );
        ensure_known(gateway, &project.gateways())?;
        let description = project.gateway(&name).map_err(broken_project)?;
        let entry = description.entry.with_context(|| {
            format!(
                "`{GATEWAYS}/{name}.yaml` has no `install`, so this gateway can only be attached: set `{url}`"
            )
        })?;
        let is_versioned = !matches!(entry.install, Install::BuiltIn(_));
        ensure!(
            gateway.version.is_none() || is_versioned,
            "`{}` is part of this program, so it has no other version",
            gateway.name
        );
    }
    ensure_override_fits(options.overrides.as_deref(), gateway)?;
    let flag = match (&gateway.version, &options.overrides) {
        (Some(_), _) => format!("--gateway {gateway}"),
        (None, Some(_)) => "--override".to_owned(),
        (None, None) if options.config != DEFAULT => format!("--config {}", options.config),
        (None, None) => return Ok(()),
    };
    ensure!(
        environment.get(url).is_none(),
        "`{flag}` contradicts `{url}`, which names a gateway that already runs: unset the variable"
    );
    ensure!(
        !options.is_control(),
        "`{flag}` is for a gateway, and `--gateway {NO_GATEWAY}` has none"
    );
    Ok(())
}

/// Whether the run goes to providers that no simulator replaces, as far as its environment tells.
pub(super) fn is_live(environment: &Environment) -> bool {
    environment.get(env::LITELLM_PROXY_BASE_URL).is_some()
        && environment.get(env::COMPAT_PROVIDER_URL).is_none()
}

/// The project for which cargo runs the harness, else the one of the working directory.
fn root(environment: &Environment) -> anyhow::Result<PathBuf> {
    let start = environment
        .path(env::CARGO_MANIFEST_DIR)
        .map_or_else(std::env::current_dir, Ok)
        .context("there is no working directory")?;
    Project::find_root(&start).with_context(|| {
        // `compat run` writes the built-in cells before, if this program has them.
        let built_in = match built_in::exists() {
            true => "",
            false => "; this program has no built-in cells, because only a release has them",
        };
        format!(
            "no `manifest.yaml` in `{}` or above it{built_in}",
            start.display()
        )
    })
}

/// The trials among `names` that the file of `--trials` lists; all without it.
fn listed(options: &RunOptions, names: Vec<TrialName>) -> anyhow::Result<Vec<TrialName>> {
    let Some(file) = &options.trials else {
        return Ok(names);
    };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the trials in `{}`", file.display()))?;
    Ok(selection::listed(&text, names)?)
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

/// Why Claude Code cannot call a gateway in `format` for the trial's provider. With `leaves`, the gateway's pass-through to Vertex AI
/// leaves a simulated run: LiteLLM's calls Google, whatever the base in its configuration (LiteLLM 1.106.2,
/// `llm_passthrough_endpoints.py`).
fn why_no_format(format: ClientFormat, name: &TrialName, leaves: bool) -> Option<String> {
    match (format, name.cell.provider.as_str()) {
        (ClientFormat::Messages, _) | (ClientFormat::Passthrough, "anthropic") => None,
        (ClientFormat::Provider, "bedrock_invoke" | "azure" | "bedrock_mantle") => None,
        (ClientFormat::Provider, "vertex_ai") => leaves.then(|| {
            "LiteLLM's pass-through would call the real provider, which a simulated run must not do."
                .to_owned()
        }),
        _ => Some(format!(
            "Claude Code does not call this provider in the client format `{}`.",
            format.name()
        )),
    }
}

/// Those of `names` that no run can have: the project says so, or the gateway lacks the column or the feature.
fn not_applicable(
    names: &[TrialName],
    project: &Project,
    gateway: &GatewayDescription,
) -> HashSet<TrialName> {
    let mut found = project.not_applicable(names);
    let lacked = names
        .iter()
        .filter(|name| gateway.lacks.reason(&name.cell).is_some());
    found.extend(lacked.cloned());
    found
}

/// Keeps the trials that the filters select, and of them those of the part. Returns how many the filters left out; the trials of
/// other parts are not among them.
fn filter(
    names: &mut Vec<TrialName>,
    options: &RunOptions,
    project: &Project,
    gateway: &GatewayDescription,
) -> usize {
    if options.bench {
        return std::mem::take(names).len();
    }
    let mut filtered_out = leave_out(names, |name| {
        !(options.names.select(name) && options.axes.select(name))
    });
    if let Some(shard) = options.shard {
        *names = shard.of(std::mem::take(names));
    }
    if options.ignored {
        let not_applicable = not_applicable(names, project, gateway);
        filtered_out += leave_out(names, |name| !not_applicable.contains(name));
    }
    filtered_out
}

fn last_results(path: &Path) -> anyhow::Result<Results> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "there are no results to select from: `{}` writes `{shown}`",
                commands::run("")
            )
        }
        read => read.with_context(|| format!("cannot read the last results in `{shown}`"))?,
    };
    Results::parse(&text).with_context(|| format!("`{shown}` contains no results"))
}
