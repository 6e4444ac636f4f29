//! `compat check`: all errors in the manifest, the cells and the mutants. Starts nothing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::print::status;
use super::project::{self, INVALID, RootFlag};
use crate::document::render::Format;
use crate::files::mutant_files::{self, MUTANTS};
use crate::files::project::{CELLS, GATEWAYS, MANIFEST, PROXY_CONFIG, Project};
use crate::text::{counted, suggestion};

/// Check the manifest, the cells and the mutants
///
/// Reads `manifest.yaml`, `proxy_config.yaml`, every cell and every mutant. Shows all errors at once, each with its file and
/// line. Starts nothing. An expectation that is not written yet (a `todo`) is a note, not an error. The exit status is 0 without
/// errors and 3 with errors.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat check\n  compat check cells/vision\n  compat check --format github"
)]
pub struct Arguments {
    /// Files or folders to check; the whole project if none is given
    pub paths: Vec<PathBuf>,
    /// The format of the errors
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(flatten)]
    pub root: RootFlag,
}

// `document` cannot have this: the core has no command line.
impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json, Self::Github, Self::Gitlab]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Text => ("text", "For a reader"),
            Self::Json => ("json", "A JSON array"),
            Self::Github => ("github", "Workflow commands for GitHub Actions"),
            Self::Gitlab => ("gitlab", "A Code Quality report for GitLab"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let root = arguments.root.find()?;
    let paths = relative(&root, &arguments.paths)?;
    let (project, mut errors) = Project::open_to_check(&root);
    let (mut notes, mut cells) = (Vec::new(), 0);
    if let Some(project) = project {
        errors.extend(project.check(&paths));
        errors.extend(mutant_files::check(&project, &paths));
        (notes, cells) = (project.notes(&paths), project.selected(&paths).len());
    }
    for path in paths.iter().filter(|path| !is_checked(path)) {
        status!(
            "`{}` is not checked: only `{MANIFEST}`, `{PROXY_CONFIG}`, `{CELLS}/`, `{GATEWAYS}/` and `{MUTANTS}/` are",
            path.display()
        );
    }
    project::print(&[&notes[..], &errors[..]].concat(), arguments.format);
    if arguments.format == Format::Text {
        print_summary(errors.len(), notes.len(), cells);
    }
    Ok(match errors.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(INVALID),
    })
}

/// Whether `path` is or contains a file that the command reads.
fn is_checked(path: &Path) -> bool {
    let first = path.iter().next();
    path == Path::new(".")
        || [MANIFEST, PROXY_CONFIG, CELLS, GATEWAYS, MUTANTS]
            .iter()
            .any(|known| first == Some(known.as_ref()))
}

fn print_summary(errors: usize, notes: usize, cells: usize) {
    let notes = match notes {
        0 => String::new(),
        notes => format!(", {}", counted(notes, "note")),
    };
    match errors {
        0 if cells == 0 => status!("no errors{notes}"),
        0 => status!("{}, no errors{notes}", counted(cells, "cell")),
        errors => status!("{}{notes}", counted(errors, "error")),
    }
}

/// `paths` relative to `root`.
fn relative(root: &Path, paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let current = project::current_dir()?;
    let root = root
        .canonicalize()
        .with_context(|| format!("the folder `{}`", root.display()))?;
    paths
        .iter()
        .map(|path| {
            let full = current.join(path);
            let full = full.canonicalize().or_else(|error| match error.kind() {
                ErrorKind::NotFound => bail!("there is no `{}`{}", path.display(), beside(&full)),
                _ => Err(error).with_context(|| format!("cannot find `{}`", path.display())),
            })?;
            let Ok(inside) = full.strip_prefix(&root) else {
                bail!(
                    "`{}` is not below `{}`, the folder of `{MANIFEST}`",
                    path.display(),
                    root.display()
                );
            };
            Ok(match inside.as_os_str().is_empty() {
                true => PathBuf::from("."),
                false => inside.to_owned(),
            })
        })
        .collect()
}

/// A suggestion for a path that does not exist: a similar name in its folder.
fn beside(path: &Path) -> String {
    let names: Vec<String> = path
        .parent()
        .and_then(|folder| std::fs::read_dir(folder).ok())
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    suggestion(&name, names.iter().map(String::as_str))
}
