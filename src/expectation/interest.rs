//! The changes on the wire that can explain why an expectation does not hold.

use std::collections::HashSet;

use super::{REFUSED, RUN, TRANSCRIPT, UNMATCHED, WORKAROUNDS};
use crate::wire::{Direction, Operation};
use crate::wire_diff::{Change, Part, WireDiff};

/// The changes that a broken expectation depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct Interest {
    pub direction: Direction,
    /// The kinds of thing, the most likely cause first.
    pub parts: &'static [Part],
    /// The names of headers and fields; empty for all.
    pub names: Vec<String>,
    /// Which request of its kind, from 1; `None` for any.
    pub turn: Option<usize>,
    /// No request of its kind before this one, from 1.
    pub first_turn: usize,
    /// `None` for any.
    pub operation: Option<Operation>,
    /// Words of which the subject's own changes have one, in their path or what was sent. They come before others of their
    /// request.
    pub likely: &'static [&'static str],
}

/// The parts of a reply that carry an answer.
pub(super) const ANSWER: &[Part] = &[Part::Block, Part::Event, Part::Status, Part::Error];

/// The field that names a request's model.
pub(super) const MODEL: &str = "model";

impl Interest {
    /// Whether it is about the request's model and nothing else.
    pub fn is_of_model(&self) -> bool {
        self.names == [MODEL]
    }

    /// Whether it is about what the provider's cache has of the prompt, and nothing else.
    pub fn is_of_prefix(&self) -> bool {
        self.parts == [Part::Prefix]
    }

    pub(super) fn reply(parts: &'static [Part], turn: Option<usize>) -> Self {
        Self {
            direction: Direction::Reply,
            parts,
            names: Vec::new(),
            turn,
            first_turn: 1,
            operation: None,
            likely: &[],
        }
    }

    pub(super) fn likely(self, likely: &'static [&'static str]) -> Self {
        Self { likely, ..self }
    }

    fn named(self, name: &str) -> Self {
        Self {
            names: vec![name.to_owned()],
            ..self
        }
    }

    pub(super) fn of_operation(self, operation: Operation) -> Self {
        Self {
            operation: Some(operation),
            ..self
        }
    }

    pub(super) fn request(parts: &'static [Part], turn: Option<usize>) -> Self {
        Self {
            direction: Direction::Request,
            ..Self::reply(parts, turn)
        }
    }

    /// The changes that can explain the implied expectation `name`.
    pub fn of_implied(name: &str) -> Vec<Self> {
        let refused = Self::reply(&[Part::Status, Part::Error, Part::Event, Part::Block], None);
        match name {
            RUN => vec![
                refused,
                Self::request(&[Part::Request], None),
                Self::request(&[Part::Field], None).named("stream"),
            ],
            WORKAROUNDS => vec![refused, Self::request(&[Part::Request], None)],
            TRANSCRIPT => vec![Self::reply(&[Part::Event, Part::Block], None)],
            UNMATCHED => vec![Self::request(&[Part::Request], None), refused],
            REFUSED => vec![
                // A provider refuses by the version of its API.
                Self::request(&[Part::Header], None).named("anthropic-version"),
                Self::request(
                    &[
                        Part::Beta,
                        Part::Field,
                        Part::Query,
                        Part::Block,
                        Part::Tool,
                        Part::Breakpoint,
                        Part::Signature,
                        Part::Header,
                        Part::Credential,
                        Part::Place,
                        Part::Request,
                    ],
                    None,
                ),
            ],
            _ => vec![refused],
        }
    }

    pub fn takes(&self, change: &Change) -> bool {
        change.direction == self.direction
            && self.parts.contains(&change.what.part)
            && self
                .operation
                .is_none_or(|operation| change.operation == operation)
            && self.turn.is_none_or(|turn| change.turn == turn)
            && change.turn >= self.first_turn
            && (self.names.is_empty() || self.names.iter().any(|name| is_about(change, name)))
    }

    /// All changes of `diff`: those that can explain `interests` first, then those of the same requests.
    pub fn in_order<'a>(interests: &[Self], diff: &'a WireDiff) -> Vec<&'a Change> {
        let mut ordered: Vec<&Change> = interests
            .iter()
            .flat_map(|interest| interest.of_diff(diff))
            .collect();
        let turns: Vec<usize> = interests.iter().filter_map(|interest| interest.turn).collect();
        let mut rest: Vec<&Change> = diff.changes.iter().collect();
        rest.sort_by_key(|change| (!turns.contains(&change.turn), change.what.part));
        ordered.extend(rest);
        let mut seen = HashSet::new();
        ordered.retain(|change| seen.insert(std::ptr::from_ref(*change)));
        ordered
    }

    /// The changes of `diff` that can explain it: the first exchange first, and in it the most likely change. Later changes
    /// may follow from the first, because Claude Code continues with the reply that it got.
    pub fn of_diff<'a>(&self, diff: &'a WireDiff) -> Vec<&'a Change> {
        let mut found: Vec<&Change> = diff.changes.iter().filter(|change| self.takes(change)).collect();
        found.sort_by_key(|change| {
            let is_own = change.sent == 0;
            (
                is_own,
                change.sent,
                !self.likely.iter().any(|word| mentions(change, word)),
                self.parts.iter().position(|part| *part == change.what.part),
            )
        });
        found
    }
}

fn mentions(change: &Change, word: &str) -> bool {
    let sent = change.what.before.as_ref();
    change.what.path.contains(word) || sent.is_some_and(|sent| sent.to_string().contains(word))
}

fn is_about(change: &Change, name: &str) -> bool {
    let path = &change.what.path;
    let first = path.split(['.', '[', ' ']).next().unwrap_or_default();
    match change.what.part {
        Part::Beta => name == "anthropic-beta" || name == "anthropic_beta" || name == path,
        Part::Tool => name == "tools" || name == "toolConfig",
        _ => first == name,
    }
}
