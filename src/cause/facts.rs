//! Whose fault a failed trial is, decided from what both sides saw; from words only where facts do not decide.
//!
//! Never looks at a cell's text, and never says that a trial failed: `expect` has said so already.
#![warn(clippy::disallowed_methods)]

use crate::expectation::matcher::refusal_shown;
use crate::expectation::{RUN, WORKAROUNDS};
use crate::judge::Evaluation;
use crate::text::clipped;
use serde_json::Value;

use super::{Diagnosis, Message, Route, diagnose, wire};
use crate::evidence::{Behind, Evidence, Killed};
use crate::outcome::{Cause, Verdict};
use crate::transcript::{AnswerBlock, ErrorSource};
use crate::wire::exchange::{Matched, ProviderExchange};

/// Whose fault it is that `judgement` has mismatches.
pub fn of_trial(evidence: &Evidence, judgement: &Evaluation) -> Diagnosis {
    match (is_broken(judgement, RUN), evidence.behind) {
        (true, Behind::Simulated) => broken_run(evidence, judgement),
        (true, Behind::Live) => broken_live_run(evidence),
        (false, _) => broken_promise(evidence, judgement),
    }
}

fn is_broken(judgement: &Evaluation, name: &str) -> bool {
    judgement
        .judged
        .iter()
        .any(|judged| judged.name == name && judged.verdict == Verdict::Broken)
}

pub(super) fn fact(cause: Cause, rule: &'static str, why: String, next: &str) -> Diagnosis {
    Diagnosis {
        cause,
        confidence: 1.0,
        why,
        next: next.to_owned(),
        rule,
    }
}

/// What `claude` was told went wrong.
#[derive(Clone, Debug)]
struct Told {
    status: Option<u16>,
    text: String,
    /// Whether it is Claude Code's own summary, which may be about something else than a request.
    summary: bool,
}

impl Told {
    /// Whose fault the words are: they came through the gateway.
    fn words(&self) -> Diagnosis {
        let message = Message::new(&self.text).with_route(Route::Gateway);
        diagnose(&match self.status {
            Some(status) => message.with_status(status),
            None => message,
        })
    }

    fn shown(&self) -> String {
        let status = self
            .status
            .map_or("an error".into(), |status| format!("HTTP {status}"));
        format!("{status}: {}", refusal_shown(&self.text))
    }
}

/// The error that says most: of the gateway's own words, then Claude Code's summary, then the announced repetitions, the
/// last that has a status. What came after it without one, as a timeout does, never hides it.
fn told(evidence: &Evidence) -> Option<Told> {
    let errors = evidence.transcript.errors();
    let (summaries, own): (Vec<_>, Vec<_>) = errors
        .into_iter()
        .rev()
        .partition(|error| error.source == ErrorSource::Result);
    let said = own.into_iter().chain(summaries).map(|error| Told {
        status: error.status,
        text: error.text,
        summary: error.source == ErrorSource::Result,
    });
    let retries = evidence.transcript.api_retries();
    let announced = retries.into_iter().rev().map(|retry| Told {
        status: retry.status,
        text: retry.error,
        summary: false,
    });
    let all: Vec<Told> = said.chain(announced).collect();
    all.iter()
        .find(|told| told.status.is_some())
        .or(all.first())
        .cloned()
}

/// The Messages requests that reached the provider, without probes.
fn asked(evidence: &Evidence) -> Vec<&ProviderExchange> {
    evidence
        .exchanges
        .iter()
        .filter(|exchange| exchange.turn.is_some())
        .collect()
}

fn broken_run(evidence: &Evidence, judgement: &Evaluation) -> Diagnosis {
    let asked = asked(evidence);
    let told = told(evidence);
    let Some(last) = asked.last() else {
        return nothing_arrived(evidence, told);
    };
    let said = last.reply.status;
    match &last.matched {
        Matched::Rejected { rule } => {
            return wire::refused_as_sent(judgement, last, rule).unwrap_or_else(|| rejected(rule, said));
        }
        Matched::Unmatched { .. } => {
            return fact(
                Cause::Assertion,
                "more_requests_than_replies",
                format!(
                    "{} requests reached the provider, more than the cell has replies for",
                    asked.len()
                ),
                "see in `exchanges.jsonl` who repeated which request",
            );
        }
        Matched::Script { .. } | Matched::BuiltIn => {}
    }
    // An error that the provider itself gave before, and then did not, is not how the run ended.
    let overcome = |status: u16| said == 200 && asked.iter().any(|exchange| exchange.reply.status == status);
    let told = told.filter(|told| !told.status.is_some_and(overcome));
    match told {
        Some(Told {
            status: Some(seen), ..
        }) if seen != said => changed_status(said, seen),
        Some(told) if told.status.is_some() => told.words(),
        told => without_status(evidence, last, told),
    }
}

/// The run broke, and no status tells why.
fn without_status(evidence: &Evidence, last: &ProviderExchange, told: Option<Told>) -> Diagnosis {
    let said = last.reply.status;
    let broken_off = |how: String| {
        fact(
            Cause::Gateway,
            "answer_broken_off",
            format!("the provider answered with HTTP {said}, and {how}"),
            "see in `transcript.jsonl` how far the answer came, and in `gateway.log` why no further",
        )
    };
    match told {
        Some(told) if !told.summary || told.text.contains("API Error") => broken_off(format!(
            "Claude Code did not get it whole: {}",
            clipped(told.text.trim())
        )),
        _ if evidence.exit.killed == Some(Killed::Deadline) => fact(
            Cause::Gateway,
            "answer_never_came",
            format!(
                "the provider answered with HTTP {said}, Claude Code was still waiting when its time was up"
            ),
            "see in `transcript.jsonl` how far the answer came, and in `gateway.log` why no further",
        ),
        _ if last.reply.cut_off => broken_off("the gateway hung up before it had all of the answer".into()),
        _ => fact(
            Cause::Cli,
            "ended_without_a_word",
            format!(
                "the provider answered with HTTP {said} and no error reached Claude Code, which ended all the same"
            ),
            "see `transcript.jsonl` and `stderr.txt`",
        ),
    }
}

fn rejected(rule: &str, status: u16) -> Diagnosis {
    fact(
        Cause::Gateway,
        "rejected_request",
        format!(
            "the provider refused the request that the gateway made of Claude Code's (`{rule}`, HTTP {status})"
        ),
        "compare what was sent with what arrived in `exchanges.jsonl`, and report it to the gateway",
    )
}

fn changed_status(said: u16, seen: u16) -> Diagnosis {
    if said == 200 {
        return fact(
            Cause::Gateway,
            "answer_lost",
            format!("the provider answered with HTTP 200, Claude Code saw HTTP {seen}"),
            "look for the error in the gateway's log lines of the time of this trial, `gateway.log`",
        );
    }
    fact(
        Cause::Gateway,
        "status_changed",
        format!("the provider answered with HTTP {said}, the gateway passed on HTTP {seen}"),
        "report to the gateway that it changes its upstream's errors",
    )
}

fn nothing_arrived(evidence: &Evidence, told: Option<Told>) -> Diagnosis {
    match told {
        Some(told) => {
            let words = told.words();
            // A refusal of the gateway's own: of words that blame nobody in particular, the gateway's.
            match words.cause {
                Cause::Config | Cause::Auth | Cause::Account | Cause::RateLimit => words,
                _ => fact(
                    Cause::Gateway,
                    "never_forwarded",
                    format!(
                        "no Messages request reached the provider, and Claude Code got an error from the gateway: {}",
                        told.shown()
                    ),
                    "look for the error in the gateway's log lines of the time of this trial, `gateway.log`",
                ),
            }
        }
        None if evidence.exit.killed == Some(Killed::Deadline) => fact(
            Cause::Gateway,
            "never_answered",
            "no Messages request reached the provider, and nothing came back from the gateway".into(),
            "look into the gateway's log lines of the time of this trial, `gateway.log`",
        ),
        None => fact(
            Cause::Cli,
            "never_asked",
            "Claude Code ended before it asked for anything".into(),
            "see `transcript.jsonl` and `stderr.txt`: a flag or a variable of the cell that this version does not take?",
        ),
    }
}

/// An error of a live run outranks how the run ended: a timeout never hides it.
fn broken_live_run(evidence: &Evidence) -> Diagnosis {
    if let Some(told) = told(evidence) {
        return told.words();
    }
    if evidence.exit.killed == Some(Killed::Deadline) {
        return fact(
            Cause::Harness,
            "deadline",
            "the time of the trial was up before any error showed".into(),
            "raise the cell's `timeout_seconds`, or find out what the gateway was waiting for",
        );
    }
    fact(
        Cause::Cli,
        "ended_without_a_word",
        "Claude Code ended without an error from the gateway".into(),
        "see `transcript.jsonl` and `stderr.txt`",
    )
}

/// The run came to an answer, but not to the one it should.
fn broken_promise(evidence: &Evidence, judgement: &Evaluation) -> Diagnosis {
    let broken = |verdict| judgement.judged.iter().any(|judged| judged.verdict == verdict);
    if broken(Verdict::UnexpectedlyHeld) && !broken(Verdict::Broken) {
        return fact(
            Cause::Assertion,
            "stale_known_failure",
            "a declared known failure does not fail any more".into(),
            "remove the declaration from the cell's `known_failures`, or from an `except`; where it shows on some tiers alone, name them in its `tiers`",
        );
    }
    if judgement
        .mismatches
        .iter()
        .all(|mismatch| judgement.unwritten.contains(&mismatch.expectation))
    {
        return fact(
            Cause::Harness,
            "not_written",
            "the cell is still to be written, and nothing else that it says failed".into(),
            "write what the cell expects in place of its `todo`: `docs/cells.md`, or `compat new cell --from-run` on this trial's \
             evidence",
        );
    }
    let proven = match evidence.behind {
        Behind::Simulated => proven_fault(evidence, judgement),
        // What Claude Code got around is a fault whatever came after it.
        Behind::Live if is_broken(judgement, WORKAROUNDS) => told(evidence).map(|told| told.words()),
        Behind::Live => None,
    };
    proven.unwrap_or_else(|| {
        fact(
            Cause::Assertion,
            "promise_not_kept",
            "every request was answered, but not everything is as the cell expects".into(),
            "compare `exchanges.jsonl` (the provider's side) with `transcript.jsonl` (Claude Code's)",
        )
    })
}

/// What the two sides of a run, which came to an answer, prove about the gateway between them.
fn proven_fault(evidence: &Evidence, judgement: &Evaluation) -> Option<Diagnosis> {
    let asked = asked(evidence);
    let refused = asked.iter().find_map(|exchange| match &exchange.matched {
        Matched::Rejected { rule } => {
            let as_sent = wire::refused_as_sent(judgement, exchange, rule);
            Some(as_sent.unwrap_or_else(|| rejected(rule, exchange.reply.status)))
        }
        _ => None,
    });
    refused
        .or_else(|| error_of_its_own(evidence, &asked))
        .or_else(|| wire::fault(judgement))
        .or_else(|| held_back(&asked))
        .or_else(|| changed_answer(evidence, &asked))
}

/// An error that Claude Code saw and the provider did not give.
fn error_of_its_own(evidence: &Evidence, asked: &[&ProviderExchange]) -> Option<Diagnosis> {
    let told = told(evidence)?;
    let given = |status| asked.iter().any(|exchange| exchange.reply.status == status);
    let last = asked.last().map_or(200, |exchange| exchange.reply.status);
    match told.status {
        Some(status) if given(status) => None,
        Some(status) if last != 200 => Some(changed_status(last, status)),
        // Claude Code's own summary without a status need not be about a request.
        None if told.summary => None,
        _ => Some(fact(
            Cause::Gateway,
            "refused_once",
            format!(
                "an error came back for a request of this trial that the provider did not give: {}",
                told.shown()
            ),
            "see the error in `transcript.jsonl` and the gateway's log lines in `gateway.log`",
        )),
    }
}

fn held_back(asked: &[&ProviderExchange]) -> Option<Diagnosis> {
    let lockstep = asked
        .iter()
        .filter_map(|exchange| exchange.reply.lockstep)
        .find(|lockstep| lockstep.is_held_back())?;
    Some(fact(
        Cause::Gateway,
        "stream_held_back",
        format!(
            "of {} deltas {} showed at Claude Code before the provider sent the next; then it waited in vain",
            lockstep.deltas, lockstep.seen
        ),
        "compare the times of the deltas in `transcript.jsonl` with those in `exchanges.jsonl`",
    ))
}

/// The provider's answers and those that Claude Code got, one by one where there are as many of either.
fn changed_answer(evidence: &Evidence, asked: &[&ProviderExchange]) -> Option<Diagnosis> {
    let sent: Vec<&ProviderExchange> = asked
        .iter()
        .copied()
        .filter(|exchange| exchange.reply.message.is_some())
        .collect();
    let direct = usize::from(evidence.direct.is_some());
    let got = evidence.transcript.messages();
    if sent.len() != got.len() + direct {
        return None;
    }
    sent.into_iter().zip(&got).find_map(|(exchange, answer)| {
        let message = exchange.reply.message.as_ref()?;
        let blocks = message["content"].as_array()?;
        let (sent, got) = (said_by_provider(blocks), said_to_claude(&answer.content));
        let stop_reasons = message["stop_reason"].as_str().zip(answer.stop_reason.as_deref());
        let difference = match stop_reasons {
            _ if sent != got => format!("{} became {}", listed(&sent), listed(&got)),
            Some((sent, got)) if sent != got => format!("stop reason `{sent}` became `{got}`"),
            _ => return None,
        };
        Some(fact(
            Cause::Gateway,
            "answer_changed",
            format!(
                "answer {} is not the one that the provider sent: {}",
                exchange.turn.unwrap_or(exchange.number),
                clipped(&difference)
            ),
            "compare the reply in `exchanges.jsonl` with the answer in `transcript.jsonl`",
        ))
    })
}

fn listed(blocks: &[String]) -> String {
    match blocks {
        [] => "nothing".into(),
        blocks => blocks.join(" + "),
    }
}

/// What must not change on the way, a block an entry. Of tool calls that is the name: their ids and the form of their
/// arguments are the gateway's business as long as the call is answered.
fn said_by_provider(blocks: &[Value]) -> Vec<String> {
    let text = |block: &Value, key: &str| block[key].as_str().unwrap_or_default().to_owned();
    blocks
        .iter()
        .filter_map(|block| match block["type"].as_str()? {
            "text" => Some(format!("text {:?}", text(block, "text"))),
            "thinking" => Some(thinking(&text(block, "thinking"), &text(block, "signature"))),
            "tool_use" => Some(format!("a call of `{}`", text(block, "name"))),
            _ => None,
        })
        .collect()
}

fn said_to_claude(blocks: &[AnswerBlock]) -> Vec<String> {
    blocks
        .iter()
        .filter_map(|block| match block {
            AnswerBlock::Text(text) => Some(format!("text {text:?}")),
            AnswerBlock::Thinking {
                thinking: text,
                signature,
            } => Some(thinking(text, signature)),
            AnswerBlock::ToolUse { name, .. } => Some(format!("a call of `{name}`")),
            AnswerBlock::RedactedThinking(_) | AnswerBlock::Other(_) => None,
        })
        .collect()
}

fn thinking(text: &str, signature: &str) -> String {
    format!("thinking {text:?} signed {signature:?}")
}
