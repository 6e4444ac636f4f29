//! Diagnostics as text: for a terminal, for programs, for the annotations of GitHub and GitLab. Prints nothing.

use std::collections::HashMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::json;
use unicode_width::UnicodeWidthChar as _;

use super::diagnostic::{Diagnostic, Place, Severity, Span};
use crate::text;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a reader: the line of the file, with the error underlined.
    Text,
    Json,
    /// Workflow commands that GitHub Actions turns into annotations.
    Github,
    /// A Code Quality report for GitLab.
    Gitlab,
}

/// All `diagnostics` in `format`; with `colour`, text has ANSI escapes.
pub fn render(diagnostics: &[Diagnostic], format: Format, colour: bool) -> String {
    match format {
        Format::Text => diagnostics
            .iter()
            .map(|diagnostic| text(diagnostic, colour) + "\n")
            .collect(),
        Format::Json => pretty(&diagnostics.iter().map(json_object).collect::<Vec<_>>().into()),
        Format::Github => diagnostics.iter().map(github).collect(),
        Format::Gitlab => pretty(&code_quality(diagnostics).into()),
    }
}

/// All `diagnostics` for a reader, in colour. The lines of files are cut to fit `width`: wrapped ones would leave their marks behind.
pub fn within(diagnostics: &[Diagnostic], width: usize) -> String {
    // Beside a line are its number, a bar and signs for what is cut off.
    const BESIDE: usize = 10;
    let most = width.saturating_sub(BESIDE).clamp(30, WIDEST);
    let texts = diagnostics.iter();
    texts
        .map(|diagnostic| text_within(diagnostic, true, most) + "\n")
        .collect()
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const FRAME: Style = AnsiColor::Blue.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Error => ERROR,
        Severity::Note => HINT,
    }
}

/// The most columns of a file's line.
const WIDEST: usize = 120;

/// One diagnostic for a reader: several lines, each with its end.
pub fn text(diagnostic: &Diagnostic, colour: bool) -> String {
    text_within(diagnostic, colour, WIDEST)
}

/// As [`text`], with at most `most` columns of a file's line.
fn text_within(diagnostic: &Diagnostic, colour: bool, most: usize) -> String {
    let paint = |style: Style, text: &str| match colour {
        true => format!("{style}{text}{style:#}"),
        false => text.to_owned(),
    };
    let number = match diagnostic.place.line {
        0 => String::new(),
        line => line.to_string(),
    };
    let indent = " ".repeat(number.len());
    let (severity, bar) = (diagnostic.severity, paint(FRAME, "|"));
    let label = paint(style(severity), severity.as_str());
    let path = match diagnostic.path.as_str() {
        "" => String::new(),
        path => format!("  {}", visible(path)),
    };
    let (arrow, place) = (paint(FRAME, "-->"), written_place(&diagnostic.place));
    let mut out = format!("{label}: {}\n", visible(&diagnostic.message));
    let _ = writeln!(out, "{indent}{arrow} {place}{path}");
    if let Some(span) = &diagnostic.span {
        let line = source_line(span, most);
        let marks = paint(style(severity), &"^".repeat(line.marked));
        let _ = writeln!(
            out,
            "{indent} {bar}\n{} {bar} {}",
            paint(FRAME, &number),
            line.text
        );
        let _ = writeln!(out, "{indent} {bar} {}{marks}", " ".repeat(line.before));
    }
    for detail in details(diagnostic) {
        let _ = writeln!(out, "{indent} {} {}", paint(FRAME, "="), visible(&detail));
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = writeln!(out, "{}: {}", paint(HINT, "hint"), visible(hint));
    }
    out
}

/// The details except the hint, a line each.
fn details(diagnostic: &Diagnostic) -> impl Iterator<Item = String> {
    let found = diagnostic.found.iter().map(|found| format!("found: {found}"));
    let allowed = diagnostic.allowed.iter();
    let allowed = allowed.map(|allowed| format!("allowed: {allowed}"));
    let related = diagnostic.related.iter();
    let related = related.map(|(place, what)| format!("{what}: {}", written_place(place)));
    found.chain(allowed).chain(related)
}

fn written_place(place: &Place) -> String {
    let file = visible(&place.file.display().to_string());
    match place.line {
        0 => file,
        line => format!("{file}:{line}:{}", place.column),
    }
}

/// `text` on one line: a file's content must not control the reader's terminal.
fn visible(text: &str) -> String {
    text.chars().map(text::visible).collect()
}

struct SourceLine {
    text: String,
    before: usize,
    marked: usize,
}

/// The first line of `span`, cut to `most` columns, and the part of it to underline.
fn source_line(span: &Span, most: usize) -> SourceLine {
    let line = span.source.line(span.start.line);
    let characters: Vec<char> = line.chars().map(text::visible).collect();
    let start = span.start.column.saturating_sub(1).min(characters.len());
    let end = match span.end.line == span.start.line {
        true => span.end.column.saturating_sub(1).min(characters.len()),
        false => characters
            .iter()
            .rposition(|character| *character != ' ')
            .map_or(start, |last| last + 1),
    };
    let from = match start > most.saturating_sub(20) {
        true => start.saturating_sub(most / 2),
        false => 0,
    };
    let to = characters.len().min(from + most);
    let mut text: String = characters[from..to].iter().collect();
    let mut before = columns(&characters[from..start]);
    if from > 0 {
        text.insert(0, '…');
        before += 1;
    }
    if to < characters.len() {
        text.push('…');
    }
    SourceLine {
        text,
        before,
        marked: columns(&characters[start..end.min(to).max(start)]).max(1),
    }
}

/// How many columns of a terminal `characters` take.
fn columns(characters: &[char]) -> usize {
    characters
        .iter()
        .map(|character| character.width().unwrap_or(0))
        .sum()
}

fn json_object(diagnostic: &Diagnostic) -> serde_json::Value {
    let related: Vec<serde_json::Value> = diagnostic
        .related
        .iter()
        .map(|(place, what)| json!({ "file": place.file, "line": place.line, "column": place.column, "message": what }))
        .collect();
    json!({
        "severity": diagnostic.severity.as_str(),
        "file": diagnostic.place.file,
        "line": diagnostic.place.line,
        "column": diagnostic.place.column,
        "end_line": diagnostic.span.as_ref().map(|span| span.end.line),
        "end_column": diagnostic.span.as_ref().map(|span| span.end.column),
        "path": diagnostic.path,
        "message": diagnostic.message,
        "found": diagnostic.found,
        "allowed": diagnostic.allowed,
        "hint": diagnostic.hint,
        "related": related,
    })
}

/// The message and all details, in lines.
fn summary(diagnostic: &Diagnostic) -> String {
    let hint = diagnostic.hint.iter().map(|hint| format!("hint: {hint}"));
    let lines: Vec<String> = std::iter::once(diagnostic.message.clone())
        .chain(details(diagnostic))
        .chain(hint)
        .collect();
    lines.join("\n")
}

/// A workflow command, escaped as GitHub's runner unescapes it (`actions/toolkit`, `command.ts`).
fn github(diagnostic: &Diagnostic) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let command = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Note => "notice",
    };
    let mut out = format!(
        "::{command} file={}",
        property(&diagnostic.place.file.display().to_string())
    );
    if diagnostic.place.line > 0 {
        let _ = write!(
            out,
            ",line={},col={}",
            diagnostic.place.line, diagnostic.place.column
        );
    }
    let title = match diagnostic.path.as_str() {
        "" => "compat check",
        path => path,
    };
    let _ = writeln!(out, ",title={}::{}", property(title), data(&summary(diagnostic)));
    out
}

/// A Code Quality report (GitLab documentation, "Code Quality report format"). GitLab merges entries with the same
/// fingerprint, so the same message at two lines of a file gets a number.
fn code_quality(diagnostics: &[Diagnostic]) -> Vec<serde_json::Value> {
    let mut times: HashMap<String, usize> = HashMap::new();
    let entry = |diagnostic: &Diagnostic| {
        let place = &diagnostic.place;
        let words = format!(
            "{}\0{}\0{}",
            place.file.display(),
            diagnostic.path,
            diagnostic.message
        );
        let time = times.entry(words.clone()).or_default();
        *time += 1;
        json!({
            "description": summary(diagnostic),
            "check_name": "compat check",
            "fingerprint": fingerprint(&format!("{words}\0{time}")),
            "severity": match diagnostic.severity {
                Severity::Error => "blocker",
                Severity::Note => "info",
            },
            "location": { "path": place.file, "lines": { "begin": place.line.max(1) } },
        })
    };
    diagnostics.iter().map(entry).collect()
}

/// A hash of `text` that is the same on every machine (FNV-1a, 64 bits). It does not depend on the line.
fn fingerprint(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
