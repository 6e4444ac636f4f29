//! Helpers for kinds that are judged on what Claude Code printed.

use serde_json::Value;

use super::matcher::{MatchError, refusal_shown};
use super::{Deviation, Matcher, Scene};
use crate::evidence::{Evidence, file};
use crate::text::{clipped, counted};
use crate::transcript::{ErrorSource, Event};
use crate::wire::exchange::ProviderExchange;

/// A line of the transcript, as the place of evidence.
pub fn line_of_transcript(line: usize) -> (String, usize) {
    (file::TRANSCRIPT.into(), line)
}

/// The last line of the transcript, if it has one.
pub fn transcript_end(evidence: &Evidence) -> Option<(String, usize)> {
    let count = evidence.transcript.events.len();
    (count > 0).then(|| line_of_transcript(count))
}

/// The deviation for a matcher that does not match.
pub(super) fn deviations(
    check: Result<(), MatchError>,
    summary: impl Into<String>,
    evidence: Option<(String, usize)>,
) -> Vec<Deviation> {
    let deviation = check.err().map(|error| Deviation {
        summary: summary.into(),
        expected: error.expected,
        actual: error.actual,
        evidence,
    });
    deviation.into_iter().collect()
}

/// Whether the arguments of a tool's call are as `wanted`, by name.
pub(super) fn arguments_fit(wanted: &[(String, Matcher)], arguments: &Value) -> bool {
    wanted
        .iter()
        .all(|(key, matcher)| matcher.check(&Vec::from_iter(arguments.get(key))).is_ok())
}

/// The Messages exchanges that `claude` caused, without probes. The harness sends its direct request last.
pub fn claude_exchanges(evidence: &Evidence) -> impl Iterator<Item = &ProviderExchange> {
    let messages = || {
        evidence
            .exchanges
            .iter()
            .filter(|exchange| exchange.turn.is_some())
    };
    let own = messages()
        .count()
        .saturating_sub(usize::from(evidence.direct.is_some()));
    messages().take(own)
}

/// The content blocks of the provider's replies to `claude`.
pub(super) fn blocks_sent<'a>(scene: &Scene<'a>) -> impl Iterator<Item = &'a Value> {
    claude_exchanges(scene.evidence)
        .filter_map(|exchange| exchange.reply.message.as_ref()?["content"].as_array())
        .flatten()
}

/// The error text of Claude Code, after the gateway's own body where the debug log has it: for some statuses Claude Code
/// replaces the body by words of its own.
pub fn with_gateways_words(said: &str, evidence: &Evidence) -> String {
    let errors = evidence.transcript.errors();
    let Some(error) = errors
        .iter()
        .rev()
        .find(|error| error.source != ErrorSource::Result)
    else {
        return clipped(said);
    };
    let status = error
        .status
        .map_or("an error".into(), |status| format!("HTTP {status}"));
    format!(
        "{status} from the gateway: {} — Claude Code says: {}",
        refusal_shown(&error.text),
        clipped(said)
    )
}

/// How `claude` ended.
pub fn ending(evidence: &Evidence) -> String {
    match (evidence.exit.code, evidence.exit.signal) {
        (Some(code), _) => format!("Claude Code exited with status {code}"),
        (None, Some(signal)) => format!("Claude Code was ended by signal {signal}"),
        (None, None) => "Claude Code ended in an unknown way".into(),
    }
}

/// The last sign of what happened in a run: retries, standard error, or the last line.
pub fn last_sign_of_life(evidence: &Evidence) -> String {
    let retries = evidence.transcript.api_retries();
    if let Some(retry) = retries.last() {
        let status = retry
            .status
            .map_or("no status".into(), |status| format!("HTTP {status}"));
        let said = format!(
            "{}, the last after {status} ({})",
            counted(retries.len(), "retry"),
            retry.error
        );
        return with_gateways_words(&said, evidence);
    }
    if !evidence.stderr.trim().is_empty() {
        return format!("on standard error: {}", clipped(evidence.stderr.trim()));
    }
    match evidence.transcript.events.last() {
        Some(last) => match &last.event {
            Event::Json(value) => format!("the last event is {}", clipped(&value.to_string())),
            Event::Unparsable(line) => format!("the last line is {:?}", clipped(line)),
        },
        None => "it printed nothing".into(),
    }
}
