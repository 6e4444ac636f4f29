//! The expectations of every trial, whatever its cell says.

use crate::cells::Test;
use crate::evidence::{Evidence, Killed, file};
use crate::expectation::matcher::refusal_shown;
use crate::expectation::{
    Deviation, Interest, REFUSED, RUN, TRANSCRIPT, Trace, UNMATCHED, WORKAROUNDS, ending, last_sign_of_life,
    line_of_transcript, transcript_end, with_gateways_words,
};
use crate::findings::Level;
use crate::ids::TierId;
use crate::text::clipped;
use crate::transcript::STREAM_REPEATED;
use crate::wire::Operation;
use crate::wire::error_reply::message_in;
use crate::wire::exchange::{GatewayExchange, Matched, ProviderExchange};
use crate::wire_diff;

/// An implied expectation.
pub(super) struct Implied {
    pub(super) name: &'static str,
    pub(super) level: Level,
    pub(super) deviations: Vec<Deviation>,
}

/// The implied expectations that can be judged.
pub(super) fn judge(test: &Test, tier: &TierId, evidence: &Evidence) -> Vec<Implied> {
    let exchanges = &evidence.exchanges;
    let implied = |name, level, deviations| Implied {
        name,
        level,
        deviations,
    };
    let mut found = Vec::new();
    if !test.expects_failures(tier) {
        found.push(implied(
            RUN,
            Level::Feature,
            run(test, evidence).into_iter().collect(),
        ));
    }
    found.push(implied(TRANSCRIPT, Level::Feature, transcript(evidence)));
    found.push(implied(WORKAROUNDS, Level::Contract, workarounds(evidence)));
    if evidence.is_simulated() {
        // Claude Code goes on without a count of tokens. What a row wants of it, the row says.
        let mut strays = exchanges.iter().filter(|exchange| is_stray(exchange));
        let level = match strays.all(|stray| stray.operation == Operation::CountTokens) {
            true => Level::Contract,
            false => Level::Feature,
        };
        found.push(implied(UNMATCHED, level, unmatched(exchanges)));
        found.push(implied(REFUSED, Level::Contract, refused(test, exchanges)));
    }
    found
}

/// The broken implied expectation `name`, with the changes on the wire that can explain it.
pub(super) fn traces(name: &str) -> impl Iterator<Item = Trace> {
    let trace = |interest| Trace {
        expectation: name.to_owned(),
        interest,
        held_before: None,
        is_asked: true,
    };
    Interest::of_implied(name).into_iter().map(trace)
}

/// What the user of Claude Code loses if the implied expectation `name` does not hold, in one sentence.
pub(super) fn loses(name: &str) -> &'static str {
    match name {
        RUN => "Claude Code does not answer, or ends with an error.",
        TRANSCRIPT => "A program that reads Claude Code's output meets a broken line or stream.",
        WORKAROUNDS => "Claude Code gets an answer only after it has reduced or repeated its request.",
        REFUSED => "The provider refuses a request as the gateway sent it.",
        _ => "The provider gets a request that the row does not expect, or cannot tell whose it is.",
    }
}

/// `claude` ends by itself, with an answer to each prompt.
fn run(test: &Test, evidence: &Evidence) -> Option<Deviation> {
    let deviation = |summary: String, actual: String| {
        Some(Deviation {
            summary,
            expected: "Claude Code answers and exits with status 0".into(),
            actual,
            evidence: transcript_end(evidence),
        })
    };
    let results = evidence.transcript.results();
    if let Some(failed) = results.iter().find(|result| result.is_error) {
        let said = failed.text.clone().unwrap_or_default();
        return deviation(
            "Claude Code ended with an error".into(),
            with_gateways_words(&said, evidence),
        );
    }
    let summary = match evidence.exit.killed {
        Some(Killed::Deadline) => {
            format!("Claude Code was still running after {} s", test.timeout_seconds)
        }
        Some(Killed::PermanentError) => "Claude Code met an error that no retry can repair".into(),
        None if evidence.exit.code != Some(0) => ending(evidence),
        None if results.len() < test.prompts.len() => format!(
            "Claude Code answered {} of {} prompts",
            results.len(),
            test.prompts.len()
        ),
        None => return None,
    };
    deviation(summary, last_sign_of_life(evidence))
}

/// Every line is an event, and every stream is whole.
fn transcript(evidence: &Evidence) -> Vec<Deviation> {
    let transcript = &evidence.transcript;
    let unreadable = transcript.unparsable().map(|(line, text)| Deviation {
        summary: "Claude Code printed a line that is not an event".into(),
        expected: "a JSON object a line (`--output-format stream-json`)".into(),
        actual: format!("{:?}", clipped(text)),
        evidence: Some(line_of_transcript(line)),
    });
    // A run that an error or the harness ended leaves an open stream: that is no second failure.
    let whole = evidence.exit.killed.is_none() && transcript.errors().is_empty();
    let problems = transcript.stream_problems().into_iter().filter(|_| whole);
    let broken_streams = problems.map(|problem| Deviation {
        summary: "the stream that Claude Code received is not a whole message".into(),
        expected: "message_start, blocks of start, deltas and stop, message_delta, message_stop".into(),
        actual: problem.what,
        evidence: Some(line_of_transcript(problem.line)),
    });
    unreadable.chain(broken_streams).collect()
}

/// Claude Code neither reduced nor repeated a request: the answer that follows would hide it. A request that the provider
/// itself refused, or whose reply it broke off, may be repeated.
fn workarounds(evidence: &Evidence) -> Vec<Deviation> {
    let provider_failed = evidence.is_simulated() && evidence.exchanges.iter().any(has_failed);
    let reduced = evidence.transcript.workarounds().into_iter();
    let reduced = reduced.filter(|(_, text)| !provider_failed || !text.contains(STREAM_REPEATED));
    let reduced = reduced.map(|(line, text)| Deviation {
        summary: "Claude Code had to reduce its request".into(),
        expected: "an answer to every request as it was first sent".into(),
        actual: with_gateways_words(&text, evidence),
        evidence: Some(line_of_transcript(line)),
    });
    let is_judged = evidence.is_simulated() && !provider_failed;
    let retries = evidence.transcript.api_retries().into_iter();
    let repeated = retries.filter(|_| is_judged).map(|retry| Deviation {
        summary: "Claude Code had to repeat a request, though the provider refused nothing".into(),
        expected: "an answer to every request the first time".into(),
        actual: match retry.status {
            Some(status) => format!("a repetition after HTTP {status} ({})", retry.error),
            None => format!("a repetition after an answer that broke off ({})", retry.error),
        },
        evidence: Some(line_of_transcript(retry.line)),
    });
    let mut found: Vec<Deviation> = reduced.chain(repeated).collect();
    if found.is_empty() {
        found.extend(repaired(evidence));
    }
    found
}

/// Whether the provider refused the request, or broke its reply off.
fn has_failed(exchange: &ProviderExchange) -> bool {
    let is_broken = exchange.operation == Operation::Messages && exchange.reply.message.is_none();
    exchange.reply.status >= 400 || is_broken
}

/// The gateway itself refused a request, and Claude Code sent another one, without an entry in its debug log.
fn repaired(evidence: &Evidence) -> Option<Deviation> {
    if !evidence.has_both_sides() || evidence.transcript.results().iter().any(|result| result.is_error) {
        return None;
    }
    let is_refused_here = |passage: &GatewayExchange| {
        let is_message = passage.operation == Operation::Messages;
        is_message
            && passage.reply.as_ref().is_some_and(|reply| reply.status >= 400)
            && wire_diff::forwarded(passage, &evidence.sent, &evidence.exchanges)
                .iter()
                .all(|exchange| !has_failed(exchange))
    };
    let passage = evidence.sent.iter().find(|passage| is_refused_here(passage))?;
    let reply = passage.reply.as_ref()?;
    let said = message_in(&reply.events);
    Some(Deviation {
        summary: "the gateway refused a request, and Claude Code sent it otherwise".into(),
        expected: "an answer to every request as it was first sent".into(),
        actual: format!("HTTP {} from the gateway: {}", reply.status, refusal_shown(said)),
        evidence: Some((file::GATEWAY_EXCHANGES.into(), passage.number)),
    })
}

/// Whether it came without its trial's key, or nothing answered it.
fn is_stray(exchange: &ProviderExchange) -> bool {
    exchange.keyless || matches!(exchange.matched, Matched::Unmatched { .. })
}

/// A script or a rule answered every request at the provider.
fn unmatched(exchanges: &[ProviderExchange]) -> Vec<Deviation> {
    let deviation = |exchange: &ProviderExchange| match &exchange.matched {
        _ if exchange.keyless => Some(Deviation {
            summary: "a request reached the provider without its trial's key".into(),
            expected: "the session id, or the first user message, as Claude Code sent it".into(),
            actual: format!("{} {}", exchange.request.method, exchange.request.path),
            evidence: Some((file::PROVIDER_EXCHANGES.into(), exchange.number)),
        }),
        Matched::Unmatched { why } => Some(Deviation {
            summary: "a request reached the provider that the cell has no reply for".into(),
            expected: "as many requests as the cell's `replies` answer".into(),
            actual: format!("{} {}: {why}", exchange.request.method, exchange.request.path),
            evidence: Some((file::PROVIDER_EXCHANGES.into(), exchange.number)),
        }),
        _ => None,
    };
    exchanges.iter().filter_map(deviation).collect()
}

/// The provider refused no request by a rule of its own, unless the cell names the rule. Claude Code may have repaired the
/// request silently. Refusals by one rule are one deviation.
fn refused(test: &Test, exchanges: &[ProviderExchange]) -> Vec<Deviation> {
    let mut found: Vec<(&str, &ProviderExchange, usize)> = Vec::new();
    for exchange in exchanges {
        let Matched::Rejected { rule } = &exchange.matched else {
            continue;
        };
        match found.iter_mut().find(|(known, ..)| known == rule) {
            Some((.., count)) => *count += 1,
            None if test.refusals.contains_key(rule) => {}
            None => found.push((rule, exchange, 1)),
        }
    }
    let deviation = |(rule, exchange, count): (&str, &ProviderExchange, usize)| {
        let said = message_in(&exchange.reply.events);
        let times = match count {
            1 => String::new(),
            count => format!(", {count} times"),
        };
        Deviation {
            summary: format!("the provider refused a request by its rule `{rule}`"),
            expected: "requests that the provider accepts, or the rule's name in the cell's `refusals`"
                .into(),
            actual: format!(
                "{} {}: HTTP {}{times}: {}",
                exchange.request.method,
                exchange.request.path,
                exchange.reply.status,
                clipped(said)
            ),
            evidence: Some((file::PROVIDER_EXCHANGES.into(), exchange.number)),
        }
    };
    found.into_iter().map(deviation).collect()
}
