//! Faults as text: for a terminal, for programs, for the annotations of GitHub and GitLab.
//!
//! Pure: values in, text out. It writes nothing and does not ask whether the reader can see colours.

use std::collections::HashMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::json;
use unicode_width::UnicodeWidthChar as _;

use super::diagnostic::{Diagnostic, Severity, Span};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a reader: the line of the file with what is wrong underlined.
    Text,
    Json,
    /// Workflow commands that GitHub Actions turns into annotations.
    Github,
    /// A Code Quality report for GitLab.
    Gitlab,
}

/// All `faults`, in `format`. With `colour`, text has ANSI escapes.
pub fn render(faults: &[Diagnostic], format: Format, colour: bool) -> String {
    match format {
        Format::Text => faults.iter().map(|fault| text(fault, colour) + "\n").collect(),
        Format::Json => pretty(&faults.iter().map(json_object).collect::<Vec<_>>().into()),
        Format::Github => faults.iter().map(github).collect(),
        Format::Gitlab => pretty(&code_quality(faults).into()),
    }
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

struct Painter {
    colour: bool,
}

impl Painter {
    fn paint(&self, style: Style, text: &str) -> String {
        match self.colour {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }
}

/// One fault for a reader, several lines, the last one ended.
pub fn text(fault: &Diagnostic, colour: bool) -> String {
    let painter = Painter { colour };
    let frame = |text: &str| painter.paint(FRAME, text);
    let number = if fault.place.line == 0 {
        String::new()
    } else {
        fault.place.line.to_string()
    };
    let indent = " ".repeat(number.len());
    let mut out = String::new();
    let style = style(fault.severity);
    let _ = writeln!(
        out,
        "{}: {}",
        painter.paint(style, fault.severity.as_str()),
        visible(&fault.message)
    );
    let path = if fault.path.is_empty() {
        String::new()
    } else {
        format!("  {}", visible(&fault.path))
    };
    let _ = writeln!(out, "{indent}{} {}{path}", frame("-->"), place(fault));
    if let Some(span) = &fault.span {
        let line = source_line(span);
        let _ = writeln!(out, "{indent} {}", frame("|"));
        let _ = writeln!(out, "{} {} {}", frame(&number), frame("|"), line.text);
        let marks = format!(
            "{}{}",
            " ".repeat(line.before),
            painter.paint(style, &"^".repeat(line.marked))
        );
        let _ = writeln!(out, "{indent} {} {marks}", frame("|"));
    }
    let details = [("found", &fault.found), ("allowed", &fault.allowed)];
    for (name, detail) in details {
        if let Some(detail) = detail {
            let _ = writeln!(out, "{indent} {} {name}: {}", frame("="), visible(detail));
        }
    }
    for (place, what) in &fault.related {
        let _ = writeln!(out, "{indent} {} {what}: {}", frame("="), written_place(place));
    }
    if let Some(hint) = &fault.hint {
        let _ = writeln!(out, "{}: {}", painter.paint(HINT, "hint"), visible(hint));
    }
    out
}

fn place(fault: &Diagnostic) -> String {
    written_place(&fault.place)
}

fn written_place(place: &super::diagnostic::Place) -> String {
    match place.line {
        0 => place.file.display().to_string(),
        line => format!("{}:{line}:{}", place.file.display(), place.column),
    }
}

/// `text` with control characters made visible: a file's content must not steer the reader's terminal.
fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|character| match character.is_control() {
            true => character.escape_default().collect::<Vec<_>>(),
            false => vec![character],
        })
        .collect()
}

struct SourceLine {
    text: String,
    before: usize,
    marked: usize,
}

/// The line that `span` begins on, cut to what a terminal can show, and which part of it to underline.
fn source_line(span: &Span) -> SourceLine {
    const WIDTH: usize = 120;
    const LEAD: usize = 60;
    let line = span.source.line(span.start.line);
    let characters: Vec<char> = line.chars().map(shown).collect();
    let start = span.start.column.saturating_sub(1).min(characters.len());
    let end = match span.end.line == span.start.line {
        true => span.end.column.saturating_sub(1).min(characters.len()),
        false => characters
            .iter()
            .rposition(|character| *character != ' ')
            .map_or(start, |last| last + 1),
    };
    let from = if start > WIDTH - 20 { start - LEAD } else { 0 };
    let to = characters.len().min(from + WIDTH);
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

/// A character as it can stand in a line whose columns are counted: a tab or an escape would move what follows, and a tab
/// that is at fault is to be seen.
fn shown(character: char) -> char {
    match character {
        '\t' => '→',
        character if character.is_control() => '\u{fffd}',
        character => character,
    }
}

fn json_object(fault: &Diagnostic) -> serde_json::Value {
    let related: Vec<serde_json::Value> = fault
        .related
        .iter()
        .map(|(place, what)| json!({ "file": place.file, "line": place.line, "column": place.column, "message": what }))
        .collect();
    json!({
        "severity": fault.severity.as_str(),
        "file": fault.place.file,
        "line": fault.place.line,
        "column": fault.place.column,
        "end_line": fault.span.as_ref().map(|span| span.end.line),
        "end_column": fault.span.as_ref().map(|span| span.end.column),
        "path": fault.path,
        "message": fault.message,
        "found": fault.found,
        "allowed": fault.allowed,
        "hint": fault.hint,
        "related": related,
    })
}

/// The message and all that belongs to it, in lines.
fn summary(fault: &Diagnostic) -> String {
    let mut out = fault.message.clone();
    for (name, detail) in [
        ("found", &fault.found),
        ("allowed", &fault.allowed),
        ("hint", &fault.hint),
    ] {
        if let Some(detail) = detail {
            let _ = write!(out, "\n{name}: {detail}");
        }
    }
    for (place, what) in &fault.related {
        let _ = write!(out, "\n{what}: {}", written_place(place));
    }
    out
}

/// A workflow command, escaped as GitHub's runner unescapes it (`actions/toolkit`, `command.ts`).
fn github(fault: &Diagnostic) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let command = match fault.severity {
        Severity::Error => "error",
        Severity::Note => "notice",
    };
    let mut out = format!(
        "::{command} file={}",
        property(&fault.place.file.display().to_string())
    );
    if fault.place.line > 0 {
        let _ = write!(out, ",line={},col={}", fault.place.line, fault.place.column);
    }
    let title = if fault.path.is_empty() {
        "compat check"
    } else {
        &fault.path
    };
    let _ = writeln!(out, ",title={}::{}", property(title), data(&summary(fault)));
    out
}

/// A Code Quality report. GitLab takes two entries with one fingerprint for one entry, so the same fault at another place
/// of a file is counted in it.
fn code_quality(faults: &[Diagnostic]) -> Vec<serde_json::Value> {
    let mut times: HashMap<String, usize> = HashMap::new();
    let entry = |fault: &Diagnostic| {
        let words = format!(
            "{}\0{}\0{}",
            fault.place.file.display(),
            fault.path,
            fault.message
        );
        let time = times.entry(words.clone()).or_default();
        *time += 1;
        let words = match *time {
            1 => words,
            time => format!("{words}\0{time}"),
        };
        gitlab(fault, &fingerprint(&words))
    };
    faults.iter().map(entry).collect()
}

/// An entry of a Code Quality report (GitLab documentation, "Code Quality report format").
fn gitlab(fault: &Diagnostic, fingerprint: &str) -> serde_json::Value {
    json!({
        "description": summary(fault),
        "check_name": "compat check",
        "fingerprint": fingerprint,
        "severity": match fault.severity {
            Severity::Error => "blocker",
            Severity::Note => "info",
        },
        "location": { "path": fault.place.file, "lines": { "begin": fault.place.line.max(1) } },
    })
}

/// A number that stays the same while `text` does, so of a fault wherever its line moves (FNV-1a, 64 bits).
fn fingerprint(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
