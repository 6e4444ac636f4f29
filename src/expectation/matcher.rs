//! Matchers: the conditions that a value must fulfil.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::context::Checker;
use crate::document::KeyPath;
use crate::text::{clipped, first_names, listed, quotable};
use crate::wire::script::{PLACEHOLDERS, placeholders_in};

/// The most characters of a refusal that a message shows.
const SHOWN: usize = 300;

/// Stands for the tier's model in the texts of a matcher.
pub const MODEL: &str = "${model}";

/// What a value must be: all conditions that are given. For a JSONPath that finds several values, one of them must
/// fulfil all of them; `not_contains` must hold for each, and `exists: false` says that there is none. In its texts
/// `${model}` stands for the tier's model.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct MatcherForm {
    /// Equal to this value: a text, a number, a boolean, a list or a map.
    #[serde(deserialize_with = "any_value")]
    pub equals: Option<Value>,
    /// One of these values.
    #[schemars(length(min = 1))]
    pub one_of: Option<Vec<Value>>,
    /// A text that contains this one (or a value whose JSON text does).
    #[schemars(length(min = 1))]
    pub contains: Option<String>,
    /// A text that does not contain this one (or a value whose JSON text does not).
    #[schemars(length(min = 1))]
    pub not_contains: Option<String>,
    /// A text in which this regular expression matches (or a value in whose JSON text it does). Syntax: that of the Rust
    /// `regex` crate; `(?i)` for any case.
    #[schemars(length(min = 1), extend("examples" = ["(?i)\\bred\\b"]))]
    pub matches: Option<String>,
    /// `true`: there is such a value. `false`: there is none.
    pub exists: Option<bool>,
    /// A number of at least this.
    pub min: Option<f64>,
    /// A number of at most this.
    pub max: Option<f64>,
}

/// `equals: null` asks for a null, a missing `equals` for nothing.
fn any_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What a value must be, checked; see [`MatcherForm`].
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    pub equals: Option<Value>,
    pub one_of: Option<Vec<Value>>,
    pub contains: Option<String>,
    pub not_contains: Option<String>,
    pub matches: Option<Regex>,
    pub exists: Option<bool>,
    pub min: Option<f64>,
    pub max: Option<f64>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

/// The expected and the actual value, where they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchError {
    pub expected: String,
    pub actual: String,
}

impl MatcherForm {
    /// The matcher that stands at `path`. Reports conditions that could never fail or never hold.
    pub fn resolve(&self, checker: &mut Checker<'_>, path: &KeyPath) -> Matcher {
        self.contradictions(checker, path);
        self.placeholders(checker, path);
        let matches = self
            .matches
            .as_ref()
            .and_then(|text| regex(checker, &path.then("matches"), text));
        let matcher = Matcher {
            equals: self.equals.clone().map(|value| with_model(checker, value)),
            one_of: self.one_of.as_ref().map(|values| {
                let values = values.iter().cloned();
                values.map(|value| with_model(checker, value)).collect()
            }),
            contains: self.contains.as_ref().map(|text| checker.with_model(text)),
            not_contains: self.not_contains.as_ref().map(|text| checker.with_model(text)),
            matches,
            exists: self.exists,
            min: self.min,
            max: self.max,
        };
        if let Some(message) = matcher.contradiction().filter(|_| !self.has_model()) {
            checker.reader.error(path, message);
        }
        matcher
    }

    /// Whether only a value can fulfil it.
    pub fn needs_value(&self) -> bool {
        let absence = Self {
            exists: self.exists.filter(|exists| !exists),
            not_contains: self.not_contains.clone(),
            ..Self::default()
        };
        *self != absence
    }

    fn has_model(&self) -> bool {
        let texts = [&self.contains, &self.not_contains, &self.matches];
        let values = self.equals.iter().chain(self.one_of.iter().flatten());
        texts.into_iter().flatten().any(|text| text.contains(MODEL))
            || values.into_iter().any(|value| as_text(value).contains(MODEL))
    }

    /// Reports placeholders other than [`MODEL`].
    fn placeholders(&self, checker: &mut Checker<'_>, path: &KeyPath) {
        let texts = [&self.contains, &self.not_contains, &self.matches];
        let texts = ["contains", "not_contains", "matches"].into_iter().zip(texts);
        let texts = texts.flat_map(|(key, text)| Some((path.then(key), text.as_deref()?)));
        let equals = self.equals.iter().map(|value| (path.then("equals"), value));
        let one_of = self.one_of.iter().flatten().enumerate();
        let one_of = one_of.map(|(index, value)| (path.then("one_of").then(index), value));
        let values = equals
            .chain(one_of)
            .flat_map(|(path, value)| Some((path, value.as_str()?)));
        for (path, text) in texts.chain(values) {
            for name in placeholders_in(text).filter(|name| *name != MODEL && name.ends_with('}')) {
                if PLACEHOLDERS.contains(&name) {
                    let message = format!("`{name}` stands for something only in a reply's text");
                    checker.reader.hinted(&path, message, "write the expected text");
                } else {
                    let message = format!("unknown placeholder `{}`", quotable(name));
                    let error = checker.reader.at(&path, message).allowed(listed([MODEL]));
                    let error = error.hint(r"for the literal text use `matches`, with `\$\{`");
                    checker.reader.report(error.did_you_mean(name, [MODEL]));
                }
            }
        }
    }

    /// Reports conditions that contradict each other.
    fn contradictions(&self, checker: &mut Checker<'_>, path: &KeyPath) {
        let without_exists = Self {
            exists: None,
            ..self.clone()
        };
        if self.exists == Some(false) && without_exists != Self::default() {
            checker.reader.hinted(
                &path.then("exists"),
                "a value that does not exist cannot be compared",
                "keep `exists: false` alone",
            );
        }
        let range = self.min.zip(self.max).filter(|(least, most)| least > most);
        let forbidden = self.contains.as_deref().zip(self.not_contains.as_deref());
        let messages = [
            range.map(|(least, most)| format!("no number is both at least {least} and at most {most}")),
            forbidden
                .filter(|(contains, forbidden)| contains.contains(forbidden))
                .map(|_| {
                    "`contains` includes the text of `not_contains`, so this could never hold".to_owned()
                }),
        ];
        for message in messages.into_iter().flatten() {
            checker.reader.error(path, message);
        }
    }
}

fn with_model(checker: &mut Checker<'_>, value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(checker.with_model(&text)),
        value => value,
    }
}

/// A regular expression that does not match every text.
fn regex(checker: &mut Checker<'_>, path: &KeyPath, text: &str) -> Option<Regex> {
    // Whatever matches both the empty text and a text that no author has in mind matches every text.
    const UNLIKELY: &str = "\u{10fffd}\u{e000}\n\u{1}";
    let pattern = checker.with_model_in_regex(text);
    let regex = checker.reader.regex(path, &pattern)?;
    if regex.is_match("") && regex.is_match(UNLIKELY) {
        checker.reader.hinted(
            path,
            "this regular expression matches every text, so it could never fail",
            "let it need at least one character",
        );
        return None;
    }
    Some(regex)
}

impl Matcher {
    /// Compares the values found, of which there may be none.
    pub fn check(&self, found: &[&Value]) -> Result<(), MatchError> {
        let exists = self.exists.is_none_or(|wanted| wanted != found.is_empty());
        let forbidden = self
            .not_contains
            .as_ref()
            .is_some_and(|text| found.iter().any(|value| as_text(value).contains(text)));
        let one_holds = !self.needs_value() || found.iter().any(|value| self.holds_for(value));
        if exists && !forbidden && one_holds {
            return Ok(());
        }
        Err(MatchError {
            expected: self.to_string(),
            actual: describe_found(found),
        })
    }

    pub fn check_text(&self, text: &str) -> Result<(), MatchError> {
        self.check(&[&Value::String(text.to_owned())])
    }

    /// Why no value can fulfil all conditions. `equals` and `one_of` name the only possible values.
    fn contradiction(&self) -> Option<String> {
        let (key, values) = match (&self.equals, &self.one_of) {
            (Some(value), _) => ("equals", vec![value]),
            (None, Some(values)) => ("one_of", values.iter().collect()),
            (None, None) => return None,
        };
        let is_possible = |value: &&Value| self.check(&[*value]).is_ok();
        let is_contradiction = !values.iter().any(is_possible) && self.exists != Some(false);
        is_contradiction
            .then(|| format!("no value of `{key}` fulfils the other conditions, so this could never hold"))
    }

    /// Whether a condition is given that only a value can fulfil.
    fn needs_value(&self) -> bool {
        self.equals.is_some()
            || self.one_of.is_some()
            || self.contains.is_some()
            || self.matches.is_some()
            || self.min.is_some()
            || self.max.is_some()
    }

    fn holds_for(&self, value: &Value) -> bool {
        let text = as_text(value);
        let number = value.as_f64();
        self.equals.as_ref().is_none_or(|wanted| equal(value, wanted))
            && self
                .one_of
                .as_ref()
                .is_none_or(|choices| choices.iter().any(|choice| equal(value, choice)))
            && self.contains.as_ref().is_none_or(|part| text.contains(part))
            && self.matches.as_ref().is_none_or(|regex| regex.is_match(&text))
            && self.min.is_none_or(|least| number.is_some_and(|n| n >= least))
            && self.max.is_none_or(|most| number.is_some_and(|n| n <= most))
    }
}

impl std::fmt::Display for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut conditions = Vec::new();
        let mut say = |words: &str, value: String| conditions.push(format!("{words}{value}"));
        if let Some(value) = &self.equals {
            say("", value.to_string());
        }
        if let Some(choices) = &self.one_of {
            let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
            say("one of ", choices.join(", "));
        }
        if let Some(text) = &self.contains {
            say("contains ", format!("{text:?}"));
        }
        if let Some(text) = &self.not_contains {
            say("does not contain ", format!("{text:?}"));
        }
        if let Some(regex) = &self.matches {
            say("matches ", format!("/{regex}/"));
        }
        if let Some(least) = self.min {
            say("at least ", least.to_string());
        }
        if let Some(most) = self.max {
            say("at most ", most.to_string());
        }
        match self.exists {
            Some(true) => say("", "is there".into()),
            Some(false) => say("", "is not there".into()),
            None => {}
        }
        f.write_str(&conditions.join(" and "))
    }
}

/// A number equals another of the same value, `1` and `1.0` alike.
fn equal(value: &Value, wanted: &Value) -> bool {
    match (value.as_f64(), wanted.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => value == wanted,
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A value as a message shows it.
pub fn shown(value: &Value) -> String {
    clipped(&value.to_string())
}

/// The message of a refusal, cut at its end: the `error.message` of its JSON body if it has one, else the whole text.
pub fn refusal_shown(text: &str) -> String {
    let body = text.find('{').and_then(|start| {
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        values.next()?.ok()
    });
    let message = body
        .as_ref()
        .and_then(|body| body["error"]["message"].as_str())
        .unwrap_or(text)
        .trim();
    match message.char_indices().nth(SHOWN) {
        None => message.to_owned(),
        Some((end, _)) => {
            let (shown, rest) = message.split_at(end);
            format!("{shown} … ({} more characters)", rest.chars().count())
        }
    }
}

fn describe_found(found: &[&Value]) -> String {
    match found {
        [] => "nothing".into(),
        [value] => shown(value),
        values => {
            let all: Vec<String> = values.iter().map(|value| shown(value)).collect();
            format!("{} values: {}", values.len(), first_names(&all))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(matcher: Matcher, found: &[&Value]) -> MatchError {
        matcher.check(found).expect_err("the matcher held")
    }

    #[test]
    fn equality_does_not_care_how_a_number_is_written() {
        let matcher = Matcher {
            equals: Some(json!(1)),
            ..Matcher::default()
        };
        assert_eq!(matcher.check(&[&json!(1.0)]), Ok(()));
        assert_eq!(error(matcher, &[&json!("1")]).actual, "\"1\"");
    }

    #[test]
    fn all_conditions_must_hold_for_the_same_value() {
        let matcher = Matcher {
            min: Some(2.0),
            max: Some(3.0),
            ..Matcher::default()
        };
        assert_eq!(matcher.check(&[&json!(5), &json!(2)]), Ok(()));
        let miss = error(matcher, &[&json!(1), &json!(5)]);
        assert_eq!(miss.expected, "at least 2 and at most 3");
        assert_eq!(miss.actual, "2 values: 1, 5");
    }

    #[test]
    fn not_contains_holds_for_every_value_and_for_none() {
        let matcher = Matcher {
            not_contains: Some("x".into()),
            ..Matcher::default()
        };
        assert_eq!(matcher.check(&[]), Ok(()));
        assert_eq!(matcher.check(&[&json!("a")]), Ok(()));
        assert!(matcher.check(&[&json!("a"), &json!({"k": "x"})]).is_err());
    }

    #[test]
    fn a_condition_on_a_value_fails_where_there_is_none() {
        let matcher = Matcher {
            contains: Some("x".into()),
            ..Matcher::default()
        };
        assert_eq!(error(matcher, &[]).actual, "nothing");
    }

    #[test]
    fn existence_is_about_the_number_of_values() {
        let there = Matcher {
            exists: Some(true),
            ..Matcher::default()
        };
        let absent = Matcher {
            exists: Some(false),
            ..Matcher::default()
        };
        assert_eq!(there.check(&[&Value::Null]), Ok(()));
        assert_eq!(absent.check(&[]), Ok(()));
        assert!(there.check(&[]).is_err());
        assert!(absent.check(&[&Value::Null]).is_err());
    }
}
