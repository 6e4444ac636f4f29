//! Lists the files below `cells/`, and reports those that belong to no cell.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::project::{CELLS, MANIFEST, PROVIDERS, SHARED};
use super::reading::{FOLDER_FOR_FILE, entries, says_not_applicable};
use crate::cells::Manifest;
use crate::cells::manifest::Feature;
use crate::document::Diagnostic;
use crate::ids::{CellId, FeatureId, ProviderId};
use crate::text::{closest, listed};

/// The files below `cells/`.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// The cells with their own file.
    pub(super) own: HashSet<CellId>,
    /// The features with a `_shared.yaml`.
    pub(super) shared: HashSet<FeatureId>,
    /// The providers whose file says `not_applicable`.
    pub(super) not_applicable: HashSet<ProviderId>,
    /// The features whose folders could be listed.
    pub(super) listed: HashSet<FeatureId>,
    /// The features that the manifest lacks: each is a folder, or the similar name of one.
    slips: Vec<(FeatureId, Option<FeatureId>)>,
}

impl Layout {
    /// Lists the files below `cells/`. Also returns the errors: files that belong to no cell, and unreadable folders.
    pub(super) fn of(root: &Path, manifest: &Manifest) -> (Self, Vec<Diagnostic>) {
        let mut listing = Listing {
            root,
            manifest,
            providers: manifest.providers.iter().map(ProviderId::as_str).collect(),
            layout: Self::default(),
            errors: Vec::new(),
        };
        listing.folder_of_cells();
        (listing.layout, listing.errors)
    }

    /// Gives each folder its row, and removes the errors about it. So one wrong name is one error, although many files name the
    /// feature.
    pub(super) fn complete(&self, manifest: &mut Manifest, errors: &mut Vec<Diagnostic>) {
        for (folder, row) in &self.slips {
            errors.retain(|error| error.message != unknown(folder.as_str()));
            manifest.give_row(folder, row.as_ref());
        }
    }
}

fn unknown(feature: &str) -> String {
    format!("the manifest has no feature `{feature}`")
}

struct Listing<'a> {
    root: &'a Path,
    manifest: &'a Manifest,
    providers: HashSet<&'a str>,
    layout: Layout,
    errors: Vec<Diagnostic>,
}

impl Listing<'_> {
    fn folder_of_cells(&mut self) {
        let cells = Path::new(CELLS);
        let mut folders: BTreeSet<String> = BTreeSet::new();
        for (name, is_folder) in self.entries(cells) {
            match is_folder {
                true if name == PROVIDERS => self.folder_of_providers(&cells.join(PROVIDERS)),
                false if name == SHARED => {}
                _ if name.starts_with('_') => self.misnamed_layer(cells, &name, &[SHARED, PROVIDERS]),
                _ if name.starts_with('.') => {}
                true => {
                    folders.insert(name);
                }
                false => self.errors.push(
                    Diagnostic::of_file(&cells.join(&name), "a file where only folders of features belong")
                        .hint("a cell is `cells/<feature>/<provider>.yaml`; a name that begins with `_` is ignored"),
                ),
            }
        }
        let rows = self.manifest.features.iter();
        let (found, absent): (Vec<_>, Vec<_>) = rows.partition(|row| folders.remove(row.id.as_str()));
        found.into_iter().for_each(|row| self.folder_of_feature(&row.id));
        for Feature { id, span, .. } in absent {
            let message = format!("the manifest's feature `{id}` has no folder in `{CELLS}`");
            let error = match span {
                Some(span) => Diagnostic::at(span, message),
                None => Diagnostic::of_file(Path::new(MANIFEST), message),
            };
            let close = closest(id.as_str(), folders.iter().map(String::as_str)).map(str::to_owned);
            let error = match close {
                Some(close) => {
                    let folder = Diagnostic::of_file(&cells.join(&close), "").place;
                    folders.remove(&close);
                    self.slip(&close, Some(id));
                    error
                        .related(folder, "the manifest does not name this folder")
                        .hint(format!("did you mean `{close}`? else rename the folder"))
                }
                None => error.hint(format!(
                    "create `{CELLS}/{id}` and its cells, or remove the feature from the manifest"
                )),
            };
            self.errors.push(error);
        }
        let known = || self.manifest.features.iter().map(|feature| feature.id.as_str());
        for name in folders {
            self.slip(&name, None);
            let error = Diagnostic::of_file(&cells.join(&name), unknown(&name)).allowed(listed(known()));
            self.errors.push(error.hint(match closest(&name, known()) {
                Some(close) => format!("did you mean `{close}`? no cell of this folder runs"),
                None => "add the feature to `manifest.yaml`: no cell of this folder runs".to_owned(),
            }));
        }
    }

    /// A folder whose name no row has; `row` is the row with a similar name and no folder.
    fn slip(&mut self, folder: &str, row: Option<&FeatureId>) {
        let folder = FeatureId::new(folder);
        self.folder_of_feature(&folder);
        self.layout.slips.push((folder, row.cloned()));
    }

    fn folder_of_feature(&mut self, feature: &FeatureId) {
        let folder = Path::new(CELLS).join(feature.as_str());
        let listed = self.errors.len();
        let entries = self.entries(&folder);
        if self.errors.len() == listed {
            self.layout.listed.insert(feature.clone());
        }
        for (name, is_folder) in entries {
            if name.starts_with(['_', '.']) {
                if name == SHARED {
                    self.layout.shared.insert(feature.clone());
                } else {
                    self.misnamed_layer(&folder, &name, &[SHARED]);
                }
                continue;
            }
            let provider = name
                .strip_suffix(".yaml")
                .filter(|stem| self.providers.contains(stem));
            match provider {
                Some(provider) => {
                    if is_folder {
                        let error = Diagnostic::of_file(&folder.join(&name), FOLDER_FOR_FILE);
                        self.errors
                            .push(error.hint("a cell is one file; a name that begins with `_` is ignored"));
                    }
                    let cell = CellId::new(feature, &ProviderId::new(provider));
                    self.layout.own.insert(cell);
                }
                None => self.stray(&folder, &name, is_folder),
            }
        }
    }

    /// Every file in `_providers` is named after a provider.
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

    /// Reports a name that is ignored but similar to one of `layers`.
    fn misnamed_layer(&mut self, folder: &Path, name: &str, layers: &[&str]) {
        if let Some(layer) = layers.iter().find(|layer| is_near_miss(name, layer)) {
            let message = format!("this is ignored, but its name is almost `{layer}`");
            let error = Diagnostic::of_file(&folder.join(name), message);
            let hint = format!("did you mean `{layer}`? if not, choose a name that differs more");
            self.errors.push(error.allowed(listed([*layer])).hint(hint));
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
        let files: Vec<String> = known.clone().map(|provider| format!("{provider}.yaml")).collect();
        let error = Diagnostic::of_file(&folder.join(name), message);
        let error = error.allowed(listed(files.iter().map(String::as_str)));
        self.errors.push(error.hint(match closest(stem, known) {
            Some(close) => format!("did you mean `{close}.yaml`?"),
            None => "a name that begins with `_` is ignored".to_owned(),
        }));
    }

    fn entries(&mut self, folder: &Path) -> Vec<(String, bool)> {
        entries(self.root, folder).unwrap_or_else(|error| {
            self.errors.push(*error);
            Vec::new()
        })
    }
}

/// Whether `name` is `layer` with another ending, or with one or two wrong characters.
fn is_near_miss(name: &str, layer: &str) -> bool {
    let stem = |name: &str| name.split('.').next().unwrap_or_default().to_lowercase();
    let distance = strsim::levenshtein(&stem(name), &stem(layer));
    let is_file = !name.contains('.') || name.ends_with(".yaml") || name.ends_with(".yml");
    !name.starts_with('.') && (distance == 0 || (is_file && distance <= 2))
}
