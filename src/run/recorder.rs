//! Records the finished trials: each one is on disk at once, so that nothing is lost when the run ends early.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use parking_lot::Mutex;

use super::shared::SharedResults;
use crate::env::{self, Environment};
use crate::evidence::Behind;
use crate::files::atomic_write;
use crate::ids::TrialName;
use crate::results::{self, GatewayRecord, Results, RunRecord, TrialRecord};

/// Writes the results of a run after each trial.
pub(super) struct Recorder {
    results_path: PathBuf,
    junit_path: PathBuf,
    /// Set if other processes run other trials of this run. Each change then starts from their results.
    shared: Option<SharedResults>,
    state: Mutex<State>,
}

struct State {
    results: Results,
    junit_written: Option<Instant>,
    error: Option<anyhow::Error>,
}

/// JUnit is needed at the end of a run; before that, it is written at most once in this time.
const JUNIT_PAUSE: Duration = Duration::from_secs(2);

impl Recorder {
    /// Writes both files at once, so that the files of an earlier run do not look like this one's.
    pub(super) fn start(
        results_path: PathBuf,
        junit_path: PathBuf,
        shared: Option<SharedResults>,
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
        let error = recorder.state.lock().error.take();
        error.map_or(Ok(recorder), Err)
    }

    pub(super) fn add(&self, trial: TrialRecord) {
        self.update(|results| results.finish(trial));
    }

    /// The record of a finished trial.
    pub(super) fn record_of(&self, name: &TrialName) -> Option<TrialRecord> {
        let state = self.state.lock();
        let mut records = state.results.results.iter();
        records.find(|record| record.nodeid == *name).cloned()
    }

    /// Marks the run as complete if all selected trials have finished, and returns the results.
    pub(super) fn finish(&self) -> anyhow::Result<Results> {
        self.state.lock().junit_written = None;
        self.update(|results| results.settle(true));
        let mut state = self.state.lock();
        match state.error.take() {
            Some(error) => Err(error),
            None => Ok(state.results.clone()),
        }
    }

    /// Writes both files now.
    pub(super) fn flush(&self) {
        self.state.lock().junit_written = None;
        self.update(|_| {});
    }

    /// Changes the results and writes them. The first error is returned at the end of the run.
    pub(super) fn update(&self, change: impl FnOnce(&mut Results)) {
        let mut state = self.state.lock();
        if let Err(error) = self.try_update(&mut state, change) {
            state.error.get_or_insert(error);
        }
    }

    fn try_update(&self, state: &mut State, change: impl FnOnce(&mut Results)) -> anyhow::Result<()> {
        let results = &mut state.results;
        // Held until both files are written.
        let locked = self.shared.as_ref().map(SharedResults::lock).transpose()?;
        if let Some(known) = locked.as_ref().and_then(|locked| locked.read()) {
            *results = known;
        }
        change(results);
        results.run.written_at = chrono::Utc::now();
        let text = results.to_text();
        if let Some(locked) = &locked {
            locked.write(&text)?;
        }
        write(&self.results_path, &text)?;
        let is_recent = |written: Instant| written.elapsed() < JUNIT_PAUSE;
        if self.shared.is_none() && state.junit_written.is_some_and(is_recent) {
            return Ok(());
        }
        write(&self.junit_path, &results::junit::to_xml(results))?;
        state.junit_written = Some(Instant::now());
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    atomic_write::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// The record of a run that starts now.
pub(super) fn record(
    environment: &Environment,
    control: bool,
    is_catalogued: bool,
    name: Option<String>,
    trials: usize,
) -> RunRecord {
    let now = chrono::Utc::now();
    let is_attached = environment.get(env::LITELLM_PROXY_BASE_URL).is_some();
    let is_live = is_attached && environment.get(env::COMPAT_PROVIDER_URL).is_none();
    RunRecord {
        rehearsal: false,
        spent: None,
        behind: if is_live { Behind::Live } else { Behind::Simulated },
        gateway: GatewayRecord {
            kind: match (control, is_attached) {
                (true, _) => "none",
                (false, true) => "attached",
                (false, false) if is_catalogued => "catalogue",
                (false, false) => "litellm",
            }
            .to_owned(),
            name,
            version: None,
        },
        claude_code_version: None,
        isolation: None,
        started_at: now,
        written_at: now,
        trials,
        selected: 0,
        complete: false,
        unfinished: Vec::new(),
        client_format: None,
    }
}
