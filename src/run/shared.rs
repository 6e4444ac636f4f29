//! The results that all processes of a run share, when the test runner starts one process for each trial (nextest).

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::selected::is_live;
use crate::cells::limits::Limits;
use crate::env::{self, Environment};
use crate::files::atomic_write;
use crate::results::Results;
use crate::session::daemon::StateDir;

const RESULTS: &str = "results.json";
const NAME: &str = "run-name";
const LOCK: &str = "results";

/// The id of the nextest run that this process belongs to.
pub(super) fn nextest_run(environment: &Environment) -> Option<&str> {
    let is_per_test = environment.get(env::NEXTEST_EXECUTION_MODE) == Some("process-per-test");
    environment.get(env::NEXTEST_RUN_ID).filter(|_| is_per_test)
}

/// Fails if a live run has limits and a process for each trial: each process would keep them by itself.
pub(super) fn ensure_one_process(limits: &Limits, environment: &Environment) -> anyhow::Result<()> {
    ensure!(
        limits.0.is_empty() || !is_live(environment) || nextest_run(environment).is_none(),
        "the processes of nextest share no limit, and this live run has one for `{}`: use `cargo test --test compat`",
        limits.0[0].name
    );
    Ok(())
}

#[derive(Debug)]
pub(super) struct SharedResults {
    state: StateDir,
}

/// The exclusive right to read and write the shared results.
#[derive(Debug)]
pub(super) struct LockedResults<'a> {
    folder: &'a Path,
    _lock: File,
}

impl SharedResults {
    pub(super) fn of(environment: &Environment, root: &Path, run: &str) -> anyhow::Result<Self> {
        let state = StateDir::of_run(environment, root, run)?;
        state.prepare()?;
        Ok(Self { state })
    }

    /// The run's name: that of its first process, else `fresh`.
    pub(super) fn run_name(&self, fresh: &str) -> anyhow::Result<String> {
        let _locked = self.lock()?;
        let path = self.state.folder().join(NAME);
        if let Ok(name) = std::fs::read_to_string(&path) {
            return Ok(name);
        }
        atomic_write::write(&path, fresh).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(fresh.to_owned())
    }

    /// Waits until no other process changes the results.
    pub(super) fn lock(&self) -> anyhow::Result<LockedResults<'_>> {
        Ok(LockedResults {
            folder: self.state.folder(),
            _lock: self.state.locked(LOCK, File::lock)?,
        })
    }
}

impl LockedResults<'_> {
    /// The results so far; `None` in the first process.
    pub(super) fn read(&self) -> Option<Results> {
        let text = std::fs::read_to_string(self.folder.join(RESULTS)).ok()?;
        Results::parse(&text).ok()
    }

    pub(super) fn write(&self, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(RESULTS);
        atomic_write::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
    }
}
