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
use crate::report::grid::CellMark;
use crate::results::json::SchemaVersion;
use crate::results::{TrialRecord, TrialResult};

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

/// What identifies a finding over versions.
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
            findings: findings(runs),
            cells: cells(runs),
        }
    }

    /// The findings of the newest usable version that the version before it does not show: the last one before it that can tell.
    pub fn new_in_newest(&self) -> Vec<&FindingHistory> {
        let is_usable = |column: &VersionColumn| column.unusable.is_none();
        let Some(newest) = self.versions.iter().rposition(is_usable) else {
            return Vec::new();
        };
        let is_new = |finding: &&FindingHistory| {
            let before = finding.shows[..newest].iter().rev().flatten().next();
            finding.shows[newest] == Some(true) && before == Some(&false)
        };
        self.findings.iter().filter(is_new).collect()
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

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{} versions of {}, the oldest first:\n",
            self.versions.len(),
            self.title()
        );
        for column in &self.versions {
            let _ = match &column.unusable {
                Some(why) => writeln!(text, "  {}  could not be run: {why}", column.title()),
                None => writeln!(
                    text,
                    "  {}  {} work, {} do not{}",
                    column.title(),
                    column.works,
                    column.broken,
                    column
                        .unjudged_in_words()
                        .map_or_else(String::new, |words| format!(", {words}"))
                ),
            };
        }
        text += "\nFindings (● shows, · does not, ? not known), one sign for each version:\n";
        for finding in &self.findings {
            let _ = writeln!(
                text,
                "{}  {:8}  {}\n{}  {}; {} to {}; {}: {}{}",
                finding.strip(),
                finding.level_in_words(),
                finding.name,
                " ".repeat(finding.shows.len()),
                finding.loses,
                finding.first_seen,
                finding.last_seen,
                finding.providers.join(", "),
                finding.rows(),
                finding
                    .link
                    .as_ref()
                    .map_or_else(String::new, |link| format!("; {link}")),
            );
        }
        text += "\nCells, one sign for each version:\n";
        for cell in &self.cells {
            let _ = writeln!(text, "{}  {}", cell.signs.join(" "), cell.cell);
        }
        text += "\n";
        text += &CellMark::ALL
            .map(|mark| format!("{} {}", mark.sign(), mark.words()))
            .join("   ");
        text + "\n"
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

fn findings(runs: &[VersionRecords]) -> Vec<FindingHistory> {
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
        let of = |run: &VersionRecords| shows(&history.name, &showing, run.records());
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
fn shows(name: &str, showing: &Showing<'_>, records: &[TrialRecord]) -> Option<bool> {
    let of_finding = |record: &&TrialRecord| showing.contains_key(&record.nodeid);
    let has = |record: &TrialRecord| record.findings.iter().any(|finding| name_of(finding) == name);
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
