//! Values as YAML text that reads back as the same values.
//!
//! It quotes where a reader could take a text for something else, and only there.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::document::NodeValue;
use crate::document::yaml;

/// The most characters of a value that stands in one line.
const WIDTH: usize = 110;

/// `value` as the value of a key or of a list's entry whose line is indented by `indent` spaces: a blank and the value, or
/// lines of its own below. Ends with a newline.
pub fn block(value: &Value, indent: usize) -> String {
    let line = inline(value);
    match value {
        Value::String(text) if text.contains('\n') && is_plain_lines(text) => literal(text, indent),
        Value::Object(_) | Value::Array(_) if line.chars().count() + indent > WIDTH || is_deep(value) => {
            format!("\n{}", lines(value, indent + 2))
        }
        _ => format!(" {line}\n"),
    }
}

/// The entries of a list or map, each in lines of its own, indented by `indent` spaces.
fn lines(value: &Value, indent: usize) -> String {
    let mut out = String::new();
    let spaces = " ".repeat(indent);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let _ = write!(out, "{spaces}{}:{}", scalar(key), block(value, indent));
            }
        }
        Value::Array(items) => {
            for item in items {
                let text = match item {
                    Value::Object(map) if !map.is_empty() => lines(item, indent + 2),
                    other => format!("{spaces} {}", block(other, indent)),
                };
                // The first key stands behind the dash.
                let _ = write!(out, "{spaces}-{}", &text[indent + 1..]);
            }
        }
        other => {
            let _ = writeln!(out, "{spaces}{}", inline(other));
        }
    }
    out
}

/// Whether a value is easier to read in lines: maps within maps or lists.
fn is_deep(value: &Value) -> bool {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
            Value::Array(items) => items.iter().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    depth(value) > 1 || (value.is_array() && depth(value) > 0)
}

/// `value` in one line: lists and maps in brackets.
pub fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", scalar(key), inline(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// `text` as a scalar that is this text wherever it stands: quoted unless it is plainly a text.
pub fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if text.contains('\'')
        || text
            .chars()
            .any(|character| character.is_control() || !is_safe(character))
    {
        // Every JSON string is a double-quoted scalar of YAML (YAML 1.2, section 1.2).
        return Value::from(text).to_string();
    }
    format!("'{text}'")
}

fn is_safe(character: char) -> bool {
    !matches!(character, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{85}')
}

fn is_plain(text: &str) -> bool {
    let is_word = |character: char| {
        character.is_alphanumeric()
            || matches!(
                character,
                ' ' | '_' | '-' | '.' | '/' | '$' | '(' | ')' | '+' | '=' | ';'
            )
    };
    let begins_well = text
        .starts_with(|first: char| first.is_alphanumeric() || matches!(first, '_' | '$' | '/' | '('))
        || (text.starts_with("--") && !text.starts_with("---"));
    if !begins_well || text.ends_with(' ') || !text.chars().all(is_word) {
        return false;
    }
    // What would be read as a number, a boolean or nothing is not plainly a text.
    let line = format!("k: {text}\n");
    yaml::parse(Path::new("scalar"), line.as_bytes())
        .is_ok_and(|node| matches!(node.get("k").map(|entry| &entry.value.value), Some(NodeValue::Text(read)) if read == text))
}

/// Whether a text of several lines can stand as a literal block.
fn is_plain_lines(text: &str) -> bool {
    let mut lines = text.lines();
    lines.clone().all(|line| {
        !line
            .chars()
            .any(|character| character.is_control() || !is_safe(character))
            && !line.ends_with(' ')
    }) && lines
        .next()
        .is_some_and(|first| !first.is_empty() && !first.starts_with(' '))
        && !text.ends_with("\n\n")
        && !text.contains('\r')
}

fn literal(text: &str, indent: usize) -> String {
    let spaces = " ".repeat(indent + 2);
    let head = if text.ends_with('\n') { "|" } else { "|-" };
    let mut out = format!(" {head}\n");
    for line in text.lines() {
        let _ = writeln!(out, "{}", format!("{spaces}{line}").trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        match yaml::parse(Path::new("t.yaml"), text.as_bytes()) {
            Ok(node) => node.to_json(),
            Err(faults) => panic!("{text}\n{faults:#?}"),
        }
    }

    #[test]
    fn every_text_reads_back_as_itself() {
        let texts = [
            "",
            " ",
            "plain text",
            "yes",
            "no",
            "null",
            "~",
            "1",
            "1.5",
            "0x10",
            "true",
            "- a",
            "a: b",
            "a #b",
            "#a",
            "it's",
            "\"q\"",
            "'",
            "two\nlines",
            "two\nlines\n",
            "\n",
            "a\n\n",
            " lead\nx",
            "tab\tx",
            "$.a[*]",
            "{x}",
            "[x]",
            "&a",
            "*a",
            "!x",
            "%x",
            "@x",
            "`x`",
            "--flag",
            "---",
            "...",
            "é ü",
            "\u{2028}",
            "\u{1}",
            "a\r\nb",
            "?",
            "? a",
            "|",
            ">",
            "a:",
            ":",
            "${tool_result}",
            "<<",
            "=",
            "2026-11-21",
            "1e3",
            ".5",
            "trailing ",
            "a,b",
            "C:\\x",
        ];
        for text in texts {
            let line = format!("k: {}\n", scalar(text));
            assert_eq!(read(&line), json!({ "k": text }), "{line}");
            let line = format!("k: [{}]\n", scalar(text));
            assert_eq!(read(&line), json!({ "k": [text] }), "{line}");
            // No file of the project may have this key, quoted or not.
            let key = if text == "<<" { "key" } else { text };
            let value = json!({ "k": { "a": { key: text }, "l": [text, { "x": text, "y": [text] }] } });
            let lines = format!("top:{}", block(&value, 0));
            assert_eq!(read(&lines), json!({ "top": value }), "{lines}");
        }
    }

    #[test]
    fn small_values_stand_in_a_line_and_deep_ones_below() {
        assert_eq!(block(&json!({ "contains": "x" }), 4), " { contains: x }\n");
        assert_eq!(
            block(&json!([{ "content": [{ "text": "a b" }] }]), 0),
            "\n  - content:\n      - text: a b\n"
        );
        assert_eq!(block(&json!([1, "two"]), 0), " [1, two]\n");
    }
}
