//! The evidence of a trial that an argument names.

use crate::text::closest;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::check;
use crate::env::{self, Environment};
use crate::evidence::Evidence;
use crate::evidence_files;
use crate::ids::TrialName;
use crate::plan::selection;
use crate::results::file::{Entry, Results};

/// A trial, its evidence and what was said of it.
pub(super) struct Recorded {
    /// The folder of its evidence.
    pub(super) folder: PathBuf,
    /// The trial, if the argument named one or the results know the folder.
    pub(super) name: Option<TrialName>,
    /// What the results say of it.
    pub(super) entry: Option<Entry>,
    /// What it left behind.
    pub(super) evidence: Evidence,
}

/// The recorded trial that `trial` names: `feature::provider::tier`, or a folder of evidence.
pub(super) fn recorded(trial: &str, root: Option<&Path>) -> anyhow::Result<Recorded> {
    let (folder, name, entry) = find(trial, root)?;
    let evidence = evidence_files::read(&folder)?;
    Ok(Recorded {
        folder,
        name,
        entry,
        evidence,
    })
}

fn find(
    trial: &str,
    named_root: Option<&Path>,
) -> anyhow::Result<(PathBuf, Option<TrialName>, Option<Entry>)> {
    let current = std::env::current_dir().context("the working directory is gone")?;
    let root = check::root(named_root, &current);
    let folder = current.join(trial);
    if folder.is_dir() {
        let entry = root.ok().and_then(|root| {
            let folder = folder.canonicalize().ok()?;
            let is_it = |entry: &Entry| {
                let known = entry
                    .evidence
                    .as_ref()
                    .and_then(|known| root.join(known).canonicalize().ok());
                known.is_some_and(|known| known == folder)
            };
            results(&root).ok()??.results.into_iter().find(is_it)
        });
        let name = entry.as_ref().map(|entry| entry.nodeid.clone());
        return Ok((PathBuf::from(trial), name, entry));
    }
    let Ok(name) = trial.parse::<TrialName>() else {
        let recorded = root.ok().and_then(|root| results(&root).ok().flatten());
        let names: Vec<String> = recorded
            .iter()
            .flat_map(|results| &results.results)
            .map(|entry| entry.nodeid.to_string())
            .collect();
        bail!(
            "`{trial}` is neither a folder nor a trial, expected `feature::provider::tier`{}",
            selection::did_you_mean(trial, &names)
        );
    };
    let root = root?;
    let entries = results(&root)?.map(|results| results.results).unwrap_or_default();
    let usual = evidence_files::folder(&name, None);
    let entry = entries.iter().find(|entry| entry.nodeid == name);
    let folder = match entry {
        Some(Entry {
            evidence: Some(folder),
            ..
        }) => root.join(folder),
        _ if root.join(&usual).is_dir() => root.join(&usual),
        Some(_) => {
            bail!("nothing was run for `{name}`, so there is no evidence: `compat explain {name}` says why")
        }
        None => {
            let names: Vec<String> = entries.iter().map(|entry| entry.nodeid.to_string()).collect();
            match closest(trial, names.iter().map(String::as_str)) {
                Some(close) => bail!("the last run has no trial `{name}`; did you mean `{close}`?"),
                None => bail!(
                    "no run of `{name}` is recorded: `cargo test --test compat -- --exact {name}` records one"
                ),
            }
        }
    };
    let folder = folder
        .strip_prefix(&current)
        .map_or(folder.clone(), Path::to_owned);
    Ok((folder, Some(name), entry.cloned()))
}

/// What the last run has left behind, if there was one.
fn results(root: &Path) -> anyhow::Result<Option<Results>> {
    let path = Environment::from_process()
        .path(env::COMPAT_RESULTS_PATH)
        .unwrap_or_else(|| root.join("compat-results.json"));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(
            Results::parse(&text).with_context(|| format!("`{}`", path.display()))?,
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading `{}`", path.display())),
    }
}
