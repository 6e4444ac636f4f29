//! `compat matrix`: builds, compares and shows the published matrix.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};

use super::files::{self, Output};
use super::git::git;
use super::print::{status, status_painted};
use super::project::RootFlag;
use crate::matrix::builder::{BuildError, Stamp, build};
use crate::matrix::details::DETAILS;
use crate::matrix::diff::Diff;
use crate::matrix::history::History;
use crate::matrix::{Details, Matrix, feed, markdown, terminal};
use crate::report::Paint;
use crate::results::Results;
use crate::results::json::{self, JsonError, timestamp};
use crate::text;

/// Build, compare and show the published matrix
///
/// Works from files alone, on any machine: `compat-results.json`, which a run writes, and `manifest.yaml`.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat matrix build\n  compat matrix diff old.json new.json\n  compat matrix show"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(Build),
    Diff(Compare),
    Show(Show),
    History(PastMatrices),
}

/// Build `compatibility-matrix.json` from a run's results
///
/// A cell passes if it passed on every tier. A cell that was not tried on all tiers is `not_tested`, whatever an older
/// matrix says. `compatibility-details.json` beside the matrix has each cell's tiers, causes and evidence.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  compat matrix build
  compat matrix build --results shard.json --output -
  compat matrix build --results 20261127-162417-3f9c2b
  compat matrix build --litellm-version v1.83.0-stable --generated-at 2026-11-21T09:00:00Z")]
struct Build {
    /// The results of the run: a file, or the name of a kept run (`compat results list`)
    #[arg(long, value_name = "FILE|RUN", default_value = "compat-results.json")]
    results: PathBuf,
    /// The manifest: rows, columns and tiers
    #[arg(long, value_name = "FILE", default_value = "manifest.yaml")]
    manifest: PathBuf,
    /// Only this part of the manifest's `matrices`
    #[arg(long, value_name = "MATRIX")]
    matrix: Option<String>,
    /// The matrix's file; `-` for standard output
    #[arg(long, value_name = "FILE", default_value = "compatibility-matrix.json")]
    output: Output,
    /// The details' file [default: `compatibility-details.json` beside the matrix; none if the matrix goes to standard
    /// output]
    #[arg(long, value_name = "FILE", conflicts_with = "no_details")]
    details: Option<Output>,
    /// Write no details
    #[arg(long)]
    no_details: bool,
    /// The tag of the LiteLLM release [default: from the results]
    #[arg(long, value_name = "TAG")]
    litellm_version: Option<String>,
    /// The version of Claude Code [default: from the results]
    #[arg(long, value_name = "VERSION")]
    claude_code_version: Option<String>,
    /// The time of the results, `2026-11-21T09:00:00Z` [default: from the results]
    #[arg(long, value_name = "TIME", value_parser = timestamp::from_text)]
    generated_at: Option<DateTime<Utc>>,
}

/// Compare two matrices
///
/// The exit status is 0 without regressions (cells that passed and now fail), 3 with regressions, and 1 if a file cannot be
/// read. Both may be any valid matrix of schema version 1.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  compat matrix diff published.json compatibility-matrix.json
  compat matrix diff published.json compatibility-matrix.json --format markdown >> \"$GITHUB_STEP_SUMMARY\"")]
struct Compare {
    /// The older matrix
    old: PathBuf,
    /// The newer matrix
    new: PathBuf,
    /// The newer matrix's details, for causes [default: `compatibility-details.json` beside it, if it is from the same run]
    #[arg(long, value_name = "FILE")]
    details: Option<PathBuf>,
    /// The format
    #[arg(long, value_enum, default_value_t = DiffFormat::Text)]
    format: DiffFormat,
    /// The file to write; `-` for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: Output,
    /// The most columns of the text [default: those of the terminal, else 80]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(1..))]
    width: Option<u16>,
}

/// Show a matrix
///
/// On the terminal, or as Markdown for a job summary. `compat report` writes a run as HTML.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  compat matrix show
  compat matrix show published.json --format markdown")]
struct Show {
    /// The matrix; `-` for standard input
    #[arg(default_value = "compatibility-matrix.json")]
    matrix: PathBuf,
    /// Its details [default: `compatibility-details.json` beside it, if it is from the same run]
    #[arg(long, value_name = "FILE")]
    details: Option<PathBuf>,
    /// The format
    #[arg(long, value_enum, default_value_t = ShowFormat::Text)]
    format: ShowFormat,
    /// The file to write; `-` for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: Output,
    /// The most columns of the text [default: those of the terminal, else 80]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(1..))]
    width: Option<u16>,
}

/// Write each cell's history from the git history of the matrix file
///
/// Reads every revision of the file on the checked-out branch, and writes `compatibility-history.json` for the docs page's
/// history strip. The file also names the revisions that are no valid matrix. `--format atom` writes the changed cells as a feed.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  compat matrix history ../docs/src/data/compatibility-matrix.json --output compatibility-history.json
  compat matrix history compatibility-matrix.json --last 30
  compat matrix history compatibility-matrix.json --format atom --page https://docs.example.org/compatibility --output feed.xml")]
struct PastMatrices {
    /// The matrix file, in a git repository
    matrix: PathBuf,
    /// The number of newest revisions to read
    #[arg(long, value_name = "NUMBER", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..))]
    last: u32,
    /// The format
    #[arg(long, value_enum, default_value_t = HistoryFormat::Json)]
    format: HistoryFormat,
    /// The address of the page that shows the matrix: the feed's id and its link
    #[arg(long, value_name = "URL", required_if_eq("format", "atom"))]
    page: Option<String>,
    /// The file to write; `-` for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DiffFormat {
    /// For a terminal
    Text,
    /// For a job summary or a comment on a pull request
    Markdown,
    /// For programs: `schema/matrix-diff.schema.json`
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HistoryFormat {
    /// Each cell's status in each revision: `schema/compatibility-history.schema.json`
    Json,
    /// An Atom feed of the changed cells
    Atom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ShowFormat {
    /// For a terminal
    Text,
    /// For a job summary or a comment on a pull request
    Markdown,
}

/// The exit status of a comparison with regressions.
const REGRESSED: u8 = 3;

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Build(arguments) => run_build(arguments),
        Command::Diff(arguments) => run_diff(&arguments),
        Command::Show(arguments) => run_show(&arguments),
        Command::History(arguments) => run_history(&arguments),
    }
}

fn run_build(mut arguments: Build) -> anyhow::Result<ExitCode> {
    arguments.results = files::results_file(&arguments.results, &RootFlag::default())?;
    let manifest = files::manifest(&arguments.manifest, arguments.matrix.as_deref())?;
    let text = files::results_text(&arguments.results)?;
    let of_results = |error: &JsonError| files::placed(&arguments.results, error);
    let of_build = |error: BuildError| {
        of_results(&JsonError {
            position: error.path().and_then(|path| json::position(&text, &path)),
            what: error.to_string(),
        })
    };
    let results = Results::parse(&text).map_err(|error| of_results(&error))?;
    let stamp = Stamp::new(
        &results,
        arguments.litellm_version,
        arguments.claude_code_version,
        arguments.generated_at,
    )
    .map_err(of_build)?;
    let matrix = build(&manifest, &results, &stamp).map_err(of_build)?;
    let details = Details::build(&manifest, &results, &stamp).map_err(of_build)?;
    let beside = match (&arguments.output, arguments.no_details) {
        (Output::File(path), false) => Some(Output::File(path.with_file_name(DETAILS))),
        _ => None,
    };
    let mut written = Vec::new();
    for (output, text) in [
        (Some(&arguments.output), matrix.to_text()),
        (arguments.details.as_ref().or(beside.as_ref()), details.to_text()),
    ] {
        let Some(output) = output else { continue };
        output.write(&text)?;
        if let Output::File(path) = output {
            written.push(path.display().to_string());
        }
    }
    if matches!(arguments.output, Output::File(_)) {
        let grid = terminal::of_run(&manifest, &results, files::width_of_talk(), Paint::Ansi);
        status_painted(grid.trim_end());
        if !results.is_whole() {
            let (finished, trials) = (results.results.len(), results.run.trials);
            status!(
                "note: {finished} of {} were run: cells without all their tiers are `not_tested`",
                text::counted(trials, "trial")
            );
        }
    }
    if !written.is_empty() {
        let (written, source) = (written.iter().map(String::as_str), arguments.results.display());
        status!("wrote {} from `{source}`", text::listed(written));
    }
    Ok(ExitCode::SUCCESS)
}

fn run_diff(arguments: &Compare) -> anyhow::Result<ExitCode> {
    let old = files::read_matrix(&arguments.old)?;
    let new = files::read_matrix(&arguments.new)?;
    let details = details_of(&new, &arguments.new, arguments.details.as_deref())?;
    let diff = Diff::new(&old, &new, details.as_ref());
    let text = match arguments.format {
        DiffFormat::Text => terminal::of_diff(&diff, arguments.output.width(arguments.width), Paint::Ansi),
        DiffFormat::Markdown => markdown::of_diff(&diff),
        DiffFormat::Json => diff.to_text(),
    };
    arguments.output.write(&text)?;
    Ok(if diff.has_regressions() {
        ExitCode::from(REGRESSED)
    } else {
        ExitCode::SUCCESS
    })
}

fn run_show(arguments: &Show) -> anyhow::Result<ExitCode> {
    let matrix = files::read_matrix(&arguments.matrix)?;
    let details = details_of(&matrix, &arguments.matrix, arguments.details.as_deref())?;
    let text = match arguments.format {
        ShowFormat::Text => {
            let width = arguments.output.width(arguments.width);
            terminal::of_matrix(&matrix, details.as_ref(), width, Paint::Ansi)
        }
        ShowFormat::Markdown => markdown::of_matrix(&matrix, details.as_ref()),
    };
    arguments.output.write(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The named details, which must belong to `matrix`; else those beside it, if they belong to it.
fn details_of(matrix: &Matrix, file: &Path, named: Option<&Path>) -> anyhow::Result<Option<Details>> {
    if let Some(named) = named {
        let details = files::read(named, Details::parse)?;
        if !details.belongs_to(matrix) {
            bail!(
                "`{}` is not from the same run as `{}`",
                named.display(),
                file.display()
            );
        }
        return Ok(Some(details));
    }
    let beside = file.with_file_name(DETAILS);
    if !beside.is_file() {
        return Ok(None);
    }
    let details = files::read(&beside, Details::parse)?;
    Ok(details.belongs_to(matrix).then_some(details))
}

fn run_history(arguments: &PastMatrices) -> anyhow::Result<ExitCode> {
    let folder = match arguments.matrix.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = arguments.matrix.file_name().context("name the matrix file")?;
    let name = name.to_str().context("the matrix file's name is not UTF-8")?;
    anyhow::ensure!(folder.is_dir(), "there is no folder `{}`", folder.display());
    // One more shows whether older revisions are left out.
    let last = format!("--max-count={}", u64::from(arguments.last) + 1);
    let path = format!("./{name}");
    // Added, modified, type changed: a commit that deleted the file has no text of it.
    let log = git(
        folder,
        &["log", "--format=%H", "--diff-filter=AMT", &last, "--", &path],
    )?;
    let mut revisions = Vec::new();
    let most = arguments.last as usize;
    let is_cut = log.lines().nth(most).is_some();
    for commit in log.lines().take(most) {
        revisions.push((commit, git(folder, &["show", &format!("{commit}:{path}")])?));
    }
    if revisions.is_empty() {
        bail!(
            "`{}` has no history here: name a file that is in git",
            arguments.matrix.display()
        );
    }
    revisions.reverse();
    let history = History::new(revisions.iter().map(|(commit, text)| (*commit, text.as_str())));
    for unreadable in &history.unreadable {
        status!("warning: {}: {}", unreadable.commit, unreadable.why);
    }
    let text = match arguments.format {
        HistoryFormat::Json => history.to_text(),
        HistoryFormat::Atom => {
            feed::of_history(&history, is_cut, arguments.page.as_deref().unwrap_or_default())
        }
    };
    arguments.output.write(&text)?;
    Ok(ExitCode::SUCCESS)
}
