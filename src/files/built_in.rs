//! The project that is built into the program: manifest, cells, gateway configuration, known findings and pinned tools.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::atomic_write;
use super::project::Project;

// The build script writes `FILES`: each file's path in the project, and its bytes.
include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// The folder that gets the files, below the working directory.
pub const FOLDER: &str = "compat-matrix";
/// The file in it that says which program wrote the others.
const STAMP: &str = ".built-in";

/// Whether this program has a built-in project.
pub fn exists() -> bool {
    !FILES.is_empty()
}

/// Writes the built-in project into the folder `compat-matrix` of `current`, and returns the folder; `None` if a project is there or
/// above, or nothing is built in.
pub fn ensure(current: &Path) -> anyhow::Result<Option<PathBuf>> {
    let folder = current.join(FOLDER);
    let has_other = !folder.join(STAMP).is_file() && Project::find_root(current).is_some();
    if has_other || FILES.is_empty() {
        return Ok(None);
    }
    write_all(&folder, FILES, env!("BUILT_IN_DIGEST"))?;
    Ok(Some(folder))
}

/// Writes `files` below `folder`, unless those of the same `digest` are there: a user may have changed them.
fn write_all(folder: &Path, files: &[(&str, &[u8])], digest: &str) -> anyhow::Result<()> {
    let stamp = folder.join(STAMP);
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == digest) {
        return Ok(());
    }
    for (path, bytes) in files {
        let path = folder.join(path);
        write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    atomic_write::write(&stamp, digest).with_context(|| format!("cannot write `{}`", stamp.display()))
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        atomic_write::make_folder(parent)?;
    }
    std::fs::write(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_another_program_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join(FOLDER);
        let cell = "cells/a/_shared.yaml";
        let read = || std::fs::read_to_string(folder.join(cell)).unwrap();
        write_all(&folder, &[(cell, b"one")], "1").unwrap();
        std::fs::write(folder.join(cell), "changed").unwrap();
        write_all(&folder, &[(cell, b"one")], "1").unwrap();
        assert_eq!(read(), "changed");
        write_all(&folder, &[(cell, b"two")], "2").unwrap();
        assert_eq!(read(), "two");
    }
}
