//! Output lines on standard output, status lines on standard error.
//!
//! Unlike `println!` this does not panic if the reader has closed the pipe, as `head` does.

use std::fmt::Arguments;
use std::io::{ErrorKind, Result, Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::progress;

/// The formats of a command's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TextOrJson {
    /// For a reader
    Text,
    /// For programs
    Json,
}

pub(super) fn output_line(line: Arguments<'_>) {
    if let Err(error) = write_line(anstream::stdout(), line) {
        status_line(format_args!("error: writing to standard output: {error}"));
        FAILED.store(true, Ordering::Relaxed);
    }
}

/// Whether a line of output was lost.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Exit status of a command whose output was lost.
const LOST_OUTPUT: u8 = 2;

/// The exit status of a command that ended with `code`: output that was lost is an error.
pub(super) fn status_of_output(code: ExitCode) -> ExitCode {
    match FAILED.load(Ordering::Relaxed) {
        true => ExitCode::from(LOST_OUTPUT),
        false => code,
    }
}

/// Prints `text` on standard output, with its lines wrapped at the width of a terminal.
pub(super) fn output_wrapped(text: &str) {
    output_line(format_args!("{}", progress::fitted(text, &stdout())));
}

/// Prints `line` on standard output, for a command whose exit status says what the line says.
pub(super) fn try_output_line(line: Arguments<'_>) -> Result<()> {
    write_line(anstream::stdout(), line)
}

pub(super) fn status_line(line: Arguments<'_>) {
    // There is no other place to report an error of standard error.
    let line = line.to_string();
    let _ = write_line(
        anstream::stderr(),
        format_args!("{}", progress::fitted(&line, &stderr())),
    );
}

fn write_line(mut stream: impl Write, line: Arguments<'_>) -> Result<()> {
    match writeln!(stream, "{line}").and_then(|()| stream.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a line on standard output.
macro_rules! output {
    ($($line:tt)*) => { $crate::cli::print::output_line(format_args!($($line)*)) };
}

/// Prints a line on standard error.
macro_rules! status {
    ($($line:tt)*) => { $crate::cli::print::status_line(format_args!($($line)*)) };
}

pub(super) use {output, status};
