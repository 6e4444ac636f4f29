//! The output of the test runner, on its way to standard output or a log file.
//!
//! The runner writes into a pipe. So a progress bar can stay below its lines, and a closed standard output ends no run. The trials
//! that are not applicable take one line for each column, and those with the report of another trial none.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, PipeReader, PipeWriter, Write as _};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::thread::JoinHandle;

use indexmap::IndexMap;
use parking_lot::Mutex;

use super::ProgressSink;
use crate::ids::{ProviderId, TrialName};
use crate::report::wrap;
use crate::text::{counted, printable};

/// The whole report of a trial that another trial's report explains begins like this.
pub const SAME_AS: &str = "the same as in ";

/// The trials that were not applicable, with their reasons, by column.
#[derive(Debug, Default)]
pub struct NotApplicable(Mutex<IndexMap<ProviderId, Vec<(TrialName, String)>>>);

impl NotApplicable {
    pub fn add(&self, name: &TrialName, reason: &str) {
        let mut columns = self.0.lock();
        let column = columns.entry(name.cell.provider.clone()).or_default();
        column.push((name.clone(), printable(reason).replace('\n', " ")));
    }

    fn contains(&self, name: &str) -> bool {
        let columns = self.0.lock();
        columns
            .values()
            .flatten()
            .any(|(trial, _)| trial.to_string() == name)
    }

    /// `not applicable: 18 trials of azure (no Claude there)`, a line for each column.
    fn lines(&self) -> String {
        let line = |(provider, trials): (&ProviderId, &Vec<(TrialName, String)>)| {
            let mut reasons: Vec<&str> = trials.iter().map(|(_, reason)| reason.as_str()).collect();
            reasons.dedup();
            reasons.sort_unstable();
            reasons.dedup();
            let more = match reasons.len() {
                1 => String::new(),
                number => format!(
                    "; {} more reason{}",
                    number - 1,
                    if number == 2 { "" } else { "s" }
                ),
            };
            let count = counted(trials.len(), "trial");
            format!("not applicable: {count} of {provider} ({}{more})\n", reasons[0])
        };
        self.0.lock().iter().map(line).collect()
    }
}

/// How the output is shown.
pub struct Printer {
    pub progress: Arc<dyn ProgressSink>,
    /// The log file; standard output if there is none.
    pub log: Option<File>,
    pub not_applicable: Arc<NotApplicable>,
    /// Whether it has lines for a reader. Otherwise it stays as it is.
    pub is_for_readers: bool,
    /// The columns at which lines are wrapped.
    pub width: Option<usize>,
}

/// A printer at work.
pub struct Printing {
    writer: PipeWriter,
    thread: JoinHandle<Option<io::Error>>,
}

impl Printing {
    /// The file that the runner writes.
    pub fn path(&self) -> String {
        format!("/dev/fd/{}", self.writer.as_raw_fd())
    }

    /// Waits until everything is printed, and returns the first error. The runner has closed its file.
    pub fn end(self) -> Option<io::Error> {
        drop(self.writer);
        let ended = self.thread.join();
        ended.unwrap_or_else(|_| Some(io::Error::other("the thread that prints has panicked")))
    }
}

impl Printer {
    pub fn start(self) -> io::Result<Printing> {
        let (reader, writer) = io::pipe()?;
        let thread = std::thread::spawn(move || {
            let mut stream = Stream {
                printer: self,
                header: None,
                is_same: false,
                error: None,
            };
            stream.print_all(reader);
            stream.error
        });
        Ok(Printing { writer, thread })
    }
}

/// `line` without the spaces with which the runner aligns the outcomes, if an aligned `ok` is not within `width`.
fn without_padding(line: &str, width: usize) -> String {
    match line.split_once(" ... ") {
        Some((name, outcome)) if name.starts_with("test ") && name.len() + " ... ok".len() > width => {
            format!("{} ... {outcome}", name.trim_end())
        }
        _ => line.to_owned(),
    }
}

struct Stream {
    printer: Printer,
    /// The header of a report, whose first line comes next.
    header: Option<String>,
    /// Whether the report is that of another trial. Only blank lines follow it.
    is_same: bool,
    error: Option<io::Error>,
}

impl Stream {
    fn print_all(&mut self, reader: PipeReader) {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        let mut is_summed_up = false;
        // The terse format has one character for each trial, and no line break.
        let is_lines = self.printer.is_for_readers;
        loop {
            line.clear();
            let read = match is_lines {
                true => reader.read_until(b'\n', &mut line),
                false => reader.fill_buf().map(|bytes| {
                    line.extend_from_slice(bytes);
                    bytes.len()
                }),
            };
            match read {
                Ok(0) | Err(_) => return,
                Ok(length) if !is_lines => reader.consume(length),
                Ok(_) => {}
            }
            if !is_lines {
                self.write(&line);
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            let plain = anstream::adapter::strip_str(&text).to_string();
            if self.is_of_not_applicable(&plain) || self.is_of_same(&plain, &text) {
                continue;
            }
            if !is_summed_up && (plain == "failures:\n" || plain.starts_with("test result: ")) {
                is_summed_up = true;
                let lines = self.printer.not_applicable.lines();
                if !lines.is_empty() {
                    self.write_text(&format!("{lines}\n"));
                }
            }
            self.write_text(&text);
        }
    }

    /// Whether `line` says that a trial was ignored which is not applicable.
    fn is_of_not_applicable(&self, line: &str) -> bool {
        let parts = line
            .strip_prefix("test ")
            .and_then(|line| line.split_once(" ... "));
        parts.is_some_and(|(name, outcome)| {
            outcome.starts_with("ignored") && self.printer.not_applicable.contains(name.trim_end())
        })
    }

    /// Whether `line` belongs to a report that another trial has too, or is the header of a report, to be written later.
    fn is_of_same(&mut self, line: &str, text: &str) -> bool {
        self.is_same = line.starts_with(SAME_AS) && self.header.is_some() || self.is_same && line == "\n";
        let header = self.header.take();
        if self.is_same {
            return true;
        }
        if let Some(header) = header {
            self.write_text(&header);
        }
        let is_header = line.starts_with("---- ") && line.ends_with(" ----\n");
        self.header = is_header.then(|| text.to_owned());
        is_header
    }

    fn write_text(&mut self, text: &str) {
        match self.printer.width {
            Some(width) => self.write(wrap::wrapped(&without_padding(text, width), width).as_bytes()),
            None => self.write(text.as_bytes()),
        }
    }

    /// Writes until the first error. The pipe must be read to its end, or the runner would wait.
    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_some() {
            return;
        }
        self.error = match &mut self.printer.log {
            Some(file) => file.write_all(bytes),
            None => self.printer.progress.print(bytes),
        }
        .err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_gets_no_padding() {
        let line = "test a::b::c             ... \u{1b}[32mok\u{1b}[0m\n";
        assert_eq!(
            without_padding(line, 20),
            "test a::b::c ... \u{1b}[32mok\u{1b}[0m\n"
        );
        assert_eq!(without_padding(line, 32), line);
        assert_eq!(
            without_padding("a long line ... of a report\n", 20),
            "a long line ... of a report\n"
        );
    }
}
