//! Files that commands read and write: with their names in every error, and `-` for the standard streams.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;

use crate::matrix::ManifestView;
use crate::spec::manifest::Manifest;
use crate::{atomic_write, diagnostic};

/// Where a command's data goes.
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

impl Output {
    /// Writes `text`; colours are taken out where nobody would see them.
    ///
    /// # Errors
    /// That of the file system, with the file's name.
    pub fn write(&self, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Standard => {
                let mut stdout = anstream::stdout().lock();
                stdout
                    .write_all(text.as_bytes())
                    .and_then(|()| stdout.flush())
                    .context("writing to standard output")
            }
            Self::File(path) => {
                let text = anstream::adapter::strip_str(text).to_string();
                atomic_write::write(path, &text).with_context(|| format!("writing `{}`", path.display()))
            }
        }
    }
}

/// Reads `path` (`-`: standard input) and makes of it what `parse` does.
///
/// # Errors
/// That of the file system or of `parse`, with the file's name.
pub fn read<T, E>(path: &Path, parse: impl FnOnce(&str) -> Result<T, E>) -> anyhow::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let text = text(path).with_context(|| format!("reading `{}`", path.display()))?;
    parse(&text).with_context(|| format!("`{}`", path.display()))
}

fn text(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
}

/// Reads the manifest.
///
/// # Errors
/// That of the file system, or all the manifest's faults with their places.
pub fn manifest(path: &Path) -> anyhow::Result<ManifestView> {
    let bytes = std::fs::read(path).with_context(|| format!("reading `{}`", path.display()))?;
    let manifest = Manifest::parse(path, &bytes).map_err(|faults| {
        let shown = diagnostic::render(&faults, diagnostic::Format::Text, false);
        anyhow::anyhow!("`{}` is not a manifest\n{}", path.display(), shown.trim_end())
    })?;
    Ok(ManifestView::from(&manifest))
}
