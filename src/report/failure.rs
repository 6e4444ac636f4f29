//! The one wording of a failure: whole for the console and JUnit, in short for results and matrix.

use crate::expectation::RUN;
use crate::text::{one_line, printable};
use std::fmt::Write as _;
use std::path::Path;

use super::paint::{BAD, DIM, HEADING, LEAD, Paint};
use crate::ids::TrialName;
use crate::outcome::{Cause, Failure, KNOWN_FAILURES, Mismatch};

/// The most characters of a value in a short text.
const SHORT: usize = 200;

/// A failure as the console and JUnit show it: each mismatch with its place, what was expected and found, and
/// where the evidence lies in the folder `evidence`; then whose fault it is and how to see it again.
/// Ends with a newline.
pub fn failure(trial: &TrialName, failure: &Failure, evidence: Option<&Path>, paint: Paint) -> String {
    let mut text = String::new();
    let (told, consequences) = sorted(failure);
    for mismatch in told {
        push_mismatch(&mut text, failure, mismatch, evidence, paint);
    }
    if !consequences.is_empty() {
        push_note(&mut text, "could not hold then", &consequences.join(", "), paint);
    }
    if !failure.wire.is_empty() {
        push_note(&mut text, "wire", &failure.wire.join("\n      "), paint);
    }
    push_note(&mut text, "cause", &cause(failure), paint);
    let hint = paint.apply(LEAD, "hint:");
    if !failure.next.is_empty() {
        push_line(&mut text, &format!("{hint} {}", printable(&failure.next)));
    }
    push_line(
        &mut text,
        &format!("{hint} run this trial alone with `cargo test --test compat -- --exact {trial}`"),
    );
    let replay = match evidence {
        Some(_) => format!("`cargo run -- show {trial}` replays it, and "),
        None => String::new(),
    };
    let cause = failure.cause.as_str();
    push_line(
        &mut text,
        &format!("{hint} {replay}docs/why-red.md#{cause} says what this cause means"),
    );
    text
}

/// The mismatches to tell, and the names of expectations that a run without an answer could not fulfil.
fn sorted(failure: &Failure) -> (Vec<&Mismatch>, Vec<&str>) {
    let broke = |mismatch: &&Mismatch| mismatch.expectation == RUN;
    let (run, rest): (Vec<&Mismatch>, Vec<&Mismatch>) = failure.mismatches.iter().partition(broke);
    if run.is_empty() {
        return (rest, Vec::new());
    }
    let mut names: Vec<&str> = rest
        .iter()
        .map(|mismatch| mismatch.expectation.as_str())
        .collect();
    names.dedup();
    (run, names)
}

/// A failure in a few lines without its places: what the first mismatch says, and the cause. No newline
/// at the end; never empty.
pub fn failure_in_short(failure: &Failure) -> String {
    let mut lines = Vec::new();
    if let Some((first, others)) = failure.mismatches.split_first() {
        lines.push(match others.len() {
            0 => clip(&first.summary),
            more => format!("{} (and {more} more)", clip(&first.summary)),
        });
        let details = [("expected", &first.expected), ("actual", &first.actual)];
        let told = details.into_iter().filter(|(_, value)| !value.trim().is_empty());
        lines.extend(told.map(|(label, value)| format!("{label}: {}", clip(value))));
    }
    lines.retain(|line| !line.is_empty());
    lines.push(format!("cause: {}", clip(&cause(failure))));
    lines.join("\n")
}

/// The causes that a text made of [`failure_in_short`]'s names, in order, none twice; none in any other text.
pub fn causes_in_short(text: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for line in text.lines() {
        let Some((_, said)) = line.split_once("cause: ") else {
            continue;
        };
        let word = said.split(' ').next().unwrap_or_default();
        let named = Cause::ALL.into_iter().find(|cause| cause.as_str() == word);
        causes.extend(named.filter(|cause| !causes.contains(cause)));
    }
    causes
}

fn push_mismatch(
    text: &mut String,
    failure: &Failure,
    mismatch: &Mismatch,
    evidence: Option<&Path>,
    paint: Paint,
) {
    let error = paint.apply(BAD, "error:");
    push_line(
        text,
        &format!("{error} {}", paint.apply(HEADING, &printable(&mismatch.summary))),
    );
    let arrow = paint.apply(LEAD, "-->");
    let place = place_of(failure, mismatch, evidence.is_some());
    push_line(text, &format!("  {arrow} {place}"));
    push_value(text, "expected", &mismatch.expected, paint);
    push_value(text, "actual", &mismatch.actual, paint);
    if let Some((file, line)) = &mismatch.evidence {
        let path = evidence.map_or_else(|| file.into(), |folder| folder.join(file));
        push_note(text, "evidence", &format!("{}:{line}", path.display()), paint);
    } else if let Some(folder) = evidence {
        push_note(text, "evidence", &folder.display().to_string(), paint);
    }
    if let Some(clause) = &mismatch.clause {
        push_note(text, "contract", clause, paint);
    }
}

/// Where a mismatch belongs: `vision/_shared.yaml:14:5  expect.image`. What is expected of every trial stands in no
/// cell, and a fault of a cell's text, for which nothing was run, has its whole path already.
fn place_of(failure: &Failure, mismatch: &Mismatch, was_run: bool) -> String {
    let name = &mismatch.expectation;
    match &mismatch.place {
        None => name.clone(),
        Some(place) => {
            let whole = name.starts_with(KNOWN_FAILURES);
            let of_the_text = !was_run && matches!(failure.cause, Cause::Harness | Cause::Config);
            let prefix = if whole || of_the_text { "" } else { "expect." };
            let position = if place.line == 0 {
                String::new()
            } else {
                format!(":{}:{}", place.line, place.column)
            };
            format!("{}{position}  {prefix}{name}", place.file.display())
        }
    }
}

fn cause(failure: &Failure) -> String {
    match failure.why.trim() {
        "" => failure.cause.as_str().to_owned(),
        why => format!("{} ({why})", failure.cause.as_str()),
    }
}

/// `   | expected: …`, further lines of the value below its first; nothing for an empty value.
fn push_value(text: &mut String, label: &str, value: &str, paint: Paint) {
    let bar = paint.apply(LEAD, "|");
    let mut head = format!("{:<10}", format!("{label}:"));
    for line in printable(value).trim_end().lines() {
        push_line(text, &format!("   {bar} {head}{line}"));
        head = " ".repeat(10);
    }
}

fn push_note(text: &mut String, label: &str, value: &str, paint: Paint) {
    let sign = paint.apply(DIM, "=");
    let value = printable(value).trim_end().replace('\n', "\n     ");
    push_line(text, &format!("   {sign} {label}: {value}"));
}

fn push_line(text: &mut String, line: &str) {
    writeln!(text, "{}", line.trim_end()).expect("a String takes every write");
}

/// `value` in one line of bounded length.
fn clip(value: &str) -> String {
    one_line(&printable(value), SHORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Place;

    fn lost_image() -> Failure {
        Failure {
            cause: Cause::Gateway,
            why: "sent by claude, absent at the provider".into(),
            next: String::new(),
            wire: Vec::new(),
            mismatches: vec![Mismatch {
                expectation: "image".into(),
                clause: Some("llm-gateway-protocol#images".into()),
                place: Some(Place {
                    file: "cells/vision/_shared.yaml".into(),
                    line: 14,
                    column: 5,
                }),
                summary: "the provider did not receive the image".into(),
                expected: "an `image/png` block of 69 bytes in the last user message".into(),
                actual: "2 text blocks".into(),
                evidence: Some(("exchanges.jsonl".into(), 1)),
            }],
        }
    }

    #[test]
    fn a_failure_says_what_broke_where_whose_fault_it_is_and_what_to_do() {
        let trial = "vision::vertex_ai::haiku".parse().unwrap();
        let folder = Path::new("target/compat/vision/vertex_ai/haiku");
        let text = failure(&trial, &lost_image(), Some(folder), Paint::Plain);
        assert_eq!(
            text,
            "error: the provider did not receive the image
  --> cells/vision/_shared.yaml:14:5  expect.image
   | expected: an `image/png` block of 69 bytes in the last user message
   | actual:   2 text blocks
   = evidence: target/compat/vision/vertex_ai/haiku/exchanges.jsonl:1
   = contract: llm-gateway-protocol#images
   = cause: gateway (sent by claude, absent at the provider)
hint: run this trial alone with `cargo test --test compat -- --exact vision::vertex_ai::haiku`
hint: `cargo run -- show vision::vertex_ai::haiku` replays it, and docs/why-red.md#gateway says what this cause means
"
        );
    }

    #[test]
    fn what_changed_on_the_wire_stands_before_the_cause() {
        let mut failed = lost_image();
        failed.wire = vec!["request 1: one".into(), "reply 1: two".into()];
        let text = failure(&"a::b::c".parse().unwrap(), &failed, None, Paint::Plain);
        assert!(
            text.contains("\n   = wire: request 1: one\n           reply 1: two\n   = cause:"),
            "{text}"
        );
    }

    #[test]
    fn advice_stands_before_the_command_and_what_stands_in_no_cell_has_its_bare_name() {
        let mut failed = lost_image();
        failed.next = "update the gateway".into();
        failed.mismatches[0].place = None;
        let text = failure(&"a::b::c".parse().unwrap(), &failed, None, Paint::Plain);
        assert!(text.contains("\n  --> image\n"), "{text}");
        assert!(
            text.contains("\nhint: update the gateway\nhint: run this trial alone with"),
            "{text}"
        );
    }

    #[test]
    fn a_stale_known_failure_is_placed_at_its_declaration() {
        let mut stale = lost_image();
        stale.mismatches[0].expectation = "known_failures.image".into();
        let text = failure(&"a::b::c".parse().unwrap(), &stale, None, Paint::Plain);
        assert!(text.contains(":14:5  known_failures.image\n"), "{text}");
    }

    #[test]
    fn a_fault_of_a_cell_keeps_its_path() {
        let mut broken = lost_image();
        broken.cause = Cause::Harness;
        broken.mismatches[0].expectation = "prompt.image".into();
        let text = failure(&"a::b::c".parse().unwrap(), &broken, None, Paint::Plain);
        assert!(
            text.contains("  --> cells/vision/_shared.yaml:14:5  prompt.image\n"),
            "{text}"
        );
    }

    #[test]
    fn colour_adds_escape_sequences_and_nothing_else() {
        let trial = "vision::vertex_ai::haiku".parse().unwrap();
        let coloured = failure(&trial, &lost_image(), None, Paint::Ansi);
        let plain = failure(&trial, &lost_image(), None, Paint::Plain);
        assert_ne!(coloured, plain);
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    }

    #[test]
    fn values_of_several_lines_stay_behind_the_bar() {
        let mut failed = lost_image();
        failed.mismatches[0].actual = "first\nsecond\n".into();
        let text = failure(&"a::b::c".parse().unwrap(), &failed, None, Paint::Plain);
        assert!(
            text.contains("   | actual:   first\n   |           second\n"),
            "{text}"
        );
    }

    #[test]
    fn in_short_it_is_a_few_bounded_lines() {
        let mut failed = lost_image();
        failed.mismatches[0].actual = "x ".repeat(1000);
        failed.mismatches.push(failed.mismatches[0].clone());
        let text = failure_in_short(&failed);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(lines[0], "the provider did not receive the image (and 1 more)");
        assert_eq!(
            lines[3],
            "cause: gateway (sent by claude, absent at the provider)"
        );
        assert!(lines[2].chars().count() < 230);
    }

    #[test]
    fn the_cause_can_be_told_from_the_short_text() {
        let short = failure_in_short(&lost_image());
        let nothing = Failure {
            cause: Cause::RateLimit,
            why: String::new(),
            next: String::new(),
            wire: Vec::new(),
            mismatches: Vec::new(),
        };
        let text = format!(
            "haiku: {short}\nopus: {}\nmythos: {short}",
            failure_in_short(&nothing)
        );
        assert_eq!(causes_in_short(&text), [Cause::Gateway, Cause::RateLimit]);
        assert_eq!(causes_in_short("root cause: unknown"), []);
    }

    #[test]
    fn in_short_it_is_never_empty() {
        let nothing = Failure {
            cause: Cause::Harness,
            why: String::new(),
            next: String::new(),
            wire: Vec::new(),
            mismatches: Vec::new(),
        };
        assert_eq!(failure_in_short(&nothing), "cause: harness");
    }
}
