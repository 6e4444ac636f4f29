//! New rows, new columns and new cells: the texts of their files.
//!
//! Pure: texts in, texts out. What it makes is valid as it stands, and fails until its author has written it.
#![warn(clippy::disallowed_methods)]

pub mod yaml_text;
pub mod manifest_text;
pub mod stub;
pub mod draft;
