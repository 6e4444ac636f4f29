//! Waiting for a condition, and whether a process lives.

use std::time::{Duration, Instant};

/// Longer than any step of a test takes; only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `is_so`, which `what` describes.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    eventually(what, || is_so().then_some(())).await;
}

/// Waits until `find` finds `what`.
pub async fn eventually<T>(what: &str, find: impl Fn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether the process exists and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// The living processes with this argument.
pub fn with_argument(argument: &str) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(argument) && is_alive(*pid)
    })
    .collect()
}
