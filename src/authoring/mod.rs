//! New rows and new columns: the texts of their files.
//!
//! Pure: texts in, texts out. A new file is valid, and its trials fail until its author has written it.
#![warn(clippy::disallowed_methods)]

pub mod yaml_text;
pub mod manifest_text;
pub mod stub;
