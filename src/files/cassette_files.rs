//! Reads and writes the folder of a cassette. `drift::cassette` knows the form of its files.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::atomic_write;
use crate::drift::cassette::{self, HEAD};
use crate::drift::{Cassette, CassetteHead, PlacedRecording, PrivateValues, Recording};
use crate::ids::TrialName;
use crate::results::json::{self, JsonError};
use crate::wire::secrets::Secrets;

/// Makes the folder of a cassette, and returns the head of the cassette in it. Fails if it has other files.
pub fn prepare(folder: &Path) -> anyhow::Result<Option<CassetteHead>> {
    let shown = folder.display();
    atomic_write::make_folder(folder).with_context(|| format!("cannot make the folder `{shown}`"))?;
    let mut files = fs::read_dir(folder).with_context(|| format!("cannot read the folder `{shown}`"))?;
    ensure!(
        folder.join(HEAD).is_file() || files.next().is_none(),
        "`{shown}` has files and is no cassette: name a new folder, an empty one, or that of a cassette to add to"
    );
    let path = folder.join(HEAD);
    match path.is_file() {
        true => read_head(&path).map(Some),
        false => Ok(None),
    }
}

/// Writes the head of the cassette in `folder`.
pub fn write_head(folder: &Path, head: &CassetteHead) -> anyhow::Result<()> {
    let path = folder.join(HEAD);
    atomic_write::write(&path, &json::write(head))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// The file of a trial, relative to the folder.
fn file_of(trial: &TrialName) -> PathBuf {
    let cell = Path::new(trial.cell.feature.as_str()).join(trial.cell.provider.as_str());
    cell.join(format!("{}.jsonl", trial.tier))
}

/// Forgets the recordings of an earlier run of `trial`.
pub fn forget(folder: &Path, trial: &TrialName) -> anyhow::Result<()> {
    let path = folder.join(file_of(trial));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// Adds the recordings of an attempt at `trial`.
pub fn add(folder: &Path, trial: &TrialName, recordings: &[Recording]) -> anyhow::Result<()> {
    let path = folder.join(file_of(trial));
    let write = || -> anyhow::Result<()> {
        let lines: Result<String, _> = recordings.iter().map(Recording::to_line).collect();
        atomic_write::make_folder(path.parent().unwrap_or(folder))?;
        let mut file = File::options().create(true).append(true).open(&path)?;
        Ok(file.write_all(lines?.as_bytes())?)
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}

/// Reads the cassette in `folder`.
pub fn read(folder: &Path) -> anyhow::Result<Cassette> {
    let path = folder.join(HEAD);
    let shown = folder.display();
    if !path.is_file() {
        bail!(
            "`{shown}` is no cassette: it has no `{HEAD}`; `--record FOLDER` of a run, or of `compat run`, writes one"
        );
    }
    let head = read_head(&path)?;
    let mut files = Vec::new();
    walk(folder, &mut files)?;
    files.sort();
    let mut recordings: Vec<PlacedRecording> = Vec::new();
    for path in files {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        let lines = cassette::lines(&name, &text(&path)?).map_err(|error| placed(&path, &error))?;
        recordings.extend(lines);
    }
    ensure!(
        !recordings.is_empty(),
        "`{shown}` has no recording: the run that wrote it sent no request; record again"
    );
    Ok(Cassette { head, recordings })
}

/// Removes further private values and secrets from the cassette in `folder`. Deletes a file that cannot be cleaned, and returns
/// why. After an error, the folder may still have private values.
pub fn clean(folder: &Path, private: &PrivateValues, secrets: &Secrets) -> anyhow::Result<Vec<String>> {
    let mut files = vec![folder.join(HEAD)];
    files.retain(|head| head.is_file());
    walk(folder, &mut files)?;
    let mut deleted = Vec::new();
    for path in files {
        let Err(error) = clean_file(folder, &path, private, secrets) else {
            continue;
        };
        let shown = path.display();
        fs::remove_file(&path).with_context(|| format!("cannot delete `{shown}`"))?;
        let why = secrets.removed(&format!("{error:#}")).into_owned();
        deleted.push(format!("deleted `{shown}`, which cannot be cleaned: {why}"));
    }
    Ok(deleted)
}

fn clean_file(folder: &Path, path: &Path, private: &PrivateValues, secrets: &Secrets) -> anyhow::Result<()> {
    if path.ends_with(HEAD) {
        let mut head = read_head(path)?;
        private.remove_from_head(&mut head, &[secrets]);
        return write_head(folder, &head);
    }
    let lines = cassette::lines("", &text(path)?).map_err(|error| placed(path, &error))?;
    let lines = lines.into_iter().map(|mut placed| {
        private.remove_from(&mut placed.recording, &[secrets]);
        placed.recording.to_line()
    });
    let lines: Result<String, _> = lines.collect();
    atomic_write::write(path, &lines?).with_context(|| format!("cannot write `{}`", path.display()))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read `{}`", folder.display()))?
            .path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(path);
        }
    }
    Ok(())
}

fn read_head(path: &Path) -> anyhow::Result<CassetteHead> {
    cassette::head(&text(path)?).map_err(|error| placed(path, &error))
}

fn text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// `file:line:column`, what is wrong and what to do.
fn placed(path: &Path, error: &JsonError) -> anyhow::Error {
    let advice = match path.ends_with(HEAD) {
        true => "",
        false => "remove the line, or ",
    };
    let error = error.in_file(path.display());
    anyhow::anyhow!("{error}; {advice}record again with this version of `compat`")
}
