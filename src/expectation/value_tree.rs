//! The values that a JSONPath finds, with their places; if it finds none, the longest prefix that finds some.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use serde_json_path::{JsonPath, NormalizedPath, PathElement};

use super::matcher::{MatchError, Matcher, shown};
use crate::document::Query;

/// The most values that a message shows with their places.
const PLACES: usize = 4;
/// The most keys of a map that a message shows.
const KEYS: usize = 16;

/// Compares the values that `query` finds in `root`. An error shows their places, or the longest prefix that finds some.
pub(super) fn check(query: &Query, matcher: &Matcher, root: &Value) -> Result<(), MatchError> {
    let found = query.path.query(root).all();
    matcher.check(&found).map_err(|error| MatchError {
        actual: match found.len() {
            0 => format!("nothing{}", breaks_off(&query.text, root)),
            1 => error.actual,
            _ => places(query, root),
        },
        ..error
    })
}

/// The index in the list `root` of the first value that `query` finds. If it finds none: of the first value of the longest
/// prefix that finds one.
pub(super) fn first_index(query: &Query, root: &Value) -> Option<usize> {
    let first = |path: &JsonPath| match path.query_located(root).locations().next()?.first()? {
        PathElement::Index(index) => Some(*index),
        PathElement::Name(_) => None,
    };
    first(&query.path).or_else(|| prefixes(&query.text).find_map(|(path, ..)| first(&path)))
}

/// The prefixes of `path` that are paths, the longest first, each parsed, as text, and with the rest of `path`.
fn prefixes(path: &str) -> impl Iterator<Item = (JsonPath, &str, &str)> {
    let ends = path.match_indices(['.', '[']).rev();
    ends.filter_map(move |(end, _)| {
        let (prefix, rest) = path.split_at(end);
        Some((JsonPath::parse(prefix).ok()?, prefix, rest))
    })
}

fn places(query: &Query, root: &Value) -> String {
    let located = query.path.query_located(root);
    let mut lines: Vec<String> = located
        .iter()
        .take(PLACES)
        .map(|node| format!("`{}` is {}", written(node.location()), shown(node.node())))
        .collect();
    let rest = located.len().saturating_sub(PLACES);
    if rest > 0 {
        lines.push(format!("and {rest} more"));
    }
    lines.join("\n")
}

/// `path` with `.name` in place of `['name']` where possible.
fn written(path: &NormalizedPath<'_>) -> String {
    static PLAIN_NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\['(\w+)'\]").expect("a constant expression"));
    PLAIN_NAME.replace_all(&path.to_string(), ".$1").into_owned()
}

/// The longest prefix of the path that finds something, and the value that it finds.
fn breaks_off(path: &str, root: &Value) -> String {
    let found = prefixes(path).find_map(|(parsed, prefix, rest)| {
        let value = described(parsed.query(root).first()?);
        Some(format!(
            ": `{prefix}` is {value}, in which `{rest}` finds nothing"
        ))
    });
    found.unwrap_or_default()
}

fn described(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let keys: Vec<String> = map.keys().take(KEYS).map(|key| format!("`{key}`")).collect();
            let more = match map.len().saturating_sub(KEYS) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            match keys.is_empty() {
                true => "an empty map".to_owned(),
                false => format!("a map of {}{more}", keys.join(", ")),
            }
        }
        Value::Array(items) => match items.len() {
            0 => "an empty list".to_owned(),
            length => format!("a list of {length}"),
        },
        scalar => shown(scalar),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn actual(path: &str, root: &Value) -> String {
        let query = Query {
            text: path.to_owned(),
            path: JsonPath::parse(path).unwrap(),
        };
        let matcher = Matcher {
            equals: Some(json!("never")),
            ..Matcher::default()
        };
        check(&query, &matcher, root).unwrap_err().actual
    }

    #[test]
    fn an_error_shows_the_longest_prefix_that_finds_a_value() {
        let root = json!({ "thinking": { "type": "enabled", "budget_tokens": 5 }, "tools": [{ "name": "a.b" }, { "name": "c" }] });
        for (path, expected) in [
            ("$.thinking.budget_tokens", "5"),
            (
                "$.thinking.budget",
                "nothing: `$.thinking` is a map of `type`, `budget_tokens`, in which `.budget` finds nothing",
            ),
            (
                "$.tools[?@.name == 'x.y'].input_schema.type",
                "nothing: `$.tools` is a list of 2, in which `[?@.name == 'x.y'].input_schema.type` finds nothing",
            ),
            (
                "$.tools[?@.name == 'a.b']['id']",
                "nothing: `$.tools[?@.name == 'a.b']` is a map of `name`, in which `['id']` finds nothing",
            ),
            (
                "$.none",
                "nothing: `$` is a map of `thinking`, `tools`, in which `.none` finds nothing",
            ),
            (
                "$.tools[*].name",
                "`$.tools[0].name` is \"a.b\"\n`$.tools[1].name` is \"c\"",
            ),
            (
                "$..none",
                "nothing: `$` is a map of `thinking`, `tools`, in which `..none` finds nothing",
            ),
        ] {
            assert_eq!(actual(path, &root), expected, "{path}");
        }
    }
}
