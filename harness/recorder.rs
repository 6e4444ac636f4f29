//! The finished trials and their files: every trial is on disk as soon as it is finished, whatever ends the run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use compat_matrix::outcome::{RunRecord, TrialRecord};
use compat_matrix::results::{self, Results};

/// Collects the trials of a run and writes its files anew after each.
pub struct Recorder {
    results_path: PathBuf,
    junit_path: PathBuf,
    state: Mutex<State>,
}

struct State {
    run: RunRecord,
    trials: Vec<TrialRecord>,
    error: Option<anyhow::Error>,
}

impl Recorder {
    /// A recorder of a run in which nothing has finished yet. Its files are written at once: what an earlier run left
    /// must not be taken for this one's.
    pub fn start(results_path: PathBuf, junit_path: PathBuf, run: RunRecord) -> anyhow::Result<Self> {
        let recorder = Self {
            results_path,
            junit_path,
            state: Mutex::new(State {
                run,
                trials: Vec::new(),
                error: None,
            }),
        };
        recorder.update(|_| ());
        let error = recorder.locked().error.take();
        match error {
            Some(error) => Err(error),
            None => Ok(recorder),
        }
    }

    /// Changes what is known of the run.
    pub fn update_run(&self, change: impl FnOnce(&mut RunRecord)) {
        self.update(|state| change(&mut state.run));
    }

    /// Adds a finished trial.
    pub fn add(&self, trial: TrialRecord) {
        self.update(|state| state.trials.push(trial));
    }

    /// Marks the run as complete if all that was selected has finished, and returns what it came to.
    pub fn finish(&self) -> anyhow::Result<Results> {
        self.update(|state| state.run.complete = state.trials.len() == state.run.selected);
        let mut state = self.locked();
        match state.error.take() {
            Some(error) => Err(error),
            None => Ok(Results::from_records(&state.run, &state.trials)),
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.locked();
        change(&mut state);
        state.run.written_at = chrono::Utc::now();
        let results = Results::from_records(&state.run, &state.trials);
        let written = write_whole(&self.results_path, &results.to_text())
            .and_then(|()| write_whole(&self.junit_path, &results::junit::to_xml(&results)));
        if let Err(error) = written {
            state.error.get_or_insert(error);
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a file so that no reader ever sees half of it.
fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(".compat-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}
