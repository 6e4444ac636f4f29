//! The project that a command works on: its root, and the errors in its files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::files::Output;
use super::print::status;
use crate::document::Diagnostic;
use crate::document::render::{self, Format};
use crate::files::Project;
use crate::files::built_in;
use crate::files::project::MANIFEST;
use crate::progress;
use crate::report::wrap;

/// The exit status for a failed command.
pub(super) const FAILED: u8 = 1;
/// The exit status for errors in the project's files.
pub(super) const INVALID: u8 = 3;

/// The flag for the project's folder.
#[derive(Args, Debug, Default)]
pub struct RootFlag {
    /// The folder that contains `manifest.yaml` [default: the nearest one upwards]
    #[arg(long, value_name = "FOLDER", global = true)]
    root: Option<PathBuf>,
}

impl RootFlag {
    /// The project's root.
    pub(super) fn find(&self) -> anyhow::Result<PathBuf> {
        match &self.root {
            Some(root) => Ok(root.clone()),
            None => Project::find_root(&current_dir()?).with_context(|| {
                let built_in = match built_in::exists() {
                    true => ", or run `compat run`, which writes the built-in one",
                    false => "",
                };
                format!("no `{MANIFEST}` here or in a folder above; name its folder with `--root`{built_in}")
            }),
        }
    }

    pub(super) fn open(&self) -> anyhow::Result<Project> {
        open(&self.find()?)
    }
}

pub(super) fn current_dir() -> anyhow::Result<PathBuf> {
    std::env::current_dir().context("the working directory does not exist")
}

pub(super) fn open(root: &Path) -> anyhow::Result<Project> {
    Ok(Project::open(root).map_err(InvalidFiles)?)
}

/// Errors in the project's files. [`report`] prints all of them.
#[derive(Debug, thiserror::Error)]
#[error("the project's files have errors: `compat check` shows them")]
pub(super) struct InvalidFiles(pub(super) Vec<Diagnostic>);

/// Prints `error`. Returns the exit status for it.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<InvalidFiles>() {
        Some(InvalidFiles(errors)) => {
            print(errors, Format::Text);
            ExitCode::from(INVALID)
        }
        None => {
            status!("error: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

/// The most diagnostics of one message, and of all, that a reader gets.
const MOST_EQUAL: usize = 10;
const MOST: usize = 100;

/// Prints `diagnostics`; for a reader only the first ones, and the number of the others.
pub(super) fn print(diagnostics: &[Diagnostic], format: Format) {
    let mut equal: HashMap<&str, usize> = HashMap::new();
    let mut shown: Vec<Diagnostic> = diagnostics.to_vec();
    if format == Format::Text {
        shown = diagnostics
            .iter()
            .filter(|diagnostic| {
                let number = equal.entry(&diagnostic.message).or_default();
                *number += 1;
                *number <= MOST_EQUAL
            })
            .take(MOST)
            .cloned()
            .collect();
    }
    print_all(&shown, format);
    let hidden = diagnostics.len() - shown.len();
    if hidden > 0 {
        status!(
            "{hidden} more like these are not shown: correct these first, or check one folder (`compat check cells/<feature>`)"
        );
    }
}

fn print_all(diagnostics: &[Diagnostic], format: Format) {
    // `Output` removes the colours if the reader cannot see them.
    let text = match progress::columns_of(&std::io::stdout()) {
        Some(width) if format == Format::Text => wrap::wrapped(&render::within(diagnostics, width), width),
        _ => render::render(diagnostics, format, true),
    };
    if let Err(error) = Output::Standard.write(&text) {
        status!("error: {error:#}");
    }
}
