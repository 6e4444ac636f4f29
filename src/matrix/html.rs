//! A run as one HTML file for the artifacts of CI: without scripts and external files, for narrow screens, dark mode
//! and screen readers.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use regex::Regex;

use super::details::{Details, TierDetails, gateway_in_words, providers_in_words};
use super::published::Matrix;
use super::terminal::{mark_of_tier, marks};
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
    let legend = legend(details);
    let parts = format!("{findings}{failed}{others}");
    let body = format!("{table}{legend}{}{parts}", index(&parts));
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
        r#"{}, Claude Code {}, <time datetime="{time}">{time}</time>{providers}"#,
        escaped(&gateway_in_words(matrix, details)),
        escaped(&matrix.claude_code_version)
    )
}

/// What the signs mean, and the tiers.
fn legend(details: Option<&Details>) -> String {
    let signs = CellMark::ALL.map(|mark| format!("{} {}", mark.sign(), mark.words()));
    let tiers = match details.map(Details::tier_names).unwrap_or_default().as_slice() {
        [] => String::new(),
        [tier] => format!("<br>Tier: {}.", escaped(tier)),
        tiers => format!(
            "<br>Tiers: {}. Where they differ, a cell has each of their signs once.",
            escaped(&tiers.join(", "))
        ),
    };
    format!("<p class=\"legend\">{}{tiers}</p>\n", signs.join(" · "))
}

/// Links to the headings of `parts`.
fn index(parts: &str) -> String {
    let links: Vec<String> = parts
        .lines()
        .filter_map(|line| {
            let (id, rest) = line.strip_prefix("<h2 id=\"")?.split_once("\">")?;
            Some(format!("<a href=\"#{id}\">{}</a>", rest.strip_suffix("</h2>")?))
        })
        .collect();
    format!("<p>{}</p>\n", links.join(" · "))
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
            let statuses = feature.providers.iter().enumerate();
            let cells: String = statuses
                .map(|(column, (provider, status))| {
                    let id = CellId::new(&feature.id, provider);
                    let marks = marks(details, &id, status);
                    let says = says(status, &marks, tiers(details, &id));
                    cell(&anchor(row, column), &marks, &says)
                })
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

fn cell(anchor: &str, marks: &[CellMark], says: &str) -> String {
    format!(
        "<td class=\"{}\"><a href=\"#{}\" title=\"{}\"><span aria-hidden=\"true\">{}</span><span class=\"word\">{}</span></a></td>",
        class(marks),
        anchor,
        escaped(says),
        signs(marks),
        words(marks),
    )
}

/// The class of a cell in `html.css`.
pub(super) fn class(marks: &[CellMark]) -> &'static str {
    let has = |wanted: &[CellMark]| marks.iter().any(|mark| wanted.contains(mark));
    match () {
        () if has(&[CellMark::Fail]) => "fail",
        () if has(&[CellMark::NotTested, CellMark::Unjudged]) => "not_tested",
        () if has(&[CellMark::Pass, CellMark::Flaky, CellMark::Unfaithful]) => "pass",
        () => "not_applicable",
    }
}

/// The signs of the tiers, each once.
fn signs(marks: &[CellMark]) -> String {
    kinds(marks).map(CellMark::sign).collect::<Vec<_>>().join(" ")
}

/// The words of the tiers' signs.
fn words(marks: &[CellMark]) -> String {
    kinds(marks).map(CellMark::words).collect::<Vec<_>>().join("; ")
}

fn kinds(marks: &[CellMark]) -> impl Iterator<Item = CellMark> {
    CellMark::ALL.into_iter().filter(|mark| marks.contains(mark))
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
        let tiers = tiers(details, &cell);
        let marks = marks(details, &cell, status);
        let own = anchor(index / columns, index % columns);
        let says = says(status, &marks, tiers);
        let mut text = format!("<pre>{}</pre>", escaped(&says));
        if let CellStatus::Fail { error } = status {
            let title = format!("{}, {}", escaped(name), escaped(cell.provider.as_str()));
            let link = format!("<p>The same failure as <a href=\"#{own}\">{title}</a>.</p>");
            match first_cells.entry(error) {
                Entry::Occupied(first) => text.clone_from(first.get()),
                Entry::Vacant(first) => _ = first.insert(link),
            }
        }
        let section = format!(
            "<section id=\"{}\">\n<h3>{} {}, {}: {}</h3>\n{text}\n{}{}</section>\n",
            own,
            signs(&marks),
            escaped(name),
            escaped(cell.provider.as_str()),
            words(&marks),
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
        "<h2 id=\"cells\">Every cell</h2>\n"
    } else {
        failed.insert_str(0, "<h2 id=\"failed\">What failed</h2>\n");
        "<h2 id=\"cells\">Every other cell</h2>\n"
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
        let mut lines = group.lines();
        lines.extend(
            group
                .workarounds()
                .iter()
                .map(|text| format!("workaround: {text}")),
        );
        let lines: Vec<String> = lines.iter().map(|line| with_links(&escaped(line))).collect();
        format!(
            "<li>{} {}</li>\n",
            CellMark::from(group.level()).sign(),
            lines.join("<br>")
        )
    };
    let items: String = groups.iter().map(item).collect();
    format!(
        "<h2 id=\"findings\">Findings ({})</h2>\n<ul>\n{items}</ul>\n",
        groups.len()
    )
}

/// HTML with a link for each web address of its text.
fn with_links(html: &str) -> String {
    static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"https://((?:&amp;|[^\s()<>&])*(?:&amp;|[^\s()<>&.,;:]))").expect("a valid expression")
    });
    ADDRESS.replace_all(html, r#"<a href="$0">$1</a>"#).into_owned()
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
    let mark = mark_of_tier(tier);
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"{}\">{} {}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td class=\"left\">{}</td><td class=\"left\">{}<br><code>{}</code></td></tr>\n",
        escaped(tier.tier.as_str()),
        class(&[mark]),
        mark.sign(),
        mark.words(),
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

fn tiers<'a>(details: Option<&'a Details>, cell: &CellId) -> &'a [TierDetails] {
    details.map_or(&[], |details| details.tiers(cell))
}

fn says<'a>(status: &'a CellStatus, marks: &[CellMark], tiers: &'a [TierDetails]) -> Cow<'a, str> {
    match status {
        CellStatus::Pass {} if marks.iter().all(|mark| *mark == CellMark::Pass) => "Tested & passing".into(),
        CellStatus::Pass {} => words(marks).into(),
        // Without a reason, the run was filtered, broke off or could not judge a trial, or there is no test.
        CellStatus::NotTested {} => {
            let is_untried =
                !tiers.is_empty() && tiers.iter().all(|tier| tier.status == StatusWord::NotTested);
            let usual = if is_untried {
                "Not tested in this run."
            } else {
                "Not run on every tier."
            };
            why_not_tested(tiers).unwrap_or(usual).into()
        }
        CellStatus::Fail { error } => error.into(),
        CellStatus::NotApplicable { reason } => reason.into(),
    }
}

fn why_not_tested(tiers: &[TierDetails]) -> Option<&str> {
    let mut missing = tiers.iter().filter(|tier| tier.status == StatusWord::NotTested);
    missing.find_map(|tier| tier.reason.as_deref())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_web_addresses_of_a_text_are_links() {
        let html = with_links("known (https://example.com/1?a=&quot;b): no http");
        let two = with_links("https://e.com/a?x=1&amp;y=2, https://e.com/b.");
        let [first, second] =
            ["e.com/a?x=1&amp;y=2", "e.com/b"].map(|at| format!("<a href=\"https://{at}\">{at}</a>"));
        assert_eq!(two, format!("{first}, {second}."));
        let link = "<a href=\"https://example.com/1?a=\">example.com/1?a=</a>";
        assert_eq!(html, format!("known ({link}&quot;b): no http"));
    }
}
