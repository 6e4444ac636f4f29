//! Files and folders of tests.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::ran::{Ran, compat};

/// A temporary folder.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn in_folder(folder: &Path) -> Self {
        Self(TempDir::new_in(folder).unwrap())
    }

    pub fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self::new();
        for (file, text) in files {
            folder.write(file, text);
        }
        folder
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn read(&self, file: &str) -> String {
        read(self.path(file))
    }

    pub fn write(&self, file: &str, text: &str) -> PathBuf {
        write(self.root(), file, text)
    }

    /// Runs `compat` in this folder.
    pub fn compat(&self, arguments: &[&str]) -> Ran {
        compat(self.root(), arguments)
    }
}

pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes a file below `folder`, with its folders.
pub fn write(folder: impl AsRef<Path>, file: &str, text: &str) -> PathBuf {
    let path = folder.as_ref().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// Writes an executable script.
pub fn write_program(path: &Path, script: &str) {
    // It may be a link to the real program.
    let _ = fs::remove_file(path);
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// The permissions of a file or folder.
pub fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Every file below `folder`, sorted. Files that vanish meanwhile may be missing.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![path],
        })
        .collect();
    files.sort();
    files
}

/// The content of every file below `folder`, by its path in it.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files_below(folder).into_iter();
    files
        .map(|path| {
            let content = fs::read(&path).unwrap();
            (path.strip_prefix(folder).unwrap().to_owned(), content)
        })
        .collect()
}

pub fn copy_folder(from: &Path, to: &Path) {
    for (file, content) in contents(from) {
        let path = to.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}
