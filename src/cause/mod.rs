//! Whose fault a failure is, as far as its message tells.
//!
//! An ordered table of rules ([`rules`]) is tried on a message; the first that fits decides. The rules are written for
//! the shapes of messages (error types, status lines, phrases that a program always prints), not for single
//! messages. Nothing here looks at a run: where the provider's side of a trial is in view, facts decide instead.
//! Never reads, prints or remembers anything.
#![warn(clippy::disallowed_methods)]

use crate::outcome::Cause;

mod facts;
mod message;
pub mod rules;
mod wire;

pub use facts::of_trial;
pub use message::{Message, Route};

/// Whose fault a message is, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    pub cause: Cause,
    /// How often the deciding rule may be expected to be right, from 0 to 1: [`rules::SURE`] for words that only
    /// one fault produces, down to [`rules::NOTHING`] where no rule fits and no fault is proven.
    pub confidence: f64,
    /// The shape that decided, with the words of the message that showed it.
    pub why: String,
    /// What to do next, and who does it.
    pub next: String,
    /// The name of the rule that decided.
    pub rule: &'static str,
}

/// Whose fault `text` is, when nothing but the text is known.
pub fn of_message(text: &str) -> Diagnosis {
    diagnose(&Message::new(text))
}

/// Whose fault a reply is whose HTTP status, and perhaps whose error type (`overloaded_error`), are known.
///
/// The words of the reply outrank its status: a gateway may pass a provider's 403 on as a 500.
pub fn of_status(status: u16, error_type: Option<&str>, text: &str) -> Diagnosis {
    let message = Message::new(text).with_status(status);
    diagnose(&match error_type {
        Some(error_type) => message.with_error_type(error_type),
        None => message,
    })
}

/// Whose fault `message` is: what the first rule that fits says.
pub fn diagnose(message: &Message) -> Diagnosis {
    let (rule, words) = rules::first_that_fits(message);
    Diagnosis {
        cause: rule.cause,
        confidence: rule.confidence,
        why: match words {
            Some(words) => format!("{}: `{words}`", rule.why),
            None => rule.why.to_owned(),
        },
        next: rule.next.to_owned(),
        rule: rule.name,
    }
}
