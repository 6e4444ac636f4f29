//! A run as one HTML file for the artifacts of CI: without scripts and external files, for narrow screens, dark mode
//! and screen readers.

use std::collections::{BTreeSet, HashMap};

use super::details::{Details, TierDetails, providers_in_words};
use super::published::Matrix;
use crate::commands;
use crate::evidence::Behind;
use crate::findings::summary::{FindingGroup, RunFinding, by_change};
use crate::ids::{CellId, TrialName};
use crate::report::grid::CellMark;
use crate::results::json::timestamp;
use crate::results::{CellStatus, StatusWord};
use crate::text::printable;

const STYLE: &str = include_str!("html.css");

/// The page, with the tiers of each cell if there are details. `recorded` is what was recorded of trials, as text. Ends with a
/// newline.
pub fn of_run(matrix: &Matrix, details: Option<&Details>, recorded: &HashMap<TrialName, String>) -> String {
    let table = table(matrix, details);
    let (failed, others) = sections(matrix, details, recorded);
    let findings = findings(details.map_or(&[], |details| &details.findings));
    let legend = "<p class=\"legend\">✓ pass, ✗ fail, — not applicable, ? not tested</p>\n";
    let body = format!("{table}{legend}{failed}{findings}{others}");
    page("Claude Code compatibility matrix", &facts(matrix, details), &body)
}

/// A whole page, with `title` as its heading. `facts` and `body` are HTML.
pub(super) fn page(title: &str, facts: &str, body: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="facts">{facts}</p>
{body}</main>
</body>
</html>
"#
    )
}

fn facts(matrix: &Matrix, details: Option<&Details>) -> String {
    let providers = providers_in_words(details);
    let time = timestamp::to_text(&matrix.generated_at);
    format!(
        r#"LiteLLM {}{}, Claude Code {}, <time datetime="{time}">{time}</time>{providers}"#,
        escaped(&matrix.litellm_version),
        details.map_or_else(String::new, |details| escaped(
            &details.gateway.configuration_in_words()
        )),
        escaped(&matrix.claude_code_version)
    )
}

fn table(matrix: &Matrix, details: Option<&Details>) -> String {
    let columns: String = matrix
        .providers
        .iter()
        .map(|provider| escaped(provider.as_str()).replace('_', "_<wbr>"))
        .map(|provider| format!("<th scope=\"col\">{provider}</th>"))
        .collect();
    let rows: String = matrix
        .features
        .iter()
        .enumerate()
        .map(|(row, feature)| {
            let statuses = feature.providers.values().enumerate();
            let cells: String = statuses
                .map(|(column, status)| cell(row, column, status, says(status, details)))
                .collect();
            format!(
                "<tr><th scope=\"row\">{}</th>{cells}</tr>\n",
                escaped(&feature.name)
            )
        })
        .collect();
    format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"Matrix\" tabindex=\"0\">\n<table class=\"matrix\">\n\
         <thead><tr><th scope=\"col\">Feature</th>{columns}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

fn cell(row: usize, column: usize, status: &CellStatus, says: &str) -> String {
    let word = status.word();
    format!(
        "<td class=\"{}\"><a href=\"#{}\" title=\"{}\"><span aria-hidden=\"true\">{}</span><span class=\"word\">{}</span></a></td>",
        word.as_str(),
        anchor(row, column),
        escaped(says),
        sign(word),
        in_words(word),
    )
}

fn anchor(row: usize, column: usize) -> String {
    format!("cell-{}-{}", row + 1, column + 1)
}

/// A section per cell: of the failed cells, and of the others, each with its heading.
fn sections(
    matrix: &Matrix,
    details: Option<&Details>,
    recorded: &HashMap<TrialName, String>,
) -> (String, String) {
    let columns = matrix.providers.len().max(1);
    let (mut failed, mut others) = (String::new(), String::new());
    let mut first_cells: HashMap<&str, String> = HashMap::new();
    for (index, (cell, name, status)) in matrix.cells().enumerate() {
        let tiers = details.map_or(&[][..], |details| details.tiers(&cell));
        let own = anchor(index / columns, index % columns);
        let text = match (status, first_cells.get(says(status, details))) {
            (CellStatus::Fail { .. }, Some(first)) => first.clone(),
            _ => format!("<pre>{}</pre>", escaped(says(status, details))),
        };
        if let CellStatus::Fail { error } = status {
            let title = format!("{}, {}", escaped(name), escaped(cell.provider.as_str()));
            let link = format!("<p>The same failure as <a href=\"#{own}\">{title}</a>.</p>");
            first_cells.entry(error).or_insert(link);
        }
        let section = format!(
            "<section id=\"{}\">\n<h3>{} {}, {}: {}</h3>\n{text}\n{}{}</section>\n",
            own,
            sign(status.word()),
            escaped(name),
            escaped(cell.provider.as_str()),
            in_words(status.word()),
            tier_table(&cell, tiers, details.map(|details| details.evidence)),
            tiers
                .iter()
                .filter_map(|tier| timeline(tier, recorded))
                .collect::<String>(),
        );
        match status {
            CellStatus::Fail { .. } => failed.push_str(&section),
            _ => others.push_str(&section),
        }
    }
    let heading = if failed.is_empty() {
        "<h2>Every cell</h2>\n"
    } else {
        failed.insert_str(0, "<h2>What failed</h2>\n");
        "<h2>Every other cell</h2>\n"
    };
    if !others.is_empty() {
        others.insert_str(0, heading);
    }
    (failed, others)
}

/// What the gateway breaks, each change once.
fn findings(findings: &[RunFinding]) -> String {
    let groups = by_change(findings);
    if groups.is_empty() {
        return String::new();
    }
    let item = |group: &FindingGroup<'_>| {
        let lines: Vec<String> = group.lines().iter().map(|line| escaped(line)).collect();
        format!(
            "<li>{} {}</li>\n",
            CellMark::from(group.level()).sign(),
            lines.join("<br>")
        )
    };
    let items: String = groups.iter().map(item).collect();
    format!("<h2>Findings ({})</h2>\n<ul>\n{items}</ul>\n", groups.len())
}

fn tier_table(cell: &CellId, tiers: &[TierDetails], evidence: Option<Behind>) -> String {
    if tiers.iter().all(|tier| tier.attempts.is_none()) {
        return String::new();
    }
    let rows: String = tiers.iter().map(tier_row).collect();
    let cost = match evidence {
        Some(Behind::Simulated) => "US$, if it were live",
        Some(Behind::Live) | None => "US$",
    };
    format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"Tiers of {cell}\" tabindex=\"0\">\n<table class=\"tiers\">\n<thead><tr>\
         <th scope=\"col\">Tier</th><th scope=\"col\">Status</th><th scope=\"col\">Cause</th><th scope=\"col\">Attempts</th>\
         <th scope=\"col\">Seconds</th><th scope=\"col\">{cost}</th><th scope=\"col\">Based on</th>\
         <th scope=\"col\">Evidence, and how to run it again</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n",
        cell = escaped(&cell.to_string()),
    )
}

/// What was recorded of a tier's trial, folded.
fn timeline(tier: &TierDetails, recorded: &HashMap<TrialName, String>) -> Option<String> {
    let text = recorded.get(&tier.nodeid)?;
    let name = escaped(tier.tier.as_str());
    Some(format!(
        "<details>\n<summary>{name}: what happened</summary>\n<pre>{}</pre>\n</details>\n",
        escaped(text)
    ))
}

fn tier_row(tier: &TierDetails) -> String {
    let flaky = if tier.flaky { ", flaky" } else { "" };
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"{}\">{} {}{flaky}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td class=\"left\">{}</td><td class=\"left\">{}<br><code>{}</code></td></tr>\n",
        escaped(tier.tier.as_str()),
        tier.status.as_str(),
        sign(tier.status),
        in_words(tier.status),
        tier.cause.map_or("", |cause| cause.as_str()),
        tier.attempts
            .map_or_else(String::new, |attempts| attempts.to_string()),
        tier.duration_ms.map_or_else(String::new, seconds),
        tier.cost_usd
            .map_or_else(String::new, |cost| format!("{cost:.4}")),
        based_on(tier),
        evidence_and_advice(tier),
        escaped(&commands::run_alone(&tier.flags, &tier.nodeid)),
    )
}

fn evidence_and_advice(tier: &TierDetails) -> String {
    let lines = [tier.evidence_path.as_deref(), tier.next.as_deref()];
    lines
        .into_iter()
        .flatten()
        .map(escaped)
        .collect::<Vec<_>>()
        .join("<br>")
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{}", milliseconds / 1000, milliseconds % 1000 / 100)
}

/// The contract clauses of the expectations, and the findings.
fn based_on(tier: &TierDetails) -> String {
    let clauses: BTreeSet<&str> = tier
        .expectations
        .iter()
        .filter_map(|judged| judged.clause.as_deref())
        .collect();
    let clauses = clauses.into_iter().map(escaped);
    let found = tier.findings.iter().map(|subject| escaped(&subject.to_string()));
    clauses.chain(found).collect::<Vec<_>>().join("<br>")
}

fn says<'a>(status: &'a CellStatus, details: Option<&Details>) -> &'a str {
    match status {
        // A filtered run does not know whether there is a test.
        CellStatus::NotTested {} if details.is_some_and(|details| !details.complete) => {
            "Not run on every tier."
        }
        CellStatus::Pass {} => "Tested & passing",
        CellStatus::NotTested {} => "No test for this combination yet.",
        CellStatus::Fail { error } => error,
        CellStatus::NotApplicable { reason } => reason,
    }
}

fn sign(word: StatusWord) -> &'static str {
    CellMark::from(word).sign()
}

fn in_words(word: StatusWord) -> &'static str {
    CellMark::from(word).words()
}

/// `text` for an element or a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in printable(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
