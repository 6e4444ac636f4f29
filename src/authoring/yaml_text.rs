//! A text as a YAML scalar.

use std::path::Path;

use serde_json::Value;

use crate::document::yaml;

/// `text` as a scalar that reads back as the same text: without quotes if possible, else in single quotes, else as a JSON string.
pub fn scalar(text: &str) -> String {
    let is_printable = |character: char| {
        !character.is_control() && !matches!(character, '\u{feff}' | '\u{2028}' | '\u{2029}')
    };
    let single_quoted = format!("'{text}'");
    let candidates = [text, &single_quoted];
    let found = candidates
        .into_iter()
        .find(|candidate| text.chars().all(is_printable) && reads_as(candidate, text));
    // Every JSON string is a double-quoted scalar of YAML (YAML 1.2, section 1.2).
    found.map_or_else(|| Value::from(text).to_string(), str::to_owned)
}

/// Whether `scalar` reads as `text`, in lists with and without brackets.
fn reads_as(scalar: &str, text: &str) -> bool {
    let file = format!("- {scalar}\n- [{scalar}]\n");
    let expected = Value::from(vec![Value::from(text), Value::from(vec![text])]);
    yaml::parse(Path::new("scalar"), file.as_bytes()).is_ok_and(|node| node.to_json() == expected)
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
