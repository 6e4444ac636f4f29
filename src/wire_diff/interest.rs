//! Which differences on the wire can explain that an expectation does not hold.

use super::{Change, Direction, Part, WireDiff};
use crate::spec::expectation::{Check, RUN, RequestCheck, TRANSCRIPT, Turn, UNMATCHED};

/// What a broken expectation makes of interest.
#[derive(Clone, Debug, PartialEq)]
pub struct Interest {
    /// The way that it is about.
    pub direction: Direction,
    /// The kinds of thing that it is about, the nearest first.
    pub parts: &'static [Part],
    /// The names of headers and fields that it is about; empty for all.
    pub names: Vec<String>,
    /// Which request of its kind; `None` for any.
    pub turn: Option<usize>,
}

const ANSWER: &[Part] = &[Part::Block, Part::Event, Part::Status, Part::Error];

const EVERY: &[Part] = &[
    Part::Request,
    Part::Status,
    Part::Error,
    Part::Signature,
    Part::Block,
    Part::Tool,
    Part::Breakpoint,
    Part::Field,
    Part::Beta,
    Part::Header,
    Part::Event,
    Part::Usage,
    Part::StopReason,
    Part::Prefix,
];

impl Interest {
    pub fn of(check: &Check) -> Self {
        use Direction::{Reply, Request};
        let (direction, parts, turn): (_, &'static [Part], _) = match check {
            Check::Text(_) | Check::ToolCall { .. } | Check::Event { .. } | Check::DirectReply { .. } => {
                (Reply, ANSWER, None)
            }
            Check::Thinking { .. } => (Reply, &[Part::Signature, Part::Block, Part::Event], None),
            Check::ToolResult { .. } => (Reply, ANSWER, None),
            Check::Stream { .. } => (Reply, &[Part::Pace, Part::Event], None),
            Check::Usage { turn, .. } => (Reply, &[Part::Usage], *turn),
            Check::TokenCount(_) => (Reply, &[Part::Usage, Part::Status, Part::Error], None),
            Check::StopReason { turn, .. } => (Reply, &[Part::StopReason], *turn),
            Check::Exit(_) => (Reply, &[Part::Status, Part::Error, Part::Event], None),
            Check::Requests { .. } => (Request, &[Part::Request], None),
            Check::Request(check) => (Request, parts_of(check), number(check.turn)),
            Check::ImageArrived { turn }
            | Check::DocumentArrived { turn }
            | Check::ToolResultArrived { turn, .. } => {
                (Request, &[Part::Block, Part::Request], number(*turn))
            }
            Check::ThinkingArrived { turn } => (
                Request,
                &[Part::Signature, Part::Block, Part::Request],
                number(*turn),
            ),
            Check::Unchanged { way, .. } => (*way, EVERY, None),
            Check::Todo(_) => (Reply, &[], None),
            Check::Cache { turn, .. } => (
                Request,
                &[Part::Prefix, Part::Breakpoint, Part::Block, Part::Tool],
                number(*turn),
            ),
        };
        let names = match check {
            Check::Request(check) => names_of(check),
            _ => Vec::new(),
        };
        Self {
            direction,
            parts,
            names,
            turn,
        }
    }

    /// What an expectation of every trial is about, by its name.
    pub fn of_implied(name: &str) -> Vec<Self> {
        let of = |direction, parts| Self {
            direction,
            parts,
            names: Vec::new(),
            turn: None,
        };
        let refused = of(
            Direction::Reply,
            &[Part::Status, Part::Error, Part::Event, Part::Block],
        );
        match name {
            RUN => vec![refused, of(Direction::Request, &[Part::Request])],
            TRANSCRIPT => vec![of(Direction::Reply, &[Part::Event, Part::Block])],
            UNMATCHED => vec![of(Direction::Request, &[Part::Request]), refused],
            _ => vec![refused],
        }
    }

    pub fn takes(&self, change: &Change) -> bool {
        change.direction == self.direction
            && self.parts.contains(&change.what.part)
            && self.turn.is_none_or(|turn| change.turn == turn)
            && (self.names.is_empty() || self.names.iter().any(|name| is_about(change, name)))
    }

    /// The differences that can explain it, the nearest first.
    pub fn of_diff<'a>(&self, diff: &'a WireDiff) -> Vec<&'a Change> {
        let mut found: Vec<&Change> = diff.changes.iter().filter(|change| self.takes(change)).collect();
        found.sort_by_key(|change| self.parts.iter().position(|part| *part == change.what.part));
        found
    }
}

fn number(turn: Turn) -> Option<usize> {
    match turn {
        Turn::Number(number) => Some(number),
        Turn::Every | Turn::Last => None,
    }
}

fn parts_of(check: &RequestCheck) -> &'static [Part] {
    match (check.headers.is_empty(), check.body.is_empty()) {
        (false, true) => &[Part::Header, Part::Beta],
        (true, false) => &[
            Part::Field,
            Part::Beta,
            Part::Block,
            Part::Tool,
            Part::Breakpoint,
            Part::Signature,
        ],
        _ => &[
            Part::Header,
            Part::Beta,
            Part::Field,
            Part::Block,
            Part::Tool,
            Part::Breakpoint,
            Part::Signature,
            Part::Request,
        ],
    }
}

/// The headers, and the first step of each path into the body.
fn names_of(check: &RequestCheck) -> Vec<String> {
    let headers = check.headers.iter().map(|(name, _)| name.clone());
    let fields = check.body.iter().flat_map(|(query, _)| {
        let steps = query
            .text
            .split(|character: char| !(character.is_alphanumeric() || character == '_'));
        steps
            .filter(|step| !step.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    headers.chain(fields).collect()
}

fn is_about(change: &Change, name: &str) -> bool {
    let first = change.what.path.split(['.', '[', ' ']).next().unwrap_or_default();
    match change.what.part {
        Part::Beta => name == "anthropic-beta" || name == "anthropic_beta",
        Part::Tool => name == "tools" || name == "toolConfig",
        _ => first == name,
    }
}
