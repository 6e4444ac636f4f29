//! Matrix and comparison as GitHub-flavoured Markdown, for a job summary or a comment on a pull request.

use super::details::{Details, headline};
use super::diff::{CellChange, ChangeKind, Diff};
use super::published::Matrix;
use super::terminal::marks;
use crate::findings::summary::{FindingGroup, RunFinding, by_change};
use crate::ids::CellId;
use crate::report::grid::CellMark;
use crate::results::{CellStatus, StatusWord};
use crate::text::{counted, printable};

const STATUSES: [StatusWord; 4] = [
    StatusWord::Pass,
    StatusWord::Fail,
    StatusWord::NotApplicable,
    StatusWord::NotTested,
];

/// Beside the sign of a cell that works and breaks the contract.
const UNFAITHFUL: &str = "\\*";

/// A matrix: versions, table, counts and failures. Ends with a newline.
pub fn of_matrix(matrix: &Matrix, details: Option<&Details>) -> String {
    let headline = escaped(&headline(matrix, details));
    let columns: String = matrix
        .providers
        .iter()
        .map(|provider| format!(" {} |", escaped(provider.as_str())))
        .collect();
    let rule = " :-: |".repeat(matrix.providers.len());
    let mut text = format!(
        "### Claude Code compatibility matrix\n\n{headline}\n\n| Feature |{columns}\n| :-- |{rule}\n"
    );
    let is_unfaithful = |(cell, _, status): &(CellId, &str, &CellStatus)| {
        status.word() == StatusWord::Pass && marks(details, cell, status).contains(&CellMark::Unfaithful)
    };
    let mut cells = matrix.cells().map(|cell| {
        let star = if is_unfaithful(&cell) { UNFAITHFUL } else { "" };
        format!(" {}{star} |", sign(cell.2.word()))
    });
    for feature in &matrix.features {
        let cells: String = cells.by_ref().take(feature.providers.len()).collect();
        text.push_str(&format!("| {} |{cells}\n", escaped(&feature.name)));
    }
    let unfaithful = match matrix.cells().filter(is_unfaithful).count() {
        0 => String::new(),
        number => format!("; {UNFAITHFUL} {number} {}", CellMark::Unfaithful.words()),
    };
    text.push_str(&format!("\n{}{unfaithful}\n", counts(matrix)));
    text.push_str(&failures(matrix));
    text + &findings(details.map_or(&[], |details| &details.findings))
}

/// What the gateway breaks, each change once.
fn findings(findings: &[RunFinding]) -> String {
    let groups = by_change(findings);
    let item = |group: &FindingGroup<'_>| {
        let sign = CellMark::from(group.level()).sign();
        let lines: Vec<String> = group.lines().iter().map(|line| escaped(line)).collect();
        format!("- {} {}\n", escaped(sign), lines.join("<br>"))
    };
    match groups.len() {
        0 => String::new(),
        number => {
            let items: String = groups.iter().map(item).collect();
            format!("\n<details><summary>Findings ({number})</summary>\n\n{items}\n</details>\n")
        }
    }
}

/// A comparison: how many changes of each kind, and a table of them. Ends with a newline.
pub fn of_diff(diff: &Diff) -> String {
    let mut text = format!(
        "### Compatibility matrix: {}\n\n{}\n",
        diff.summary(),
        escaped(&diff.headline())
    );
    for kind in ChangeKind::ALL {
        let changes: Vec<&CellChange> = diff.of_kind(kind).collect();
        if changes.is_empty() {
            continue;
        }
        text.push_str(&format!("\n**{}**\n\n", kind.heading()));
        text.push_str("| Feature | Provider | Change | Cause | Says |\n| :-- | :-- | :-- | :-- | :-- |\n");
        changes.iter().for_each(|change| text.push_str(&row(change)));
    }
    text.push_str(&format!("\n{} unchanged\n", counted(diff.unchanged, "cell")));
    text
}

fn row(change: &CellChange) -> String {
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

fn counts(matrix: &Matrix) -> String {
    let count = |word| {
        matrix
            .cells()
            .filter(|(_, _, status)| status.word() == word)
            .count()
    };
    let counts =
        STATUSES.map(|word| format!("{} {} {}", sign(word), count(word), CellMark::from(word).words()));
    counts.join(", ")
}

fn failures(matrix: &Matrix) -> String {
    let items: String = matrix
        .failures()
        .into_iter()
        .map(|(error, places)| {
            let places = places
                .iter()
                .map(|(name, provider)| format!("{name}, {provider}"));
            let places: Vec<String> = places.collect();
            format!("- **{}**: {}\n", escaped(&places.join("; ")), escaped(error))
        })
        .collect();
    match items.as_str() {
        "" => items,
        _ => format!("\n<details><summary>What failed</summary>\n\n{items}\n</details>\n"),
    }
}

fn sign(word: StatusWord) -> &'static str {
    match word {
        StatusWord::Pass => "✅",
        StatusWord::Fail => "❌",
        StatusWord::NotApplicable => "➖",
        StatusWord::NotTested => "❔",
    }
}

/// `text` without markup, for a table or elsewhere; line breaks stay line breaks.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in printable(text).trim().chars() {
        match character {
            '\n' => escaped.push_str("<br>"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // A name in a test's output must not notify anybody of a pull request.
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
