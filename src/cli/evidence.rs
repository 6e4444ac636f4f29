//! Finds the evidence of the trial that an argument names.

use crate::files::{evidence_files, run_folders};
use crate::plan::selection;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::project::{self, RootFlag};
use crate::commands;
use crate::env::{self, Environment};
use crate::evidence::{Evidence, UnderTest};
use crate::ids::TrialName;
use crate::results::{Results, TrialRecord};
use crate::session;
use crate::text::closest;
use crate::wire::secrets::Secrets;

pub(super) struct RecordedTrial {
    /// The folder of its evidence.
    pub(super) folder: PathBuf,
    /// The trial, if the argument named one or the results know the folder.
    pub(super) name: Option<TrialName>,
    /// Its result in `compat-results.json`.
    pub(super) result: Option<TrialRecord>,
    pub(super) evidence: Evidence,
    /// The gateway and the versions; `None` if nobody recorded them.
    pub(super) under_test: Option<UnderTest>,
}

/// The flag for a kept run.
#[derive(clap::Args, Debug)]
pub struct RunFlag {
    /// The trial of this kept run (`compat results list`) [default: the last run]
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
}

/// `trial` is `feature::provider::tier`, or a folder of evidence.
pub(super) fn recorded(trial: &str, root: &RootFlag, run: &RunFlag) -> anyhow::Result<RecordedTrial> {
    let current = project::current_dir()?;
    let root = root.find();
    let run = run.run.as_deref();
    let own_root = root.as_ref().ok().cloned();
    let (folder, name, result) = if current.join(trial).is_dir() {
        let result = root
            .ok()
            .and_then(|root| result_of_folder(&root, &current.join(trial)));
        let name = result.as_ref().map(|result| result.nodeid.clone());
        (PathBuf::from(trial), name, result)
    } else if let Ok(name) = trial.parse::<TrialName>() {
        let (folder, result) = of_name(&name, &root?, run)?;
        let folder = match folder.strip_prefix(&current) {
            Ok(relative) => relative.to_owned(),
            Err(_) => folder,
        };
        (folder, Some(name), result)
    } else {
        let known = root.ok().and_then(|root| results(&root, run).ok());
        bail!(
            "`{trial}` is neither a folder nor a trial, expected `feature::provider::tier`{}",
            selection::did_you_mean(trial, &names(&known.unwrap_or_default()))
        );
    };
    let mut evidence = evidence_files::read(&folder)?;
    let secrets = session::secrets_of_project(
        &Environment::from_process(),
        own_root.as_deref().unwrap_or(&current),
    );
    evidence.redact(&Secrets::new(secrets))?;
    Ok(RecordedTrial {
        evidence,
        under_test: evidence_files::read_under_test(&folder)?,
        folder,
        name,
        result,
    })
}

/// The evidence of `result` in the project at `root`, or `None` if there is none any more.
pub(super) fn of_result(
    root: &Path,
    result: TrialRecord,
    secrets: &Secrets,
) -> Option<anyhow::Result<RecordedTrial>> {
    let folder = root.join(result.evidence.as_ref()?);
    folder.is_dir().then(|| {
        let mut evidence = evidence_files::read(&folder)?;
        evidence.redact(secrets)?;
        Ok(RecordedTrial {
            evidence,
            under_test: None,
            name: Some(result.nodeid.clone()),
            folder: result.evidence.as_ref().map_or(folder, PathBuf::from),
            result: Some(result),
        })
    })
}

fn result_of_folder(root: &Path, folder: &Path) -> Option<TrialRecord> {
    let folder = folder.canonicalize().ok()?;
    let is_its = |result: &TrialRecord| {
        let recorded = result.evidence.as_ref().map(|recorded| root.join(recorded));
        recorded.is_some_and(|recorded| recorded.canonicalize().is_ok_and(|recorded| recorded == folder))
    };
    // A folder of a kept run is below the folder of its results.
    let run = folder.ancestors().find(|parent| {
        parent
            .parent()
            .is_some_and(|runs| runs.ends_with(run_folders::RUNS))
    });
    let run = run.and_then(|run| run.file_name()?.to_str());
    results(root, run).ok()?.into_iter().find(is_its)
}

fn of_name(
    name: &TrialName,
    root: &Path,
    run: Option<&str>,
) -> anyhow::Result<(PathBuf, Option<TrialRecord>)> {
    let results = results(root, run)?;
    let result = results.iter().find(|result| result.nodeid == *name);
    if let Some(folder) = result.and_then(|result| result.evidence.as_ref()) {
        return Ok((root.join(folder), result.cloned()));
    }
    let usual = root.join(evidence_files::folder(name, None));
    if run.is_none() && usual.is_dir() {
        return Ok((usual, result.cloned()));
    }
    if result.is_some() {
        bail!("`{name}` was not run, so there is no evidence: `compat explain {name}` says why");
    }
    match closest(&name.to_string(), names(&results).iter().map(String::as_str)) {
        Some(close) => bail!("the run has no trial `{name}`; did you mean `{close}`?"),
        None if run.is_some() => {
            bail!("the run has no trial `{name}`: `compat results list` shows the other runs")
        }
        None => {
            let run = commands::run(&format!("--exact {name}"));
            bail!("no run of `{name}` is recorded: `{run}` records one")
        }
    }
}

fn names(results: &[TrialRecord]) -> Vec<String> {
    results.iter().map(|result| result.nodeid.to_string()).collect()
}

/// The results of a kept run, else of the last run; empty if there was none.
fn results(root: &Path, run: Option<&str>) -> anyhow::Result<Vec<TrialRecord>> {
    let path = match run {
        Some(run) => run_folders::results(root, run)?,
        None => Environment::from_process()
            .path(env::COMPAT_RESULTS_PATH)
            .unwrap_or_else(|| root.join(run_folders::RESULTS)),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let results = Results::parse(&text).with_context(|| format!("`{}`", path.display()))?;
            Ok(results.results)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("reading `{}`", path.display())),
    }
}
