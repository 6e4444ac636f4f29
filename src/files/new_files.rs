//! Writes several new files, and changes one that is there: all of it or nothing.
//!
//! Never writes over a file that is there, but for the one that it is asked to change.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::files::atomic_write;

#[derive(Debug, thiserror::Error)]
pub enum NewFilesError {
    /// Something stands where a new file belongs.
    #[error("`{}` is there already, and nothing is written over it", .0.display())]
    Exists(PathBuf),
    #[error("cannot write `{}`; nothing was changed", file.display())]
    Write { file: PathBuf, source: io::Error },
}

/// Files to write below a root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewFiles {
    /// Each new file, relative to the root, and its text.
    pub new: Vec<(PathBuf, String)>,
    /// A file that is there, and its new text; written last.
    pub changed: Option<(PathBuf, String)>,
}

/// What has been made so far, to be taken back if the rest fails.
#[derive(Default)]
struct Made {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl NewFiles {
    pub fn write(&self, root: &Path) -> Result<(), NewFilesError> {
        for (file, _) in &self.new {
            if root.join(file).symlink_metadata().is_ok() {
                return Err(NewFilesError::Exists(file.clone()));
            }
        }
        let mut made = Made::default();
        let written = self.write_all(root, &mut made);
        if written.is_err() {
            made.take_back();
        }
        written
    }

    fn write_all(&self, root: &Path, made: &mut Made) -> Result<(), NewFilesError> {
        for (file, text) in &self.new {
            let path = root.join(file);
            made.write(&path, text).map_err(|source| NewFilesError::Write {
                file: file.clone(),
                source,
            })?;
        }
        let Some((file, text)) = &self.changed else {
            return Ok(());
        };
        atomic_write::write(&root.join(file), text).map_err(|source| NewFilesError::Write {
            file: file.clone(),
            source,
        })
    }
}

impl Made {
    fn write(&mut self, path: &Path, text: &str) -> io::Result<()> {
        let missing: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .collect();
        for folder in missing.into_iter().rev() {
            fs::create_dir(folder)?;
            self.folders.push(folder.to_owned());
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        self.files.push(path.to_owned());
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    /// As far as it goes: what cannot be removed is seen by `compat check`.
    fn take_back(&self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(new: &[&str], changed: &str) -> NewFiles {
        NewFiles {
            new: new.iter().map(|file| ((*file).into(), "new".into())).collect(),
            changed: Some((changed.into(), "changed".into())),
        }
    }

    #[test]
    fn all_is_written() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("list"), "old").unwrap();
        files(&["a/b/c", "a/d"], "list").write(root.path()).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("a/b/c")).unwrap(), "new");
        assert_eq!(fs::read_to_string(root.path().join("list")).unwrap(), "changed");
    }

    #[test]
    fn nothing_is_written_over() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("taken"), "old").unwrap();
        let error = files(&["a/b", "taken"], "list").write(root.path()).unwrap_err();
        assert!(matches!(error, NewFilesError::Exists(_)), "{error}");
        assert!(!root.path().join("a").exists());
    }

    #[test]
    fn what_was_made_before_a_failure_goes_again() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("folder")).unwrap();
        let error = files(&["a/b/c", "d"], "folder").write(root.path()).unwrap_err();
        assert!(matches!(error, NewFilesError::Write { .. }), "{error}");
        assert!(!root.path().join("a").exists());
        assert!(!root.path().join("d").exists());
        assert!(root.path().join("folder").is_dir());
    }
}
