//! Whether values are what a matcher asks for, and the words for either.

use serde_json::Value;

use crate::spec::expectation::Matcher;
use crate::text::clipped;

/// The most characters of a refusal that a message shows.
const SHOWN: usize = 300;

/// What was asked for and what was there, when they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    pub expected: String,
    pub actual: String,
}

impl Matcher {
    /// Holds the conditions against the values found, of which there may be none.
    pub fn check(&self, found: &[&Value]) -> Result<(), Miss> {
        let exists = self.exists.is_none_or(|wanted| wanted != found.is_empty());
        let forbidden = self
            .not_contains
            .as_ref()
            .is_some_and(|text| found.iter().any(|value| as_text(value).contains(text)));
        let one_holds = !self.needs_value() || found.iter().any(|value| self.holds_for(value));
        if exists && !forbidden && one_holds {
            return Ok(());
        }
        Err(Miss {
            expected: self.to_string(),
            actual: describe_found(found),
        })
    }

    pub fn check_text(&self, text: &str) -> Result<(), Miss> {
        self.check(&[&Value::String(text.to_owned())])
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

/// What a refusal says, cut at its end: the `error.message` of its JSON body if it has one, else the whole text.
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
        Some((end, _)) => format!(
            "{} … ({} more characters)",
            &message[..end],
            message.chars().count() - SHOWN
        ),
    }
}

fn describe_found(found: &[&Value]) -> String {
    match found {
        [] => "nothing".into(),
        [value] => shown(value),
        values => {
            let first: Vec<String> = values.iter().take(3).map(|value| shown(value)).collect();
            let rest = values.len().saturating_sub(3);
            let more = if rest > 0 {
                format!(" and {rest} more")
            } else {
                String::new()
            };
            format!("{} values: {}{more}", values.len(), first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn miss(matcher: Matcher, found: &[&Value]) -> Miss {
        matcher.check(found).expect_err("the matcher held")
    }

    #[test]
    fn equality_does_not_care_how_a_number_is_written() {
        let matcher = Matcher {
            equals: Some(json!(1)),
            ..Matcher::default()
        };
        assert_eq!(matcher.check(&[&json!(1.0)]), Ok(()));
        assert_eq!(miss(matcher, &[&json!("1")]).actual, "\"1\"");
    }

    #[test]
    fn all_conditions_must_hold_for_the_same_value() {
        let matcher = Matcher {
            min: Some(2.0),
            max: Some(3.0),
            ..Matcher::default()
        };
        assert_eq!(matcher.check(&[&json!(5), &json!(2)]), Ok(()));
        let miss = miss(matcher, &[&json!(1), &json!(5)]);
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
        assert_eq!(miss(matcher, &[]).actual, "nothing");
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

    #[test]
    fn long_values_are_cut_in_the_middle() {
        let text = "é".repeat(1000);
        let shown = clipped(&text);
        assert!(shown.contains("more characters"), "{shown}");
        assert!(shown.chars().count() < 400);
    }
}
