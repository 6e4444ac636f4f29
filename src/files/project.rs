//! Reads `manifest.yaml`, `proxy_config.yaml` and `cells/` of a project.
//!
//! Opening a project reads the manifest and lists folders, nothing else. A cell is read when it is asked for, once. What
//! the texts mean is for `cells`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::layout::Layout;
use super::reading::{attachment, read, read_if_there, says_not_applicable};
use crate::cells::manifest::Tier;
use crate::cells::{Cell, CellBody, Layer, Layers, Manifest, Origin, ProxyConfig, layers, resolve};
use crate::document::Diagnostic;
use crate::ids::{CellId, FeatureId, ProviderId, TrialName};
use crate::plan::{self, Planned};

/// The manifest's file, in the project's root.
pub const MANIFEST: &str = "manifest.yaml";
/// The gateway's configuration, in the project's root.
pub const PROXY_CONFIG: &str = "proxy_config.yaml";
/// The folder of the cells, in the project's root.
pub const CELLS: &str = "cells";
/// The folder of the providers' layers, in the folder of the cells.
pub const PROVIDERS: &str = "_providers";
/// The layer of every cell in the folder of the cells, and of a feature in its folder.
pub const SHARED: &str = "_shared.yaml";

/// A cell as it was read: the cell, or all its errors.
pub type ReadCell = Result<Arc<Cell>, Vec<Diagnostic>>;

/// A layer as it was read: `None` if it has no file.
type ReadLayer = Option<Result<Arc<Layer>, Vec<Diagnostic>>>;

#[derive(Debug)]
pub struct Project {
    pub root: PathBuf,
    /// Which rows, columns and tiers there are.
    pub manifest: Manifest,
    /// Errors of the folders. They are no trial's fault, yet a cell may be lost by them.
    pub layout_faults: Vec<Diagnostic>,
    /// The cells that have a file of their own.
    own: HashSet<CellId>,
    /// The features that have a `_shared.yaml`.
    shared: HashSet<FeatureId>,
    /// The providers whose file says `not_applicable`.
    not_applicable: HashSet<ProviderId>,
    layers: Mutex<HashMap<PathBuf, ReadLayer>>,
    cells: Mutex<HashMap<CellId, ReadCell>>,
}

impl Project {
    /// The nearest folder, from `start` upwards, that holds a manifest.
    pub fn find_root(start: &Path) -> Option<PathBuf> {
        start
            .ancestors()
            .find(|folder| folder.join(MANIFEST).is_file())
            .map(Path::to_owned)
    }

    /// Reads the manifest below `root` and lists the cells.
    pub fn open(root: &Path) -> Result<Self, Vec<Diagnostic>> {
        let file = Path::new(MANIFEST);
        let bytes = read(root, file).map_err(|fault| vec![*fault])?;
        let manifest = Manifest::parse(file, &bytes)?;
        let Layout {
            own,
            shared,
            not_applicable,
            faults,
        } = Layout::of(root, &manifest);
        Ok(Self {
            root: root.to_owned(),
            layout_faults: faults,
            own,
            shared,
            not_applicable,
            manifest,
            layers: Mutex::default(),
            cells: Mutex::default(),
        })
    }

    /// Every trial, in the manifest's order.
    pub fn trials(&self) -> Vec<TrialName> {
        plan::trials(&self.manifest, |cell| self.is_present(cell))
    }

    /// Every cell that some file is about, in the manifest's order.
    pub fn cells(&self) -> Vec<CellId> {
        self.manifest
            .cells()
            .filter(|cell| self.is_present(cell))
            .collect()
    }

    /// Whether a file is about the cell: its own, its feature's `_shared.yaml`, or its provider's `not_applicable`.
    fn is_present(&self, cell: &CellId) -> bool {
        self.own.contains(cell)
            || self.shared.contains(&cell.feature)
            || self.not_applicable.contains(&cell.provider)
    }

    /// Every cell that no file is about, of the features whose folders could be listed.
    pub fn missing(&self) -> Vec<CellId> {
        let is_missing = |cell: &CellId| {
            let folder = Path::new(CELLS).join(cell.feature.as_str());
            let is_listed = !self.layout_faults.iter().any(|fault| fault.place.file == folder);
            !self.is_present(cell) && is_listed
        };
        self.manifest.cells().filter(is_missing).collect()
    }

    /// The plan for `trial`; see [`plan::plan`].
    pub fn plan(&self, proxy_config: Option<&ProxyConfig>, trial: &TrialName) -> Planned {
        plan::plan(&self.manifest, proxy_config, trial, &self.cell(&trial.cell))
    }

    /// The cells among `cells` whose feature cannot exist there. Only cells whose files contain the word are parsed:
    /// parsing thousands would take long.
    pub fn not_applicable(&self, cells: impl IntoIterator<Item = CellId>) -> HashSet<CellId> {
        let may_be = |cell: &CellId| match self.own.contains(cell) {
            true => says_not_applicable(&self.root, &Self::cell_file(cell)),
            false => self.not_applicable.contains(&cell.provider),
        };
        let is_so = |cell: &CellId| {
            self.cell(cell)
                .is_ok_and(|cell| matches!(cell.body, CellBody::NotApplicable(_)))
        };
        let distinct: HashSet<CellId> = cells.into_iter().collect();
        distinct
            .into_iter()
            .filter(|cell| may_be(cell) && is_so(cell))
            .collect()
    }

    /// The own file of `cell`, relative to the root.
    pub fn cell_file(cell: &CellId) -> PathBuf {
        feature_file(&cell.feature, &format!("{}.yaml", cell.provider))
    }

    /// The files that `cell` may be merged from, the strongest first, relative to the root.
    pub fn files_of(cell: &CellId) -> [PathBuf; 4] {
        [
            Self::cell_file(cell),
            feature_file(&cell.feature, SHARED),
            provider_file(&cell.provider),
            Path::new(CELLS).join(SHARED),
        ]
    }

    /// Reads `id`, the first time from its files.
    pub fn cell(&self, id: &CellId) -> ReadCell {
        if let Some(known) = self.cells.lock().get(id) {
            return known.clone();
        }
        let read = self.read_cell(id).map(Arc::new);
        self.cells.lock().insert(id.clone(), read.clone());
        read
    }

    fn read_cell(&self, id: &CellId) -> Result<Cell, Vec<Diagnostic>> {
        let own = self.own_bytes(id)?;
        self.cell_of(id, own.as_deref())
    }

    /// The cell `id` as it would be if its own file held `bytes`, or if it had no file.
    pub fn cell_of(&self, id: &CellId, bytes: Option<&[u8]>) -> Result<Cell, Vec<Diagnostic>> {
        let file = Self::cell_file(id);
        let own = bytes.map(|bytes| (&*file, bytes));
        let folder = self.root.join(CELLS).join(id.feature.as_str());
        let attachments = |name: &Path| attachment(&folder.join(name));
        self.with_layers(id, |layers| {
            resolve::cell(id, layers, own, &self.manifest, &attachments)
        })
    }

    /// The keys of `id`, merged, each with the file and line that it comes from.
    pub fn origins(&self, id: &CellId) -> Result<Vec<Origin>, Vec<Diagnostic>> {
        let own = self.own_bytes(id)?;
        let file = Self::cell_file(id);
        let own = own.as_ref().map(|bytes| (&*file, &bytes[..]));
        self.with_layers(id, |layers| layers::origins(&layers.map_err(<[_]>::to_vec)?, own))
    }

    fn own_bytes(&self, id: &CellId) -> Result<Option<Vec<u8>>, Vec<Diagnostic>> {
        match self.own.contains(id) {
            true => read(&self.root, &Self::cell_file(id))
                .map(Some)
                .map_err(|fault| vec![*fault]),
            false => Ok(None),
        }
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
            .or_insert_with(|| match read_if_there(&self.root, file) {
                Ok(None) => None,
                Ok(Some(bytes)) if file.ends_with(SHARED) => Some(Layer::shared(file, &bytes).map(Arc::new)),
                Ok(Some(bytes)) => Some(Layer::provider(file, &bytes).map(Arc::new)),
                Err(fault) => Some(Err(vec![*fault])),
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
        let file = Path::new(PROXY_CONFIG);
        let bytes = read(&self.root, file).map_err(|fault| vec![*fault])?;
        ProxyConfig::parse(file, &bytes)
    }

    /// All faults of all files that one of `paths` (relative to the root) names or holds, and of what the cells among
    /// them rest on; of every file if there are none.
    pub fn check(&self, paths: &[PathBuf]) -> Vec<Diagnostic> {
        let (config, config_faults) = match self.proxy_config() {
            Ok(config) => (Some(config), Vec::new()),
            Err(faults) => (None, faults),
        };
        let mut faults: Vec<Diagnostic> = self.layout_faults.clone();
        faults.extend(config_faults);
        for file in self.layer_files() {
            faults.extend(self.layer(&file).and_then(Result::err).unwrap_or_default());
        }
        let cells = self.cells();
        let (named, rest): (Vec<&CellId>, Vec<&CellId>) =
            cells.iter().partition(|cell| self.is_named(paths, cell));
        for cell in rest {
            // A cell that is not named itself may still show an error of a layer that is.
            if Self::files_of(cell).iter().any(|file| is_selected(paths, file)) {
                faults.extend(self.cell(cell).err().unwrap_or_default());
            }
        }
        faults.retain(|fault| is_selected(paths, &fault.place.file));
        for cell in named {
            faults.extend(self.faults_of(cell, config.as_ref()));
        }
        in_order(faults)
    }

    /// Whether one of `paths` names or holds the file that the cell is mainly written in: its own, else its feature's.
    fn is_named(&self, paths: &[PathBuf], cell: &CellId) -> bool {
        let file = match self.own.contains(cell) {
            true => Self::cell_file(cell),
            false => feature_file(&cell.feature, SHARED),
        };
        is_selected(paths, &file)
    }

    /// The cells that `paths` names; every one if there are none.
    pub fn selected(&self, paths: &[PathBuf]) -> Vec<CellId> {
        let mut cells = self.cells();
        cells.retain(|cell| self.is_named(paths, cell));
        cells
    }

    /// Notes on the cells that `paths` names and that are not written yet.
    pub fn notes(&self, paths: &[PathBuf]) -> Vec<Diagnostic> {
        let config = self.proxy_config().ok();
        let missing = self.missing().into_iter().filter_map(|cell| {
            let file = Self::cell_file(&cell);
            is_selected(paths, &file).then(|| {
                let message = format!("`{cell}` has no file, so the matrix shows it as not tested");
                Diagnostic::of_file(&file, message)
                    .hint("write what must hold there, or `not_applicable` and why")
                    .note()
            })
        });
        let cells = self.selected(paths);
        let unwritten = cells
            .iter()
            .flat_map(|cell| self.unwritten(cell, config.as_ref()));
        in_order(unwritten.chain(missing).collect())
    }

    fn unwritten(&self, id: &CellId, config: Option<&ProxyConfig>) -> Vec<Diagnostic> {
        let Ok(cell) = self.cell(id) else {
            return Vec::new();
        };
        let lacking = self.manifest.tiers.first().and_then(|tier| {
            let fault = config?.lacks(&self.manifest, &id.provider, &tier.id)?;
            let hint = "add its deployments, or make the cell `not_applicable` and say why";
            Some(Diagnostic {
                allowed: None,
                ..fault.hint(hint)
            })
        });
        match plan::unwritten(&cell) {
            todo if todo.is_empty() => todo,
            todo => todo.into_iter().chain(lacking).map(Diagnostic::note).collect(),
        }
    }

    /// What breaks `cell` on any tier. That the gateway has no model for a cell that is still to be written does not.
    fn faults_of(&self, cell: &CellId, config: Option<&ProxyConfig>) -> Vec<Diagnostic> {
        let is_written = |cell: &Arc<Cell>| plan::unwritten(cell).is_empty();
        let config = config.filter(|_| self.cell(cell).as_ref().is_ok_and(is_written));
        let broken = |tier: &Tier| match self.plan(config, &cell.trial(&tier.id)) {
            Planned::Broken(faults) => faults,
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

/// Whether one of `paths` names or holds `file`. Without paths, every file is selected.
pub(crate) fn is_selected(paths: &[PathBuf], file: &Path) -> bool {
    paths.is_empty()
        || paths
            .iter()
            .any(|path| file.starts_with(path) || path.as_os_str() == ".")
}

/// `faults` by file and place, each once: a fault in `_shared.yaml` is found by every cell of its feature.
fn in_order(mut faults: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let key = |fault: &Diagnostic| {
        (
            fault.place.file.clone(),
            fault.place.line,
            fault.place.column,
            fault.message.clone(),
        )
    };
    faults.sort_by_key(key);
    faults.dedup_by(|again, first| {
        let is_same = key(again) == key(first);
        if is_same {
            let more = std::mem::take(&mut again.related);
            for place in more {
                if !first.related.contains(&place) {
                    first.related.push(place);
                }
            }
        }
        is_same
    });
    faults
}
