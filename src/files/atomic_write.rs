//! Writes files whole or not at all: to a temporary file in the same folder, which is then renamed.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;
use tempfile::NamedTempFile;

/// Writes `text` to `path`; creates its folder if it is missing.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    temporary(path, text)?.persist(path)?;
    Ok(())
}

/// Fails if [`write`] would fail. Makes the folder, and changes no file.
pub fn ensure_writable(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    temporary(path, "").map(drop)
}

fn temporary(path: &Path, text: &str) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    make_folder(folder)?;
    // By default only the user can read a temporary file. This one gets the permissions of any other file, but never wider
    // than those of its folder.
    let mode = fs::metadata(folder)?.mode() & 0o066 | 0o600;
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Replaces the texts of two files, both or neither. Each is a path relative to `root`, and a text.
pub fn change_both(root: &Path, first: (&Path, &str), second: (&Path, &str)) -> anyhow::Result<()> {
    let path = root.join(first.0);
    let before = fs::read_to_string(&path).with_context(|| failed(first.0))?;
    write(&path, first.1).with_context(|| failed(first.0))?;
    write_or(root, second, || drop(write(&path, &before)))
}

fn failed(file: &Path) -> String {
    format!("cannot write `{}`; nothing was changed", file.display())
}

/// Writes the second one of two files. If that fails, `undo` takes back the first.
fn write_or(root: &Path, (file, text): (&Path, &str), undo: impl FnOnce()) -> anyhow::Result<()> {
    let written = write(&root.join(file), text);
    written.with_context(|| failed(file)).inspect_err(|_| undo())
}

/// Makes `folder` and its missing parents, with permissions as the umask says but never wider than those of the parent that
/// exists.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let existing = folder
        .ancestors()
        .find_map(|parent| match parent.as_os_str().is_empty() {
            true => fs::metadata(".").ok(),
            false => fs::metadata(parent).ok(),
        });
    let mode = existing.map_or(0o700, |metadata| metadata.mode() & 0o077 | 0o700);
    fs::DirBuilder::new().recursive(true).mode(mode).create(folder)
}

/// Creates the file `new` and replaces the text of `changed`, both or neither. Each is a path relative to `root`, and a text.
pub fn create_and_change(root: &Path, new: (&Path, &str), changed: (&Path, &str)) -> anyhow::Result<()> {
    let path = root.join(new.0);
    let folders = path.ancestors().skip(1);
    let missing: Vec<&Path> = folders.take_while(|folder| !folder.exists()).collect();
    // `persist_noclobber` fails if the file exists.
    let result = temporary(&path, new.1)
        .and_then(|file| Ok(file.persist_noclobber(&path)?))
        .with_context(|| failed(new.0))
        .and_then(|_| write_or(root, changed, || drop(fs::remove_file(&path))));
    if result.is_err() {
        for folder in missing {
            let _ = fs::remove_dir(folder);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_text_replaces_a_longer_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/file.json");
        write(&path, "a longer text").unwrap();
        write(&path, "text").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, "text").is_err());
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_umask_sets_the_permissions() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let path = folder.path().join("file");
        write(&path, "text").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
    }
    #[test]
    fn nothing_is_wider_than_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        let path = folder.path().join("deep/file");
        write(&path, "text").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(mode(&path), 0o600);
    }

    fn create(root: &Path, new: &str, changed: &str) -> anyhow::Result<()> {
        create_and_change(root, (new.as_ref(), "new"), (changed.as_ref(), "changed"))
    }

    #[test]
    fn a_file_is_created_and_another_is_changed() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("list"), "old").unwrap();
        create(root.path(), "a/b/c", "list").unwrap();
        assert_eq!(fs::read_to_string(root.path().join("a/b/c")).unwrap(), "new");
        assert_eq!(fs::read_to_string(root.path().join("list")).unwrap(), "changed");
    }

    #[test]
    fn an_existing_file_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("taken"), "old").unwrap();
        assert!(create(root.path(), "taken", "list").is_err());
        assert_eq!(fs::read_to_string(root.path().join("taken")).unwrap(), "old");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_first_change_is_undone_if_the_second_fails() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("list"), "old").unwrap();
        fs::create_dir(root.path().join("folder")).unwrap();
        let change = |second: &str| {
            let first = ("list".as_ref(), "changed");
            change_both(root.path(), first, (second.as_ref(), "changed"))
        };
        change("folder").unwrap_err();
        assert_eq!(fs::read_to_string(root.path().join("list")).unwrap(), "old");
        change("other").unwrap();
        assert_eq!(fs::read_to_string(root.path().join("list")).unwrap(), "changed");
    }

    #[test]
    fn a_new_file_is_removed_if_the_change_fails() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("folder")).unwrap();
        let error = create(root.path(), "a/b/c", "folder").unwrap_err();
        assert_eq!(error.to_string(), "cannot write `folder`; nothing was changed");
        assert!(!root.path().join("a").exists());
        assert!(root.path().join("folder").is_dir());
    }
}
