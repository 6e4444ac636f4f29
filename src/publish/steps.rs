//! Which step of a run is under way, and who hears of it.
//!
//! Prints nothing itself: whoever starts a run says how it is told.

use std::fmt;

use crate::progress::ProgressSink;

#[derive(Clone, Copy)]
pub struct Voice<'a> {
    /// Says a line of the log: of which step, and what there is to say.
    pub say: fn(&str, &str),
    /// Hands on a line that the harness printed.
    pub relay: fn(&str),
    pub progress: &'a dyn ProgressSink,
}

impl fmt::Debug for Voice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voice").finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    pub voice: Voice<'a>,
    current: &'static str,
}

impl<'a> Steps<'a> {
    pub fn new(voice: Voice<'a>) -> Self {
        Self {
            voice,
            current: "begin",
        }
    }

    /// The step that is under way.
    pub fn current(&self) -> &'static str {
        self.current
    }

    /// From here on it is this one.
    pub fn begin(&mut self, step: &'static str) {
        self.current = step;
    }

    /// A line of the step that is under way.
    pub fn say(&self, text: &str) {
        (self.voice.say)(self.current, text);
    }
}
