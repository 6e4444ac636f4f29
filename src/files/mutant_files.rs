//! Reads the mutants of a project: `mutants/<class>/<name>.yaml`.
//!
//! It lists and reads; what a text means is for `mutants`.

use crate::cells::CellBody;
use crate::expectation::IMPLIED;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::project::{self, Project};
use super::reading;
use crate::document::Diagnostic;
use crate::ids::{CellId, ProviderId, TierId};
use crate::mutants::{self, Known, Mutant, MutantName};

/// The folder of the mutants, in the project's root.
pub const MUTANTS: &str = "mutants";

/// The mutants of a project, in the order of their names, and the faults of those that cannot be read. A project without the
/// folder has none.
pub fn read(project: &Project) -> (Vec<Arc<Mutant>>, Vec<Diagnostic>) {
    let cells = cells(project);
    let mut providers: Vec<ProviderId> = project.manifest.providers.clone();
    providers.retain(|provider| cells.iter().any(|(cell, _)| cell.provider == *provider));
    let tiers: Vec<TierId> = project
        .manifest
        .tiers
        .iter()
        .map(|tier| tier.id.clone())
        .collect();
    let known = Known {
        providers: &providers,
        tiers: &tiers,
        cells: &cells,
    };
    let mut mutants = Vec::new();
    let mut faults = Vec::new();
    for (class, stem, file) in files(&project.root, &mut faults) {
        let read = reading::read(&project.root, &file)
            .map_err(|fault| vec![*fault])
            .and_then(|bytes| mutants::resolve(MutantName::new(&class, &stem), &file, &bytes, &known));
        match read {
            Ok(mutant) => mutants.push(Arc::new(mutant)),
            Err(found) => faults.extend(found),
        }
    }
    (mutants, faults)
}

/// The faults of the mutants that one of `paths` (relative to the root) names or holds; of all if there are none.
pub fn check(project: &Project, paths: &[PathBuf]) -> Vec<Diagnostic> {
    let (_, mut faults) = read(project);
    faults.retain(|fault| project::is_selected(paths, &fault.place.file));
    faults
}

/// The cells that are tests, and the names of their expectations. That one cannot be read, or is not there, is no mutant's
/// fault.
fn cells(project: &Project) -> Vec<(CellId, Option<Vec<String>>)> {
    project
        .manifest
        .cells()
        .filter_map(|id| {
            let Ok(cell) = project.cell(&id) else {
                return Some((id, None));
            };
            let CellBody::Test(test) = &cell.body else {
                return None;
            };
            let own = test.expectations.iter().map(|one| one.name.clone());
            Some((id, Some(own.chain(IMPLIED.map(str::to_owned)).collect())))
        })
        .collect()
}

/// Class, stem and path of every mutant's file, in order.
fn files(root: &Path, faults: &mut Vec<Diagnostic>) -> Vec<(String, String, PathBuf)> {
    let folder = Path::new(MUTANTS);
    if !root.join(folder).is_dir() {
        return Vec::new();
    }
    let mut files = Vec::new();
    for (class, is_folder) in entries(root, folder, faults) {
        let below = folder.join(&class);
        if !is_folder {
            faults.push(
                Diagnostic::of_file(&below, "a file where only folders of classes belong")
                    .hint("a mutant is `mutants/<class>/<name>.yaml`"),
            );
            continue;
        }
        for (name, is_folder) in entries(root, &below, faults) {
            match name.strip_suffix(".yaml") {
                Some(stem) if !is_folder => files.push((class.clone(), stem.to_owned(), below.join(&name))),
                _ => faults.push(
                    Diagnostic::of_file(&below.join(&name), "this is not a mutant")
                        .hint("a mutant is `mutants/<class>/<name>.yaml`"),
                ),
            }
        }
    }
    files
}

/// The names in a folder, sorted, and whether each is a folder itself. A name that begins with `.` is left alone.
fn entries(root: &Path, folder: &Path, faults: &mut Vec<Diagnostic>) -> Vec<(String, bool)> {
    let listed = std::fs::read_dir(root.join(folder)).and_then(|entries| {
        entries
            .map(|entry| {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                Ok((name, entry.path().is_dir()))
            })
            .collect::<std::io::Result<Vec<_>>>()
    });
    match listed {
        Ok(mut entries) => {
            entries.retain(|(name, _)| !name.starts_with('.'));
            entries.sort_unstable();
            entries
        }
        Err(error) => {
            faults.push(Diagnostic::of_file(
                folder,
                format!("the folder cannot be listed: {error}"),
            ));
            Vec::new()
        }
    }
}
