//! Writes the results before a signal ends the run.

use std::sync::Arc;

use signal_hook::low_level::emulate_default_handler;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::recorder::Recorder;
use crate::commands;
use crate::progress::ProgressSink;
use crate::results::Results;
use crate::text::counted;

/// Waits for SIGINT, SIGTERM or SIGHUP, writes results and JUnit, and ends this process as the signal does by default. The
/// watchdog then ends the run's processes.
pub(super) async fn flush_on_signals(recorder: Arc<Recorder>, progress: Option<Arc<dyn ProgressSink>>) {
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
    let flags = recorder.flags().to_owned();
    let flushed = tokio::task::spawn_blocking(move || recorder.flush());
    // An error of the recorder has been recorded.
    if let (Ok(results), Some(progress)) = (flushed.await, progress) {
        progress.trials(None);
        progress.note(&interrupted(&results, &flags));
    }
    let _ = emulate_default_handler(kind.as_raw_value());
}

/// What finished, and how to go on.
fn interrupted(results: &Results, flags: &str) -> String {
    let run = &results.run;
    let failed = results.results.iter().filter(|trial| trial.fails_run()).count();
    match &run.name {
        Some(name) => format!(
            "\ninterrupted: {} of {} finished, {failed} of them failed. They are kept in the run `{name}`.\n\
             `{}` runs the other {} and those that failed, and merges them into this run",
            results.results.len(),
            counted(run.selected, "trial"),
            commands::run(format!("{flags} --rerun-failed={name}").trim_start()),
            run.unfinished.len()
        ),
        // One of several versions: its numbers are not those of the command.
        None => format!(
            "\ninterrupted. Run the same command again: `{}` has stored the finished trials and runs the others; `{}` starts \
             from its ends",
            commands::compat("history"),
            commands::compat("bisect")
        ),
    }
}
