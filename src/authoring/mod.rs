//! The texts of a new row's, a new column's or a new tier's files.
//!
//! Pure. A new file is valid, and its trials fail until its author has written it.
#![warn(clippy::disallowed_methods)]

pub mod yaml_text;
pub mod manifest_text;
pub mod proxy_text;
pub mod stub;
