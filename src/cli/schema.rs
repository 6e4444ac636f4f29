//! `compat schema`: writes the JSON Schemas that editors read, or checks that they are fresh.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::spec::schema::FileKind;

/// Write the JSON Schemas of the manifest and the cells
///
/// The schemas are generated from the types that read the files. Editors find them through the first line of each
/// file. With `--check` nothing is written, and the exit status is 1 if one is not fresh.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  compat schema\n  compat schema --check")]
pub struct Arguments {
    /// Only check that the files are fresh
    #[arg(long)]
    pub check: bool,
    /// The folder of the schemas
    #[arg(long, value_name = "FOLDER", default_value = "schema")]
    pub folder: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// If a schema cannot be written.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut stale = false;
    for kind in FileKind::ALL {
        let file = arguments.folder.join(kind.schema_file());
        if is_fresh(&file, kind) {
            continue;
        }
        if arguments.check {
            stale = true;
            anstream::eprintln!("`{}` is not fresh: run `compat schema`", file.display());
        } else {
            write(&file, kind)?;
            anstream::eprintln!("wrote `{}`", file.display());
        }
    }
    Ok(if stale {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn is_fresh(file: &Path, kind: FileKind) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text == kind.schema_text())
}

fn write(file: &Path, kind: FileKind) -> anyhow::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder `{}`", folder.display()))?;
    std::fs::write(file, kind.schema_text()).with_context(|| format!("writing `{}`", file.display()))
}
