//! Finds the cause of a failure.
//!
//! For a trial, the facts of both sides of the gateway decide. If they do not, or if only a message is known, an ordered
//! table of [`rules`] decides: the first rule that matches the message. The rules describe shapes of messages (error types,
//! status lines, fixed phrases of a program), not single messages.
#![warn(clippy::disallowed_methods)]

use crate::evidence::Evidence;
use crate::expectation::{REFUSED, RUN};
use crate::judge::Evaluation;
use crate::outcome::{Cause, Failure, Mismatch};
use crate::text;
use crate::wire::error_reply::words_in;
use crate::wire::exchange::{Matched, ProviderExchange};
use crate::wire::model;
use crate::wire::refusal_rules::SIGNATURE;
use crate::wire_diff::Change;

mod facts;
mod message;
mod reported;
pub mod rules;
mod traces;

pub use facts::of_trial;
pub use message::{ErrorMessage, MessageRoute};

/// A cause with its explanation and advice.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    pub cause: Cause,
    /// The share of such diagnoses expected to be right, from 0 to 1: [`rules::SURE`] for words that only one fault
    /// produces, down to [`rules::NOTHING`] where no rule matches and no fault is proven.
    pub confidence: f64,
    /// The fact or the shape that decided, with the words of the message.
    pub why: String,
    /// The advice: steps, separated by `; `.
    pub next: String,
    /// The name of the deciding rule.
    pub rule: &'static str,
    /// The request that the provider refused, if that is the fault, in words for a headline.
    pub refused: Option<String>,
}

impl Diagnosis {
    /// A diagnosis from facts.
    pub fn proven(cause: Cause, rule: &'static str, why: impl Into<String>, next: &str) -> Self {
        Self {
            cause,
            confidence: 1.0,
            why: why.into(),
            next: next.to_owned(),
            rule,
            refused: None,
        }
    }
}

/// The failure of a trial with mismatches.
pub fn failure_of_trial(evidence: &Evidence, judgement: &Evaluation) -> Failure {
    let diagnosis = of_trial(evidence, judgement);
    let divergence = judgement
        .first_divergence()
        .filter(|_| diagnosis.cause == Cause::Gateway);
    let is_new = |name: &str| {
        let mut mismatches = judgement.mismatches.iter();
        mismatches.any(|mismatch| mismatch.expectation == name && mismatch.status.is_new())
    };
    // What a gateway changes after it signed a request explains less than the refusal of the signature.
    let is_signature = |exchange: &ProviderExchange| matches!(&exchange.matched, Matched::Rejected { rule } if rule == SIGNATURE);
    let is_of_refusal = divergence
        .is_none_or(|change| judgement.is_of_refusal(change) || evidence.exchanges.iter().any(is_signature))
        && is_new(REFUSED);
    let (headline, explained) = match (diagnosis.rule, diagnosis.refused) {
        (facts::OF_ANOTHER_TRIAL, _) => (Some("the reply is the answer to another trial".to_owned()), None),
        (_, Some(refused)) if is_of_refusal => (Some(refused), Some(REFUSED)),
        _ => (
            divergence.map(|change| headline(change, evidence, judgement)),
            match is_new(RUN) {
                // The other mismatches follow from it.
                true => Some(RUN),
                false => divergence.and_then(|change| judgement.explained_by(change)),
            },
        ),
    };
    Failure {
        cause: diagnosis.cause,
        why: diagnosis.why,
        headline,
        next: evidence.hint(&diagnosis.next),
        wire: judgement.wire_lines(),
        mismatches: put_first(judgement.mismatches.clone(), explained),
    }
}

/// The line of `change`. The number of others lost like it follows, or the gateway's own words where it made an error of an
/// answer.
fn headline(change: &Change, evidence: &Evidence, judgement: &Evaluation) -> String {
    let lost = judgement.diff.as_ref().map_or(0, |diff| diff.lost_like(change));
    let line = match lost {
        0 => change.line(),
        1 => format!("{} (another one too)", change.line()),
        others => format!("{} ({others} others too)", change.line()),
    };
    let of_gateway = || {
        let reply = evidence.sent.get(change.sent.checked_sub(1)?)?.reply.as_ref()?;
        words_in(&reply.events)
    };
    match of_gateway().filter(|_| change.is_lost_answer()) {
        Some(words) => format!("{line} (the gateway's own words): {words}"),
        None => line,
    }
}

/// `mismatches`, with the one that the headline explains first.
fn put_first(mut mismatches: Vec<Mismatch>, explained: Option<&str>) -> Vec<Mismatch> {
    mismatches.sort_by_key(|mismatch| {
        let is_explained = explained.is_some_and(|name| name == mismatch.expectation);
        (mismatch.status, !is_explained)
    });
    mismatches
}

/// The provider refused `exchange`, because the gateway's configuration gives `alias` a model that it does not have. `None` for
/// a request without a model: no configuration says that.
pub fn wrong_model(exchange: &ProviderExchange, alias: &str) -> Option<Diagnosis> {
    let (route, model) = (exchange.route?, &exchange.message.as_ref()?.model);
    if model.is_empty() {
        return None;
    }
    let close = model::closest_id(route, model, &[]).filter(|close| close != model);
    let meant = text::meant(close.as_deref());
    Some(Diagnosis::proven(
        Cause::Config,
        "wrong_model",
        format!(
            "the provider does not have the model `{model}`, which the gateway's configuration gives `{alias}`"
        ),
        &format!("{meant}correct the model of `{alias}` in the gateway's configuration"),
    ))
}

/// The diagnosis of a message without further facts.
pub fn of_message(text: &str) -> Diagnosis {
    diagnose(&ErrorMessage::new(text))
}

/// The diagnosis of the first rule that matches `message`.
pub fn diagnose(message: &ErrorMessage) -> Diagnosis {
    let (rule, words) = rules::first_match(message);
    Diagnosis {
        cause: rule.cause,
        confidence: rule.confidence,
        why: match words {
            Some(words) => format!("{}: `{words}`", rule.why),
            None => rule.why.to_owned(),
        },
        next: rule.next.to_owned(),
        rule: rule.name,
        refused: None,
    }
}
