//! What one `claude` run printed with `--output-format stream-json`, as typed events.
//!
//! Pure: lines in, events out. An event of a type that is not known is kept, and a line that is not JSON
//! is evidence, never an error.
#![warn(clippy::disallowed_methods)]

use serde_json::Value;

/// The events of a run, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    /// One a line.
    pub events: Vec<TimedEvent>,
}

/// A line and when it came.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedEvent {
    /// Milliseconds since the Unix epoch at which the line was complete.
    pub at_ms: u64,
    /// What it says.
    pub event: Event,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A JSON object.
    Json(Value),
    /// A line that is not a JSON object, as it came.
    Unparsable(String),
}
