//! The folder of installed tools, outside `target/`: one folder for each tool and content.
//!
//! A folder counts as installed only with its receipt. The receipt is written last, so an interrupted installation leaves a
//! folder that the next one removes. A lock file makes one process at a time install an entry; the system releases the lock
//! when that process ends. The installer it started may outlive it and still write, so each attempt gets a new folder.
//! Nothing here uses the network.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::digest::Sha512;
use crate::env::{self, Environment};
use crate::files::atomic_write;
use crate::progress::ProgressSink;

const RECEIPT: &str = "receipt.json";
const LOCKS: &str = ".locks";

#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// One tool with one content, installed or not.
#[derive(Clone, Debug)]
pub struct CacheEntry {
    /// The folder of the tool's entries.
    tool: PathBuf,
    /// The names of this entry's folders are this, a dot and a random part.
    name: String,
    lock_file: PathBuf,
    title: String,
}

/// Its presence in a folder means that the installation is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub tool: String,
    pub version: String,
    /// The digest in the lock: of the package for `claude`, of the requirements for LiteLLM.
    pub locked: Sha512,
    /// The tool's program, relative to the entry's folder.
    pub program: PathBuf,
    /// The installed program, if it is a single file.
    pub file: Option<InstalledFile>,
    pub installed_at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstalledFile {
    /// Its size in bytes.
    pub bytes: u64,
    pub sha512: Sha512,
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
                .get(env::XDG_CACHE_HOME)
                .map(PathBuf::from)
                // The XDG base directory specification: ignore a relative path.
                .filter(|path| path.is_absolute())
                .or_else(|| Some(environment.home()?.join(".cache")))
        };
        environment
            .get(env::COMPAT_CACHE_DIR)
            .map(PathBuf::from)
            .or_else(|| Some(caches()?.join("compat-matrix")))
            .and_then(|root| std::path::absolute(root).ok())
            .map(Self::at)
            .with_context(|| format!("no folder for installed tools: set `{}`", env::COMPAT_CACHE_DIR))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The entry of `tool` at `version` with the content that `digest` identifies.
    pub fn entry(&self, tool: &str, version: &str, flavour: &str, digest: &Sha512) -> CacheEntry {
        let name = format!("{version}-{flavour}-{}", digest.short());
        CacheEntry {
            tool: self.root.join(tool),
            lock_file: self.lock_file(tool, &name),
            name,
            title: format!("{tool} {version}"),
        }
    }

    /// All complete installations, by tool and folder name.
    pub fn installed(&self) -> anyhow::Result<Vec<Installed>> {
        let mut found = Vec::new();
        for tool in folders(&self.root)? {
            for directory in folders(&tool)? {
                found.extend(Installed::read(&directory));
            }
        }
        Ok(found)
    }

    /// Removes every folder for which `keep` is false, and returns the removed ones. A folder that another process is
    /// installing into stays.
    pub fn clean(&self, keep: impl Fn(&Path) -> bool) -> anyhow::Result<Vec<PathBuf>> {
        let mut removed = Vec::new();
        for tool in folders(&self.root)? {
            let name = file_name(&tool);
            if name.starts_with('.') {
                continue;
            }
            for directory in folders(&tool)?.into_iter().filter(|directory| !keep(directory)) {
                let lock = open_lock(&self.lock_file(&name, &entry_name(&directory)))?;
                if lock.try_lock().is_ok() {
                    remove(&directory)?;
                    removed.push(directory);
                }
            }
        }
        Ok(removed)
    }

    fn lock_file(&self, tool: &str, entry: &str) -> PathBuf {
        self.root.join(LOCKS).join(format!("{tool}-{entry}"))
    }
}

impl CacheEntry {
    pub fn installed(&self) -> Option<Installed> {
        self.folders().iter().find_map(|folder| Installed::read(folder))
    }

    /// Whether `directory` is a folder of this entry.
    pub fn owns(&self, directory: &Path) -> bool {
        directory.parent() == Some(&self.tool) && entry_name(directory) == self.name
    }

    /// Returns the installation. If there is none, `install` makes it in the empty folder that it gets; waits while another
    /// process installs it. A failed installation leaves no folder.
    pub async fn ensure(
        &self,
        progress: &dyn ProgressSink,
        install: impl AsyncFnOnce(&Path) -> anyhow::Result<Receipt>,
    ) -> anyhow::Result<Installed> {
        if let Some(installed) = self.installed() {
            return Ok(installed);
        }
        let _lock = self.lock(progress).await?;
        if let Some(installed) = self.installed() {
            return Ok(installed);
        }
        for left_over in self.folders() {
            // An installer that outlived its process may still write there; a later call removes the rest.
            let _ = remove(&left_over);
        }
        let directory = self.make_folder()?;
        let receipt = install(&directory).await;
        let finished = receipt.and_then(|receipt| Installed::finish(&directory, receipt));
        if finished.is_err() {
            // The folder has no receipt, so the next call removes what this one cannot.
            let _ = remove(&directory);
        }
        finished
    }

    /// The entry's folders, complete or not.
    fn folders(&self) -> Vec<PathBuf> {
        // An unreadable folder has no usable entries.
        let mut found = folders(&self.tool).unwrap_or_default();
        found.retain(|folder| self.owns(folder));
        found
    }

    fn make_folder(&self) -> anyhow::Result<PathBuf> {
        std::fs::create_dir_all(&self.tool).map_err(failed("create the folder", &self.tool))?;
        tempfile::Builder::new()
            .prefix(&format!("{}.", self.name))
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(&self.tool)
            .map(tempfile::TempDir::keep)
            .map_err(failed("create a folder in", &self.tool))
    }

    async fn lock(&self, progress: &dyn ProgressSink) -> anyhow::Result<File> {
        let failed = || failed("lock", &self.lock_file);
        let mut file = open_lock(&self.lock_file)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(failed()(error)),
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut file);
                progress.note(&format!("waiting for {holder}, which installs {}", self.title));
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

    /// The sum of its files' sizes in bytes.
    pub fn size(&self) -> u64 {
        size_of(&self.directory)
    }

    /// Writes the receipt, which makes the installation complete.
    fn finish(directory: &Path, receipt: Receipt) -> anyhow::Result<Self> {
        let path = directory.join(RECEIPT);
        let text = serde_json::to_string_pretty(&receipt).expect("a receipt is JSON");
        atomic_write::write(&path, &text).map_err(failed("write", &path))?;
        Ok(Self {
            directory: directory.to_owned(),
            receipt,
        })
    }

    /// Reads the receipt in `directory` and checks that the program is there in its full size.
    fn read(directory: &Path) -> Option<Self> {
        let text = std::fs::read(directory.join(RECEIPT)).ok()?;
        let receipt: Receipt = serde_json::from_slice(&text).ok()?;
        let program = directory.join(&receipt.program).metadata().ok()?;
        let file = receipt.file.as_ref();
        let is_whole = file.is_none_or(|file| file.bytes == program.len());
        is_whole.then(|| Self {
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
    let name = file_name(directory);
    name.rsplit_once('.')
        .map_or(name.clone(), |(entry, _)| entry.to_owned())
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
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
    let mut holder = String::new();
    match file.read_to_string(&mut holder) {
        Ok(_) if !holder.trim().is_empty() => holder.trim().to_owned(),
        _ => "another process".to_owned(),
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    let now = Utc::now().format("%H:%M:%S");
    writeln!(file, "process {} (since {now} UTC)", std::process::id())
}

fn size_of(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, metadata)| match metadata.is_dir() {
            true => size_of(&path),
            false => metadata.len(),
        })
        .sum()
}
