//! Matrix and comparison as GitHub-flavoured Markdown: for a job summary or a comment on a pull request.

use crate::text::printable;
use std::fmt::Write as _;

use super::details::Details;
use super::diff::{Change, Diff, Kind};
use super::published::Matrix;
use crate::evidence::Behind;
use crate::results::json::timestamp;
use crate::results::{CellStatus, StatusWord};

const STATUSES: [StatusWord; 4] = [
    StatusWord::Pass,
    StatusWord::Fail,
    StatusWord::NotApplicable,
    StatusWord::NotTested,
];

/// A matrix: what it was made of, the table, counts, and what failed. Ends with a newline.
pub fn of_matrix(matrix: &Matrix, details: Option<&Details>) -> String {
    let mut text = String::from("### Claude Code compatibility matrix\n\n");
    push(&mut text, &format!("{}\n\n", escaped(&headline(matrix, details))));
    push(&mut text, "| Feature |");
    matrix
        .providers
        .iter()
        .for_each(|provider| push(&mut text, &format!(" {} |", escaped(provider.as_str()))));
    push(
        &mut text,
        &format!("\n| :-- |{}\n", " :-: |".repeat(matrix.providers.len())),
    );
    for feature in &matrix.features {
        push(&mut text, &format!("| {} |", escaped(&feature.name)));
        let words = feature.providers.0.iter().map(|(_, status)| status.word());
        words.for_each(|word| push(&mut text, &format!(" {} |", sign(word))));
        push(&mut text, "\n");
    }
    push(&mut text, &format!("\n{}\n", counts(matrix)));
    push_failures(&mut text, matrix);
    text
}

/// A comparison: how many changes of each kind, and a table of them. Ends with a newline.
pub fn of_diff(diff: &Diff) -> String {
    let mut text = format!(
        "### Compatibility matrix: {}\n\n{}\n",
        diff.summary(),
        escaped(&diff.headline())
    );
    for kind in Kind::ALL {
        let changes: Vec<&Change> = diff.of_kind(kind).collect();
        if changes.is_empty() {
            continue;
        }
        push(&mut text, &format!("\n**{}**\n\n", kind.heading()));
        push(
            &mut text,
            "| Feature | Provider | Change | Cause | Says |\n| :-- | :-- | :-- | :-- | :-- |\n",
        );
        changes.iter().for_each(|change| push(&mut text, &row(change)));
    }
    push(&mut text, &format!("\n{} cells unchanged\n", diff.unchanged));
    text
}

fn row(change: &Change) -> String {
    let status = change.new.as_ref().or(change.old.as_ref());
    let sign = status.map_or("", |status| sign(status.word()));
    let says = change.new.as_ref().and_then(CellStatus::text).unwrap_or_default();
    format!(
        "| {} | {} | {sign} {} | {} | {} |\n",
        escaped(&change.name),
        escaped(change.provider.as_str()),
        escaped(&change.words()),
        escaped(&change.fault()),
        escaped(says),
    )
}

fn headline(matrix: &Matrix, details: Option<&Details>) -> String {
    let evidence = match details.map(|details| details.evidence) {
        Some(Behind::Simulated) => ", simulated providers",
        Some(Behind::Live) => ", live providers",
        None => "",
    };
    format!(
        "LiteLLM {}, Claude Code {}, {}{evidence}",
        matrix.litellm_version,
        matrix.claude_code_version,
        timestamp::to_text(&matrix.generated_at)
    )
}

fn counts(matrix: &Matrix) -> String {
    let count = |word| {
        matrix
            .cells()
            .filter(|(_, _, status)| status.word() == word)
            .count()
    };
    let told = STATUSES.map(|word| {
        format!(
            "{} {} {}",
            sign(word),
            count(word),
            word.as_str().replace('_', " ")
        )
    });
    told.join(", ")
}

fn push_failures(text: &mut String, matrix: &Matrix) {
    let failures = matrix.failures();
    if failures.is_empty() {
        return;
    }
    push(text, "\n<details><summary>What failed</summary>\n\n");
    for (error, places) in failures {
        let places: Vec<String> = places
            .iter()
            .map(|(name, provider)| format!("{name}, {provider}"))
            .collect();
        push(
            text,
            &format!("- **{}**: {}\n", escaped(&places.join("; ")), escaped(error)),
        );
    }
    push(text, "\n</details>\n");
}

fn sign(word: StatusWord) -> &'static str {
    match word {
        StatusWord::Pass => "✅",
        StatusWord::Fail => "❌",
        StatusWord::NotApplicable => "➖",
        StatusWord::NotTested => "❔",
    }
}

/// `text` as text, in a table or out of one: nothing in it is markup, and a line break is one.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in printable(text).trim().chars() {
        match character {
            '\n' => escaped.push_str("<br>"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // What a test printed calls nobody to a pull request.
            '@' => escaped.push_str("@<!-- -->"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '#' => {
                escaped.push('\\');
                escaped.push(character);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

fn push(text: &mut String, more: &str) {
    text.write_str(more).expect("a String takes every write");
}
