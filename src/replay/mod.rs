//! What happened in a trial, told again from its evidence: as a timeline, as the messages that crossed the wire, as a
//! command that sends one of them, as a script that shows a gateway's fault anywhere.
//!
//! Pure: evidence in, text out. It judges nothing, and no credential gets into what it makes.
#![warn(clippy::disallowed_methods)]

pub mod timeline;
pub mod messages;
pub mod repro;
