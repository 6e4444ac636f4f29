//! What the other end of the wire says of an expectation that does not hold: whether it held before the gateway.

use serde_json::{Value, json};

use super::{Ruling, claude_side, provider_side};
use crate::evidence::Evidence;
use crate::spec::cell::Test;
use crate::spec::expectation::{Check, RequestCheck};
use crate::transcript::{Event, TimedEvent, Transcript};
use crate::wire::exchange::ProviderExchange;
use crate::wire::{Route, Usage};
use crate::wire_diff::as_sent;
use crate::wire_diff::interest::Interest;

/// A broken expectation, followed back to where what it is about went into the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    pub expectation: String,
    /// The differences on the wire that can explain it.
    pub interest: Interest,
    /// Whether it holds of what went into the gateway: of the requests that `claude` sent, or of the provider's replies.
    /// `None` where that cannot be judged.
    pub held_before: Option<bool>,
}

/// Follows `check` back; `evidence` has what passed in front of the gateway.
pub(super) fn of_check(name: &str, check: &Check, test: &Test, evidence: &Evidence) -> Trace {
    let held_before = if matches!(check, Check::Unchanged { .. }) {
        // What it compares with is what went in.
        Some(true)
    } else if check.is_provider_side() {
        held_as_sent(check, test, evidence)
    } else {
        held_as_answered(check, evidence)
    };
    Trace {
        expectation: name.to_owned(),
        interest: Interest::of(check),
        held_before,
    }
}

/// What is expected of every trial.
pub(super) fn of_implied(name: &str) -> Vec<Trace> {
    let trace = |interest| Trace {
        expectation: name.to_owned(),
        interest,
        held_before: None,
    };
    Interest::of_implied(name).into_iter().map(trace).collect()
}

fn held_as_sent(check: &Check, test: &Test, evidence: &Evidence) -> Option<bool> {
    let check = in_any_form(check)?;
    let sent = as_sent(&evidence.sent, &evidence.exchanges);
    let holds = provider_side::judge(&check, &test.prompts, &sent).is_empty();
    // Paths into the body are those of the provider's form: that they find nothing in another says nothing.
    let is_same_form = evidence
        .exchanges
        .iter()
        .all(|exchange| exchange.route == Some(Route::Anthropic));
    let reads_body = matches!(&check, Check::Request(request) if !request.body.is_empty());
    (holds || is_same_form || !reads_body).then_some(holds)
}

/// What of a check can be asked of a request whichever route it takes; `None` if nothing can.
fn in_any_form(check: &Check) -> Option<Check> {
    match check {
        Check::Request(request) => {
            let request = RequestCheck {
                route: None,
                model: None,
                stream: None,
                ..request.clone()
            };
            let is_empty = request.headers.is_empty() && request.body.is_empty();
            (!is_empty).then_some(Check::Request(request))
        }
        // What a cache made of a request is known of the one that arrived.
        Check::Cache {
            turn, breakpoints, ..
        } => breakpoints.map(|_| Check::Cache {
            turn: *turn,
            breakpoints: *breakpoints,
            created_tokens: None,
            read_tokens: None,
        }),
        other => Some(other.clone()),
    }
}

fn held_as_answered(check: &Check, evidence: &Evidence) -> Option<bool> {
    match check {
        Check::Text(_)
        | Check::ToolCall { .. }
        | Check::Thinking { .. }
        | Check::Usage { .. }
        | Check::StopReason { .. } => {
            let answered = Evidence {
                transcript: of_answers(&claude_side::claude_exchanges(evidence).collect::<Vec<_>>()),
                ..evidence.clone()
            };
            match claude_side::judge(check, &answered) {
                Ruling::Judged(findings) => Some(findings.is_empty()),
                Ruling::NotJudged | Ruling::Known { .. } | Ruling::Stale(_) => None,
            }
        }
        // A provider that keeps step holds nothing back itself.
        Check::Stream {
            incremental: true, ..
        } => claude_side::claude_exchanges(evidence)
            .any(|exchange| {
                exchange
                    .reply
                    .lockstep
                    .is_some_and(|lockstep| lockstep.is_held_back())
            })
            .then_some(true),
        _ => None,
    }
}

/// What Claude Code would print of the provider's answers.
fn of_answers(exchanges: &[&ProviderExchange]) -> Transcript {
    let messages: Vec<&Value> = exchanges
        .iter()
        .filter_map(|exchange| exchange.reply.message.as_ref())
        .collect();
    let text: String = messages
        .last()
        .and_then(|message| message["content"].as_array())
        .into_iter()
        .flatten()
        .filter_map(|block| block["text"].as_str())
        .collect();
    let usage: Usage = exchanges.iter().map(|exchange| exchange.reply.usage).sum();
    let result =
        json!({"type": "result", "subtype": "success", "is_error": false, "result": text, "usage": usage});
    let answers = messages
        .iter()
        .map(|message| json!({"type": "assistant", "message": message}));
    Transcript {
        events: answers
            .chain([result])
            .map(|event| TimedEvent {
                at_ms: 0,
                event: Event::Json(event),
            })
            .collect(),
    }
}
