//! Shows a recorded trial: as a timeline, as HTTP messages, as a command that repeats a request, and as a script that
//! reproduces a fault. The commands and scripts contain no credentials.
#![warn(clippy::disallowed_methods)]

pub mod timeline;
pub mod messages;
pub mod repro;
