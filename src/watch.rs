//! Notices which files of a project change.
//!
//! What the system says of changes is taken as a call to look, no more: it names files that were only read, forgets some,
//! and calls one save by several names, by editor and by system. What has changed is what a look finds to be other than the
//! look before. It reads no file and knows no project but by the names of its folders.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify_debouncer_mini::notify::{self, RecommendedWatcher, RecursiveMode};
use notify_debouncer_mini::{DebounceEventResult, Debouncer, new_debouncer};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::spec_files::{CELLS, MANIFEST, PROXY_CONFIG};
use crate::toolchain::lock;

/// How long the files must be left alone before a change counts: an editor writes several in a row.
const SETTLED: Duration = Duration::from_millis(100);

/// Files of a project, and whoever tells of changes to them.
pub struct Watch {
    root: PathBuf,
    seen: Files,
    calls: UnboundedReceiver<Option<String>>,
    _debouncer: Debouncer<RecommendedWatcher>,
}

type Files = BTreeMap<PathBuf, (SystemTime, u64)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// These files were made, changed or removed; relative to the root.
    Changed(Vec<PathBuf>),
    /// Watching had a fault, and goes on.
    Fault(String),
}

impl Watch {
    /// Begins to watch what the trials of the project at `root` rest on.
    pub fn start(root: &Path) -> Result<Self, notify::Error> {
        let root = root.canonicalize()?;
        let (call, calls) = unbounded_channel();
        let mut debouncer = new_debouncer(SETTLED, move |events: DebounceEventResult| {
            // Nobody listens any more at the end.
            let _ = call.send(events.err().map(|error| error.to_string()));
        })?;
        let watcher = debouncer.watcher();
        // Folders, not files: an editor puts another file in a file's place.
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
            calls,
            _debouncer: debouncer,
        })
    }

    /// Waits until something has changed. May be dropped and called again.
    pub async fn next(&mut self) -> Noticed {
        loop {
            match self.calls.recv().await {
                Some(Some(fault)) => return Noticed::Fault(fault),
                Some(None) => {}
                // The watcher lives as long as this does.
                None => std::future::pending().await,
            }
            let changed = self.changed();
            if !changed.is_empty() {
                return Noticed::Changed(changed);
            }
        }
    }

    /// What is other than at the last look.
    fn changed(&mut self) -> Vec<PathBuf> {
        let now = look(&self.root);
        let is_other = |path: &&PathBuf| now.get(*path) != self.seen.get(*path);
        let mut changed: Vec<PathBuf> = now
            .keys()
            .chain(self.seen.keys())
            .filter(is_other)
            .cloned()
            .collect();
        changed.sort();
        changed.dedup();
        self.seen = now;
        changed
    }
}

/// The files that the trials of the project at `root` rest on and that are younger than `time`; relative to the root.
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
        // One that cannot be read has nothing that could have changed.
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
    async fn what_is_saved_made_and_removed_is_noticed_and_what_is_read_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cells = folder.path().join("cells/vision");
        std::fs::create_dir_all(&cells).unwrap();
        std::fs::write(cells.join("azure.yaml"), "a").unwrap();
        std::fs::write(folder.path().join("manifest.yaml"), "a").unwrap();
        let mut watch = Watch::start(folder.path()).unwrap();
        std::fs::read(cells.join("azure.yaml")).unwrap();
        std::fs::write(folder.path().join("compat-results.json"), "not watched").unwrap();
        std::fs::write(cells.join("anthropic.yaml"), "b").unwrap();
        let made = Noticed::Changed(vec!["cells/vision/anthropic.yaml".into()]);
        assert_eq!(watch.next().await, made);
        std::fs::write(cells.join("new"), "bb").unwrap();
        std::fs::rename(cells.join("new"), cells.join("anthropic.yaml")).unwrap();
        std::fs::write(folder.path().join("manifest.yaml"), "ab").unwrap();
        let mut changed = Vec::new();
        while changed.len() < 2 {
            match watch.next().await {
                Noticed::Changed(more) => {
                    changed.extend(more.into_iter().filter(|file| !file.ends_with("new")))
                }
                Noticed::Fault(fault) => panic!("{fault}"),
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
            if let Noticed::Changed(more) = watch.next().await {
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
