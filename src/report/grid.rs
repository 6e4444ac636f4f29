//! A table of marks for a terminal of a given width.
//!
//! Titles break at underscores, hyphens and spaces. Columns that still do not fit go to another table below.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::paint::{BAD, DIM, GOOD, HEADING, Paint, UNKNOWN};
use crate::text::printable;

/// The state of a trial or of a whole cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CellMark {
    Pass,
    /// It works, and the gateway breaks the contract.
    Unfaithful,
    /// It failed first, then passed.
    Flaky,
    Fail,
    /// It failed for a reason outside gateway and feature.
    Unjudged,
    NotApplicable,
    NotTested,
}

impl CellMark {
    /// Every mark, in the order of a legend.
    pub const ALL: [Self; 7] = [
        Self::Pass,
        Self::Unfaithful,
        Self::Flaky,
        Self::Fail,
        Self::Unjudged,
        Self::NotApplicable,
        Self::NotTested,
    ];

    pub fn sign(self) -> &'static str {
        match self {
            Self::Pass => "✓",
            Self::Unfaithful => "✓*",
            Self::Flaky => "~",
            Self::Fail => "✗",
            Self::Unjudged => "!",
            Self::NotApplicable => "—",
            Self::NotTested => "?",
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Unfaithful => "works, unfaithful",
            Self::Flaky => "flaky",
            Self::Fail => "fail",
            Self::Unjudged => "could not be judged",
            Self::NotApplicable => "not applicable",
            Self::NotTested => "not tested",
        }
    }

    pub fn style(self) -> Style {
        match self {
            Self::Pass | Self::Unfaithful => GOOD,
            Self::Fail => BAD,
            Self::Flaky | Self::Unjudged | Self::NotTested => UNKNOWN,
            Self::NotApplicable => DIM,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    pub columns: Vec<String>,
    /// The rows; each has as many cells as there are columns.
    pub rows: Vec<GridRow>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GridRow {
    pub title: String,
    /// The marks of each cell; all are shown.
    pub cells: Vec<Vec<CellMark>>,
}

/// The smallest width.
pub const NARROWEST: usize = 30;
const GAP: usize = 2;
/// A part of a title longer than this is broken anywhere.
const LONGEST_PART: usize = 16;

/// The table in at most `width` columns of text (at least [`NARROWEST`]); ends with a newline.
pub fn render(grid: &Grid, width: usize, paint: Paint) -> String {
    let width = width.max(NARROWEST);
    let titles: Vec<Vec<String>> = (0..grid.columns.len())
        .map(|column| title(grid, column))
        .collect();
    let widths: Vec<usize> = (0..titles.len())
        .map(|column| column_width(grid, column, &titles[column]))
        .collect();
    let longest_title = grid
        .rows
        .iter()
        .map(|row| one_line(&row.title).width())
        .max()
        .unwrap_or(0);
    let row_title = row_title_width(&widths, width, longest_title);
    panels(&widths, width.saturating_sub(row_title))
        .into_iter()
        .map(|columns| panel(grid, &titles, &widths, columns, row_title, paint))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The width of the longest title, as far as it fits beside the widest column and needs no further table.
fn row_title_width(widths: &[usize], width: usize, longest: usize) -> usize {
    let least = longest.min((width / 4).max(12));
    let widest = widths.iter().max().map_or(0, |widest| widest + GAP);
    let longest = longest.min(width.saturating_sub(widest));
    let tables = |row_title: usize| panels(widths, width.saturating_sub(row_title)).len();
    (least..=longest)
        .rev()
        .find(|row_title| tables(*row_title) == tables(least))
        .unwrap_or(least)
}

/// The columns of each table.
fn panels(widths: &[usize], room: usize) -> Vec<std::ops::Range<usize>> {
    let mut panels = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (column, width) in widths.iter().enumerate() {
        if used + width + GAP > room && column > start {
            panels.push(start..column);
            (start, used) = (column, 0);
        }
        used += width + GAP;
    }
    panels.push(start..widths.len());
    panels
}

/// The lines of a column's title; each title may be as wide as the longest part of any title.
fn title(grid: &Grid, column: usize) -> Vec<String> {
    let titles: Vec<String> = grid.columns.iter().map(|title| one_line(title)).collect();
    let longest = titles
        .iter()
        .flat_map(|title| parts(title))
        .map(UnicodeWidthStr::width)
        .max()
        .unwrap_or(0);
    wrap_parts(
        parts(&titles[column]),
        longest.min(LONGEST_PART).max(marks_width(grid, column)),
    )
}

fn column_width(grid: &Grid, column: usize, title: &[String]) -> usize {
    let title = title.iter().map(|line| line.width()).max().unwrap_or(0);
    title.max(marks_width(grid, column)).max(1)
}

fn marks_width(grid: &Grid, column: usize) -> usize {
    grid.rows
        .iter()
        .map(|row| signs_width(&row.cells[column]))
        .max()
        .unwrap_or(0)
}

fn signs_width(marks: &[CellMark]) -> usize {
    marks.iter().map(|mark| mark.sign().width()).sum()
}

fn panel(
    grid: &Grid,
    titles: &[Vec<String>],
    widths: &[usize],
    columns: std::ops::Range<usize>,
    row_title: usize,
    paint: Paint,
) -> String {
    let mut text = String::new();
    let height = columns
        .clone()
        .map(|column| titles[column].len())
        .max()
        .unwrap_or(0);
    for line in 0..height {
        let cells = columns.clone().map(|column| {
            let title = &titles[column];
            let above = height - title.len();
            let piece = line.checked_sub(above).map_or("", |line| title[line].as_str());
            (paint.apply(HEADING, piece), piece.width(), widths[column])
        });
        push_line(&mut text, "", row_title, cells);
    }
    for row in &grid.rows {
        let cells = columns.clone().map(|column| {
            let marks = &row.cells[column];
            let signs = marks
                .iter()
                .map(|mark| paint.apply(mark.style(), mark.sign()))
                .collect();
            (signs, signs_width(marks), widths[column])
        });
        let mut title = wrap_parts(parts(&one_line(&row.title)), row_title).into_iter();
        push_line(&mut text, &title.next().unwrap_or_default(), row_title, cells);
        title.for_each(|rest| push_line(&mut text, &rest, row_title, std::iter::empty()));
    }
    text
}

/// Adds a line: a title, and for each cell its text, the text's width and the column's width.
fn push_line(
    text: &mut String,
    title: &str,
    row_title: usize,
    cells: impl Iterator<Item = (String, usize, usize)>,
) {
    let start = text.len();
    text.push_str(title);
    let mut owed = row_title.saturating_sub(title.width());
    for (cell, cell_width, column_width) in cells {
        text.push_str(&" ".repeat(owed + GAP));
        text.push_str(&cell);
        owed = column_width.saturating_sub(cell_width);
    }
    text.truncate(start + text[start..].trim_end().len());
    text.push('\n');
}

/// `text` in lines of at most `width` columns, broken at spaces if possible. Keeps the line breaks of `text`.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    printable(text)
        .lines()
        .flat_map(|line| wrap_parts(line.split_inclusive(' '), width))
        .collect()
}

fn one_line(title: &str) -> String {
    printable(title).replace('\n', " ")
}

fn parts(title: &str) -> impl Iterator<Item = &str> {
    title.split_inclusive(['_', ' ', '-'])
}

/// Puts as many `parts` on a line as fit, and breaks a part that is too wide for a line.
fn wrap_parts<'a>(parts: impl Iterator<Item = &'a str>, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in parts {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.width() + part.trim_end().width() > width {
            lines.push(String::new());
        }
        for character in part.chars() {
            let line = lines.last_mut().expect("there is always a line");
            if character != ' ' && line.width() + character.width().unwrap_or(0) > width && !line.is_empty() {
                lines.push(String::new());
            }
            lines.last_mut().expect("there is always a line").push(character);
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(columns: &[&str], rows: usize) -> Grid {
        let row = |index: usize| GridRow {
            title: format!("A feature with quite a long name, number {index}"),
            cells: vec![vec![CellMark::Pass, CellMark::Fail, CellMark::NotTested]; columns.len()],
        };
        Grid {
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: (0..rows).map(row).collect(),
        }
    }

    #[test]
    fn no_line_is_wider_than_the_width() {
        let many: Vec<String> = (0..12)
            .map(|index| format!("some_provider_number_{index}"))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let endless = [
            "anunbreakabletitleofmorethanfortycolumnsinall",
            "日本語のプロバイダー",
            "b",
        ];
        for columns in [&["anthropic", "bedrock_invoke"][..], &many, &endless, &[]] {
            for width in [30, 40, 80, 132] {
                let text = render(&grid(columns, 50), width, Paint::Plain);
                for line in text.lines() {
                    assert!(line.width() <= width, "{} > {width}: {line:?}", line.width());
                }
                let marks = text.matches("✓✗?").count();
                assert_eq!(marks, columns.len() * 50, "{width}\n{text}");
            }
        }
    }

    #[test]
    fn colour_does_not_move_a_column() {
        let grid = grid(&["anthropic", "vertex_ai"], 3);
        let coloured = render(&grid, 60, Paint::Ansi);
        let stripped = anstream::adapter::strip_str(&coloured).to_string();
        assert_eq!(stripped, render(&grid, 60, Paint::Plain));
    }

    #[test]
    fn text_breaks_at_spaces_before_words() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("one\n\ntwo", 8), ["one", "", "two"]);
    }
}
