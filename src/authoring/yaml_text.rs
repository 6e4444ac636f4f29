//! A text as a YAML scalar that reads back as the same text.

use std::path::Path;

use serde_json::Value;

use crate::document::{NodeValue, yaml};

/// `text` as a scalar, quoted unless every reader takes it for a text without quotes.
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
        }
    }
}
