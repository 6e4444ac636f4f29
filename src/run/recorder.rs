//! Records the finished trials: each one is on disk at once, so that nothing is lost when the run ends early.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::place::RunPlace;
use super::shared::SharedResults;
use crate::ids::TrialName;
use crate::results::{self, RecordTexts, Results, RunRecord, TrialRecord};

/// Writes the results of a run after each trial.
pub(super) struct Recorder {
    place: RunPlace,
    /// The flags of the run that say what was tested, for each record.
    flags: String,
    /// How long the run took that this one reruns, replacing its results trial by trial.
    rerun: Option<Duration>,
    started: Instant,
    /// Set if other processes run other trials of this run. Each change then starts from their results.
    shared: Option<SharedResults>,
    state: Mutex<State>,
}

struct State {
    results: Results,
    /// Unused if other processes change the results too.
    texts: RecordTexts,
    /// When JUnit is to be written again; `None`: with the next change.
    junit_due: Option<Instant>,
    error: Option<anyhow::Error>,
}

/// JUnit is needed at the end of a run; before that, it is written at most once in this time.
const JUNIT_PAUSE: Duration = Duration::from_secs(2);

/// JUnit grows with the run. Between two writes, a run has this many times the time that the last one took.
const JUNIT_SHARE: u32 = 100;

impl Recorder {
    /// Writes both files at once, so that the files of an earlier run do not look like this one's. `results` are empty, or those of
    /// the run that is rerun.
    pub(super) fn start(
        place: RunPlace,
        shared: Option<SharedResults>,
        results: Results,
        selected: &[TrialName],
        flags: String,
    ) -> anyhow::Result<Self> {
        let recorder = Self {
            place,
            flags,
            rerun: (!results.results.is_empty()).then(|| results.run.duration()),
            started: Instant::now(),
            shared,
            state: Mutex::new(State {
                results,
                texts: RecordTexts::default(),
                junit_due: None,
                error: None,
            }),
        };
        recorder.change(|results, _| results.begin(selected));
        let error = recorder.state.lock().error.take();
        error.map_or(Ok(recorder), Err)
    }

    /// Adds `records` if the run has no results yet: if this is its first process.
    pub(super) fn begin_with(&self, records: impl FnOnce() -> Vec<TrialRecord>) {
        self.change(|results, _| {
            if results.results.is_empty() {
                for mut record in records() {
                    record.flags.clone_from(&self.flags);
                    results.finish(record);
                }
            }
        });
    }

    pub(super) fn flags(&self) -> &str {
        &self.flags
    }

    pub(super) fn place(&self) -> &RunPlace {
        &self.place
    }

    /// Adds a finished trial, and makes `change` in the same write.
    pub(super) fn add(&self, mut trial: TrialRecord, change: impl FnOnce(&mut RunRecord, &TrialRecord)) {
        trial.flags.clone_from(&self.flags);
        self.change(|results, texts| {
            change(&mut results.run, &trial);
            texts.forget(&trial.nodeid);
            if self.rerun.is_some() {
                results.results.retain(|earlier| earlier.nodeid != trial.nodeid);
            }
            results.finish(trial);
        });
    }

    /// The record of a finished trial.
    pub(super) fn record_of(&self, name: &TrialName) -> Option<TrialRecord> {
        let state = self.state.lock();
        let mut records = state.results.results.iter();
        records.find(|record| record.nodeid == *name).cloned()
    }

    /// Marks the run as complete if all selected trials have finished, and returns the results.
    pub(super) fn finish(&self) -> anyhow::Result<Results> {
        self.state.lock().junit_due = None;
        self.change(|results, _| results.settle(true));
        let mut state = self.state.lock();
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        self.place.separate(&state.results.to_text())?;
        Ok(state.results.clone())
    }

    /// Writes both files now, and returns the results.
    pub(super) fn flush(&self) -> Results {
        self.state.lock().junit_due = None;
        self.change(|_, _| {});
        let results = self.state.lock().results.clone();
        // A signal ends the run, so no error can be reported.
        let _ = self.place.separate(&results.to_text());
        results
    }

    /// Changes the conditions of the run and writes the results.
    pub(super) fn update(&self, change: impl FnOnce(&mut RunRecord)) {
        self.change(|results, _| change(&mut results.run));
    }

    /// Changes the results and writes them. The first error is returned at the end of the run. A change of a record forgets its
    /// text.
    fn change(&self, change: impl FnOnce(&mut Results, &mut RecordTexts)) {
        let mut state = self.state.lock();
        if let Err(error) = self.try_change(&mut state, change) {
            state.error.get_or_insert(error);
        }
    }

    fn try_change(
        &self,
        state: &mut State,
        change: impl FnOnce(&mut Results, &mut RecordTexts),
    ) -> anyhow::Result<()> {
        let (results, texts) = (&mut state.results, &mut state.texts);
        // Held until both files are written.
        let locked = self.shared.as_ref().map(SharedResults::lock).transpose()?;
        if let Some(known) = locked.as_ref().and_then(|locked| locked.read()) {
            *results = known;
        }
        change(results, texts);
        results.run.written_at = chrono::Utc::now();
        if let Some(earlier) = self.rerun {
            let milliseconds = (earlier + self.started.elapsed()).as_millis();
            results.run.ran_ms = u64::try_from(milliseconds).ok();
        }
        let text = match &locked {
            Some(_) => results.to_text(),
            None => texts.of(results),
        };
        if let Some(locked) = &locked {
            locked.write(&text)?;
        }
        self.place.write_results(&text)?;
        let started = Instant::now();
        if self.shared.is_none() && state.junit_due.is_some_and(|due| started < due) {
            return Ok(());
        }
        self.place.write_junit(&results::junit::to_xml(results))?;
        let pause = JUNIT_PAUSE.max(started.elapsed() * JUNIT_SHARE);
        state.junit_due = Some(Instant::now() + pause);
        Ok(())
    }
}
