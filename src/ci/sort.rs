//! Sorts a log: finds the line that decides, and the rule that knows it.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::Serialize;

use super::log::{CiLog, LogText};
use super::rules::{COMPILED, GUESS, LIKELY, LogRule, PLAUSIBLE, SURE, provider_words};
use super::{FailureCategory, pattern};
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
    /// Null if that is not known.
    pub rerun_helps: Option<bool>,
    /// Whether a part of a long log was left out. The failure lines of that part count.
    pub is_cut: bool,
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

/// Finds the category of a log's failure. The last sign of an end decides: a pass hides what came before it, and what comes
/// after the mark of the failed step is clean-up.
pub fn sort(log: &CiLog) -> SortedLog {
    let ends = Ends::of(log);
    let (all, lines) = (log.all().text, log.marked().count());
    let decided_in = |range: Range<usize>| {
        let part = log.part(range);
        let plain = part.plain();
        let (rule, found) = decide(&plain, &all, |_| true)?;
        let captured = rule.is_weak.then(|| of_captured(&part, &all)).flatten();
        Some(captured.unwrap_or_else(|| verdict(rule, &plain, found)))
    };
    let is_sure = |sorted: &SortedLog| sorted.confidence >= SURE;
    let sorted = if ends.has_failed() {
        let step = ends.exit.map_or(lines, |exit| exit + 1);
        let start = ends.passed.map_or(0, |passed| passed + 1);
        // The same part is not sorted twice.
        let mut parts = vec![start..step, 0..step, 0..lines];
        parts.dedup();
        let mut parts = parts.into_iter().filter(|part| !part.is_empty());
        parts
            .find_map(decided_in)
            .unwrap_or_else(|| unknown(log, "no rule knows this failure"))
    } else if let Some(passed) = ends.passed {
        decided_in(passed + 1..lines).unwrap_or_else(nothing)
    } else if let Some(passed) = ends.passed_weakly {
        let after = decided_in(passed + 1..lines);
        after
            .or_else(|| decided_in(0..lines).filter(is_sure))
            .unwrap_or_else(nothing)
    } else if ends.is_content {
        decided_in(0..lines).unwrap_or_else(nothing)
    } else {
        let open = || {
            unknown(
                log,
                "the log shows neither a pass nor a failure that a rule knows",
            )
        };
        decided_in(0..lines).unwrap_or_else(open)
    };
    SortedLog {
        is_cut: log.is_cut,
        ..sorted
    }
}

/// Where a log says that something ended; indexes of lines.
#[derive(Default)]
struct Ends {
    /// The last summary or exit status of a pass.
    passed: Option<usize>,
    /// The last report of a tool that found nothing wrong. Other steps may follow.
    passed_weakly: Option<usize>,
    /// Whether a tool did its work, which says nothing about the other steps.
    is_content: bool,
    failed: Option<usize>,
    /// The exit status of the first failed step. No later pass makes the job green.
    exit: Option<usize>,
}

impl Ends {
    fn of(log: &CiLog) -> Self {
        let mut ends = Self::default();
        let mut has_failed_tests = false;
        for (index, (line, is_plain, is_captured)) in log.marked().enumerate() {
            if EXIT.is_match(line) {
                ends.exit = ends.exit.or(Some(index));
            }
            ends.is_content |= CONTENT.is_match(line);
            has_failed_tests |= is_plain && FAILED_TESTS.is_match(line);
            if is_plain && FAILED.is_match(line) {
                ends.failed = Some(index);
            } else if !is_captured && PASSED.is_match(line) {
                ends.passed = Some(index);
            } else if !has_failed_tests && !is_captured && PASSED_IN_PART.is_match(line) {
                // These tools print several such lines: another one may tell of failures.
                ends.passed = Some(index);
            } else if PASSED_WEAKLY.is_match(line) {
                ends.passed_weakly = Some(index);
            }
        }
        ends
    }

    fn has_failed(&self) -> bool {
        self.exit.is_some() || self.failed.is_some_and(|failed| self.passed < Some(failed))
    }
}

/// The first rule that matches, with its words.
fn decide(
    text: &LogText,
    whole: &str,
    is_wanted: impl Fn(&LogRule) -> bool,
) -> Option<(&'static LogRule, Range<usize>)> {
    let unquoted = without_operands(&text.text);
    COMPILED
        .iter()
        .filter(|compiled| is_wanted(compiled.rule))
        .find_map(|compiled| {
            // What a test compares says something about the code, and nothing about the machine.
            let text = match compiled.rule.category {
                FailureCategory::Code | FailureCategory::Timing => &text.text,
                _ => &unquoted,
            };
            Some((compiled.rule, compiled.find_last(text, whole)?))
        })
}

/// `text` with blanks in place of the titles of tests, of the operands of assertions, and of the texts in a test's source.
fn without_operands(text: &str) -> String {
    let mut is_source = false;
    let blank = |found: &regex::Captures<'_>| " ".repeat(found[0].len());
    let lines = text.split_inclusive('\n').map(|line| {
        is_source = match is_source {
            true => line.starts_with("    "),
            false => SOURCE.is_match(line),
        };
        let title = TITLE.find(line).map_or(0, |title| title.end());
        let (title, rest) = line.split_at(title);
        let rest = match () {
            () if OPERAND_LINE.is_match(rest) => rest.replace(|c: char| c.is_ascii() && c != '\n', " "),
            () if is_source || ASSERTION.is_match(rest) => QUOTED.replace_all(rest, blank).into_owned(),
            () => rest.to_owned(),
        };
        " ".repeat(title.len()) + &rest
    });
    lines.collect()
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
        rerun_helps: Some(rule.rerun_helps()),
        is_cut: false,
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
        sorted.rerun_helps = Some(category.rerun_helps());
        sorted.rule = diagnosis.rule;
    }
    sorted
}

/// A line for readers.
pub(super) fn quoted(line: &str) -> String {
    let line = redaction::of_named_values(&redaction::of_log_line(line));
    let line = WORK_FOLDER.replace_all(&line, |found: &regex::Captures<'_>| {
        let is_home = found.get(1).is_some();
        if is_home { "~/" } else { "" }
    });
    let line = printable(&redaction::of_text(&line));
    let line: String = line
        .chars()
        .filter(|character| !is_invisible(*character))
        .collect();
    // A CI service reads a line that begins with two colons as a command.
    let line = COMMAND.replace_all(line.trim_start_matches([':', ' ']), "# ");
    one_line(&line, LONGEST_LINE)
}

/// The old commands of GitHub Actions and those of Azure Pipelines work anywhere in a line.
static COMMAND: LazyLock<Regex> = LazyLock::new(|| pattern(r"##+"));

/// The folder of a job on GitHub, CircleCI and GitLab, or (the group) a home folder.
static WORK_FOLDER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"/(?:home|Users)/runner/work/[\w.-]+/[\w.-]+/|/(?:root|home/circleci)/project/|/github/workspace/|/builds/[\w.-]+/[\w.-]+/|(/(?:(?:home|Users)/[\w.-]+|root)/)",
    )
});

/// Characters without a width, which can change the direction or the order of a text.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn unknown(log: &CiLog, why: &str) -> SortedLog {
    SortedLog {
        tail: log.tail(TAIL).into_iter().map(quoted).collect(),
        ..without_rule(FailureCategory::Unknown, why)
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
        rerun_helps: (category == FailureCategory::None).then_some(false),
        is_cut: false,
        is_whole_job: false,
        line: String::new(),
        line_number: 0,
        tail: Vec::new(),
    }
}

/// A line of an assertion of pytest or unittest, also in a summary.
static ASSERTION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^(?:E|>)?\s*(?:- )?(?:\w+Error: )?assert\b|^\s*(?:- )?AssertionError: .* (?:==|!=|in|is) ")
});
/// How pytest explains an operand.
static OPERAND_LINE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^E\s+\+ +(?:where|and) .+ = "));
static QUOTED: LazyLock<Regex> = LazyLock::new(|| pattern(r#""[^"\n]*"|'[^'\n]*'"#));
static SOURCE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ {4,}(?:async )?def \w+\("));
/// The title of a test, of pytest, Jest and Vitest.
static TITLE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:\[gw\d+\] \[ *\d+%\] )?(?:FAILED|ERROR) [^\s:]+::.*?(?: - |\n|$)|^\s*● .*|^\s*(?:FAIL|×) .* > .*",
    )
});

/// Signs that something failed.
static FAILED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"(?m)^(?:FAILED|ERROR|SUBFAIL) |^E   |^Error: |(?i:^error(?:\[\w+\])?:)|^\s*FAIL\b|^\s*--- FAIL|^not ok \d|^fatal: |^panic: ",
        r"|(?i:exit(?:ed)?(?: with)?(?: exit)?(?: code| status)+:? [1-9]|exited with [1-9]|returned non-zero exit)",
        r"|(?:^\s*|[=:;,|(]\s*|Found |Tests +|Files +)[1-9]\d* (?:failed|failing|failures?|errors?)\b|FAILED\s*$|\.\.\. FAILED|^\s*Failed \S|^make(?:\[\d+\])?: \*\*\* .*Error \d|returned a non-zero code|BUILD FAIL(?:URE|ED)|^Finished: FAILURE|^Terminated\b|fatal runtime error|Failed: +[1-9]|action failed with error|test result: FAILED|npm (?:ERR!|error)|^Traceback |panicked at|\bKilled\s*$|\bKilled\s{3,}\S|^\s*● .+ › ",
    ))
});

/// The exit status of a failed step, of CircleCI and GitHub Actions, and the result of Jenkins.
static EXIT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^Exited with (?:code )?(?:exit )?(?:status )?[1-9]|^Error: Process completed with exit code [1-9]|^Finished: FAILURE",
    )
});

/// The exit status or the last summary of a pass: CI services, pytest, unittest, Maven, Gradle.
static PASSED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"\breceived exit code 0\b|^(?:Exited|Process (?:completed|exited|finished)) with (?:exit )?(?:code|status)(?: exit status)?:? 0\b|^exit (?:code|status):? 0$|^Finished: SUCCESS",
        r"|^=+ (?:[^=]* )?\d+ passed.* in \d.*=$|^(?:\d+ \w+, )*\d+ passed.* in \d[\d.]*s|^OK(?: \(.*\))?\s*$",
        r"|^\[?INFO\]? BUILD SUCCESS|^BUILD SUCCESSFUL",
    ))
});

/// A passed part of a run: cargo, Go, Jest, Vitest, Mocha, Playwright.
static PASSED_IN_PART: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^\s*Tests:? +(?:\d+ (?:skipped|todo),? (?:\| )?)*\d+ passed|^\s+\d+ (?:passed|passing) \(|^test result: ok\.|^ok\s+\S+\s+(?:\d|\(cached)|^PASS\s*$",
    )
});

/// A failed part of a run.
static FAILED_TESTS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^test result: FAILED|^\s*(?:--- )?FAIL\b|\b[1-9]\d* (?:failed|failing)\b|FAILED\s*$|^FAILED ")
});

/// Words of tools after a pass.
static PASSED_WEAKLY: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b[1-9]\d* passed|no issues found|checks passed|^success\b|succeeded|build successful|^done\b|^ok\s|passing\b|^ +finished `",
    )
});

/// Words of installers and services after a step without a failure.
static CONTENT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^successfully |\b0 errors\b|found 0 vulnerabilities|no difference detected|successfully applied|^added \d+ packages|^cleaning up orphan processes|^uploading artifacts took|^cache timeouts +0",
    )
});
