//! How long processes waited for a CPU, as the kernel counts it for each thread.
//!
//! Source: <https://docs.kernel.org/scheduler/sched-stats.html>, `/proc/<pid>/schedstat`.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::clock::now_ms;
use crate::wire::exchange::CpuWait;

/// The pause between two measurements.
const PAUSE: Duration = Duration::from_millis(100);
/// A shorter wait delays nothing that is measured.
const SHORTEST_MS: u64 = 10;
/// How many spans are kept: about an hour on a machine that is always busy.
const MOST: usize = 36_000;

/// The waits of some processes, measured until it is dropped. There are none where the kernel does not count them.
#[derive(Debug)]
pub struct CpuWaits {
    spans: Arc<Mutex<VecDeque<CpuWait>>>,
    task: JoinHandle<()>,
}

impl CpuWaits {
    /// Measures the `processes`, which may change, on the current runtime.
    pub fn measure(processes: impl Fn() -> Vec<u32> + Send + 'static) -> Self {
        let spans = Arc::default();
        let task = tokio::spawn(measure(processes, Arc::clone(&spans)));
        Self { spans, task }
    }

    /// The spans between two times, in milliseconds since the Unix epoch.
    pub fn between(&self, from_ms: u64, to_ms: u64) -> Vec<CpuWait> {
        let spans = self.spans.lock();
        let later = spans.iter().rev().take_while(|span| span.to_ms > from_ms);
        let mut found: Vec<CpuWait> = later.filter(|span| span.from_ms < to_ms).copied().collect();
        found.reverse();
        found
    }
}

impl Drop for CpuWaits {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn measure(processes: impl Fn() -> Vec<u32>, spans: Arc<Mutex<VecDeque<CpuWait>>>) {
    let (mut before, mut from_ms) = (HashMap::new(), now_ms());
    loop {
        sleep(PAUSE).await;
        let now: Vec<HashMap<u32, u64>> = processes().into_iter().map(waits_of).collect();
        let to_ms = now_ms();
        // An event passes one thread of each process at a time.
        let waited_ms = now.iter().map(|threads| longest(threads, &before)).sum::<u64>() / 1_000_000;
        if waited_ms >= SHORTEST_MS {
            let mut spans = spans.lock();
            let waited_ms = waited_ms.min(to_ms.saturating_sub(from_ms));
            spans.push_back(CpuWait {
                from_ms,
                to_ms,
                waited_ms,
            });
            let excess = spans.len().saturating_sub(MOST);
            spans.drain(..excess);
        }
        before = now.into_iter().flatten().collect();
        from_ms = to_ms;
    }
}

/// The longest new wait of a thread, in nanoseconds. A new thread has waited since its start.
fn longest(threads: &HashMap<u32, u64>, before: &HashMap<u32, u64>) -> u64 {
    let new = threads.iter().map(|(thread, waited)| {
        let earlier = before.get(thread).copied().unwrap_or_default();
        waited.saturating_sub(earlier)
    });
    new.max().unwrap_or_default()
}

/// What each thread of a process has waited since its start, in nanoseconds.
fn waits_of(process: u32) -> HashMap<u32, u64> {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let threads = threads.into_iter().flatten().flatten().filter_map(|thread| {
        let counts = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let waited = counts.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some((thread.file_name().to_str()?.parse().ok()?, waited))
    });
    threads.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn threads_that_share_a_cpu_have_waits() {
        if fs::metadata("/proc/self/schedstat").is_err() {
            return;
        }
        let start_ms = now_ms();
        let waits = CpuWaits::measure(|| vec![std::process::id()]);
        let stop = Arc::new(AtomicBool::new(false));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..cores * 4).map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || while !stop.load(Ordering::Relaxed) {})
        });
        let threads: Vec<_> = threads.collect();
        let begin = Instant::now();
        let found = loop {
            sleep(PAUSE).await;
            let found = waits.between(start_ms, now_ms());
            if !found.is_empty() || begin.elapsed() > Duration::from_secs(60) {
                break found;
            }
        };
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_ne!(found, []);
        assert!(
            found
                .iter()
                .all(|span| (SHORTEST_MS..=span.to_ms - span.from_ms).contains(&span.waited_ms))
        );
        assert_eq!(waits.between(0, start_ms), []);
    }
}
