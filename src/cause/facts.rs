//! Finds the cause of a failed trial from the facts of both sides, and from words only where the facts do not decide.

use super::reported::{ReportedError, reported_error};
use super::rules::limits::COOLDOWN;
use super::{Diagnosis, ErrorMessage, MessageRoute, diagnose, traces};
use crate::evidence::{Behind, Evidence, Killed};
use crate::expectation::matcher::refusal_shown;
use crate::expectation::{RUN, WORKAROUNDS};
use crate::judge::{Evaluation, UnofferedTool};
use crate::outcome::{Cause, Mismatch, Verdict};
use crate::text::{clipped, closest, counted, listed};
use crate::transcript::{Answer, AnswerBlock};
use crate::wire::betas::{KNOWN_BETAS, unknown_betas};
use crate::wire::error_reply::message_in;
use crate::wire::exchange::{Matched, ProviderExchange};
use crate::wire::model::{RULES_OF_MODELS, is_refused};
use crate::wire::refusal_rules::SIGNATURE;
use crate::wire::reply_id;
use crate::wire::script::LOCKSTEP_PATIENCE_MS;
use crate::wire_diff::{self, Fate, Part};

pub(super) const SEE_LOG: &str = "look for the error in `gateway.log`, the gateway's lines of this trial; read the gateway's own log at the time of this trial";

/// The rule of an answer that the provider gave to another trial.
pub(super) const OF_ANOTHER_TRIAL: &str = "answer_of_another_trial";

/// Whose fault it is that `judgement` has mismatches.
pub fn of_trial(evidence: &Evidence, judgement: &Evaluation) -> Diagnosis {
    if let Some(diagnosis) = ended_from_outside(evidence) {
        return diagnosis;
    }
    if let Some(diagnosis) = answer_of_another_trial(evidence) {
        return diagnosis;
    }
    if let Some(without_key) = traces::without_key(judgement) {
        return without_key;
    }
    if let Some(tool) = &judgement.unoffered_tool {
        return not_offered(tool);
    }
    match (
        is_broken(judgement, RUN) && !is_known_aside(judgement),
        evidence.behind,
    ) {
        (true, Behind::Simulated) => broken_run(evidence, judgement),
        (true, Behind::Live) => broken_live_run(evidence),
        (false, _) => broken_promise(evidence, judgement),
    }
}

/// Claude Code was ended by a signal that neither this program nor Claude Code sends.
fn ended_from_outside(evidence: &Evidence) -> Option<Diagnosis> {
    let name = match (evidence.exit.killed, evidence.exit.signal?) {
        (None, 1) => "SIGHUP",
        (None, 2) => "SIGINT",
        (None, 9) => "SIGKILL",
        (None, 15) => "SIGTERM",
        _ => return None,
    };
    Some(Diagnosis::proven(
        Cause::Harness,
        "ended_from_outside",
        format!("something else on this machine ended Claude Code ({name})"),
        "run again; without memory the kernel ends programs by SIGKILL, and `dmesg` says so",
    ))
}

/// The simulator made the answer, but not for this trial. Its ids show both.
fn answer_of_another_trial(evidence: &Evidence) -> Option<Diagnosis> {
    // A stream that broke off has an id in its first event only.
    let given = evidence.exchanges.iter().flat_map(|exchange| {
        let starts = exchange.reply.events.iter().map(|event| &event.data["message"]);
        exchange.reply.message.iter().chain(starts)
    });
    let given = given.filter_map(|message| message["id"].as_str());
    // An answer to a token count has no other id.
    let headers = evidence
        .exchanges
        .iter()
        .flat_map(|exchange| &exchange.reply.headers);
    let given = given.chain(headers.map(|(_, value)| value.as_str()));
    let own: Vec<&str> = given.filter_map(reply_id::of_simulator).collect();
    let received = evidence.sent.iter().filter_map(|sent| sent.reply.as_ref());
    let answers = received.filter(|reply| reply.status < 400);
    let mut ids = answers.flat_map(|reply| {
        let headers = reply
            .headers
            .iter()
            .filter(|(name, _)| name.ends_with("request-id"));
        let headers = headers.map(|(_, value)| value.clone());
        headers.chain(Answer::received(reply).and_then(|answer| answer.id))
    });
    let id = ids.find(|id| reply_id::of_simulator(id).is_some_and(|digits| !own.contains(&digits)))?;
    Some(Diagnosis::proven(
        Cause::Gateway,
        OF_ANOTHER_TRIAL,
        format!("the gateway returned an answer that the provider gave to another trial (`{id}`)"),
        "see the reply in `sent.jsonl`; the gateway caches replies, or mixes up requests under way: turn its cache off, or report it",
    ))
}

fn is_broken(judgement: &Evaluation, name: &str) -> bool {
    let mut broken = judgement
        .judged
        .iter()
        .filter(|judged| judged.verdict == Verdict::Broken);
    broken.any(|judged| judged.name == name)
}

fn not_offered(tool: &UnofferedTool) -> Diagnosis {
    let (name, place) = (&tool.name, &tool.place);
    let offered = || tool.offered.iter().map(String::as_str);
    let meant =
        closest(name, offered()).map_or_else(String::new, |meant| format!(" (did you mean `{meant}`?)"));
    Diagnosis::proven(
        Cause::Harness,
        "tool_not_offered",
        format!("a reply of the cell calls the tool `{name}`, which no request of Claude Code offers"),
        &format!(
            "correct the name at `{}:{}:{}`{meant}; allowed: {}",
            place.file.display(),
            place.line,
            place.column,
            listed(offered())
        ),
    )
}

/// Whether the gateway is known to break the run, and breaks something new too.
fn is_known_aside(judgement: &Evaluation) -> bool {
    let mut mismatches = judgement.mismatches.iter();
    let is_run = |mismatch: &Mismatch| mismatch.expectation == RUN;
    mismatches.any(|mismatch| is_run(mismatch) && !mismatch.status.is_new())
        && (judgement.mismatches.iter()).any(|mismatch| !is_run(mismatch) && mismatch.status.is_new())
}

/// The Messages requests that reached the provider, without probes.
fn asked(evidence: &Evidence) -> Vec<&ProviderExchange> {
    let exchanges = evidence.exchanges.iter();
    exchanges.filter(|exchange| exchange.turn.is_some()).collect()
}

fn broken_run(evidence: &Evidence, judgement: &Evaluation) -> Diagnosis {
    let asked = asked(evidence);
    let error = reported_error(evidence);
    let Some(last) = asked.last() else {
        return nothing_arrived(evidence, error);
    };
    let sent = last.reply.status;
    match &last.matched {
        Matched::Rejected { rule } => {
            if let Some(other) = another_model(judgement, &asked) {
                return other;
            }
            // Claude Code may have sent it again.
            let same = asked
                .iter()
                .rev()
                .take_while(|asked| message_in(&asked.reply.events) == message_in(&last.reply.events));
            let first = same.last().copied();
            return traces::refused_as_sent(evidence, judgement, last, rule)
                .unwrap_or_else(|| rejected(evidence, rule, first.unwrap_or(last)));
        }
        // A broken reply makes Claude Code ask again, so the later requests follow from it.
        Matched::Unmatched { .. } if traces::diverged(evidence, judgement).is_some() => {}
        Matched::Unmatched { .. } => {
            return Diagnosis::proven(
                Cause::Assertion,
                "more_requests_than_replies",
                format!(
                    "{} reached the provider, which is more than the cell has replies for",
                    counted(asked.len(), "request")
                ),
                "see in `exchanges.jsonl` which request was repeated",
            );
        }
        Matched::Script { .. } | Matched::BuiltIn => {}
    }
    // An error that the provider gave earlier, and no longer, did not end the run.
    let overcome = |status: u16| sent == 200 && asked.iter().any(|exchange| exchange.reply.status == status);
    let error = error.filter(|error| !error.status.is_some_and(overcome));
    // After an error of the provider, the gateway may refuse because of it.
    let is_its_own = asked.iter().all(|exchange| exchange.reply.status < 400);
    if is_its_own
        && is_refused_by_gateway(judgement)
        && let Some(refused) = &error
        && matches!(refused.diagnose().cause, Cause::Account | Cause::RateLimit)
    {
        return nothing_arrived(evidence, error);
    }
    if let Some(diverged) = traces::diverged(evidence, judgement) {
        return diverged;
    }
    match error {
        Some(ReportedError {
            status: Some(seen), ..
        }) if seen != sent => changed_status(sent, seen),
        Some(error) if error.status.is_some() => error.diagnose(),
        error => without_status(evidence, last, error),
    }
}

/// Whether the gateway answered a request itself. In the middle of a conversation, a budget or a limit may be used up.
fn is_refused_by_gateway(judgement: &Evaluation) -> bool {
    let change = judgement.first_divergence();
    change.is_some_and(|change| change.what.part == Part::Request && change.what.fate == Fate::Dropped)
}

/// The run failed without a status that says why.
fn without_status(evidence: &Evidence, last: &ProviderExchange, error: Option<ReportedError>) -> Diagnosis {
    let sent = last.reply.status;
    let broken_off = |how: String| {
        Diagnosis::proven(
            Cause::Gateway,
            "answer_broken_off",
            format!("the provider answered with HTTP {sent}, and {how}"),
            "see in `transcript.jsonl` where the answer stopped; see in `exchanges.jsonl` what the provider sent; see in `gateway.log` why",
        )
    };
    match error {
        Some(error) if !error.summary || error.text.contains("API Error") => broken_off(format!(
            "Claude Code did not get the whole answer: {}",
            clipped(error.text.trim())
        )),
        _ if evidence.exit.killed == Some(Killed::Deadline) => Diagnosis::proven(
            Cause::Gateway,
            "answer_never_came",
            format!(
                "the provider answered with HTTP {sent}, but Claude Code was still waiting when the trial timed out"
            ),
            "see in `transcript.jsonl` where the answer stopped; see in `exchanges.jsonl` what the provider sent; see in `gateway.log` why",
        ),
        _ if last.reply.cut_off => {
            broken_off("the gateway closed the connection before the end of the answer".into())
        }
        _ => Diagnosis::proven(
            Cause::Cli,
            "ended_without_a_word",
            format!(
                "the provider answered with HTTP {sent}, and Claude Code ended although it received no error"
            ),
            "see `transcript.jsonl`; see `stderr.txt`; see `exit.json`",
        ),
    }
}

fn rejected(evidence: &Evidence, rule: &str, exchange: &ProviderExchange) -> Diagnosis {
    let status = exchange.reply.status;
    // As the preflight finds it.
    let is_configured = evidence.attached && asked(evidence).iter().all(|asked| is_refused(&asked.matched));
    let sent = wire_diff::origin(evidence, exchange);
    let sent = sent.and_then(|sent| sent.request.body.json()?["model"].as_str());
    if let Some(alias) = sent.filter(|_| is_configured)
        && let Some(wrong) = super::wrong_model(exchange, alias)
    {
        return wrong;
    }
    let model = exchange.message.as_ref().map(|message| message.model.as_str());
    if let Some(model) = model.filter(|_| RULES_OF_MODELS.contains(&rule)) {
        let asked_for = match model {
            "" => "no model".to_owned(),
            model => format!("the model `{model}`, which the provider does not have"),
        };
        return Diagnosis::proven(
            Cause::Gateway,
            "rejected_model",
            format!("the gateway asked for {asked_for} (`{rule}`, HTTP {status})"),
            "see which model the gateway's configuration gives this alias: if it is this one, correct it there; else report it to the gateway",
        );
    }
    let betas = match (exchange.route, &exchange.message) {
        (Some(route), Some(message)) if rule == KNOWN_BETAS => {
            unknown_betas(route, &message.betas).join(", ")
        }
        _ => String::new(),
    };
    let what = match betas.as_str() {
        "" => String::new(),
        betas => format!(", with the beta {betas}"),
    };
    let refused = format!(
        "request {} as the gateway sent it{what} (`{rule}`, HTTP {status}): {}",
        exchange.turn.unwrap_or(exchange.number),
        match rule {
            // What follows sends a reader to the key.
            SIGNATURE => "the signature is not that of the request, or something changed after it was signed"
                .to_owned(),
            _ => refusal_shown(message_in(&exchange.reply.events)),
        }
    );
    let diagnosis = Diagnosis::proven(
        Cause::Gateway,
        "rejected_request",
        format!("the provider refused {refused}"),
        match betas.as_str() {
            "" => {
                "compare the request in `sent.jsonl` with that in `exchanges.jsonl`; report it to the gateway"
            }
            _ => "the gateway should not send this beta to this provider: report it to the gateway",
        },
    );
    Diagnosis {
        refused: Some(refused),
        ..diagnosis
    }
}

fn changed_status(sent: u16, seen: u16) -> Diagnosis {
    if sent == 200 {
        return Diagnosis::proven(
            Cause::Gateway,
            "answer_lost",
            format!("the provider answered with HTTP 200, Claude Code saw HTTP {seen}"),
            SEE_LOG,
        );
    }
    Diagnosis::proven(
        Cause::Gateway,
        "status_changed",
        format!("the provider answered with HTTP {sent}, the gateway returned HTTP {seen}"),
        "report to the gateway that it changes its provider's errors",
    )
}

fn nothing_arrived(evidence: &Evidence, error: Option<ReportedError>) -> Diagnosis {
    match error {
        Some(error) => {
            let words = error.diagnose();
            // The gateway refused the request itself, so an unspecific error is the gateway's.
            match words.cause {
                Cause::RateLimit if evidence.behind == Behind::Simulated && words.rule != COOLDOWN => Diagnosis {
                    why: format!("the gateway itself refused, because of too many requests: {}", error.shown()),
                    next: "raise the limit of the key in the gateway's configuration, or run fewer trials at once (`--test-threads`)"
                        .to_owned(),
                    ..words
                },
                Cause::Auth | Cause::Account | Cause::RateLimit => words,
                _ if let Some(elsewhere) = traces::asked_elsewhere(evidence) => elsewhere,
                Cause::Config => words,
                _ => Diagnosis::proven(
                    Cause::Gateway,
                    "never_forwarded",
                    format!(
                        "no Messages request reached the provider, and Claude Code got an error from the gateway: {}",
                        error.shown()
                    ),
                    SEE_LOG,
                ),
            }
        }
        None if evidence.exit.killed == Some(Killed::Deadline) => Diagnosis::proven(
            Cause::Gateway,
            "never_answered",
            "no Messages request reached the provider, and nothing came back from the gateway",
            SEE_LOG,
        ),
        None => Diagnosis::proven(
            Cause::Cli,
            "never_asked",
            "Claude Code ended before it sent a request",
            "see `transcript.jsonl`; see `stderr.txt`; check that this version of Claude Code knows the cell's flags and variables",
        ),
    }
}

/// In a live run an error outranks a timeout.
fn broken_live_run(evidence: &Evidence) -> Diagnosis {
    if let Some(error) = reported_error(evidence) {
        return error.diagnose();
    }
    if evidence.exit.killed == Some(Killed::Deadline) {
        return Diagnosis::proven(
            Cause::Harness,
            "deadline",
            "the trial timed out before any error showed",
            "raise the cell's `timeout_seconds`, or find out why the gateway waited",
        );
    }
    Diagnosis::proven(
        Cause::Cli,
        "ended_without_a_word",
        "Claude Code ended without an error from the gateway",
        "see `transcript.jsonl`; see `stderr.txt`; see `exit.json`",
    )
}

/// The run ended with an answer, but not as expected.
fn broken_promise(evidence: &Evidence, judgement: &Evaluation) -> Diagnosis {
    // Known findings beside a `todo` say nothing about it.
    let mut mismatches = judgement
        .mismatches
        .iter()
        .filter(|mismatch| mismatch.status.is_new());
    if !judgement.unwritten.is_empty()
        && mismatches.all(|mismatch| judgement.unwritten.contains(&mismatch.expectation))
    {
        return Diagnosis::proven(
            Cause::Harness,
            "not_written",
            "the cell still has a `todo`, and nothing else failed",
            "replace the `todo` by expectations (`docs/cells.md`); `compat show` shows what this trial recorded",
        );
    }
    let proven = match evidence.behind {
        Behind::Simulated => proven_fault(evidence, judgement),
        // A fault that Claude Code worked around is a fault.
        Behind::Live if is_broken(judgement, WORKAROUNDS) => {
            reported_error(evidence).map(|error| error.diagnose())
        }
        Behind::Live => refused_directly(evidence),
    };
    proven.unwrap_or_else(|| {
        Diagnosis::proven(
            Cause::Assertion,
            "promise_not_kept",
            "every request was answered, but an expectation of the cell did not hold",
            "see in `transcript.jsonl` what Claude Code got; see in `exchanges.jsonl` what the provider sent",
        )
    })
}

/// A transient refusal of a request that the harness itself sent. Any other status may be what the cell asks for.
fn refused_directly(evidence: &Evidence) -> Option<Diagnosis> {
    let replies = [&evidence.direct, &evidence.counted].into_iter().flatten();
    // Without an answer, the status is 0.
    let failed = replies.filter(|reply| !(1..400).contains(&reply.status));
    let diagnoses = failed.map(|reply| {
        let message = ErrorMessage::new(&reply.body.to_string()).with_route(MessageRoute::Gateway);
        diagnose(&message.with_status((reply.status > 0).then_some(reply.status)))
    });
    let mut transient = diagnoses.filter(|found| matches!(found.cause, Cause::RateLimit | Cause::Upstream));
    transient.next()
}

/// The gateway asked another model. What one model takes, another one refuses. A model that the provider does not have is refused
/// for its name.
fn another_model(judgement: &Evaluation, asked: &[&ProviderExchange]) -> Option<Diagnosis> {
    let is_unknown = |exchange: &&ProviderExchange| is_refused(&exchange.matched);
    (judgement.asks_for_another_model() && !asked.iter().any(is_unknown)).then(traces::other_model)
}

/// What both sides of a run with an answer prove about the gateway.
fn proven_fault(evidence: &Evidence, judgement: &Evaluation) -> Option<Diagnosis> {
    let asked = asked(evidence);
    let is_later = traces::is_after_refusal(judgement);
    if is_later && let Some(fault) = traces::diverged(evidence, judgement) {
        return Some(fault);
    }
    // The words of the error say whose it is, as for a run that fails.
    let error = reported_error(evidence).filter(|error| error.status.is_some());
    if asked.is_empty() && error.is_some() {
        return Some(nothing_arrived(evidence, error));
    }
    if let Some(other) = another_model(judgement, &asked) {
        return Some(other);
    }
    let refused = asked.iter().find_map(|exchange| match &exchange.matched {
        Matched::Rejected { rule } => {
            let as_sent = traces::refused_as_sent(evidence, judgement, exchange, rule);
            Some(as_sent.unwrap_or_else(|| rejected(evidence, rule, exchange)))
        }
        _ => None,
    });
    refused
        .or_else(|| traces::asked_elsewhere(evidence).filter(|_| asked.is_empty()))
        .or_else(|| error_of_its_own(evidence, &asked))
        .or_else(|| traces::fault(evidence, judgement))
        .or_else(|| held_back(evidence, &asked))
        .or_else(|| changed_answer(evidence, &asked))
        .or_else(|| {
            let mut exchanges = evidence.exchanges.iter();
            exchanges.find_map(|exchange| refused_by_rule(evidence, exchange))
        })
}

/// A refusal of any request, such as a token count.
fn refused_by_rule(evidence: &Evidence, exchange: &ProviderExchange) -> Option<Diagnosis> {
    match &exchange.matched {
        Matched::Rejected { rule } => Some(rejected(evidence, rule, exchange)),
        _ => None,
    }
}

/// An error that Claude Code saw and the provider did not give.
fn error_of_its_own(evidence: &Evidence, asked: &[&ProviderExchange]) -> Option<Diagnosis> {
    let error = reported_error(evidence)?;
    let is_within = |words: &str| !words.is_empty() && error.text.contains(words);
    if asked
        .iter()
        .any(|exchange| is_within(wire_diff::error_within(&exchange.reply)))
    {
        return None;
    }
    let given = |status| asked.iter().any(|exchange| exchange.reply.status == status);
    let last = asked.last().map_or(200, |exchange| exchange.reply.status);
    match error.status {
        Some(status) if given(status) => None,
        Some(status) if last != 200 => Some(changed_status(last, status)),
        // The reason of Claude Code's own summary without a status may be something else than a request.
        None if error.summary => None,
        _ => Some(Diagnosis::proven(
            Cause::Gateway,
            "refused_once",
            format!(
                "Claude Code got an error that the provider did not send: {}",
                error.shown()
            ),
            "see the error in `transcript.jsonl`; see the gateway's lines in `gateway.log`",
        )),
    }
}

fn held_back(evidence: &Evidence, asked: &[&ProviderExchange]) -> Option<Diagnosis> {
    let mut locksteps = asked
        .iter()
        .filter_map(|exchange| Some((exchange, exchange.reply.lockstep?)));
    let (exchange, lockstep) = locksteps.find(|(_, lockstep)| lockstep.is_held_back())?;
    if wire_diff::is_shown_late(evidence, exchange) {
        return Some(Diagnosis::proven(
            Cause::Harness,
            "stream_shown_late",
            format!(
                "the gateway passed on delta {}, but Claude Code did not show it within {} s: this machine has too much to do",
                lockstep.seen + 1,
                LOCKSTEP_PATIENCE_MS / 1000
            ),
            "end other programs on this machine, or run fewer trials at once (`--test-threads 1`), and run the trial again",
        ));
    }
    Some(Diagnosis::proven(
        Cause::Gateway,
        "stream_held_back",
        format!(
            "Claude Code showed {1} of {0} deltas before the provider sent the next one; then the provider stopped waiting",
            lockstep.deltas, lockstep.seen
        ),
        "compare the times of the deltas in `transcript.jsonl` with those in `exchanges.jsonl`",
    ))
}

/// Compares each answer of the provider with the answer that Claude Code got, if there are equally many.
fn changed_answer(evidence: &Evidence, asked: &[&ProviderExchange]) -> Option<Diagnosis> {
    let sent = asked
        .iter()
        .map(|exchange| (*exchange, Answer::given(&exchange.reply)));
    let sent: Vec<_> = sent
        .filter_map(|(exchange, answer)| Some((exchange, answer?)))
        .collect();
    let direct = usize::from(evidence.direct.is_some());
    let got = evidence.transcript.messages();
    if sent.len() != got.len() + direct {
        return None;
    }
    sent.iter().zip(&got).find_map(|((exchange, sent), got)| {
        let (before, after) = (contents(sent), contents(got));
        let stop_reasons = sent.stop_reason.as_ref().zip(got.stop_reason.as_ref());
        let difference = match stop_reasons {
            _ if before != after => format!("{before} became {after}"),
            Some((sent, got)) if sent != got => format!("stop reason `{sent}` became `{got}`"),
            _ => return None,
        };
        Some(Diagnosis::proven(
            Cause::Gateway,
            "answer_changed",
            format!(
                "answer {} differs from the one that the provider sent: {}",
                exchange.turn.unwrap_or(exchange.number),
                clipped(&difference)
            ),
            "compare the reply in `exchanges.jsonl` with the answer in `transcript.jsonl`",
        ))
    })
}

/// The contents that must not change. For a tool call only the name: the gateway may change ids and the form of arguments as
/// long as the call is answered.
fn contents(answer: &Answer) -> String {
    let blocks = answer.content.iter().filter_map(|block| match block {
        AnswerBlock::Text(text) => Some(format!("text {text:?}")),
        AnswerBlock::Thinking { thinking, signature } => {
            Some(format!("thinking {thinking:?} signed {signature:?}"))
        }
        AnswerBlock::ToolUse { name, .. } => Some(format!("a call of `{name}`")),
        AnswerBlock::RedactedThinking(_) | AnswerBlock::Other(_) => None,
    });
    match blocks.collect::<Vec<_>>().join(" + ") {
        none if none.is_empty() => "nothing".to_owned(),
        blocks => blocks,
    }
}
