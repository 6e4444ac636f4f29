//! Where a run writes its results and its evidence: a folder of its own, and the files of the last run.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::env::{self, Environment};
use crate::files::atomic_write;
use crate::files::evidence_files::EVIDENCE;
use crate::files::run_folders::{self, JUNIT, RESULTS, RunLock};
use crate::progress::ProgressSink;

/// The files of a run. Each run has a folder of its own. The first of several runs in a project also writes the files of the last
/// run.
#[derive(Debug)]
pub(super) struct RunPlace {
    /// The run's folder, relative to the project's root; the parent of its evidence.
    pub(super) folder: PathBuf,
    root: PathBuf,
    /// The results of the last run.
    last_results: Option<PathBuf>,
    /// The JUnit of the last run.
    last_junit: Option<PathBuf>,
    /// Whether the run writes anything.
    is_kept: bool,
    /// Taken by the process; the system releases them with it.
    _locks: (Option<File>, Option<RunLock>),
}

/// What a run's place depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) root: &'a Path,
    /// The file of the last results.
    pub(super) results: &'a Path,
    /// The name of the run.
    pub(super) run: &'a str,
    pub(super) environment: &'a Environment,
}

impl Wanted<'_> {
    fn newest(self) -> RunPlace {
        RunPlace {
            folder: run_folders::folder(self.run),
            root: self.root.to_owned(),
            last_results: Some(self.results.to_owned()),
            last_junit: Some(self.root.join("test-results").join(JUNIT)),
            is_kept: true,
            _locks: (None, None),
        }
    }

    /// The place of a process that is a whole run.
    pub(super) fn take(self, progress: &dyn ProgressSink) -> anyhow::Result<RunPlace> {
        let newest = self.newest();
        let own = run_folders::lock(&self.root.join(&newest.folder), false)?;
        ensure!(
            own.is_some(),
            "the run `{}` has not ended: wait for it, or end it",
            self.run
        );
        let path = self.root.join(EVIDENCE).join("lock");
        let failed = || format!("cannot lock `{}`", path.display());
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let lock = lock.with_context(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(RunPlace {
                _locks: (Some(lock), own),
                ..newest
            }),
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
            Err(TryLockError::WouldBlock) => {
                progress.note(&format!(
                    "another run writes the last results of this project; those of this run are only in `{}`",
                    newest.folder.display()
                ));
                // A path that the user gave is this run's alone.
                let is_given = self.environment.get_os(env::COMPAT_RESULTS_PATH).is_some();
                Ok(RunPlace {
                    last_results: newest.last_results.filter(|_| is_given),
                    last_junit: None,
                    _locks: (None, own),
                    ..newest
                })
            }
        }
    }

    /// The place of a process that shares its run with other processes.
    pub(super) fn share(self) -> anyhow::Result<RunPlace> {
        let newest = self.newest();
        let own = run_folders::lock(&self.root.join(&newest.folder), true)?;
        Ok(RunPlace {
            _locks: (None, own),
            ..newest
        })
    }

    /// The place of a run that executes nothing: it writes nothing, so that the last results stay.
    pub(super) fn nowhere(self) -> RunPlace {
        RunPlace {
            is_kept: false,
            ..self.newest()
        }
    }
}

impl RunPlace {
    /// The place of a run that has `folder` for itself: results, JUnit and evidence.
    pub(super) fn within(root: &Path, folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            root: root.to_owned(),
            last_results: None,
            last_junit: None,
            is_kept: true,
            _locks: (None, None),
        }
    }

    /// The file with this run's results; `None` if it writes none.
    pub(super) fn results(&self) -> Option<PathBuf> {
        let own = || self.root.join(&self.folder).join(RESULTS);
        self.is_kept
            .then(|| self.last_results.clone().unwrap_or_else(own))
    }

    /// Writes the results into the run's folder and as those of the last run.
    pub(super) fn write_results(&self, text: &str) -> anyhow::Result<()> {
        if !self.is_kept {
            return Ok(());
        }
        let own = self.root.join(&self.folder).join(RESULTS);
        write(&own, text)?;
        // A link: the results of a whole run have 11 MB, and a run writes them after each trial.
        match &self.last_results {
            Some(last) if link(&own, last).is_err() => write(last, text),
            _ => Ok(()),
        }
    }

    /// Gives the results of the last run a file of their own: a program that changes them must not change the kept run.
    pub(super) fn separate(&self, text: &str) -> anyhow::Result<()> {
        match &self.last_results {
            Some(last) if self.is_kept => write(last, text),
            _ => Ok(()),
        }
    }

    pub(super) fn write_junit(&self, text: &str) -> anyhow::Result<()> {
        if !self.is_kept {
            return Ok(());
        }
        write(&self.root.join(&self.folder).join(JUNIT), text)?;
        self.last_junit
            .as_deref()
            .map_or(Ok(()), |last| write(last, text))
    }

    /// Removes the oldest runs beyond the bound.
    pub(super) fn prune(&self, run: &str) {
        if self.is_kept {
            run_folders::prune(&self.root, run);
        }
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    atomic_write::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Makes `to` the same file as `from`, at once.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    let temporary = to.with_extension(format!("{}.tmp", std::process::id()));
    let _ = fs::remove_file(&temporary);
    fs::hard_link(from, &temporary)?;
    fs::rename(&temporary, to).inspect_err(|_| drop(fs::remove_file(&temporary)))
}
