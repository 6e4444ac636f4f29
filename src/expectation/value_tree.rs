//! Values found by a JSONPath: where they stand, or how far the path leads.

use serde_json::Value;
use serde_json_path::{JsonPath, NormalizedPath, PathElement};

use super::matcher::{MatchError, Matcher, shown};
use crate::document::Query;

/// The most values that are shown with their places.
const PLACES: usize = 4;
/// The most keys of a map that are named.
const KEYS: usize = 16;

/// Compares the values that `query` finds in `root`. An error says where they stand, or how far the path leads.
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

/// Where in the list `root` the first value stands that `query` finds, or as far as it leads: its index.
pub(super) fn first_index(query: &Query, root: &Value) -> Option<usize> {
    let mut ends = boundaries(&query.text);
    ends.push(query.text.len());
    ends.into_iter().rev().find_map(|end| {
        let parsed = JsonPath::parse(&query.text[..end]).ok()?;
        let located = parsed.query_located(root);
        match located.locations().next()?.first()? {
            PathElement::Index(index) => Some(*index),
            PathElement::Name(_) => None,
        }
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

fn written(path: &NormalizedPath<'_>) -> String {
    let mut out = String::from("$");
    for element in path.iter() {
        match element {
            PathElement::Index(index) => out.push_str(&format!("[{index}]")),
            PathElement::Name(name)
                if name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
            {
                out.push_str(&format!(".{name}"));
            }
            PathElement::Name(name) => out.push_str(&format!("['{name}']")),
        }
    }
    out
}

/// The longest beginning of the path that finds something, and what that is.
fn breaks_off(path: &str, root: &Value) -> String {
    for end in boundaries(path).into_iter().rev() {
        let (before, after) = path.split_at(end);
        let Ok(parsed) = JsonPath::parse(before) else {
            continue;
        };
        if let Some(value) = parsed.query(root).first() {
            return format!(
                ": `{before}` is {}, in which `{after}` finds nothing",
                described(value)
            );
        }
    }
    String::new()
}

/// Where the segments of a path begin, but for its root.
fn boundaries(path: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let (mut depth, mut quote, mut escaped, mut before) = (0_usize, None, false, ' ');
    for (index, character) in path.char_indices() {
        match (quote, character) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '[') => {
                if depth == 0 && before != '.' {
                    found.push(index);
                }
                depth += 1;
            }
            (None, ']') => depth = depth.saturating_sub(1),
            (None, '.') if depth == 0 && before != '.' => found.push(index),
            (None, _) => {}
        }
        before = character;
    }
    found
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
            1 => "a list of 1".to_owned(),
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
    fn a_miss_says_how_far_the_path_leads_and_what_is_there() {
        let root = json!({ "thinking": { "type": "enabled", "budget_tokens": 5 }, "tools": [{ "name": "a.b" }, { "name": "c" }] });
        for (path, told) in [
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
            assert_eq!(actual(path, &root), told, "{path}");
        }
    }
}
