//! Whether a JSONPath can find anything in the body of a request, by the types of the Messages API.

use std::sync::LazyLock;

use regex::Regex;

use super::body_fields::is_documented;
use super::request_types::{keys_of, tags_of};

/// What Converse has in a message and in `system`, besides the names that the Messages API has there too:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html>.
const CONVERSE_PARTS: [&str; 10] = [
    "audio",
    "cachePoint",
    "citationsContent",
    "document",
    "guardContent",
    "image",
    "reasoningContent",
    "searchResult",
    "toolResult",
    "toolUse",
];

/// A step of a path that no request has.
#[derive(Debug, PartialEq, Eq)]
pub struct Impossible {
    /// The value that the step starts at, as a path.
    place: String,
    /// The step: a key, or `[…]`.
    step: String,
    /// The keys that the value has; none if it is no object.
    pub keys: Vec<&'static str>,
    is_list: bool,
}

impl Impossible {
    /// What is wrong, in a sentence without its end.
    pub fn in_words(&self) -> String {
        let Self { place, step, .. } = self;
        match (self.keys.is_empty(), self.is_list) {
            (false, _) => format!("`{place}` has no field `{step}` in any request"),
            (true, true) => format!("`{place}` is a list, and a list has no field `{step}`"),
            (true, false) if step.starts_with('[') => format!("`{place}` is no list in any request"),
            (true, false) => format!("`{place}` is a plain value, and has no field `{step}`"),
        }
    }

    /// The path that was meant, for a list.
    pub fn with_items(&self) -> Option<String> {
        self.is_list.then(|| format!("{}[*].{}", self.place, self.step))
    }

    /// The key that cannot be.
    pub fn key(&self) -> &str {
        &self.step
    }
}

/// The first step of `path` that no request of the Messages API or of Converse has. `None` if all can be, or if the path goes
/// through an open value or `..`.
pub fn impossible(path: &str) -> Option<Impossible> {
    let body = path.strip_prefix('$')?;
    let steps = body.strip_prefix(".additionalModelRequestFields").unwrap_or(body);
    walk(&path[..path.len() - steps.len()], steps, vec!["request"])
}

/// Follows `rest`, from the values of `kinds` at `place`.
fn walk(place: &str, rest: &str, mut kinds: Vec<&'static str>) -> Option<Impossible> {
    static IN_FILTER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"@((?:\.\w+|\[[^\]]*\])+)").expect("a constant expression"));
    let (mut place, mut rest) = (place.to_owned(), rest);
    while let Some((step, after)) = next_step(rest) {
        kinds = match step {
            Step::Key(key) => match below(&kinds, key) {
                Below::Open => return None,
                Below::Kinds(kinds) => kinds,
                Below::Nothing { keys, is_list } => {
                    let step = key.to_owned();
                    return Some(Impossible {
                        place,
                        step,
                        keys,
                        is_list,
                    });
                }
            },
            Step::Items(filter) => {
                let items = items_of(&kinds);
                if items.is_empty() {
                    if kinds.iter().any(|kind| is_object(kind)) {
                        return None;
                    }
                    let step = rest[..rest.len() - after.len()].to_owned();
                    return Some(Impossible {
                        place,
                        step,
                        keys: Vec::new(),
                        is_list: false,
                    });
                }
                // A filter within a filter has another item.
                let filter = if filter.contains("[?") { "" } else { filter };
                // The item of a filter within a filter is another one.
                let filter = if filter.contains("[?") { "" } else { filter };
                let paths = IN_FILTER
                    .captures_iter(filter)
                    .map(|found| found.extract::<1>().1[0]);
                let item = format!("{place}[*]");
                if let Some(fault) = paths.filter_map(|path| walk(&item, path, items.clone())).next() {
                    return Some(fault);
                }
                items
            }
        };
        place.push_str(&rest[..rest.len() - after.len()]);
        rest = after;
    }
    None
}

enum Step<'a> {
    Key(&'a str),
    /// By number, all, or by a filter.
    Items(&'a str),
}

/// The first step of a path and the rest. `None` at the end, at `..`, and at what has several selectors.
fn next_step(path: &str) -> Option<(Step<'_>, &str)> {
    if let Some(inside) = path.strip_prefix('[') {
        let end = closing(inside)?;
        let (selector, rest) = (inside[..end].trim(), &inside[end + 1..]);
        let quoted = ['\'', '"'].into_iter().find_map(|quote| {
            selector
                .strip_prefix(quote)?
                .strip_suffix(quote)
                .filter(|key| !key.contains(quote))
        });
        return match quoted {
            Some(key) => Some((Step::Key(key), rest)),
            None if !selector.starts_with('?') && selector.contains([',', '\'', '"']) => None,
            None => Some((Step::Items(selector), rest)),
        };
    }
    let path = path.strip_prefix('.')?;
    let (key, rest) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
    (!key.is_empty() && key != "*").then_some((Step::Key(key), rest))
}

/// Where the bracket ends that `inside` follows.
fn closing(inside: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, character) in inside.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// What a key leads to.
enum Below {
    /// Anything.
    Open,
    Kinds(Vec<&'static str>),
    Nothing {
        keys: Vec<&'static str>,
        is_list: bool,
    },
}

fn below(kinds: &[&'static str], key: &str) -> Below {
    let is_of_converse = kinds.iter().any(|kind| ["block|", "text_block"].contains(kind));
    if kinds.iter().any(|kind| kind.is_empty() || *kind == "{}")
        || (is_of_converse && CONVERSE_PARTS.contains(&key))
    {
        return Below::Open;
    }
    let (mut keys, mut found, mut objects, mut open) = (Vec::new(), Vec::new(), 0, 0);
    for fields in kinds
        .iter()
        .flat_map(|kind| types_of(kind))
        .filter_map(|name| keys_of(&name))
    {
        objects += 1;
        for field in fields {
            match field.name {
                "*" => open += 1,
                name if keys.contains(&name) => {}
                name => keys.push(name),
            }
            if field.name == key {
                found.extend(kinds_of(field.kind));
            }
        }
    }
    let may_be = objects > 0 && (open == objects || (open > 0 && is_documented(key)));
    match found.is_empty() {
        true if may_be => Below::Open,
        true => {
            keys.sort_unstable();
            Below::Nothing {
                keys,
                is_list: !items_of(kinds).is_empty(),
            }
        }
        false => Below::Kinds(found),
    }
}

/// The types of an object's kind; none for another kind.
fn types_of(kind: &'static str) -> Vec<String> {
    match kind.strip_suffix('|') {
        Some(union) => tags_of(union).map(|tag| format!("{union}.{tag}")).collect(),
        None => vec![kind.to_owned()],
    }
}

fn is_object(kind: &'static str) -> bool {
    kind.is_empty() || kind == "{}" || types_of(kind).iter().any(|name| keys_of(name).is_some())
}

/// The kinds of a value that may have several, without `?`.
fn kinds_of(kind: &'static str) -> Vec<&'static str> {
    let kind = kind.strip_prefix('?').unwrap_or(kind);
    match kind.strip_prefix("str/") {
        Some(kind) => vec!["str", kind],
        None => vec![kind],
    }
}

fn items_of(kinds: &[&'static str]) -> Vec<&'static str> {
    let items = kinds
        .iter()
        .filter_map(|kind| kind.strip_prefix('[')?.strip_suffix(']'));
    items.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_no_request_has_is_found() {
        for (path, fault) in [
            (
                "$.messages[0].model",
                "`$.messages[0]` has no field `model` in any request",
            ),
            (
                "$.messages[0].content.text",
                "`$.messages[0].content` is a list, and a list has no field `text`",
            ),
            (
                "$.messages.role",
                "`$.messages` is a list, and a list has no field `role`",
            ),
            (
                "$['messages'][0]['rol']",
                "`$['messages'][0]` has no field `rol` in any request",
            ),
            (
                "$.messages[0].role.name",
                "`$.messages[0].role` is a plain value, and has no field `name`",
            ),
            ("$.stream[0]", "`$.stream` is no list in any request"),
            (
                "$.tools[?@.nam == 'Bash'].input_schema",
                "`$.tools[*]` has no field `nam` in any request",
            ),
            (
                "$.messages[*].content[?@.cache_control.tll == '1h']",
                "`$.messages[*].content[*].cache_control` has no field `tll` in any request",
            ),
            (
                "$.additionalModelRequestFields.thinking.effort",
                "`$.additionalModelRequestFields.thinking` has no field `effort` in any request",
            ),
            (
                "$.messages[*].content[*].reasoning_content",
                "`$.messages[*].content[*]` has no field `reasoning_content` in any request",
            ),
        ] {
            assert_eq!(
                impossible(path).map(|fault| fault.in_words()).as_deref(),
                Some(fault),
                "{path}"
            );
        }
        let fault = impossible("$.messages[0].content.text").expect("a fault");
        assert_eq!(
            fault.with_items().as_deref(),
            Some("$.messages[0].content[*].text")
        );
    }

    #[test]
    fn a_path_that_may_find_something_is_none() {
        for path in [
            "$",
            "$.model",
            "$..cache_control.ttl",
            "$.messages[-1].content",
            "$.messages[*].content[*].text",
            "$.messages[*].content[?@.type == 'tool_result'].content[*].source.data",
            "$.messages[*].content[*].toolUse.input.command",
            "$.messages[*].content[*].content[*].tool_name",
            "$.system[*].cachePoint.ttl",
            "$.system[0].text",
            "$.tools[?length(@.name) > 64].description",
            "$.tools[?@.name == 'a]b'].input_schema.properties.command.type",
            "$.tools[*].max_uses",
            "$.toolConfig.tools[0].toolSpec.name",
            "$.messages[*]['role','content']",
            "$.safeguards[*].type",
            "$.output_config.format.schema.anything",
            "$.messages[?@.content[?@.content[?@.type == 'tool_reference'] && @.is_error == true]]",
        ] {
            assert_eq!(impossible(path), None, "{path}");
        }
    }
}
