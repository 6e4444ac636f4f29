//! The published matrix: built from results and manifest, compared with an older one, rendered for readers.
//!
//! Works from the texts of files only, so it can run in another job, on another machine.
#![warn(clippy::disallowed_methods)]

pub mod view;
pub mod published;
pub mod builder;
pub mod details;
pub mod diff;
pub mod baseline;
pub mod history;
pub mod feed;
pub mod terminal;
pub mod markdown;
pub mod html;
pub mod versions;
pub mod measured;
pub mod compare;
pub mod schema;

pub use builder::build;
pub use details::Details;
pub use published::Matrix;
pub use view::ManifestView;
