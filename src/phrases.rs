//! Phrases that recognize a text: the matcher of the cause rules and of the rules for CI logs.
//!
//! A phrase is a regular expression, in any case. A space in it also matches `_` and `-`, because some programs separate the
//! words of an error by these.
#![warn(clippy::disallowed_methods)]

use std::ops::Range;

use regex::{Regex, RegexBuilder};

/// Phrases, and phrases that exclude a match.
#[derive(Debug)]
pub struct PhraseMatcher {
    says: Option<Regex>,
    unless: Option<Regex>,
}

impl PhraseMatcher {
    /// Panics if a phrase is no regular expression: phrases are constants, and the tests compile all of them.
    pub fn new(says: &[&str], unless: &[&str]) -> Self {
        Self {
            says: any_of(says),
            unless: any_of(unless),
        }
    }

    /// The first phrase in `text`; `None` without phrases.
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        Some(self.says.as_ref()?.find(text)?.as_str())
    }

    /// Whether `text` has a phrase that excludes a match.
    pub fn excludes(&self, text: &str) -> bool {
        self.unless.as_ref().is_some_and(|unless| unless.is_match(text))
    }

    /// The last phrase in `text` whose line has no excluding phrase.
    pub fn find_last(&self, text: &str) -> Option<Range<usize>> {
        let found = self.says.as_ref()?.find_iter(text);
        found
            .map(|found| found.range())
            .filter(|found| !self.excludes(&text[line_of(text, found)]))
            .last()
    }
}

/// The line around `part` of `text`; all its lines if it has several.
pub fn line_of(text: &str, part: &Range<usize>) -> Range<usize> {
    let start = text[..part.start].rfind('\n').map_or(0, |end| end + 1);
    let end = text[part.end..]
        .find('\n')
        .map_or(text.len(), |length| part.end + length);
    start..end
}

/// The meaning of a space in a phrase.
const SEPARATOR: &str = "[ _-]";

fn any_of(phrases: &[&str]) -> Option<Regex> {
    if phrases.is_empty() {
        return None;
    }
    let pattern = phrases
        .iter()
        .map(|phrase| format!("(?:{})", phrase.replace(' ', SEPARATOR)))
        .collect::<Vec<_>>()
        .join("|");
    let mut builder = RegexBuilder::new(&pattern);
    let regex = builder.case_insensitive(true).multi_line(true).build();
    Some(regex.expect("the tests compile every rule"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_matches_three_separators_in_any_case() {
        let matcher = PhraseMatcher::new(&["rate limit"], &["no rate"]);
        for text in ["a Rate Limit", "RATE_LIMIT", "rate-limit"] {
            assert!(matcher.find(text).is_some(), "{text}");
        }
        assert!(matcher.find("rateslimit").is_none());
        assert!(matcher.excludes("no rate limit"));
    }

    #[test]
    fn the_last_line_without_an_excluding_phrase_counts() {
        let matcher = PhraseMatcher::new(&[r"^error: \w+"], &["ignored"]);
        let text = "error: one\nerror: two\nerror: three (ignored)\nsome error: four";
        let found = matcher.find_last(text).unwrap();
        assert_eq!(&text[found], "error: two");
        assert_eq!(matcher.find_last("nothing"), None);
    }
}
