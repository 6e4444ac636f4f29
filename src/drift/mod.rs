//! Drift: where the provider simulator differs from recorded traffic.
//!
//! A *cassette* is a folder with what passed on one or both sides of a gateway, without private values. Each recorded request is
//! sent to a simulator again, which is scripted with an answer of the same form. Then the *shapes* of both replies are compared:
//! fields, events, their order, headers, errors and status, but no words and no numbers.
#![warn(clippy::disallowed_methods)]

mod answer;
pub mod cassette;
mod compare;
mod question;
pub mod redact;
pub mod report;
mod shape;
pub mod tape;

pub use cassette::{Cassette, CassetteHead, PlacedRecording, RecordedReply, RecordedSide, Recording};
pub use compare::{Drift, DriftKind, compare};
pub use question::{Question, question};
pub use redact::PrivateValues;
