//! Lists the folders below `cells/`, and reports what does not belong there.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use super::project::{CELLS, PROVIDERS, SHARED};
use super::reading::{FOLDER_FOR_FILE, says_not_applicable, unreadable};
use crate::cells::Manifest;
use crate::document::Diagnostic;
use crate::ids::{CellId, FeatureId, ProviderId};
use crate::text::{closest, listed};

/// The files below `cells/`.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// The cells that have a file of their own.
    pub(super) own: HashSet<CellId>,
    /// The features that have a `_shared.yaml`.
    pub(super) shared: HashSet<FeatureId>,
    /// The providers whose file says `not_applicable`.
    pub(super) not_applicable: HashSet<ProviderId>,
    /// Errors of the folders.
    pub(super) faults: Vec<Diagnostic>,
}

impl Layout {
    pub(super) fn of(root: &Path, manifest: &Manifest) -> Self {
        let mut listing = Listing {
            root,
            manifest,
            providers: manifest.providers.iter().map(ProviderId::as_str).collect(),
            layout: Self::default(),
        };
        listing.folder_of_cells();
        listing.layout
    }
}

struct Listing<'a> {
    root: &'a Path,
    manifest: &'a Manifest,
    providers: HashSet<&'a str>,
    layout: Layout,
}

impl Listing<'_> {
    fn folder_of_cells(&mut self) {
        let cells = Path::new(CELLS);
        let mut folders: HashSet<String> = HashSet::new();
        for (name, is_folder) in self.entries(cells) {
            match is_folder {
                true if name == PROVIDERS => self.folder_of_providers(&cells.join(PROVIDERS)),
                _ if name.starts_with(['_', '.']) => {}
                true => {
                    folders.insert(name);
                }
                false => self.layout.faults.push(
                    Diagnostic::of_file(&cells.join(&name), "a file where only folders of features belong")
                        .hint("a cell is `cells/<feature>/<provider>.yaml`; a name that begins with `_` is left alone"),
                ),
            }
        }
        for feature in &self.manifest.features {
            if folders.remove(feature.id.as_str()) {
                self.folder_of_feature(&feature.id);
            } else {
                let folder = cells.join(feature.id.as_str());
                let fault = Diagnostic::of_file(
                    &folder,
                    format!("the manifest's feature `{}` has no folder", feature.id),
                );
                self.layout.faults.push(
                    match closest(feature.id.as_str(), folders.iter().map(String::as_str)) {
                        Some(close) => fault.hint(format!("is the folder `{close}` meant to be it?")),
                        None => fault.hint(
                            "make the folder and its cells, or remove the feature from `manifest.yaml`",
                        ),
                    },
                );
            }
        }
        let mut strays: Vec<String> = folders.into_iter().collect();
        strays.sort_unstable();
        for name in strays {
            let known = self.manifest.features.iter().map(|feature| feature.id.as_str());
            let fault = Diagnostic::of_file(
                &cells.join(&name),
                format!("the manifest has no feature `{name}`"),
            )
            .allowed(listed(known.clone()));
            self.layout.faults.push(match closest(&name, known) {
                Some(close) => fault.hint(format!("did you mean `{close}`? no cell of this folder is run")),
                None => fault.hint("add the feature to `manifest.yaml`: no cell of this folder is run"),
            });
        }
    }

    fn folder_of_feature(&mut self, feature: &FeatureId) {
        let folder = Path::new(CELLS).join(feature.as_str());
        for (name, is_folder) in self.entries(&folder) {
            if name.starts_with(['_', '.']) {
                if name == SHARED {
                    self.layout.shared.insert(feature.clone());
                }
                continue;
            }
            let provider = name
                .strip_suffix(".yaml")
                .filter(|stem| self.providers.contains(stem));
            match provider {
                Some(provider) => {
                    if is_folder {
                        self.layout.faults.push(
                            Diagnostic::of_file(&folder.join(&name), FOLDER_FOR_FILE)
                                .hint("a cell is one file; a name that begins with `_` is left alone"),
                        );
                    }
                    self.layout.own.insert(CellId {
                        feature: feature.clone(),
                        provider: ProviderId::new(provider),
                    });
                }
                None => self.stray(&folder, &name, is_folder),
            }
        }
    }

    /// Every file of `_providers` must be about a provider.
    fn folder_of_providers(&mut self, folder: &Path) {
        for (name, is_folder) in self.entries(folder) {
            let stem = name.strip_suffix(".yaml");
            match stem.filter(|stem| self.providers.contains(stem) && !is_folder) {
                Some(provider) => {
                    if says_not_applicable(self.root, &folder.join(&name)) {
                        self.layout.not_applicable.insert(ProviderId::new(provider));
                    }
                }
                None if name.starts_with('.') => {}
                None => self.stray(folder, &name, is_folder),
            }
        }
    }

    fn stray(&mut self, folder: &Path, name: &str, is_folder: bool) {
        let known = self.manifest.providers.iter().map(ProviderId::as_str);
        let stem = name.split('.').next().unwrap_or_default();
        let is_yaml = name.ends_with(".yaml");
        let message = match (is_folder, is_yaml) {
            (true, _) => "a folder where only cells belong".to_owned(),
            (false, true) => format!("the manifest has no provider `{stem}`"),
            (false, false) => "this is not a cell".to_owned(),
        };
        let fault = Diagnostic::of_file(&folder.join(name), message).allowed(listed(
            known
                .clone()
                .map(|provider| format!("{provider}.yaml"))
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str),
        ));
        self.layout.faults.push(match closest(stem, known) {
            Some(close) => fault.hint(format!("did you mean `{close}.yaml`?")),
            None => fault.hint("a name that begins with `_` is left alone"),
        });
    }

    /// The names in `folder`, and whether each is a folder itself.
    fn entries(&mut self, folder: &Path) -> Vec<(String, bool)> {
        let listed = fs::read_dir(self.root.join(folder)).and_then(|entries| {
            entries
                .map(|entry| {
                    let entry = entry?;
                    let kind = entry.file_type()?;
                    let is_folder = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
                    Ok((entry.file_name().to_string_lossy().into_owned(), is_folder))
                })
                .collect::<io::Result<Vec<_>>>()
        });
        match listed {
            Ok(mut entries) => {
                entries.sort_unstable();
                entries
            }
            Err(error) => {
                self.layout.faults.push(unreadable(folder, &error));
                Vec::new()
            }
        }
    }
}
