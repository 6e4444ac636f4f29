//! Adds the warnings and errors of `claude`'s debug log to the transcript, as events.
//!
//! A line is `2026-11-21T09:09:32.967Z [ERROR] API error (attempt 1/3): 401 401 {"type":"error",…}` (measured with
//! 2.1.326). A line without a time continues the line before.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use chrono::DateTime;

use crate::transcript::{Event, TimedEvent, Transcript};

/// The most bytes that are read; a run writes about 25 kB.
const MAX_BYTES: u64 = 8 << 20;

/// Inserts the log's warnings and errors into the transcript, by time. A missing log has none.
pub(super) fn merge(transcript: &mut Transcript, log: &Path) {
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
    if read.is_err() {
        return;
    }
    for logged in events(&String::from_utf8_lossy(&bytes)) {
        let at = transcript
            .events
            .partition_point(|printed| printed.at_ms < logged.at_ms);
        transcript.events.insert(at, logged);
    }
}

fn events(log: &str) -> Vec<TimedEvent> {
    let mut entries: Vec<(u64, &str, String)> = Vec::new();
    for line in log.lines() {
        match entry(line) {
            Some((at_ms, level, text)) => entries.push((at_ms, level, text.to_owned())),
            None => {
                if let Some((_, _, text)) = entries.last_mut() {
                    text.push('\n');
                    text.push_str(line);
                }
            }
        }
    }
    entries
        .into_iter()
        .filter(|(_, level, _)| matches!(*level, "WARN" | "ERROR"))
        .map(|(at_ms, level, text)| TimedEvent {
            at_ms,
            event: Event::from_debug_log(level, &text),
        })
        .collect()
}

fn entry(line: &str) -> Option<(u64, &str, &str)> {
    let (time, rest) = line.split_once(" [")?;
    let (level, text) = rest.split_once("] ")?;
    let at_ms = DateTime::parse_from_rfc3339(time).ok()?.timestamp_millis();
    Some((u64::try_from(at_ms).ok()?, level, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_and_errors_are_kept_with_their_continuations() {
        let events = events(
            "2026-11-21T09:09:32.100Z [DEBUG] hello\n\
             2026-11-21T09:09:32.967Z [ERROR] API error (attempt 1/3): 500 500 two\nlines\n\
             2026-11-21T09:09:33.000Z [DEBUG] more\nof it\n",
        );
        let expected = Event::from_debug_log("ERROR", "API error (attempt 1/3): 500 500 two\nlines");
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].event, expected);
        assert_eq!(events[0].at_ms % 1_000, 967);
    }

    #[test]
    fn a_missing_log_adds_nothing() {
        let mut transcript = Transcript::default();
        merge(&mut transcript, Path::new("no/such/file"));
        assert!(transcript.events.is_empty());
    }
}
