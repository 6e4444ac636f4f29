//! The errors that Claude Code reported.

use super::{Diagnosis, ErrorMessage, MessageRoute, diagnose};
use crate::evidence::Evidence;
use crate::expectation::matcher::refusal_shown;
use crate::transcript::ErrorSource;

/// An error that `claude` reported.
#[derive(Clone, Debug)]
pub(super) struct ReportedError {
    pub(super) status: Option<u16>,
    pub(super) text: String,
    /// Whether it is Claude Code's own summary. The summary's reason may be something else than a request.
    pub(super) summary: bool,
}

impl ReportedError {
    /// The diagnosis from its words.
    pub(super) fn diagnose(&self) -> Diagnosis {
        let message = ErrorMessage::new(&self.text).with_route(MessageRoute::Gateway);
        diagnose(&message.with_status(self.status))
    }

    pub(super) fn shown(&self) -> String {
        let status = self
            .status
            .map_or("an error".into(), |status| format!("HTTP {status}"));
        format!("{status}: {}", refusal_shown(&self.text))
    }
}

/// The last error with a status: of the gateway's own words, then Claude Code's summary, then the announced retries. A
/// later error without a status, such as a timeout, does not hide it.
pub(super) fn reported_error(evidence: &Evidence) -> Option<ReportedError> {
    let errors = evidence.transcript.errors();
    let (summaries, own): (Vec<_>, Vec<_>) = errors
        .into_iter()
        .rev()
        .partition(|error| error.source == ErrorSource::Result);
    let reported = own.into_iter().chain(summaries).map(|error| ReportedError {
        status: error.status,
        text: error.text,
        summary: error.source == ErrorSource::Result,
    });
    let retries = evidence.transcript.api_retries();
    let announced = retries.into_iter().rev().map(|retry| ReportedError {
        status: retry.status,
        text: retry.error,
        summary: false,
    });
    let all: Vec<ReportedError> = reported.chain(announced).collect();
    let with_status = all.iter().find(|error| error.status.is_some());
    with_status.or(all.first()).cloned()
}
