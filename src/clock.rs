//! The time of day, which never steps while this process runs.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
