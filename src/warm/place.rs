//! Where a warm session says that it is: a folder of the user's own, one a project.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Fingerprint, WarmError};
use crate::digest::Sha512;
use crate::env::Environment;
use crate::toolchain::Cache;

/// Below the folder of installed tools. No tool's name begins with a dot.
pub const FOLDER: &str = ".sessions";
/// What the host writes when it is ready, and takes away before it ends.
const SESSION: &str = "session.json";
/// Held by each guest, shared, for as long as it needs the host.
const LEASE: &str = "lease";
/// Held by whoever starts a host.
const START: &str = "start";
/// What a host that nobody looks at prints.
const LOG: &str = "host.log";
/// After how long what a run's processes shared is taken away.
const OLD: Duration = Duration::from_hours(24);

/// The folder of one warm session, there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    folder: PathBuf,
}

/// A host that is ready. It holds keys: its file is the user's alone.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    pub pid: u32,
    pub since: DateTime<Utc>,
    /// After how many seconds without a guest it ends.
    pub idle_seconds: u64,
    pub made_of: Fingerprint,
    /// `http://127.0.0.1:PORT` of the gateway.
    pub gateway: String,
    pub gateway_key: String,
    pub gateway_log: PathBuf,
    /// `http://127.0.0.1:PORT` of the provider simulator.
    pub provider: String,
    /// The key for the simulator's control routes.
    pub control_key: String,
}

impl Place {
    /// That of the project at `root`.
    pub fn of(environment: &Environment, root: &Path) -> anyhow::Result<Self> {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let name = Sha512::of(root.as_os_str().as_encoded_bytes()).short();
        Ok(Self::at(Cache::of(environment)?.root().join(FOLDER).join(name)))
    }

    /// That of one run on the project, whose processes are strangers to each other.
    pub fn of_run(environment: &Environment, root: &Path, run: &str) -> anyhow::Result<Self> {
        let mut folder = Self::of(environment, root)?.folder.into_os_string();
        folder.push(format!("-{}", Sha512::of(run.as_bytes()).short()));
        Ok(Self::at(folder))
    }

    /// The folder `folder`, which need not be there.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a host that nobody looks at prints.
    pub fn log(&self) -> PathBuf {
        self.folder.join(LOG)
    }

    /// Makes the folder, and takes away what runs have left beside it long ago.
    pub fn prepare(&self) -> Result<(), WarmError> {
        let mut builder = std::fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.folder);
        made.map_err(self.failed("make the folder"))?;
        for sibling in self.siblings() {
            let _ = std::fs::remove_dir_all(sibling);
        }
        Ok(())
    }

    /// What runs on the same project have left, and is old.
    fn siblings(&self) -> Vec<PathBuf> {
        let own = self
            .folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let project = own.split('-').next().unwrap_or_default().to_owned() + "-";
        let is_old = |path: &Path| {
            let written = path.metadata().and_then(|metadata| metadata.modified());
            written.is_ok_and(|written| {
                SystemTime::now()
                    .duration_since(written)
                    .is_ok_and(|age| age > OLD)
            })
        };
        let entries = self
            .folder
            .parent()
            .and_then(|parent| std::fs::read_dir(parent).ok());
        entries
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&project))
            .map(|entry| entry.path())
            .filter(|path| *path != self.folder && is_old(path))
            .collect()
    }

    /// What the host says, if there is one; one that this program does not understand is none.
    pub fn read(&self) -> Option<Description> {
        let text = std::fs::read(self.folder.join(SESSION)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Says that a host is ready.
    pub fn write(&self, description: &Description) -> Result<(), WarmError> {
        let text = serde_json::to_vec_pretty(description).expect("a description is JSON");
        let write = || -> io::Result<()> {
            // A temporary file is its owner's alone, and stays so under its new name.
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(&text)?;
            file.persist(self.folder.join(SESSION))?;
            Ok(())
        };
        write().map_err(self.failed("write"))
    }

    /// Tells the host to end, which it notices by itself. Whether there was one to be told.
    pub fn remove(&self) -> bool {
        std::fs::remove_file(self.folder.join(SESSION)).is_ok()
    }

    /// Waits for the right to start a host; it ends with the file, or the process.
    pub fn lock_start(&self) -> Result<File, WarmError> {
        let failed = |source| self.failed("lock")(source);
        let file = self.open(START).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    /// A lease: while it is held the host stays.
    pub fn lease(&self) -> Result<File, WarmError> {
        let failed = |source| self.failed("lock")(source);
        let file = self.open(LEASE).map_err(failed)?;
        file.lock_shared().map_err(failed)?;
        Ok(file)
    }

    /// The right to end for want of guests: none holds a lease, and none gets one until this is dropped.
    pub fn nobody(&self) -> Option<File> {
        let file = self.open(LEASE).ok()?;
        file.try_lock().ok()?;
        Some(file)
    }

    pub(super) fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.folder.join(name))
    }

    pub(super) fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> WarmError {
        let folder = self.folder.clone();
        move |source| WarmError::Place {
            action,
            folder,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_left_long_ago_is_taken_away_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let place = Place::at(folder.path().join(name));
            place.prepare().unwrap();
            place
        };
        let age = |place: &Place| {
            let long_ago = SystemTime::now() - OLD - Duration::from_secs(1);
            File::open(place.folder())
                .unwrap()
                .set_modified(long_ago)
                .unwrap();
        };
        let (own, old, young, other) = (at("abc"), at("abc-1"), at("abc-2"), at("abd-1"));
        for place in [&own, &old, &other] {
            age(place);
        }
        own.prepare().unwrap();
        let is_there = [&own, &old, &young, &other].map(|place| place.folder().exists());
        assert_eq!(is_there, [true, false, true, true]);
    }

    #[test]
    fn a_lease_keeps_and_a_description_of_another_kind_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::at(folder.path().join("abc"));
        assert!(place.read().is_none() && !place.remove());
        place.prepare().unwrap();
        let lease = (place.lease().unwrap(), place.lease().unwrap());
        assert!(place.nobody().is_none());
        drop(lease);
        assert!(place.nobody().is_some());
        std::fs::write(place.folder().join(SESSION), "{\"pid\": 1}").unwrap();
        assert!(place.read().is_none());
        assert!(place.remove());
    }
}
