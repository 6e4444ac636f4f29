//! Where a run writes its results and its evidence.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::env::{self, Environment};
use crate::files::atomic_write;
use crate::files::evidence_files::EVIDENCE;
use crate::progress::ProgressSink;

/// The files of a run. The first of several runs in a project writes the newest results; each other one has a folder of its
/// own.
#[derive(Debug)]
pub(super) struct RunPlace {
    pub(super) results: PathBuf,
    pub(super) junit: PathBuf,
    /// The parent of the evidence folders, relative to the project's root.
    pub(super) evidence: PathBuf,
    /// The right to write the newest results; the system releases it with the process.
    _lock: Option<File>,
}

impl RunPlace {
    /// The place of a run in the project at `root` that should write `results`.
    pub(super) fn take(
        root: &Path,
        results: &Path,
        environment: &Environment,
        progress: &dyn ProgressSink,
    ) -> anyhow::Result<Self> {
        let newest = Self::newest(root, results);
        let path = root.join(EVIDENCE).join("lock");
        let failed = || format!("cannot lock `{}`", path.display());
        atomic_write::make_folder(&root.join(EVIDENCE)).with_context(failed)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let lock = lock.with_context(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                _lock: Some(lock),
                ..newest
            }),
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
            Err(TryLockError::WouldBlock) => {
                let evidence = Path::new(EVIDENCE).join(format!("runs/{}", std::process::id()));
                let folder = root.join(&evidence);
                progress.note(&format!(
                    "another run writes the newest results of this project; those of this run go to `{}`",
                    folder.display()
                ));
                // A path that the user gave is this run's alone.
                let is_given = environment.get_os(env::COMPAT_RESULTS_PATH).is_some();
                Ok(Self {
                    results: match is_given {
                        true => newest.results,
                        false => folder.join("compat-results.json"),
                    },
                    junit: folder.join("junit.xml"),
                    evidence,
                    _lock: None,
                })
            }
        }
    }

    /// The place of a run that has `folder` for itself.
    pub(super) fn within(folder: &Path) -> Self {
        Self {
            results: folder.join("compat-results.json"),
            junit: folder.join("junit.xml"),
            evidence: folder.join("evidence"),
            _lock: None,
        }
    }

    /// The place of a process that shares its results with others.
    pub(super) fn newest(root: &Path, results: &Path) -> Self {
        Self {
            results: results.to_owned(),
            junit: root.join("test-results/junit.xml"),
            evidence: EVIDENCE.into(),
            _lock: None,
        }
    }
}
