//! `compat repro`: writes a script that reproduces a gateway's fault.

use crate::cells::Test;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use super::evidence::{self, RecordedTrial, RunFlag};
use super::files::Output;
use super::print::status;
use super::project::{InvalidFiles, RootFlag};
use crate::findings::{KnownFindings, KnownForRun, Subject, Versions};
use crate::ids::TrialName;
use crate::replay::repro::{Repro, script};
use crate::wire_diff::{self, Change, WireDiff};
use crate::{cause, judge, report};

/// Write a script that reproduces a gateway's fault
///
/// The script is one Python file without dependencies: Claude Code's request, a stand-in that answers like the provider, and
/// the gateway's changes. It needs no key of a provider and nothing from this project. Its exit status is 1 if the fault
/// shows, 0 if it does not, 2 if the script cannot decide. It contains no credentials, sessions or folders of the run.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat repro tool_use::bedrock_converse::haiku > repro.py\n  compat repro target/compat/mutants/body/image_lost/vision/anthropic/haiku --output repro.py\n\nThen, with the gateway of your choice:\n  python3 repro.py --print-config > config.json\n  litellm --config config.json --host 127.0.0.1 --port 4000\n  python3 repro.py"
)]
pub struct Arguments {
    /// The trial, `feature::provider::tier`, or a folder of evidence
    pub trial: String,
    /// The script's file; `-` for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: Output,
    /// Include every difference on the wire, not only the first ones that explain the failure
    #[arg(long)]
    pub all: bool,
    /// Include only the differences that this finding of the gateway's file names
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    pub finding: Option<String>,
    #[command(flatten)]
    pub run: RunFlag,
    #[command(flatten)]
    pub root: RootFlag,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let recorded = evidence::recorded(&arguments.trial, &arguments.root, &arguments.run)?;
    let diff = wire_diff::of_trial(&recorded.evidence).context(
        "only one side of the gateway was recorded (a live run, or a run without a gateway): run the trial with the provider simulator",
    )?;
    let judged = match arguments.all {
        true => None,
        false => cell_test(&recorded, arguments)?,
    };
    let (changes, report) = match (&arguments.finding, &judged) {
        (Some(finding), judged) => {
            let (name, _) = judged
                .as_ref()
                .context("no cell of this project has this trial")?;
            let known = known_findings(&recorded, arguments)?;
            (
                of_finding(finding, name, &recorded, &diff, &known)?,
                String::new(),
            )
        }
        (None, Some((name, test))) => {
            let known = known_findings(&recorded, arguments)?;
            explaining(name, test, &recorded, &diff, &known)?
        }
        (None, None) => (diff.changes.iter().collect(), String::new()),
    };
    ensure!(
        !changes.is_empty(),
        "the gateway made no unexpected change, so there is no fault to show"
    );
    let title = title(&recorded);
    let repro = Repro {
        title: &title,
        report: &report,
        evidence: &recorded.evidence,
        changes: &changes,
    };
    let text = script(&repro).context("no request was recorded on both sides of the gateway")?;
    arguments.output.write(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// `A fault of litellm 1.106.2, seen in TRIAL.`
fn title(recorded: &RecordedTrial) -> String {
    let under_test = recorded.under_test.clone().unwrap_or_default();
    let mut title = match (under_test.gateway, under_test.gateway_version) {
        (Some(gateway), Some(version)) => format!("A fault of {gateway} {version}"),
        (Some(gateway), None) => format!("A fault of {gateway}"),
        (None, _) => "A gateway's fault".to_owned(),
    };
    if let Some(name) = &recorded.name {
        title += &format!(", seen in {name}");
    }
    title + "."
}

/// What the recorded gateway is known to break.
fn known_findings(recorded: &RecordedTrial, arguments: &Arguments) -> anyhow::Result<KnownFindings> {
    let Some(under_test) = &recorded.under_test else {
        status!(
            "note: the evidence does not name its gateway, so no finding of it is known: run the trial again"
        );
        return Ok(KnownFindings::NONE);
    };
    match &under_test.gateway {
        Some(gateway) => Ok(arguments
            .root
            .open()?
            .known_findings(gateway)
            .map_err(InvalidFiles)?),
        None => Ok(KnownFindings::NONE),
    }
}

/// The test of the recorded trial, where the project knows it: by its name, or by the last parts of its folder.
fn cell_test(recorded: &RecordedTrial, arguments: &Arguments) -> anyhow::Result<Option<(TrialName, Test)>> {
    if arguments.root.find().is_err() {
        return Ok(None);
    }
    let project = arguments.root.open()?;
    let mut parts: Vec<String> = recorded
        .folder
        .components()
        .rev()
        .take(3)
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    parts.reverse();
    let name = recorded.name.clone().or_else(|| parts.join("::").parse().ok());
    let known = name.filter(|name| project.trials().contains(name));
    let Some(name) = known else { return Ok(None) };
    match project.cell(&name.cell) {
        Ok(cell) => Ok(cell.test().map(|test| (name, test.clone()))),
        Err(_) => bail!(
            "the cell `{}` has errors: `compat check` shows them; `--all` needs no cell",
            name.cell
        ),
    }
}

fn for_run<'a>(findings: &'a KnownFindings, recorded: &'a RecordedTrial) -> KnownForRun<'a> {
    let under_test = recorded.under_test.as_ref();
    KnownForRun {
        findings,
        versions: Versions {
            gateway: under_test.and_then(|one| one.gateway_version.as_deref()),
            claude_code: under_test.and_then(|one| one.claude_code_version.as_deref()),
            configuration: under_test.and_then(|one| one.configuration.as_deref()),
            client_format: under_test.map(|one| one.client_format).unwrap_or_default(),
        },
    }
}

fn of_finding<'a>(
    finding: &str,
    name: &TrialName,
    recorded: &RecordedTrial,
    diff: &'a WireDiff,
    known: &KnownFindings,
) -> anyhow::Result<Vec<&'a Change>> {
    let known = for_run(known, recorded);
    let is_of = |change: &&Change| {
        let (_, declared) = known.status(&Subject::of_change(change), name);
        declared.is_some_and(|declared| declared.name == finding)
    };
    let changes: Vec<&Change> = diff.changes.iter().filter(is_of).collect();
    ensure!(
        !changes.is_empty(),
        "no difference on the wire is of the finding `{finding}` (`compat show {name}` lists the findings of each difference)"
    );
    Ok(changes)
}

/// The differences that explain why the trial fails with the current cell, and the short report.
fn explaining<'a>(
    name: &TrialName,
    test: &Test,
    recorded: &RecordedTrial,
    diff: &'a WireDiff,
    known: &KnownFindings,
) -> anyhow::Result<(Vec<&'a Change>, String)> {
    let known = for_run(known, recorded);
    let judgement = judge::judge(test, name, &recorded.evidence, known);
    ensure!(
        !judgement.mismatches.is_empty(),
        "every expectation of the cell holds in the recording, so there is no fault to show (`--all` includes every difference on the wire)"
    );
    // Of any version: a known change is not the one to reproduce.
    let is_known = |change: &Change| !known.status(&Subject::of_change(change), name).0.is_new();
    let explains = |change: &&Change| {
        judgement
            .traces
            .iter()
            .any(|trace| trace.interest.takes(change) && !is_known(change))
    };
    let mut changes: Vec<&Change> = diff.changes.iter().filter(explains).collect();
    // Later differences may follow from the first one, because Claude Code continues with the reply that it got.
    let first = changes
        .iter()
        .map(|change| change.sent)
        .filter(|sent| *sent > 0)
        .min();
    changes.retain(|change| first.is_none_or(|first| change.sent == first));
    let failure = cause::failure_of_trial(&recorded.evidence, &judgement);
    let report = report::failure_in_short(&failure);
    ensure!(
        !changes.is_empty(),
        "no difference on the wire explains this failure, so there is nothing to reproduce\n{report}"
    );
    Ok((changes, report))
}
