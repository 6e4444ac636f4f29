//! Sorts a log: finds the line that decides, and the rule that knows it.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::Serialize;

use super::FailureCategory;
use super::log::{CiLog, LogText};
use super::rules::{COMPILED, GUESS, LIKELY, LogRule, PLAUSIBLE, SURE, provider_words};
use crate::phrases::line_of;
use crate::text::{one_line, printable};
use crate::wire::redaction;

/// The verdict on a log.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SortedLog {
    pub category: FailureCategory,
    /// The share of such verdicts expected to be right, from 0 to 1.
    pub confidence: f64,
    /// The name of the deciding rule; empty if none decided.
    pub rule: &'static str,
    pub why: String,
    pub action: String,
    pub rerun_helps: bool,
    /// Whether it concerns the whole job, not one test.
    pub is_whole_job: bool,
    /// The deciding line, short, printable and without credentials.
    pub line: String,
    /// The number of the deciding line in the log, from 1; 0 without one.
    pub line_number: usize,
    /// The last lines, if no rule decided.
    pub tail: Vec<String>,
}

/// The most characters of a quoted line.
const LONGEST_LINE: usize = 240;
/// How many last lines an unknown failure shows.
const TAIL: usize = 8;

/// Finds the category of a log's failure.
pub fn sort(log: &CiLog) -> SortedLog {
    let all = log.all();
    let has_failed = FAILED.is_match(&log.plain().text) || FAILED_LATE.is_match(&all.text);
    let reads_green = !has_failed && PASSED.is_match(&all.text);
    let plain = log.plain();
    let decided = decide(&plain, &all.text, |_| true);
    match decided {
        Some((rule, found)) if !reads_green || rule.confidence >= SURE => {
            let captured = rule.is_weak.then(|| of_captured(log, &all.text)).flatten();
            captured.unwrap_or_else(|| verdict(rule, &plain, found))
        }
        _ if has_failed => unknown(log),
        _ => nothing(),
    }
}

/// The first rule that matches, with its words.
fn decide(
    text: &LogText,
    whole: &str,
    is_wanted: impl Fn(&LogRule) -> bool,
) -> Option<(&'static LogRule, Range<usize>)> {
    COMPILED
        .iter()
        .filter(|compiled| is_wanted(compiled.rule))
        .find_map(|compiled| Some((compiled.rule, compiled.find_last(&text.text, whole)?)))
}

/// A verdict from output that pytest captured: tests of error handling print errors too, so it is only plausible.
fn of_captured(log: &CiLog, whole: &str) -> Option<SortedLog> {
    let captured = log.with_captured();
    let (rule, found) = decide(&captured, whole, |rule| {
        rule.confidence >= LIKELY && rule.category != FailureCategory::Code
    })?;
    let sorted = verdict(rule, &captured, found);
    Some(SortedLog {
        confidence: sorted.confidence.min(PLAUSIBLE),
        ..sorted
    })
}

fn verdict(rule: &'static LogRule, text: &LogText, found: Range<usize>) -> SortedLog {
    let line = line_of(&text.text, &found);
    let number = text.number_at(line.start);
    let line = text.text[line].lines().next().unwrap_or_default();
    let mut sorted = SortedLog {
        category: rule.category,
        confidence: rule.confidence,
        rule: rule.name,
        why: rule.why.to_owned(),
        action: rule.action().to_owned(),
        rerun_helps: rule.rerun_helps(),
        is_whole_job: rule.is_whole_job,
        line: quoted(line),
        line_number: number,
        tail: Vec::new(),
    };
    // The rules of `compat cause` know more words of providers than the guesses here.
    let may_be_better = sorted.confidence <= PLAUSIBLE && sorted.category != FailureCategory::Timing;
    if let Some((category, diagnosis)) = provider_words(line).filter(|_| may_be_better)
        && diagnosis.confidence >= sorted.confidence.max(GUESS)
    {
        sorted.category = category;
        // A gateway's name for a model may be wrong in the test or in its configuration.
        let most = match category {
            FailureCategory::Config => PLAUSIBLE,
            _ => LIKELY,
        };
        sorted.confidence = diagnosis.confidence.min(most);
        sorted.why = diagnosis.why;
        sorted.action = category.action().to_owned();
        sorted.rerun_helps = category.rerun_helps();
        sorted.rule = diagnosis.rule;
    }
    sorted
}

/// A line for readers.
pub(super) fn quoted(line: &str) -> String {
    let line = redaction::of_log_line(&printable(&redaction::of_text(line)));
    let line: String = line
        .chars()
        .filter(|character| !is_invisible(*character))
        .collect();
    // A CI service reads a line that begins with two colons as a command.
    one_line(line.trim_start_matches([':', ' ']), LONGEST_LINE)
}

/// Characters without a width, which can change the direction or the order of a text.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn unknown(log: &CiLog) -> SortedLog {
    SortedLog {
        tail: log.tail(TAIL).into_iter().map(quoted).collect(),
        ..without_rule(FailureCategory::Unknown, "no rule knows this failure")
    }
}

fn nothing() -> SortedLog {
    without_rule(FailureCategory::None, "the log shows no failure")
}

fn without_rule(category: FailureCategory, why: &str) -> SortedLog {
    SortedLog {
        category,
        confidence: 0.0,
        rule: "",
        why: why.to_owned(),
        action: category.action().to_owned(),
        rerun_helps: false,
        is_whole_job: false,
        line: String::new(),
        line_number: 0,
        tail: Vec::new(),
    }
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is valid")
}

/// Signs that something failed.
static FAILED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?m)^(?:FAILED|ERROR|SUBFAIL) |^E   |^Error: |(?i:^error(?:\[\w+\])?:)|^\s*FAIL\b|^\s*--- FAIL|^not ok \d|^fatal: |^panic: ",
        r"|(?i:exit(?:ed)?(?: with)?(?: exit)?(?: code| status)+:? [1-9]|exited with [1-9]|returned non-zero exit)",
        r"|(?:^\s*|[=:;,|(]\s*|Found |Tests +|Files +)[1-9]\d* (?:failed|failing|failures?|errors?)\b|FAILED\s*$|\.\.\. FAILED|^\s*Failed \S|Failed: +[1-9]|action failed with error|test result: FAILED|npm (?:ERR!|error)|^Traceback |panicked at|\bKilled\s*$|\bKilled\s{3,}\S|^\s*● .+ › ",
    ))
});

static FAILED_LATE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?m)^Error: Process completed with exit code [1-9]"));

/// Signs that the job passed.
static PASSED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?im)\b[1-9]\d* passed|exit(?:ed)?(?: with)?(?: code| status)+:? 0\b|test result: ok|no issues found|checks passed|^success\b|succeeded|build successful|^done\b|^ok\s|passing\b",
    )
});
