//! `compat compare`: the same trials through several gateways, side by side.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::{Args, ValueEnum};

use super::files::{self, Output};
use super::print::status;
use super::project::{FAILED, InvalidFiles, RootFlag};
use crate::catalogue::DEFAULT;
use crate::env::{self, Environment};
use crate::findings::GatewayDescription;
use crate::gateway::WantedGateway;
use crate::matrix::compare::GatewayComparison;
use crate::process::{self, ProcessTag, RunId, Watchdog};
use crate::progress;
use crate::report::Paint;
use crate::results::Results;
use crate::run::versioned::{ensure_published, pinned_version};
use crate::run::{ensure_known, launch};

/// Run several gateways and compare them cell by cell
///
/// Runs `compat run --gateway NAME` for each gateway, one after the other, and prints one table with the differences and what
/// explains them. `compat gateways` lists the names. An unknown gateway, configuration or version is refused before the first run.
/// With several `--config`, each gateway runs with each of them. With `--from`, it reads finished results and runs nothing. The exit status is 0 if trials of every gateway were judged, whatever the
/// results are, and 1 if those of a gateway could not be judged at all.
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  compat compare transparent portkey -- --matrix v0 --tier haiku
  compat compare litellm litellm@1.101.0 --format markdown -- tool_use
  compat compare litellm --config default --config bearer --format html --output bearer.html -- --tier haiku
  compat compare --from litellm.json --from portkey.json --format json")]
pub struct Arguments {
    /// The gateways, each with a version if it is not the pinned one
    #[arg(
        value_name = "NAME[@VERSION]",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    gateways: Vec<WantedGateway>,
    /// A configuration of the gateways. May be given several times; `default` is the usual one
    #[arg(long, value_name = "NAME", default_value = DEFAULT, conflicts_with = "from")]
    config: Vec<String>,
    /// Results of a finished run
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
    /// The format
    #[arg(long, value_enum, default_value_t = CompareFormat::Text)]
    format: CompareFormat,
    /// The file to write; `-` for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: Output,
    /// The most columns of the text [default: those of the terminal, else 80]
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(1..))]
    width: Option<u16>,
    #[command(flatten)]
    root: RootFlag,
    /// Flags and filters of each run, after `--`
    #[arg(last = true, value_name = "FLAG")]
    flags: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CompareFormat {
    /// For a terminal
    Text,
    /// For a job summary or a comment on a pull request
    Markdown,
    /// For a browser: one file that needs no other
    Html,
    /// For programs
    Json,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    arguments.output.ensure_writable()?;
    ensure_once("configuration", &arguments.config, &arguments.config)?;
    let mut runs = Vec::new();
    for file in &arguments.from {
        let results = files::read(file, Results::parse)?;
        let known = results.run.gateway.name.clone();
        runs.push((known.unwrap_or_else(|| file.display().to_string()), results));
    }
    if !arguments.gateways.is_empty() {
        let project = arguments.root.open()?;
        let files = project.gateways();
        // A name may have dashes or underscores, and the pinned version needs none.
        let mut keys = Vec::new();
        for gateway in &arguments.gateways {
            let version = gateway.version.as_ref().map(ToString::to_string);
            let pinned = pinned_version(gateway, &project)?;
            keys.push((gateway.file_name(), version.or(pinned)));
        }
        ensure_once("gateway", &arguments.gateways, &keys)?;
        for gateway in &arguments.gateways {
            ensure_known(gateway, &files)?;
            let name = gateway.file_name();
            let description = match gateway.is_none() {
                true => GatewayDescription::default(),
                false => project.gateway(&name).map_err(InvalidFiles)?,
            };
            for config in &arguments.config {
                let known = description.configurations.called(config);
                known.map_err(|why| anyhow!("`--config {config}` of `{gateway}`: {why}"))?;
            }
        }
        ensure!(
            arguments.gateways.len() * arguments.config.len() > 1,
            "`{}` has nothing to be compared with: name another gateway, or two of `--config`",
            arguments.gateways[0]
        );
        let environment = Environment::from_process();
        ensure!(
            environment.get(env::LITELLM_PROXY_BASE_URL).is_none(),
            "`{}` names a gateway that already runs, and `compat compare` starts its own: unset the variable",
            env::LITELLM_PROXY_BASE_URL
        );
        let runtime = tokio::runtime::Runtime::new()?;
        let progress = progress::on_standard_error();
        let published = ensure_published(&arguments.gateways, &project, &environment, progress.as_ref());
        runtime.block_on(published)?;
        for gateway in &arguments.gateways {
            for config in &arguments.config {
                let results = runtime.block_on(run_gateway(gateway, config, arguments))?;
                runs.push((gateway.to_string(), results));
            }
        }
    }
    let comparison = GatewayComparison::new(&runs);
    let text = match arguments.format {
        CompareFormat::Text => comparison.to_terminal(arguments.output.width(arguments.width), Paint::Ansi),
        CompareFormat::Markdown => comparison.to_markdown(),
        CompareFormat::Html => comparison.to_html(),
        CompareFormat::Json => comparison.to_json(),
    };
    arguments.output.write(&text)?;
    let unjudged = comparison.unjudged();
    for gateway in &unjudged {
        status!("error: no trial of {gateway} could be judged");
    }
    Ok(match unjudged.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FAILED),
    })
}

/// Fails if a name is there twice: the results of the first run would be lost.
fn ensure_once<T: std::fmt::Display, K: PartialEq>(
    what: &str,
    names: &[T],
    keys: &[K],
) -> anyhow::Result<()> {
    let again = (1..keys.len()).find(|index| keys[..*index].contains(&keys[*index]));
    match again {
        Some(index) => bail!("the {what} `{}` is there twice: name each one once", names[index]),
        None => Ok(()),
    }
}

/// Runs the trials through `gateway`, and returns its results. They stay in `target/compat/compare/`.
async fn run_gateway(
    gateway: &WantedGateway,
    config: &str,
    arguments: &Arguments,
) -> anyhow::Result<Results> {
    let root = arguments.root.find()?;
    let environment = Environment::from_process();
    let folder = root.join("target/compat/compare");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let name = match config {
        DEFAULT => gateway.to_string(),
        _ => format!("{gateway}-{config}"),
    };
    let file = folder.join(format!("{name}.json"));
    // Results of an earlier run must not count as those of a run that wrote none.
    let _ = std::fs::remove_file(&file);
    status!("running {name}");
    let run = RunId::mint();
    // It ends the run if a signal ends this process.
    let _watchdog = Watchdog::start(run)?;
    let launch = launch::of_own_run(ProcessTag::run(run))?
        .arguments(["--gateway", &gateway.to_string(), "--config", config, "--quiet"])
        .arguments(&arguments.flags)
        .environment(environment.variables().clone())
        .environment([
            (env::CARGO_MANIFEST_DIR, &root),
            (env::COMPAT_RESULTS_PATH, &file),
        ])
        .directory(&root);
    let log = folder.join(format!("{name}.log"));
    let output = process::output(&launch, b"", RUN_DEADLINE).await?;
    let text = output.stdout_text() + &output.stderr_text();
    std::fs::write(&log, &text).with_context(|| format!("cannot write `{}`", log.display()))?;
    if output.timed_out || !file.is_file() {
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(8)..].join("\n  ");
        bail!(
            "the run of {name} wrote no results ({}); its output is in `{}`:\n  {last}",
            output.ended,
            log.display()
        );
    }
    status!(
        "{name}: results in `{}`, output in `{}`",
        file.display(),
        log.display()
    );
    files::read(&file, Results::parse)
}

/// The longest run of one gateway: the whole matrix takes minutes, on a busy machine half an hour.
const RUN_DEADLINE: std::time::Duration = std::time::Duration::from_secs(60 * 60);
