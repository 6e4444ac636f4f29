//! The project that is built into the program: manifest, cells, gateway configuration, known findings and pinned tools.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;

use super::atomic_write;
use super::project::Project;

// The build script writes `FILES`: each file's path in the project, and its bytes.
include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

/// The folder that gets the files, below the working directory.
pub const FOLDER: &str = "compat-matrix";
/// The file in it with the digest of the others, and their names.
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

/// Writes `files` below `folder` in place of those of another program, unless those of the same `digest` are there: a user may have
/// changed them.
fn write_all(folder: &Path, files: &[(&str, &[u8])], digest: &str) -> anyhow::Result<()> {
    let stamp = folder.join(STAMP);
    let known = std::fs::read_to_string(&stamp).unwrap_or_default();
    if known.lines().next() == Some(digest) {
        return Ok(());
    }
    // A cell that this program no longer has would be part of the matrix. A user's own files stay.
    let is_old = |path: &&str| !files.iter().any(|(new, _)| new == path);
    for path in known.lines().skip(1).filter(is_old) {
        remove(folder, Path::new(path))
            .with_context(|| format!("cannot remove `{}`", folder.join(path).display()))?;
    }
    for (path, bytes) in files {
        let path = folder.join(path);
        write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    let paths = files.iter().map(|(path, _)| *path);
    let text = std::iter::once(digest)
        .chain(paths)
        .collect::<Vec<_>>()
        .join("\n");
    atomic_write::write(&stamp, &text).with_context(|| format!("cannot write `{}`", stamp.display()))
}

/// Removes the file `path` of `folder`, and its folder if that is then empty.
fn remove(folder: &Path, path: &Path) -> std::io::Result<()> {
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(());
    }
    match std::fs::remove_file(folder.join(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(parent) = path.parent() {
        // It may have a user's files.
        let _ = std::fs::remove_dir(folder.join(parent));
    }
    Ok(())
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
        // A file that only the other program has is removed; a user's own file stays.
        let own = folder.join("cells/own/_shared.yaml");
        write(&own, b"own").unwrap();
        write_all(&folder, &[("cells/b/_shared.yaml", b"three")], "3").unwrap();
        assert!(!folder.join("cells/a").exists() && own.exists());
    }
}
