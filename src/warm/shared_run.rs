//! What the processes of one run have found so far, where a runner starts a process a trial.

use std::fs::File;

use super::{Place, WarmError};
use crate::results::Results;

/// The results of the run so far, as the last process left them.
const RESULTS: &str = "results.json";
const LOCK: &str = "results";

/// The results that the processes of a run share.
#[derive(Debug)]
pub struct SharedRun {
    place: Place,
}

/// The right to change them, until it is dropped.
#[derive(Debug)]
pub struct Held<'a> {
    place: &'a Place,
    _lock: File,
}

impl SharedRun {
    /// Those of the run that `place` is of.
    pub fn new(place: Place) -> Result<Self, WarmError> {
        place.prepare()?;
        Ok(Self { place })
    }

    /// Waits until no other process changes them.
    pub fn hold(&self) -> Result<Held<'_>, WarmError> {
        let lock = self.place.open(LOCK).map_err(self.place.failed("lock"))?;
        lock.lock().map_err(self.place.failed("lock"))?;
        Ok(Held {
            place: &self.place,
            _lock: lock,
        })
    }
}

impl Held<'_> {
    /// What the run has found so far; `None` for its first process.
    pub fn results(&self) -> Option<Results> {
        let text = std::fs::read_to_string(self.place.folder().join(RESULTS)).ok()?;
        Results::parse(&text).ok()
    }

    /// What the run has found now.
    pub fn keep(&self, text: &str) -> Result<(), WarmError> {
        crate::atomic_write::write(&self.place.folder().join(RESULTS), text)
            .map_err(self.place.failed("write"))
    }
}
