//! What a text that is no YAML probably means: a slip at a key, a wrong indentation, an open bracket.

use std::sync::Arc;

use super::{Key, Open, OpenKind, Tree, position, too_deep};
use crate::document::diagnostic::{Diagnostic, LineColumn, Span};
use crate::document::syntax::{Of, SyntaxError, in_words};
use crate::text::clipped;

impl Tree {
    /// The error at `marker`, where the parser failed with `info`.
    pub(super) fn syntax(&self, marker: &saphyr_parser::Marker, info: &str) -> Diagnostic {
        let start = position(*marker);
        let line = self.source.line(start.line);
        let end = LineColumn {
            column: start.column + 1,
            ..start
        };
        let source = Arc::clone(&self.source);
        let indented_by_tab = line
            .chars()
            .take_while(|character| character.is_whitespace())
            .any(|character| character == '\t');
        let span = Span { source, start, end };
        if info.contains("recursion limit") {
            return too_deep(&span);
        }
        if indented_by_tab || info.contains("found a tab") {
            return Diagnostic::at(&span, "this is not YAML: a tab where only spaces may be")
                .found("a tab in the indentation")
                .hint("indent by spaces: YAML does not allow tabs");
        }
        let SyntaxError { message, hint, of } = in_words(info);
        let error = Diagnostic::at(&span, format!("this is not YAML: {message}"));
        match (of, self.unclosed_bracket()) {
            (Of::Text, _) => error.hint(hint),
            (Of::Structure, Some((bracket, opened))) => error
                .related(
                    opened.place(),
                    format!("`{bracket}` is opened here and not closed"),
                )
                .hint(format!("close `{bracket}` before this line")),
            (Of::Structure, None) => match self.slip_of_key(start.line) {
                Some(slip) => slip,
                None => self.indentation(error, start.line).hint(hint),
            },
        }
    }

    /// Adds where the line `number` begins, what the parser took it for, and where it may begin.
    fn indentation(&self, error: Diagnostic, number: usize) -> Diagnostic {
        let spaces = |number: usize| {
            let line = self.source.line(number);
            (!line.trim().is_empty()).then(|| line.len() - line.trim_start_matches(' ').len())
        };
        let own = spaces(number).unwrap_or_default();
        let mut before = (1..number)
            .rev()
            .filter_map(|number| Some((number, spaces(number)?)));
        let mut found = format!("a line that begins in column {}", own + 1);
        if let Some((last, of_last)) = before.next() {
            found.push_str(&format!(", after one in column {}", of_last + 1));
            let parent = std::iter::once((last, of_last))
                .chain(before)
                .find(|(_, of_line)| *of_line < own);
            if let Some((number, key)) =
                parent.and_then(|(number, _)| Some((number, self.key_of_text(number)?)))
            {
                found.push_str(&format!(": it continues the text of `{key}` in line {number}"));
            }
        }
        let columns = self.columns();
        match columns.is_empty() {
            true => error.found(found),
            false => error.found(found).allowed(columns.join(", ")),
        }
    }

    /// The key in the line `number` that has a text without quotes.
    fn key_of_text(&self, number: usize) -> Option<&str> {
        let line = self.source.line(number);
        let (key, value) = line.trim_start_matches([' ', '-']).split_once(": ")?;
        let is_plain = value.trim_start().starts_with(char::is_alphanumeric);
        (is_plain && !key.contains(['"', '\''])).then_some(key)
    }

    /// The columns in which the keys of the open maps begin, the outermost first.
    fn columns(&self) -> Vec<String> {
        let mut path = Vec::new();
        let mut columns = Vec::new();
        for open in &self.open {
            if let OpenKind::Map { key, .. } = &open.kind {
                let whose = match path.is_empty() {
                    true => "of the file".to_owned(),
                    false => format!("of `{}`", path.join(".")),
                };
                columns.push(format!("column {} for a key {whose}", open.span.start.column));
                path.extend(match key {
                    Some(Key::Usable(name, _)) => Some(name.as_str()),
                    Some(Key::Unusable) | None => None,
                });
            }
        }
        columns
    }

    /// The slip at the last key of the line `number` or above it: no `:`, or no space after it. The parser takes both for a text,
    /// and fails at a later key.
    fn slip_of_key(&self, number: usize) -> Option<Diagnostic> {
        for line in (1..=number).rev() {
            let text = self.source.line(line);
            let own = text.trim_start_matches([' ', '-']);
            if own.is_empty() || own.starts_with('#') {
                continue;
            }
            let (key, value) = match own.split_once(':') {
                Some((key, value)) => (key, Some(value)),
                None => (own.trim_end(), None),
            };
            let start = LineColumn {
                line,
                column: text.len() - own.len() + 1,
            };
            let is_key = key.starts_with(|first: char| first.is_ascii_alphabetic())
                && key.chars().all(|one| one.is_ascii_alphanumeric() || one == '_');
            // `http://` and `row::column` are texts.
            let is_value = |value: &str| !value.trim().is_empty() && !value.starts_with([' ', '/', ':']);
            let (message, hint) = match value {
                Some(value) if !is_value(value) && line < number => return None,
                Some(value) if is_value(value) => (
                    format!("a space is missing after `{key}:`"),
                    format!("write `{key}: {}`", clipped(value.trim())),
                ),
                None if line < number => (
                    format!("a `:` is missing after `{key}`"),
                    format!("write `{key}:`"),
                ),
                _ => continue,
            };
            if !is_key || !self.may_have_key(start) {
                continue;
            }
            let span = Span {
                source: Arc::clone(&self.source),
                start,
                end: LineColumn {
                    column: start.column + key.len(),
                    ..start
                },
            };
            return Some(Diagnostic::at(&span, format!("this is not YAML: {message}")).hint(hint));
        }
        None
    }

    /// Whether a key may begin at `place`: in a column of an open map, in a list, or below a key without a value.
    fn may_have_key(&self, place: LineColumn) -> bool {
        let lines = (1..place.line).rev().map(|number| self.source.line(number));
        let before = lines.map(str::trim_end).find(|line| !line.is_empty());
        let is_map =
            |open: &Open| matches!(open.kind, OpenKind::Map { .. }) && open.span.start.column == place.column;
        self.open.iter().any(is_map)
            || (self.open.is_empty() && place.column == 1)
            || before.is_some_and(|line| line.ends_with(':'))
            || self.source.line(place.line).trim_start().starts_with("- ")
    }

    /// The innermost `[` or `{` that nothing has closed yet.
    fn unclosed_bracket(&self) -> Option<(char, &Span)> {
        let span = &self.open.last()?.span;
        let line = self.source.line(span.start.line);
        let first = line.chars().nth(span.start.column - 1)?;
        matches!(first, '[' | '{').then_some((first, span))
    }
}
