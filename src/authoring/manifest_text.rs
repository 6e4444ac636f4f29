//! A row or a column more in the manifest's text, which otherwise stays as it is: comments, blank lines, quotes.
//!
//! The text is edited where the parser says that lists end, and the result is read again: either it says exactly one
//! thing more than before, or nothing is changed.

use crate::cells::Manifest;
use crate::text::{as_name, closest, is_name};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::{Value, json};

use super::yaml_text;
use crate::document::{Node, NodeValue, yaml};

/// The manifest's text with an entry more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    pub text: String,
    /// The first line of the entry, from 1.
    pub line: usize,
}

/// The error for a list that is not written one entry a line.
fn layout(list: &str, entry: &str) -> anyhow::Error {
    anyhow!(
        "`{list}` of the manifest is not written one entry a line, so nothing can be added without changing its layout; \
         add by hand: `{entry}`"
    )
}

fn did_you_mean(close: Option<&str>) -> String {
    close.map_or_else(String::new, |close| format!("; did you mean `{close}`?"))
}

/// `text`, that of the manifest, with the feature `id` called `name` after the feature `after`, or at the end.
pub fn with_feature(text: &str, id: &str, name: &str, after: Option<&str>) -> anyhow::Result<Edited> {
    let node = read(text)?;
    is_new(&node, "features", "feature", id)?;
    ensure!(
        !name.trim().is_empty(),
        "the name is empty: readers of the matrix see it"
    );
    let items = list(&node, "features");
    let position = match after {
        None => items.len(),
        Some(after) => {
            let ids: Vec<&str> = items.iter().filter_map(id_of).collect();
            let known = ids.iter().position(|known| *known == after);
            1 + known.with_context(|| {
                let close = closest(after, ids.iter().copied());
                format!("the manifest has no feature `{after}`{}", did_you_mean(close))
            })?
        }
    };
    let entry = json!({ "id": id, "name": name });
    let mut lines = Lines::of(text);
    let inline = format!(
        "- {{ id: {}, name: {} }}",
        yaml_text::scalar(id),
        yaml_text::scalar(name)
    );
    let layout = || layout("features", &inline);
    let before = items.get(position - 1).ok_or_else(layout)?;
    let (dash, first) = lines.dash(before).ok_or_else(layout)?;
    let new = match first {
        '{' => vec![format!("{dash}{inline}")],
        _ => vec![
            format!("{dash}- id: {}", yaml_text::scalar(id)),
            format!("{dash}  name: {}", yaml_text::scalar(name)),
        ],
    };
    let line = lines.written(last_line(before));
    lines.insert_after(line, new);
    let mut expected = node.to_json();
    expected["features"]
        .as_array_mut()
        .ok_or_else(layout)?
        .insert(position, entry.clone());
    lines.reading(&expected, line + 1).ok_or_else(layout)
}

/// `text`, that of the manifest, with the provider `id`, whose aliases are made by `pattern`, as the last column.
pub fn with_provider(text: &str, id: &str, pattern: &str) -> anyhow::Result<Edited> {
    let node = read(text)?;
    is_new(&node, "providers", "provider", id)?;
    ensure!(
        pattern.contains("{model}"),
        "the alias pattern `{pattern}` lacks `{{model}}`: without it all tiers would be the same model"
    );
    let aliases = node
        .get("aliases")
        .map(|entry| entry.value.entries())
        .unwrap_or_default();
    let is_pattern = |value: &NodeValue| matches!(value, NodeValue::Text(known) if known == pattern);
    if let Some(same) = aliases.iter().find(|entry| is_pattern(&entry.value.value)) {
        bail!(
            "`{}` has the alias pattern `{pattern}` already: two columns would be one deployment shown twice",
            same.key
        );
    }
    let mut lines = Lines::of(text);
    let alias = format!("{id}: {}", Value::from(pattern));
    let no_alias = || layout("aliases", &alias);
    let no_provider = || layout("providers", &format!("- {id}"));
    let last_alias = aliases.last().ok_or_else(no_alias)?;
    let indent = lines.before(last_alias.key_span.start.line, last_alias.key_span.start.column);
    let last_provider = list(&node, "providers").last().ok_or_else(no_provider)?;
    let (dash, _) = lines.dash(last_provider).ok_or_else(no_provider)?;
    let alias_line = lines.written(last_line(&last_alias.value));
    let line = lines.written(last_line(last_provider));
    // What stands further down first: it moves nothing above it.
    let mut additions = [
        (alias_line, format!("{indent}{alias}")),
        (line, format!("{dash}- {id}")),
    ];
    additions.sort_by_key(|(line, _)| std::cmp::Reverse(*line));
    for (line, text) in additions {
        lines.insert_after(line, vec![text]);
    }
    let mut expected = node.to_json();
    expected["providers"]
        .as_array_mut()
        .ok_or_else(no_provider)?
        .push(id.into());
    expected["aliases"][id] = pattern.into();
    lines.reading(&expected, line + 1).ok_or_else(no_provider)
}

/// The last line of the value of `key` in the YAML `text`, from 1.
pub fn last_line_of(text: &str, key: &str) -> Option<usize> {
    let node = yaml::parse(Path::new("text"), text.as_bytes()).ok()?;
    Some(last_line(&node.get(key)?.value))
}

fn read(text: &str) -> anyhow::Result<Node> {
    let file = Path::new("manifest.yaml");
    let read = Manifest::parse(file, text.as_bytes()).and_then(|_| yaml::parse(file, text.as_bytes()));
    read.map_err(|_| anyhow!("`manifest.yaml` has faults: `compat check` shows them"))
}

fn list<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    match node.get(key).map(|entry| &entry.value.value) {
        Some(NodeValue::List(items)) => items,
        _ => &[],
    }
}

fn id_of(item: &Node) -> Option<&str> {
    let value = match &item.value {
        NodeValue::Map(_) => &item.get("id")?.value.value,
        scalar => scalar,
    };
    match value {
        NodeValue::Text(text) => Some(text),
        _ => None,
    }
}

fn is_new(node: &Node, key: &str, what: &str, id: &str) -> anyhow::Result<()> {
    ensure!(
        is_name(id),
        "`{id}` is not a name: a lower-case letter, then lower-case letters, digits and `_`{}",
        did_you_mean(as_name(id).as_deref())
    );
    let known = list(node, key).iter().find(|item| id_of(item) == Some(id));
    if let Some(known) = known {
        let line = known.span.start.line;
        bail!("the {what} `{id}` is in the manifest already (`manifest.yaml:{line}`)");
    }
    Ok(())
}

/// The last line of what `node` is written as.
fn last_line(node: &Node) -> usize {
    let of_values = match &node.value {
        NodeValue::List(items) => items.iter().map(last_line).max(),
        NodeValue::Map(entries) => entries.iter().map(|entry| last_line(&entry.value)).max(),
        _ => None,
    };
    // A block scalar ends where the next line begins.
    let end = node.span.end;
    let own = if end.column == 1 { end.line - 1 } else { end.line };
    of_values.unwrap_or(own).max(node.span.start.line)
}

/// A text in lines, with the ends of lines that it uses.
struct Lines<'a> {
    lines: Vec<String>,
    newline: &'a str,
    ends: bool,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            lines: text.lines().map(str::to_owned).collect(),
            newline: if text.contains("\r\n") { "\r\n" } else { "\n" },
            ends: text.ends_with('\n'),
        }
    }

    /// What stands before `column` of `line`, if that is blanks alone: blanks all the same otherwise.
    fn before(&self, line: usize, column: usize) -> String {
        let text = self.lines.get(line - 1).map_or("", String::as_str);
        text.chars().take(column - 1).map(|_| ' ').collect()
    }

    /// The blanks before the dash of `item` and the first character behind it; `None` if it does not stand behind a dash.
    fn dash(&self, item: &Node) -> Option<(String, char)> {
        let line = self.lines.get(item.span.start.line - 1)?;
        let trimmed = line.trim_start_matches(' ');
        let behind = trimmed.strip_prefix("- ")?.trim_start();
        Some((" ".repeat(line.len() - trimmed.len()), behind.chars().next()?))
    }

    /// The last line up to `line` that is not blank: the parser counts blank lines to a text before them.
    fn written(&self, line: usize) -> usize {
        let before = &self.lines[..line.min(self.lines.len())];
        1 + before
            .iter()
            .rposition(|text| !text.trim().is_empty())
            .unwrap_or(0)
    }

    fn insert_after(&mut self, line: usize, new: Vec<String>) {
        let at = line.min(self.lines.len());
        self.lines.splice(at..at, new);
    }

    /// The text, if it reads as `expected`.
    fn reading(self, expected: &Value, line: usize) -> Option<Edited> {
        let mut text = self.lines.join(self.newline);
        if self.ends {
            text.push_str(self.newline);
        }
        let file = Path::new("manifest.yaml");
        let node = yaml::parse(file, text.as_bytes()).ok()?;
        Manifest::parse(file, text.as_bytes()).ok()?;
        (node.to_json() == *expected).then_some(Edited { text, line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "\
# A comment.
schema_version: \"1\"

providers:   # columns
  - anthropic
  - azure    # the last

# The rows.
features:
  - id: vision
    name: Vision   # pictures

  - id: tool_use
    name: >-
      Tool
      use

# Every cell.
tiers:
  - { id: haiku, name: Haiku 4.5, model: claude-haiku-4-5 }
aliases:
  anthropic: \"{model}\"
  azure: \"{model}-azure\"
# The end.
";

    #[test]
    fn a_row_is_added_at_the_end_and_nothing_else_changes() {
        let edited = with_feature(MANIFEST, "pdf", "PDF: input", None).unwrap();
        let expected = MANIFEST.replace("      use\n", "      use\n  - id: pdf\n    name: 'PDF: input'\n");
        assert_eq!(edited.text, expected);
        assert_eq!(edited.text.lines().nth(edited.line - 1), Some("  - id: pdf"));
    }

    #[test]
    fn a_row_is_added_after_another() {
        let edited = with_feature(MANIFEST, "pdf", "PDF", Some("vision")).unwrap();
        let expected = MANIFEST.replace("# pictures\n", "# pictures\n  - id: pdf\n    name: PDF\n");
        assert_eq!(edited.text, expected);
    }

    #[test]
    fn a_column_is_added_to_both_lists() {
        let edited = with_provider(MANIFEST, "foundry", "{model}-foundry").unwrap();
        let expected = MANIFEST
            .replace("# the last\n", "# the last\n  - foundry\n")
            .replace("-azure\"\n", "-azure\"\n  foundry: \"{model}-foundry\"\n");
        assert_eq!(edited.text, expected);
        assert_eq!(edited.line, 7);
    }

    #[test]
    fn line_ends_and_a_missing_last_one_are_kept() {
        let text = MANIFEST.trim_end().replace('\n', "\r\n");
        let edited = with_provider(&text, "foundry", "{model}-foundry").unwrap();
        assert!(edited.text.contains("  - foundry\r\n"), "{:?}", edited.text);
        assert!(edited.text.ends_with("# The end."));
    }

    #[test]
    fn what_cannot_be_added_is_refused_with_what_to_do() {
        let say = |result: anyhow::Result<Edited>| result.unwrap_err().to_string();
        assert_eq!(
            say(with_feature(MANIFEST, "Tool Use", "x", None)),
            "`Tool Use` is not a name: a lower-case letter, then lower-case letters, digits and `_`; did you mean `tool_use`?"
        );
        assert_eq!(
            say(with_feature(MANIFEST, "vision", "x", None)),
            "the feature `vision` is in the manifest already (`manifest.yaml:10`)"
        );
        assert_eq!(
            say(with_feature(MANIFEST, "pdf", "PDF", Some("visoin"))),
            "the manifest has no feature `visoin`; did you mean `vision`?"
        );
        assert!(
            say(with_provider(MANIFEST, "foundry", "{model}-azure"))
                .contains("`azure` has the alias pattern")
        );
        assert!(say(with_provider(MANIFEST, "foundry", "x")).contains("lacks `{model}`"));
        assert!(say(with_feature("x: [", "pdf", "PDF", None)).contains("has faults"));
    }

    #[test]
    fn a_list_in_brackets_is_left_alone() {
        let text = MANIFEST.replace(
            "providers:   # columns\n  - anthropic\n  - azure    # the last\n",
            "providers: [anthropic, azure]\n",
        );
        let error = with_provider(&text, "foundry", "{model}-foundry").unwrap_err();
        assert!(error.to_string().ends_with("add by hand: `- foundry`"), "{error}");
    }
}
