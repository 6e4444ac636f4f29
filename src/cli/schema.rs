//! `compat schema`: writes the JSON Schemas that editors read, or checks that they are up to date.

use crate::cells::{forms, prices, reference};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::print::status;
use crate::results::json;
use crate::wire::script::Script;
use crate::{ci, drift, findings, matrix, mutants};
use schemars::generate::SchemaSettings;
use std::sync::LazyLock;

use crate::document::Form;

/// Write the JSON Schemas of all files, and the reference of a cell's keys
///
/// The schemas are generated from the types behind the files. Editors find those of the manifest and the cells through
/// the first line of each file. `--check` writes nothing; the exit status is 1 if a file is stale.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  compat schema\n  compat schema --check")]
pub struct Arguments {
    /// Only check that the files are up to date
    #[arg(long)]
    pub check: bool,
    /// The folder of the schemas
    #[arg(long, value_name = "FOLDER", default_value = "schema")]
    pub folder: PathBuf,
    /// The reference of all keys of a cell, generated from their schema
    #[arg(long, value_name = "FILE", default_value = "docs/cells-reference.md")]
    pub reference: PathBuf,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut stale = false;
    let mut files: Vec<(PathBuf, String)> = schemas()
        .into_iter()
        .map(|(name, text)| (arguments.folder.join(name), text))
        .collect();
    files.push((arguments.reference, reference::page()));
    for (file, text) in files {
        if is_fresh(&file, &text) {
            continue;
        }
        if arguments.check {
            stale = true;
            status!("`{}` is stale: run `compat schema`", file.display());
        } else {
            write(&file, &text)?;
            status!("wrote `{}`", file.display());
        }
    }
    Ok(if stale {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The forms of the files that people write, each under the file name of its schema.
pub static FORMS: [(&str, &LazyLock<Form>); 7] = [
    ("manifest.schema.json", &forms::MANIFEST),
    ("cell.schema.json", &forms::CELL),
    ("shared.schema.json", &forms::SHARED),
    ("script.schema.json", &forms::SCRIPT),
    ("prices.schema.json", &prices::FORM),
    ("gateway.schema.json", &findings::GATEWAY_FORM),
    ("mutant.schema.json", &mutants::FORM),
];

/// The file name and the text of each schema.
pub fn schemas() -> Vec<(&'static str, String)> {
    let of_forms = FORMS.iter().map(|(file, form)| (*file, form.schema_text()));
    let of_files = matrix::schema::files().into_iter();
    let others = [
        ("control-script.schema.json", script_schema()),
        ci::report::schema(),
    ];
    let of_drift = drift::report::schemas();
    of_forms.chain(of_files).chain(others).chain(of_drift).collect()
}

/// The schema of what people send to the simulator's control routes.
fn script_schema() -> String {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    json::write(&settings.into_generator().into_root_schema_for::<Script>())
}

fn is_fresh(file: &Path, text: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|written| written == text)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder `{}`", folder.display()))?;
    std::fs::write(file, text).with_context(|| format!("writing `{}`", file.display()))
}
