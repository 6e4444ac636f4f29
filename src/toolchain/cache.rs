//! Where installed tools are kept: one folder a tool and content, outside `target/`.
//!
//! A folder without its receipt does not exist: the receipt is written last, so an installation that was interrupted
//! leaves a folder that the next one clears away. One process installs an entry at a time; the lock is the operating
//! system's and ends with the process that holds it. An installer that outlives that process still writes, so every
//! attempt has a folder of its own. This module never reaches the network.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::integrity::Sha512;
use super::progress::Progress;
use crate::env::{self, Environment};

const RECEIPT: &str = "receipt.json";
const LOCKS: &str = ".locks";

/// The folder of all installed tools.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// One tool of one content, there or not.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The folder of the tool's entries.
    tool: PathBuf,
    /// What the name of each of this entry's folders begins with, before a dot and a random part.
    name: String,
    lock_file: PathBuf,
    title: String,
}

/// What says that an entry is whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub tool: String,
    pub version: String,
    /// The digest of the lock that was met: of the package for `claude`, of the requirements for LiteLLM.
    pub locked: Sha512,
    /// The tool's program, relative to the entry's folder.
    pub program: PathBuf,
    /// What the program was when it was installed, where it is one file.
    pub file: Option<InstalledFile>,
    pub installed_at: DateTime<Utc>,
}

/// A file as it was installed.
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

/// The right to install an entry, and an empty folder to do it in.
#[derive(Debug)]
pub struct Reservation {
    directory: PathBuf,
    _lock: File,
}

/// What asking for an entry gives.
#[derive(Debug)]
pub enum Claim {
    /// It is there, or another process has just made it.
    Installed(Box<Installed>),
    /// It is for the caller to make.
    Reserved(Reservation),
}

#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error(
        "no folder for installed tools: set `{}`, `{}` or `{}`",
        env::COMPAT_CACHE_DIR,
        env::XDG_CACHE_HOME,
        env::HOME
    )]
    NoFolder,
    /// A file or folder in it cannot be made, written or removed.
    #[error("cannot {action} `{}`: {}", path.display(), explain(reason))]
    Io {
        action: &'static str,
        path: PathBuf,
        reason: io::Error,
    },
}

impl CacheError {
    /// A mapper of the error of `action` on `path`.
    pub fn of(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |reason| Self::Io { action, path, reason }
    }
}

impl Cache {
    /// The cache in the folder `root`, which need not exist.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The cache that `environment` names: `COMPAT_CACHE_DIR`, else `compat-matrix` in the user's folder of caches.
    pub fn of(environment: &Environment) -> Result<Self, CacheError> {
        let caches = || {
            environment
                .get(env::XDG_CACHE_HOME)
                .map(PathBuf::from)
                // The XDG base directory specification: a relative path is invalid and to be ignored.
                .filter(|path| path.is_absolute())
                .or_else(|| Some(environment.home()?.join(".cache")))
        };
        environment
            .get(env::COMPAT_CACHE_DIR)
            .map(PathBuf::from)
            .or_else(|| Some(caches()?.join("compat-matrix")))
            .and_then(|root| std::path::absolute(root).ok())
            .map(Self::at)
            .ok_or(CacheError::NoFolder)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The entry of `tool` at `version`, told from others by `digest`.
    pub fn entry(&self, tool: &str, version: &str, flavour: &str, digest: &Sha512) -> Entry {
        let name = format!("{version}-{flavour}-{}", digest.short());
        Entry {
            tool: self.root.join(tool),
            lock_file: self.root.join(LOCKS).join(format!("{tool}-{name}")),
            name,
            title: format!("{tool} {version}"),
        }
    }

    /// Everything that is installed whole, by tool and folder name.
    pub fn installed(&self) -> Result<Vec<Installed>, CacheError> {
        let mut found = Vec::new();
        for tool in folders(&self.root)? {
            for directory in folders(&tool)? {
                found.extend(Installed::read(&directory));
            }
        }
        Ok(found)
    }

    /// Removes every folder that is not to be kept, and says which went. What a process is just installing stays.
    pub fn clean(&self, keep: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, CacheError> {
        let mut removed = Vec::new();
        for tool in folders(&self.root)?
            .into_iter()
            .filter(|path| !file_name(path).starts_with('.'))
        {
            for directory in folders(&tool)?.into_iter().filter(|directory| !keep(directory)) {
                let lock = open_lock(&self.root.join(LOCKS).join(format!(
                    "{}-{}",
                    file_name(&tool),
                    entry_name(&directory)
                )))?;
                if lock.try_lock().is_ok() {
                    remove(&directory)?;
                    removed.push(directory);
                }
            }
        }
        Ok(removed)
    }
}

impl Entry {
    /// What is there, if it is whole.
    pub fn installed(&self) -> Option<Installed> {
        self.folders().iter().find_map(|folder| Installed::read(folder))
    }

    /// Whether `directory` is a folder of this entry.
    pub fn owns(&self, directory: &Path) -> bool {
        directory.parent() == Some(&self.tool) && entry_name(directory) == self.name
    }

    /// The entry if it is whole, else the right to make it, waited for if another process has it.
    pub async fn claim(&self, progress: &dyn Progress) -> Result<Claim, CacheError> {
        if let Some(installed) = self.installed() {
            return Ok(Claim::Installed(Box::new(installed)));
        }
        let lock = self.lock(progress).await?;
        if let Some(installed) = self.installed() {
            return Ok(Claim::Installed(Box::new(installed)));
        }
        for left_over in self.folders() {
            // An installer that outlived its process may still write there: then the next claim removes the rest.
            let _ = remove(&left_over);
        }
        Ok(Claim::Reserved(Reservation {
            directory: self.make_folder()?,
            _lock: lock,
        }))
    }

    /// The entry's folders, whole or not.
    fn folders(&self) -> Vec<PathBuf> {
        // A folder that cannot be read has no entries that could be used.
        let mut found = folders(&self.tool).unwrap_or_default();
        found.retain(|folder| self.owns(folder));
        found
    }

    fn make_folder(&self) -> Result<PathBuf, CacheError> {
        std::fs::create_dir_all(&self.tool).map_err(CacheError::of("make the folder", &self.tool))?;
        tempfile::Builder::new()
            .prefix(&format!("{}.", self.name))
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(&self.tool)
            .map(tempfile::TempDir::keep)
            .map_err(CacheError::of("make a folder in", &self.tool))
    }

    async fn lock(&self, progress: &dyn Progress) -> Result<File, CacheError> {
        let mut file = open_lock(&self.lock_file)?;
        let failed = |reason| CacheError::Io {
            action: "lock",
            path: self.lock_file.clone(),
            reason,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(reason)) => return Err(failed(reason)),
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut file);
                progress.note(&format!("waiting for {holder}, which installs {}", self.title));
                file = tokio::task::spawn_blocking(move || file.lock().map(|()| file))
                    .await
                    .map_err(|error| failed(io::Error::other(error)))?
                    .map_err(failed)?;
            }
        }
        write_holder(&mut file).map_err(failed)?;
        Ok(file)
    }
}

impl Reservation {
    /// The empty folder to install into.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes the receipt, which makes the entry exist.
    pub fn finish(self, receipt: Receipt) -> Result<Installed, CacheError> {
        let directory = self.directory;
        let partial = directory.join("receipt.partial");
        let text = serde_json::to_vec_pretty(&receipt).expect("a receipt is JSON");
        write_through(&partial, &text).map_err(CacheError::of("write", &partial))?;
        let path = directory.join(RECEIPT);
        std::fs::rename(&partial, &path).map_err(CacheError::of("write", &path))?;
        Ok(Installed { directory, receipt })
    }

    /// Takes away what has been made so far.
    pub fn abandon(self) {
        // What cannot be removed now has no receipt, so the next claim removes it.
        let _ = std::fs::remove_dir_all(self.directory);
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

    /// Reads the receipt in `directory` and looks whether the program is there in its full size.
    fn read(directory: &Path) -> Option<Self> {
        let text = std::fs::read(directory.join(RECEIPT)).ok()?;
        let receipt: Receipt = serde_json::from_slice(&text).ok()?;
        let program = directory.join(&receipt.program).metadata().ok()?;
        let whole = receipt
            .file
            .as_ref()
            .is_none_or(|file| file.bytes == program.len());
        whole.then(|| Self {
            directory: directory.to_owned(),
            receipt,
        })
    }
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!(
            "the disk is full: `claude` takes 400 MB and LiteLLM 700 MB; make room, or set `{}` to a folder on another disk",
            env::COMPAT_CACHE_DIR
        ),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!(
                "{error}; set `{}` to a folder that you may write",
                env::COMPAT_CACHE_DIR
            )
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
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn folders(parent: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CacheError::of("read", parent)(error)),
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    Ok(found)
}

fn remove(directory: &Path) -> Result<(), CacheError> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(CacheError::of("remove", directory)(error))
        }
        _ => Ok(()),
    }
}

fn open_lock(path: &Path) -> Result<File, CacheError> {
    let folder = path.parent().expect("a lock file is in a folder");
    std::fs::create_dir_all(folder).map_err(CacheError::of("make the folder", folder))?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(CacheError::of("open", path))
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
    writeln!(
        file,
        "process {} (since {} UTC)",
        std::process::id(),
        Utc::now().format("%H:%M:%S")
    )
}

fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn size_of(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, metadata)| {
            if metadata.is_dir() {
                size_of(&path)
            } else {
                metadata.len()
            }
        })
        .sum()
}
