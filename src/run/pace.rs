//! How far a run is, and how long the rest takes.

use std::time::{Duration, Instant};

use crate::text::{counted, duration_in_words};

/// The trials of a run that are executed.
#[derive(Debug)]
pub(super) struct Pace {
    total: usize,
    done: usize,
    failed: usize,
    is_ready: bool,
    /// When the first trial ended. A session that is ready may wait for its turn before that.
    since: Option<Instant>,
}

/// With less, an estimate says nothing.
const SHORTEST: Duration = Duration::from_secs(2);

impl Pace {
    pub(super) fn of(total: usize) -> Self {
        Self {
            total,
            done: 0,
            failed: 0,
            is_ready: false,
            since: None,
        }
    }

    /// The session is ready, so the trials begin.
    pub(super) fn start(&mut self) {
        self.is_ready = true;
    }

    pub(super) fn finish(&mut self, failed: bool) {
        self.since.get_or_insert_with(Instant::now);
        self.done += 1;
        self.failed += usize::from(failed);
    }

    /// `128 of 513 trials, 3 failed, about 4 min left`.
    pub(super) fn to_line(&self) -> String {
        self.line_after(self.since.map(|since| since.elapsed()).unwrap_or_default())
    }

    /// `elapsed` is the time since the first trial ended.
    fn line_after(&self, elapsed: Duration) -> String {
        let failed = match self.failed {
            0 => String::new(),
            number => format!(", {number} failed"),
        };
        let left = match self.is_ready {
            false => ", starting the session".to_owned(),
            true if self.done > 1 && self.done < self.total && elapsed >= SHORTEST => {
                let rest = (self.total - self.done) as f64 / (self.done - 1) as f64;
                let seconds = (elapsed.as_secs_f64() * rest).ceil() as u64;
                format!(", about {} left", duration_in_words(seconds))
            }
            true => String::new(),
        };
        format!("{} of {}{failed}{left}", self.done, counted(self.total, "trial"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_finished_trials() {
        let mut pace = Pace::of(100);
        assert_eq!(pace.to_line(), "0 of 100 trials, starting the session");
        pace.start();
        (0..26).for_each(|number| pace.finish(number < 3));
        let after = |seconds| pace.line_after(Duration::from_secs(seconds));
        assert_eq!(after(1), "26 of 100 trials, 3 failed");
        assert_eq!(after(25), "26 of 100 trials, 3 failed, about 1 min 14 s left");
        assert_eq!(after(50), "26 of 100 trials, 3 failed, about 2 min 28 s left");
    }
}
