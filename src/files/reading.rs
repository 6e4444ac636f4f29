//! Reads the files and folders of a project. An error says why one cannot be read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::project::{PROXY_CONFIG, SHARED};
use crate::cells::reason;
use crate::document::{Diagnostic, Node, yaml};
use crate::text::suggestion;

/// Whether `file` contains the word `not_applicable`, in a key or elsewhere.
pub(super) fn says_not_applicable(root: &Path, file: &Path) -> bool {
    contains(&read(root, file).unwrap_or_default(), "not_applicable")
}

/// Whether `file` may make a trial not applicable: it contains the word for a cell or for a tier.
pub(super) fn may_be_not_applicable(root: &Path, file: &Path) -> bool {
    let text = read(root, file).unwrap_or_default();
    contains(&text, "not_applicable") || contains(&text, "not_on")
}

fn contains(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|window| window == word.as_bytes())
}

/// The errors about the pages that reasons in `file` name and that do not exist. Its other errors are reported where it is read.
pub(super) fn missing_pages(root: &Path, file: &Path) -> Vec<Diagnostic> {
    let bytes = match read_if_exists(root, file) {
        Ok(Some(bytes)) if contains(&bytes, "docs/") => bytes,
        _ => return Vec::new(),
    };
    let Ok(node) = yaml::parse(file, &bytes) else {
        return Vec::new();
    };
    let mut named = reason::pages(&node, false);
    named.retain(|(_, page)| !root.join(page).is_file());
    let error = |(reason, page): (&Node, &str)| {
        let folder = Path::new(page).parent().unwrap_or(Path::new(""));
        let pages: Vec<String> = entries(root, folder)
            .unwrap_or_default()
            .iter()
            .map(|(name, _)| folder.join(name).display().to_string())
            .collect();
        Diagnostic::at(&reason.span, format!("there is no page `{page}`"))
            .hint("write the page, or name another source")
            .did_you_mean(page, pages.iter().map(String::as_str))
    };
    named.into_iter().map(error).collect()
}

/// The bytes of `file`, relative to `root`. Fails if it is too large.
pub(super) fn read(root: &Path, file: &Path) -> Result<Vec<u8>, Vec<Diagnostic>> {
    match read_if_exists(root, file) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => {
            let error = Diagnostic::of_file(file, "there is no such file");
            Err(vec![match file == Path::new(PROXY_CONFIG) {
                true => error.hint(
                    "write `model_list`, with a deployment for each alias of `manifest.yaml`, or restore the file",
                ),
                false => error.hint("restore it, or correct its name where it is used"),
            }])
        }
        Err(error) => Err(vec![*error]),
    }
}

pub(super) fn read_if_exists(root: &Path, file: &Path) -> Result<Option<Vec<u8>>, Box<Diagnostic>> {
    let failed = |error: io::Error| Box::new(unreadable(file, &error));
    let wrong = |message| Box::new(Diagnostic::of_file(file, message));
    let path = root.join(file);
    // Checked before the file is opened: opening a pipe waits for a writer.
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match fs::read_link(&path) {
                Err(_) => Ok(None),
                Ok(target) => {
                    let error = wrong("this is a link to a file that does not exist");
                    Err(Box::new(error.found(format!("`{}`", target.display()))))
                }
            };
        }
        Err(error) => return Err(failed(error)),
    };
    if metadata.is_dir() {
        return Err(wrong(FOLDER_FOR_FILE));
    }
    if !metadata.is_file() {
        return Err(wrong("this is neither a file nor a link to one"));
    }
    if metadata.len() > yaml::MAX_BYTES as u64 {
        return Err(Box::new(yaml::too_large(file, metadata.len())));
    }
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| {
        let mut bounded = file.take(yaml::MAX_BYTES as u64 + 1);
        bounded.read_to_end(&mut bytes)
    });
    read.map(|_| Some(bytes)).map_err(failed)
}

/// The entries of a folder without those whose names begin with `.`.
pub(super) fn visible_entries(
    root: &Path,
    folder: &Path,
    errors: &mut Vec<Diagnostic>,
) -> Vec<(String, bool)> {
    let mut visible = entries(root, folder).unwrap_or_else(|error| {
        errors.push(*error);
        Vec::new()
    });
    visible.retain(|(name, _)| !name.starts_with('.'));
    visible
}

/// The names in `folder`, sorted, and whether each is a folder or a link to one.
pub(super) fn entries(root: &Path, folder: &Path) -> Result<Vec<(String, bool)>, Box<Diagnostic>> {
    let listed = fs::read_dir(root.join(folder)).and_then(|entries| {
        let named = entries.map(|entry| {
            let entry = entry?;
            let kind = entry.file_type()?;
            let is_folder = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
            Ok((entry.file_name().to_string_lossy().into_owned(), is_folder))
        });
        named.collect::<io::Result<Vec<_>>>()
    });
    let mut entries = listed.map_err(|error| unreadable(folder, &error))?;
    entries.sort_unstable();
    Ok(entries)
}

pub(super) const FOLDER_FOR_FILE: &str = "this is a folder, where a file is expected";

/// The error that `file` cannot be read, without the system's error number.
fn unreadable(file: &Path, error: &io::Error) -> Diagnostic {
    let unreadable = |why: &str| Diagnostic::of_file(file, format!("cannot be read: {why}"));
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            unreadable("permission denied").hint(format!("`ls -ld {}` shows who may read it", file.display()))
        }
        io::ErrorKind::NotFound => unreadable("there is no such folder"),
        _ if error.raw_os_error() == Some(Errno::ELOOP as i32) => unreadable("it is a link to itself"),
        _ => unreadable(&error.to_string()),
    }
}

/// The most bytes of an image or a document. The Messages API accepts 32 MB in one request.
const MAX_ATTACHMENT_BYTES: u64 = 20_000_000;

pub(super) fn attachment(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let similar = similar_attachment(path).unwrap_or_default();
            format!("there is no such file in the feature's folder{similar}")
        }
        _ => error.to_string(),
    })?;
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    if metadata.len() > MAX_ATTACHMENT_BYTES {
        return Err(format!(
            "it has {} bytes, at most {MAX_ATTACHMENT_BYTES} are allowed",
            metadata.len()
        ));
    }
    fs::read(path).map_err(|error| error.to_string())
}

/// Whether `file` is at or below one of `paths`. Without paths, every file is selected.
pub(crate) fn is_selected(paths: &[PathBuf], file: &Path) -> bool {
    let contains = |path: &PathBuf| file.starts_with(path) || path.as_os_str() == ".";
    paths.is_empty() || paths.iter().any(contains)
}

/// A suggestion of an attachment in the same folder.
fn similar_attachment(path: &Path) -> Option<String> {
    let names: Vec<String> = fs::read_dir(path.parent()?)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.starts_with('_') && name != SHARED)
        .collect();
    let wanted = path.file_name()?.to_string_lossy();
    Some(suggestion(&wanted, names.iter().map(String::as_str)))
}
