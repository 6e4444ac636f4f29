//! The folder of installed tools, outside `target/`: one folder for each tool and content.
//!
//! A folder counts as installed only with its receipt. The receipt is written last, after all other files are on the disk. So
//! an interrupted installation leaves a folder without one, which the next installation removes. A lock file makes one process
//! at a time install an entry. The system releases the lock when that process ends, but its installer may outlive it and still
//! write. So each attempt gets a new folder. A process that uses an installation locks its receipt, shared, until it ends, and
//! no other process removes a folder with a locked receipt. This module does not use the network.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::platform::Platform;
use crate::digest::Sha512;
use crate::env::{self, Environment};
use crate::files::atomic_write;
use crate::progress::ProgressSink;
use crate::results::json;

const RECEIPT: &str = "receipt.json";
const LOCKS: &str = ".locks";
/// The folder of the locks of versions, which is no tool's.
pub(super) const PINS: &str = "pins";

/// The size that installations may have together: about 25 versions of LiteLLM and 15 of Claude Code.
const MOST_BYTES: u64 = 20 << 30;

/// The locked receipts of the installations that this process uses, by folder.
static IN_USE: Mutex<BTreeMap<PathBuf, File>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// One tool with one content, installed or not.
#[derive(Clone, Debug)]
pub struct CacheEntry {
    pub tool: String,
    pub version: String,
    /// The digest in the lock: of the package for `claude`, of the requirements for LiteLLM.
    pub locked: Sha512,
    /// The folder of the tool's entries.
    parent: PathBuf,
    /// The names of this entry's folders are this, a dot and a random part.
    name: String,
}

/// The description of a complete installation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub tool: String,
    pub version: String,
    pub locked: Sha512,
    /// The tool's program, relative to the entry's folder.
    pub program: PathBuf,
    /// The program, if it is a single file.
    pub file: Option<InstalledFile>,
    pub installed_at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstalledFile {
    pub bytes: u64,
    pub sha512: Sha512,
}

/// The folders that [`Cache::clean`] was to remove.
#[derive(Debug, Default)]
pub struct Cleaned {
    pub removed: Vec<PathBuf>,
    pub in_use: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct Installed {
    pub directory: PathBuf,
    pub receipt: Receipt,
}

/// Makes an error of the failed `action` on `path`, with advice for a full or read-only disk.
pub fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> anyhow::Error {
    let path = path.to_owned();
    move |error| anyhow!("cannot {action} `{}`: {}", path.display(), with_advice(&error))
}

impl Cache {
    /// The cache in the folder `root`, which need not exist.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The cache in `COMPAT_CACHE_DIR`, else in `compat-matrix` in the user's cache folder.
    pub fn of(environment: &Environment) -> anyhow::Result<Self> {
        let caches = || {
            environment
                .path(env::XDG_CACHE_HOME)
                // The XDG base directory specification: ignore a relative path.
                .filter(|path| path.is_absolute())
                .or_else(|| Some(environment.home()?.join(".cache")))
        };
        environment
            .path(env::COMPAT_CACHE_DIR)
            .or_else(|| Some(caches()?.join("compat-matrix")))
            .and_then(|root| std::path::absolute(root).ok())
            .map(Self::at)
            .with_context(|| format!("no folder for installed tools: set `{}`", env::COMPAT_CACHE_DIR))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The entry of `tool` at `version` with the content that `locked` identifies.
    pub fn entry(&self, tool: &str, version: &str, platform: Platform, locked: Sha512) -> CacheEntry {
        CacheEntry {
            tool: tool.to_owned(),
            version: version.to_owned(),
            locked,
            parent: self.root.join(tool),
            name: format!("{version}-{platform}-{}", locked.short()),
        }
    }

    /// All complete installations, by tool and folder name.
    pub fn installed(&self) -> anyhow::Result<Vec<Installed>> {
        let directories = self.directories()?;
        Ok(directories
            .iter()
            .filter_map(|directory| Installed::read(directory))
            .collect())
    }

    /// The folders of all installations, complete or not. Other folders are not ours: a user may name any folder as the cache.
    fn directories(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for tool in folders(&self.root)? {
            let name = tool.file_name().unwrap_or_default();
            // Locks, pacing and warm sessions have hidden folders.
            if !name.as_encoded_bytes().starts_with(b".") && name != PINS {
                found.extend(folders(&tool)?);
            }
        }
        // An installation has its lock file before its folder, whose name ends with a random part.
        let is_ours = |directory: &PathBuf| {
            let tool = directory.parent().unwrap_or(directory);
            let is_link = tool.is_symlink() || directory.is_symlink();
            let has_lock =
                || directory.extension().is_some() && lock_file(tool, &entry_name(directory)).is_file();
            !is_link && (Installed::read(directory).is_some() || has_lock())
        };
        found.retain(is_ours);
        Ok(found)
    }

    /// Removes what interrupted installations left, and the installations that were used the longest ago until the others have
    /// at most `most` bytes. Those in use stay. Returns the removed installations.
    pub fn evict(&self, most: u64) -> anyhow::Result<Vec<PathBuf>> {
        let is_left_over = |directory: &Path| Installed::read(directory).is_none();
        for directory in self.directories()? {
            // An installer that outlived its process may still write there; a later call removes the rest.
            let _ = remove_unused(&directory, is_left_over);
        }
        let complete = self.installed()?;
        let mut by_use: Vec<(SystemTime, PathBuf, Vec<FileId>)> = Vec::new();
        // `uv` links equal files of several installations, so each file counts once.
        let mut files: BTreeMap<FileId, (u64, usize)> = BTreeMap::new();
        for installed in complete {
            let own = files_of(&installed.directory);
            for (file, bytes) in &own {
                files.entry(*file).or_insert((*bytes, 0)).1 += 1;
            }
            by_use.push((
                installed.last_used(),
                installed.directory,
                own.into_keys().collect(),
            ));
        }
        by_use.sort();
        let mut total: u64 = files.values().map(|(bytes, _)| bytes).sum();
        let mut evicted = Vec::new();
        for (_, directory, own) in by_use {
            if total <= most || !remove_unused(&directory, |_| true)? {
                continue;
            }
            for file in own {
                if let Some((bytes, users)) = files.get_mut(&file) {
                    *users -= 1;
                    total -= if *users == 0 { *bytes } else { 0 };
                }
            }
            evicted.push(directory);
        }
        Ok(evicted)
    }

    /// Evicts old installations after a new one. A failure to do so is only noted.
    fn keep_within_bound(&self, progress: &dyn ProgressSink) {
        match self.evict(MOST_BYTES) {
            Ok(removed) => {
                for directory in removed {
                    let name = entry_name(&directory);
                    progress.note(&format!(
                        "removed {name} from the cache: it was not used for the longest time"
                    ));
                }
            }
            Err(error) => progress.note(&format!("cannot remove old installations: {error:#}")),
        }
    }

    /// Removes every folder for which `keep` is false. A folder that another process uses or installs into stays.
    pub fn clean(&self, keep: impl Fn(&Path) -> bool) -> anyhow::Result<Cleaned> {
        let mut cleaned = Cleaned::default();
        for directory in self
            .directories()?
            .into_iter()
            .filter(|directory| !keep(directory))
        {
            match remove_unused(&directory, |_| true)? {
                true => cleaned.removed.push(directory),
                false => cleaned.in_use.push(directory),
            }
        }
        Ok(cleaned)
    }
}

impl CacheEntry {
    pub fn installed(&self) -> Option<Installed> {
        self.folders().iter().find_map(|folder| Installed::read(folder))
    }

    /// The installation, which stays until this process ends.
    fn in_use(&self) -> Option<Installed> {
        self.installed()?.hold();
        // Another process may have removed it meanwhile.
        self.installed()
    }

    /// The entry of the same tool in another layout of its files.
    pub fn in_layout(mut self, layout: &str) -> Self {
        self.name = format!("{}-{layout}", self.name);
        self
    }

    /// Whether `directory` is a folder of this entry.
    pub fn owns(&self, directory: &Path) -> bool {
        directory.parent() == Some(&self.parent) && entry_name(directory) == self.name
    }

    /// Returns the installation, and waits while another process installs it. If there is none, `install` fills an empty
    /// folder; it returns the program's path in it and the program, if that is a single file. A failed installation leaves
    /// no folder. The installation stays until this process ends. A new one may evict old ones.
    pub async fn ensure(
        &self,
        progress: &dyn ProgressSink,
        install: impl AsyncFnOnce(&Path) -> anyhow::Result<(PathBuf, Option<InstalledFile>)>,
    ) -> anyhow::Result<Installed> {
        if let Some(installed) = self.in_use() {
            return Ok(installed);
        }
        let _lock = self.lock(progress).await?;
        if let Some(installed) = self.in_use() {
            return Ok(installed);
        }
        for left_over in self.folders() {
            // An installer that outlived its process may still write there; a later call removes the rest.
            let _ = remove(&left_over);
        }
        let directory = self.make_folder()?;
        let finished = match install(&directory).await {
            Ok((program, file)) => self.finish(&directory, program, file).await,
            Err(error) => Err(error),
        };
        match finished {
            Ok(_) => self.cache().keep_within_bound(progress),
            // The folder has no receipt, so the next call removes what this one cannot.
            Err(_) => drop(remove(&directory)),
        }
        finished
    }

    /// The entry's folders, complete or not.
    fn folders(&self) -> Vec<PathBuf> {
        // An unreadable folder has no usable entries.
        let mut found = folders(&self.parent).unwrap_or_default();
        found.retain(|folder| self.owns(folder));
        found
    }

    fn make_folder(&self) -> anyhow::Result<PathBuf> {
        std::fs::create_dir_all(&self.parent).map_err(failed("create the folder", &self.parent))?;
        tempfile::Builder::new()
            .prefix(&format!("{}.", self.name))
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(&self.parent)
            .map(tempfile::TempDir::keep)
            .map_err(failed("create a folder in", &self.parent))
    }

    /// Waits until all files are on the disk, then writes the receipt, which makes the installation complete.
    async fn finish(
        &self,
        directory: &Path,
        program: PathBuf,
        file: Option<InstalledFile>,
    ) -> anyhow::Result<Installed> {
        let receipt = Receipt {
            tool: self.tool.clone(),
            version: self.version.clone(),
            locked: self.locked,
            program,
            file,
            installed_at: Utc::now(),
        };
        let folder = directory.to_owned();
        let synced = tokio::task::spawn_blocking(move || sync(&folder)).await?;
        synced.map_err(failed("write to the disk of", directory))?;
        let path = directory.join(RECEIPT);
        atomic_write::write(&path, &json::write(&receipt)).map_err(failed("write", &path))?;
        let installed = Installed {
            directory: directory.to_owned(),
            receipt,
        };
        installed.hold();
        Ok(installed)
    }

    /// The cache of this entry.
    fn cache(&self) -> Cache {
        Cache::at(self.parent.parent().expect("a tool's folder is in the cache"))
    }

    async fn lock(&self, progress: &dyn ProgressSink) -> anyhow::Result<File> {
        let path = lock_file(&self.parent, &self.name);
        let failed = || failed("lock", &path);
        let mut file = open_lock(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(failed()(error)),
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut file);
                let (tool, version) = (&self.tool, &self.version);
                progress.note(&format!("waiting for {holder}, which installs {tool} {version}"));
                file = tokio::task::spawn_blocking(move || file.lock().map(|()| file))
                    .await?
                    .map_err(failed())?;
            }
        }
        write_holder(&mut file).map_err(failed())?;
        Ok(file)
    }
}

impl Installed {
    pub fn program(&self) -> PathBuf {
        self.directory.join(&self.receipt.program)
    }

    /// When a run last used it: the time of its receipt.
    fn last_used(&self) -> SystemTime {
        let receipt = self.directory.join(RECEIPT).metadata();
        receipt
            .and_then(|receipt| receipt.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Keeps it from removal until this process ends, and marks it as used now.
    fn hold(&self) {
        let receipt = self.directory.join(RECEIPT);
        // Another user may own the cache, and remove from it.
        let file = OpenOptions::new().write(true).open(&receipt);
        let Ok(file) = file.or_else(|_| File::open(&receipt)) else {
            return;
        };
        let _ = file.set_modified(SystemTime::now());
        if file.lock_shared().is_ok() && receipt.exists() {
            IN_USE.lock().insert(self.directory.clone(), file);
        }
    }

    /// The sum of its files' sizes in bytes.
    pub fn size(&self) -> u64 {
        files_of(&self.directory).values().sum()
    }

    /// Reads the receipt in `directory`, and checks that it is of this folder and that the program is there in its full size.
    fn read(directory: &Path) -> Option<Self> {
        let text = std::fs::read(directory.join(RECEIPT)).ok()?;
        let receipt: Receipt = serde_json::from_slice(&text).ok()?;
        let program = directory.join(&receipt.program).metadata().ok()?;
        let file = receipt.file.as_ref();
        let is_whole = file.is_none_or(|file| file.bytes == program.len());
        let is_own = entry_name(directory).starts_with(&format!("{}-", receipt.version));
        (is_whole && is_own).then(|| Self {
            directory: directory.to_owned(),
            receipt,
        })
    }
}

fn with_advice(error: &io::Error) -> String {
    let variable = env::COMPAT_CACHE_DIR;
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
            "the disk is full: `claude` needs 400 MB and LiteLLM 700 MB; free some space, or set `{variable}` to a folder on \
             another disk"
        ),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("{error}; set `{variable}` to a folder that you may write to")
        }
        _ => error.to_string(),
    }
}

/// The name of the entry that a folder belongs to.
fn entry_name(directory: &Path) -> String {
    let name = directory.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The lock file of an entry in the folder `tool`.
fn lock_file(tool: &Path, entry: &str) -> PathBuf {
    let name = tool.file_name().unwrap_or_default().to_string_lossy();
    tool.with_file_name(LOCKS).join(format!("{name}-{entry}"))
}

fn folders(parent: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", parent)(error)),
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    Ok(found)
}

/// Removes the folder of an entry if `is_unwanted`, unless a process uses it or installs into it.
fn remove_unused(directory: &Path, is_unwanted: impl Fn(&Path) -> bool) -> anyhow::Result<bool> {
    let tool = directory.parent().unwrap_or(directory);
    let installing = open_lock(&lock_file(tool, &entry_name(directory)))?;
    let receipt = File::open(directory.join(RECEIPT)).ok();
    for file in [Some(&installing), receipt.as_ref()].into_iter().flatten() {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(failed("lock", directory)(error)),
        }
    }
    if !is_unwanted(directory) {
        return Ok(false);
    }
    // The receipt goes first: what is left of a removal that breaks off is no installation.
    let _ = std::fs::remove_file(directory.join(RECEIPT));
    remove(directory)?;
    Ok(true)
}

/// Waits until what was written to the file system of `folder` is on its disk. Other systems than Linux only start that.
fn sync(folder: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::unistd::syncfs(File::open(folder)?)?;
    #[cfg(not(target_os = "linux"))]
    nix::unistd::sync();
    Ok(())
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", directory)(error)),
        _ => Ok(()),
    }
}

fn open_lock(path: &Path) -> anyhow::Result<File> {
    let folder = path.parent().expect("a lock file is in a folder");
    std::fs::create_dir_all(folder).map_err(failed("create the folder", folder))?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed("open", path))
}

fn read_holder(file: &mut File) -> String {
    match io::read_to_string(file).as_deref().map(str::trim) {
        Ok("") | Err(_) => "another process".to_owned(),
        Ok(holder) => holder.to_owned(),
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    let now = Utc::now().format("%H:%M:%S");
    writeln!(file, "process {} (since {now} UTC)", std::process::id())
}

/// Device and inode, which all links of a file share.
type FileId = (u64, u64);

/// The files below `path`, each with its bytes.
fn files_of(path: &Path) -> BTreeMap<FileId, u64> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut found = BTreeMap::new();
    for entry in entries {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => found.extend(files_of(&entry.path())),
            Ok(metadata) => drop(found.insert((metadata.dev(), metadata.ino()), metadata.len())),
            Err(_) => {}
        }
    }
    found
}
