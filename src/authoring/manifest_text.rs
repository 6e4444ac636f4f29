//! Adds a row, a column or a tier to the manifest's text. Comments, blank lines and quotes of the rest stay unchanged.
//!
//! The parser says on which line a list ends; the new entry is written below that line. Then the result is parsed: it
//! must contain the new entry and otherwise the same values, or the edit fails.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::Value;

use super::yaml_text::scalar;
use crate::cells::Manifest;
use crate::document::{Entry, Node, NodeValue, yaml};
use crate::text::{as_name, is_name, suggestion};

/// The manifest's text with a new entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    pub text: String,
    /// The first line of the entry, from 1.
    pub line: usize,
}

/// The error for a list that does not have one entry on each line.
fn layout(list: &str, entry: &str) -> anyhow::Error {
    anyhow!(
        "`{list}` of the manifest does not have one entry on each line, so nothing can be added without changing its layout; \
         add by hand: `{entry}`"
    )
}

/// A new row. What is empty is not written.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRow<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub category: &'a str,
    pub description: &'a str,
    pub clause: &'a str,
    pub docs: &'a str,
}

/// The manifest `text` with the feature `row`, after the feature `after` or at the end.
pub fn with_feature(text: &str, row: NewRow<'_>, after: Option<&str>) -> anyhow::Result<Edited> {
    let node = read(text)?;
    is_new(&node, "features", "feature", row.id)?;
    ensure!(
        !row.name.trim().is_empty(),
        "the name is empty: readers of the matrix see it"
    );
    let items = list(&node, "features");
    let position = match after {
        None => items.len(),
        Some(after) => {
            let ids = || items.iter().filter_map(id_of);
            1 + ids().position(|known| known == after).with_context(|| {
                let similar = suggestion(after, ids());
                format!("the manifest has no feature `{after}`{similar}")
            })?
        }
    };
    let entry = NewEntry::of([
        ("id", row.id),
        ("name", row.name),
        ("category", row.category),
        ("description", row.description),
        ("clause", row.clause),
        ("docs", row.docs),
    ]);
    entry.written(text, &node, ("features", "row"), position)
}

/// The manifest `text` with the provider `id` as the last column; `pattern` makes its aliases.
pub fn with_provider(text: &str, id: &str, pattern: &str) -> anyhow::Result<Edited> {
    let node = read(text)?;
    is_new(&node, "providers", "provider", id)?;
    ensure!(
        pattern.contains("{model}"),
        "the alias pattern `{pattern}` lacks `{{model}}`: without it all tiers would be the same model"
    );
    let aliases = node.get("aliases").map_or(&[][..], |entry| entry.value.entries());
    let is_pattern = |entry: &&Entry| entry.value.to_json() == pattern;
    if let Some(same) = aliases.iter().find(is_pattern) {
        bail!(
            "`{}` has the alias pattern `{pattern}` already: two columns would be one deployment shown twice",
            same.key
        );
    }
    let alias = format!("{id}: {}", Value::from(pattern));
    let no_alias = || layout("aliases", &alias);
    let no_provider = || layout("providers", &format!("- {id}"));
    let last_alias = aliases.last().ok_or_else(no_alias)?;
    let last_provider = list(&node, "providers").last().ok_or_else(no_provider)?;
    let (dash, _) = dash(last_provider).ok_or_else(no_provider)?;
    let indent = " ".repeat(last_alias.key_span.start.column - 1);
    let line = last_line(last_provider);
    let mut additions = [
        (last_line(&last_alias.value), format!("{indent}{alias}")),
        (line, format!("{dash}{id}")),
    ];
    // From the end: an insertion moves the lines below it.
    additions.sort_by_key(|(line, _)| std::cmp::Reverse(*line));
    let text = additions
        .iter()
        .fold(text.to_owned(), |text, (line, new)| inserted(&text, *line, new));
    let mut expected = node.to_json();
    let providers = expected["providers"].as_array_mut().ok_or_else(no_provider)?;
    providers.push(id.into());
    expected["aliases"][id] = pattern.into();
    checked(text, line + 1, &expected).ok_or_else(no_provider)
}

/// A tier to add.
#[derive(Clone, Copy, Debug)]
pub struct NewTier<'a> {
    pub id: &'a str,
    /// Its name for readers.
    pub name: &'a str,
    pub model: &'a str,
    /// Its set; empty if the manifest has no sets.
    pub set: &'a str,
}

/// The manifest `text` with `tier` as the last one.
pub fn with_tier(text: &str, tier: NewTier<'_>) -> anyhow::Result<Edited> {
    let node = read(text)?;
    is_new(&node, "tiers", "tier", tier.id)?;
    let NewTier { id, name, model, set } = tier;
    let entry = NewEntry::of([("id", id), ("name", name), ("model", model), ("set", set)]);
    entry.written(text, &node, ("tiers", "tier"), list(&node, "tiers").len())
}

/// A new entry of a list of the manifest: its keys and their values.
struct NewEntry<'a>(Vec<(&'a str, &'a str)>);

impl<'a> NewEntry<'a> {
    /// The keys that have a value.
    fn of(keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(keys.into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The manifest `text` with the entry at `position` of a list, in the layout of the entry before it. `names` are the list's
    /// name and what one of its entries is.
    fn written(
        &self,
        text: &str,
        node: &Node,
        names: (&str, &str),
        position: usize,
    ) -> anyhow::Result<Edited> {
        let (name, what) = names;
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(key, value)| format!("{key}: {}", scalar(value)))
            .collect();
        let inline = format!("{{ {} }}", pairs.join(", "));
        let layout = || layout(name, &format!("- {inline}"));
        let before = position
            .checked_sub(1)
            .and_then(|at| list(node, name).get(at))
            .ok_or_else(layout)?;
        let (dash, rest) = dash(before).ok_or_else(layout)?;
        let new = match rest.starts_with('{') {
            true => format!("{dash}{inline}"),
            false => format!("{dash}{}", pairs.join(&format!("\n{}", " ".repeat(dash.len())))),
        };
        let line = last_line(before);
        let edited = inserted(text, line, &new);
        if let Err(errors) = Manifest::parse(Path::new("manifest.yaml"), edited.as_bytes()) {
            let first = errors.first().map_or("", |error| error.message.as_str());
            bail!("this {what} cannot be added: {first}");
        }
        let mut expected = node.to_json();
        let entries = expected[name].as_array_mut().ok_or_else(layout)?;
        entries.insert(
            position,
            self.0
                .iter()
                .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
                .collect(),
        );
        checked(edited, line + 1, &expected).ok_or_else(layout)
    }
}

/// The last line of the value of `key` in the YAML `text`, from 1.
pub fn last_line_of(text: &str, key: &str) -> Option<usize> {
    let node = yaml::parse(Path::new("text"), text.as_bytes()).ok()?;
    Some(last_line(&node.get(key)?.value))
}

fn read(text: &str) -> anyhow::Result<Node> {
    let file = Path::new("manifest.yaml");
    let read = Manifest::parse(file, text.as_bytes()).and_then(|_| yaml::parse(file, text.as_bytes()));
    read.map_err(|_| anyhow!("`manifest.yaml` has errors: `compat check` shows them"))
}

pub(super) fn list<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    match node.get(key).map(|entry| &entry.value.value) {
        Some(NodeValue::List(items)) => items,
        _ => &[],
    }
}

/// The id of an item: the item itself, or its `id`.
fn id_of(item: &Node) -> Option<&str> {
    match &item.get("id").map_or(item, |entry| &entry.value).value {
        NodeValue::Text(text) => Some(text),
        _ => None,
    }
}

fn is_new(node: &Node, key: &str, what: &str, id: &str) -> anyhow::Result<()> {
    ensure!(
        is_name(id),
        "`{id}` is not a name: a lower-case letter, then lower-case letters, digits and `_`{}",
        suggestion(id, as_name(id).as_deref())
    );
    let known = list(node, key).iter().find(|item| id_of(item) == Some(id));
    if let Some(known) = known {
        let line = known.span.start.line;
        bail!("the {what} `{id}` is in the manifest already (`manifest.yaml:{line}`)");
    }
    Ok(())
}

/// The last line of `node`'s text.
pub(super) fn last_line(node: &Node) -> usize {
    let last = match &node.value {
        NodeValue::List(items) => items.last(),
        NodeValue::Map(entries) => entries.last().map(|entry| &entry.value),
        _ => None,
    };
    if let Some(last) = last {
        return last_line(last);
    }
    // The parser ends a block text where the next line begins, and adds the blank lines below to a text.
    let (start, end) = (node.span.start, node.span.end);
    let end = if end.column == 1 { end.line - 1 } else { end.line };
    let mut lines = (start.line..=end).rev();
    let written = lines.find(|line| !node.span.source.line(*line).trim().is_empty());
    written.unwrap_or(start.line)
}

/// The line of `item`, split behind its dash; `None` if it has no dash.
fn dash(item: &Node) -> Option<(&str, &str)> {
    let start = item.span.start;
    let (before, rest) = item
        .span
        .source
        .line(start.line)
        .split_at_checked(start.column - 1)?;
    (before.trim() == "-").then_some((before, rest))
}

/// `text` with the lines `new` after its line `line`.
pub(super) fn inserted(text: &str, line: usize, new: &str) -> String {
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines: Vec<&str> = text.split(newline).collect();
    let at = line.min(lines.len());
    lines.splice(at..at, new.split('\n'));
    lines.join(newline)
}

/// The edited `text`, if it reads as `expected`.
fn checked(text: String, line: usize, expected: &Value) -> Option<Edited> {
    let node = read(&text).ok()?;
    (node.to_json() == *expected).then_some(Edited { text, line })
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

    fn row<'a>(id: &'a str, name: &'a str) -> NewRow<'a> {
        NewRow {
            id,
            name,
            ..NewRow::default()
        }
    }

    #[test]
    fn a_row_has_what_readers_need() {
        let described = NewRow {
            category: "Tools",
            description: "It works.",
            docs: "https://example.com/docs",
            ..row("pdf", "PDF")
        };
        let edited = with_feature(MANIFEST, described, Some("vision")).unwrap();
        let new = "  - id: pdf\n    name: PDF\n    category: Tools\n    description: It works.\n    docs: https://example.com/docs\n";
        let expected = MANIFEST.replace("# pictures\n", &format!("# pictures\n{new}"));
        assert_eq!(edited.text, expected);
        let wrong = NewRow {
            docs: "example.com",
            ..described
        };
        let error = with_feature(MANIFEST, wrong, None).unwrap_err().to_string();
        assert_eq!(
            error,
            "this row cannot be added: `example.com` is not a web address"
        );
    }

    #[test]
    fn a_row_is_added_at_the_end_and_nothing_else_changes() {
        let edited = with_feature(MANIFEST, row("pdf", "PDF: input"), None).unwrap();
        let expected = MANIFEST.replace("      use\n", "      use\n  - id: pdf\n    name: 'PDF: input'\n");
        assert_eq!(edited.text, expected);
        assert_eq!(edited.text.lines().nth(edited.line - 1), Some("  - id: pdf"));
    }

    #[test]
    fn a_row_is_added_after_another() {
        let edited = with_feature(MANIFEST, row("pdf", "PDF"), Some("vision")).unwrap();
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
    fn a_tier_is_added_at_the_end() {
        let tier = NewTier {
            id: "opus",
            name: "Opus 6",
            model: "claude-opus-6",
            set: "",
        };
        let edited = with_tier(MANIFEST, tier).unwrap();
        let line = "  - { id: haiku, name: Haiku 4.5, model: claude-haiku-4-5 }\n";
        let new = "  - { id: opus, name: Opus 6, model: claude-opus-6 }\n";
        assert_eq!(edited.text, MANIFEST.replace(line, &format!("{line}{new}")));
        let same = NewTier {
            model: "claude-haiku-4-5",
            ..tier
        };
        let error = with_tier(MANIFEST, same).unwrap_err().to_string();
        assert_eq!(
            error,
            "this tier cannot be added: `claude-haiku-4-5` is there twice"
        );
        let with_sets = MANIFEST.replace("model: claude-haiku-4-5 }", "model: claude-haiku-4-5, set: v0 }");
        let edited = with_tier(&with_sets, NewTier { set: "next", ..tier }).unwrap();
        assert!(
            edited.text.contains("model: claude-opus-6, set: next }"),
            "{}",
            edited.text
        );
    }

    #[test]
    fn line_ends_are_kept() {
        let text = MANIFEST.trim_end().replace('\n', "\r\n");
        let edited = with_provider(&text, "foundry", "{model}-foundry").unwrap();
        assert!(edited.text.contains("  - foundry\r\n"), "{:?}", edited.text);
        assert!(edited.text.ends_with("# The end."));
    }

    #[test]
    fn a_wrong_entry_is_refused_with_a_way_out() {
        let say = |result: anyhow::Result<Edited>| result.unwrap_err().to_string();
        assert_eq!(
            say(with_feature(MANIFEST, row("Tool Use", "x"), None)),
            "`Tool Use` is not a name: a lower-case letter, then lower-case letters, digits and `_` (did you mean `tool_use`?)"
        );
        assert_eq!(
            say(with_feature(MANIFEST, row("vision", "x"), None)),
            "the feature `vision` is in the manifest already (`manifest.yaml:10`)"
        );
        assert_eq!(
            say(with_feature(MANIFEST, row("pdf", "PDF"), Some("visoin"))),
            "the manifest has no feature `visoin` (did you mean `vision`?)"
        );
        assert!(
            say(with_provider(MANIFEST, "foundry", "{model}-azure"))
                .contains("`azure` has the alias pattern")
        );
        assert!(say(with_provider(MANIFEST, "foundry", "x")).contains("lacks `{model}`"));
        assert!(say(with_feature("x: [", row("pdf", "PDF"), None)).contains("has errors"));
    }

    #[test]
    fn a_list_in_brackets_is_not_edited() {
        let text = MANIFEST.replace(
            "providers:   # columns\n  - anthropic\n  - azure    # the last\n",
            "providers: [anthropic, azure]\n",
        );
        let error = with_provider(&text, "foundry", "{model}-foundry").unwrap_err();
        assert!(error.to_string().ends_with("add by hand: `- foundry`"), "{error}");
    }
}
