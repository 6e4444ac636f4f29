//! Finds the cause of a broken expectation from the differences between both sides of the gateway.

use super::Diagnosis;
use super::facts::SEE_LOG;
use crate::evidence::Evidence;
use crate::expectation::{REFUSED, Trace};
use crate::judge::Evaluation;
use crate::outcome::Cause;
use crate::text::listed;
use crate::wire::body_fields;
use crate::wire::exchange::ProviderExchange;
use crate::wire::model::RULES_OF_MODELS;
use crate::wire::{Direction, Operation, Route};
use crate::wire_diff::{self, Change, Fate, Part, SECOND_HEADER, WireDiff};

/// What the wire proves about the broken expectations; faults of the gateway come first.
pub(super) fn fault(evidence: &Evidence, judgement: &Evaluation) -> Option<Diagnosis> {
    let diff = judgement.diff.as_ref()?;
    let found: Vec<Diagnosis> = judgement
        .traces
        .iter()
        .filter_map(|trace| {
            cannot_match(evidence, judgement, trace)
                .or_else(|| {
                    judgement
                        .never_arrived(trace)
                        .map(|change| lost(evidence, Some(change)))
                })
                .or_else(|| of_trace(evidence, trace, diff))
        })
        .collect();
    if let Some(swapped) = found.iter().find(|diagnosis| diagnosis.rule == OTHER_MODEL) {
        return Some(swapped.clone());
    }
    if let Some(change) = judgement
        .first_divergence()
        .filter(|change| change.what.part == Part::Credential)
    {
        return Some(credential_passed_on(change));
    }
    let of_gateway = found.iter().find(|diagnosis| diagnosis.cause == Cause::Gateway);
    let is_change = of_gateway.is_some_and(|one| [LOST, CHANGED_BACK].contains(&one.rule));
    // The headline and the cause name the same change.
    let headline = is_change.then(|| diverged(evidence, judgement)).flatten();
    headline.or_else(|| of_gateway.or(found.first()).cloned())
}

/// The gateway's first change that explains the failure.
pub(super) fn diverged(evidence: &Evidence, judgement: &Evaluation) -> Option<Diagnosis> {
    let change = judgement
        .first_divergence()
        .filter(|change| change.what.part != Part::Pace)?;
    Some(match change.direction {
        _ if change.what.part == Part::Credential => credential_passed_on(change),
        Direction::Request => lost(evidence, Some(change)),
        Direction::Reply => changed_on_the_way_back(evidence, change),
    })
}

/// The gateway forwarded a request in a form from which no key of the trial could be read.
pub(super) fn without_key(judgement: &Evaluation) -> Option<Diagnosis> {
    let diff = judgement.diff.as_ref()?;
    let change = diff.without_key()?;
    let what = match change.exchange {
        Some(_) => "the gateway forwarded the request in a changed form, without the trial's key",
        None => {
            "the gateway forwarded requests in a changed form, without a key, and they fit this trial and another one \
             equally well"
        }
    };
    Some(Diagnosis::proven(
        Cause::Gateway,
        "forwarded_without_key",
        with_change(what, diff.lost_with_the_key(change)),
        "compare the request in `sent.jsonl` with that in `exchanges.jsonl`; compare it with the requests in \
         `ambiguous.jsonl`; see all changes in `wire-diff.txt`; report it to the gateway",
    ))
}

/// The provider refused `exchange` although it arrived as Claude Code had sent it. Only for a 400 on the Anthropic
/// route: the gateway is responsible for keys, models and the forms of the other routes.
pub(super) fn refused_as_sent(
    evidence: &Evidence,
    judgement: &Evaluation,
    exchange: &ProviderExchange,
    rule: &str,
) -> Option<Diagnosis> {
    let is_anthropics = exchange.reply.status == 400 && exchange.route == Some(Route::Anthropic);
    if !is_anthropics || RULES_OF_MODELS.contains(&rule) {
        return None;
    }
    let diff = judgement.diff.as_ref()?;
    // What the gateway is known to change may be refused too.
    let whole = judgement.whole_diff.as_ref().unwrap_or(diff);
    let is_changed = whole.changes.iter().any(|change| {
        change.direction == Direction::Request
            && (change.exchange == Some(exchange.number) || change.exchange.is_none())
    });
    if is_changed {
        return None;
    }
    // Claude Code sends back the reply that it got.
    let earlier = diff.changes.iter().filter(|change| {
        change.direction == Direction::Reply && change.exchange.is_some_and(|other| other < exchange.number)
    });
    Some(match earlier.min_by_key(|change| change.exchange) {
        Some(change) => changed_on_the_way_back(evidence, change),
        None => Diagnosis::proven(
            Cause::Cli,
            "refused_as_sent",
            format!(
                "the provider refused the request (`{rule}`, HTTP 400), which arrived as Claude Code had sent it"
            ),
            "see the request in `sent.jsonl`: does this model allow what the cell requests?",
        ),
    })
}

/// Whether what explains the failure comes after a refusal that Claude Code or the gateway did without, and matters more.
pub(super) fn is_after_refusal(judgement: &Evaluation) -> bool {
    let place = |name: &str| {
        let mut mismatches = judgement.mismatches.iter();
        mismatches.position(|mismatch| mismatch.expectation == name)
    };
    judgement.first_divergence().is_some_and(|change| {
        let is_later = |first: &usize| change.exchange > Some(*first);
        let explained = judgement.explained_by(change).and_then(place);
        judgement.refused.first().is_some_and(is_later)
            && !judgement.is_of_refusal(change)
            && place(REFUSED).is_none_or(|refused| explained.is_some_and(|explained| explained < refused))
    })
}

/// The gateway sent the request to a path that the provider does not have. A run that configures the gateway gives it the
/// provider's base, so the path is the gateway's own.
pub(super) fn asked_elsewhere(evidence: &Evidence) -> Option<Diagnosis> {
    let mut strays = wire_diff::strays(&evidence.exchanges);
    let stray = strays.next().filter(|_| !evidence.attached)?;
    let (method, path) = (&stray.request.method, &stray.request.path);
    Some(Diagnosis::proven(
        Cause::Gateway,
        "asked_elsewhere",
        format!("the gateway sent the request to a path that the provider does not have: {method} {path}"),
        "see the path in `exchanges.jsonl`; does this version of the gateway have the provider's Messages API? If it does, report it to the gateway",
    ))
}

/// The expectation looks for a name that no API documents and no request of Claude Code has.
fn cannot_match(evidence: &Evidence, judgement: &Evaluation, trace: &Trace) -> Option<Diagnosis> {
    if trace.held_before != Some(false) || trace.interest.direction == Direction::Reply {
        return None;
    }
    let bodies = evidence.sent.iter().filter_map(|sent| sent.request.body.json());
    let bodies: Vec<String> = bodies.map(ToString::to_string).collect();
    let is_sent = |name: &str| bodies.iter().any(|body| body.contains(&format!("\"{name}\"")));
    let is_word = |name: &&String| {
        name.chars()
            .all(|character| character.is_alphanumeric() || character == '_')
    };
    let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let mut names = trace.interest.names.iter().filter(is_word);
    let name = names.find(|name| !is_number(name) && !body_fields::is_documented(name) && !is_sent(name))?;
    let mut mismatches = judgement.mismatches.iter();
    let mismatch = mismatches.find(|mismatch| mismatch.expectation == trace.expectation)?;
    let place = mismatch.place.as_ref()?;
    Some(Diagnosis::proven(
        Cause::Harness,
        "cell_cannot_match",
        format!("no request of Claude Code has `{name}`, so no gateway could deliver it"),
        &format!(
            "correct `{}` at `{}:{}:{}`; see the request in `sent.jsonl`",
            trace.expectation,
            place.file.display(),
            place.line,
            place.column
        ),
    ))
}

fn of_trace(evidence: &Evidence, trace: &Trace, diff: &WireDiff) -> Option<Diagnosis> {
    let operation = trace.interest.operation.unwrap_or(Operation::Messages);
    if trace.interest.is_of_model() && trace.held_before == Some(true) && trace.is_asked {
        return Some(other_model());
    }
    let is_of_gateway = [Operation::ListModels, Operation::Unknown].contains(&operation);
    if is_of_gateway && trace.held_before == Some(true) {
        return Some(answered_otherwise());
    }
    let nearest = trace.interest.of_diff(diff).first().copied();
    // What the cache holds depends on several requests: no request alone shows it.
    let held_before = trace.held_before.filter(|_| !trace.interest.is_of_prefix());
    match (trace.interest.direction, held_before) {
        (Direction::Request, Some(true)) => Some(match nearest {
            Some(change) => lost(evidence, Some(change)),
            None if operation == Operation::CountTokens => count_not_forwarded(),
            None => lost_by_name(&trace.interest.names),
        }),
        (Direction::Request, Some(false)) => Some(never_sent(diff)),
        (Direction::Request, None) => nearest.map(|change| lost(evidence, Some(change))),
        (Direction::Reply, held) => match nearest {
            Some(change) => Some(changed_on_the_way_back(evidence, change)),
            // Headers are compared where they reach Claude Code, so it cannot have altered them.
            None if !trace.interest.names.is_empty() => held
                .filter(|held| *held)
                .map(|_| header_lost(&trace.interest.names)),
            None => held.filter(|held| *held).map(|_| altered_by_claude()),
        },
    }
}

/// The rule of a part of a request that did not arrive.
const LOST: &str = "lost_on_the_way";
/// The rule of a reply that changed.
const CHANGED_BACK: &str = "changed_on_the_way_back";

/// The rule of a request for another model.
const OTHER_MODEL: &str = "other_model";

pub(super) fn other_model() -> Diagnosis {
    Diagnosis::proven(
        Cause::Gateway,
        OTHER_MODEL,
        "the gateway asked the provider for another model than claude had asked for",
        "compare the model in `sent.jsonl` with that in `exchanges.jsonl`; see which model the gateway's configuration gives this alias",
    )
}

/// What to do if the provider gets no request for a token count.
fn no_count() -> String {
    format!(
        "report it to the gateway: Claude Code asks for token counts at `POST /v1/messages/count_tokens`, and only the provider \
         knows them; {SEE_LOG}"
    )
}

fn count_not_forwarded() -> Diagnosis {
    Diagnosis::proven(
        Cause::Gateway,
        LOST,
        "the request for a token count did not reach the provider as it was sent",
        &no_count(),
    )
}

/// What an expectation looks for, and no change that is compared shows: a header that a gateway may drop.
fn lost_by_name(names: &[String]) -> Diagnosis {
    let names = match names {
        [] => String::new(),
        names => format!(": {}", listed(names.iter().map(String::as_str))),
    };
    Diagnosis::proven(
        Cause::Gateway,
        LOST,
        format!("sent by claude, absent or changed at the provider{names}"),
        "compare the request in `sent.jsonl` with that in `exchanges.jsonl`; report it to the gateway",
    )
}

fn credential_passed_on(change: &Change) -> Diagnosis {
    Diagnosis::proven(
        Cause::Gateway,
        "credential_passed_on",
        with_change(
            match change.what.path.as_str() {
                SECOND_HEADER => "the gateway sends the provider a credential in two headers",
                _ => "the gateway sends a credential to a side that must not get it",
            },
            Some(change),
        ),
        "compare the headers in `sent.jsonl` with those in `exchanges.jsonl`; see all changes in `wire-diff.txt`; report it to the gateway",
    )
}

/// A request that is no message, such as the list of models.
fn answered_otherwise() -> Diagnosis {
    Diagnosis::proven(
        Cause::Gateway,
        "answered_otherwise",
        "claude asked the gateway itself, and the gateway's answer is not the expected one",
        "see the request and the answer in `sent.jsonl`; report it to the gateway",
    )
}

/// In a request to the gateway, absent or changed at the provider.
fn lost(evidence: &Evidence, change: Option<&Change>) -> Diagnosis {
    let is_missing = |change: &Change| (change.what.part, change.what.fate) == (Part::Request, Fate::Dropped);
    Diagnosis::proven(
        Cause::Gateway,
        LOST,
        with_change(&loss_in_words(evidence, change), change),
        &match change.filter(|change| is_missing(change)) {
            Some(change) if change.operation == Operation::CountTokens => no_count(),
            Some(_) => SEE_LOG.to_owned(),
            None => {
                "compare the request in `sent.jsonl` with that in `exchanges.jsonl`; see all changes in `wire-diff.txt`; report it to the gateway".to_owned()
            }
        },
    )
}

/// Absent in Claude Code's own request, perhaps because the gateway had changed an earlier reply.
fn never_sent(diff: &WireDiff) -> Diagnosis {
    let mut changes = diff.changes.iter();
    match changes.find(|change| change.direction == Direction::Reply) {
        Some(change) => Diagnosis::proven(
            Cause::Gateway,
            "misled_by_a_reply",
            with_change(
                "claude did not send it, after the gateway had changed a reply",
                Some(change),
            ),
            "compare the reply in `exchanges.jsonl` with that in `sent.jsonl`; see all changes in `wire-diff.txt`; report it to the gateway",
        ),
        None => Diagnosis::proven(
            Cause::Cli,
            "never_sent",
            "claude did not send it to the gateway, and each reply came back as the provider sent it",
            "see the request in `sent.jsonl`: does this version of Claude Code support what the cell requests?",
        ),
    }
}

fn changed_on_the_way_back(evidence: &Evidence, change: &Change) -> Diagnosis {
    let asked = asked_by(evidence, Some(change));
    let compare = "compare the reply in `exchanges.jsonl` with that in `sent.jsonl`; see all changes in `wire-diff.txt`; report it to the gateway";
    Diagnosis::proven(
        Cause::Gateway,
        CHANGED_BACK,
        with_change(
            &format!("the provider's reply changed on its way back to {asked}"),
            Some(change),
        ),
        &match change.is_lost_answer() {
            true => format!("{SEE_LOG}; {compare}"),
            false => compare.to_owned(),
        },
    )
}

fn header_lost(names: &[String]) -> Diagnosis {
    let names = listed(names.iter().map(String::as_str));
    Diagnosis::proven(
        Cause::Gateway,
        CHANGED_BACK,
        format!("sent by the provider, absent or changed on its way back: {names}"),
        "compare the reply in `exchanges.jsonl` with that in `sent.jsonl`; report it to the gateway",
    )
}

fn altered_by_claude() -> Diagnosis {
    Diagnosis::proven(
        Cause::Cli,
        "shown_otherwise",
        "Claude Code altered the reply after receiving it unchanged",
        "compare the reply in `sent.jsonl` with `transcript.jsonl`",
    )
}

/// Whose request the change is about: a cell's direct request and its token count come from the harness.
fn asked_by(evidence: &Evidence, change: Option<&Change>) -> &'static str {
    let sent = change.and_then(|change| evidence.sent.get(change.sent.checked_sub(1)?));
    match sent {
        Some(sent) if sent.request.is_of_harness() => "the harness",
        _ => "claude",
    }
}

fn loss_in_words(evidence: &Evidence, change: Option<&Change>) -> String {
    let sender = asked_by(evidence, change);
    match change.map(|change| change.what.fate) {
        Some(Fate::Dropped) => format!("sent by {sender}, absent at the provider"),
        Some(Fate::Added) => format!("not sent by {sender}, present at the provider"),
        _ => format!("sent by {sender}, absent or changed at the provider"),
    }
}

fn with_change(what: &str, change: Option<&Change>) -> String {
    match change {
        Some(change) => format!("{what}: {}", change.line()),
        None => what.to_owned(),
    }
}
