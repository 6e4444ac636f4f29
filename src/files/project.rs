//! Reads `manifest.yaml`, `proxy_config.yaml` and `cells/` of a project.
//!
//! Opening a project reads the manifest and lists folders, nothing else. A cell is read at its first use. The module `cells`
//! checks the meaning of the texts.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use parking_lot::Mutex;

use super::built_in;
use super::gateway_files;
use super::layout::Layout;
use super::merged_errors::{in_order, without_shared};
use super::mutant_files::MUTANTS;
use super::reading::{attachment, is_selected, may_be_not_applicable, missing_pages, read, read_if_exists};
use crate::catalogue::Configuration;
use crate::cells::manifest::Tier;
use crate::cells::prices::Prices;
use crate::cells::resolve::NO_SHARED;
use crate::cells::{
    Cell, Layer, Layers, Manifest, Origin, ProxyConfig, Simulated, layers, proxy_map_sections,
    proxy_text_with, resolve,
};
use crate::document::{Diagnostic, render, without_errors};
use crate::env::SIMULATOR_VARIABLES;
use crate::findings::{GatewayDescription, KnownFindings, MatrixNames};
use crate::ids::{CellId, FeatureId, ProviderId, TrialName};
use crate::plan::{self, Planned};
use crate::text::listed;

/// The manifest's file, in the project's root.
pub const MANIFEST: &str = "manifest.yaml";
/// What the models cost, in the project's root.
pub const PRICES: &str = "prices.yaml";
/// The gateway's configuration, in the project's root.
pub const PROXY_CONFIG: &str = "proxy_config.yaml";
/// The folder of the cells, in the project's root.
pub const CELLS: &str = "cells";
/// The folder of the providers' layers, in the folder of the cells.
pub const PROVIDERS: &str = "_providers";
/// The folder of the known findings, in the project's root: `<gateway>.yaml`.
pub const GATEWAYS: &str = "gateways";
/// The layer of all cells, in the folder of the cells, and of a feature, in its folder.
pub const SHARED: &str = "_shared.yaml";

/// The result of reading a cell: the cell, or all its errors.
pub type ReadCell = Result<Arc<Cell>, Vec<Diagnostic>>;

/// The result of reading a layer; `None` if it has no file.
type ReadLayer = Option<Result<Arc<Layer>, Vec<Diagnostic>>>;

#[derive(Debug)]
pub struct Project {
    pub root: PathBuf,
    pub manifest: Manifest,
    /// Errors in the folders. They belong to no trial, but a cell may be missing because of them.
    pub layout_errors: Vec<Diagnostic>,
    layout: Layout,
    layers: Mutex<HashMap<PathBuf, ReadLayer>>,
    cells: Mutex<HashMap<CellId, ReadCell>>,
}

/// The models of the tiers in the manifest of `root`. None if it has errors: they are reported where the project is read.
pub fn tier_models(root: &Path) -> Vec<String> {
    let file = Path::new(MANIFEST);
    let manifest = read(root, file).and_then(|bytes| Manifest::parse(file, &bytes));
    let tiers = manifest.map(|manifest| manifest.tiers).unwrap_or_default();
    tiers.into_iter().map(|tier| tier.model).collect()
}

impl Project {
    /// The nearest folder, from `start` upwards, that contains a manifest; else the built-in project in `start`, if it was
    /// written.
    pub fn find_root(start: &Path) -> Option<PathBuf> {
        let built_in = start.join(built_in::FOLDER);
        let mut folders = start.ancestors().chain([built_in.as_path()]);
        folders
            .find(|folder| folder.join(MANIFEST).is_file())
            .map(Path::to_owned)
    }

    /// Reads the manifest in `root` and lists the cells.
    pub fn open(root: &Path) -> Result<Self, Vec<Diagnostic>> {
        let (mut project, mut errors) = Self::read(root);
        if let Some(project) = project.as_mut().filter(|_| !errors.is_empty()) {
            project.layout.complete(&mut project.manifest, &mut errors);
            errors.append(&mut project.layout_errors);
        }
        without_errors((project, errors))
    }

    /// The errors of the manifest in `root`, and the project, if its cells can be judged. Each folder of cells has a row.
    pub fn open_to_check(root: &Path) -> (Option<Self>, Vec<Diagnostic>) {
        let (mut project, mut errors) = Self::read(root);
        if !root.join(CELLS).is_dir() {
            let error = Diagnostic::of_file(Path::new(CELLS), "there is no such folder");
            errors.push(error.hint("restore it, or name the project's folder with `--root`"));
            return (None, errors);
        }
        let complete = |project: &mut Self| project.layout.complete(&mut project.manifest, &mut errors);
        project.as_mut().map(complete);
        (project, errors)
    }

    fn read(root: &Path) -> (Option<Self>, Vec<Diagnostic>) {
        let file = Path::new(MANIFEST);
        let (manifest, errors) = match read(root, file) {
            Ok(bytes) => Manifest::read(file, &bytes),
            Err(errors) => return (None, errors),
        };
        let project = manifest.map(|manifest| {
            let (layout, layout_errors) = Layout::of(root, &manifest);
            Self {
                root: root.to_owned(),
                manifest,
                layout_errors,
                layout,
                layers: Mutex::default(),
                cells: Mutex::default(),
            }
        });
        (project, errors)
    }

    /// Every trial, in the manifest's order.
    pub fn trials(&self) -> Vec<TrialName> {
        plan::trials(&self.manifest, |cell| self.is_present(cell))
    }

    /// Every trial but those that are not applicable, in the manifest's order.
    pub fn applicable_trials(&self) -> Vec<TrialName> {
        let mut trials = self.trials();
        let not_applicable = self.not_applicable(&trials);
        trials.retain(|trial| !not_applicable.contains(trial));
        trials
    }

    /// Every cell with a file, in the manifest's order.
    pub fn cells(&self) -> Vec<CellId> {
        let mut cells: Vec<CellId> = self.manifest.cells().collect();
        cells.retain(|cell| self.is_present(cell));
        cells
    }

    /// Whether the cell has its own file, its feature has a `_shared.yaml`, or its provider's file says `not_applicable`.
    fn is_present(&self, cell: &CellId) -> bool {
        self.layout.own.contains(cell)
            || self.layout.shared.contains(&cell.feature)
            || self.layout.not_applicable.contains(&cell.provider)
    }

    /// Every cell without a file, of the features whose folders could be listed.
    pub fn missing(&self) -> Vec<CellId> {
        let is_missing = |cell: &CellId| !self.is_present(cell) && self.layout.listed.contains(&cell.feature);
        self.manifest.cells().filter(is_missing).collect()
    }

    /// The plan for `trial`; see [`plan::plan`].
    pub fn plan(&self, proxy_config: Option<&ProxyConfig>, trial: &TrialName) -> Planned {
        plan::plan(&self.manifest, proxy_config, trial, &self.cell(&trial.cell))
    }

    /// The trials among `trials` that are not applicable. Parses only cells whose files contain a word for it: parsing thousands
    /// would take long.
    pub fn not_applicable(&self, trials: &[TrialName]) -> HashSet<TrialName> {
        let mut may_be: HashMap<PathBuf, bool> = HashMap::new();
        let mut says = |file: PathBuf| {
            let says = |file: &PathBuf| may_be_not_applicable(&self.root, file);
            *may_be.entry(file).or_insert_with_key(says)
        };
        let mut is_so = |trial: &&TrialName| {
            let cell = &trial.cell;
            let tier = self.manifest.tier(&trial.tier);
            tier.is_some_and(|tier| tier.not_on.iter().any(|(provider, _)| *provider == cell.provider))
                || (Self::files_of(cell).into_iter().any(&mut says)
                    && matches!(self.plan(None, trial), Planned::NotApplicable(_)))
        };
        trials.iter().filter(&mut is_so).cloned().collect()
    }

    /// Why no live run can have the trial, in a sentence.
    pub fn needs_script(&self, trial: &TrialName) -> Option<String> {
        let Planned::Run(planned) = self.plan(None, trial) else {
            return None;
        };
        let test = planned.test();
        let of_subscription = || "Only the simulator has the token of a subscription.".to_owned();
        let reason = test.needs_script.clone();
        reason.or_else(|| test.subscription.then(of_subscription))
    }

    /// What the gateway called `name` is known to break; nothing if it has no file.
    pub fn known_findings(&self, name: &str) -> Result<KnownFindings, Vec<Diagnostic>> {
        self.gateway(name).map(|gateway| gateway.known)
    }

    /// The gateway called `name`; one that can only be attached, without known findings, if it has no file.
    pub fn gateway(&self, name: &str) -> Result<GatewayDescription, Vec<Diagnostic>> {
        without_errors(self.gateway_to_check(name))
    }

    /// The errors of the gateway called `name`, and the gateway without them.
    pub(super) fn gateway_to_check(&self, name: &str) -> (Option<GatewayDescription>, Vec<Diagnostic>) {
        let file = gateway_files::file(name);
        let bytes = match read_if_exists(&self.root, &file) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let mut gateway = GatewayDescription::default();
                name.clone_into(&mut gateway.known.id);
                return (Some(gateway), Vec::new());
            }
            Err(error) => return (None, vec![*error]),
        };
        let features = self.manifest.features.iter().map(|feature| feature.id.clone());
        let names = MatrixNames {
            providers: &self.manifest.providers,
            features: &features.collect::<Vec<_>>(),
            tiers: &self.manifest.tier_names(),
        };
        GatewayDescription::read(&file, &bytes, names)
    }

    /// The names of the gateways with a file, sorted.
    pub fn gateways(&self) -> Vec<String> {
        gateway_files::list(&self.root).0
    }

    /// What the models cost; `None` without a `prices.yaml`.
    pub fn prices(&self) -> Result<Option<Prices>, Vec<Diagnostic>> {
        let file = Path::new(PRICES);
        let bytes = read_if_exists(&self.root, file).map_err(|error| vec![*error])?;
        let models: Vec<&str> = self
            .manifest
            .tiers
            .iter()
            .map(|tier| tier.model.as_str())
            .collect();
        // East of Greenwich, the day begins earlier.
        let today = (Utc::now() + TimeDelta::hours(14)).date_naive();
        bytes
            .map(|bytes| Prices::parse(file, &bytes, &self.manifest.providers, &models, today))
            .transpose()
    }

    /// The own file of `cell`, relative to the root.
    pub fn cell_file(cell: &CellId) -> PathBuf {
        feature_file(&cell.feature, &format!("{}.yaml", cell.provider))
    }

    /// The files that `cell` may be merged from, relative to the root. Earlier ones win.
    pub fn files_of(cell: &CellId) -> [PathBuf; 4] {
        [
            Self::cell_file(cell),
            feature_file(&cell.feature, SHARED),
            provider_file(&cell.provider),
            Path::new(CELLS).join(SHARED),
        ]
    }

    /// Reads the cell `id`; its files only once.
    pub fn cell(&self, id: &CellId) -> ReadCell {
        if let Some(known) = self.cells.lock().get(id) {
            return known.clone();
        }
        let read = self.read_cell(id).map(Arc::new);
        self.cells.lock().insert(id.clone(), read.clone());
        read
    }

    fn read_cell(&self, id: &CellId) -> Result<Cell, Vec<Diagnostic>> {
        let (file, bytes) = (Self::cell_file(id), self.own_bytes(id)?);
        let own = bytes.as_ref().map(|bytes| (&*file, &bytes[..]));
        let folder = self.root.join(CELLS).join(id.feature.as_str());
        let attachments = |name: &Path| attachment(&folder.join(name));
        self.with_layers(id, |layers| {
            resolve::cell(id, layers, own, &self.manifest, &attachments)
        })
    }

    /// The merged keys of `id`, each with its file and line.
    pub fn origins(&self, id: &CellId) -> Result<Vec<Origin>, Vec<Diagnostic>> {
        let (file, bytes) = (Self::cell_file(id), self.own_bytes(id)?);
        let own = bytes.as_ref().map(|bytes| (&*file, &bytes[..]));
        self.with_layers(id, |layers| layers::origins(&layers.map_err(<[_]>::to_vec)?, own))
    }

    fn own_bytes(&self, id: &CellId) -> Result<Option<Vec<u8>>, Vec<Diagnostic>> {
        let is_there = self.layout.own.contains(id);
        let read = is_there.then(|| read(&self.root, &Self::cell_file(id)));
        read.transpose()
    }

    /// Calls `with` with the layers of `cell`, or with their errors.
    fn with_layers<T>(&self, cell: &CellId, with: impl FnOnce(Result<Layers<'_>, &[Diagnostic]>) -> T) -> T {
        let [_, feature, provider, project] = Self::files_of(cell);
        let layers = [project, provider, feature].map(|file| self.layer(&file));
        let errors: Vec<Diagnostic> = layers
            .iter()
            .filter_map(|layer| layer.as_ref()?.as_ref().err())
            .flatten()
            .cloned()
            .collect();
        let [project, provider, feature] = layers
            .each_ref()
            .map(|layer| layer.as_ref().and_then(|layer| layer.as_deref().ok()));
        let known = Layers {
            project,
            provider,
            feature,
        };
        match errors.is_empty() {
            true => with(Ok(known)),
            false => with(Err(&errors)),
        }
    }

    /// The layer in `file`, read once.
    fn layer(&self, file: &Path) -> ReadLayer {
        let mut known = self.layers.lock();
        known
            .entry(file.to_owned())
            .or_insert_with(|| match read_if_exists(&self.root, file) {
                Ok(None) => None,
                Ok(Some(bytes)) if file.ends_with(SHARED) => Some(Layer::shared(file, &bytes).map(Arc::new)),
                Ok(Some(bytes)) => Some(Layer::provider(file, &bytes).map(Arc::new)),
                Err(error) => Some(Err(vec![*error])),
            })
            .clone()
    }

    /// The files of all layers, relative to the root.
    fn layer_files(&self) -> impl Iterator<Item = PathBuf> {
        let features = self
            .manifest
            .features
            .iter()
            .map(|feature| feature_file(&feature.id, SHARED));
        let providers = self.manifest.providers.iter().map(provider_file);
        std::iter::once(Path::new(CELLS).join(SHARED))
            .chain(providers)
            .chain(features)
    }

    pub fn proxy_config(&self) -> Result<ProxyConfig, Vec<Diagnostic>> {
        self.proxy_config_with(None)
    }

    /// The file with the settings of `configuration` in place of its own.
    pub fn proxy_config_with(
        &self,
        configuration: Option<&Configuration>,
    ) -> Result<ProxyConfig, Vec<Diagnostic>> {
        let file = Path::new(PROXY_CONFIG);
        let mut bytes = read(&self.root, file)?;
        if let Some(configuration) = configuration.filter(|one| !one.settings.is_empty()) {
            let settings = &configuration.settings;
            bytes = proxy_text_with(file, &bytes, &|file| read(&self.root, file), settings)?.into_bytes();
        }
        let models: Vec<String> = self
            .manifest
            .tiers
            .iter()
            .map(|tier| tier.model.clone())
            .collect();
        let simulated = Simulated {
            variables: &SIMULATOR_VARIABLES,
            models: &models,
        };
        ProxyConfig::parse(file, &bytes, &|file| read(&self.root, file), simulated)
    }

    /// The sections of the file that are maps.
    pub(super) fn proxy_map_sections(&self) -> Result<Vec<String>, Vec<Diagnostic>> {
        let file = Path::new(PROXY_CONFIG);
        proxy_map_sections(file, &read(&self.root, file)?, &|file| read(&self.root, file))
    }

    /// The lines of the gateway's configuration with which `trials` would not reach the simulator of a simulated run.
    pub fn outside<'a>(
        &self,
        config: &ProxyConfig,
        trials: impl IntoIterator<Item = &'a TrialName>,
    ) -> Vec<Diagnostic> {
        let alias = |trial: &TrialName| self.manifest.alias(&trial.cell.provider, &trial.tier);
        let aliases: BTreeSet<String> = trials.into_iter().filter_map(alias).collect();
        config.outside(aliases.iter().map(String::as_str))
    }

    /// Fails if `trials` would not reach the simulator of a simulated run.
    pub fn ensure_inside<'a>(
        &self,
        config: &ProxyConfig,
        trials: impl IntoIterator<Item = &'a TrialName>,
    ) -> anyhow::Result<()> {
        let errors = self.outside(config, trials);
        anyhow::ensure!(
            errors.is_empty(),
            "the gateway would not use the simulator\n\n{}",
            rendered(&errors)
        );
        Ok(())
    }

    /// All errors in the files at or below `paths` (relative to the root), in their cells and in the layers of these cells; in all
    /// files if there are no paths.
    pub fn check(&self, paths: &[PathBuf]) -> Vec<Diagnostic> {
        let (config, mut errors) = match self.proxy_config() {
            Ok(config) => (Some(config), Vec::new()),
            Err(errors) => (None, errors),
        };
        errors.extend(self.layout_errors.iter().cloned());
        for file in self.layer_files() {
            errors.extend(match self.layer(&file) {
                Some(Ok(layer)) => layer.errors.clone(),
                Some(Err(errors)) => errors,
                None => Vec::new(),
            });
        }
        let (named, rest): (Vec<CellId>, Vec<CellId>) = self
            .cells()
            .into_iter()
            .partition(|cell| self.is_named(paths, cell));
        // Another cell may show an error of a selected layer.
        let uses_selected = |cell: &&CellId| Self::files_of(cell).iter().any(|file| is_selected(paths, file));
        for cell in rest.iter().filter(uses_selected) {
            errors.extend(self.cell(cell).err().unwrap_or_default());
        }
        errors.extend(gateway_files::check(self));
        let gateways = self.gateways().into_iter().map(|name| gateway_files::file(&name));
        let own = self
            .manifest
            .cells()
            .filter(|cell| self.layout.own.contains(cell));
        let files = own.map(|cell| Self::cell_file(&cell)).chain(self.layer_files());
        let files = files.chain(gateways).chain([PathBuf::from(MANIFEST)]);
        errors.extend(files.flat_map(|file| missing_pages(&self.root, &file)));
        errors.extend(self.prices().err().unwrap_or_default());
        let manifest = Path::new(MANIFEST);
        errors.retain(|error| error.place.file == manifest || is_selected(paths, &error.place.file));
        for cell in &named {
            errors.extend(self.errors_of(cell, config.as_ref()));
        }
        in_order(without_shared(errors))
    }

    /// Whether the main file of the cell is at or below one of `paths`: its own file, or else its feature's.
    fn is_named(&self, paths: &[PathBuf], cell: &CellId) -> bool {
        let file = match self.layout.own.contains(cell) {
            true => Self::cell_file(cell),
            false => feature_file(&cell.feature, SHARED),
        };
        is_selected(paths, &file)
    }

    /// The cells whose main files are at or below `paths`; all cells if there are no paths.
    pub fn selected(&self, paths: &[PathBuf]) -> Vec<CellId> {
        let mut cells = self.cells();
        cells.retain(|cell| self.is_named(paths, cell));
        cells
    }

    /// The fault of a project without the file that all cells share.
    pub fn missing_shared(&self) -> Option<Diagnostic> {
        let file = Path::new(CELLS).join(SHARED);
        let message = format!("{NO_SHARED}, so no expectation holds in every cell");
        self.layer(&file).is_none().then(|| {
            Diagnostic::of_file(&file, message).hint(
                "restore it, or write `expect` with what must hold in every cell, such as `unchanged: request`",
            )
        })
    }

    /// Notes on the cells at or below `paths` that are not written yet, on providers without a file, and on models without a price.
    pub fn notes(&self, paths: &[PathBuf]) -> Vec<Diagnostic> {
        let config = self.proxy_config().ok();
        let missing = self.missing();
        let of_row = |cell: &CellId| -> Vec<String> {
            let of_row = missing.iter().filter(|other| other.feature == cell.feature);
            of_row.map(ToString::to_string).collect()
        };
        let missing = missing.iter().filter_map(|cell| {
            let shared = feature_file(&cell.feature, SHARED);
            if self.layer(&shared).is_none() {
                let cells = of_row(cell);
                let (message, hint) = match cells.len() == self.manifest.providers.len() {
                    true => (
                        "there is no such file, and no file of a provider: the matrix shows the row as not tested".to_owned(),
                        "write the file with what all providers share",
                    ),
                    false => (
                        format!(
                            "there is no such file, and none of {}, which the matrix shows as not tested",
                            listed(cells.iter().map(String::as_str))
                        ),
                        "write the file with what all providers share, or a file for each of these cells",
                    ),
                };
                let note = Diagnostic::of_file(&shared, message).hint(hint).note();
                return is_selected(paths, &shared).then_some(note);
            }
            let file = Self::cell_file(cell);
            is_selected(paths, &file).then(|| {
                let message = format!("`{cell}` has no file, so the matrix shows it as not tested");
                Diagnostic::of_file(&file, message)
                    .hint("write its expectations, or `not_applicable` and the reason")
                    .note()
            })
        });
        let providers = self.manifest.providers.iter().filter_map(|provider| {
            let file = provider_file(provider);
            (is_selected(paths, &file) && self.layer(&file).is_none()).then(|| {
                let message =
                    format!("the provider `{provider}` has no file, so its cells have no common keys");
                Diagnostic::of_file(&file, message)
                    .hint("write its route, or `not_applicable` and the reason")
                    .note()
            })
        });
        let shared = self.missing_shared();
        let shared = shared.filter(|missing| is_selected(paths, &missing.place.file));
        // With mutants it is an error.
        let shared = shared.filter(|_| !self.root.join(MUTANTS).is_dir());
        let cells = self.selected(paths);
        let unwritten = cells
            .iter()
            .flat_map(|cell| self.unwritten(cell, config.as_ref()));
        let outside = config
            .iter()
            .flat_map(|config| [config.notes().to_vec(), self.outside(config, &self.trials())].concat());
        let outside = outside.filter(|error| is_selected(paths, &error.place.file));
        let prices = self.prices().ok().flatten();
        let unpriced = prices.into_iter().flat_map(|prices| prices.missing);
        let unpriced = unpriced.filter(|note| is_selected(paths, &note.place.file));
        in_order(
            unwritten
                .chain(unpriced)
                .chain(missing)
                .chain(providers)
                .chain(shared.map(Diagnostic::note))
                .chain(outside.map(Diagnostic::note))
                .collect(),
        )
    }

    fn unwritten(&self, id: &CellId, config: Option<&ProxyConfig>) -> Vec<Diagnostic> {
        let Ok(cell) = self.cell(id) else {
            return Vec::new();
        };
        let lacking = self.manifest.tiers.first().and_then(|tier| {
            let error = config?.lacks(&self.manifest, &id.provider, &tier.id)?;
            let hint = "add its deployments, or make the cell `not_applicable` with a reason";
            Some(Diagnostic {
                allowed: None,
                ..error.hint(hint)
            })
        });
        match plan::unwritten(&cell) {
            todo if todo.is_empty() => todo,
            todo => todo.into_iter().chain(lacking).map(Diagnostic::note).collect(),
        }
    }

    /// The errors that break `cell` on any tier. A cell with a `todo` may lack its model in the gateway.
    fn errors_of(&self, cell: &CellId, config: Option<&ProxyConfig>) -> Vec<Diagnostic> {
        let is_written = |cell: &Arc<Cell>| plan::unwritten(cell).is_empty();
        let config = config.filter(|_| self.cell(cell).as_ref().is_ok_and(is_written));
        let broken = |tier: &Tier| match self.plan(config, &cell.trial(&tier.id)) {
            // An error of the manifest.
            _ if self.manifest.alias(&cell.provider, &tier.id).is_none() => {
                self.cell(cell).err().unwrap_or_default()
            }
            Planned::Broken(errors) => errors,
            Planned::Run(_) | Planned::NotApplicable(_) => Vec::new(),
        };
        self.manifest.tiers.iter().flat_map(broken).collect()
    }
}

fn feature_file(feature: &FeatureId, name: &str) -> PathBuf {
    Path::new(CELLS).join(feature.as_str()).join(name)
}

fn provider_file(provider: &ProviderId) -> PathBuf {
    Path::new(CELLS).join(PROVIDERS).join(format!("{provider}.yaml"))
}

/// The error for a project whose files have `errors`.
pub fn broken_project(errors: Vec<Diagnostic>) -> anyhow::Error {
    anyhow::anyhow!("the project cannot be read\n\n{}", rendered(&errors))
}

/// Diagnostics as plain text, without a newline at the end.
pub fn rendered(errors: &[Diagnostic]) -> String {
    let text = render::render(errors, render::Format::Text, false);
    text.trim_end().to_owned()
}
