//! The directory that describes a warm session: one for each project, readable by its user alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Fingerprint;
use crate::digest::Sha512;
use crate::env::Environment;
use crate::toolchain::Cache;

/// Below the folder of installed tools. No tool's name starts with a dot.
const FOLDER: &str = ".sessions";
/// The daemon writes it when it is ready and removes it before it stops.
const SESSION: &str = "session.json";
/// Each client holds a shared lock on it while it needs the daemon.
const LEASE: &str = "lease";
/// Locked while a process starts a daemon.
const START: &str = "start";
/// The output of a background daemon.
const LOG: &str = "daemon.log";
/// The age at which directories of single runs are removed.
const OLD: Duration = Duration::from_hours(24);

/// The directory of one warm session. It may not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    folder: PathBuf,
}

/// The description of a daemon that is ready. It contains keys: only the user may read its file.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DaemonInfo {
    pub pid: u32,
    pub since: DateTime<Utc>,
    /// It ends after this many seconds without a client.
    pub idle_seconds: u64,
    pub inputs: Fingerprint,
    /// The version of LiteLLM.
    pub litellm: String,
    /// `http://127.0.0.1:PORT` of the gateway.
    pub gateway: String,
    pub gateway_key: String,
    pub gateway_log: PathBuf,
    /// The id of the gateway's process.
    #[serde(default)]
    pub gateway_pid: Option<u32>,
    /// `http://127.0.0.1:PORT` of the provider simulator.
    pub provider: String,
    /// The key for the simulator's control routes.
    pub control_key: String,
}

impl StateDir {
    /// The directory of the project at `root`.
    pub fn of(environment: &Environment, root: &Path) -> anyhow::Result<Self> {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let name = Sha512::of(root.as_os_str().as_encoded_bytes()).short();
        Ok(Self::at(Cache::of(environment)?.root().join(FOLDER).join(name)))
    }

    /// The directory of one run on the project, for a run that consists of many processes.
    pub fn of_run(environment: &Environment, root: &Path, run: &str) -> anyhow::Result<Self> {
        let mut folder = Self::of(environment, root)?.folder.into_os_string();
        folder.push(format!("-{}", Sha512::of(run.as_bytes()).short()));
        Ok(Self::at(folder))
    }

    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The output of a background daemon.
    pub fn log(&self) -> PathBuf {
        self.folder.join(LOG)
    }

    /// Creates the directory, and removes old directories of runs beside it.
    pub fn prepare(&self) -> anyhow::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.folder);
        made.with_context(|| format!("cannot create `{}`", self.folder.display()))?;
        for stale in self.stale_siblings() {
            let _ = std::fs::remove_dir_all(stale);
        }
        Ok(())
    }

    /// The old directories of runs on the same project.
    fn stale_siblings(&self) -> Vec<PathBuf> {
        let name = |path: &Path| {
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let own = name(&self.folder);
        let prefix = format!("{}-", own.split('-').next().unwrap_or_default());
        let is_old = |path: &Path| {
            let written = path.metadata().and_then(|metadata| metadata.modified());
            let age = written.ok().and_then(|written| written.elapsed().ok());
            age.is_some_and(|age| age > OLD)
        };
        let entries = self
            .folder
            .parent()
            .and_then(|parent| std::fs::read_dir(parent).ok());
        let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
        paths
            .filter(|path| name(path).starts_with(&prefix) && *path != self.folder && is_old(path))
            .collect()
    }

    /// The description of the daemon. `None` if there is none, or if another version wrote it.
    pub fn read(&self) -> Option<DaemonInfo> {
        let text = std::fs::read(self.folder.join(SESSION)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub fn write(&self, info: &DaemonInfo) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(info).expect("it is JSON");
        let write = || -> io::Result<()> {
            // A temporary file is readable by its owner only, and keeps this mode under its new name.
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(&text)?;
            file.persist(self.folder.join(SESSION))?;
            Ok(())
        };
        write().with_context(|| format!("cannot write `{}`", self.folder.join(SESSION).display()))
    }

    /// Deletes the daemon's file, which stops the daemon. Returns whether there was one.
    pub fn remove(&self) -> bool {
        std::fs::remove_file(self.folder.join(SESSION)).is_ok()
    }

    /// Waits for the right to start a daemon. Closing the file ends it.
    pub fn lock_start(&self) -> anyhow::Result<File> {
        self.locked(START, File::lock)
    }

    /// Takes a lease: the daemon stays until the file is closed.
    pub fn lease(&self) -> anyhow::Result<File> {
        self.locked(LEASE, File::lock_shared)
    }

    /// Locks every client out until the file is closed; `None` while a client holds a lease.
    pub fn exclusive_lease(&self) -> Option<File> {
        let file = self.open(LEASE).ok()?;
        file.try_lock().ok()?;
        Some(file)
    }

    /// The file `name` of the directory, locked by `lock`.
    pub(crate) fn locked(&self, name: &str, lock: fn(&File) -> io::Result<()>) -> anyhow::Result<File> {
        let opened = self.open(name).and_then(|file| lock(&file).map(|()| file));
        opened.with_context(|| format!("cannot lock `{}`", self.folder.join(name).display()))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.folder.join(name))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_old_directories_of_runs_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let state = StateDir::at(folder.path().join(name));
            state.prepare().unwrap();
            state
        };
        let age = |state: &StateDir| {
            let long_ago = SystemTime::now() - OLD - Duration::from_secs(1);
            let folder = File::open(state.folder()).unwrap();
            folder.set_modified(long_ago).unwrap();
        };
        let (own, old, young, other) = (at("abc"), at("abc-1"), at("abc-2"), at("abd-1"));
        for state in [&own, &old, &other] {
            age(state);
        }
        own.prepare().unwrap();
        let exists = [&own, &old, &young, &other].map(|state| state.folder().exists());
        assert_eq!(exists, [true, false, true, true]);
    }

    #[test]
    fn leases_are_shared_and_an_unknown_description_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::at(folder.path().join("abc"));
        assert!(state.read().is_none() && !state.remove());
        state.prepare().unwrap();
        let leases = (state.lease().unwrap(), state.lease().unwrap());
        assert!(state.exclusive_lease().is_none());
        drop(leases);
        assert!(state.exclusive_lease().is_some());
        std::fs::write(state.folder().join(SESSION), "{\"pid\": 1}").unwrap();
        assert!(state.read().is_none());
        assert!(state.remove());
    }
}
