//! Reading values out of a document: paths of keys, diagnostics at them, JSONPaths and regular expressions.

use std::fmt::Display;

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json_path::JsonPath;

use super::diagnostic::{Diagnostic, Span};
use super::node::Node;

/// A path of keys, and of list indexes from 0, into a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPath(pub Vec<String>);

impl KeyPath {
    pub fn of(key: impl Display) -> Self {
        Self(vec![key.to_string()])
    }

    pub fn then(&self, step: impl Display) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.to_string());
        Self(steps)
    }
}

/// A JSONPath (RFC 9535).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("x-syntax" = "JSONPath"))]
pub struct Query {
    pub text: String,
    pub path: JsonPath,
}

impl TryFrom<String> for Query {
    type Error = serde_json_path::ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let path = JsonPath::parse(&text)?;
        Ok(Self { text, path })
    }
}

impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Reads the values of one document and collects the diagnostics.
#[derive(Debug)]
pub struct Reader<'a> {
    pub node: &'a Node,
    pub diagnostics: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub fn new(node: &'a Node) -> Self {
        Self {
            node,
            diagnostics: Vec::new(),
        }
    }

    /// A diagnostic at the value that `path` leads to. It is not yet reported.
    pub fn at(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.node.span_at(&path.0), message).path(written(&path.0))
    }

    /// A diagnostic at the last key of `path`. It is not yet reported.
    pub fn at_key(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.node.key_span_at(&path.0), message).path(written(&path.0))
    }

    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports an error at the value that `path` leads to.
    pub fn error(&mut self, path: &KeyPath, message: impl Into<String>) {
        self.report(self.at(path, message));
    }

    /// Reports an error at the value that `path` leads to, with a hint.
    pub fn hinted(&mut self, path: &KeyPath, message: impl Into<String>, hint: impl Into<String>) {
        self.report(self.at(path, message).hint(hint));
    }

    /// Reports `name`, the last key of `path`, if it is a slip of `meant`. `what` is its kind.
    pub fn misspelt(&mut self, path: &KeyPath, what: &str, name: &str, meant: Option<&str>) {
        if let Some(meant) = meant {
            let error = self.at_key(path, format!("`{name}` looks like a misspelt {what}"));
            self.report(error.hint(format!("did you mean `{meant}`?")));
        }
    }

    /// Parses the JSONPath `text`, which is the value at `path`.
    pub fn query(&mut self, path: &KeyPath, text: &str) -> Option<Query> {
        let span = self.node.span_at(&path.0).clone();
        self.query_in(span, path, text)
    }

    /// Parses the JSONPath `text`, which is the last key of `path`.
    pub fn query_key(&mut self, path: &KeyPath, text: &str) -> Option<Query> {
        let span = self.node.key_span_at(&path.0).clone();
        self.query_in(span, path, text)
    }

    fn query_in(&mut self, span: Span, path: &KeyPath, text: &str) -> Option<Query> {
        match Query::try_from(text.to_owned()) {
            Ok(query) => Some(query),
            Err(error) => {
                let position = error.position();
                let (what, hint) = not_a_query(text, position, error.message());
                let at = text.get(..position).map_or(0, |before| before.chars().count());
                let marked = span.within(text, at, 1).unwrap_or(span);
                self.report(
                    Diagnostic::at(&marked, format!("not a JSONPath: {what}"))
                        .path(written(&path.0))
                        .found(format!("`{text}`"))
                        .hint(hint),
                );
                None
            }
        }
    }

    /// Parses the regular expression `text`, which is the value at `path`.
    pub fn regex(&mut self, path: &KeyPath, text: &str) -> Option<Regex> {
        // YAML reads `\b` in double quotes as this character.
        if text.contains('\u{8}') {
            let message = "a backspace character in a regular expression";
            let error = self.at(path, message).found("`\\b` in double quotes");
            self.report(error.hint("use single quotes: nothing is escaped in them"));
            return None;
        }
        Regex::new(text)
            .map_err(|error| self.not_a_regex(path, text, &error.to_string()))
            .ok()
    }

    /// `error` is the text of the `regex` crate: the expression, a line of `^` below the mistake, and the reason last.
    fn not_a_regex(&mut self, path: &KeyPath, text: &str, error: &str) {
        let lines: Vec<&str> = error.lines().collect();
        let why = lines.last().unwrap_or(&"").trim_start_matches("error: ");
        let whole = self.node.span_at(&path.0);
        let marked = lines
            .iter()
            .find(|line| line.contains('^') && line.chars().all(|character| matches!(character, ' ' | '^')))
            .and_then(|marks| {
                const INDENT: usize = 4;
                let offset = marks.find('^')?.checked_sub(INDENT)?;
                whole.within(text, offset, marks.matches('^').count())
            });
        let hint = match why.contains("look-around") || why.contains("backreferences") {
            true => "use `contains` and `not_contains` instead",
            false => r"a literal one of `\ . + * ? ( ) | [ ] { } ^ $` needs a `\` before it",
        };
        let diagnostic = Diagnostic::at(
            marked.as_ref().unwrap_or(whole),
            format!("not a regular expression: {why}"),
        )
        .path(written(&path.0))
        .found(format!("`{text}`"))
        .hint(hint);
        self.report(diagnostic);
    }
}

/// What is wrong with a JSONPath, and a hint.
fn not_a_query(text: &str, position: usize, message: &str) -> (String, String) {
    let rest = text.get(position..).unwrap_or_default();
    if !text.starts_with('$') {
        return (
            "it does not begin with `$`".to_owned(),
            format!("write `$.{}`", text.trim_start_matches(['.', '/'])),
        );
    }
    // Earlier dialects put a filter into parentheses.
    let modern = pattern_of_old_filter(text);
    if let Some(modern) = modern.filter(|modern| modern != text && JsonPath::parse(modern).is_ok()) {
        return (message.to_owned(), format!("write it as in RFC 9535: `{modern}`"));
    }
    let hint = match rest.starts_with('=') && !rest.starts_with("==") {
        true => "values are compared by `==`",
        false => "JSONPath as in RFC 9535: `$.messages[0].content[?@.type == 'text'].text`",
    };
    (message.to_owned(), hint.to_owned())
}

/// `text` with its filters `(@.name = 'x')` in the form of RFC 9535.
fn pattern_of_old_filter(text: &str) -> Option<String> {
    let (before, filter) = text.split_once("[?(").or_else(|| text.split_once("[("))?;
    let (condition, after) = filter.rsplit_once(")]")?;
    let condition = match condition.split_once(" = ") {
        Some((value, other)) => format!("{value} == {other}"),
        None => condition.to_owned(),
    };
    Some(format!("{before}[?{condition}]{after}"))
}

/// `path` as a reader writes it: `replies[0].content`, `request.body["$.thinking"]`.
pub fn written(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(&format!("[{step}]"));
        } else if step
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(step);
        } else {
            text.push_str(&format!("[{step:?}]"));
        }
    }
    text
}
