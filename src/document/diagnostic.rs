//! An error in an author's file: its place, the found and the allowed value, and a hint.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::closest;

/// A place in a file of the project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The file, relative to the project's root.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
}

/// The text of a file; every [`Span`] shares it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The file, relative to the project's root.
    pub file: PathBuf,
    pub text: String,
}

impl Source {
    /// Its line `number`, from 1, without its end: in YAML a line feed, a carriage return, or both.
    pub fn line(&self, number: usize) -> &str {
        let mut rest = self.text.as_str();
        for _ in 1..number {
            let Some(end) = rest.find(['\n', '\r']) else {
                return "";
            };
            let ending = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
            rest = &rest[end + ending..];
        }
        rest.split(['\n', '\r']).next().unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
}

/// A piece of a file's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub source: Arc<Source>,
    pub start: LineColumn,
    pub end: LineColumn,
}

impl Span {
    pub fn place(&self) -> Place {
        Place {
            file: self.source.file.clone(),
            line: self.start.line,
            column: self.start.column,
        }
    }

    /// The `length` characters from `offset` of `text`, the text of this span. `None` if the file contains it only folded, escaped or
    /// through an alias.
    pub fn within(&self, text: &str, offset: usize, length: usize) -> Option<Self> {
        let line: Vec<char> = self.source.line(self.start.line).chars().collect();
        let text: Vec<char> = text.chars().collect();
        let first = self.start.column.checked_sub(1)?;
        let first = first + usize::from(matches!(line.get(first), Some('\'' | '"')));
        let is_verbatim = line.get(first..first + text.len()) == Some(&text[..]);
        (is_verbatim && offset < text.len()).then(|| {
            let position = |column| LineColumn {
                line: self.start.line,
                column,
            };
            Self {
                source: Arc::clone(&self.source),
                start: position(first + offset + 1),
                end: position(first + (offset + length.max(1)).min(text.len()) + 1),
            }
        })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    #[default]
    Error,
    /// The file can be used: a cell is not written yet, or a model has no price.
    Note,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Note => "note",
        }
    }
}

/// An error or a note in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Line 0 means the whole file.
    pub place: Place,
    /// The text to underline; `None` for the whole file.
    pub span: Option<Span>,
    /// The path of keys, `expect.image_arrives.request.turn`; may be empty.
    pub path: String,
    /// One line: lower case, no final period.
    pub message: String,
    pub found: Option<String>,
    pub allowed: Option<String>,
    pub hint: Option<String>,
    /// Other places, each with a description.
    pub related: Vec<(Place, String)>,
}

/// The value of a file, if the file has no error.
pub fn without_errors<T>((value, errors): (Option<T>, Vec<Diagnostic>)) -> Result<T, Vec<Diagnostic>> {
    match value {
        Some(value) if errors.is_empty() => Ok(value),
        _ => Err(errors),
    }
}

impl Diagnostic {
    /// An error at `span`.
    pub fn at(span: &Span, message: impl Into<String>) -> Self {
        Self {
            place: span.place(),
            span: Some(span.clone()),
            ..Self::of_file(&span.source.file, message)
        }
    }

    /// An error of the whole `file`.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place: Place {
                file: file.to_owned(),
                line: 0,
                column: 0,
            },
            span: None,
            path: String::new(),
            message: message.into(),
            found: None,
            allowed: None,
            hint: None,
            related: Vec::new(),
        }
    }

    pub fn note(mut self) -> Self {
        self.severity = Severity::Note;
        self
    }

    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn related(mut self, place: Place, what: impl Into<String>) -> Self {
        self.related.push((place, what.into()));
        self
    }

    /// Sets the hint to `did you mean …?` if one of `known` is similar to `name`.
    pub fn did_you_mean<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(name, known) {
            Some(close) => self.hint(format!("did you mean `{close}`?")),
            None => self,
        }
    }
}
