//! Drift: where the provider simulator differs from recorded traffic.
//!
//! A *cassette* is a folder with what passed on one or both sides of a gateway, without private values. Each recorded request is
//! sent to a simulator again, which is scripted with an answer of the same form. Then the *shapes* of both replies are compared:
//! fields, events, their order, headers, errors and status, but no words and no numbers.
#![warn(clippy::disallowed_methods)]

mod answer;
pub mod cassette;
mod compare;
mod encoded;
mod question;
pub mod redact;
pub mod report;
mod shape;
pub mod tape;

use std::fmt::Display;

use report::DriftCollector;

use crate::wire::Route;
use crate::wire::exchange::{ProviderExchange, RecordedRequest};
use crate::wire::script::Reply;

pub use cassette::{Cassette, CassetteHead, PlacedRecording, RecordedReply, RecordedSide, Recording};
use compare::compare;
pub use compare::{Drift, DriftKind};
use question::{Question, question};
pub use redact::PrivateValues;

/// Compares the recordings of a side with what `ask` says that a simulator answers to a request, if its script is a reply. A
/// request that cannot be asked is not compared.
pub async fn examine<E: Display>(
    cassette: &Cassette,
    side: RecordedSide,
    ask: impl AsyncFn(&RecordedRequest, Route, Reply) -> Result<ProviderExchange, E>,
) -> DriftCollector {
    let mut collector = DriftCollector::default();
    for placed in cassette.of_side(side) {
        match question(&cassette.head, &placed.recording) {
            Question::None(reason) => collector.skip(placed, reason),
            Question::Ask {
                request,
                route,
                replies,
            } => {
                let mut answers = Vec::new();
                for reply in replies {
                    answers.push(ask(&request, route, reply).await);
                }
                match answers.into_iter().collect::<Result<Vec<_>, E>>() {
                    Ok(answers) => collector.add(placed, compare(&placed.recording, &answers)),
                    Err(error) => {
                        collector.skip(placed, format!("it cannot be sent to the simulator: {error:#}"));
                    }
                }
            }
        }
    }
    collector
}
