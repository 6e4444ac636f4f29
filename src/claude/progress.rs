//! What shows on standard output while `claude` runs.

use serde_json::Value;

use crate::transcript::DeltaKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// `claude` sends a request of the main conversation (its first, or one after a tool's result; a repetition is not
    /// announced this way): from here on it waits more than it computes.
    Requesting,
    /// A stream has shown so many content deltas (text, thinking, tool arguments); 0 when it begins.
    Deltas {
        /// Which stream of the main conversation, from 1.
        stream: usize,
        /// How many deltas of it have shown.
        shown: usize,
    },
}

#[derive(Debug, Default)]
pub(super) struct Follower {
    stream: usize,
    shown: usize,
}

impl Follower {
    pub(super) fn follow(&mut self, event: &Value) -> Option<Progress> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        match text("/type")? {
            "system" if text("/subtype") == Some("status") && text("/status") == Some("requesting") => {
                Some(Progress::Requesting)
            }
            "stream_event" if text("/parent_tool_use_id").is_none() => match text("/event/type")? {
                "message_start" => {
                    self.stream += 1;
                    self.shown = 0;
                    Some(self.deltas())
                }
                "content_block_delta" => {
                    DeltaKind::from_type(text("/event/delta/type")?)?;
                    self.shown += 1;
                    Some(self.deltas())
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn deltas(&self) -> Progress {
        Progress::Deltas {
            stream: self.stream,
            shown: self.shown,
        }
    }
}
