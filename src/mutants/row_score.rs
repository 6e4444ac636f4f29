//! The score of each row: how many of the mutants that name it were killed in it.

use serde::Serialize;

use super::MutantName;
use super::score::Scored;
use crate::ids::{CellId, FeatureId};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowScore {
    pub row: FeatureId,
    /// The mutants that were killed in each of its cells that they name.
    pub killed: usize,
    /// The mutants that name one of its cells.
    pub of: usize,
    /// Those of them that were not killed.
    pub survived: Vec<MutantName>,
    /// The mutants that changed something in it, do not name it, and turned it red.
    pub others_red: usize,
    /// The mutants that changed something in it, and do not name it.
    pub others: usize,
    /// The neutral mutants under which it stayed green.
    pub neutral_green: usize,
    /// The neutral mutants that changed something in it.
    pub neutral: usize,
}

impl RowScore {
    /// The score of each of `rows` that a mutant of `scored` ran in.
    pub fn of_rows(rows: impl IntoIterator<Item = FeatureId>, scored: &[Scored]) -> Vec<Self> {
        let rows = rows.into_iter().map(|row| Self::new(row, scored));
        rows.filter(|row| row.of + row.others + row.neutral > 0).collect()
    }

    fn new(row: FeatureId, scored: &[Scored]) -> Self {
        let mut score = Self {
            row,
            killed: 0,
            of: 0,
            survived: Vec::new(),
            others_red: 0,
            others: 0,
            neutral_green: 0,
            neutral: 0,
        };
        for mutant in scored {
            score.count(mutant);
        }
        score
    }

    fn count(&mut self, mutant: &Scored) {
        let row = self.row.clone();
        let is_own = |cell: &CellId| cell.feature == row;
        let missed = mutant.missed_by.iter().any(|named| is_own(&named.cell));
        let caught = mutant.caught_by.iter().any(|named| is_own(&named.cell));
        let wrong_report = mutant.misjudged.iter().any(|report| is_own(&report.cell));
        let red = mutant.also.iter().any(|named| is_own(&named.cell));
        let green = mutant.stayed_green.iter().any(|cell| is_own(&cell.0));
        if mutant.is_neutral {
            self.neutral += usize::from(red || green);
            self.neutral_green += usize::from(green && !red);
        } else if missed || caught {
            self.of += 1;
            match missed || wrong_report {
                true => self.survived.push(mutant.mutant.clone()),
                false => self.killed += 1,
            }
        } else {
            self.others += usize::from(red || green);
            self.others_red += usize::from(red);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ProviderId;
    use crate::mutants::score::{CellName, Named};

    fn cell(feature: &str) -> CellId {
        CellId::new(&FeatureId::new(feature), &ProviderId::new("anthropic"))
    }

    fn named(feature: &str) -> Vec<Named> {
        vec![Named {
            cell: cell(feature),
            expectation: "reply".to_owned(),
        }]
    }

    fn scored(name: &str, is_neutral: bool) -> Scored {
        Scored {
            mutant: MutantName::new("body", name),
            description: String::new(),
            sources: Vec::new(),
            is_neutral,
            passed: true,
            touched: 1,
            tried: 1,
            run: 1,
            caught_by: Vec::new(),
            also: Vec::new(),
            missed_by: Vec::new(),
            wrongly_red: Vec::new(),
            stayed_green: Vec::new(),
            misjudged: Vec::new(),
            reports: Vec::new(),
        }
    }

    #[test]
    fn a_row_counts_the_mutants_that_name_it() {
        let green = |feature: &str| vec![CellName(cell(feature))];
        let killed = Scored {
            caught_by: named("vision"),
            stayed_green: green("tool_use"),
            ..scored("killed", false)
        };
        let survivor = Scored {
            caught_by: named("tool_use"),
            missed_by: named("vision"),
            also: named("web_search"),
            ..scored("survivor", false)
        };
        let neutral = Scored {
            stayed_green: green("vision"),
            ..scored("neutral", true)
        };
        let rows = ["vision", "tool_use", "web_search", "unused"].map(FeatureId::new);
        let rows = RowScore::of_rows(rows, &[killed, survivor, neutral]);
        let counts = |row: &RowScore| (row.killed, row.of, row.others_red, row.others, row.neutral_green);
        let counts: Vec<_> = rows.iter().map(counts).collect();
        assert_eq!(counts, [(1, 2, 0, 0, 1), (1, 1, 0, 1, 0), (0, 0, 1, 1, 0)]);
        assert_eq!(rows[0].survived, [MutantName::new("body", "survivor")]);
    }
}
