//! The cause rules: data, in order; the first that matches decides.
//!
//! The order answers these questions:
//!
//! - Is it a test's own sentence without an error? Then the message proves no fault.
//! - Does a person have to pay, set or sign something? Budgets, names and credentials outrank the status and the
//!   wrapping, because a gateway turns a provider's 403 into a 500.
//! - Is waiting enough? The innermost words win: a throttle in a `ServiceUnavailable` is a throttle.
//! - Does a program report its own fault: the provider, the gateway, Claude Code, the machine?
//! - Was a part of the request refused? Then the program that made the request is at fault: the gateway if the message
//!   shows one, else Claude Code.
//! - Then come words that are weak hints, error types, and the status alone.
//! - A timeout comes last, because an earlier error is its reason.
//!
//! The tests match each rule's example against the whole table. The words come from the providers' error references,
//! the sources of LiteLLM and Claude Code, and public issue threads.

use std::sync::LazyLock;

use super::{ErrorMessage, MessageRoute};
use crate::outcome::Cause;
use crate::phrases::PhraseMatcher;
use crate::text::truncated;

mod accounts;
mod assertions;
mod claude;
mod connections;
mod credentials;
mod gateway;
mod error_types;
mod weak_hints;
pub mod limits;
mod machine;
mod model_names;
mod upstream;
mod refusals;
mod timeouts;

/// Words that only this fault produces.
pub const SURE: f64 = 0.95;
/// Words that nearly always mean this fault.
pub const LIKELY: f64 = 0.8;
/// A status or an error type alone, or words that another fault sometimes produces.
pub const PLAUSIBLE: f64 = 0.6;
/// More likely this fault than any other.
pub const GUESS: f64 = 0.4;
/// No rule matches: no fault is proven.
pub const NOTHING: f64 = 0.1;

#[derive(Debug)]
pub(super) struct CauseRule {
    /// Unique, for reports and tests.
    pub(super) name: &'static str,
    pub(super) cause: Cause,
    /// The share of diagnoses expected to be right, from 0 to 1.
    pub(super) confidence: f64,
    condition: Condition,
    /// Patterns that keep the rule from matching.
    unless: &'static [&'static str],
    /// The routes on which it holds; empty for all.
    on: &'static [MessageRoute],
    /// The shape that the rule recognizes.
    pub(super) why: &'static str,
    pub(super) next: &'static str,
    /// A message that this rule matches and no earlier rule does.
    #[cfg(test)]
    example: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Condition {
    /// One of these regular expressions matches the plain text, in any case.
    Says(&'static [&'static str]),
    /// The HTTP status is in one of these inclusive ranges.
    Status(&'static [(u16, u16)]),
    Always,
}

use Condition::{Always, Says, Status};

/// A rule that always matches.
const fn rule(name: &'static str, cause: Cause, confidence: f64) -> CauseRule {
    CauseRule {
        name,
        cause,
        confidence,
        condition: Always,
        unless: &[],
        on: &[],
        why: "",
        next: "",
        #[cfg(test)]
        example: "",
    }
}

impl CauseRule {
    const fn says(self, patterns: &'static [&'static str]) -> Self {
        let condition = Says(patterns);
        Self { condition, ..self }
    }

    const fn status(self, ranges: &'static [(u16, u16)]) -> Self {
        let condition = Status(ranges);
        Self { condition, ..self }
    }

    const fn unless(self, unless: &'static [&'static str]) -> Self {
        Self { unless, ..self }
    }

    const fn on(self, on: &'static [MessageRoute]) -> Self {
        Self { on, ..self }
    }

    const fn why(self, why: &'static str) -> Self {
        Self { why, ..self }
    }

    const fn next(self, next: &'static str) -> Self {
        Self { next, ..self }
    }

    #[cfg_attr(
        not(test),
        expect(unused_variables, reason = "only the tests read the examples")
    )]
    const fn example(self, example: &'static str) -> Self {
        Self {
            #[cfg(test)]
            example,
            ..self
        }
    }
}

/// An unknown route counts as a gateway, because a trial uses one.
const THROUGH_GATEWAY: &[MessageRoute] = &[MessageRoute::Gateway, MessageRoute::Unknown];
const DIRECT: &[MessageRoute] = &[MessageRoute::Direct];

const NEXT_REFUSED_GATEWAY: &str = "compare claude's request with the gateway's (the wire diff of a simulated run shows \
     both); if the gateway wrongly added, kept or dropped the named part, report it to the gateway's project";
const NEXT_REFUSED_CLI: &str = "run the same prompt with an older and a newer Claude Code; if one of them passes, pin it \
     and report the broken version to Claude Code's issue tracker";
const NEXT_WAIT: &str = "wait for the limit to reset and run the trial again; if it fails again, run fewer trials at \
     once or ask the account's owner for a higher quota";
const NEXT_UPSTREAM: &str =
    "look at the provider's status page, wait, and run the trial again; nothing here has to change";

/// The order, here and in each file, is the precedence.
const RULES: &[&[CauseRule]] = &[
    assertions::RULES,
    accounts::RULES,
    model_names::RULES,
    credentials::RULES,
    limits::RULES,
    upstream::RULES,
    gateway::RULES,
    claude::RULES,
    machine::RULES,
    connections::RULES,
    error_types::RULES,
    refusals::RULES,
    weak_hints::RULES,
    timeouts::RULES,
];

fn in_order() -> impl Iterator<Item = &'static CauseRule> {
    RULES.iter().copied().flatten()
}

/// The first rule that matches `message`, and the matched words of the message, if words matched.
pub(super) fn first_match(message: &ErrorMessage) -> (&'static CauseRule, Option<String>) {
    MATCHERS
        .iter()
        .find_map(|matcher| Some((matcher.rule, matcher.matches(message)?)))
        .expect("the last rule always matches")
}

struct Matcher {
    rule: &'static CauseRule,
    phrases: PhraseMatcher,
}

// Compiling hundreds of expressions takes a second in an unoptimized build, so it happens once.
static MATCHERS: LazyLock<Vec<Matcher>> = LazyLock::new(|| in_order().map(Matcher::of).collect());

impl Matcher {
    fn of(rule: &'static CauseRule) -> Self {
        let says = match rule.condition {
            Says(patterns) => patterns,
            Status(_) | Always => &[],
        };
        Self {
            rule,
            phrases: PhraseMatcher::new(says, rule.unless),
        }
    }

    /// `None` if the rule does not match; else the matched words, if words matched.
    fn matches(&self, message: &ErrorMessage) -> Option<Option<String>> {
        if !self.rule.on.is_empty() && !self.rule.on.contains(&message.route) {
            return None;
        }
        let words = match self.rule.condition {
            Says(_) => Some(truncated(
                self.phrases.find(&message.text)?.trim(),
                LONGEST_QUOTATION,
            )),
            Status(ranges) => {
                let status = message.status?;
                let fits = ranges.iter().any(|&(low, high)| (low..=high).contains(&status));
                fits.then(|| Some(status.to_string()))?
            }
            Always => None,
        };
        (!self.phrases.excludes(&message.text)).then_some(words)
    }
}

/// The most characters of a quotation in `why`.
const LONGEST_QUOTATION: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_decides_its_own_example() {
        let astray: Vec<_> = in_order()
            .map(|rule| (rule.name, first_match(&ErrorMessage::new(rule.example)).0.name))
            .filter(|(expected, found)| expected != found)
            .collect();
        assert!(
            astray.is_empty(),
            "(rule, the rule that decided instead): {astray:#?}"
        );
    }

    #[test]
    fn every_rule_is_complete_and_its_name_unique() {
        let mut names = std::collections::HashSet::new();
        for rule in in_order() {
            assert!(names.insert(rule.name), "{} twice", rule.name);
            assert!((0.0..=1.0).contains(&rule.confidence), "{}", rule.name);
            assert!(!rule.why.is_empty() && !rule.next.is_empty(), "{}", rule.name);
        }
    }
}
