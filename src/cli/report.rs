//! `compat report`: writes a run as one HTML file.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::files::{self, Output};
use super::print::status;
use super::project::RootFlag;
use super::{evidence, show};
use crate::env::Environment;
use crate::files::run_folders::RESULTS;
use crate::ids::TrialName;
use crate::matrix::builder::{Stamp, build};
use crate::matrix::{Details, html};
use crate::session;
use crate::text::counted;
use crate::wire::secrets::Secrets;

/// Write a run as one HTML file
///
/// The file has the matrix, the findings, the report of each failure, and of each trial its timeline with the changes by the
/// gateway, as `compat show` prints them. It needs no other file, no network and no script, so it fits as an artifact of CI. A
/// trial whose evidence is gone has no timeline.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  compat report
  compat report --results matrix/compat-results.json --output matrix/report.html")]
pub struct Arguments {
    /// The results: a file, or the name of a kept run [default: `compat-results.json` of the project]
    #[arg(long, value_name = "FILE|RUN")]
    results: Option<PathBuf>,
    /// Only this part of the manifest's `matrices`
    #[arg(long, value_name = "MATRIX")]
    matrix: Option<String>,
    /// The file to write; `-` for standard output
    #[arg(long, value_name = "FILE", default_value = "compat-report.html")]
    output: Output,
    #[command(flatten)]
    root: RootFlag,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let root = arguments.root.find()?;
    let manifest = files::manifest(&root.join("manifest.yaml"), arguments.matrix.as_deref())?;
    let path = match &arguments.results {
        Some(path) => files::results_file(path, &arguments.root)?,
        None => root.join(RESULTS),
    };
    let results = files::read_results(&path)?;
    let manifest = manifest.of_tried_tiers(&results);
    let version = |known: Option<&String>| {
        known
            .is_none()
            .then(|| crate::results::UNKNOWN_VERSION.to_owned())
    };
    let stamp = Stamp::new(
        &results,
        version(results.run.gateway.version.as_ref()),
        version(results.run.claude_code_version.as_ref()),
        None,
    )?;
    let matrix = build(&manifest, &results, &stamp)?;
    let details = Details::build(&manifest, &results, &stamp)?;
    let secrets = Secrets::new(session::secrets_of_project(&Environment::from_process(), &root));
    let mut timelines: HashMap<TrialName, String> = HashMap::new();
    let judged = results.results.len();
    for result in results.results {
        let name = result.nodeid.clone();
        if let Some(recorded) = evidence::of_result(&root, result, &secrets) {
            let recorded = recorded.with_context(|| format!("reading the evidence of `{name}`"))?;
            timelines.insert(name, show::timeline_of(&recorded));
        }
    }
    arguments
        .output
        .write(&html::of_run(&matrix, Some(&details), &timelines))?;
    if let Output::File(path) = &arguments.output {
        let trials = counted(judged, "trial");
        let timelines = counted(timelines.len(), "timeline");
        status!("wrote `{}`, with {timelines} of {trials}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
