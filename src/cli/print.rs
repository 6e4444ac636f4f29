//! Prints data to standard output and messages to standard error.
//!
//! Unlike `println!` this does not panic if the reader has closed the pipe, as `head` does.

use std::fmt::Arguments;
use std::io::{ErrorKind, Result, Write};

/// The formats of a command's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TextOrJson {
    /// For a reader
    Text,
    /// For programs
    Json,
}

/// Writes a line of data.
pub(super) fn line_of_data(line: Arguments<'_>) {
    if let Err(error) = written(anstream::stdout(), line) {
        line_of_talk(format_args!("error: writing to standard output: {error}"));
    }
}

/// Writes a line of talk. Write errors are ignored.
pub(super) fn line_of_talk(line: Arguments<'_>) {
    let _ = written(anstream::stderr(), line);
}

fn written(mut stream: impl Write, line: Arguments<'_>) -> Result<()> {
    match writeln!(stream, "{line}").and_then(|()| stream.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// A line of data, as `println!` has it.
macro_rules! data {
    ($($line:tt)*) => { $crate::cli::print::line_of_data(format_args!($($line)*)) };
}

/// A line of talk, as `eprintln!` has it.
macro_rules! talk {
    ($($line:tt)*) => { $crate::cli::print::line_of_talk(format_args!($($line)*)) };
}

pub(super) use {data, talk};
