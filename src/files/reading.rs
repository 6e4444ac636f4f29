//! Reads the files of a project, and says why one cannot be read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use nix::errno::Errno;

use super::project::SHARED;
use crate::document::{Diagnostic, yaml};
use crate::text::closest;

/// The key of a cell whose feature cannot exist there.
const NOT_APPLICABLE: &[u8] = b"not_applicable";

/// Whether `file` contains the word `not_applicable`, in a key or elsewhere.
pub(super) fn says_not_applicable(root: &Path, file: &Path) -> bool {
    let text = read(root, file).unwrap_or_default();
    text.windows(NOT_APPLICABLE.len())
        .any(|window| window == NOT_APPLICABLE)
}

/// The bytes of `file`, relative to `root`; not of one that is too large.
pub(super) fn read(root: &Path, file: &Path) -> Result<Vec<u8>, Box<Diagnostic>> {
    match read_if_there(root, file)? {
        Some(bytes) => Ok(bytes),
        None => Err(Box::new(Diagnostic::of_file(file, "there is no such file"))),
    }
}

pub(super) fn read_if_there(root: &Path, file: &Path) -> Result<Option<Vec<u8>>, Box<Diagnostic>> {
    let failed = |error: io::Error| Box::new(unreadable(file, &error));
    let path = root.join(file);
    // Before it is opened: who opens a pipe waits for somebody to write into it.
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match fs::read_link(&path) {
                Err(_) => Ok(None),
                Ok(target) => Err(Box::new(
                    Diagnostic::of_file(file, "this is a link to a file that is not there")
                        .found(format!("`{}`", target.display())),
                )),
            };
        }
        Err(error) => return Err(failed(error)),
    };
    if metadata.is_dir() {
        return Err(Box::new(Diagnostic::of_file(file, FOLDER_FOR_FILE)));
    }
    if !metadata.is_file() {
        return Err(Box::new(Diagnostic::of_file(
            file,
            "this is neither a file nor a link to one",
        )));
    }
    let mut opened = File::open(&path).map_err(failed)?;
    if metadata.len() > yaml::MAX_BYTES as u64 {
        return Err(Box::new(yaml::too_large(file, metadata.len())));
    }
    let mut bytes = Vec::new();
    opened
        .by_ref()
        .take(yaml::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(Some(bytes))
}

pub(super) const FOLDER_FOR_FILE: &str = "this is a folder, where a file is expected";

/// That `file` cannot be read, without the number that the system has for why.
pub(super) fn unreadable(file: &Path, error: &io::Error) -> Diagnostic {
    let fault = |why: &str| Diagnostic::of_file(file, format!("cannot be read: {why}"));
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            fault("permission denied").hint(format!("`ls -ld {}` shows who may read it", file.display()))
        }
        _ if error.raw_os_error() == Some(Errno::ELOOP as i32) => fault("it is a link that leads to itself"),
        io::ErrorKind::NotFound => fault("there is no such folder"),
        _ => fault(&error.to_string()),
    }
}

/// The most bytes that an image or a document may have: what the Messages API takes in one request is 32 MB.
const MAX_ATTACHMENT_BYTES: u64 = 20_000_000;

pub(super) fn attachment(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => match like(path) {
            Some(close) => format!("there is no such file in the feature's folder (did you mean `{close}`?)"),
            None => "there is no such file in the feature's folder".to_owned(),
        },
        _ => error.to_string(),
    })?;
    if !metadata.is_file() {
        return Err("it is no file".to_owned());
    }
    if metadata.len() > MAX_ATTACHMENT_BYTES {
        return Err(format!(
            "it has {} bytes, at most {MAX_ATTACHMENT_BYTES} are allowed",
            metadata.len()
        ));
    }
    fs::read(path).map_err(|error| error.to_string())
}

/// The file beside `path` that was probably meant.
fn like(path: &Path) -> Option<String> {
    let names: Vec<String> = fs::read_dir(path.parent()?)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.starts_with('_') && name != SHARED)
        .collect();
    let wanted = path.file_name()?.to_string_lossy();
    closest(&wanted, names.iter().map(String::as_str)).map(str::to_owned)
}
