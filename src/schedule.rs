//! When a further `claude` may start: as many of them may compute at once as there are cores, and any number may wait.
//!
//! The start of a `claude` is about half a second of processor work, and so is what it does with an answer; more of
//! that at once than the machine has cores makes the whole slower (measured: 72 runs take 20 s by two on
//! two cores, 35 s by sixteen). Waiting for a provider costs nothing. This module counts; it knows no process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// An answer that comes sooner leaves no time in which another trial could start: the gateway is at work on it. How
/// long the next answer takes is told by the last one: only after a quick one is it waited so long for the next
/// before the trial counts as waiting (at 3 s to the first byte, waiting each time made the matrix 1.7 times slower).
const GRACE: Duration = Duration::from_millis(250);

/// Counts the trials that compute.
#[derive(Debug)]
pub struct Schedule {
    computing: Mutex<usize>,
    changed: Notify,
    limit: usize,
    answers_are_slow: AtomicBool,
}

impl Schedule {
    /// Lets `limit` trials compute at once.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            computing: Mutex::new(0),
            changed: Notify::new(),
            limit,
            answers_are_slow: AtomicBool::new(false),
        })
    }

    /// Waits until a trial may start. It computes until the turn is dropped, or says otherwise.
    pub async fn turn(self: &Arc<Self>) -> Turn {
        loop {
            let changed = self.changed.notified();
            {
                let mut computing = self.computing();
                if *computing < self.limit {
                    *computing += 1;
                    return Turn(Arc::new(Mutex::new(State {
                        schedule: Arc::clone(self),
                        computes: true,
                        request: 0,
                        asked: Instant::now(),
                    })));
                }
            }
            changed.await;
        }
    }

    fn computing(&self) -> MutexGuard<'_, usize> {
        self.computing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A trial's turn.
#[derive(Debug)]
pub struct Turn(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    schedule: Arc<Schedule>,
    computes: bool,
    /// How often the trial has asked or been answered: a timer that is late for the last question does nothing.
    request: u64,
    asked: Instant,
}

impl Turn {
    /// The trial has asked the gateway for something: if the answer takes its time, another may start.
    pub fn asks(&self) {
        let request = {
            let mut state = locked(&self.0);
            state.request += 1;
            state.asked = Instant::now();
            if state.schedule.answers_are_slow.load(Ordering::Relaxed) {
                return state.set_computes(false);
            }
            state.request
        };
        let state = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            if let Some(state) = state.upgrade() {
                let mut state = locked(&state);
                if state.request == request {
                    state.schedule.answers_are_slow.store(true, Ordering::Relaxed);
                    state.set_computes(false);
                }
            }
        });
    }

    /// The answer has begun to come: the trial computes again, however many others do.
    pub fn is_answered(&self) {
        let mut state = locked(&self.0);
        state.request += 1;
        if !state.computes {
            let is_slow = state.asked.elapsed() >= GRACE;
            state.schedule.answers_are_slow.store(is_slow, Ordering::Relaxed);
        }
        state.set_computes(true);
    }
}

impl State {
    fn set_computes(&mut self, computes: bool) {
        if self.computes == computes {
            return;
        }
        self.computes = computes;
        let mut computing = self.schedule.computing();
        if computes {
            *computing += 1;
        } else {
            *computing -= 1;
            // Every waiting start looks again; there are at most a few dozen.
            self.schedule.changed.notify_waiters();
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.set_computes(false);
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn may_start(schedule: &Arc<Schedule>) -> Option<Turn> {
        match pin!(schedule.turn()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn as_many_trials_compute_as_the_limit_says() {
        let schedule = Schedule::new(2);
        let first = may_start(&schedule).expect("nobody computes");
        let _second = may_start(&schedule).expect("one computes");
        assert!(may_start(&schedule).is_none());
        drop(first);
        assert!(may_start(&schedule).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_waits_lets_another_start_and_is_not_held_up_by_it() {
        let schedule = Schedule::new(1);
        let first = may_start(&schedule).expect("nobody computes");
        first.asks();
        assert!(may_start(&schedule).is_none(), "the answer may come at once");
        let second = schedule.turn().await;
        first.is_answered();
        drop(second);
        assert!(may_start(&schedule).is_none(), "the first computes again");
        drop(first);
        assert!(may_start(&schedule).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_quick_answer_leaves_no_room() {
        let schedule = Schedule::new(1);
        let first = may_start(&schedule).expect("nobody computes");
        first.asks();
        first.is_answered();
        tokio::time::sleep(GRACE * 3).await;
        assert!(may_start(&schedule).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_slow_answer_the_next_question_leaves_room_at_once_until_an_answer_is_quick() {
        let schedule = Schedule::new(1);
        let first = may_start(&schedule).expect("nobody computes");
        first.asks();
        tokio::time::sleep(GRACE * 3).await;
        first.is_answered();
        first.asks();
        let second = may_start(&schedule).expect("answers are slow");
        first.is_answered();
        drop(second);
        first.asks();
        assert!(may_start(&schedule).is_none(), "the last answer was quick");
    }
}
