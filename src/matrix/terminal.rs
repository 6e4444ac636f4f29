//! The matrix on a terminal: after a run, tier by tier; and of any published file.

use std::collections::BTreeMap;

use super::details::Details;
use super::published::Matrix;
use super::view::ManifestView;
use crate::evidence::Behind;
use crate::ids::CellId;
use crate::outcome::Cause;
use crate::report::Paint;
use crate::report::grid::{self, Grid, Mark, Row};
use crate::report::paint::{DIM, HEADING};
use crate::results::json::timestamp;
use crate::results::{CellStatus, Entry, Results, TrialResult};

/// The matrix of a run, in at most `width` columns: a sign a cell, or one a tier where the tiers of a cell differ;
/// legend and counts below it. Results of nothing that the manifest knows are left out. Ends with a newline.
pub fn of_run(manifest: &ManifestView, results: &Results, width: usize, paint: Paint) -> String {
    let marks = |cell: &CellId| -> Vec<Mark> {
        manifest
            .tiers
            .iter()
            .map(|tier| {
                let name = cell.trial(tier);
                results
                    .results
                    .iter()
                    .find(|entry| entry.nodeid == name)
                    .map_or(Mark::NotTested, mark)
            })
            .collect()
    };
    let mut counts = BTreeMap::new();
    let rows = manifest.features.iter().map(|(id, name)| {
        let cells = manifest.providers.iter().map(|provider| {
            let cell = CellId {
                feature: id.clone(),
                provider: provider.clone(),
            };
            let marks = marks(&cell);
            marks
                .iter()
                .for_each(|mark| *counts.entry(*mark).or_insert(0) += 1);
            folded(marks)
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
    let mut text = grid::render(&table, width, paint);
    text.push('\n');
    let tiers: Vec<&str> = manifest.tiers.iter().map(|tier| tier.as_str()).collect();
    if table
        .rows
        .iter()
        .flat_map(|row| &row.cells)
        .any(|cell| cell.len() > 1)
    {
        let order = format!("several signs in a cell: {}, in this order", tiers.join(", "));
        push_wrapped(&mut text, &order, width, paint);
    }
    text.push_str(&summary(&counts, "trials", width, paint));
    text
}

/// A published matrix, in at most `width` columns: what it was made of, a sign a cell, legend and counts, and then what
/// failed, with causes where the details are given. Ends with a newline.
pub fn of_matrix(matrix: &Matrix, details: Option<&Details>, width: usize, paint: Paint) -> String {
    let mut text = String::new();
    for line in grid::wrap(&headline(matrix, details), width) {
        text.push_str(&paint.apply(HEADING, &line));
        text.push('\n');
    }
    text.push('\n');
    let mut counts = BTreeMap::new();
    let rows = matrix.features.iter().map(|feature| {
        let cells = feature.providers.0.iter().map(|(_, status)| {
            let mark = mark_of_status(status);
            *counts.entry(mark).or_insert(0) += 1;
            vec![mark]
        });
        Row {
            title: feature.name.clone(),
            cells: cells.collect(),
        }
    });
    let table = Grid {
        rows: rows.collect(),
        columns: matrix.providers.iter().map(ToString::to_string).collect(),
    };
    text.push_str(&grid::render(&table, width, paint));
    text.push('\n');
    text.push_str(&summary(&counts, "cells", width, paint));
    for (cell, name, status) in matrix.cells() {
        if let CellStatus::Fail { error } = status {
            text.push('\n');
            let title = format!("✗ {name}, {}", cell.provider);
            push_lines(&mut text, &grid::wrap(&title, width), |line| {
                paint.apply(Mark::Fail.style(), line)
            });
            let indented = grid::wrap(error, width.saturating_sub(2));
            push_lines(&mut text, &indented, |line| format!("  {line}"));
            if let Some(tiers) = details.and_then(|details| details.cell(&cell)) {
                let words: Vec<&str> = tiers.causes().into_iter().map(Cause::as_str).collect();
                push_lines(&mut text, &[format!("cause: {}", words.join(", "))], |line| {
                    format!("  {line}")
                });
            }
        }
    }
    text
}

fn headline(matrix: &Matrix, details: Option<&Details>) -> String {
    let (litellm, claude) = (&matrix.litellm_version, &matrix.claude_code_version);
    let evidence = match details.map(|details| details.evidence_kind) {
        Some(Behind::Simulated) => ", simulated providers",
        Some(Behind::Live) => ", live providers",
        None => "",
    };
    let when = timestamp::to_text(&matrix.generated_at);
    format!("LiteLLM {litellm}, Claude Code {claude}, {when}{evidence}")
}

/// The sign of a finished trial.
pub fn mark(entry: &Entry) -> Mark {
    match (&entry.result, entry.cause) {
        (TrialResult::Pass {}, _) if entry.flaky => Mark::Flaky,
        (TrialResult::Pass {}, _) => Mark::Pass,
        (TrialResult::NotApplicable { .. }, _) => Mark::NotApplicable,
        (TrialResult::Fail { .. }, Some(cause)) if !cause.is_judged() => Mark::Unjudged,
        (TrialResult::Fail { .. }, _) => Mark::Fail,
    }
}

/// The sign of a cell.
pub fn mark_of_status(status: &CellStatus) -> Mark {
    match status {
        CellStatus::Pass {} => Mark::Pass,
        CellStatus::Fail { .. } => Mark::Fail,
        CellStatus::NotApplicable { .. } => Mark::NotApplicable,
        CellStatus::NotTested {} => Mark::NotTested,
    }
}

/// One mark where all are the same.
fn folded(marks: Vec<Mark>) -> Vec<Mark> {
    match marks.split_first() {
        Some((first, others)) if others.iter().all(|mark| mark == first) => vec![*first],
        _ => marks,
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

fn push_wrapped(text: &mut String, line: &str, width: usize, paint: Paint) {
    push_lines(text, &grid::wrap(line, width), |line| paint.apply(DIM, line));
}

fn push_lines(text: &mut String, lines: &[String], style: impl Fn(&str) -> String) {
    for line in lines {
        text.push_str(&style(line));
        text.push('\n');
    }
}
