//! The text of a failure: in full for the console and JUnit, in short for results and matrix.

use std::path::Path;

use indexmap::IndexSet;

use super::paint::{BAD, DIM, HEADING, LEAD, Paint};
use crate::commands;
use crate::expectation::RUN;
use crate::findings::FindingStatus;
use crate::ids::TrialName;
use crate::outcome::{Cause, EvidenceLine, Failure, Mismatch};
use crate::text::{one_line, printable};

/// The most characters of a value in a short text.
const SHORT: usize = 200;

/// The most characters of an expected or actual value in the first line.
const SHORT_VALUE: usize = 64;

/// The most mismatches to show in full if one change on the wire explains them; the others are named.
const MOST_EXPLAINED: usize = 3;

/// The full text: the findings, then hints. `flags` are those of the run that say what was tested. Ends with a newline.
pub fn failure(
    trial: &TrialName,
    flags: &str,
    failure: &Failure,
    evidence: Option<&Path>,
    paint: Paint,
) -> String {
    let mut lines = Lines {
        text: findings(failure, evidence, paint),
        paint,
    };
    if let Some(next) = &failure.next {
        lines.hint(&printable(next));
    }
    let alone = commands::run_alone(flags, trial);
    lines.hint(&format!("run this trial alone with `{alone}`"));
    let replay = match evidence {
        Some(_) => format!(
            "`{}` replays it, and ",
            commands::compat(&format!("show {trial}"))
        ),
        None => String::new(),
    };
    let cause = failure.cause.as_str();
    lines.hint(&format!(
        "{replay}docs/why-red.md#{cause} says what this cause means"
    ));
    lines.text
}

/// Each mismatch with its place, its expected and actual value and its line in the folder `evidence`, then the changes on the
/// wire and the cause. Ends with a newline.
pub fn findings(failure: &Failure, evidence: Option<&Path>, paint: Paint) -> String {
    let text = String::new();
    let mut lines = Lines { text, paint };
    let (mut mismatches, consequences) = sorted(failure);
    // One change explains the others.
    let is_explained = failure.headline.is_some() && mismatches.len() > MOST_EXPLAINED;
    let others = match is_explained {
        true => mismatches.split_off(MOST_EXPLAINED),
        false => Vec::new(),
    };
    let shown: Vec<&str> = mismatches.iter().map(|one| one.expectation.as_str()).collect();
    let explanation = mismatches.first().and_then(|first| explanation(failure, first));
    let mut of_first = explanation;
    for mismatch in mismatches {
        lines.mismatch(failure, mismatch, of_first.take(), evidence);
    }
    let others = others.iter().map(|other| other.expectation.as_str());
    let names: IndexSet<&str> = others
        .chain(consequences)
        .filter(|name| !shown.contains(name))
        .collect();
    if !names.is_empty() {
        lines.note("failed too", &names.into_iter().collect::<Vec<_>>().join(", "));
    }
    if !failure.wire.is_empty() {
        lines.note("wire", &failure.wire.join("\n      "));
    }
    lines.note("cause", &cause(failure, explanation));
    lines.text
}

/// The mismatches to show. Where the run itself failed, most others follow from it, and only their names are returned; but not
/// the new ones beside a run that the gateway is known to break.
fn sorted(failure: &Failure) -> (Vec<&Mismatch>, Vec<&str>) {
    let mut mismatches = failure.mismatches.iter();
    let run = mismatches.find(|mismatch| mismatch.expectation == RUN);
    let is_shown = |mismatch: &&Mismatch| match run {
        Some(run) => mismatch.expectation == RUN || (mismatch.status.is_new() && !run.status.is_new()),
        None => true,
    };
    let (shown, rest): (Vec<&Mismatch>, Vec<&Mismatch>) = failure.mismatches.iter().partition(is_shown);
    let names = rest.iter().map(|mismatch| mismatch.expectation.as_str());
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    (shown, names)
}

/// The first mismatch without its place, and the cause, in a few lines. No newline at the end; never empty.
pub fn failure_in_short(failure: &Failure) -> String {
    let mut lines = Vec::new();
    let mut explained = None;
    if let Some((first, others)) = failure.mismatches.split_first() {
        explained = explanation(failure, first);
        let whole = explained_by(&first.summary, explained);
        // What is cut here stands in the cause.
        explained = explained.filter(|_| whole.chars().count() <= SHORT);
        let summary = clip(&whole);
        lines.push(with_others(summary, first, others));
        let details = [("expected", &first.expected), ("actual", &first.actual)];
        let details = details.into_iter().filter(|(_, value)| !value.trim().is_empty());
        lines.extend(details.map(|(label, value)| format!("{label}: {}", clip(value))));
    }
    lines.retain(|line| !line.is_empty());
    lines.push(format!("cause: {}", clip(&cause(failure, explained))));
    lines.join("\n")
}

/// The causes named in texts of [`failure_in_short`], in order, without repetitions.
pub fn causes_in_short(text: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for line in text.lines() {
        let Some((_, text)) = line.split_once("cause: ") else {
            continue;
        };
        let word = text.split(' ').next().unwrap_or_default();
        let named = Cause::ALL.into_iter().find(|cause| cause.as_str() == word);
        causes.extend(named.filter(|cause| !causes.contains(cause)));
    }
    causes
}

/// The first line of a failure: the broken promise, and what explains it.
pub fn first_line(failure: &Failure) -> String {
    let first = failure.mismatches.first();
    first.map_or_else(String::new, |first| {
        let values = values_in_short(first);
        explained_by(&first.summary, explanation(failure, first).or(values.as_deref()))
    })
}

/// The expected and the actual value, each at a bounded length, if both have one line.
fn values_in_short(mismatch: &Mismatch) -> Option<String> {
    let values = [&mismatch.expected, &mismatch.actual];
    let has_one_line = |text: &&String| !text.trim().is_empty() && !text.contains('\n');
    let [expected, actual] = values.map(|text| match text.char_indices().nth(SHORT_VALUE) {
        None => text.clone(),
        Some((end, _)) => format!("{}…", &text[..end]),
    });
    (values.iter().all(has_one_line)).then(|| format!("expected {expected}, found {actual}"))
}

/// The first line at a bounded length, with the number of the other mismatches, for a list of failures. Never empty.
pub fn first_line_in_short(failure: &Failure) -> String {
    match failure.mismatches.split_first() {
        Some((first, others)) => with_others(clip(&first_line(failure)), first, others),
        None => failure_in_short(failure),
    }
}

fn with_others(line: String, first: &Mismatch, others: &[Mismatch]) -> String {
    match others.iter().filter(|other| other.status == first.status).count() {
        0 => line,
        more => format!("{line} (and {more} more)"),
    }
}

fn explained_by(summary: &str, explanation: Option<&str>) -> String {
    explanation.map_or_else(|| summary.to_owned(), |why| format!("{summary}: {why}"))
}

/// What explains `first`: the change on the wire, or the fact that decided why the run itself failed.
fn explanation<'a>(failure: &'a Failure, first: &Mismatch) -> Option<&'a str> {
    let why = Some(failure.why.trim()).filter(|why| first.expectation == RUN && !why.is_empty());
    failure.headline.as_deref().or(why)
}

struct Lines {
    text: String,
    paint: Paint,
}

impl Lines {
    /// The first line names the explanation.
    fn mismatch(
        &mut self,
        failure: &Failure,
        mismatch: &Mismatch,
        explanation: Option<&str>,
        evidence: Option<&Path>,
    ) {
        let head = match mismatch.status {
            FindingStatus::New => (BAD, "error:"),
            FindingStatus::OutsideRange => (DIM, "known in other versions:"),
            FindingStatus::Known => (DIM, "known:"),
        };
        let [error, arrow] = [head, (LEAD, "-->")].map(|(style, word)| self.paint.apply(style, word));
        let summary = explained_by(&mismatch.summary, explanation);
        let summary = self.paint.apply(HEADING, &printable(&summary));
        self.push(&format!("{error} {summary}"));
        self.push(&format!(
            "  {arrow} {}",
            place_of(failure, mismatch, evidence.is_some())
        ));
        self.value("expected", &mismatch.expected);
        self.value("actual", &mismatch.actual);
        if let Some(EvidenceLine { file, line }) = &mismatch.evidence {
            let path = evidence.map_or_else(|| file.into(), |folder| folder.join(file));
            self.note("evidence", &format!("{}:{line}", path.display()));
        } else if let Some(folder) = evidence {
            self.note("evidence", &folder.display().to_string());
        }
        if let Some(clause) = &mismatch.clause {
            self.note("contract", clause);
        }
    }

    /// `   | expected: …`, with the value's further lines below its first; nothing for an empty value.
    fn value(&mut self, label: &str, value: &str) {
        let bar = self.paint.apply(LEAD, "|");
        let mut head = format!("{:<10}", format!("{label}:"));
        for line in printable(value).trim_end().lines() {
            self.push(&format!("   {bar} {head}{line}"));
            head = " ".repeat(10);
        }
    }

    fn note(&mut self, label: &str, value: &str) {
        let sign = self.paint.apply(DIM, "=");
        let value = printable(value).trim_end().replace('\n', "\n     ");
        self.push(&format!("   {sign} {label}: {value}"));
    }

    fn hint(&mut self, hint: &str) {
        let label = self.paint.apply(LEAD, "hint:");
        self.push(&format!("{label} {hint}"));
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// The place of a mismatch: `vision/_shared.yaml:14:5  expect.image`. Implied expectations have no place. An error in a cell's
/// text, which kept the trial from running, has its full path as its name.
fn place_of(failure: &Failure, mismatch: &Mismatch, was_run: bool) -> String {
    let name = &mismatch.expectation;
    match &mismatch.place {
        None => name.clone(),
        Some(place) => {
            let is_path = !was_run && matches!(failure.cause, Cause::Harness | Cause::Config);
            let prefix = if is_path { "" } else { "expect." };
            let position = match place.line {
                0 => String::new(),
                line => format!(":{line}:{}", place.column),
            };
            let file = place.file.display();
            printable(&format!("{file}{position}  {prefix}{name}"))
        }
    }
}

/// The cause, and the fact that decided it. The first line has the explanation already.
fn cause(failure: &Failure, explanation: Option<&str>) -> String {
    let explanation = explanation.unwrap_or_default();
    let why = match failure.why.trim() == explanation {
        true => "",
        false => failure
            .why
            .strip_suffix(&format!(": {explanation}"))
            .unwrap_or(&failure.why),
    };
    match why.trim() {
        "" => failure.cause.as_str().to_owned(),
        why => format!("{} ({why})", failure.cause.as_str()),
    }
}

/// `value` in one line of bounded length.
fn clip(value: &str) -> String {
    one_line(&printable(value), SHORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Place;
    use crate::findings::FindingStatus;

    fn lost_image() -> Failure {
        Failure {
            cause: Cause::Gateway,
            why: "sent by claude, absent at the provider".into(),
            headline: None,
            next: None,
            wire: Vec::new(),
            mismatches: vec![Mismatch {
                expectation: "image".into(),
                clause: Some("llm-gateway-protocol#images".into()),
                place: Some(Place {
                    file: "cells/vision/_shared.yaml".into(),
                    line: 14,
                    column: 5,
                }),
                status: FindingStatus::New,
                summary: "the provider did not receive the image".into(),
                expected: "an `image/png` block of 69 bytes in the last user message".into(),
                actual: "2 text blocks".into(),
                evidence: Some(EvidenceLine {
                    file: "exchanges.jsonl".into(),
                    line: 1,
                }),
            }],
        }
    }

    #[test]
    fn a_failure_names_place_values_cause_and_next_steps() {
        let trial = "vision::vertex_ai::haiku".parse().unwrap();
        let folder = Path::new("target/compat/vision/vertex_ai/haiku");
        let text = failure(
            &trial,
            "--gateway portkey",
            &lost_image(),
            Some(folder),
            Paint::Plain,
        );
        assert_eq!(
            text,
            "error: the provider did not receive the image
  --> cells/vision/_shared.yaml:14:5  expect.image
   | expected: an `image/png` block of 69 bytes in the last user message
   | actual:   2 text blocks
   = evidence: target/compat/vision/vertex_ai/haiku/exchanges.jsonl:1
   = contract: llm-gateway-protocol#images
   = cause: gateway (sent by claude, absent at the provider)
hint: run this trial alone with `cargo test --test compat -- --gateway portkey --exact vision::vertex_ai::haiku`
hint: `cargo run -- show vision::vertex_ai::haiku` replays it, and docs/why-red.md#gateway says what this cause means
"
        );
    }

    fn plain_text(failed: &Failure) -> String {
        failure(&"a::b::c".parse().unwrap(), "", failed, None, Paint::Plain)
    }

    #[test]
    fn each_part_of_a_failure_has_its_line() {
        type Change = fn(&mut Failure);
        let table: [(Change, &str); 5] = [
            (
                |failed| failed.wire = vec!["request 1: one".into(), "reply 1: two".into()],
                "\n   = wire: request 1: one\n           reply 1: two\n   = cause:",
            ),
            (
                |failed| failed.next = Some("update the gateway".into()),
                "\nhint: update the gateway\nhint: run this trial alone with",
            ),
            (|failed| failed.mismatches[0].place = None, "\n  --> image\n"),
            (
                |failed| {
                    failed.cause = Cause::Harness;
                    failed.mismatches[0].expectation = "prompt.image".into();
                },
                "  --> cells/vision/_shared.yaml:14:5  prompt.image\n",
            ),
            (
                |failed| failed.mismatches[0].actual = "first\nsecond\n".into(),
                "   | actual:   first\n   |           second\n",
            ),
        ];
        for (change, expected) in table {
            let mut failed = lost_image();
            change(&mut failed);
            let text = plain_text(&failed);
            assert!(text.contains(expected), "{text}\n  lacks\n{expected}");
        }
    }

    #[test]
    fn what_one_change_explains_is_named_after_a_few() {
        let mut failed = lost_image();
        let names = ["image", "reply", "ended", "count", "model", "model"];
        failed.mismatches = names
            .map(|name| Mismatch {
                expectation: name.to_owned(),
                ..failed.mismatches[0].clone()
            })
            .to_vec();
        assert_eq!(plain_text(&failed).matches("error:").count(), 6);
        failed.headline = Some("request 1: the image dropped".to_owned());
        let text = plain_text(&failed);
        assert_eq!(text.matches("error:").count(), 3, "{text}");
        assert!(text.contains("   = failed too: count, model\n"), "{text}");
    }

    /// Nothing on the wire explains an error that the gateway itself gives.
    #[test]
    fn a_failed_run_is_explained_in_the_first_line() {
        let mut failed = lost_image();
        failed.mismatches[0].expectation = RUN.to_owned();
        failed.mismatches[0].summary = "Claude Code ended with an error".to_owned();
        failed.cause = Cause::Auth;
        failed.why = "the gateway refuses its key".to_owned();
        let line = "Claude Code ended with an error: the gateway refuses its key";
        assert_eq!(first_line(&failed), line);
        assert!(plain_text(&failed).contains(line), "{}", plain_text(&failed));
        let short = failure_in_short(&failed);
        assert!(
            short.starts_with(line) && short.ends_with("cause: auth"),
            "{short}"
        );
        failed.headline = Some("request 1: gone".to_owned());
        assert_eq!(
            first_line(&failed),
            "Claude Code ended with an error: request 1: gone"
        );
    }

    /// A list shows no more than this line.
    #[test]
    fn the_line_of_a_list_has_short_values() {
        let mut failed = lost_image();
        failed.mismatches[0].summary = "the request is for another model".to_owned();
        failed.mismatches[0].expected = "\"claude-haiku-4-5\"".to_owned();
        failed.mismatches[0].actual = "\"claude-3-haiku\"".to_owned();
        failed.mismatches.push(failed.mismatches[0].clone());
        let line =
            "the request is for another model: expected \"claude-haiku-4-5\", found \"claude-3-haiku\"";
        assert_eq!(first_line_in_short(&failed), format!("{line} (and 1 more)"));
        failed.mismatches[0].actual = "two\nlines".to_owned();
        let without = "the request is for another model (and 1 more)";
        assert_eq!(first_line_in_short(&failed), without);
    }

    #[test]
    fn colour_adds_only_escape_sequences() {
        let trial = "vision::vertex_ai::haiku".parse().unwrap();
        let coloured = failure(&trial, "", &lost_image(), None, Paint::Ansi);
        let plain = failure(&trial, "", &lost_image(), None, Paint::Plain);
        assert_ne!(coloured, plain);
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    }

    #[test]
    fn the_short_text_has_a_few_bounded_lines() {
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
    fn the_short_text_names_the_cause() {
        let short = failure_in_short(&lost_image());
        let nothing = |cause| Failure {
            cause,
            why: String::new(),
            mismatches: Vec::new(),
            ..lost_image()
        };
        assert_eq!(failure_in_short(&nothing(Cause::Harness)), "cause: harness");
        let limited = failure_in_short(&nothing(Cause::RateLimit));
        let text = format!("haiku: {short}\nopus: {limited}\nmythos: {short}");
        assert_eq!(causes_in_short(&text), [Cause::Gateway, Cause::RateLimit]);
        assert_eq!(causes_in_short("root cause: unknown"), []);
    }
}
