//! The matrix on a terminal: of a run, tier by tier, and of any published file.

use std::collections::{BTreeMap, HashMap};

use super::baseline::BaselineComparison;
use super::details::{DETAILS, Details, TierDetails, headline};
use super::diff::{CellChange, ChangeKind, Diff};
use super::published::Matrix;
use super::view::ManifestView;
use crate::evidence::Behind;
use crate::findings::Level;
use crate::findings::summary::{FindingGroup, RunFinding, by_change};
use crate::ids::{CellId, TrialName};
use crate::outcome::{Cause, CheckResult, TrialVerdict, Verdict};
use crate::report::Paint;
use crate::report::grid::{self, CellMark, Grid, GridRow};
use crate::report::paint::{DIM, HEADING};
use crate::results::faults;
use crate::results::{CellStatus, Results, StatusWord, TrialRecord, UNKNOWN_VERSION, client_format_in_words};
use crate::text::{counted, duration_in_words, first_names};
use crate::wire::Route;

const PLACE_UNKNOWN: &str = "not compared, because this run did not configure the gateway: the location on Vertex AI, the quota project and \
                            the geography on Bedrock";

/// Text in at most `width` columns.
struct Screen {
    text: String,
    width: usize,
    paint: Paint,
}

impl Screen {
    fn new(width: usize, paint: Paint) -> Self {
        Self {
            text: String::new(),
            width,
            paint,
        }
    }

    fn push(&mut self, words: &str, style: anstyle::Style) {
        for line in grid::wrap(words, self.width) {
            let line = self.paint.apply(style, &line);
            self.text.push_str(&format!("{line}\n"));
        }
    }

    fn push_indented(&mut self, words: &str, indent: usize) {
        for line in grid::wrap(words, self.width.saturating_sub(indent)) {
            self.text.push_str(&format!("{:indent$}{line}\n", ""));
        }
    }

    fn blank_line(&mut self) {
        self.text.push('\n');
    }
}

/// The matrix of a run: a sign per cell, or one per tier that ran where the tiers of a cell differ, then legend and counts.
/// Leaves out results that the manifest does not know. Ends with a newline.
pub fn of_run(manifest: &ManifestView, results: &Results, width: usize, paint: Paint) -> String {
    let trials: HashMap<&TrialName, &TrialRecord> = results
        .results
        .iter()
        .map(|trial| (&trial.nodeid, trial))
        .collect();
    let shown = manifest.clone().of_tried_tiers(results).tiers;
    let marks = |cell: CellId| -> Vec<CellMark> {
        let names = shown.iter().map(|tier| cell.trial(tier));
        names
            .map(|name| {
                trials
                    .get(&name)
                    .map_or(CellMark::NotTested, |trial| mark_of_trial(trial))
            })
            .collect()
    };
    let rows = manifest.features.iter().map(|(id, name)| {
        let providers = manifest.providers.iter();
        GridRow {
            title: name.clone(),
            cells: providers
                .map(|provider| marks(CellId::new(id, provider)))
                .collect(),
        }
    });
    let table = Grid {
        rows: rows.collect(),
        columns: manifest.providers.iter().map(ToString::to_string).collect(),
    };
    let tiers: Vec<&str> = shown.iter().map(|tier| tier.as_str()).collect();
    let mut screen = Screen::new(width, paint);
    screen.push_table(table, &tiers, "trial", true);
    let checks = results
        .results
        .iter()
        .map(|trial| (trial.nodeid.cell.clone(), trial.expectations.as_slice()));
    screen.push_remarks(&checks.collect::<Vec<_>>());
    let has_place = |trial: &TrialRecord| {
        let route = Route::called(trial.nodeid.cell.provider.as_str());
        matches!(
            route,
            Some(Route::VertexAi | Route::BedrockInvoke | Route::BedrockConverse)
        )
    };
    let is_attached = results.run.gateway.kind == "attached";
    if is_attached && results.run.behind == Behind::Simulated && results.results.iter().any(has_place) {
        screen.push(PLACE_UNKNOWN, DIM);
    }
    screen.push_findings(&results.findings);
    screen.text
}

/// [`of_run`], and why trials could not be judged, each reason once.
pub fn of_results(manifest: &ManifestView, results: &Results, width: usize, paint: Paint) -> String {
    let text = of_run(manifest, results, width, paint);
    let mut screen = Screen { text, width, paint };
    for (text, trials) in faults::not_judged(results) {
        let (count, names) = (counted(trials.len(), "trial"), first_names(&trials));
        let title = format!("{} {count} not judged: {names}", CellMark::Unjudged.sign());
        screen.blank_line();
        screen.push(&title, CellMark::Unjudged.style());
        screen.push_indented(&text, 2);
    }
    screen.text
}

/// A kept run in a few lines: name, time, what ran, counts. `is_last` marks the run of `compat-results.json`.
pub fn of_kept_run(name: &str, results: &Results, is_last: bool, width: usize, paint: Paint) -> String {
    let run = &results.run;
    let mark = if is_last { '*' } else { ' ' };
    let behind = match run.behind {
        Behind::Live => "live",
        Behind::Simulated => "simulated",
    };
    let words = format!(
        "{behind}, {}{}, Claude Code {}, {}",
        run.gateway.in_words(),
        client_format_in_words(run.client_format.as_ref()),
        run.claude_code_version.as_deref().unwrap_or(UNKNOWN_VERSION),
        duration_in_words(run.duration().as_secs())
    );
    let mut screen = Screen::new(width, paint);
    screen.push(&format!("{mark} {name}"), HEADING);
    screen.push_indented(&words, 4);
    if !run.complete {
        let rest = counted(run.unfinished.len(), "trial");
        screen.push_indented(&format!("not complete: {rest} did not finish"), 4);
    }
    let mut counts = BTreeMap::new();
    for trial in &results.results {
        *counts.entry(mark_of_trial(trial)).or_insert(0) += 1;
    }
    screen.text.push_str("    ");
    screen.width = width.saturating_sub(4);
    screen.push_counts(&counts, "trial");
    screen.text
}

/// A published matrix: versions, a sign per cell (or, with its details, one per tier where the tiers of a cell differ),
/// legend, counts and failures. Ends with a newline.
pub fn of_matrix(matrix: &Matrix, details: Option<&Details>, width: usize, paint: Paint) -> String {
    let mut screen = Screen::new(width, paint);
    screen.push(&headline(matrix, details), HEADING);
    screen.blank_line();
    let tiers = details.map(Details::tier_names).unwrap_or_default();
    let unit = if tiers.is_empty() { "cell" } else { "trial" };
    screen.push_table(table_of(matrix, details), &tiers, unit, false);
    if let Some(details) = details {
        let mut checks = Vec::new();
        for (cell, ..) in matrix.cells() {
            let tiers = details.tiers(&cell).iter();
            checks.extend(tiers.map(|tier| (cell.clone(), tier.expectations.as_slice())));
        }
        screen.push_remarks(&checks);
        screen.push_findings(&details.findings);
    }
    for (error, places) in matrix.failures() {
        screen.blank_line();
        for (name, provider) in places {
            let title = format!("{} {name}, {provider}", CellMark::Fail.sign());
            screen.push(&title, CellMark::Fail.style());
        }
        screen.push_indented(error, 2);
    }
    screen.text
}

/// The mark of each tier of a cell; without details, that of the cell.
pub(super) fn marks(details: Option<&Details>, cell: &CellId, status: &CellStatus) -> Vec<CellMark> {
    match details.map(|details| details.tiers(cell)) {
        Some(tiers) if !tiers.is_empty() => tiers.iter().map(mark_of_tier).collect(),
        _ => vec![status.word().into()],
    }
}

fn table_of(matrix: &Matrix, details: Option<&Details>) -> Grid {
    let mut cells = matrix
        .cells()
        .map(|(cell, _, status)| marks(details, &cell, status));
    let rows = matrix.features.iter().map(|feature| GridRow {
        title: feature.name.clone(),
        cells: cells.by_ref().take(feature.providers.len()).collect(),
    });
    Grid {
        rows: rows.collect(),
        columns: matrix.providers.iter().map(ToString::to_string).collect(),
    }
}

/// A comparison: the most urgent kinds of change first, each cell with its new and its old text. Ends with a newline.
pub fn of_diff(diff: &Diff, width: usize, paint: Paint) -> String {
    let mut screen = Screen::new(width, paint);
    screen.push(&diff.headline(), HEADING);
    for kind in ChangeKind::ALL {
        let number = diff.of_kind(kind).count();
        if number == 0 {
            continue;
        }
        let heading = paint.apply(HEADING, &format!("{} ({number})", kind.heading()));
        screen.text.push_str(&format!("\n{heading}\n"));
        for change in diff.of_kind(kind) {
            screen.push_change(change);
        }
    }
    let unchanged = match (diff.changes.len(), diff.unchanged) {
        (0, unchanged) => format!("no cell of {unchanged} changed"),
        (_, unchanged) => format!("{} unchanged", counted(unchanged, "cell")),
    };
    screen.text.push_str(&format!("\n{unchanged}\n"));
    screen.text
}

/// A run compared with its baseline: regressions, new findings, stale entries, a hint, and notes. Ends with a newline.
pub fn of_baseline(compared: &BaselineComparison, width: usize, paint: Paint) -> String {
    let mut screen = Screen::new(width, paint);
    for change in &compared.regressions {
        let error = "error: a cell passes in the baseline and fails now";
        screen.push(error, CellMark::Fail.style());
        screen.push_change(change);
    }
    for finding in by_change(&compared.new_findings) {
        let error = "error: a finding is neither known nor in the baseline";
        screen.push(error, CellMark::Fail.style());
        screen.push_finding(&finding);
    }
    if compared.is_accepted() {
        let words = "baseline: no regressions, no new findings, no stale entries";
        screen.push(words, CellMark::Pass.style());
    }
    for stale in &compared.stale {
        let error = format!("error: stale baseline entry: {stale}");
        screen.push(&error, CellMark::Fail.style());
    }
    if !compared.stale.is_empty() {
        let hint = "hint: once no cell regresses, run every trial and write a new baseline with `compat matrix build`";
        screen.push(hint, DIM);
    }
    for note in notes(compared) {
        screen.push(&format!("note: {note}"), DIM);
    }
    screen.text
}

/// What did not count, and why not.
fn notes(compared: &BaselineComparison) -> Vec<String> {
    let mut notes = Vec::new();
    match compared.accepted {
        0 => {}
        1 => notes.push("1 cell fails in the baseline too".into()),
        number => notes.push(format!("{number} cells fail in the baseline too")),
    }
    if compared.lacks_details {
        notes.push(format!(
            "the findings of these cells were not compared: the baseline has no `{DETAILS}` of its run beside it"
        ));
    }
    match compared.known {
        0 => {}
        number => notes.push(format!(
            "{} passed in the baseline and {} broken only as known",
            counted(number, "cell"),
            if number == 1 { "is" } else { "are" }
        )),
    }
    match compared.untried {
        0 => {}
        1 => notes.push("1 cell of the baseline was not tried on every tier".into()),
        number => notes.push(format!(
            "{number} cells of the baseline were not tried on every tier"
        )),
    }
    notes.extend(compared.unmeasured.iter().map(|change| {
        let (feature, provider, words) = (&change.feature, &change.provider, change.words());
        match change.old {
            None => format!("`{feature}::{provider}` does not count: {words}, and not in the baseline"),
            Some(_) => format!("`{feature}::{provider}` does not count: {words} since the baseline"),
        }
    }));
    notes
}

impl Screen {
    /// The table of all marks, with one mark for a cell in which all agree, and the legend. That of a run has only the rows with
    /// a trial.
    fn push_table(&mut self, mut table: Grid, tiers: &[&str], unit: &str, is_run: bool) {
        let mut counts = BTreeMap::new();
        let mut several = false;
        for cell in table.rows.iter_mut().flat_map(|row| &mut row.cells) {
            cell.iter()
                .for_each(|mark| *counts.entry(*mark).or_insert(0) += 1);
            if cell.iter().all(|mark| mark == &cell[0]) {
                cell.truncate(1);
            }
            several |= cell.len() > 1;
        }
        let rows = table.rows.len();
        let is_tested = |row: &GridRow| {
            row.cells
                .iter()
                .flatten()
                .any(|mark| *mark != CellMark::NotTested)
        };
        table.rows.retain(|row| !is_run || is_tested(row));
        self.text.push_str(&grid::render(&table, self.width, self.paint));
        self.blank_line();
        if table.rows.len() < rows {
            let hidden = counted(rows - table.rows.len(), "row");
            self.push(&format!("not shown: {hidden} without a trial"), DIM);
        }
        if several {
            let order = format!("several signs in a cell: {}, in this order", tiers.join(", "));
            self.push(&order, DIM);
        }
        self.push_counts(&counts, unit);
    }

    /// Legend and counts in one: `✓ 70 pass   ✗ 2 fail   — 18 not applicable   of 90 trials`. `pass` and `fail` are
    /// always there, the others where their count is not 0.
    fn push_counts(&mut self, counts: &BTreeMap<CellMark, usize>, unit: &str) {
        let count = |mark| counts.get(&mark).copied().unwrap_or(0);
        let shown = CellMark::ALL
            .into_iter()
            .filter(|mark| count(*mark) > 0 || matches!(mark, CellMark::Pass | CellMark::Fail));
        let mut items: Vec<(String, String)> = shown
            .map(|mark| {
                let words = format!("{} {}", count(mark), mark.words());
                let sign = self.paint.apply(mark.style(), mark.sign());
                (format!("{} {words}", mark.sign()), format!("{sign} {words}"))
            })
            .collect();
        let total = format!("of {}", counted(counts.values().sum(), unit));
        items.push((total.clone(), total));
        let mut used = 0;
        for (plain, painted) in items {
            let length = plain.chars().count();
            if used > 0 && used + 3 + length > self.width {
                self.blank_line();
                used = 0;
            } else if used > 0 {
                self.text.push_str("   ");
                used += 3;
            }
            self.text.push_str(&painted);
            used += length;
        }
        self.blank_line();
    }

    /// What the gateway breaks, each change once.
    fn push_findings(&mut self, findings: &[RunFinding]) {
        if findings.is_empty() {
            return;
        }
        let groups = by_change(findings);
        let heading = self.paint.apply(HEADING, &format!("findings ({})", groups.len()));
        self.text.push_str(&format!("\n{heading}\n"));
        for group in &groups {
            self.push_finding(group);
        }
    }

    fn push_finding(&mut self, group: &FindingGroup<'_>) {
        let mark = CellMark::from(group.level());
        let mut sign = format!("{:3}", mark.sign());
        for (index, line) in group
            .lines()
            .iter()
            .flat_map(|line| grid::wrap(line, self.width.saturating_sub(3)))
            .enumerate()
        {
            if index == 0 {
                sign = self.paint.apply(mark.style(), &sign);
            }
            self.text.push_str(&format!("{sign}{line}\n"));
            sign = "   ".into();
        }
    }

    /// What the signs do not show: expectations that were not judged.
    fn push_remarks(&mut self, checks: &[(CellId, &[CheckResult])]) {
        let count = |checks: &[CheckResult]| {
            let not_judged = checks.iter().filter(|check| check.verdict == Verdict::NotJudged);
            not_judged.count()
        };
        let total: usize = checks.iter().map(|(_, checks)| count(checks)).sum();
        let words = format!(
            "not judged, because they need a simulated run through a gateway: {}",
            counted(total, "expectation")
        );
        let cells = checks.iter().filter(|(_, checks)| count(checks) > 0);
        let mut cells: Vec<String> = cells.map(|(cell, _)| cell.to_string()).collect();
        cells.dedup();
        match cells.len() {
            0 => {}
            1..=5 => self.push(&format!("{words} in {}", cells.join(", ")), DIM),
            number => self.push(&format!("{words} in {}", counted(number, "cell")), DIM),
        }
    }

    fn push_change(&mut self, change: &CellChange) {
        let now = change.new.as_ref().or(change.old.as_ref());
        let mark = now.map_or(CellMark::NotTested, |status| status.word().into());
        let fault = match change.fault() {
            fault if fault.is_empty() => fault,
            fault => format!("  [{fault}]"),
        };
        let title = format!("{}, {}: {}{fault}", change.name, change.provider, change.words());
        let mut sign = self.paint.apply(mark.style(), mark.sign());
        for line in grid::wrap(&title, self.width.saturating_sub(4)) {
            self.text.push_str(&format!("  {sign} {line}\n"));
            sign = " ".into();
        }
        if let Some(text) = change.new.as_ref().and_then(CellStatus::text) {
            self.push_indented(text, 6);
        }
    }
}

impl From<StatusWord> for CellMark {
    fn from(word: StatusWord) -> Self {
        match word {
            StatusWord::Pass => Self::Pass,
            StatusWord::Fail => Self::Fail,
            StatusWord::NotApplicable => Self::NotApplicable,
            StatusWord::NotTested => Self::NotTested,
        }
    }
}

impl From<Level> for CellMark {
    fn from(level: Level) -> Self {
        match level {
            Level::Feature => Self::Fail,
            Level::Contract => Self::Unfaithful,
        }
    }
}

pub(super) fn mark_of_trial(trial: &TrialRecord) -> CellMark {
    let status = CellStatus::from(trial.result.clone());
    mark(status.word(), trial.verdict, trial.cause, trial.flaky)
}

pub(super) fn mark_of_tier(tier: &TierDetails) -> CellMark {
    mark(tier.status, tier.verdict, tier.cause, tier.flaky)
}

fn mark(word: StatusWord, verdict: Option<TrialVerdict>, cause: Option<Cause>, flaky: bool) -> CellMark {
    match word {
        StatusWord::Pass if flaky => CellMark::Flaky,
        StatusWord::Pass if verdict == Some(TrialVerdict::Unfaithful) => CellMark::Unfaithful,
        StatusWord::Fail if cause.is_some_and(|cause| !cause.is_judged()) => CellMark::Unjudged,
        other => other.into(),
    }
}
