//! The progress of a `claude` process, read from its standard output.

use std::time::Duration;

use serde_json::Value;

use crate::transcript::{ApiRetry, DeltaKind};
use crate::wire::error_reply::SLOW_DOWN;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaudeProgress {
    /// `claude` sends a request of the main conversation, and then waits for the reply. Retries are not announced this way.
    Requesting,
    /// A stream has shown this number of content deltas (text, thinking, tool arguments); 0 at its start.
    Deltas {
        /// The number of the stream in the main conversation, from 1.
        stream: usize,
        shown: usize,
    },
    /// `claude` waits for this time, because a provider is overloaded or limits requests. Then it repeats its request.
    Limited(Duration),
}

#[derive(Debug, Default)]
pub(super) struct ProgressTracker {
    stream: usize,
    shown: usize,
}

impl ProgressTracker {
    pub(super) fn next(&mut self, event: &Value) -> Option<ClaudeProgress> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        match text("/type")? {
            "system" if text("/subtype") == Some("status") && text("/status") == Some("requesting") => {
                Some(ClaudeProgress::Requesting)
            }
            "system" => {
                let retry = ApiRetry::from_event(0, event)?;
                let is_limit = retry.status.is_some_and(|status| SLOW_DOWN.contains(&status));
                is_limit.then(|| ClaudeProgress::Limited(Duration::from_millis(retry.delay_ms)))
            }
            "stream_event" if text("/parent_tool_use_id").is_none() => match text("/event/type")? {
                "message_start" => {
                    self.stream += 1;
                    self.shown = 0;
                    Some(self.deltas())
                }
                "content_block_delta" => {
                    DeltaKind::of(event.pointer("/event/delta")?)?;
                    self.shown += 1;
                    Some(self.deltas())
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn deltas(&self) -> ClaudeProgress {
        ClaudeProgress::Deltas {
            stream: self.stream,
            shown: self.shown,
        }
    }
}
