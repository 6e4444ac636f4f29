//! `compat results`: merges and shows results, and writes JUnit XML.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::files::{self, Output};
use super::print::status;
use super::project::{self, InvalidFiles, RootFlag};
use crate::commands;
use crate::files::project::MANIFEST;
use crate::files::run_folders;
use crate::matrix::terminal;
use crate::report::Paint;
use crate::results::merge::merge;
use crate::results::stale::stale;
use crate::results::{Results, junit};

/// Merge and show the results of runs
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat results list\n  compat results show\n  compat results merge shard-1.json shard-2.json --output compat-results.json"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Merge(Merge),
    Show(Show),
}

/// List the kept runs, newest first
///
/// Each run of the matrix is kept in `target/compat/runs/<run>/`: its results, its JUnit, and the evidence of its trials. The last 20
/// simulated runs are kept, as far as they fit into 4 GiB. Live runs cost money, so they are never removed. `*` marks the run of
/// `compat-results.json`.
///
/// `compat show --run`, `compat results show`, `compat results merge`, `compat matrix build --results`, `compat report --results` and `--rerun-failed=RUN`
/// take a run's name. Its beginning or its end is enough if no other run has it.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  compat results list\n  compat results show 3f9c2b")]
struct List {
    /// The most columns of the text [default: those of the terminal, else 80]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(1..))]
    width: Option<u16>,
    #[command(flatten)]
    root: RootFlag,
}

/// Merge the results of shards
///
/// The parts must be of one run: the same gateway and versions, no trial twice, and together all trials of the project. The
/// exit status is 3 if a known finding of the gateway (`gateways/<name>.yaml`) no longer shows in any part.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  compat results merge shard-1.json shard-2.json --output compat-results.json
  compat results merge shard-*.json --junit test-results/junit.xml")]
struct Merge {
    /// The results of each shard: files, or names of kept runs (`compat results list`)
    #[arg(required = true, value_name = "FILE|RUN")]
    parts: Vec<PathBuf>,
    /// Accept parts that are not all trials of the project
    #[arg(long)]
    allow_partial: bool,
    /// The merged file; `-` for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: Output,
    /// Also write JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<Output>,
    #[command(flatten)]
    root: RootFlag,
}

/// Show results on the terminal
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:\n  compat results show\n  compat results show shard-1.json")]
struct Show {
    /// The results: a file, or the name of a kept run
    #[arg(value_name = "FILE|RUN", default_value = "compat-results.json")]
    results: PathBuf,
    /// The manifest: rows, columns and tiers
    #[arg(long, value_name = "FILE", default_value = "manifest.yaml")]
    manifest: PathBuf,
    /// The most columns of the text [default: those of the terminal, else 80]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(1..))]
    width: Option<u16>,
}

/// The exit status if a known finding no longer shows.
const STALE: u8 = 3;

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::List(arguments) => run_list(&arguments),
        Command::Merge(arguments) => run_merge(&arguments),
        Command::Show(arguments) => run_show(&arguments),
    }
}

fn run_list(arguments: &List) -> anyhow::Result<ExitCode> {
    let root = arguments.root.find()?;
    let last = std::fs::read_to_string(root.join(run_folders::RESULTS)).unwrap_or_default();
    let last = Results::parse(&last).ok().and_then(|results| results.run.name);
    let names = run_folders::names(&root);
    if names.is_empty() {
        status!(
            "no run is kept below `{}`: `{}` keeps each run",
            run_folders::RUNS,
            commands::run("")
        );
    }
    for name in names {
        let is_last = last.as_deref() == Some(name.as_str());
        let read = files::read(&run_folders::results(&root, &name)?, Results::parse);
        match read {
            Ok(results) => {
                let width = Output::Standard.width(arguments.width);
                let text = terminal::of_kept_run(&name, &results, is_last, width, Paint::Ansi);
                Output::Standard.write(&text)?;
            }
            Err(error) => status!("error: {error:#}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_merge(arguments: &Merge) -> anyhow::Result<ExitCode> {
    let read = |path: &PathBuf| {
        let file = files::results_file(path, &arguments.root)?;
        Ok((path.display().to_string(), files::read_results(&file)?))
    };
    let parts = arguments
        .parts
        .iter()
        .map(read)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let whole = merge(parts, arguments.allow_partial)?;
    if let Some(output) = &arguments.junit {
        output.write(&junit::to_xml(&whole))?;
    }
    arguments.output.write(&whole.to_text())?;
    let stale = stale_findings(&whole, &arguments.root)?;
    stale.iter().for_each(|stale| status!("error: {stale}"));
    Ok(match stale.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(STALE),
    })
}

/// The errors about known findings that no part shows any more. No single part can say that.
fn stale_findings(whole: &Results, root: &RootFlag) -> anyhow::Result<Vec<String>> {
    let Some(gateway) = &whole.run.gateway.name else {
        return Ok(Vec::new());
    };
    let Ok(root) = root.find() else {
        status!(
            "note: stale known findings were not looked for: no `{MANIFEST}` here or above; name its folder with `--root`"
        );
        return Ok(Vec::new());
    };
    let project = project::open(&root)?;
    let known = project.known_findings(gateway).map_err(InvalidFiles)?;
    let stale = stale(whole, &known, &project.applicable_trials());
    Ok(stale.iter().map(ToString::to_string).collect())
}

fn run_show(arguments: &Show) -> anyhow::Result<ExitCode> {
    let manifest = files::manifest(&arguments.manifest, None)?;
    let results = files::read_results(&files::results_file(&arguments.results, &RootFlag::default())?)?;
    Output::Standard.write(&terminal::of_results(
        &manifest,
        &results,
        Output::Standard.width(arguments.width),
        Paint::Ansi,
    ))?;
    Ok(ExitCode::SUCCESS)
}
