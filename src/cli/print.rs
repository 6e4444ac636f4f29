//! Output lines on standard output, status lines on standard error.
//!
//! Unlike `println!` this does not panic if the reader has closed the pipe, as `head` does.

use std::fmt::Arguments;
use std::io::{ErrorKind, Result, Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::progress;
use crate::text::printable;

/// The formats of a command's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TextOrJson {
    /// For a reader
    Text,
    /// For programs
    Json,
}

/// Prints a line for a reader: a text of a file, of the command line or of the network must not control the terminal.
pub(super) fn output_line(line: Arguments<'_>) {
    output_exact(&printable(&line.to_string()));
}

/// Prints `value` as JSON on standard output.
pub(super) fn output_json(value: &impl Serialize) -> serde_json::Result<()> {
    output_exact(&serde_json::to_string_pretty(value)?);
    Ok(())
}

fn output_exact(text: &str) {
    if let Err(error) = write_line(anstream::stdout(), format_args!("{text}")) {
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
    output_painted(&printable(text));
}

/// [`output_wrapped`] for a text with colours, whose parts are [`printable`].
pub(super) fn output_painted(text: &str) {
    output_exact(&progress::fitted(text, &stdout()));
}

/// Prints `line` on standard output, for a command whose exit status says what the line says.
pub(super) fn try_output_line(line: Arguments<'_>) -> Result<()> {
    write_line(anstream::stdout(), line)
}

pub(super) fn status_line(line: Arguments<'_>) {
    status_painted(&printable(&line.to_string()));
}

/// [`status_line`] for a text with colours, whose parts are [`printable`].
pub(super) fn status_painted(text: &str) {
    // There is no other place to report an error of standard error.
    let _ = write_line(
        anstream::stderr(),
        format_args!("{}", progress::fitted(text, &stderr())),
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
