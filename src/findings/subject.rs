//! What a finding is about.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::Regex;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::FeatureId;
use crate::text::{listed, one_line, printable, slip_of};
use crate::wire::{Direction, Operation, betas, body_fields};
use crate::wire_diff::{self, Change, Fate, Part, STATUS};

/// What a finding is about, without the numbers that differ from trial to trial.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A change on the wire.
    Change {
        direction: Direction,
        part: Part,
        /// The name of the changed thing; each number of a block or list is a `*`. A field of a token count begins with
        /// `count_tokens.`. A text that the gateway added to a request is named by its beginning.
        path: String,
        fate: Fate,
    },
    /// A broken expectation.
    Expectation {
        /// The row; `None` for an expectation of every row.
        feature: Option<FeatureId>,
        name: String,
    },
}

impl Subject {
    pub fn of_change(change: &Change) -> Self {
        static NUMBER: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\[\d+\]|\bblock \d+").expect("the pattern is valid"));
        let what = &change.what;
        let path = NUMBER.replace_all(&what.path, |found: &regex::Captures<'_>| match &found[0] {
            index if index.starts_with('[') => "[*]",
            _ => "block *",
        });
        let added = what.after.as_ref().and_then(|block| block["text"].as_str());
        let added = added.filter(|_| change.direction == Direction::Request && what.fate == Fate::Added);
        let path = match (what.part, path.strip_suffix("(text)"), added) {
            (Part::Block, Some(place), Some(text)) => format!("{place}(text \"{}\")", beginning(text)),
            // A field that a token count loses is another finding than a field that a message loses.
            (Part::Field, ..) if change.operation == Operation::CountTokens => format!("count_tokens.{path}"),
            (Part::Field, ..) if change.calls_without_thinking && path == "thinking" => {
                format!("{path} (after a tool call without thinking)")
            }
            _ => path.into_owned(),
        };
        Self::Change {
            direction: change.direction,
            part: what.part,
            path,
            fate: what.fate,
        }
    }
}

/// How a text begins. A `*` stands for each word that can differ from trial to trial: one with a digit, or of a path.
fn beginning(text: &str) -> String {
    const MOST: usize = 60;
    static VARYING: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\S*[\d/\\]\S*").expect("the pattern is valid"));
    one_line(&VARYING.replace_all(&printable(text), "*"), MOST)
}

/// `request beta effort-2025-11-24 dropped`, `expectation tool_use::tool_returned`, `expectation route`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change {
                direction,
                part,
                path,
                fate,
            } => write!(f, "{} {} {path} {}", word(direction), word(part), word(fate)),
            Self::Expectation {
                feature: Some(feature),
                name,
            } => write!(f, "expectation {feature}::{name}"),
            Self::Expectation { feature: None, name } => write!(f, "expectation {name}"),
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
        if first == EXPECTATION {
            let (feature, name) = match rest.split_once("::") {
                Some((feature, name)) => (Some(FeatureId::new(feature)), name),
                None => (None, rest),
            };
            return match name.is_empty() || name.contains(' ') {
                true => Err(SubjectError::form()),
                false => Ok(Self::Expectation {
                    feature,
                    name: name.to_owned(),
                }),
            };
        }
        let direction = parse(first, "the first word")?;
        let (part, rest) = rest.split_once(' ').ok_or_else(SubjectError::form)?;
        let part = parse(part, "a part")?;
        let (path, fate) = rest.rsplit_once(' ').ok_or_else(SubjectError::form)?;
        Ok(Self::Change {
            direction,
            part,
            path: path.to_owned(),
            fate: parse(fate, "a fate")?,
        })
    }
}

/// The first word of an expectation's subject.
const EXPECTATION: &str = "expectation";
const FORM: &str =
    "`request PART PATH FATE`, `reply PART PATH FATE`, `expectation NAME` or `expectation FEATURE::NAME`";

/// Why a text is no subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}: expected {allowed}")]
pub struct SubjectError {
    pub message: String,
    pub allowed: String,
    /// The wrong word, if one is, and the words that may stand in its place.
    pub word: Option<(String, Vec<&'static str>)>,
}

impl SubjectError {
    fn form() -> Self {
        Self {
            message: "this is not the subject of a finding".into(),
            allowed: FORM.into(),
            word: None,
        }
    }
}

/// The value that serde writes as `text`; `what` is its role for readers.
fn parse<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, SubjectError> {
    let word: StrDeserializer<'_, OtherWord> = text.into_deserializer();
    T::deserialize(word).map_err(|OtherWord(words)| {
        let mut words = words.to_vec();
        if what == "the first word" {
            words.push(EXPECTATION);
        }
        SubjectError {
            message: format!("`{text}` is not {what} of a finding"),
            allowed: listed(words.iter().copied()),
            word: Some((text.to_owned(), words)),
        }
    })
}

/// A word that serde does not know, by the words that it knows.
#[derive(Debug)]
struct OtherWord(&'static [&'static str]);

impl fmt::Display for OtherWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an unknown word")
    }
}

impl std::error::Error for OtherWord {}

impl serde::de::Error for OtherWord {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}

/// The word that serde writes for `value`.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("a unit variant is a text");
    value.as_str().unwrap_or_default().to_owned()
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A subject in which `*` stands for any text.
#[derive(Clone, Debug)]
pub struct SubjectPattern {
    text: String,
    regex: Regex,
}

impl SubjectPattern {
    pub fn matches(&self, subject: &Subject) -> bool {
        self.regex.is_match(&subject.to_string())
    }

    /// Whether one of the two matches everything that the other one matches.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.regex.is_match(&other.text) || other.regex.is_match(&self.text)
    }

    /// Whether a trial of the row can have such a subject.
    pub fn may_be_in(&self, feature: &FeatureId) -> bool {
        let expectation = self.text.strip_prefix(EXPECTATION).map(str::trim_start);
        let row = expectation.and_then(|name| name.split_once("::"));
        row.is_none_or(|(row, _)| row.contains('*') || row == feature.as_str())
    }

    pub fn is_of_expectation(&self) -> bool {
        self.text.starts_with(EXPECTATION)
    }
}

impl PartialEq for SubjectPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for SubjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SubjectPattern {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let subject: Subject = text.parse()?;
        let literal = regex::escape(text).replace(r"\*", ".*");
        let regex = Regex::new(&format!("^{literal}$")).map_err(|error| SubjectError {
            message: error.to_string(),
            ..SubjectError::form()
        })?;
        let pattern = Self {
            text: text.to_owned(),
            regex,
        };
        match &subject {
            Subject::Expectation { name, .. } if name.contains('*') => Err(SubjectError {
                message: "a `*` in an expectation's name would hide what breaks next".into(),
                allowed: "the whole name; `*` may stand for the row, as in `expectation *::run`".into(),
                word: None,
            }),
            _ => pattern.can_match(&subject).map(|()| pattern),
        }
    }
}

impl SubjectPattern {
    /// An error if no change can have this name. `subject` is the pattern, read as a subject.
    fn can_match(&self, subject: &Subject) -> Result<(), SubjectError> {
        let Subject::Change {
            direction,
            part,
            path,
            fate,
        } = subject
        else {
            return Ok(());
        };
        let Some(names) = wire_diff::names(*direction, *part, *fate) else {
            return misspelt(*direction, *part, path, *fate).map_or(Ok(()), |(name, meant)| {
                let what = word(part);
                Err(SubjectError {
                    message: format!("`{name}` looks like a misspelt {what}"),
                    allowed: format!("the name of a {what}, as requests have it"),
                    word: Some((name.to_owned(), vec![meant])),
                })
            });
        };
        let matches = |name: &str| {
            self.matches(&Subject::Change {
                direction: *direction,
                part: *part,
                path: name.to_owned(),
                fate: *fate,
            })
        };
        let can_be = |name: &&str| match (name.strip_suffix(STATUS), name.strip_suffix('*')) {
            (Some(stem), _) => (100..600).any(|status| matches(&format!("{stem}{status}"))),
            (_, Some(stem)) => path.starts_with(stem) || matches(name),
            _ => matches(name),
        };
        if names.iter().any(can_be) {
            return Ok(());
        }
        let what = format!("{} {}", word(direction), word(part));
        Err(match names {
            [] => SubjectError {
                message: format!("`{what}` does not exist: a {} has no such part", word(direction)),
                allowed: FORM.into(),
                word: None,
            },
            names => SubjectError {
                message: format!("no finding about `{what}` has the name `{path}`"),
                allowed: listed(names.iter().copied()),
                word: Some((path.clone(), names.to_vec())),
            },
        })
    }
}

/// The word of a change's name that is a slip of a known beta or field, and that name. A gateway may add anything.
fn misspelt(direction: Direction, part: Part, path: &str, fate: Fate) -> Option<(&str, &'static str)> {
    match part {
        _ if fate == Fate::Added || direction == Direction::Reply || path.contains('*') => None,
        Part::Beta => Some((path, betas::misspelt(path)?)),
        Part::Field => {
            let path = path.strip_prefix("count_tokens.").unwrap_or(path);
            let field = path.split(['.', '[', ' ']).next().unwrap_or(path);
            Some((field, slip_of(field, body_fields::of_any_route())?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_survives_writing_and_reading() {
        for text in [
            "request beta effort-2025-11-24 dropped",
            "request block messages[*] user block * (text) changed",
            "request field count_tokens.thinking dropped",
            "reply stop_reason stop_sequence changed",
            "expectation route",
            "expectation tool_use::tool_returned",
        ] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_subject_is_refused_with_the_allowed_words() {
        for (text, expected) in [
            (
                "request",
                "not the subject of a finding: expected `request PART PATH FATE`",
            ),
            ("expectation", "expected `request PART PATH FATE`"),
            (
                "sideways beta x dropped",
                "`sideways` is not the first word of a finding: expected `request`, `reply`, `expectation`",
            ),
            (
                "request bet x dropped",
                "`bet` is not a part of a finding: expected `request`, `status`",
            ),
            (
                "request beta x lost",
                "`lost` is not a fate of a finding: expected `dropped`, `added`",
            ),
        ] {
            let error = text.parse::<Subject>().unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        let pattern: SubjectPattern = "request block messages[*] * changed".parse().unwrap();
        let subject = |text: &str| text.parse::<Subject>().unwrap();
        assert!(pattern.matches(&subject("request block messages[*] user block * (text) changed")));
        assert!(!pattern.matches(&subject("request block system[*] changed")));
        let literal: SubjectPattern = "request beta a.b dropped".parse().unwrap();
        assert!(!literal.matches(&subject("request beta axb dropped")));
    }
}
