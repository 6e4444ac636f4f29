//! Whose fault it is that an expectation does not hold, told from both sides of the gateway.
//!
//! Never looks at words of an error, and never at a run that broke: only at what was there on one side and not on the
//! other.
#![warn(clippy::disallowed_methods)]

use super::Diagnosis;
use super::facts::fact;
use crate::expectation::Trace;
use crate::judge::Evaluation;
use crate::outcome::Cause;
use crate::wire::exchange::ProviderExchange;
use crate::wire::{Direction, Route};
use crate::wire_diff::{Change, Fate, WireDiff};

/// What the wire proves of the broken expectations: a fault of the gateway before one of Claude Code.
pub(super) fn fault(judgement: &Evaluation) -> Option<Diagnosis> {
    let diff = judgement.diff.as_ref()?;
    let found: Vec<Diagnosis> = judgement
        .traces
        .iter()
        .filter_map(|trace| of_trace(trace, diff))
        .collect();
    let of_gateway = found.iter().find(|diagnosis| diagnosis.cause == Cause::Gateway);
    of_gateway.or(found.first()).cloned()
}

/// The provider refused `exchange` though it arrived as Claude Code had made it. Only of a plain 400 by the route that is
/// Claude Code's own: keys and models are the gateway's business, and so is every other form.
pub(super) fn refused_as_sent(
    judgement: &Evaluation,
    exchange: &ProviderExchange,
    rule: &str,
) -> Option<Diagnosis> {
    if exchange.reply.status != 400 || exchange.route != Some(Route::Anthropic) {
        return None;
    }
    let diff = judgement.diff.as_ref()?;
    let is_changed = diff.changes.iter().any(|change| {
        change.direction == Direction::Request
            && (change.exchange == Some(exchange.number) || change.exchange.is_none())
    });
    (!is_changed).then(|| {
        fact(
            Cause::Cli,
            "refused_as_sent",
            format!("the provider refused the request (`{rule}`, HTTP 400), which arrived as Claude Code had sent it"),
            "see the request in `sent.jsonl`: what does the cell have Claude Code ask for, and may it with this model?",
        )
    })
}

fn of_trace(trace: &Trace, diff: &WireDiff) -> Option<Diagnosis> {
    let nearest = trace.interest.of_diff(diff).first().copied();
    match (trace.interest.direction, trace.held_before) {
        (Direction::Request, Some(true)) => Some(lost(nearest)),
        (Direction::Request, Some(false)) => Some(never_sent(diff)),
        (Direction::Request, None) => nearest.map(|change| lost(Some(change))),
        (Direction::Reply, held) => match nearest {
            Some(change) => Some(came_back_changed(change)),
            None => held.filter(|held| *held).map(|_| shown_wrong()),
        },
    }
}

/// Present in what Claude Code sent, absent or changed at the provider.
fn lost(change: Option<&Change>) -> Diagnosis {
    fact(
        Cause::Gateway,
        "lost_on_the_way",
        with_change(what_of(change), change),
        "compare the request in `sent.jsonl` with that in `exchanges.jsonl` (`wire-diff.txt`), and report it to the gateway",
    )
}

/// Absent already in what Claude Code sent; that may be because it got something else than the provider had answered.
fn never_sent(diff: &WireDiff) -> Diagnosis {
    let reply = diff
        .changes
        .iter()
        .find(|change| change.direction == Direction::Reply);
    match reply {
        Some(change) => fact(
            Cause::Gateway,
            "misled_by_a_reply",
            with_change("claude did not send it, after a reply that the gateway had changed", Some(change)),
            "compare the reply in `exchanges.jsonl` with that in `sent.jsonl` (`wire-diff.txt`), and report it to the gateway",
        ),
        None => fact(
            Cause::Cli,
            "never_sent",
            "absent already in what claude sent to the gateway, though each reply came back as the provider gave it".into(),
            "see the request in `sent.jsonl`: does this version of Claude Code do what the cell asks of it?",
        ),
    }
}

fn came_back_changed(change: &Change) -> Diagnosis {
    fact(
        Cause::Gateway,
        "changed_on_the_way_back",
        with_change(
            "the provider's reply did not come back to claude as it was",
            Some(change),
        ),
        "compare the reply in `exchanges.jsonl` with that in `sent.jsonl` (`wire-diff.txt`), and report it to the gateway",
    )
}

fn shown_wrong() -> Diagnosis {
    fact(
        Cause::Cli,
        "shown_otherwise",
        "the reply came back to claude as the provider gave it, and claude made something else of it".into(),
        "compare the reply in `sent.jsonl` with `transcript.jsonl`",
    )
}

fn what_of(change: Option<&Change>) -> &'static str {
    match change.map(|change| change.what.fate) {
        Some(Fate::Dropped) => "sent by claude, absent at the provider",
        _ => "sent by claude, absent or changed at the provider",
    }
}

fn with_change(what: &str, change: Option<&Change>) -> String {
    match change {
        Some(change) => format!("{what}: {}", change.told()),
        None => what.to_owned(),
    }
}
