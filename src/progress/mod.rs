//! Progress of long work such as downloads: a sink that gets reports, and two that show them on standard error.

pub mod output;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, IsTerminal, Write as _};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use crate::report::wrap;
use crate::text::printable;

/// Gets reports of progress; `label` names a piece of work.
pub trait ProgressSink: Send + Sync {
    /// A line about an event.
    fn note(&self, _line: &str) {}

    fn begin(&self, _label: &str) {}

    /// `done` bytes of `total`, if that is known.
    fn advance(&self, _label: &str, _done: u64, _total: Option<u64>) {}

    /// The work has ended, successfully or not.
    fn end(&self, _label: &str) {}

    /// How far the trials of a run are; `None` at their end.
    fn trials(&self, _line: Option<&str>) {}

    /// Writes `bytes` to standard output, above what this shows on standard error.
    fn print(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl ProgressSink for Silent {}

/// A piece of work that ends when this is dropped, so that no error path leaves a bar on the terminal.
pub struct Work<'a> {
    progress: &'a dyn ProgressSink,
    label: String,
}

impl<'a> Work<'a> {
    pub fn begin(progress: &'a dyn ProgressSink, label: impl Into<String>) -> Self {
        let label = label.into();
        progress.begin(&label);
        Self { progress, label }
    }

    pub fn advance(&self, done: u64, total: Option<u64>) {
        self.progress.advance(&self.label, done, total);
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.progress.end(&self.label);
    }
}

/// Bars if standard error is a terminal, lines otherwise.
pub fn on_standard_error() -> Box<dyn ProgressSink> {
    if std::io::stderr().is_terminal() {
        Box::new(Bars::default())
    } else {
        Box::new(Lines::default())
    }
}

/// One bar for each piece of work.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    running: Mutex<HashMap<String, ProgressBar>>,
    /// The last line: how far the trials are.
    trials: Mutex<Option<ProgressBar>>,
}

impl ProgressSink for Bars {
    fn note(&self, line: &str) {
        // This fails only if the terminal was closed.
        let _ = self.all.println(fitted(&printable(line), &io::stderr()));
    }

    fn begin(&self, label: &str) {
        // Above the line of the trials.
        let bar = self
            .all
            .insert(0, ProgressBar::new_spinner().with_style(spinner()));
        bar.set_message(label.to_owned());
        bar.enable_steady_tick(TICK);
        self.running.lock().insert(label.to_owned(), bar);
    }

    fn advance(&self, label: &str, done: u64, total: Option<u64>) {
        let running = self.running.lock();
        let Some(bar) = running.get(label) else { return };
        if bar.length() != total {
            bar.set_style(if total.is_some() { bytes() } else { spinner() });
            total.inspect(|total| bar.set_length(*total));
        }
        bar.set_position(done);
    }

    fn end(&self, label: &str) {
        if let Some(bar) = self.running.lock().remove(label) {
            bar.finish_and_clear();
            self.note(&ended(label, bar.elapsed()));
        }
    }

    fn trials(&self, line: Option<&str>) {
        let mut trials = self.trials.lock();
        let Some(line) = line else {
            if let Some(bar) = trials.take() {
                bar.finish_and_clear();
            }
            return;
        };
        let bar = trials.get_or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new_spinner().with_style(spinner()));
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_message(line.to_owned());
    }

    fn print(&self, bytes: &[u8]) -> io::Result<()> {
        self.all.suspend(|| Silent.print(bytes))
    }
}

/// The columns of `stream`, if it is a terminal.
pub fn columns_of(stream: &impl IsTerminal) -> Option<usize> {
    let size = stream.is_terminal().then(terminal_size::terminal_size).flatten();
    size.map(|(width, _)| usize::from(width.0))
}

/// `text` with its lines wrapped at the width of `stream`, if it is a terminal.
pub fn fitted<'a>(text: &'a str, stream: &impl IsTerminal) -> Cow<'a, str> {
    columns_of(stream).map_or(text.into(), |width| wrap::wrapped(text, width).into())
}

/// Prints `text` for a reader on standard error.
pub fn say(text: &str) {
    // There is no other place to report an error of standard error.
    let _ = writeln!(anstream::stderr(), "{}", fitted(&printable(text), &io::stderr()));
}

/// The pause between two pictures of a spinner.
const TICK: Duration = Duration::from_millis(120);
/// The pause between two lines about the trials, where there is no terminal.
const LINE_PAUSE: Duration = Duration::from_secs(30);

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("the template is valid")
}

fn bytes() -> ProgressStyle {
    ProgressStyle::with_template(
        "{spinner} {msg} {wide_bar} {percent} % of {total_bytes}, {bytes_per_sec}, {eta} left",
    )
    .expect("the template is valid")
}

/// A line when work begins, at each quarter of it, and when it ends.
#[derive(Default)]
struct Lines {
    running: Mutex<HashMap<String, Running>>,
    /// When a line about the trials was last due.
    trials: Mutex<Option<Instant>>,
}

struct Running {
    since: Instant,
    quarter: u64,
}

impl ProgressSink for Lines {
    fn note(&self, line: &str) {
        // A closed standard error is no reason to stop the work.
        let _ = writeln!(anstream::stderr(), "{}", printable(line));
    }

    fn begin(&self, label: &str) {
        self.note(&format!("{label} …"));
        let work = Running {
            since: Instant::now(),
            quarter: 0,
        };
        self.running.lock().insert(label.to_owned(), work);
    }

    fn advance(&self, label: &str, done: u64, total: Option<u64>) {
        let mut running = self.running.lock();
        let (Some(work), Some(total)) = (running.get_mut(label), total) else {
            return;
        };
        let quarter = (done * 4).checked_div(total).unwrap_or_default();
        if quarter > work.quarter {
            work.quarter = quarter;
            let percent = quarter * 25;
            self.note(&format!(
                "{label}: {percent} %, {} of {}",
                HumanBytes(done),
                HumanBytes(total)
            ));
        }
    }

    fn end(&self, label: &str) {
        if let Some(work) = self.running.lock().remove(label) {
            self.note(&ended(label, work.since.elapsed()));
        }
    }

    fn trials(&self, line: Option<&str>) {
        let Some(line) = line else { return };
        let mut last = self.trials.lock();
        let since = last.get_or_insert_with(Instant::now);
        if since.elapsed() >= LINE_PAUSE {
            *since = Instant::now();
            self.note(line);
        }
    }
}

fn ended(label: &str, time: Duration) -> String {
    format!("{label} ({:.1} s)", time.as_secs_f64())
}
