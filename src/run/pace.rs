//! How far a run is, and how long the rest takes.

use std::time::{Duration, Instant};

use crate::text::{counted, duration_in_words};

/// The trials of a run that are executed.
#[derive(Debug)]
pub(super) struct Pace {
    total: usize,
    done: usize,
    failed: usize,
    /// When the session was ready.
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
            since: None,
        }
    }

    /// The session is ready, so the trials begin.
    pub(super) fn start(&mut self) {
        self.since = Some(Instant::now());
    }

    pub(super) fn finish(&mut self, failed: bool) {
        self.done += 1;
        self.failed += usize::from(failed);
    }

    /// `128 of 513 trials, 3 failed, about 4 min left`.
    pub(super) fn to_line(&self) -> String {
        let elapsed = self.since.map(|since| since.elapsed());
        self.line_after(elapsed)
    }

    fn line_after(&self, elapsed: Option<Duration>) -> String {
        let failed = match self.failed {
            0 => String::new(),
            number => format!(", {number} failed"),
        };
        let left = match elapsed {
            None => ", starting the session".to_owned(),
            Some(elapsed) if self.done > 0 && self.done < self.total && elapsed >= SHORTEST => {
                let rest = (self.total - self.done) as f64 / self.done as f64;
                let seconds = (elapsed.as_secs_f64() * rest).ceil() as u64;
                format!(", about {} left", duration_in_words(seconds))
            }
            Some(_) => String::new(),
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
        assert_eq!(pace.line_after(None), "0 of 100 trials, starting the session");
        (0..25).for_each(|number| pace.finish(number < 3));
        let after = |seconds| pace.line_after(Some(Duration::from_secs(seconds)));
        assert_eq!(after(1), "25 of 100 trials, 3 failed");
        assert_eq!(after(20), "25 of 100 trials, 3 failed, about 1 min left");
        assert_eq!(after(50), "25 of 100 trials, 3 failed, about 2 min 30 s left");
    }
}
