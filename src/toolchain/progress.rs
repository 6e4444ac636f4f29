//! What an installation tells while it goes on; how that is shown is `cli`'s.

/// Hears of the progress of installations.
pub trait Progress: Send + Sync {
    /// A line about something that happened.
    fn note(&self, line: &str);

    /// A piece of work named `label` begins.
    fn begin(&self, label: &str);

    /// `done` bytes of the work named `label` are done, counted from its beginning, of `total` if that is known.
    fn advance(&self, label: &str, done: u64, total: Option<u64>);

    /// The work named `label` has ended, well or not.
    fn end(&self, label: &str);
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn note(&self, _line: &str) {}
    fn begin(&self, _label: &str) {}
    fn advance(&self, _label: &str, _done: u64, _total: Option<u64>) {}
    fn end(&self, _label: &str) {}
}

/// Work that ends when this is dropped, so that no way out leaves a bar behind.
pub(super) struct Work<'a> {
    progress: &'a dyn Progress,
    label: String,
}

impl<'a> Work<'a> {
    pub(super) fn begin(progress: &'a dyn Progress, label: impl Into<String>) -> Self {
        let label = label.into();
        progress.begin(&label);
        Self { progress, label }
    }

    pub(super) fn advance(&self, done: u64, total: Option<u64>) {
        self.progress.advance(&self.label, done, total);
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.progress.end(&self.label);
    }
}
