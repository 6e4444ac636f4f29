//! The text of a failure, the same everywhere, and tables for a terminal.
#![warn(clippy::disallowed_methods)]

pub mod paint;
pub mod failure;
pub mod grid;
pub mod wrap;

pub use failure::{causes_in_short, failure, failure_in_short, findings, first_line, first_line_in_short};
pub use paint::Paint;
