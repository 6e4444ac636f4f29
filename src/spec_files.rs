//! Reads `manifest.yaml`, `proxy_config.yaml` and `cells/` of a project.
//!
//! Opening a project reads the manifest and lists folders, nothing else. A cell is read when it is asked for, once. What
//! the texts mean is for `cells`.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use parking_lot::Mutex;

use crate::cells::manifest::Tier;
use crate::cells::{Cell, CellBody, Layer, Layers, Manifest, Origin, ProxyConfig, layers, resolve};
use crate::document::{Diagnostic, yaml};
use crate::ids::{CellId, FeatureId, ProviderId, TrialName};
use crate::plan::{self, Planned};
use crate::text::{closest, listed};

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

/// The key of a cell whose feature cannot exist there.
const NOT_APPLICABLE: &[u8] = b"not_applicable";

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
        let mut listing = Listing {
            root,
            manifest: &manifest,
            providers: manifest.providers.iter().map(ProviderId::as_str).collect(),
            own: HashSet::new(),
            shared: HashSet::new(),
            not_applicable: HashSet::new(),
            faults: Vec::new(),
        };
        listing.folder_of_cells();
        let Listing {
            own,
            shared,
            not_applicable,
            faults,
            ..
        } = listing;
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

/// Whether `file` contains the word `not_applicable`, in a key or elsewhere.
fn says_not_applicable(root: &Path, file: &Path) -> bool {
    let text = read(root, file).unwrap_or_default();
    text.windows(NOT_APPLICABLE.len())
        .any(|window| window == NOT_APPLICABLE)
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

/// The bytes of `file`, relative to `root`; not of one that is too large.
pub(crate) fn read(root: &Path, file: &Path) -> Result<Vec<u8>, Box<Diagnostic>> {
    match read_if_there(root, file)? {
        Some(bytes) => Ok(bytes),
        None => Err(Box::new(Diagnostic::of_file(file, "there is no such file"))),
    }
}

fn read_if_there(root: &Path, file: &Path) -> Result<Option<Vec<u8>>, Box<Diagnostic>> {
    let failed = |error: io::Error| Box::new(unreadable(file, &error));
    let path = root.join(file);
    // Before it is opened: who opens a pipe waits for somebody to write into it.
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match fs::read_link(&path) {
                Err(_) => Ok(None),
                Ok(target) => Err(Box::new(
                    Diagnostic::of_file(file, "this is a link to a file that is not there")
                        .found(format!("`{}`", target.display())),
                )),
            };
        }
        Err(error) => return Err(failed(error)),
    };
    if metadata.is_dir() {
        return Err(Box::new(Diagnostic::of_file(file, FOLDER_FOR_FILE)));
    }
    if !metadata.is_file() {
        return Err(Box::new(Diagnostic::of_file(
            file,
            "this is neither a file nor a link to one",
        )));
    }
    let mut opened = File::open(&path).map_err(failed)?;
    if metadata.len() > yaml::MAX_BYTES as u64 {
        return Err(Box::new(yaml::too_large(file, metadata.len())));
    }
    let mut bytes = Vec::new();
    opened
        .by_ref()
        .take(yaml::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(Some(bytes))
}

const FOLDER_FOR_FILE: &str = "this is a folder, where a file is expected";

/// That `file` cannot be read, without the number that the system has for why.
fn unreadable(file: &Path, error: &io::Error) -> Diagnostic {
    let fault = |why: &str| Diagnostic::of_file(file, format!("cannot be read: {why}"));
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            fault("permission denied").hint(format!("`ls -ld {}` shows who may read it", file.display()))
        }
        _ if error.raw_os_error() == Some(Errno::ELOOP as i32) => fault("it is a link that leads to itself"),
        io::ErrorKind::NotFound => fault("there is no such folder"),
        _ => fault(&error.to_string()),
    }
}

/// The most bytes that an image or a document may have: what the Messages API takes in one request is 32 MB.
const MAX_ATTACHMENT_BYTES: u64 = 20_000_000;

fn attachment(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => match like(path) {
            Some(close) => format!("there is no such file in the feature's folder (did you mean `{close}`?)"),
            None => "there is no such file in the feature's folder".to_owned(),
        },
        _ => error.to_string(),
    })?;
    if !metadata.is_file() {
        return Err("it is no file".to_owned());
    }
    if metadata.len() > MAX_ATTACHMENT_BYTES {
        return Err(format!(
            "it has {} bytes, at most {MAX_ATTACHMENT_BYTES} are allowed",
            metadata.len()
        ));
    }
    fs::read(path).map_err(|error| error.to_string())
}

/// The file beside `path` that was probably meant.
fn like(path: &Path) -> Option<String> {
    let names: Vec<String> = fs::read_dir(path.parent()?)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.starts_with('_') && name != SHARED)
        .collect();
    let wanted = path.file_name()?.to_string_lossy();
    closest(&wanted, names.iter().map(String::as_str)).map(str::to_owned)
}

struct Listing<'a> {
    root: &'a Path,
    manifest: &'a Manifest,
    providers: HashSet<&'a str>,
    own: HashSet<CellId>,
    shared: HashSet<FeatureId>,
    not_applicable: HashSet<ProviderId>,
    faults: Vec<Diagnostic>,
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
                false => self.faults.push(
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
                self.faults.push(
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
            self.faults.push(match closest(&name, known) {
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
                    self.shared.insert(feature.clone());
                }
                continue;
            }
            let provider = name
                .strip_suffix(".yaml")
                .filter(|stem| self.providers.contains(stem));
            match provider {
                Some(provider) => {
                    if is_folder {
                        self.faults.push(
                            Diagnostic::of_file(&folder.join(&name), FOLDER_FOR_FILE)
                                .hint("a cell is one file; a name that begins with `_` is left alone"),
                        );
                    }
                    self.own.insert(CellId {
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
                        self.not_applicable.insert(ProviderId::new(provider));
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
        self.faults.push(match closest(stem, known) {
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
                self.faults.push(unreadable(folder, &error));
                Vec::new()
            }
        }
    }
}
