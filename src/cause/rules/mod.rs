//! The rules that say whose fault a message is: data, in order, the first that fits decides.
//!
//! The order is the precedence, and follows what a person would ask:
//!
//! - Is it a test's own sentence, with no error in it? Then no fault is proven.
//! - Does somebody have to pay, set or sign something? Budgets, names and credentials outrank the status and the
//!   wrapping that they came in: a gateway makes a 500 of a provider's 403.
//! - Does somebody have to wait? The innermost words win: a throttle inside a `ServiceUnavailable` is a throttle.
//! - Does a program say that it is itself broken: the provider, the gateway, Claude Code, the machine?
//! - Was a part of the request refused? Then it is the fault of who made the request: the gateway's if the message shows
//!   a gateway, Claude Code's if it shows none and is in Claude Code's or a provider's own words.
//! - Only then words that lean one way, types of errors, and the status alone.
//! - A timeout comes last: any error before it is why it came.
//!
//! Each rule carries an example that the tests feed back to the whole table. Wordings come from the providers'
//! error references, from the sources of LiteLLM and Claude Code, and from public issue threads.
//! Never looks at anything but the message.
#![warn(clippy::disallowed_methods)]

use crate::text::truncated;
use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};

use super::{Message, Route};
use crate::outcome::Cause;

mod accounts;
mod assertions;
mod claude;
mod connections;
mod credentials;
mod gateway;
mod kinds;
mod leanings;
mod limits;
mod machine;
mod names;
mod outages;
mod refusals;
mod silence;

/// Words that only this fault produces: right nearly always.
pub const SURE: f64 = 0.95;
/// Words that nearly always mean this fault.
pub const LIKELY: f64 = 0.8;
/// A status or an error type alone, or words that another fault produces now and then.
pub const PLAUSIBLE: f64 = 0.6;
/// More likely this fault than any other, no more.
pub const GUESS: f64 = 0.4;
/// No rule fits: no fault is proven.
pub const NOTHING: f64 = 0.1;

/// One rule: a message that `when` fits is `cause`'s fault.
#[derive(Debug)]
pub struct Rule {
    /// Its name, unique, for reports and tests.
    pub name: &'static str,
    /// Whose fault it says it is.
    pub cause: Cause,
    /// How often it may be expected to be right, from 0 to 1.
    pub confidence: f64,
    /// What has to show in the message.
    pub when: When,
    /// Patterns that keep the rule from fitting.
    pub unless: &'static [&'static str],
    /// The routes on which it holds; empty for all.
    pub on: &'static [Route],
    /// The shape it recognizes, for a reader.
    pub why: &'static str,
    /// What to do next, and who does it.
    pub next: &'static str,
    /// A message that it, and no rule before it, fits.
    pub example: &'static str,
}

/// What has to show in a message.
#[derive(Debug)]
pub enum When {
    /// One of these regular expressions fits the plain text; case does not matter.
    Says(&'static [&'static str]),
    /// The HTTP status is in one of these inclusive ranges.
    Status(&'static [(u16, u16)]),
    Always,
}

use When::{Always, Says, Status};

/// A message whose route is unknown is taken for one that came through a gateway: that is what a trial does.
const THROUGH_GATEWAY: &[Route] = &[Route::Gateway, Route::Unknown];
const DIRECT: &[Route] = &[Route::Direct];

const NEXT_REFUSED_GATEWAY: &str = "compare what claude sent with what the gateway sent on (the wire diff of a simulated run \
     shows it); if the gateway added, kept or dropped the named part wrongly, report it to the gateway's project";
const NEXT_REFUSED_CLI: &str = "run the same prompt with an older and a newer Claude Code; if one of them passes, report \
     the version to Claude Code's issue tracker and pin the one that works";
const NEXT_WAIT: &str = "wait for the limit to reset and run the trial again; if it comes back, lower the number of \
     trials at once or ask the account's owner for a higher quota";
const NEXT_UPSTREAM: &str =
    "look at the provider's status page, wait, and run the trial again; nothing of ours has to change";

/// The rules, by what they are about: the order, here and in each file, is the precedence.
pub const RULES: &[&[Rule]] = &[
    assertions::RULES,
    accounts::RULES,
    names::RULES,
    credentials::RULES,
    limits::RULES,
    outages::RULES,
    gateway::RULES,
    claude::RULES,
    machine::RULES,
    connections::RULES,
    kinds::RULES,
    refusals::RULES,
    leanings::RULES,
    silence::RULES,
];

fn in_order() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().copied().flatten()
}

/// The first rule that fits `message`, and the words of the message that made it fit, if words did.
pub(super) fn first_that_fits(message: &Message) -> (&'static Rule, Option<String>) {
    MATCHERS
        .iter()
        .find_map(|matcher| Some((matcher.rule, matcher.fit(message)?)))
        .expect("the last rule always fits")
}

/// A rule with its regular expressions, compiled once.
struct Matcher {
    rule: &'static Rule,
    says: Option<Regex>,
    unless: Option<Regex>,
}

static MATCHERS: LazyLock<Vec<Matcher>> = LazyLock::new(|| in_order().map(Matcher::of).collect());

impl Matcher {
    fn of(rule: &'static Rule) -> Self {
        Self {
            rule,
            says: match rule.when {
                Says(patterns) => any_of(patterns),
                Status(_) | Always => None,
            },
            unless: any_of(rule.unless),
        }
    }

    /// `None` if the rule does not fit; else the words that made it fit, if words did.
    fn fit(&self, message: &Message) -> Option<Option<String>> {
        if !self.rule.on.is_empty() && !self.rule.on.contains(&message.route) {
            return None;
        }
        let words = match self.rule.when {
            Says(_) => Some(truncated(
                self.says.as_ref()?.find(&message.text)?.as_str().trim(),
                LONGEST_QUOTATION,
            )),
            Status(ranges) => {
                let status = message.status?;
                let fits = ranges.iter().any(|&(low, high)| (low..=high).contains(&status));
                fits.then(|| Some(status.to_string()))?
            }
            Always => None,
        };
        let excluded = self
            .unless
            .as_ref()
            .is_some_and(|unless| unless.is_match(&message.text));
        (!excluded).then_some(words)
    }
}

/// What a space in a pattern stands for: words of an error are parted by spaces in one program, by `_` or `-` in another.
const SEPARATOR: &str = "[ _-]";

fn any_of(patterns: &[&str]) -> Option<Regex> {
    if patterns.is_empty() {
        return None;
    }
    let pattern = patterns
        .iter()
        .map(|pattern| format!("(?:{})", pattern.replace(' ', SEPARATOR)))
        .collect::<Vec<_>>()
        .join("|");
    Some(
        RegexBuilder::new(&pattern)
            .case_insensitive(true)
            .build()
            .expect("the tests compile every rule"),
    )
}

/// The longest that a quotation in `why` gets, in characters.
const LONGEST_QUOTATION: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_decides_its_own_example() {
        let astray: Vec<_> = in_order()
            .map(|rule| (rule.name, first_that_fits(&Message::new(rule.example)).0.name))
            .filter(|(expected, found)| expected != found)
            .collect();
        assert!(
            astray.is_empty(),
            "(rule, what decided its example instead): {astray:#?}"
        );
    }

    #[test]
    fn names_are_unique_and_confidence_is_a_share() {
        let mut names = std::collections::HashSet::new();
        for rule in in_order() {
            assert!(names.insert(rule.name), "{} twice", rule.name);
            assert!((0.0..=1.0).contains(&rule.confidence), "{}", rule.name);
        }
    }
}
