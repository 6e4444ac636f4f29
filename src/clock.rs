//! The time of day, which never steps while this process runs.

use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// The time at the first use. Later times add the elapsed time, so that a corrected system clock reorders no exchange.
static START: LazyLock<(u64, Instant)> = LazyLock::new(|| {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since_epoch.as_millis() as u64, Instant::now())
});

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let (start_ms, start) = *START;
    start_ms + start.elapsed().as_millis() as u64
}

/// Counts the time in which at least one of several things waits.
#[derive(Debug, Default)]
pub struct WaitClock(Mutex<Waits>);

#[derive(Debug, Default)]
struct Waits {
    ended: Duration,
    under_way: usize,
    since: Option<Instant>,
}

/// A wait; it ends when this is dropped.
#[derive(Debug)]
pub struct Wait(Arc<WaitClock>);

impl WaitClock {
    pub fn wait(self: &Arc<Self>) -> Wait {
        let mut waits = self.0.lock();
        waits.under_way += 1;
        waits.since.get_or_insert_with(Instant::now);
        Wait(Arc::clone(self))
    }

    /// Counts a wait that something else announces.
    pub fn add(&self, announced: Duration) {
        self.0.lock().ended += announced;
    }

    /// The time so far.
    pub fn total(&self) -> Duration {
        let waits = self.0.lock();
        waits.ended + waits.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// What `future` returns, if it ends within `patience`. The waits of that time do not count.
    pub async fn within<T>(&self, patience: Duration, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let (start, waited) = (Instant::now(), self.total());
        loop {
            let deadline = start + patience + (self.total() - waited);
            if deadline <= Instant::now() {
                return None;
            }
            if let Ok(value) = tokio::time::timeout_at(deadline.into(), &mut future).await {
                return Some(value);
            }
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut waits = self.0.0.lock();
        waits.under_way -= 1;
        if waits.under_way == 0
            && let Some(since) = waits.since.take()
        {
            waits.ended += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_does_not_count_as_time_of_a_future() {
        let clock = Arc::new(WaitClock::default());
        let patience = Duration::from_secs(1);
        let held = async {
            let _wait = clock.wait();
            tokio::time::sleep(2 * patience).await;
        };
        assert_eq!(clock.within(patience, held).await, Some(()));
        let never = std::future::pending::<()>();
        assert_eq!(clock.within(patience / 10, never).await, None);
    }

    #[test]
    fn waits_at_the_same_time_count_once() {
        let clock = Arc::new(WaitClock::default());
        let (first, second) = (clock.wait(), clock.wait());
        std::thread::sleep(Duration::from_millis(20));
        drop(first);
        assert!(clock.total() >= Duration::from_millis(20), "one still waits");
        drop(second);
        let total = clock.total();
        assert!(total < Duration::from_millis(2000), "{total:?}");
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(clock.total(), total);
    }
}
