//! Files that commands read and write: with their names in every error, and `-` for the standard streams.

use crate::cells::Manifest;
use std::convert::Infallible;
use std::io::{ErrorKind, IsTerminal, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;

use crate::atomic_write;
use crate::document::render;
use crate::matrix::ManifestView;
use crate::results::json::{JsonError, Position};

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

/// The width of a terminal that nothing is known of.
const WIDTH: usize = 80;

/// The columns of the terminal that standard error goes to.
pub fn width_of_talk() -> usize {
    width_of(&std::io::stderr())
}

fn width_of(stream: &impl IsTerminal) -> usize {
    let size = stream.is_terminal().then(terminal_size::terminal_size).flatten();
    size.map_or(WIDTH, |(width, _)| usize::from(width.0))
}

impl Output {
    /// How many columns a text may take: `asked`, or those of the terminal that it goes to.
    pub fn width(&self, asked: Option<usize>) -> usize {
        asked.unwrap_or_else(|| match self {
            Self::Standard => width_of(&std::io::stdout()),
            Self::File(_) => WIDTH,
        })
    }

    /// Writes `text`; colours are taken out where nobody would see them.
    pub fn write(&self, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Standard => {
                let mut stdout = anstream::stdout().lock();
                let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
                match written {
                    // Who reads has read enough.
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

/// Reads `path` (`-`: standard input) and makes of it what `parse` does.
pub fn read<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, JsonError>) -> anyhow::Result<T> {
    parse(&text(path)?).map_err(|error| placed(path, &error))
}

/// Reads `path`'s text.
pub fn text(path: &Path) -> anyhow::Result<String> {
    text_of(path).with_context(|| format!("reading `{}`", path.display()))
}

/// `error` of `path`'s text, as `file:line:column: what`.
pub fn placed(path: &Path, error: &JsonError) -> anyhow::Error {
    let (file, what) = (path.display(), &error.what);
    match error.position {
        Some(Position { line, column }) => anyhow::anyhow!("{file}:{line}:{column}: {what}"),
        None => anyhow::anyhow!("{file}: {what}"),
    }
}

fn text_of(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
}

/// Reads the manifest.
pub fn manifest(path: &Path) -> anyhow::Result<ManifestView> {
    let bytes = std::fs::read(path).with_context(|| format!("reading `{}`", path.display()))?;
    let manifest = Manifest::parse(path, &bytes).map_err(|faults| {
        let shown = render::render(&faults, render::Format::Text, false);
        anyhow::anyhow!("`{}` is not a manifest\n{}", path.display(), shown.trim_end())
    })?;
    Ok(ManifestView::from(&manifest))
}
