//! Which mutants a campaign runs, and in which cells.
//!
//! A mutant must be killed in the cells that it names. In the others it may also show; a campaign runs a few of them.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cells::CellBody;
use crate::files::Project;
use crate::ids::{CellId, FeatureId, TierId};
use crate::mutants::Mutant;
use crate::plan::selection;

/// A mutant and the cells in which it runs, in the manifest's order.
#[derive(Clone, Debug)]
pub struct ChosenMutant {
    pub mutant: Arc<Mutant>,
    pub cells: Vec<CellId>,
}

#[derive(Clone, Debug)]
pub struct Choice {
    /// Classes, names or parts of them; empty for all.
    pub filters: Vec<String>,
    pub quick: bool,
    /// The number of cells in which a mutant runs besides those that it names; `None` for all of its providers.
    pub others: Option<usize>,
    /// The changed files, if only what depends on them has to run: a changed mutant, and the mutants that name a changed cell,
    /// in this cell.
    pub changed: Option<Vec<PathBuf>>,
    /// The tier of the mutants that name none.
    pub tier: TierId,
}

impl Choice {
    /// The mutants to run, each with at least one cell.
    pub fn of(&self, mutants: Vec<Arc<Mutant>>, project: &Project) -> Vec<ChosenMutant> {
        let is_test = |cell: &CellId| {
            let read = project.cell(cell);
            !read.is_ok_and(|cell| matches!(cell.body, CellBody::NotApplicable(_)))
        };
        let mut cells = project.cells();
        cells.retain(is_test);
        let main_rows = project.manifest.main_rows();
        self.among(mutants, &cells, &main_rows)
    }

    /// The same among `cells`. A neutral mutant names `main_rows`.
    fn among(
        &self,
        mutants: Vec<Arc<Mutant>>,
        cells: &[CellId],
        main_rows: &[FeatureId],
    ) -> Vec<ChosenMutant> {
        // How often each cell was chosen.
        let mut uses = vec![0; cells.len()];
        let mut chosen = Vec::new();
        for mutant in mutants.into_iter().filter(|mutant| self.selects(mutant)) {
            let is_named = |&at: &usize| match mutant.is_neutral {
                true if mutant.rows.is_empty() => main_rows.contains(&cells[at].feature),
                true => mutant.rows.contains(&cells[at].feature),
                false => mutant.claims(&cells[at]),
            };
            let own = (0..cells.len()).filter(|&at| mutant.providers.contains(&cells[at].provider));
            let (mut own, mut others): (Vec<usize>, Vec<usize>) = own.partition(is_named);
            if self.is_changed(&mutant) {
                // Reachability is known only after the clean pass. The choice comes first, so that the pass is short.
                others.sort_by_key(|&at| uses[at]);
                others.truncate(self.others.unwrap_or(usize::MAX));
                own.append(&mut others);
                own.sort_unstable();
            } else {
                own.retain(|&at| self.touches(&mutant, &cells[at]));
            }
            for &at in &own {
                uses[at] += 1;
            }
            let cells: Vec<CellId> = own.into_iter().map(|at| cells[at].clone()).collect();
            if !cells.is_empty() {
                chosen.push(ChosenMutant { mutant, cells });
            }
        }
        chosen
    }

    fn selects(&self, mutant: &Mutant) -> bool {
        let is_named = |filter: &String| mutant.name.as_str().contains(filter.as_str());
        (self.filters.is_empty() || self.filters.iter().any(is_named)) && (mutant.quick || !self.quick)
    }

    /// Whether the mutant's own file changed, or changes do not matter.
    fn is_changed(&self, mutant: &Mutant) -> bool {
        let files = self.changed.as_ref();
        files.is_none_or(|files| files.contains(&mutant.place.file))
    }

    /// Whether `cell` depends on a changed file.
    fn touches(&self, mutant: &Mutant, cell: &CellId) -> bool {
        let files = self.changed.as_deref().unwrap_or_default();
        let trial = cell.trial(mutant.tier.as_ref().unwrap_or(&self.tier));
        !selection::touched(files, vec![trial]).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Place;
    use crate::ids::ProviderId;
    use crate::mutants::{ExpectedKill, MutantName};
    use crate::outcome::Cause;

    fn cell(feature: &str) -> CellId {
        CellId::new(&FeatureId::new(feature), &ProviderId::new("anthropic"))
    }

    fn mutant(name: &str, row: Option<&str>) -> Arc<Mutant> {
        let kill = |row| ExpectedKill {
            cell: cell(row),
            expectation: "reply".to_owned(),
            place: Place::default(),
        };
        Arc::new(Mutant {
            name: MutantName::new("body", name),
            description: String::new(),
            sources: Vec::new(),
            place: Place {
                file: format!("mutants/body/{name}.yaml").into(),
                ..Place::default()
            },
            sides: Vec::new(),
            providers: vec![ProviderId::new("anthropic")],
            tier: None,
            names: Vec::new(),
            cause: Cause::Gateway,
            quick: name == "first",
            is_neutral: row.is_none(),
            rows: Vec::new(),
            killed_by: row.map(kill).into_iter().collect(),
        })
    }

    /// The mutants and the rows that `choice` takes, of three mutants and four rows. The first two rows are the main ones.
    fn chosen(choice: impl FnOnce(&mut Choice)) -> Vec<String> {
        let mut all = Choice {
            filters: Vec::new(),
            quick: false,
            others: Some(1),
            changed: None,
            tier: TierId::new("haiku"),
        };
        choice(&mut all);
        let mutants = vec![
            mutant("first", Some("vision")),
            mutant("second", Some("vision")),
            mutant("third", None),
        ];
        let cells = ["tool_use", "vision", "web_search", "subagents"].map(cell);
        let main_rows = [FeatureId::new("tool_use"), FeatureId::new("vision")];
        let chosen = all.among(mutants, &cells, &main_rows);
        let shown = chosen.iter().map(|one| {
            let cells: Vec<&str> = one.cells.iter().map(|cell| cell.feature.as_str()).collect();
            format!("{}: {}", one.mutant.name, cells.join(" "))
        });
        shown.collect()
    }

    #[test]
    fn a_mutant_runs_in_its_cells_and_in_those_used_least() {
        let expected = [
            "body/first: tool_use vision",
            "body/second: vision web_search",
            "body/third: tool_use vision subagents",
        ];
        assert_eq!(chosen(|_| {}), expected);
        assert_eq!(
            chosen(|all| all.others = None)[0],
            "body/first: tool_use vision web_search subagents"
        );
        let quick = chosen(|all| (all.quick, all.others) = (true, Some(0)));
        assert_eq!(quick, ["body/first: vision"]);
        assert_eq!(chosen(|all| all.filters = vec!["third".into()]).len(), 1);
    }

    #[test]
    fn a_change_selects_its_mutants_and_its_cells() {
        let after = |file: &str| chosen(|all| all.changed = Some(vec![PathBuf::from(file)]));
        assert_eq!(
            after("mutants/body/second.yaml"),
            ["body/second: tool_use vision"]
        );
        assert_eq!(after("cells/tool_use/anthropic.yaml"), ["body/third: tool_use"]);
        let vision = ["body/first: vision", "body/second: vision", "body/third: vision"];
        assert_eq!(after("cells/vision/_shared.yaml"), vision);
        assert_eq!(after("README.md"), [""; 0]);
    }
}
