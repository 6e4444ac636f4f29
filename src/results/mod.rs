//! The files of a run: `compat-results.json` and JUnit XML, and the merging of shards.
#![warn(clippy::disallowed_methods)]

pub mod json;
pub mod spending;
pub mod status;
pub mod file;
mod record_texts;
pub mod last;
pub mod merge;
pub mod stale;
pub mod faults;
pub mod junit;

pub use file::{
    GatewayRecord, LeftOut, Results, RunRecord, TrialRecord, UNKNOWN_VERSION, client_format_in_words,
};
pub use record_texts::RecordTexts;
pub use spending::Spending;
pub use status::{CellStatus, StatusWord, TrialResult};
