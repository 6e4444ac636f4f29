//! Reading and writing the files of commands; `-` is a standard stream. Every error names its file.

use crate::cells::Manifest;
use std::convert::Infallible;
use std::io::{ErrorKind, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};

use super::project::RootFlag;
use crate::commands;
use crate::document::render;
use crate::files::project::MANIFEST;
use crate::files::{atomic_write, run_folders};
use crate::matrix::ManifestView;
use crate::matrix::Matrix;
use crate::progress;
use crate::results::Results;
use crate::results::json::JsonError;
use crate::text::suggestion;

/// The destination of a command's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Standard,
    /// A file, written whole or not at all.
    File(PathBuf),
}

impl FromStr for Output {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "-" => Self::Standard,
            path => Self::File(path.into()),
        })
    }
}

/// The width if there is no terminal.
const WIDTH: usize = 80;

/// The columns of standard error's terminal.
pub fn width_of_talk() -> usize {
    width_of(&std::io::stderr())
}

fn width_of(stream: &impl IsTerminal) -> usize {
    progress::columns_of(stream).unwrap_or(WIDTH)
}

impl Output {
    /// The columns for a text: `asked`, or those of the terminal.
    pub fn width(&self, asked: Option<u16>) -> usize {
        match (asked, self) {
            (Some(columns), _) => usize::from(columns),
            (None, Self::Standard) => width_of(&std::io::stdout()),
            (None, Self::File(_)) => WIDTH,
        }
    }

    /// Fails if the file cannot be written. A long command calls it first; an existing file stays as it is.
    pub fn ensure_writable(&self) -> anyhow::Result<()> {
        match self {
            Self::Standard => Ok(()),
            Self::File(path) => atomic_write::ensure_writable(path)
                .with_context(|| format!("cannot write `{}`", path.display())),
        }
    }

    /// Writes `text`, without colours if the destination is not a terminal.
    pub fn write(&self, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Standard => {
                let mut stdout = anstream::stdout().lock();
                let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
                match written {
                    // The reader closed the pipe.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                    written => written.context("writing to standard output"),
                }
            }
            Self::File(path) => {
                let text = anstream::adapter::strip_str(text).to_string();
                atomic_write::write(path, &text).with_context(|| format!("writing `{}`", path.display()))
            }
        }
    }
}

/// Reads and parses `path` (`-` for standard input).
pub fn read<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, JsonError>) -> anyhow::Result<T> {
    parse(&text(path)?).map_err(|error| placed(path, &error))
}

pub fn text(path: &Path) -> anyhow::Result<String> {
    let text = match path.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()),
        _ => std::fs::read_to_string(path),
    };
    text.with_context(|| format!("reading `{}`", path.display()))
}

/// The matrix in `path`.
pub fn read_matrix(path: &Path) -> anyhow::Result<Matrix> {
    if path != Path::new("-") && !path.exists() {
        bail!(
            "there is no matrix in `{}`: `{}` writes one from the last results",
            path.display(),
            commands::compat("matrix build")
        );
    }
    read(path, Matrix::parse)
}

/// The file of results that `path` names: a file, or a kept run of the project.
pub fn results_file(path: &Path, root: &RootFlag) -> anyhow::Result<PathBuf> {
    let is_plain = path.components().count() == 1 && path.extension().is_none() && path != Path::new("-");
    match (is_plain && !path.exists(), path.to_str()) {
        (true, Some(name)) => {
            run_folders::results(&root.find()?, name).with_context(|| format!("there is no file `{name}`"))
        }
        _ => Ok(of_project(path, run_folders::RESULTS)),
    }
}

/// `path`, or the file of the nearest project upwards if `path` is the plain `name` and is not here.
pub fn of_project(path: &Path, name: &str) -> PathBuf {
    match RootFlag::default().find() {
        Ok(root) if path == Path::new(name) && !path.exists() => root.join(name),
        _ => path.to_owned(),
    }
}

/// Reads the results at `path`. A missing file has a way out.
pub fn read_results(path: &Path) -> anyhow::Result<Results> {
    Results::parse(&results_text(path)?).map_err(|error| placed(path, &error))
}

pub fn results_text(path: &Path) -> anyhow::Result<String> {
    if path != Path::new("-") && !path.exists() {
        bail!(
            "there are no results in `{}`: `{}` writes them",
            path.display(),
            commands::run("")
        );
    }
    text(path)
}

/// The error in `path`'s text, as `file:line:column: what`.
pub fn placed(path: &Path, error: &JsonError) -> anyhow::Error {
    anyhow::anyhow!("{}", error.in_file(path.display()))
}

/// The manifest at `path`, or its part `name`.
pub fn manifest(path: &Path, name: Option<&str>) -> anyhow::Result<ManifestView> {
    let path = &*of_project(path, MANIFEST);
    let bytes = std::fs::read(path).with_context(|| format!("reading `{}`", path.display()))?;
    let manifest = Manifest::parse(path, &bytes).map_err(|faults| {
        let shown = render::render(&faults, render::Format::Text, false);
        anyhow::anyhow!("`{}` is not a manifest\n{}", path.display(), shown.trim_end())
    })?;
    let parts = || manifest.parts.iter().map(|part| part.name.as_str());
    if let Some(name) = name.filter(|name| !parts().any(|part| part == *name)) {
        let similar = suggestion(name, parts());
        bail!("`{}` has no matrix `{name}`{similar}", path.display());
    }
    Ok(ManifestView::of_part(&manifest, name))
}
