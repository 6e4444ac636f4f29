//! `compat-results.json`, JUnit XML, and the merging of shards: what a run leaves for those who read files.
//!
//! Pure: records and texts in, values and texts out. Nothing here writes a file, reads a clock or judges.
#![warn(clippy::disallowed_methods)]

pub mod json;
pub mod status;
pub mod file;
pub mod last;
pub mod merge;
pub mod junit;

pub use file::{Entry, Results};
pub use status::{CellStatus, StatusWord, TrialResult};
