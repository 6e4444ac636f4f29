//! Every file of an installed tool that is a folder: LiteLLM with its packages.
//!
//! The inventory holds each file's digest; it is taken when the installation is complete, and the files become read-only. A
//! file that is not in it would run too: Python executes each `.pth` in `site-packages`. A run compares metadata only. It
//! reads the contents if a time or an inode differs, as after a copy of the cache. The time of change (`ctime`) is included,
//! which no program can set back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::stamp::digest_of;
use crate::digest::{Hasher, Sha512};
use crate::files::atomic_write;

const INVENTORY: &str = "inventory.txt";
const STAMP: &str = "inventory.stamp";

/// The files of this program in the folder, which are written later than the inventory.
const OWN: [&str; 3] = [INVENTORY, STAMP, "receipt.json"];

/// The number of faults that an error lists.
const SHOWN: usize = 5;

/// Takes the inventory of `directory` and makes its files read-only.
pub fn take(directory: &Path) -> io::Result<()> {
    let files = files(directory)?;
    for file in files.values().filter(|file| file.link.is_none()) {
        fs::set_permissions(&file.path, Permissions::from_mode(file.mode & !0o222))?;
    }
    let mut text = String::new();
    for (name, file) in &files {
        let _ = writeln!(text, "{}  {name}", file.content()?);
    }
    atomic_write::write(&directory.join(INVENTORY), &text)?;
    keep_stamp(directory)
}

/// Fails if a file is changed, missing or not listed. It reads metadata only, unless they differ.
pub fn check(directory: &Path) -> anyhow::Result<()> {
    let kept = fs::read_to_string(directory.join(STAMP)).unwrap_or_default();
    if stamp(&files(directory)?).to_string() == kept {
        return Ok(());
    }
    let faults = faults(directory)?;
    if !faults.is_empty() {
        let shown = faults[..faults.len().min(SHOWN)].join("\n  ");
        let more = match faults.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("\n  and {more} more"),
        };
        bail!(
            "`{}` was changed since it was installed:\n  {shown}{more}",
            directory.display()
        );
    }
    // Without a stamp the contents are read each time.
    let _ = keep_stamp(directory);
    Ok(())
}

/// The source files of `package` that differ between two installations, by their names within `site-packages` or `node_modules`.
pub fn differences(old: &Path, new: &Path, package: &str) -> anyhow::Result<Vec<String>> {
    let (old, new) = (contents(old, package)?, contents(new, package)?);
    let changed = new.iter().filter_map(|(name, content)| match old.get(name) {
        Some(before) if before == content => None,
        Some(_) => Some(format!("{name} changed")),
        None => Some(format!("{name} added")),
    });
    let removed = old.keys().filter(|name| !new.contains_key(*name));
    let mut found: Vec<String> = changed
        .chain(removed.map(|name| format!("{name} removed")))
        .collect();
    found.sort();
    Ok(found)
}

/// The source files of `package` in an installation, each with its digest.
fn contents(directory: &Path, package: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let path = directory.join(INVENTORY);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let is_of_package = |name: &&str| name.starts_with(&format!("{package}/")) && !name.ends_with(".pyc");
    let files = text.lines().filter_map(|line| {
        let (content, name) = line.split_once("  ")?;
        let of_python = name.split_once("/site-packages/").map(|(_, name)| name);
        let name = of_python.or_else(|| name.strip_prefix("node_modules/"))?;
        Some((name, content)).filter(|(name, _)| is_of_package(name))
    });
    Ok(files
        .map(|(name, content)| (name.to_owned(), content.to_owned()))
        .collect())
}

/// Pages of LiteLLM's admin page, which no program runs. Some versions (1.83.14) move them at their first start: `a.html`
/// becomes `a/index.html`.
///
/// Source: `_restructure_ui_html_files` in `litellm/proxy/proxy_server.py`.
fn is_admin_page(name: &str) -> bool {
    name.contains("/site-packages/litellm/proxy/_experimental/out/") && name.ends_with(".html")
}

/// Each file that is changed, missing or not listed, by its content. Pages of LiteLLM's admin page do not count, unless one is
/// a link.
pub fn faults(directory: &Path) -> anyhow::Result<Vec<String>> {
    let path = directory.join(INVENTORY);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut listed: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines() {
        let (content, name) = line
            .split_once("  ")
            .with_context(|| format!("`{}` has the line `{line}`, which names no file", path.display()))?;
        listed.insert(name, content);
    }
    let mut faults = Vec::new();
    for (name, file) in files(directory)? {
        match listed.remove(name.as_str()) {
            _ if is_admin_page(&name) && file.link.is_none() => {}
            None => faults.push(format!("{name}: not listed")),
            Some(content) if content != file.content()? => faults.push(format!("{name}: changed")),
            Some(_) => {}
        }
    }
    let missing = listed.keys().filter(|name| !is_admin_page(name));
    faults.extend(missing.map(|name| format!("{name}: missing")));
    Ok(faults)
}

struct FileState {
    path: PathBuf,
    mode: u32,
    bytes: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    /// The target of a symbolic link.
    link: Option<PathBuf>,
}

impl FileState {
    fn content(&self) -> io::Result<String> {
        Ok(match &self.link {
            Some(target) => format!("link:{}", target.to_string_lossy().replace(' ', "%20")),
            None => digest_of(&self.path)?.to_string(),
        })
    }
}

/// Each file and link below `directory`, by its relative path.
fn files(directory: &Path) -> io::Result<BTreeMap<String, FileState>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let path = entry.path();
            // The metadata of a link is its own.
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path
                .strip_prefix(directory)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            if OWN.contains(&name.as_str()) {
                continue;
            }
            let file = FileState {
                link: metadata.is_symlink().then(|| fs::read_link(&path)).transpose()?,
                path,
                mode: metadata.mode(),
                bytes: metadata.len(),
                inode: metadata.ino(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            };
            found.insert(name, file);
        }
    }
    Ok(found)
}

/// A digest of all names and metadata.
fn stamp(files: &BTreeMap<String, FileState>) -> Sha512 {
    let mut hasher = Hasher::default();
    for (name, file) in files {
        hasher.update(name.as_bytes());
        hasher.update(&[0]);
        let (modified, changed) = (file.modified, file.changed);
        for number in [modified.0, modified.1, changed.0, changed.1] {
            hasher.update(&number.to_le_bytes());
        }
        for number in [u64::from(file.mode), file.bytes, file.inode] {
            hasher.update(&number.to_le_bytes());
        }
    }
    hasher.finish()
}

fn keep_stamp(directory: &Path) -> io::Result<()> {
    atomic_write::write(&directory.join(STAMP), &stamp(&files(directory)?).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        for name in ["lib/a.py", "lib/b.py"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("lib", folder.path().join("lib64")).unwrap();
        take(folder.path()).unwrap();
        folder
    }

    #[test]
    fn an_unchanged_folder_passes_and_its_files_are_read_only() {
        let folder = installed();
        check(folder.path()).unwrap();
        let mode = fs::metadata(folder.path().join("lib/a.py")).unwrap().mode();
        assert_eq!(mode & 0o222, 0);
        // The stamp is only a shortcut.
        fs::remove_file(folder.path().join(STAMP)).unwrap();
        check(folder.path()).unwrap();
        assert!(folder.path().join(STAMP).is_file());
    }

    #[test]
    fn a_changed_a_missing_and_an_unlisted_file_are_named() {
        let folder = installed();
        let path = |name: &str| folder.path().join(name);
        fs::set_permissions(path("lib/a.py"), Permissions::from_mode(0o644)).unwrap();
        fs::write(path("lib/a.py"), "LIB/A.PY").unwrap();
        fs::remove_file(path("lib/b.py")).unwrap();
        fs::remove_file(path("lib64")).unwrap();
        std::os::unix::fs::symlink("/elsewhere", path("lib64")).unwrap();
        fs::write(path("lib/evil.pth"), "import os").unwrap();
        let error = check(folder.path()).unwrap_err().to_string();
        for fault in [
            "lib/a.py: changed",
            "lib/b.py: missing",
            "lib/evil.pth: not listed",
            "lib64: changed",
        ] {
            assert!(error.contains(fault), "{fault} in {error}");
        }
    }

    #[test]
    fn only_pages_of_the_admin_page_may_move() {
        let folder = tempfile::tempdir().unwrap();
        let out = "lib/python3.11/site-packages/litellm/proxy/_experimental/out";
        let path = |name: &str| folder.path().join(out).join(name);
        fs::create_dir_all(path("login")).unwrap();
        fs::write(path("login.html"), "page").unwrap();
        fs::write(path("login.txt"), "text").unwrap();
        take(folder.path()).unwrap();
        fs::rename(path("login.html"), path("login/index.html")).unwrap();
        for _ in 0..2 {
            check(folder.path()).unwrap();
        }
        let others = ["a.py", "a.pth", "a.so", "a.html.pyc"];
        for name in others {
            fs::write(path(name), "").unwrap();
        }
        fs::remove_file(path("login.txt")).unwrap();
        std::os::unix::fs::symlink("/elsewhere", path("link.html")).unwrap();
        let faults = faults(folder.path()).unwrap();
        let fault = |name: &str, what: &str| format!("{out}/{name}: {what}");
        for name in others.iter().chain(&["link.html"]) {
            assert!(
                faults.contains(&fault(name, "not listed")),
                "{name} in {faults:?}"
            );
        }
        assert!(faults.contains(&fault("login.txt", "missing")), "{faults:?}");
        assert_eq!(faults.len(), others.len() + 2);
    }
}
