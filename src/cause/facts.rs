//! Whose fault a failed trial is, decided from what both sides saw; from words only where facts do not decide.

use super::{Diagnosis, of_message, of_status};
use crate::evidence::{Behind, Evidence, Killed};
use crate::expect::{Judgement, RUN};
use crate::outcome::{Cause, Verdict};
use crate::transcript::ErrorSource;
use crate::wire::Operation;
use crate::wire::exchange::{Exchange, Matched};

/// Whose fault it is that `judgement` has mismatches.
pub fn of_trial(evidence: &Evidence, judgement: &Judgement) -> Diagnosis {
    let run_broke = judgement
        .judged
        .iter()
        .any(|judged| judged.name == RUN && judged.verdict == Verdict::Broken);
    match (run_broke, evidence.behind) {
        (true, Behind::Simulated) => broken_run(evidence),
        (true, Behind::Live) => broken_live_run(evidence),
        (false, _) => broken_promise(evidence, judgement),
    }
}

fn fact(cause: Cause, rule: &'static str, why: String, next: &str) -> Diagnosis {
    Diagnosis {
        cause,
        confidence: 1.0,
        why,
        next: next.to_owned(),
        rule,
    }
}

/// What `claude` was told went wrong: status and the words closest to the gateway's own.
fn told(evidence: &Evidence) -> Option<(Option<u16>, String)> {
    let errors = evidence.transcript.errors();
    let from_gateway = errors
        .iter()
        .rev()
        .find(|error| error.source != ErrorSource::Result);
    from_gateway
        .or(errors.last())
        .map(|error| (error.status, error.text.clone()))
}

fn broken_run(evidence: &Evidence) -> Diagnosis {
    let asked: Vec<&Exchange> = evidence
        .exchanges
        .iter()
        .filter(|exchange| exchange.operation == Operation::Messages)
        .collect();
    let told = told(evidence);
    let Some(last) = asked.last() else {
        return nothing_arrived(evidence, told);
    };
    let said = last.reply.status;
    let seen = told.as_ref().and_then(|(status, _)| *status);
    match (&last.matched, seen) {
        (Matched::Rejected { rule }, _) => fact(
            Cause::Gateway,
            "rejected_request",
            format!(
                "the provider refused the request that the gateway made of Claude Code's (`{rule}`, HTTP {said})"
            ),
            "compare what was sent with what arrived in `exchanges.jsonl`, and report it to the gateway",
        ),
        (Matched::Unmatched { .. }, _) => fact(
            Cause::Assertion,
            "more_requests_than_replies",
            format!(
                "{} requests reached the provider, more than the cell has replies for",
                asked.len()
            ),
            "see in `exchanges.jsonl` who repeated which request",
        ),
        (_, Some(seen)) if said == 200 => fact(
            Cause::Gateway,
            "answer_lost",
            format!("the provider answered with HTTP 200, Claude Code saw HTTP {seen}"),
            "look for the error in the gateway's log lines of this trial, `gateway.log`",
        ),
        (_, Some(seen)) if seen != said => fact(
            Cause::Gateway,
            "status_changed",
            format!("the provider answered with HTTP {said}, the gateway passed on HTTP {seen}"),
            "report to the gateway that it changes its upstream's errors",
        ),
        (_, Some(status)) => of_status(status, None, &told.map(|(_, text)| text).unwrap_or_default()),
        (_, None) if evidence.exit.killed == Some(Killed::Deadline) => fact(
            Cause::Gateway,
            "answer_never_came",
            format!(
                "the provider answered with HTTP {said}, Claude Code was still waiting when its time was up"
            ),
            "see in `transcript.jsonl` how far the answer came, and in `gateway.log` why no further",
        ),
        (_, None) => fact(
            Cause::Cli,
            "ended_without_a_word",
            format!(
                "the provider answered with HTTP {said} and no error reached Claude Code, which ended all the same"
            ),
            "see `transcript.jsonl` and `stderr.txt`",
        ),
    }
}

fn nothing_arrived(evidence: &Evidence, told: Option<(Option<u16>, String)>) -> Diagnosis {
    match told {
        Some((status, text)) => {
            let words = match status {
                Some(status) => of_status(status, None, &text),
                None => of_message(&text),
            };
            // A refusal of the gateway's own: of words that blame nobody in particular, the gateway's.
            match words.cause {
                Cause::Config | Cause::Auth | Cause::Account | Cause::RateLimit => words,
                _ => fact(
                    Cause::Gateway,
                    "never_forwarded",
                    "no request reached the provider, and Claude Code got an error from the gateway".into(),
                    "look for the error in the gateway's log lines of this trial, `gateway.log`",
                ),
            }
        }
        None if evidence.exit.killed == Some(Killed::Deadline) => fact(
            Cause::Gateway,
            "never_answered",
            "no request reached the provider, and nothing came back from the gateway".into(),
            "look into the gateway's log lines of this trial, `gateway.log`",
        ),
        None => fact(
            Cause::Cli,
            "never_asked",
            "Claude Code ended before it asked for anything".into(),
            "see `transcript.jsonl` and `stderr.txt`: a flag or a variable of the cell that this version does not take?",
        ),
    }
}

/// The first error of a live run outranks how the run ended: a timeout never hides it.
fn broken_live_run(evidence: &Evidence) -> Diagnosis {
    if let Some((status, text)) = told(evidence) {
        return match status {
            Some(status) => of_status(status, None, &text),
            None => of_message(&text),
        };
    }
    if let Some(retry) = evidence.transcript.api_retries().last() {
        return match retry.status {
            Some(status) => of_status(status, None, &retry.error),
            None => of_message(&retry.error),
        };
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
fn broken_promise(evidence: &Evidence, judgement: &Judgement) -> Diagnosis {
    let stale = judgement
        .judged
        .iter()
        .any(|judged| judged.verdict == Verdict::UnexpectedlyHeld);
    let broken = judgement
        .judged
        .iter()
        .any(|judged| judged.verdict == Verdict::Broken);
    if stale && !broken {
        return fact(
            Cause::Assertion,
            "stale_known_failure",
            "a declared known failure does not fail any more".into(),
            "remove the declaration from the cell's `known_failures`",
        );
    }
    if let Some((status, text)) = told(evidence) {
        let status = status.map_or("an error".into(), |status| format!("HTTP {status}"));
        return fact(
            Cause::Gateway,
            "refused_once",
            format!("{status} came back for a request of this trial before one succeeded: {text}"),
            "see the error in `transcript.jsonl` and the gateway's log lines in `gateway.log`",
        );
    }
    fact(
        Cause::Assertion,
        "promise_not_kept",
        "every request was answered, but not everything is as the cell expects".into(),
        "compare `exchanges.jsonl` (the provider's side) with `transcript.jsonl` (Claude Code's)",
    )
}
