//! Lines for who reads them: data to standard output, talk to standard error. Where nobody reads on, as behind `head`, they
//! end quietly.
//!
//! Never panics: that is what `println!` does at a pipe that was closed.

use std::fmt::Arguments;
use std::io::{ErrorKind, Result, Write};

/// Writes a line of data.
pub(super) fn line_of_data(line: Arguments<'_>) {
    if let Err(error) = written(anstream::stdout(), line) {
        line_of_talk(format_args!("error: writing to standard output: {error}"));
    }
}

/// Writes a line of talk. One that cannot be told is told to nobody.
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
