//! Who caught which mutant: the score, the survivors, and what catches nothing.
//!
//! A mutant is killed when every cell that must go red does, under the expectation that must say so, and no cell goes red
//! that the mutant has not touched. A neutral mutant passes when it touched a cell, and every cell is green.

use crate::document::Place;
use crate::expectation::RUN;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::{Mutant, MutantName};
use crate::ids::{CellId, TierId};
use crate::outcome::Cause;

/// How a cell came out under a mutant, or without one.
#[derive(Clone, Debug, PartialEq)]
pub struct CellRun {
    pub cell: CellId,
    /// The tier it was tried on.
    pub tier: TierId,
    /// The expectations that did not hold; empty if it is green.
    pub broken: Vec<String>,
    /// Whether the mutant changed anything that passed for it.
    pub touched: bool,
    /// What the report of a red cell says.
    pub report: Option<CellReport>,
}

/// What the report of a red cell says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CellReport {
    #[serde(serialize_with = "as_text")]
    pub cell: CellId,
    pub cause: Cause,
    /// The change on the wire that the first line names.
    pub headline: Option<String>,
    /// The first line: the broken expectation, and what explains it.
    pub first_line: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Named {
    #[serde(serialize_with = "as_text")]
    pub cell: CellId,
    pub expectation: String,
}

fn as_text<S: serde::Serializer>(cell: &CellId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(cell)
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scored {
    pub mutant: MutantName,
    pub description: String,
    /// Pages that tell of such a bug.
    pub sources: Vec<String>,
    /// Whether it is neutral: no cell may go red.
    pub is_neutral: bool,
    /// Whether it was caught as it should be, or all cells stayed green if it is neutral.
    pub passed: bool,
    /// The cells that it changed something for.
    pub touched: usize,
    pub tried: usize,
    /// Those of them that were run under it: in the others it can change nothing.
    pub run: usize,
    /// What did not hold, and was to be broken.
    pub caught_by: Vec<Named>,
    /// What did not hold besides, in cells that it touched.
    pub also: Vec<Named>,
    /// What should not have held, and did.
    pub missed_by: Vec<Named>,
    /// What did not hold in cells that it did not touch.
    pub wrongly_red: Vec<Named>,
    /// The cells that it changed something for and that stayed green. `killed_by` does not name them.
    pub stayed_green: Vec<CellName>,
    /// The red cells whose report blames another part, or does not begin with the mutant's change. Of a neutral mutant, all
    /// red cells.
    pub misjudged: Vec<CellReport>,
    /// The reports of the other red cells that it changed something for.
    pub reports: Vec<CellReport>,
}

/// A cell, as text in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CellName(#[serde(serialize_with = "as_text")] pub CellId);

/// Scores one mutant by its `cells`, of which those were run that it could touch.
pub fn score(mutant: &Mutant, cells: &[CellId], runs: &[CellRun]) -> Scored {
    let wanted = mutant.killed_by.iter().filter(|kill| cells.contains(&kill.cell));
    let wanted: Vec<Named> = wanted
        .map(|kill| Named {
            cell: kill.cell.clone(),
            expectation: kill.expectation.clone(),
        })
        .collect();
    let broken = |touched: bool| {
        runs.iter()
            .filter(move |run| run.touched == touched)
            .flat_map(|run| {
                run.broken.iter().map(|expectation| Named {
                    cell: run.cell.clone(),
                    expectation: expectation.clone(),
                })
            })
    };
    let (caught_by, also): (Vec<Named>, Vec<Named>) = broken(true).partition(|named| wanted.contains(named));
    let missed_by: Vec<Named> = wanted
        .into_iter()
        .filter(|named| !caught_by.contains(named))
        .collect();
    let wrongly_red: Vec<Named> = broken(false).collect();
    let reports = runs.iter().filter(|run| run.touched);
    let reports = reports.filter_map(|run| run.report.clone());
    let (reports, misjudged): (Vec<_>, Vec<_>) = reports.partition(|report| report.is_right(mutant));
    let stayed_green = runs
        .iter()
        .filter(|run| run.touched && run.broken.is_empty() && !mutant.claims(&run.cell))
        .map(|run| CellName(run.cell.clone()))
        .collect();
    let touched = runs.iter().filter(|run| run.touched).count();
    let is_caught = !caught_by.is_empty() && misjudged.is_empty();
    let is_green = touched > 0 && also.is_empty();
    Scored {
        mutant: mutant.name.clone(),
        description: mutant.description.clone(),
        sources: mutant.sources.clone(),
        is_neutral: mutant.is_neutral,
        passed: missed_by.is_empty()
            && wrongly_red.is_empty()
            && if mutant.is_neutral { is_green } else { is_caught },
        touched,
        tried: cells.len(),
        run: runs.len(),
        caught_by,
        also,
        missed_by,
        wrongly_red,
        stayed_green,
        misjudged,
        reports,
    }
}

impl CellReport {
    /// Whether it names the mutant's cause, and begins with the mutant's change.
    fn is_right(&self, mutant: &Mutant) -> bool {
        // Without a change on the wire, the report begins with the expectation itself, such as the model that arrived.
        let is_named = self.headline.as_ref().is_none_or(|line| mutant.is_named_in(line));
        !mutant.is_neutral && self.cause == mutant.cause && is_named
    }
}

/// An expectation that was judged, and where its text stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgeable {
    pub cell: CellId,
    pub name: String,
    /// Where it stands; `None` for what is implied in every cell.
    pub place: Option<Place>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Vacuous {
    /// Expectations: where each stands (`cells/vision/_shared.yaml:14 image_arrived`), or the name of one that is implied.
    pub expectations: Vec<String>,
    pub cells: Vec<String>,
}

/// What no mutant of `runs` broke, of all that was judged. A neutral mutant must break nothing and does not count. An expectation of a shared file counts as one, whichever
/// cells have it. Where the run itself failed everything that asks for an answer breaks with it, and proves nothing of
/// itself unless the mutant names it.
pub fn vacuous(judgeable: &[Judgeable], runs: &[(Arc<Mutant>, Vec<CellRun>)]) -> Vacuous {
    let bugs = || runs.iter().filter(|(mutant, _)| !mutant.is_neutral);
    let all: Vec<&CellRun> = bugs().flat_map(|(_, cells)| cells).collect();
    let is_broken = |cell: &CellId, name: &str| {
        bugs().any(|(mutant, runs)| {
            let names_it = mutant
                .killed_by
                .iter()
                .any(|kill| kill.expectation == name && kill.cell == *cell);
            runs.iter().filter(|run| run.cell == *cell).any(|run| {
                let has = |name: &str| run.broken.iter().any(|broken| broken == name);
                has(name) && (names_it || !has(RUN))
            })
        })
    };
    let mut expectations: BTreeMap<(PathBuf, usize, &str), bool> = BTreeMap::new();
    let mut cells: BTreeMap<String, bool> = BTreeMap::new();
    for one in judgeable {
        let (file, line) = one
            .place
            .as_ref()
            .map_or((PathBuf::new(), 0), |place| (place.file.clone(), place.line));
        *expectations.entry((file, line, &one.name)).or_default() |= is_broken(&one.cell, &one.name);
        let is_red = |run: &&CellRun| run.cell == one.cell && !run.broken.is_empty();
        *cells.entry(one.cell.to_string()).or_default() |= all.iter().any(is_red);
    }
    Vacuous {
        expectations: expectations
            .into_iter()
            .filter(|(_, broken)| !broken)
            .map(|((file, line, name), _)| match line {
                0 => name.to_owned(),
                _ => format!("{}:{line} {name}", file.display()),
            })
            .collect(),
        cells: cells
            .into_iter()
            .filter(|(_, red)| !red)
            .map(|(cell, _)| cell)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{FeatureId, ProviderId};
    use crate::mutants::ExpectedKill;

    fn cell(feature: &str) -> CellId {
        CellId::new(&FeatureId::new(feature), &ProviderId::new("anthropic"))
    }

    fn run(feature: &str, broken: &[&str], touched: bool) -> CellRun {
        CellRun {
            cell: cell(feature),
            tier: TierId::new("haiku"),
            broken: broken.iter().map(|name| (*name).to_owned()).collect(),
            touched,
            report: None,
        }
    }

    fn mutant() -> Mutant {
        Mutant {
            name: MutantName::new("tools", "result_lost"),
            description: String::new(),
            sources: Vec::new(),
            place: Place::default(),
            sides: Vec::new(),
            is_neutral: false,
            rows: Vec::new(),
            providers: vec![ProviderId::new("anthropic")],
            tier: None,
            cause: Cause::Gateway,
            names: Vec::new(),
            quick: false,
            killed_by: vec![ExpectedKill {
                cell: cell("tool_use"),
                expectation: "result_came_back".into(),
                place: Place::default(),
            }],
        }
    }

    #[test]
    fn only_the_right_name_in_the_right_cell_kills_a_mutant() {
        let caught = run("tool_use", &["reply", "result_came_back"], true);
        let clean = run("vision", &[], false);
        let cells = [cell("tool_use"), cell("vision")];
        let scored = score(&mutant(), &cells, &[caught.clone(), clean.clone()]);
        assert!(scored.passed);
        assert_eq!(
            (scored.caught_by.len(), scored.also.len(), scored.touched),
            (1, 1, 1)
        );

        let wrong_name = score(
            &mutant(),
            &cells,
            &[run("tool_use", &["reply"], true), clean.clone()],
        );
        assert!(!wrong_name.passed);
        assert_eq!(wrong_name.missed_by.len(), 1);

        let not_run = score(&mutant(), &cells, &[clean]);
        assert_eq!((not_run.passed, not_run.missed_by.len()), (false, 1));

        let elsewhere = score(&mutant(), &cells, &[caught.clone(), run("vision", &[], true)]);
        assert!(elsewhere.passed);
        assert_eq!(elsewhere.stayed_green, [CellName(cell("vision"))]);

        let wrong_cell = score(&mutant(), &cells, &[caught, run("vision", &["reply"], false)]);
        assert!(!wrong_cell.passed);
        assert_eq!(wrong_cell.wrongly_red.len(), 1);
    }

    #[test]
    fn a_neutral_mutant_passes_only_while_every_cell_is_green() {
        let neutral = Mutant {
            is_neutral: true,
            killed_by: Vec::new(),
            ..mutant()
        };
        let cells = [cell("tool_use")];
        let passed = |runs: &[CellRun]| score(&neutral, &cells, runs).passed;
        assert!(passed(&[run("tool_use", &[], true)]));
        assert!(!passed(&[run("tool_use", &["reply"], true)]));
        assert!(!passed(&[run("tool_use", &["reply"], false)]));
        // It changed nothing, so it shows nothing.
        assert!(!passed(&[run("tool_use", &[], false)]));
        assert!(!passed(&[]));
    }

    #[test]
    fn an_unbroken_expectation_is_vacuous_and_counts_once() {
        let place = Place {
            file: PathBuf::from("cells/x/_shared.yaml"),
            line: 3,
            column: 1,
        };
        let judgeable = |feature: &str, name: &str, place: &Option<Place>| Judgeable {
            cell: cell(feature),
            name: name.to_owned(),
            place: place.clone(),
        };
        let shared = Some(place);
        let all = [
            judgeable("tool_use", "reply", &shared),
            judgeable("vision", "reply", &shared),
            judgeable("vision", "run", &None),
        ];
        let runs = [(Arc::new(mutant()), vec![run("tool_use", &["reply"], true)])];
        let vacuous = vacuous(&all, &runs);
        assert_eq!(vacuous.expectations, ["run"]);
        assert_eq!(vacuous.cells, ["vision::anthropic"]);
    }

    #[test]
    fn an_expectation_broken_with_the_run_needs_a_named_mutant() {
        let judgeable = |name: &str| Judgeable {
            cell: cell("tool_use"),
            name: name.to_owned(),
            place: None,
        };
        let all = [judgeable("reply"), judgeable("result_came_back")];
        let broken = ["run", "reply", "result_came_back"];
        let runs = [(Arc::new(mutant()), vec![run("tool_use", &broken, true)])];
        assert_eq!(vacuous(&all, &runs).expectations, ["reply"]);
        let runs = [(Arc::new(mutant()), vec![run("tool_use", &broken[1..], true)])];
        assert!(vacuous(&all, &runs).expectations.is_empty());
    }
}
