//! The published matrix: built from results and manifest alone, compared with the last one, rendered for people.
//!
//! Pure: it works from files' texts, in another job, on another machine. Nothing here runs a trial, reads a file
//! or asks what time it is.
#![warn(clippy::disallowed_methods)]

pub mod view;
pub mod published;
pub mod builder;
pub mod details;
pub mod diff;
pub mod baseline;
pub mod history;
pub mod terminal;
pub mod markdown;
pub mod html;
pub mod schema;

pub use builder::build;
pub use details::Details;
pub use published::Matrix;
pub use view::ManifestView;
