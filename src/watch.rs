//! Finds the changed files of a project.
//!
//! The system's events only say when to look: they include files that were only read, omit some changes, and report one save
//! in several ways. A file has changed if its time or size differs from the previous look. No file is read.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify_debouncer_mini::notify::{self, RecommendedWatcher, RecursiveMode};
use notify_debouncer_mini::{DebounceEventResult, Debouncer, new_debouncer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::files::project::{CELLS, MANIFEST, PROXY_CONFIG};
use crate::toolchain::lock;

/// A change counts after this time without events: an editor writes several files in a row.
const SETTLED: Duration = Duration::from_millis(100);

pub struct Watch {
    root: PathBuf,
    seen: Files,
    /// One message for each burst of events; the text of an error.
    events: UnboundedReceiver<Option<String>>,
    _debouncer: Debouncer<RecommendedWatcher>,
}

type Files = BTreeMap<PathBuf, (SystemTime, u64)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Created, changed or removed files, relative to the root.
    Changed(Vec<PathBuf>),
    /// An error of the system's watcher, which continues.
    Error(String),
}

impl Watch {
    /// Watches the files that the trials of the project at `root` depend on.
    pub fn start(root: &Path) -> Result<Self, notify::Error> {
        let root = root.canonicalize()?;
        let (sender, received) = unbounded_channel();
        let mut debouncer = new_debouncer(SETTLED, move |events: DebounceEventResult| {
            // The receiver is gone at the end.
            let _ = sender.send(events.err().map(|error| error.to_string()));
        })?;
        let watcher = debouncer.watcher();
        // Folders, because an editor replaces a file by a new one.
        watcher.watch(&root, RecursiveMode::NonRecursive)?;
        for (folder, mode) in [
            (CELLS, RecursiveMode::Recursive),
            (lock::FOLDER, RecursiveMode::NonRecursive),
        ] {
            let folder = root.join(folder);
            if folder.is_dir() {
                watcher.watch(&folder, mode)?;
            }
        }
        Ok(Self {
            seen: look(&root),
            root,
            events: received,
            _debouncer: debouncer,
        })
    }

    /// Waits for a change. A dropped call loses nothing.
    pub async fn next(&mut self) -> WatchEvent {
        loop {
            match self.events.recv().await {
                Some(Some(error)) => return WatchEvent::Error(error),
                Some(None) => {}
                // Unreachable: the sender lives as long as `self`.
                None => std::future::pending().await,
            }
            let changed = self.changed();
            if !changed.is_empty() {
                return WatchEvent::Changed(changed);
            }
        }
    }

    fn changed(&mut self) -> Vec<PathBuf> {
        let now = look(&self.root);
        let before = std::mem::replace(&mut self.seen, now);
        let paths: BTreeSet<&PathBuf> = before.keys().chain(self.seen.keys()).collect();
        let is_changed = |path: &&PathBuf| before.get(*path) != self.seen.get(*path);
        paths.into_iter().filter(is_changed).cloned().collect()
    }
}

/// The files that trials depend on and that changed after `time`, relative to the root.
pub fn changed_since(root: &Path, time: SystemTime) -> Vec<PathBuf> {
    let files = look(root).into_iter();
    files
        .filter(|(_, (written, _))| *written > time)
        .map(|(path, _)| path)
        .collect()
}

fn look(root: &Path) -> Files {
    let mut files = Files::new();
    for file in [MANIFEST, PROXY_CONFIG] {
        note(root, Path::new(file), &mut files);
    }
    for folder in [CELLS, lock::FOLDER] {
        // An unreadable folder has no changes.
        let _ = walk(root, Path::new(folder), &mut files);
    }
    files
}

fn walk(root: &Path, folder: &Path, files: &mut Files) -> io::Result<()> {
    for entry in std::fs::read_dir(root.join(folder))?.flatten() {
        let path = folder.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = walk(root, &path, files);
        } else {
            note(root, &path, files);
        }
    }
    Ok(())
}

fn note(root: &Path, file: &Path, files: &mut Files) {
    if let Ok(metadata) = root.join(file).metadata()
        && let Ok(written) = metadata.modified()
    {
        files.insert(file.to_owned(), (written, metadata.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_and_removals_are_reported_and_reads_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let cells = folder.path().join("cells/vision");
        std::fs::create_dir_all(&cells).unwrap();
        std::fs::write(cells.join("azure.yaml"), "a").unwrap();
        std::fs::write(folder.path().join("manifest.yaml"), "a").unwrap();
        let mut watch = Watch::start(folder.path()).unwrap();
        std::fs::read(cells.join("azure.yaml")).unwrap();
        std::fs::write(folder.path().join("compat-results.json"), "not watched").unwrap();
        std::fs::write(cells.join("anthropic.yaml"), "b").unwrap();
        let made = WatchEvent::Changed(vec!["cells/vision/anthropic.yaml".into()]);
        assert_eq!(watch.next().await, made);
        std::fs::write(cells.join("new"), "bb").unwrap();
        std::fs::rename(cells.join("new"), cells.join("anthropic.yaml")).unwrap();
        std::fs::write(folder.path().join("manifest.yaml"), "ab").unwrap();
        let mut changed = Vec::new();
        while changed.len() < 2 {
            match watch.next().await {
                WatchEvent::Changed(more) => {
                    changed.extend(more.into_iter().filter(|file| !file.ends_with("new")))
                }
                WatchEvent::Error(error) => panic!("{error}"),
            }
        }
        assert_eq!(
            changed,
            [
                Path::new("cells/vision/anthropic.yaml"),
                Path::new("manifest.yaml")
            ]
        );
        std::fs::remove_dir_all(&cells).unwrap();
        let mut gone = Vec::new();
        while gone.len() < 2 {
            if let WatchEvent::Changed(more) = watch.next().await {
                gone.extend(more);
            }
        }
        assert_eq!(
            gone,
            [
                Path::new("cells/vision/anthropic.yaml"),
                Path::new("cells/vision/azure.yaml")
            ]
        );
    }
}
