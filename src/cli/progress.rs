//! Shows the progress of installations on standard error: bars on a terminal, lines elsewhere.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

use super::print::talk;
use crate::toolchain::Progress;

/// What fits this process's standard error.
pub fn on_standard_error() -> Box<dyn Progress> {
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
}

impl Progress for Bars {
    fn note(&self, line: &str) {
        // A terminal that went away takes its notes with it.
        let _ = self.all.println(line);
    }

    fn begin(&self, label: &str) {
        let bar = self.all.add(ProgressBar::new_spinner().with_style(spinner()));
        bar.set_message(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
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
            self.note(&format!("{label} ({})", seconds(bar.elapsed())));
        }
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("the template is valid")
}

fn bytes() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}")
        .expect("the template is valid")
}

/// A line when work begins, at each quarter of it, and when it ends.
#[derive(Default)]
struct Lines {
    running: Mutex<HashMap<String, Running>>,
}

struct Running {
    since: Instant,
    quarter: u64,
}

impl Progress for Lines {
    fn note(&self, line: &str) {
        talk!("{line}");
    }

    fn begin(&self, label: &str) {
        talk!("{label} …");
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
            talk!("{label}: {} of {}", HumanBytes(done), HumanBytes(total));
        }
    }

    fn end(&self, label: &str) {
        if let Some(work) = self.running.lock().remove(label) {
            talk!("{label} ({})", seconds(work.since.elapsed()));
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
