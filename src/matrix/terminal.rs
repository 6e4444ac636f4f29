//! The matrix on a terminal: after a run, tier by tier; and of any published file.

use std::collections::{BTreeMap, HashMap};

use super::baseline::Verdict;
use super::details::{Details, TierDetails};
use super::diff::{Change, Diff, Kind};
use super::published::Matrix;
use super::view::ManifestView;
use crate::evidence::Behind;
use crate::ids::{CellId, TrialName};
use crate::outcome;
use crate::outcome::{Cause, CheckResult};
use crate::report::Paint;
use crate::report::grid::{self, Grid, Mark, Row};
use crate::report::paint::{DIM, HEADING};
use crate::results::json::timestamp;
use crate::results::{CellStatus, Results, StatusWord, TrialRecord};

/// The matrix of a run, in at most `width` columns: a sign a cell, or one a tier where the tiers of a cell differ;
/// legend and counts below it. Results of nothing that the manifest knows are left out. Ends with a newline.
pub fn of_run(manifest: &ManifestView, results: &Results, width: usize, paint: Paint) -> String {
    let entries: HashMap<&TrialName, &TrialRecord> = results
        .results
        .iter()
        .map(|entry| (&entry.nodeid, entry))
        .collect();
    let marks = |cell: &CellId| -> Vec<Mark> {
        let names = manifest.tiers.iter().map(|tier| cell.trial(tier));
        names
            .map(|name| entries.get(&name).map_or(Mark::NotTested, |entry| mark(entry)))
            .collect()
    };
    let rows = manifest.features.iter().map(|(id, name)| {
        let cells = manifest.providers.iter().map(|provider| {
            marks(&CellId {
                feature: id.clone(),
                provider: provider.clone(),
            })
        });
        Row {
            title: name.clone(),
            cells: cells.collect(),
        }
    });
    let table = Grid {
        rows: rows.collect(),
        columns: manifest.providers.iter().map(ToString::to_string).collect(),
    };
    let tiers: Vec<&str> = manifest.tiers.iter().map(|tier| tier.as_str()).collect();
    let mut text = with_legend(table, &tiers, "trials", width, paint);
    let judged = results
        .results
        .iter()
        .map(|entry| (entry.nodeid.cell.clone(), entry.expectations.as_slice()));
    push_remarks(&mut text, &judged.collect::<Vec<_>>(), width, paint);
    text
}

fn push_remarks(text: &mut String, judged: &[(CellId, &[CheckResult])], width: usize, paint: Paint) {
    for remark in remarks(judged) {
        push_lines(text, &grid::wrap(&remark, width), |line| paint.apply(DIM, line));
    }
}

/// What the signs do not show: passes that rest on declared known failures, and what could not be judged.
fn remarks(judged: &[(CellId, &[CheckResult])]) -> Vec<String> {
    let told = [
        (outcome::Verdict::KnownFailure, "a declared known failure showed"),
        (
            outcome::Verdict::NotJudged,
            "what only a simulated run through a gateway shows was not judged",
        ),
    ];
    let remark = |(verdict, words)| {
        let showed = |judged: &[CheckResult]| judged.iter().any(|judged| judged.verdict == verdict);
        let cells = judged.iter().filter(|(_, judged)| showed(judged));
        let mut cells: Vec<String> = cells.map(|(cell, _)| cell.to_string()).collect();
        cells.dedup();
        match cells.len() {
            0 => None,
            1..=5 => Some(format!("{words} in {}", cells.join(", "))),
            number => Some(format!("{words} in {number} cells")),
        }
    };
    told.into_iter().filter_map(remark).collect()
}

/// A published matrix, in at most `width` columns: what it was made of, a sign a cell (or, with its details, one a tier
/// where the tiers of a cell differ), legend and counts, and then what failed. Ends with a newline.
pub fn of_matrix(matrix: &Matrix, details: Option<&Details>, width: usize, paint: Paint) -> String {
    let mut text = String::new();
    push_lines(
        &mut text,
        &grid::wrap(&headline(matrix, details), width),
        |line| paint.apply(HEADING, line),
    );
    text.push('\n');
    text.push_str(&matrix_table(matrix, details, width, paint));
    if let Some(details) = details {
        let tiers = |cell: CellId| {
            let judged = details
                .tiers(&cell)
                .iter()
                .map(|tier| tier.expectations.as_slice());
            judged
                .map(move |judged| (cell.clone(), judged))
                .collect::<Vec<_>>()
        };
        let judged: Vec<_> = matrix.cells().flat_map(|(cell, ..)| tiers(cell)).collect();
        push_remarks(&mut text, &judged, width, paint);
    }
    for (error, places) in matrix.failures() {
        text.push('\n');
        for (name, provider) in places {
            let title = format!("{} {name}, {provider}", Mark::Fail.sign());
            push_lines(&mut text, &grid::wrap(&title, width), |line| {
                paint.apply(Mark::Fail.style(), line)
            });
        }
        push_lines(&mut text, &grid::wrap(error, width.saturating_sub(2)), |line| {
            format!("  {line}")
        });
    }
    text
}

fn matrix_table(matrix: &Matrix, details: Option<&Details>, width: usize, paint: Paint) -> String {
    let marks = |cell: &CellId, status: &CellStatus| -> Vec<Mark> {
        match details.map(|details| details.tiers(cell)) {
            Some(tiers) if !tiers.is_empty() => tiers.iter().map(mark_of_tier).collect(),
            _ => vec![mark_of_status(status)],
        }
    };
    let mut cells = matrix.cells().map(|(cell, _, status)| marks(&cell, status));
    let rows = matrix.features.iter().map(|feature| Row {
        title: feature.name.clone(),
        cells: cells.by_ref().take(feature.providers.0.len()).collect(),
    });
    let table = Grid {
        rows: rows.collect(),
        columns: matrix.providers.iter().map(ToString::to_string).collect(),
    };
    let tiers = details.map(Details::tier_names).unwrap_or_default();
    let unit = if tiers.is_empty() { "cells" } else { "trials" };
    with_legend(table, &tiers, unit, width, paint)
}

/// The table of all marks, those of a cell made one where they agree, and what they mean.
fn with_legend(mut table: Grid, tiers: &[&str], unit: &str, width: usize, paint: Paint) -> String {
    let mut counts = BTreeMap::new();
    for cell in table.rows.iter_mut().flat_map(|row| &mut row.cells) {
        cell.iter()
            .for_each(|mark| *counts.entry(*mark).or_insert(0) += 1);
        if cell.iter().all(|mark| mark == &cell[0]) {
            cell.truncate(1);
        }
    }
    let mut text = grid::render(&table, width, paint);
    text.push('\n');
    if table
        .rows
        .iter()
        .flat_map(|row| &row.cells)
        .any(|cell| cell.len() > 1)
    {
        let order = format!("several signs in a cell: {}, in this order", tiers.join(", "));
        push_lines(&mut text, &grid::wrap(&order, width), |line| {
            paint.apply(DIM, line)
        });
    }
    text.push_str(&summary(&counts, unit, width, paint));
    text
}

/// A comparison, in at most `width` columns: the kinds of change that there are, the most urgent first, each cell with
/// what it says now and what it said before. Ends with a newline.
pub fn of_diff(diff: &Diff, width: usize, paint: Paint) -> String {
    let mut text = String::new();
    push_lines(&mut text, &grid::wrap(&diff.headline(), width), |line| {
        paint.apply(HEADING, line)
    });
    for kind in Kind::ALL {
        let number = diff.of_kind(kind).count();
        if number == 0 {
            continue;
        }
        text.push_str(&format!(
            "\n{}\n",
            paint.apply(HEADING, &format!("{} ({number})", kind.heading()))
        ));
        for change in diff.of_kind(kind) {
            push_change(&mut text, change, width, paint);
        }
    }
    let unchanged = match (diff.changes.len(), diff.unchanged) {
        (0, unchanged) => format!("no cell of {unchanged} changed"),
        (_, unchanged) => format!("{unchanged} cells unchanged"),
    };
    text.push_str(&format!("\n{unchanged}\n"));
    text
}

/// What a baseline says of a run, in at most `width` columns: each regression, each entry that has had its day, what to do,
/// and what did not count. Ends with a newline.
pub fn of_verdict(verdict: &Verdict, width: usize, paint: Paint) -> String {
    let mut text = String::new();
    let mut say = |words: &str, style| {
        push_lines(&mut text, &grid::wrap(words, width), |line| {
            paint.apply(style, line)
        });
    };
    if verdict.is_accepted() {
        say("baseline: no regressions, no stale entries", Mark::Pass.style());
    }
    for stale in &verdict.stale {
        say(&format!("error: a stale entry: {stale}"), Mark::Fail.style());
    }
    if !verdict.stale.is_empty() {
        let hint =
            "hint: once no cell regresses, make the baseline anew of a whole run with `compat matrix build`";
        say(hint, DIM);
    }
    for note in notes(verdict) {
        say(&format!("note: {note}"), DIM);
    }
    let mut regressions = String::new();
    for change in &verdict.regressions {
        push_lines(
            &mut regressions,
            &grid::wrap("error: a cell that passes in the baseline fails", width),
            |line| paint.apply(Mark::Fail.style(), line),
        );
        push_change(&mut regressions, change, width, paint);
    }
    regressions + &text
}

/// What did not count, and why not.
fn notes(verdict: &Verdict) -> Vec<String> {
    let counted = |number: usize, one: &str, more: &str| match number {
        0 => None,
        1 => Some(format!("1 {one}")),
        number => Some(format!("{number} {more}")),
    };
    let unmeasured = verdict.unmeasured.iter().map(|change| {
        let (feature, provider, words) = (&change.feature, &change.provider, change.words());
        let now = match change.old {
            None => format!("{words}, and not in the baseline"),
            Some(_) => format!("{words} since the baseline"),
        };
        format!("`{feature}::{provider}` is not measured: {now}")
    });
    let told = [
        counted(
            verdict.put_up_with,
            "cell fails in the baseline too",
            "cells fail in the baseline too",
        ),
        counted(
            verdict.untried,
            "cell of the baseline was not tried on every tier",
            "cells of the baseline were not tried on every tier",
        ),
    ];
    told.into_iter().flatten().chain(unmeasured).collect()
}

fn push_change(text: &mut String, change: &Change, width: usize, paint: Paint) {
    let now = change.new.as_ref().or(change.old.as_ref());
    let mark = now.map_or(Mark::NotTested, mark_of_status);
    let fault = Some(change.fault()).filter(|fault| !fault.is_empty());
    let fault = fault.map_or_else(String::new, |fault| format!("  [{fault}]"));
    let title = format!("{}, {}: {}{fault}", change.name, change.provider, change.words());
    let mut sign = paint.apply(mark.style(), mark.sign());
    for line in grid::wrap(&title, width.saturating_sub(4)) {
        text.push_str(&format!("  {sign} {line}\n"));
        sign = " ".into();
    }
    if let Some(said) = change.new.as_ref().and_then(CellStatus::text) {
        push_lines(text, &grid::wrap(said, width.saturating_sub(6)), |line| {
            format!("      {line}")
        });
    }
}

fn headline(matrix: &Matrix, details: Option<&Details>) -> String {
    let (litellm, claude) = (&matrix.litellm_version, &matrix.claude_code_version);
    let evidence = match details.map(|details| details.evidence) {
        Some(Behind::Simulated) => ", simulated providers",
        Some(Behind::Live) => ", live providers",
        None => "",
    };
    let when = timestamp::to_text(&matrix.generated_at);
    format!("LiteLLM {litellm}, Claude Code {claude}, {when}{evidence}")
}

/// The sign of a finished trial.
pub fn mark(entry: &TrialRecord) -> Mark {
    refined(
        mark_of_status(&entry.result.clone().into()),
        entry.cause,
        entry.flaky,
    )
}

fn mark_of_tier(tier: &TierDetails) -> Mark {
    let mark = match tier.status {
        StatusWord::Pass => Mark::Pass,
        StatusWord::Fail => Mark::Fail,
        StatusWord::NotApplicable => Mark::NotApplicable,
        StatusWord::NotTested => Mark::NotTested,
    };
    refined(mark, tier.cause, tier.flaky)
}

fn refined(mark: Mark, cause: Option<Cause>, flaky: bool) -> Mark {
    match mark {
        Mark::Pass if flaky => Mark::Flaky,
        Mark::Fail if cause.is_some_and(|cause| !cause.is_judged()) => Mark::Unjudged,
        other => other,
    }
}

pub fn mark_of_status(status: &CellStatus) -> Mark {
    match status {
        CellStatus::Pass {} => Mark::Pass,
        CellStatus::Fail { .. } => Mark::Fail,
        CellStatus::NotApplicable { .. } => Mark::NotApplicable,
        CellStatus::NotTested {} => Mark::NotTested,
    }
}

/// Legend and counts in one: `✓ 70 pass   ✗ 2 fail   — 18 not applicable   (90 trials)`. `pass` and `fail` are
/// always told, the others where there are some.
fn summary(counts: &BTreeMap<Mark, usize>, unit: &str, width: usize, paint: Paint) -> String {
    let count = |mark| counts.get(&mark).copied().unwrap_or(0);
    let total: usize = counts.values().sum();
    let told = Mark::ALL
        .into_iter()
        .filter(|mark| count(*mark) > 0 || matches!(mark, Mark::Pass | Mark::Fail));
    let mut items: Vec<(String, Option<Mark>)> = told
        .map(|mark| {
            (
                format!("{} {} {}", mark.sign(), count(mark), mark.words()),
                Some(mark),
            )
        })
        .collect();
    items.push((format!("of {total} {unit}"), None));
    let (mut text, mut used) = (String::new(), 0);
    for (item, mark) in items {
        let length = item.chars().count();
        let gap = if used == 0 { 0 } else { 3 };
        if used + gap + length > width && used > 0 {
            text.push('\n');
            used = 0;
        } else {
            text.push_str(&" ".repeat(gap));
            used += gap;
        }
        used += length;
        text.push_str(&match mark {
            Some(mark) => item.replacen(mark.sign(), &paint.apply(mark.style(), mark.sign()), 1),
            None => item,
        });
    }
    text.push('\n');
    text
}

fn push_lines(text: &mut String, lines: &[String], style: impl Fn(&str) -> String) {
    for line in lines {
        text.push_str(&style(line));
        text.push('\n');
    }
}
