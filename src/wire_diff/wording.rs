//! The wire diff in words.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;

use super::broken::{ORDER, THE_ANSWER};
use super::delay::{LONGEST_MS, TYPICAL_MS};
use super::reply::CUT_STREAM;
use super::request::ROUTE;
use super::{Change, Difference, Fate, Part, SECOND_HEADER, WireDiff};
use crate::wire::{Direction, Operation};

/// The most lines of a diff in a report, without the last one, which counts the others.
const LINES: usize = 11;
/// The fewest numbers in a row that are shown as a range.
const RANGE: usize = 4;
/// The most characters of a value in a line.
const SHOWN: usize = 48;
/// The most characters of words in a line.
const WORDS: usize = 96;
/// The most equal characters before the first different one.
const LEAD: usize = 12;

impl WireDiff {
    /// One line per difference, then the counts of the noise rules. Ends with a newline.
    pub fn text(&self) -> String {
        let mut text: String = match self.changes.as_slice() {
            [] => {
                "no difference but what every gateway may change; an expectation of the row can want more\n"
                    .to_owned()
            }
            changes => grouped(changes).iter().map(|line| format!("{line}\n")).collect(),
        };
        if let Some(delay) = self.delay {
            let _ = writeln!(
                text,
                "\ndelay of {} content deltas by the gateway: {} ms for half of them (bound {TYPICAL_MS} ms, in lockstep), \
                 {} ms at most (bound {LONGEST_MS} ms)",
                delay.deltas, delay.median_ms, delay.longest_ms
            );
        }
        let total: usize = self.filtered.values().sum();
        let _ = writeln!(text, "\nfiltered, as every gateway may change it: {total}");
        for rule in super::noise::RULES {
            if let Some(count) = self.filtered.get(rule.name) {
                let _ = writeln!(
                    text,
                    "  {count:>4} {}: {} ({})",
                    rule.name, rule.reason, rule.clause
                );
            }
        }
        text
    }

    /// One line per change, in this order, as many as fit a report.
    pub fn lines(&self, changes: Vec<&Change>) -> Vec<String> {
        let mut lines = grouped(changes);
        if lines.len() > LINES + 1 {
            let more = lines.len() - LINES;
            lines.truncate(LINES);
            lines.push(format!("and {more} more: `wire-diff.txt`"));
        }
        lines
    }
}

impl WireDiff {
    /// The number of other betas, tools or breakpoints of the same request that were lost like `change`.
    pub fn lost_like<'a>(&'a self, change: &'a Change) -> usize {
        let key = |one: &Change| {
            (
                one.direction,
                one.operation,
                one.sent,
                one.what.part,
                one.what.fate,
            )
        };
        // Of `Bash.description`, the tool.
        let name = |one: &'a Change| match one.what.part {
            Part::Tool => one.what.path.split('.').next().unwrap_or_default(),
            _ => one.what.path.as_str(),
        };
        if !matches!(change.what.part, Part::Beta | Part::Tool | Part::Breakpoint)
            || change.what.fate != Fate::Dropped
        {
            return 0;
        }
        let like = self.changes.iter().filter(|other| key(other) == key(change));
        like.map(name).collect::<BTreeSet<_>>().len().saturating_sub(1)
    }
}

/// One line per change; equal changes of several requests share a line.
fn grouped<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<String> {
    let mut groups: Vec<(Vec<usize>, &Change)> = Vec::new();
    for change in changes {
        let same = |(_, earlier): &&mut (Vec<usize>, &Change)| {
            earlier.direction == change.direction
                && earlier.operation == change.operation
                && earlier.what == change.what
        };
        match groups.iter_mut().find(same) {
            Some((turns, _)) => turns.push(change.turn),
            None => groups.push((vec![change.turn], change)),
        }
    }
    groups
        .iter_mut()
        .map(|(turns, change)| {
            turns.sort_unstable();
            turns.dedup();
            format!("{}: {}", place(turns, change), change.sentence())
        })
        .collect()
}

/// `request 1`, `reply 2`, `requests 1, 2`, `count_tokens request 1`.
fn place(turns: &[usize], change: &Change) -> String {
    let operation = match change.operation {
        Operation::CountTokens => "count_tokens ",
        _ => "",
    };
    let (one, many) = match change.direction {
        Direction::Request => ("request", "requests"),
        Direction::Reply => ("reply", "replies"),
    };
    let noun = if turns.len() == 1 { one } else { many };
    format!("{operation}{noun} {}", numbers(turns))
}

/// Sorted numbers in words. From [`RANGE`] numbers on, those in a row are a range: `1, 6 to 21`.
fn numbers(sorted: &[usize]) -> String {
    let rows = sorted.chunk_by(|one, next| one + 1 == *next);
    let words = rows.flat_map(|row| match row {
        [first, .., last] if row.len() >= RANGE => vec![format!("{first} to {last}")],
        _ => row.iter().map(usize::to_string).collect(),
    });
    words.collect::<Vec<_>>().join(", ")
}

impl Change {
    /// Whether an answer became an error.
    pub fn is_lost_answer(&self) -> bool {
        let what = &self.what;
        let status = |value: &Option<Value>| value.as_ref().and_then(Value::as_u64).unwrap_or_default();
        what.part == Part::Status && status(&what.before) < 400 && status(&what.after) >= 400
    }

    /// Whether nobody could read a whole body: a request that is no JSON or went to another API's path, or a reply in another
    /// encoding than its header says.
    pub fn is_unreadable_body(&self) -> bool {
        match self.direction {
            Direction::Request => {
                matches!(
                    (self.what.part, self.what.path.as_str()),
                    (Part::Field, "body") | (Part::Place, ROUTE)
                )
            }
            Direction::Reply => self.what.path == "content-encoding",
        }
    }

    /// Whether it is what became of the provider's error after `request`, a change of the same request by which the gateway may
    /// have caused that error: it added or changed something.
    pub fn may_follow(&self, request: &Self) -> bool {
        let is_error = self.what.before.as_ref().and_then(serde_json::Value::as_u64);
        let is_same = (self.operation, self.sent) == (request.operation, request.sent);
        is_same
            && request.direction == Direction::Request
            && request.what.fate != Fate::Dropped
            && self.what.part == Part::Status
            && is_error.is_some_and(|status| status >= 400)
    }

    /// With its place: ``request 1: header `x-app` dropped: "cli"``.
    pub fn line(&self) -> String {
        format!("{}: {}", place(&[self.turn], self), self.sentence())
    }

    /// Without its place: ``header `x-app` dropped: "cli"``.
    pub fn sentence(&self) -> String {
        let what = &self.what;
        if (what.part, what.path.as_str()) == (Part::Credential, SECOND_HEADER) {
            return "the credential stands in two headers: `authorization` and `x-api-key` (or `api-key`)"
                .to_owned();
        }
        let subject = match what.part {
            Part::Request | Part::Error | Part::Pace => what.path.clone(),
            Part::Event | Part::Tool if what.path.starts_with("the ") => what.path.clone(),
            Part::Status => "the status".to_owned(),
            Part::Prefix if what.is_about_thinking() => {
                "`thinking`, on which the cached prefix depends,".to_owned()
            }
            Part::Prefix => format!("the cached prefix, first at {},", what.path),
            part => format!("{} `{}`", noun(part), what.path),
        };
        if let Some(words) = what.in_words(&subject) {
            return words;
        }
        let verb = match (what.part, what.fate) {
            (Part::Request, Fate::Dropped) => "was never forwarded",
            (Part::Request, Fate::Added) => "reached the provider",
            (Part::Request, Fate::Changed) => "was forwarded in a changed form, without the trial's key",
            (Part::Request, Fate::Moved) => "went to a path that the provider does not have",
            (Part::Request, Fate::Repeated) => "was forwarded more than once",
            (_, Fate::Dropped) => "dropped",
            (_, Fate::Added) => "added",
            (_, Fate::Changed) => "changed",
            (_, Fate::Moved) => "moved",
            (_, Fate::Repeated) => "repeated",
            (_, Fate::Merged) => "merged",
            (_, Fate::Split) => "split",
            (_, Fate::Delayed) => "held back",
        };
        match values(what.before.as_ref(), what.after.as_ref()) {
            Some(values) if !what.is_named_by_value() => format!("{subject} {verb}: {values}"),
            _ => format!("{subject} {verb}"),
        }
    }
}

impl Difference {
    /// The sentence about `subject` if its values are words, such as a measured time, or the place to which a block moved.
    fn in_words(&self, subject: &str) -> Option<String> {
        let [before, after] = [&self.before, &self.after].map(|value| value.as_ref().and_then(Value::as_str));
        let words = excerpt(after?, 0, WORDS);
        match (self.part, self.fate) {
            (Part::Request, Fate::Dropped) => Some(format!("{subject} was never forwarded: {words}")),
            (Part::Pace, Fate::Delayed) => {
                Some(format!("{subject} held back: {words} instead of {}", before?))
            }
            (Part::Event, Fate::Changed) if self.path == ORDER => {
                Some(format!("the events are out of order: {words}"))
            }
            (Part::Event, Fate::Changed) if self.path.starts_with(CUT_STREAM) => Some(format!(
                "the provider's stream was cut off, and that of the gateway was {words}"
            )),
            (Part::Event, Fate::Dropped) if self.path == THE_ANSWER => {
                Some(format!("{subject} is lost: {words}"))
            }
            (Part::Header, Fate::Changed) if self.path == "content-encoding" => {
                Some(format!("{}, but {words}", before?))
            }
            (Part::Field, Fate::Changed) if self.path == "body" => {
                Some(format!("the body that arrived is {words}"))
            }
            (Part::Event, Fate::Changed) if before.is_none() => Some(format!("{subject} is broken: {words}")),
            (_, Fate::Moved) if before == Some(&self.path) => Some(format!("{subject} moved to `{words}`")),
            _ => None,
        }
    }

    /// Whether it is a thing without a value of its own, such as a beta.
    fn is_named_by_value(&self) -> bool {
        let mut values = [&self.before, &self.after].into_iter().flatten();
        values.clone().count() == 1 && values.all(|value| *value == self.path.as_str())
    }

    /// Whether two prompts differ only in the parameter `thinking`, which is part of the cache's key.
    fn is_about_thinking(&self) -> bool {
        let mut values = [&self.before, &self.after].into_iter().flatten();
        values.all(|value| value.get("thinking").is_some_and(Value::is_object))
    }
}

fn noun(part: Part) -> &'static str {
    match part {
        Part::Request => "request",
        Part::Status => "status",
        Part::Error => "error",
        Part::Block => "block",
        Part::Signature => "thinking signature",
        Part::Tool => "tool",
        Part::Breakpoint => "cache breakpoint",
        Part::Prefix => "prefix",
        Part::Event => "event",
        Part::Pace => "pace",
        Part::Usage => "usage",
        Part::StopReason => "stop reason",
        Part::Field => "field",
        Part::Query => "query parameter",
        Part::Beta => "beta",
        Part::Header => "header",
        Part::Credential => "credential",
        Part::Place => "place",
    }
}

fn values(before: Option<&Value>, after: Option<&Value>) -> Option<String> {
    match (before, after) {
        (Some(before), Some(after)) => {
            let lengths = lengths(before, after);
            let (before, after) = (before.to_string(), after.to_string());
            let form = form_of_letters(&before, &after);
            let pairs = before.chars().zip(after.chars());
            let equal = pairs.take_while(|(one, other)| one == other).count();
            let [before, after] =
                [before, after].map(|text| excerpt(&text, equal.saturating_sub(LEAD), SHOWN));
            Some(match form {
                Some(form) => format!("{before} → the same letters, {form}"),
                None => format!("{before} → {after}{lengths}"),
            })
        }
        (Some(one), None) | (None, Some(one)) => Some(excerpt(&one.to_string(), 0, SHOWN)),
        (None, None) => None,
    }
}

/// The lengths of two texts that a line shows in part, if they are not equal.
fn lengths(before: &Value, after: &Value) -> String {
    let lengths = [before, after].map(|value| value.as_str().map(|text| text.chars().count()));
    match lengths {
        [Some(before), Some(after)] if before != after && before.max(after) > SHOWN => {
            format!(" ({before} → {after} characters)")
        }
        _ => String::new(),
    }
}

/// The form of the letters of `after`, if it differs from `before` in that alone: a reader sees no other difference.
fn form_of_letters(before: &str, after: &str) -> Option<&'static str> {
    let is_same = before != after && before.nfd().eq(after.nfd());
    is_same.then_some(match after.nfc().eq(after.chars()) {
        true => "composed",
        false => "decomposed",
    })
}

/// At most `most` characters from `start`, with `…` for the rest; a short value is complete.
fn excerpt(text: &str, start: usize, most: usize) -> String {
    let length = text.chars().count();
    let start = if length <= most { 0 } else { start };
    let shown: String = text.chars().skip(start).take(most).collect();
    let head = if start > 0 { "…" } else { "" };
    let tail = if start + most < length { "…" } else { "" };
    format!("{head}{shown}{tail}")
}
