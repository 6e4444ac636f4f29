//! A fault in a file that an author wrote: where it is, what was found, what is allowed, what to do.
//!
//! Pure data; `diagnostic` renders it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::text::closest;

/// A place in a file of the project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, relative to the project's root.
    pub file: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
}

/// A file's text, kept for as long as something points into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The file, relative to the project's root.
    pub file: PathBuf,
    pub text: String,
}

impl Source {
    /// Its line `number`, from 1, without what ends it: in YAML a line feed, a carriage return, or both.
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
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
}

/// A piece of a file's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub source: Arc<Source>,
    pub start: Position,
    pub end: Position,
}

impl Span {
    pub fn place(&self) -> Place {
        Place {
            file: self.source.file.clone(),
            line: self.start.line,
            column: self.start.column,
        }
    }

    /// The `length` characters from `offset` on of `text`, which this is the span of; `None` where the file does not have the text
    /// as it is, but folded, escaped or by an alias.
    pub fn within(&self, text: &str, offset: usize, length: usize) -> Option<Self> {
        let line: Vec<char> = self.source.line(self.start.line).chars().collect();
        let text: Vec<char> = text.chars().collect();
        let first = self.start.column.checked_sub(1)?;
        let first = first + usize::from(matches!(line.get(first), Some('\'' | '"')));
        let is_verbatim = line.get(first..first + text.len()) == Some(&text[..]);
        (is_verbatim && offset < text.len()).then(|| {
            let position = |column| Position {
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
    /// What it is about cannot be used.
    #[default]
    Error,
    /// Nothing is wrong yet something is to be known: a cell that is still to be written.
    Note,
}

impl Severity {
    /// The word that reports begin with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Note => "note",
        }
    }
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it is wrong at all.
    pub severity: Severity,
    /// Where it is; line 0 when it is about the file as a whole.
    pub place: Place,
    /// The text at fault, for the line to show and to underline; `None` when it is about the file as a whole.
    pub span: Option<Span>,
    /// The path of keys that leads there, `expect.image_arrives.request.turn`; may be empty.
    pub path: String,
    /// What is wrong, in one line: lower case, no final period.
    pub message: String,
    pub found: Option<String>,
    pub allowed: Option<String>,
    pub hint: Option<String>,
    /// Other places that belong to it, each with what is there.
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// A fault of the text at `span`.
    pub fn at(span: &Span, message: impl Into<String>) -> Self {
        Self {
            place: span.place(),
            span: Some(span.clone()),
            ..Self::of_file(&span.source.file, message)
        }
    }

    /// A fault of `file` as a whole.
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

    /// The same, with the path of keys that leads to it.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The same, with what was found.
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// The same, with what may stand there.
    pub fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    /// The same, with what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with another place that belongs to it.
    pub fn related(mut self, place: Place, what: impl Into<String>) -> Self {
        self.related.push((place, what.into()));
        self
    }

    /// The same with `did you mean` as its hint, where one of `known` is close to `name`.
    pub fn did_you_mean<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(name, known) {
            Some(close) => self.hint(format!("did you mean `{close}`?")),
            None => self,
        }
    }
}
