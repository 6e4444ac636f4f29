//! The npm client's configuration files, `.npmrc`.
//!
//! Pure. npm documents the format (`npm help npmrc`): `key = value` lines, comments after `;` or `#`. The variable's value
//! replaces `${NAME}`; `${NAME?}` may be unset.
#![warn(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::env::Environment;

static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\\*)\$\{([^${}?]+)(\??)\}").expect("the pattern is valid"));

/// The settings of one file. If two lines have the same key, the last one counts.
pub fn parse(text: &str, environment: &Environment) -> BTreeMap<String, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with([';', '#', '[']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| {
            (
                expand(unquote(key.trim()), environment),
                expand(unquote(value.trim()), environment),
            )
        })
        .collect()
}

pub(super) fn unquote(text: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
}

fn expand(text: &str, environment: &Environment) -> String {
    VARIABLE
        .replace_all(text, |found: &Captures| {
            let escaped = found[1].len() % 2 == 1;
            match environment.get(&found[2]) {
                _ if escaped => found[0][1..].to_owned(),
                Some(value) => value.to_owned(),
                None if &found[3] == "?" => String::new(),
                None => found[0].to_owned(),
            }
        })
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> BTreeMap<String, String> {
        parse(text, &Environment::from_iter([("TOKEN", "s3cret")]))
    }

    #[test]
    fn comments_sections_and_blank_lines_are_skipped() {
        assert!(settings("; registry=a\n# registry=b\n\n[section]\n").is_empty());
    }

    #[test]
    fn quotes_are_removed_and_variables_replaced() {
        for (line, key, value) in [
            (
                "registry = \"https://npm.example/\"",
                "registry",
                "https://npm.example/",
            ),
            (
                "@anthropic-ai:registry=https://a",
                "@anthropic-ai:registry",
                "https://a",
            ),
            (
                "//npm.example/:_authToken=${TOKEN}",
                "//npm.example/:_authToken",
                "s3cret",
            ),
            ("a=${NONE}", "a", "${NONE}"),
            ("b=x${NONE?}y", "b", "xy"),
            ("c=\\${TOKEN}", "c", "${TOKEN}"),
        ] {
            assert_eq!(settings(line)[key], value, "{line}");
        }
    }
}
