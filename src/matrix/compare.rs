//! Several gateways side by side: a table of cells × gateways, and each difference with what explains it.

use schemars::JsonSchema;
use serde::Serialize;

use super::html;
use super::markdown::escaped;
use super::terminal::mark_of_trial;
use crate::ids::TrialName;
use crate::report::Paint;
use crate::report::grid::{self, CellMark, Grid, GridRow, wrap};
use crate::results::{Results, TrialRecord, TrialResult, client_format_in_words, json};
use crate::text::{listed, one_line};

/// The most characters of an explanation.
const LONGEST: usize = 200;

/// The same trials through several gateways.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct GatewayComparison {
    /// The gateways with their versions: `portkey 1.15.2`.
    pub gateways: Vec<String>,
    /// Each trial, in the order of the first results that have it.
    pub trials: Vec<ComparedTrial>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ComparedTrial {
    /// `feature::provider::tier`.
    #[schemars(with = "String")]
    pub nodeid: TrialName,
    /// Whether the gateways differ.
    pub differs: bool,
    /// The result of each gateway, in their order.
    pub results: Vec<ComparedResult>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ComparedResult {
    /// `pass`, `works, unfaithful`, `fail`, …
    pub status: &'static str,
    /// What explains it, the most serious first; empty if everything held.
    pub explanations: Vec<String>,
    #[serde(skip)]
    mark: Option<CellMark>,
}

impl ComparedResult {
    fn of(record: Option<&TrialRecord>) -> Self {
        let mark = record.map_or(CellMark::NotTested, mark_of_trial);
        Self {
            status: mark.words(),
            explanations: record.map(explanations).unwrap_or_default(),
            mark: Some(mark),
        }
    }

    fn mark(&self) -> CellMark {
        self.mark.unwrap_or(CellMark::NotTested)
    }

    /// The mark, and what explains it.
    fn line(&self) -> String {
        let (mark, words) = (self.mark().sign(), self.mark().words());
        match &self.explanations[..] {
            [] => format!("{mark} {words}"),
            all => format!("{mark} {}", all.join("; ")),
        }
    }
}

fn explanations(record: &TrialRecord) -> Vec<String> {
    if let TrialResult::NotApplicable { reason } = &record.result {
        return vec![reason.clone()];
    }
    let of_finding = record.findings.iter().map(|finding| {
        let summary = one_line(&finding.summary, LONGEST);
        format!("{} {summary}", finding.loses)
    });
    // A finding says the same with what the user loses.
    let is_told = |headline: &&String| {
        record
            .findings
            .iter()
            .any(|finding| headline.contains(&finding.summary))
    };
    let headline = record.headline.iter().filter(|headline| !is_told(headline));
    let headline = headline.map(|headline| one_line(headline, LONGEST));
    let found: Vec<String> = headline.chain(of_finding).collect();
    match (found.is_empty(), &record.result) {
        (true, TrialResult::Fail { error }) => vec![one_line(error, LONGEST)],
        _ => found,
    }
}

impl GatewayComparison {
    /// Compares results of the same trials through several gateways. Each has the name that the user gave it.
    pub fn new(runs: &[(String, Results)]) -> Self {
        let mut names: Vec<&TrialName> = Vec::new();
        for name in runs
            .iter()
            .flat_map(|(_, results)| &results.results)
            .map(|record| &record.nodeid)
        {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let trials = names.into_iter().map(|name| {
            let result = |(_, results): &(String, Results)| {
                let mut records = results.results.iter();
                ComparedResult::of(records.find(|record| record.nodeid == *name))
            };
            let results: Vec<ComparedResult> = runs.iter().map(result).collect();
            ComparedTrial {
                nodeid: name.clone(),
                differs: results.iter().any(|result| *result != results[0]),
                results,
            }
        });
        let gateway = |(name, results): &(String, Results)| {
            let run = &results.run;
            let unusual =
                run.gateway.configuration_in_words() + &client_format_in_words(run.client_format.as_ref());
            match &run.gateway.version {
                Some(version) if !name.contains('@') => format!("{name} {version}{unusual}"),
                _ => format!("{name}{unusual}"),
            }
        };
        Self {
            gateways: runs.iter().map(gateway).collect(),
            trials: trials.collect(),
        }
    }

    /// The trials that differ or could not be judged, grouped by the same results.
    fn differences(&self) -> Vec<(Vec<&TrialName>, &[ComparedResult])> {
        let mut groups: Vec<(Vec<&TrialName>, &[ComparedResult])> = Vec::new();
        let is_unjudged = |result: &ComparedResult| result.mark() == CellMark::Unjudged;
        let is_listed = |trial: &&ComparedTrial| trial.differs || trial.results.iter().any(is_unjudged);
        for trial in self.trials.iter().filter(is_listed) {
            let lines = |results: &[ComparedResult]| -> Vec<String> {
                results.iter().map(ComparedResult::line).collect()
            };
            match groups
                .iter_mut()
                .find(|(_, results)| lines(results) == lines(&trial.results))
            {
                Some((names, _)) => names.push(&trial.nodeid),
                None => groups.push((vec![&trial.nodeid], &trial.results)),
            }
        }
        groups
    }

    /// The gateways of which no trial could be judged, though at least one was run.
    pub fn unjudged(&self) -> Vec<&str> {
        let is_unjudged = |index: usize| {
            let marks = self.trials.iter().map(|trial| trial.results[index].mark());
            let mut ran = marks.filter(|mark| *mark != CellMark::NotApplicable).peekable();
            let is_open = |mark| matches!(mark, CellMark::Unjudged | CellMark::NotTested);
            ran.peek().is_some() && ran.all(is_open)
        };
        let gateways = self.gateways.iter().enumerate();
        let unjudged = gateways.filter(|(index, _)| is_unjudged(*index));
        unjudged.map(|(_, gateway)| gateway.as_str()).collect()
    }

    fn summary(&self) -> String {
        let counts = self.gateways.iter().enumerate().map(|(index, gateway)| {
            let marks: Vec<CellMark> = self
                .trials
                .iter()
                .map(|trial| trial.results[index].mark())
                .collect();
            let of_mark = |mark: &CellMark| {
                let count = marks.iter().filter(|other| *other == mark).count();
                (count > 0).then(|| format!("{count} {}", mark.words()))
            };
            let counts: Vec<String> = CellMark::ALL.iter().filter_map(of_mark).collect();
            format!("{gateway}: {}", counts.join(", "))
        });
        counts.collect::<Vec<_>>().join("\n")
    }

    /// For a terminal of `width` columns. Ends with a newline.
    pub fn to_terminal(&self, width: usize, paint: Paint) -> String {
        let rows = self.trials.iter().map(|trial| GridRow {
            title: trial.nodeid.to_string(),
            cells: trial.results.iter().map(|result| vec![result.mark()]).collect(),
        });
        let grid = Grid {
            columns: self.gateways.clone(),
            rows: rows.collect(),
        };
        let mut text = grid::render(&grid, width, paint);
        text.push_str(&format!("\n{}\n", self.summary()));
        for (names, results) in self.differences() {
            text.push('\n');
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            push(&mut text, &names.join(", "), "", width);
            for (gateway, result) in self.gateways.iter().zip(results) {
                push(&mut text, &format!("{gateway}: {}", result.line()), "  ", width);
            }
        }
        text
    }

    /// For a job summary or a comment on a pull request. Ends with a newline.
    pub fn to_markdown(&self) -> String {
        let columns: String = self
            .gateways
            .iter()
            .map(|gateway| format!(" {} |", escaped(gateway)))
            .collect();
        let mut text = format!(
            "### Gateways side by side\n\n| Trial |{columns}\n| :-- |{}\n",
            " :-: |".repeat(self.gateways.len())
        );
        for trial in &self.trials {
            let marks = trial
                .results
                .iter()
                .map(|result| format!(" {} |", escaped(result.mark().sign())));
            text.push_str(&format!("| {} |{}\n", trial.nodeid, marks.collect::<String>()));
        }
        text.push_str(&format!("\n{}\n", escaped(&self.summary()).replace('\n', "<br>")));
        for (names, results) in self.differences() {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            text.push_str(&format!("\n- {}\n", listed(names.iter().map(String::as_str))));
            for (gateway, result) in self.gateways.iter().zip(results) {
                text.push_str(&format!(
                    "  - {}: {}\n",
                    escaped(gateway),
                    escaped(&result.line())
                ));
            }
        }
        text
    }

    /// One HTML file, as [`html::of_run`] makes it.
    pub fn to_html(&self) -> String {
        let columns = self.gateways.iter();
        let columns: String = columns
            .map(|gateway| format!("<th scope=\"col\">{}</th>", html::escaped(gateway)))
            .collect();
        let cell = |result: &ComparedResult| {
            let (sign, words) = (result.mark().sign(), result.mark().words());
            format!(
                "<td class=\"{}\" title=\"{}\"><span aria-hidden=\"true\">{sign}</span><span class=\"word\">{words}</span></td>",
                html::class(&[result.mark()]),
                html::escaped(&result.line())
            )
        };
        let row = |trial: &ComparedTrial| {
            let cells: String = trial.results.iter().map(cell).collect();
            let name = html::escaped(&trial.nodeid.to_string()).replace("::", "::<wbr>");
            format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>\n")
        };
        let rows: String = self.trials.iter().map(row).collect();
        let table = format!(
            "<div class=\"scroll\" role=\"region\" aria-label=\"Gateways\" tabindex=\"0\">\n<table class=\"matrix\">\n<thead><tr>\
             <th scope=\"col\">Trial</th>{columns}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
        );
        let difference = |(names, results): (Vec<&TrialName>, &[ComparedResult])| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let lines = self.gateways.iter().zip(results).map(|(gateway, result)| {
                format!("{}: {}", html::escaped(gateway), html::escaped(&result.line()))
            });
            format!(
                "<li>{}<br>{}</li>\n",
                html::escaped(&names.join(", ")),
                lines.collect::<Vec<_>>().join("<br>")
            )
        };
        let differences: String = self.differences().into_iter().map(difference).collect();
        let differences = match differences.is_empty() {
            true => "<p>There is no difference.</p>\n".to_owned(),
            false => format!("<ul>\n{differences}</ul>\n"),
        };
        let facts = html::escaped(&self.summary()).replace('\n', "<br>");
        html::page(
            "Gateways side by side",
            &facts,
            &format!("{table}<h2>What differs or could not be judged</h2>\n{differences}"),
        )
    }

    /// For programs.
    pub fn to_json(&self) -> String {
        json::write(self)
    }
}

fn push(text: &mut String, line: &str, indent: &str, width: usize) {
    for line in wrap(line, width.saturating_sub(indent.len())) {
        text.push_str(&format!("{indent}{line}\n"));
    }
}
