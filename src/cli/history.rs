//! `compat history`: what each version of a gateway or of Claude Code breaks.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::str::FromStr;

use crate::text::{counted, number_from_one};
use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::files::Output;
use super::print::{output, output_json, status};
use super::project::{FAILED, InvalidFiles, RootFlag};
use super::versioned::VersionedFlags;
use crate::files::atomic_write;
use crate::files::project::GATEWAYS;
use crate::findings::proposal;
use crate::matrix::measured;
use crate::matrix::versions::{VersionHistory, VersionRecords, new_in_newest};
use crate::plan::selection::{Axes, Names};
use crate::progress;
use crate::run::history::HistoryRun;
use crate::run::versioned::VersionedRuns;
use crate::toolchain::ToolVersion;

/// Exit status if the newest version has a finding that the version before has not.
const NEW_FINDING: u8 = 3;

/// Run the trials on many versions of the gateway or of Claude Code, and show findings by version
///
/// Each version is installed with the dependencies of its own release day. Finished trials are stored under a digest of the
/// gateway's lock, Claude Code, the cell and this program: only what changed runs again, also after a break.
///
/// A finding belongs to a provider. The exit status is 3 if the newest version has one that the version before has not. It is 1 if
/// the newest version cannot be run, or if it has no new finding and none of its trials could be judged.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat history --last 5 --matrix v0 --tier haiku\n  compat history --versions 1.98.0..1.106.2 vision --format markdown\n  compat history --last 5 --until 1.104.0 --matrix v0\n  compat history --claude --last 3 basic_messaging_streaming\n  compat history --last 10 --pairs contemporary --matrix v0 --tier haiku\n  compat history --last 3 --propose"
)]
pub struct Arguments {
    /// The newest versions
    #[arg(long, value_name = "N", default_value = "5", value_parser = number_from_one::<NonZeroUsize>)]
    last: NonZeroUsize,
    /// The newest of these [default: the newest published one]
    #[arg(long, value_name = "VERSION", conflicts_with = "versions")]
    until: Option<ToolVersion>,
    /// The versions from A to B, or a list in any order: `1.98.0,1.101.0`
    #[arg(long, value_name = "A..B", conflicts_with = "last")]
    versions: Option<WantedVersions>,
    #[command(flatten)]
    tool: VersionedFlags,
    #[command(flatten)]
    axes: Axes,
    #[command(flatten)]
    names: Names,
    /// Output format
    #[arg(long, value_enum, default_value_t = HistoryFormat::Text)]
    format: HistoryFormat,
    /// With each version of the gateway, run the newest Claude Code of its release day
    #[arg(long, value_enum, value_name = "WHICH", conflicts_with = "claude")]
    pairs: Option<Pairs>,
    /// Write the ranges of versions that the gateway's findings should have into `gateways/<name>.yaml`, or print them only
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "write", conflicts_with_all = ["claude", "config", "pairs"])]
    propose: Option<Propose>,
    #[command(flatten)]
    root: RootFlag,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum HistoryFormat {
    /// For a reader
    Text,
    /// For programs
    Json,
    /// For a page
    Markdown,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Pairs {
    /// The newest Claude Code of the day of the release
    Contemporary,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Propose {
    /// Change no file
    Print,
    /// Change the file
    Write,
}

#[derive(Clone, Debug)]
enum WantedVersions {
    Range(ToolVersion, ToolVersion),
    List(Vec<ToolVersion>),
}

impl FromStr for WantedVersions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("..") {
            Some((first, last)) => Ok(Self::Range(first.parse()?, last.parse()?)),
            None => text
                .split(',')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .map(Self::List),
        }
    }
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut runs = arguments.tool.runs(
        &arguments.root.find()?,
        arguments.axes.clone(),
        arguments.names.clone(),
    )?;
    let versions = arguments.versions(&runs)?;
    if arguments.pairs == Some(Pairs::Contemporary) {
        let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
        let progress = progress::on_standard_error();
        runtime.block_on(runs.pair_contemporary(&versions, progress.as_ref()))?;
    }
    let history = HistoryRun::new(&runs)?;
    let tool = arguments.tool.tool_name();
    status!(
        "{tool}: {}, {} each",
        counted(versions.len(), "version"),
        counted(history.trials(), "trial")
    );
    let records = history.run(&versions, |records, ran| match &records.records {
        Ok(all) => status!(
            "{}: {} ran, {} stored",
            records.version,
            counted(ran, "trial"),
            all.len() - ran
        ),
        Err(why) => status!("{}: could not be run: {why}", records.version),
    });
    let configuration = history.configuration().map(str::to_owned);
    let table = VersionHistory::new(tool, arguments.tool.other_tool_name(), configuration, &records);
    match arguments.format {
        HistoryFormat::Text => output!("{}", table.to_text(Output::Standard.width(None)).trim_end()),
        HistoryFormat::Json => output_json(&table)?,
        HistoryFormat::Markdown => output!("{}", table.to_markdown()),
    }
    if let Some(how) = arguments.propose {
        arguments.propose(how, &runs, &table, &records)?;
    }
    let new = new_in_newest(&records);
    for finding in &new {
        status!("new in {}: {}", finding.last_seen, finding.title());
    }
    if let Some(why) = records.last().and_then(why_unknown) {
        status!("error: {why}, so more findings may be there");
    }
    Ok(ExitCode::from(exit_status(records.last(), !new.is_empty())))
}

fn exit_status(newest: Option<&VersionRecords>, has_new: bool) -> u8 {
    let could_run = newest.is_none_or(|newest| newest.records.is_ok());
    let is_unknown = newest.and_then(why_unknown).is_some();
    match (could_run, has_new) {
        // What showed before a trial ended without a verdict is a finding all the same.
        (true, true) => NEW_FINDING,
        (true, false) if !is_unknown => 0,
        _ => FAILED,
    }
}

/// Why nothing is known about the newest version.
fn why_unknown(newest: &VersionRecords) -> Option<String> {
    let version = &newest.version;
    match &newest.records {
        Err(_) => Some(format!("the newest version, {version}, could not be run")),
        Ok(_) => newest
            .why_unjudged()
            .map(|causes| format!("no trial of the newest version, {version}, could be judged ({causes})")),
    }
}

impl Arguments {
    fn versions(&self, runs: &VersionedRuns) -> anyhow::Result<Vec<ToolVersion>> {
        let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
        let progress = progress::on_standard_error();
        let published = || runtime.block_on(runs.published(progress.as_ref()));
        Ok(match &self.versions {
            Some(WantedVersions::List(versions)) => {
                runtime.block_on(runs.named(versions, progress.as_ref()))?
            }
            Some(WantedVersions::Range(first, last)) => published()?.between(first, last)?.to_vec(),
            None => published()?
                .last_until(self.last.get(), self.until.as_ref())?
                .to_vec(),
        })
    }

    fn propose(
        &self,
        how: Propose,
        runs: &VersionedRuns,
        table: &VersionHistory,
        records: &[VersionRecords],
    ) -> anyhow::Result<()> {
        let name = runs.tools.gateway.file_name();
        let selected = runs.selected()?;
        let known = selected.project.known_findings(&name).map_err(InvalidFiles)?;
        let all = runs.without_filters().selected()?.names;
        let proposals = known.proposals(&measured::measured(table, records, &known, &all));
        // A version counts as measured only if nothing that a filter left out is unknown.
        let whole = match selected.names.len() == all.len() {
            true => measured::judged(records),
            false => Vec::new(),
        };
        let versions = known.measured_with(whole);
        for proposal in &proposals {
            match (&proposal.versions, proposal.gaps.is_empty()) {
                (None, _) => status!("{}: no measured version shows it: remove it", proposal.finding),
                (Some(range), true) => status!("{}: versions: '{range}'", proposal.finding),
                (Some(range), false) => {
                    status!(
                        "{}: '{range}' would include {}, which do not show it: split it",
                        proposal.finding,
                        proposal.gaps.join(", ")
                    );
                }
            }
        }
        match selected.names.len() == all.len() {
            true => status!("measured: [{}]", versions.join(", ")),
            false => status!(
                "measured: [{}], as it is: filters left out {} of {}",
                versions.join(", "),
                all.len().saturating_sub(selected.names.len()),
                counted(all.len(), "trial")
            ),
        }
        if how == Propose::Write {
            let path = selected.project.root.join(GATEWAYS).join(format!("{name}.yaml"));
            let failed = || format!("cannot change `{}`", path.display());
            let text = std::fs::read_to_string(&path).with_context(failed)?;
            let text = proposal::rewritten(&path, &text, &versions, &proposals)?;
            atomic_write::write(&path, &text).with_context(failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newest_version_that_cannot_run_is_an_error() {
        let newest = VersionRecords {
            version: "1.7.0".into(),
            beside: None,
            records: Err("it does not start".into()),
        };
        assert_eq!(exit_status(Some(&newest), true), FAILED);
        assert_eq!(exit_status(Some(&newest), false), FAILED);
        let newest = VersionRecords {
            records: Ok(Vec::new()),
            ..newest
        };
        assert_eq!(exit_status(Some(&newest), true), NEW_FINDING);
    }
}
