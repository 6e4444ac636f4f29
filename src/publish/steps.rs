//! The log of a run: each line names the step under way. The caller decides how lines are shown.

use crate::progress::ProgressSink;

#[derive(Clone, Copy)]
pub struct StepLog<'a> {
    /// Writes a line: the step and the text.
    write: fn(&str, &str),
    /// Shows a line that the harness printed.
    pub relay: fn(&str),
    pub progress: &'a dyn ProgressSink,
    current: &'static str,
}

impl<'a> StepLog<'a> {
    pub fn new(write: fn(&str, &str), relay: fn(&str), progress: &'a dyn ProgressSink) -> Self {
        Self {
            write,
            relay,
            progress,
            current: "begin",
        }
    }

    /// The step under way.
    pub fn current(&self) -> &'static str {
        self.current
    }

    pub fn begin(&mut self, step: &'static str) {
        self.current = step;
    }

    /// Writes a line of the step under way.
    pub fn say(&self, text: impl AsRef<str>) {
        (self.write)(self.current, text.as_ref());
    }
}
