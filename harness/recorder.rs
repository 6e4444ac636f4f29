//! The finished trials and their files: every trial is on disk as soon as it is finished, whatever ends the run.

use parking_lot::Mutex;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use compat_matrix::ids::TrialName;
use compat_matrix::results::{self, Results, RunRecord, TrialRecord};
use compat_matrix::warm::SharedRun;

/// Collects the trials of a run and writes its files anew after each.
pub struct Recorder {
    results_path: PathBuf,
    junit_path: PathBuf,
    /// The run, if other processes run other trials of it: what they have found is taken up before each change.
    shared: Option<SharedRun>,
    state: Mutex<State>,
}

struct State {
    results: Results,
    junit_written: Option<Instant>,
    error: Option<anyhow::Error>,
}

/// The JUnit file is for the end of a run; until then it need not be newer than this.
const JUNIT_PAUSE: Duration = Duration::from_secs(2);

impl Recorder {
    /// A recorder of a run of which `selected` is to finish. Its files are written at once: what an earlier run left must
    /// not be taken for this one's.
    pub fn start(
        results_path: PathBuf,
        junit_path: PathBuf,
        shared: Option<SharedRun>,
        run: RunRecord,
        selected: &[TrialName],
    ) -> anyhow::Result<Self> {
        let recorder = Self {
            results_path,
            junit_path,
            shared,
            state: Mutex::new(State {
                results: Results::new(run, Vec::new()),
                junit_written: None,
                error: None,
            }),
        };
        recorder.update(|results| results.begin(selected));
        let error = recorder.locked().error.take();
        match error {
            Some(error) => Err(error),
            None => Ok(recorder),
        }
    }

    /// Changes what is known of the run.
    pub fn update_run(&self, change: impl FnOnce(&mut RunRecord)) {
        self.update(|results| change(&mut results.run));
    }

    pub fn add(&self, trial: TrialRecord) {
        self.update(|results| results.finish(trial));
    }

    /// Marks the run as complete if all that was selected has finished, and returns what it came to.
    pub fn finish(&self) -> anyhow::Result<Results> {
        self.locked().junit_written = None;
        self.update(|results| results.settle(true));
        let mut state = self.locked();
        match state.error.take() {
            Some(error) => Err(error),
            None => Ok(state.results.clone()),
        }
    }

    fn update(&self, change: impl FnOnce(&mut Results)) {
        let mut state = self.locked();
        if let Err(error) = self.try_update(&mut state, change) {
            state.error.get_or_insert(error);
        }
    }

    fn try_update(&self, state: &mut State, change: impl FnOnce(&mut Results)) -> anyhow::Result<()> {
        let results = &mut state.results;
        // Until the files are written nobody else changes them.
        let held = match &self.shared {
            Some(shared) => Some(shared.hold()?),
            None => None,
        };
        if let Some(known) = held.as_ref().and_then(|held| held.results()) {
            *results = known;
        }
        change(results);
        results.run.written_at = chrono::Utc::now();
        let text = results.to_text();
        if let Some(held) = &held {
            held.keep(&text)?;
        }
        write_whole(&self.results_path, &text)?;
        let is_new_enough = |written: Instant| written.elapsed() < JUNIT_PAUSE;
        if self.shared.is_none() && state.junit_written.is_some_and(is_new_enough) {
            return Ok(());
        }
        write_whole(&self.junit_path, &results::junit::to_xml(results))?;
        state.junit_written = Some(Instant::now());
        Ok(())
    }

    fn locked(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
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
