//! Writes the results before a signal ends the run.

use std::sync::Arc;

use signal_hook::low_level::emulate_default_handler;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::recorder::Recorder;

/// Waits for SIGINT, SIGTERM or SIGHUP, writes results and JUnit, and ends this process as the signal does by default. The
/// watchdog then ends the run's processes.
pub(super) async fn flush_on_signals(recorder: Arc<Recorder>) {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let listening: Vec<(SignalKind, Signal)> = kinds
        .into_iter()
        .filter_map(|kind| Some((kind, signal(kind).ok()?)))
        .collect();
    let signals = listening.into_iter().map(|(kind, mut signal)| {
        Box::pin(async move {
            signal.recv().await;
            kind
        })
    });
    let (kind, ..) = futures_util::future::select_all(signals).await;
    let flushed = tokio::task::spawn_blocking(move || recorder.flush());
    // An error has been recorded, and there is nobody left to report it to.
    let _ = flushed.await;
    let _ = emulate_default_handler(kind.as_raw_value());
}
