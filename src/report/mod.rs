//! What people read about a run: the one wording of a failure, and tables for a terminal.
//!
//! Pure: values in, text out. Nothing here prints, decides a colour from the environment, or judges.
#![warn(clippy::disallowed_methods)]

pub mod paint;
pub mod failure;
pub mod grid;

pub use failure::{causes_in_short, failure, failure_in_short};
pub use paint::Paint;
