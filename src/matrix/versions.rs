//! The results of several versions of a gateway or of Claude Code: findings by version, cells by version.
//!
//! Pure. Findings are steady from release to release where cells are not, so the findings come first.
#![warn(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use indexmap::{IndexMap, IndexSet};
use schemars::JsonSchema;
use serde::Serialize;

use super::markdown::escaped;
use crate::findings::{Finding, Level};
use crate::ids::{CellId, ProviderId, TierId, TrialName};
use crate::report::grid::{self, CellMark};
use crate::results::json::SchemaVersion;
use crate::results::{TrialRecord, TrialResult};
use crate::text::counted;

/// What a run of one version gave.
#[derive(Clone, Debug)]
pub struct VersionRecords {
    pub version: String,
    /// The version of the other tool that ran with it, if it is known: Claude Code, or the gateway.
    pub beside: Option<String>,
    /// Why the version could not be run, or its records.
    pub records: Result<Vec<TrialRecord>, String>,
}

/// What each version of a tool breaks, the oldest version first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "compat history --format json")]
pub struct VersionHistory {
    /// The version of this layout.
    pub schema_version: SchemaVersion,
    /// The name of the tool whose versions these are: `litellm` or `Claude Code`.
    pub tool: String,
    /// The gateway's configuration; absent for the usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// The other tool of all runs: `Claude Code`, or the gateway. Absent if its version is not known, or not the same for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<OtherTool>,
    /// The tiers of the trials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierId>,
    /// The versions, the oldest first. All lists by version have this order.
    pub versions: Vec<VersionColumn>,
    /// The findings, features first. A finding that has another history on another provider is there once for each history.
    pub findings: Vec<FindingHistory>,
    /// The cells, in the order of their names.
    pub cells: Vec<CellHistory>,
}

/// The tool whose version stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OtherTool {
    /// `Claude Code`, or the name of the gateway.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// One version of the tool.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct VersionColumn {
    /// Its number.
    pub version: String,
    /// The Claude Code that ran with it, if it is not the same for all versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claude_code: Option<String>,
    /// Why it could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    /// The number of its trials in which the feature works.
    pub works: usize,
    /// The number of its trials in which the feature does not work.
    pub broken: usize,
    /// The number of its trials that could not be judged, which are in neither of the other two numbers; absent if it is zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unjudged: Option<usize>,
}

/// One finding over the versions, on the providers that have this history of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FindingHistory {
    /// Its name in `gateways/<name>.yaml`, else its subject.
    pub name: String,
    /// The columns of the matrix: on each of them, the same versions show it.
    #[schemars(length(min = 1))]
    pub providers: Vec<String>,
    /// Who notices it.
    pub level: Level,
    /// What the user of Claude Code loses, in one sentence.
    pub loses: String,
    /// The page about it, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The first of the versions that show it.
    pub first_seen: String,
    /// The last of the versions that show it.
    pub last_seen: String,
    /// For each version: whether it shows. `null` where no trial could tell.
    pub shows: Vec<Option<bool>>,
    /// The cells in which it shows on any version.
    pub cells: Vec<String>,
}

/// One cell over the versions.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CellHistory {
    /// `feature::provider`.
    #[schemars(regex(pattern = "^[^:]+::[^:]+$"))]
    pub cell: String,
    /// For each version the sign of the worst trial: `✓` pass, `✓*` works, unfaithful, `✗` fail, `!` could not be judged, `—` not
    /// applicable, `?` not tested.
    #[schemars(inner(regex(pattern = r"^(✓\*?|[~✗!—?])$")))]
    pub signs: Vec<&'static str>,
}

/// The findings of the newest usable version that the version before it does not show: the last one before it that can tell. Each
/// subject counts by itself: one declaration may have many, and a new one is news.
pub fn new_in_newest(runs: &[VersionRecords]) -> Vec<FindingHistory> {
    let Some(newest) = runs.iter().rposition(|run| run.records.is_ok()) else {
        return Vec::new();
    };
    let is_new = |finding: &FindingHistory| {
        let before = finding.shows[..newest].iter().rev().flatten().next();
        finding.shows[newest] == Some(true) && before == Some(&false)
    };
    let mut found = findings(runs, |finding| finding.subject.to_string());
    found.retain(is_new);
    found
}

/// What identifies a finding in the table: its declaration, which may have many subjects.
fn name_of(finding: &Finding) -> String {
    match &finding.known {
        Some(known) => known.name.clone(),
        None => finding.subject.to_string(),
    }
}

impl VersionHistory {
    /// The history of `tool`, which ran with `other`. `runs` has the oldest version first.
    pub fn new(tool: &str, other: &str, configuration: Option<String>, runs: &[VersionRecords]) -> Self {
        let others: BTreeSet<&String> = runs.iter().filter_map(|run| run.beside.as_ref()).collect();
        let is_same = others.len() == 1;
        let columns = runs.iter().map(|run| {
            let marks: Vec<CellMark> = run.records().iter().map(mark).collect();
            let count = |of: &[CellMark]| marks.iter().filter(|mark| of.contains(mark)).count();
            VersionColumn {
                version: run.version.clone(),
                claude_code: run.beside.clone().filter(|_| !is_same),
                unusable: run.records.as_ref().err().cloned(),
                works: count(&[CellMark::Pass, CellMark::Unfaithful]),
                broken: count(&[CellMark::Fail]),
                unjudged: Some(count(&[CellMark::Unjudged])).filter(|count| *count > 0),
            }
        });
        Self {
            schema_version: SchemaVersion::One,
            tool: tool.to_owned(),
            configuration,
            beside: others.first().filter(|_| is_same).map(|version| OtherTool {
                name: other.to_owned(),
                version: (*version).clone(),
            }),
            tiers: tiers(runs),
            versions: columns.collect(),
            findings: findings(runs, name_of),
            cells: cells(runs),
        }
    }

    /// The tool, its configuration, and the other tool.
    fn title(&self) -> String {
        let configuration = self.configuration.as_ref();
        let configuration = configuration.map(|name| format!(" (configuration {name})"));
        let beside = self.beside.as_ref();
        let beside = beside.map(|other| format!(" with {} {}", other.name, other.version));
        let (configuration, beside) = (configuration.unwrap_or_default(), beside.unwrap_or_default());
        format!("{}{configuration}{beside}", self.tool)
    }

    /// For a terminal of `width` columns. Each version has a number, which stands above its signs.
    pub fn to_text(&self, width: usize) -> String {
        let mut text = String::new();
        let mut push = |indent: usize, line: &str| {
            if line.is_empty() {
                text.push('\n');
            }
            // A terminal too narrow for the signs breaks the lines itself.
            let lines = grid::wrap(line, width.saturating_sub(indent).max(20))
                .into_iter()
                .enumerate();
            for (index, line) in lines {
                let indent = indent + if index > 0 { 2 } else { 0 };
                let _ = writeln!(text, "{:indent$}{line}", "");
            }
        };
        let versions = counted(self.versions.len(), "version");
        push(0, &format!("{versions} of {}, the oldest first:", self.title()));
        for (number, column) in (1..).zip(&self.versions) {
            let what = match &column.unusable {
                Some(why) => format!("could not be run: {why}"),
                None => {
                    let unjudged = column.unjudged_in_words();
                    let unjudged = unjudged.map_or_else(String::new, |words| format!(", {words}"));
                    format!("{} work, {} do not{unjudged}", column.works, column.broken)
                }
            };
            push(2, &format!("{number:>2}  {}  {what}", column.title()));
        }
        let numbers = || 1..=self.versions.len();
        if !self.findings.is_empty() {
            push(0, "");
            push(
                0,
                "Findings (● shows, · does not, ? not known), one sign for each version:",
            );
            push(
                0,
                &numbers()
                    .map(|number| (number % 10).to_string())
                    .collect::<String>(),
            );
        }
        for finding in &self.findings {
            push(0, &format!("{}  {}", finding.strip(), finding.name));
            let (level, indent) = (finding.level_in_words(), finding.shows.len() + 2);
            push(indent, &format!("{} ({level})", finding.loses));
            let (first, last) = (&finding.first_seen, &finding.last_seen);
            let providers = finding.providers.join(", ");
            push(
                indent,
                &format!("{first} to {last}; {providers}: {}", finding.rows()),
            );
            if let Some(link) = &finding.link {
                push(indent, link);
            }
        }
        if !self.cells.is_empty() {
            push(0, "");
            push(0, "Cells, one sign for each version:");
            push(
                0,
                &numbers().map(|number| format!("{number:<3}")).collect::<String>(),
            );
        }
        for cell in &self.cells {
            let signs: String = cell.signs.iter().map(|sign| format!("{sign:<3}")).collect();
            push(0, &format!("{signs}{}", cell.cell));
        }
        push(0, "");
        push(
            0,
            &CellMark::ALL
                .map(|mark| format!("{} {}", mark.sign(), mark.words()))
                .join("   "),
        );
        text
    }

    pub fn to_markdown(&self) -> String {
        let mut text = format!("# Versions of {}\n\n", escaped(&self.title()));
        text += "| version | features work in | do not work in | |\n|---|---|---|---|\n";
        for column in &self.versions {
            let why = match &column.unusable {
                Some(why) => format!("could not be run: {}", escaped(why)),
                None => column.unjudged_in_words().unwrap_or_default(),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {why} |",
                column.title(),
                column.works,
                column.broken
            );
        }
        text +=
            "\n## Findings\n\n`●` shows, `·` does not show, `?` is not known; the oldest version first.\n\n";
        text += "| finding | level | providers | first seen | last seen | versions | rows | the user loses |\n|---|---|---|---|---|---|---|---|\n";
        for finding in &self.findings {
            let name = match &finding.link {
                Some(link) if link.contains("://") => format!("[{}]({link})", escaped(&finding.name)),
                Some(page) => format!("{} (`{page}`)", escaped(&finding.name)),
                None => escaped(&finding.name),
            };
            let _ = writeln!(
                text,
                "| {name} | {} | {} | {} | {} | `{}` | {} | {} |",
                finding.level_in_words(),
                finding.providers.join(", "),
                finding.first_seen,
                finding.last_seen,
                finding.strip(),
                finding.rows(),
                escaped(&finding.loses)
            );
        }
        text += "\n## Cells\n\n| cell |";
        for column in &self.versions {
            let _ = write!(text, " {} |", column.version);
        }
        text += "\n|---|";
        text += &"---|".repeat(self.versions.len());
        text += "\n";
        for cell in &self.cells {
            let _ = writeln!(text, "| {} | {} |", escaped(&cell.cell), cell.signs.join(" | "));
        }
        text
    }
}

impl VersionColumn {
    /// The version, and the Claude Code beside it.
    fn title(&self) -> String {
        let claude = self.claude_code.as_ref();
        let claude = claude.map(|version| format!(" with Claude Code {version}"));
        format!("{}{}", self.version, claude.unwrap_or_default())
    }

    fn unjudged_in_words(&self) -> Option<String> {
        let unjudged = self.unjudged?;
        Some(format!("{unjudged} could not be judged"))
    }
}

impl VersionRecords {
    /// None if the version could not be run.
    fn records(&self) -> &[TrialRecord] {
        self.records.as_deref().unwrap_or_default()
    }

    /// The causes, `3 auth, 1 config`, if trials ran and none could be judged.
    pub fn why_unjudged(&self) -> Option<String> {
        let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
        for record in self.records() {
            match (mark(record), record.cause) {
                (CellMark::NotApplicable, _) => {}
                (CellMark::Unjudged, Some(cause)) => *causes.entry(cause.as_str()).or_default() += 1,
                _ => return None,
            }
        }
        let causes = causes.iter().map(|(cause, trials)| format!("{trials} {cause}"));
        let causes: Vec<String> = causes.collect();
        (!causes.is_empty()).then(|| causes.join(", "))
    }
}

impl FindingHistory {
    /// The rows in which it shows, once each.
    fn rows(&self) -> String {
        let rows = self.cells.iter().filter_map(|cell| cell.split("::").next());
        let rows: IndexSet<&str> = rows.collect();
        rows.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// Whether both are the same finding with the same history.
    fn is_like(&self, other: &Self) -> bool {
        let of = |one: &Self| (one.name.clone(), one.level, one.shows.clone());
        of(self) == of(other)
    }

    /// Adds the providers of a history that is like this one.
    fn join(&mut self, other: Self) {
        self.providers.extend(other.providers);
        self.cells.extend(other.cells);
    }

    /// `NAME (PROVIDER, …)`.
    pub fn title(&self) -> String {
        format!("{} ({})", self.name, self.providers.join(", "))
    }

    fn strip(&self) -> String {
        let sign = |shows: &Option<bool>| match shows {
            Some(true) => '●',
            Some(false) => '·',
            None => '?',
        };
        self.shows.iter().map(sign).collect()
    }

    fn level_in_words(&self) -> &'static str {
        match self.level {
            Level::Feature => "feature",
            Level::Contract => "contract",
        }
    }
}

/// The findings of all runs. Those with the same name are one.
fn findings(runs: &[VersionRecords], name_of: impl Fn(&Finding) -> String) -> Vec<FindingHistory> {
    let mut found: IndexMap<(String, &ProviderId), (FindingHistory, Showing)> = IndexMap::new();
    for run in runs {
        for record in run.records() {
            for finding in &record.findings {
                let name = name_of(finding);
                let key = (name.clone(), &record.provider);
                let (history, showing) = found.entry(key).or_insert_with(|| {
                    let history = FindingHistory {
                        name,
                        providers: vec![record.provider.to_string()],
                        level: finding.level,
                        loses: finding.loses.clone(),
                        link: finding.known.as_ref().map(|known| known.link.clone()),
                        first_seen: run.version.clone(),
                        last_seen: run.version.clone(),
                        shows: Vec::new(),
                        cells: Vec::new(),
                    };
                    (history, Showing::new())
                });
                history.level = history.level.min(finding.level);
                history.last_seen.clone_from(&run.version);
                *showing.entry(&record.nodeid).or_default() |= record.ended_early();
                let cell = record.nodeid.cell.to_string();
                if !history.cells.contains(&cell) {
                    history.cells.push(cell);
                }
            }
        }
    }
    let mut histories: Vec<FindingHistory> = Vec::new();
    for (mut history, showing) in found.into_values() {
        let is_this = |finding: &Finding| name_of(finding) == history.name;
        let of = |run: &VersionRecords| shows(is_this, &showing, run.records());
        history.shows = runs.iter().map(of).collect();
        match histories.iter_mut().find(|other| other.is_like(&history)) {
            Some(other) => other.join(history),
            None => histories.push(history),
        }
    }
    histories.sort_by_key(|history| history.level);
    histories
}

/// The trials that show a finding on some version. Each with whether it ended early there all the same.
type Showing<'a> = BTreeMap<&'a TrialName, bool>;

/// Whether `records` show the finding. Only a trial that shows it on some version can say that it does not. A trial that ended
/// early says so only if it ended early there too.
fn shows(is_this: impl Fn(&Finding) -> bool, showing: &Showing<'_>, records: &[TrialRecord]) -> Option<bool> {
    let of_finding = |record: &&TrialRecord| showing.contains_key(&record.nodeid);
    let has = |record: &TrialRecord| record.findings.iter().any(&is_this);
    let can_tell = |record: &TrialRecord| match mark(record) {
        CellMark::Unjudged | CellMark::NotApplicable => false,
        _ => !record.ended_early() || showing.get(&record.nodeid) == Some(&true),
    };
    match records.iter().filter(of_finding).any(has) {
        true => Some(true),
        false => records.iter().filter(of_finding).any(can_tell).then_some(false),
    }
}

/// The state of one trial.
fn mark(record: &TrialRecord) -> CellMark {
    match &record.result {
        TrialResult::NotApplicable { .. } => CellMark::NotApplicable,
        TrialResult::Fail { .. } if record.cause.is_some_and(|cause| !cause.is_judged()) => {
            CellMark::Unjudged
        }
        TrialResult::Fail { .. } => CellMark::Fail,
        TrialResult::Pass {} if record.findings.is_empty() => CellMark::Pass,
        TrialResult::Pass {} => CellMark::Unfaithful,
    }
}

/// The tiers of all trials, in the order of their names.
fn tiers(runs: &[VersionRecords]) -> Vec<TierId> {
    let all = runs.iter().flat_map(VersionRecords::records);
    let tiers: BTreeSet<&TierId> = all.map(|record| &record.tier).collect();
    tiers.into_iter().cloned().collect()
}

fn cells(runs: &[VersionRecords]) -> Vec<CellHistory> {
    let all = runs.iter().flat_map(VersionRecords::records);
    let names: BTreeSet<CellId> = all.map(|record| record.nodeid.cell.clone()).collect();
    let sign = |run: &VersionRecords, cell: &CellId| {
        let own = run
            .records()
            .iter()
            .filter(|record| record.nodeid.cell == *cell)
            .map(mark);
        own.max_by_key(|mark| severity(*mark))
            .unwrap_or(CellMark::NotTested)
            .sign()
    };
    let history = |cell: CellId| CellHistory {
        signs: runs.iter().map(|run| sign(run, &cell)).collect(),
        cell: cell.to_string(),
    };
    names.into_iter().map(history).collect()
}

/// The worst trial decides the sign of a cell.
fn severity(mark: CellMark) -> usize {
    let order = [
        CellMark::NotTested,
        CellMark::NotApplicable,
        CellMark::Pass,
        CellMark::Flaky,
        CellMark::Unfaithful,
    ];
    order
        .iter()
        .position(|other| *other == mark)
        .unwrap_or(match mark {
            CellMark::Unjudged => order.len(),
            _ => order.len() + 1,
        })
}

#[cfg(test)]
mod tests;
