//! `compat check`: all faults of the manifest and the cells. Starts nothing.

use crate::text::closest;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::files::Output;
use super::print::status;
use crate::document::Diagnostic;
use crate::document::render::{self, Format};
use crate::files::mutant_files::{self, MUTANTS};
use crate::files::project::{CELLS, MANIFEST, PROXY_CONFIG, Project};

/// Check the manifest, the cells and the mutants
///
/// Reads `manifest.yaml`, `proxy_config.yaml`, every cell and every mutant, and shows all their faults at once, each with its place. Nothing
/// is started. What is still to be written (a `todo`) is a note, and no fault. The exit status is 0 if there are no faults, 3 if there
/// are some.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat check\n  compat check cells/vision\n  compat check --format github"
)]
pub struct Arguments {
    /// Files or folders to check; all of the project if none is given
    pub paths: Vec<PathBuf>,
    /// How the faults are written: for a reader, as JSON, or as annotations of GitHub or GitLab
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The folder that holds `manifest.yaml` [default: the nearest one upwards]
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
}

// The core knows no command line, so the names of its formats are here.
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

/// The exit status for faults in the project's files.
pub(super) const FAULTS: u8 = 3;

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let current = std::env::current_dir().context("the working directory is gone")?;
    let root = root(arguments.root.as_deref(), &current)?;
    let paths = relative(&root, &current, &arguments.paths)?;
    let (faults, notes, cells) = match Project::open(&root) {
        Ok(project) => {
            let mut faults = project.check(&paths);
            faults.extend(mutant_files::check(&project, &paths));
            (faults, project.notes(&paths), project.selected(&paths).len())
        }
        Err(faults) => (faults, Vec::new(), 0),
    };
    for path in paths.iter().filter(|path| !is_checked(path)) {
        status!(
            "`{}` is none of the files that are checked: `{MANIFEST}`, `{PROXY_CONFIG}`, `{CELLS}/`, `{MUTANTS}/`",
            path.display()
        );
    }
    print(&[&notes[..], &faults[..]].concat(), arguments.format);
    if arguments.format == Format::Text {
        conclude(&faults, &notes, cells);
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAULTS)
    })
}

/// Opens the project at `root`, or shows its faults: then the exit status that says so.
pub(super) fn open(root: &Path) -> Result<Project, ExitCode> {
    Project::open(root).map_err(|faults| {
        print(&faults, Format::Text);
        ExitCode::from(FAULTS)
    })
}

/// The project's root: the one that is named, or the nearest from `current` upwards.
pub(super) fn root(named: Option<&Path>, current: &Path) -> anyhow::Result<PathBuf> {
    match named {
        Some(root) => Ok(root.to_owned()),
        None => Project::find_root(current).with_context(|| {
            format!("no `{MANIFEST}` here or in a folder above; name its folder with `--root`")
        }),
    }
}

pub(super) fn print(faults: &[Diagnostic], format: Format) {
    // The colours are taken out again where the reader cannot see them.
    if let Err(error) = Output::Standard.write(&render::render(faults, format, true)) {
        status!("error: {error:#}");
    }
}

/// Whether `path` names or holds something that is read.
fn is_checked(path: &Path) -> bool {
    let first = path.iter().next();
    path == Path::new(".")
        || [MANIFEST, PROXY_CONFIG, CELLS, MUTANTS]
            .iter()
            .any(|known| first == Some(known.as_ref()))
}

fn conclude(faults: &[Diagnostic], notes: &[Diagnostic], cells: usize) {
    let notes = match notes.len() {
        0 => String::new(),
        1 => ", 1 note".to_owned(),
        number => format!(", {number} notes"),
    };
    match faults.len() {
        0 if cells == 0 => status!("no faults{notes}"),
        0 => status!("{cells} cells, no faults{notes}"),
        1 => status!("1 fault{notes}"),
        number => status!("{number} faults{notes}"),
    }
}

fn relative(root: &Path, current: &Path, paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
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

/// What beside a path that is not there was probably meant.
fn beside(path: &Path) -> String {
    let names: Vec<String> = path
        .parent()
        .and_then(|folder| std::fs::read_dir(folder).ok())
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match closest(&name, names.iter().map(String::as_str)) {
        Some(close) => format!(" (did you mean `{close}`?)"),
        None => String::new(),
    }
}
