//! The folders of the kept runs: `target/compat/runs/<time>-<id>/`. Each has a run's results, its JUnit and its evidence.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::atomic_write;
use crate::evidence::Behind;
use crate::text::suggestion;

/// The parent of the runs' folders, relative to the project's root.
pub const RUNS: &str = "target/compat/runs";
/// The results in a run's folder; also the results of the last run, in the project's root.
pub const RESULTS: &str = "compat-results.json";
/// JUnit in a run's folder.
pub const JUNIT: &str = "junit.xml";
/// Locked while a process writes into the folder.
const LOCK: &str = "lock";

/// The most simulated runs to keep. An interactive day of work has about as many.
const MOST_RUNS: usize = 20;
/// The most bytes of simulated runs to keep: about five whole runs of 612 trials, at 800 MB each.
const MOST_BYTES: u64 = 4 << 30;

/// A new run's name. Names sort by time.
pub fn new_name(started_at: DateTime<Utc>) -> String {
    let id = Uuid::new_v4().simple().to_string();
    format!("{}-{}", started_at.format("%Y%m%d-%H%M%S"), &id[..6])
}

/// The folder of the run `name`, relative to the project's root.
pub fn folder(name: &str) -> PathBuf {
    Path::new(RUNS).join(name)
}

/// The names of the kept runs in the project at `root`, newest first.
pub fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join(RUNS)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().join(RESULTS).is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    names
}

/// The results of the run that `name` names: its whole name, or the beginning or the end of only one.
pub fn results(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let names = names(root);
    let path = |name: &str| root.join(folder(name)).join(RESULTS);
    if names.iter().any(|known| known == name) {
        return Ok(path(name));
    }
    let is_part = |known: &&String| !name.is_empty() && (known.starts_with(name) || known.ends_with(name));
    match names.iter().filter(is_part).collect::<Vec<_>>()[..] {
        [one] => Ok(path(one)),
        [] if names.is_empty() => bail!("there is no run `{name}`: no run is kept below `{RUNS}`"),
        [] => bail!(
            "there is no run `{name}`{}: `compat results list` shows the kept runs",
            suggestion(name, names.iter().map(String::as_str))
        ),
        [one, other, ..] => bail!("`{name}` may be the run `{one}` or `{other}`: write more of its name"),
    }
}

/// The right to write into a run's folder. The system releases it with the process.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// Makes `folder` and locks it; `None` if another process has locked it. With `shared`, several processes write one run.
pub fn lock(folder: &Path, shared: bool) -> anyhow::Result<Option<RunLock>> {
    let path = folder.join(LOCK);
    let failed = || format!("cannot lock `{}`", path.display());
    atomic_write::make_folder(folder).with_context(failed)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = file.with_context(failed)?;
    let locked = match shared {
        true => file.try_lock_shared(),
        false => file.try_lock(),
    };
    match locked {
        Ok(()) => Ok(Some(RunLock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(failed),
    }
}

/// The part of a run's results that says what stood behind the gateway.
#[derive(Deserialize)]
struct Head {
    run: HeadOfRun,
}

#[derive(Deserialize)]
struct HeadOfRun {
    behind: Behind,
}

/// Removes the oldest runs beyond the bound, but not `current`. A live run costs money, so it is never removed; nor is a run
/// that is being written, or whose results cannot be read.
pub fn prune(root: &Path, current: &str) {
    let (mut runs, mut bytes) = (0, 0);
    for name in names(root) {
        let folder = root.join(folder(&name));
        if !is_simulated(&folder) {
            continue;
        }
        runs += 1;
        bytes += size(&folder).unwrap_or_default();
        if (runs <= MOST_RUNS && bytes <= MOST_BYTES) || name == current {
            continue;
        }
        // Held until the folder is gone.
        if let Ok(Some(_lock)) = lock(&folder, false) {
            // A folder that cannot be removed is one too many, and no reason to fail the run.
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

fn is_simulated(folder: &Path) -> bool {
    let text = fs::read_to_string(folder.join(RESULTS)).unwrap_or_default();
    serde_json::from_str::<Head>(&text).is_ok_and(|head| head.run.behind == Behind::Simulated)
}

fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += match metadata.is_dir() {
            true => size(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(root: &Path, name: &str, behind: &str) {
        let text = format!("{{\"run\": {{\"behind\": \"{behind}\"}}}}");
        atomic_write::write(&root.join(folder(name)).join(RESULTS), &text).unwrap();
    }

    #[test]
    fn the_oldest_simulated_runs_beyond_the_bound_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let all: Vec<String> = (10..40).map(|day| format!("202611{day}-120000-abcdef")).collect();
        all.iter().for_each(|name| keep(root, name, "simulated"));
        keep(root, &all[0], "live");
        keep(root, &all[1], "unknown");
        keep(root, &all[29], "live");
        let _written = lock(&root.join(folder(&all[2])), false).unwrap().unwrap();
        prune(root, &all[3]);
        let mut kept = names(root);
        kept.reverse();
        assert_eq!(kept, [&all[..4], &all[9..]].concat());
    }

    #[test]
    fn a_part_of_a_name_is_enough_if_it_is_unique() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let error = |name: &str| results(root, name).unwrap_err().to_string();
        assert_eq!(
            error("x"),
            "there is no run `x`: no run is kept below `target/compat/runs`"
        );
        let [one, other] = ["20261127-120000-abcdef", "20261128-120000-012345"];
        keep(root, one, "live");
        keep(root, other, "live");
        let expected = root.join(folder(one)).join(RESULTS);
        for name in [one, "20261127", "abcdef"] {
            assert_eq!(results(root, name).unwrap(), expected, "{name}");
        }
        assert!(error("202611").contains("may be the run `20261128-120000-012345` or `20261127-"));
        assert!(error("20261127-120000-abcdeg").contains("(did you mean `20261127-120000-abcdef`?)"));
    }

    #[test]
    fn names_sort_by_time() {
        let at = |text: &str| new_name(text.parse().unwrap());
        let (early, late) = (at("2026-11-27T09:59:59Z"), at("2026-11-27T10:00:00Z"));
        assert!(
            early < late && early.starts_with("20261127-095959-"),
            "{early} {late}"
        );
    }
}
