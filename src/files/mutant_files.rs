//! Reads the mutants of a project: `mutants/<class>/<name>.yaml`. The module `mutants` checks their meaning.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::project::Project;
use super::reading;
use crate::document::Diagnostic;
use crate::expectation::IMPLIED;
use crate::ids::{CellId, ProviderId};
use crate::mutants::{self, Known, Mutant, MutantName};

/// The folder of the mutants, in the project's root.
pub const MUTANTS: &str = "mutants";

/// The mutants of a project, sorted by name, and the errors in their files. A project without the folder has no mutants.
pub fn read(project: &Project) -> (Vec<Arc<Mutant>>, Vec<Diagnostic>) {
    let cells = cells(project);
    let mut providers: Vec<ProviderId> = project.manifest.providers.clone();
    providers.retain(|provider| cells.iter().any(|(cell, _)| cell.provider == *provider));
    let tiers = project.manifest.tier_ids();
    let known = Known {
        providers: &providers,
        tiers: &tiers,
        main_rows: &project.manifest.main_rows(),
        cells: &cells,
    };
    let mut mutants = Vec::new();
    let mut errors = Vec::new();
    for (class, stem, file) in files(&project.root, &mut errors) {
        let name = MutantName::new(&class, &stem);
        let read = reading::read(&project.root, &file);
        match read.and_then(|bytes| mutants::resolve(name, &file, &bytes, &known)) {
            Ok(mutant) => mutants.push(Arc::new(mutant)),
            Err(found) => errors.extend(found),
        }
    }
    (mutants, errors)
}

/// The errors in the mutants at or below `paths` (relative to the root); in all mutants if there are no paths.
pub fn check(project: &Project, paths: &[PathBuf]) -> Vec<Diagnostic> {
    // Mutants name expectations of every cell, so each would repeat this fault.
    if project.root.join(MUTANTS).is_dir()
        && let Some(missing) = project.missing_shared()
    {
        let is_selected = reading::is_selected(paths, &missing.place.file)
            || paths.iter().any(|path| path.starts_with(MUTANTS));
        return is_selected.then_some(missing).into_iter().collect();
    }
    let (_, mut errors) = read(project);
    errors.retain(|error| reading::is_selected(paths, &error.place.file));
    errors
}

/// The cells that are tests, and the names of their expectations; `None` for a cell with errors, which are not the mutant's.
fn cells(project: &Project) -> Vec<(CellId, Option<Vec<String>>)> {
    project
        .manifest
        .cells()
        .filter_map(|id| {
            let Ok(cell) = project.cell(&id) else {
                return Some((id, None));
            };
            let own = cell.test()?.expectations.iter().map(|one| one.name.clone());
            // An expectation with `${model}` is there once for each tier.
            let mut names: Vec<String> = own.chain(IMPLIED.map(str::to_owned)).collect();
            names.dedup();
            Some((id, Some(names)))
        })
        .collect()
}

/// Class, stem and path of every mutant's file, in order.
fn files(root: &Path, errors: &mut Vec<Diagnostic>) -> Vec<(String, String, PathBuf)> {
    const HINT: &str = "a mutant is `mutants/<class>/<name>.yaml`";
    let folder = Path::new(MUTANTS);
    if !root.join(folder).is_dir() {
        return Vec::new();
    }
    let mut files = Vec::new();
    for (class, is_folder) in reading::visible_entries(root, folder, errors) {
        let below = folder.join(&class);
        if !is_folder {
            let error = Diagnostic::of_file(&below, "a file where only folders of classes belong");
            errors.push(error.hint(HINT));
            continue;
        }
        for (name, is_folder) in reading::visible_entries(root, &below, errors) {
            let file = below.join(&name);
            match name.strip_suffix(".yaml") {
                Some(stem) if !is_folder => files.push((class.clone(), stem.to_owned(), file)),
                _ => errors.push(Diagnostic::of_file(&file, "this is not a mutant").hint(HINT)),
            }
        }
    }
    files
}
