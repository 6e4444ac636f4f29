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
    /// When the first trial of the session ended, and how many had ended then. A session that is ready may wait for its turn
    /// before that, and a trial whose cell cannot be read needs none.
    since: Option<(Instant, usize)>,
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
        self.done += 1;
        if self.is_ready {
            self.since.get_or_insert_with(|| (Instant::now(), self.done));
        }
        self.failed += usize::from(failed);
    }

    /// `128 of 513 trials, 3 failed, about 4 min left`.
    pub(super) fn to_line(&self) -> String {
        self.line_after(self.since.map(|(since, _)| since.elapsed()).unwrap_or_default())
    }

    /// `elapsed` is the time since the first trial ended.
    fn line_after(&self, elapsed: Duration) -> String {
        let failed = match self.failed {
            0 => String::new(),
            number => format!(", {number} failed"),
        };
        let ran = self.since.map_or(0, |(_, before)| self.done - before);
        let left = match self.is_ready {
            false => ", starting the session".to_owned(),
            true if ran > 0 && self.done < self.total && elapsed >= SHORTEST => {
                let rest = (self.total - self.done) as f64 / ran as f64;
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
        // One whose cell cannot be read ends before the session begins.
        pace.finish(false);
        assert_eq!(pace.to_line(), "1 of 100 trials, starting the session");
        pace.start();
        (0..26).for_each(|number| pace.finish(number < 3));
        let after = |seconds| pace.line_after(Duration::from_secs(seconds));
        assert_eq!(after(1), "27 of 100 trials, 3 failed");
        assert_eq!(after(25), "27 of 100 trials, 3 failed, about 1 min 13 s left");
        assert_eq!(after(50), "27 of 100 trials, 3 failed, about 2 min 26 s left");
    }
}
