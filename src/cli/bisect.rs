//! `compat bisect`: the first version of a gateway or of Claude Code that shows a finding.

use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use indexmap::IndexSet;
use serde_json::{Value, json};

use super::print::{TextOrJson, output, output_json, status};
use super::project::{FAILED, InvalidFiles, RootFlag};
use super::versioned::VersionedFlags;
use crate::commands;
use crate::evidence::file;
use crate::expectation::IMPLIED;
use crate::findings::{Finding, KnownFinding, SubjectPattern, Versions};
use crate::ids::TrialName;
use crate::outcome::{Cause, WITHOUT_FLAG};
use crate::plan::Planned;
use crate::plan::selection::{Axes, Names};
use crate::progress::{self, Silent};
use crate::report::{self, Paint};
use crate::results::{TrialRecord, TrialResult};
use crate::run::SelectedTrials;
use crate::run::bisect::{self, Bisection, Probe, WrongEnd};
use crate::run::versioned::{self, VersionedRuns, VersionedTool};
use crate::text::{listed, suggestion};
use crate::toolchain::{ToolVersion, inventory, update};

/// Find the first version of the gateway or of Claude Code that shows a finding
///
/// Runs one trial on the two ends, then on versions between them, in about log2 steps. `--good` may be newer than `--bad`: the
/// answer is then the first version with the repair. Skipped and named are versions that do not install or start, and those on which
/// the trial cannot be judged, such as for a fault of this machine. With `--finding`, so are versions on which the trial breaks
/// earlier. A finding that the trial cannot have is refused before the first run.
///
/// Without `--finding`, a version is bad if the feature does not work on it. The exit status is 0 if the boundary is found, and
/// 1 otherwise.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat bisect extended_thinking::bedrock_converse::opus --good 1.98.0 --bad 1.83.14\n  compat bisect basic_messaging_streaming::vertex_ai::haiku --finding max_tokens_lowered_on_vertex --bad 1.98.0 --good 1.106.2\n  compat bisect vision::anthropic::haiku --claude --good 2.1.300 --bad 2.1.327"
)]
pub struct Arguments {
    /// The trial, `feature::provider::tier`
    trial: TrialName,
    /// The finding: its name in `gateways/<name>.yaml`, its subject as results have it, or the name of an expectation
    #[arg(long, value_name = "NAME")]
    finding: Option<String>,
    /// A version without the finding
    #[arg(long, value_name = "VERSION")]
    good: ToolVersion,
    /// A version with the finding
    #[arg(long, value_name = "VERSION")]
    bad: ToolVersion,
    #[command(flatten)]
    versions: VersionedFlags,
    /// Output format
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    format: TextOrJson,
    #[command(flatten)]
    root: RootFlag,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let names = Names {
        filters: vec![arguments.trial.to_string()],
        exact: true,
        ..Names::default()
    };
    let runs = arguments
        .versions
        .runs(&arguments.root.find()?, Axes::default(), names)?;
    let selected = runs.selected()?;
    ensure!(
        !selected.names.is_empty(),
        "there is no trial `{}`: `{}` lists them",
        arguments.trial,
        commands::run("--list")
    );
    ensure!(
        arguments.good != arguments.bad,
        "`--good` and `--bad` are the same version"
    );
    let subjects = arguments.subjects(&selected)?;
    let search = Search {
        arguments,
        subjects,
        versions: arguments.ordered(&runs)?,
        runs,
    };
    let tool = arguments.versions.tool_name();
    let (first, last) = (&search.versions[0], &search.versions[search.versions.len() - 1]);
    status!(
        "{tool}: {} versions from {first} to {last}",
        search.versions.len()
    );
    match bisect::bisect(search.versions.len(), |index| search.probe(index))? {
        Ok(found) => search.print(&found)?,
        Err(wrong) => {
            status!("error: {}", search.explain(wrong));
            return Ok(ExitCode::from(FAILED));
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    /// The versions from the good end to the bad end.
    fn ordered(&self, runs: &VersionedRuns) -> anyhow::Result<Vec<ToolVersion>> {
        let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
        let published = runtime.block_on(runs.published(progress::on_standard_error().as_ref()))?;
        if self.good.order() <= self.bad.order() {
            return published.within(&self.good, &self.bad);
        }
        let mut versions = published.within(&self.bad, &self.good)?;
        versions.reverse();
        Ok(versions)
    }

    /// The subjects of the wanted finding; none for an expectation. Fails if the trial cannot run, or cannot have the finding.
    fn subjects(&self, selected: &SelectedTrials) -> anyhow::Result<Vec<SubjectPattern>> {
        let trial = &self.trial;
        let planned = match selected.plan(None, trial) {
            Planned::Run(planned) => planned,
            Planned::Broken(errors) => return Err(InvalidFiles(errors).into()),
            Planned::NotApplicable(reason) => bail!("`{trial}` is not applicable: {reason}"),
        };
        let Some(finding) = &self.finding else {
            return Ok(Vec::new());
        };
        let known = selected.gateway.known.findings.iter();
        // A bisect runs in the usual client format.
        let run = Versions {
            configuration: selected.configuration.as_ref().map(|one| one.name.as_str()),
            ..Versions::default()
        };
        let is_own =
            |known: &&KnownFinding| known.applies_to(&trial.cell.provider, &trial.tier) && known.is_of(run);
        let may_show = |known: &KnownFinding| -> Vec<SubjectPattern> {
            let own = known.shows.iter();
            own.filter(|subject| subject.may_be_in(&trial.cell.feature))
                .cloned()
                .collect()
        };
        let declared: Vec<&KnownFinding> = known
            .filter(is_own)
            .filter(|known| !may_show(known).is_empty())
            .collect();
        if let Some(known) = declared.iter().find(|known| known.name == *finding) {
            return Ok(may_show(known));
        }
        let mut name = finding.as_str();
        let mut subjects = Vec::new();
        if finding.contains(' ') {
            let subject: Result<SubjectPattern, _> = finding.parse();
            subjects.push(subject.with_context(|| format!("`--finding {finding}`"))?);
            if !subjects[0].is_of_expectation() {
                return Ok(subjects);
            }
            if subjects[0].may_be_in(&trial.cell.feature) {
                name = finding.rsplit([' ', ':']).next().unwrap_or(finding);
            }
        }
        let own = planned.test().expectations.iter().map(|one| &*one.name);
        let expectations: IndexSet<&str> = own.chain(IMPLIED).collect();
        let declared: IndexSet<&str> = declared.iter().map(|known| &*known.name).collect();
        let all = || expectations.union(&declared).copied();
        ensure!(
            expectations.contains(name),
            "`{trial}` cannot have the finding `{finding}`{}: it can have a change, such as `request beta NAME dropped`, or {}",
            suggestion(name, all()),
            listed(all())
        );
        Ok(subjects)
    }
}

struct Search<'a> {
    arguments: &'a Arguments,
    runs: VersionedRuns,
    versions: Vec<ToolVersion>,
    subjects: Vec<SubjectPattern>,
}

impl Search<'_> {
    /// Whether a trial's record shows what the search is about. A trial that could not be judged has broken expectations too; they do not count.
    fn is_bad(&self, record: &TrialRecord) -> bool {
        let is_judged = record.cause.is_none_or(Cause::is_judged);
        let Some(name) = &self.arguments.finding else {
            return is_judged && matches!(record.result, TrialResult::Fail { .. });
        };
        let mut broken = record.mismatches.iter().map(|mismatch| &mismatch.expectation);
        let mut subjects = self.subjects.iter();
        (is_judged && broken.any(|expectation| expectation == name))
            || (record.findings.iter()).any(|finding| finding.expectation == *name)
            || subjects.any(|subject| {
                record
                    .findings
                    .iter()
                    .any(|finding| subject.matches(&finding.subject))
            })
    }

    fn probe(&self, index: usize) -> anyhow::Result<Probe<TrialRecord>> {
        let (version, start) = (&self.versions[index], Instant::now());
        let probe = self.probe_quietly(version)?;
        let seconds = start.elapsed().as_secs_f64();
        match &probe {
            Probe::Good(_) => status!("{version}: good ({seconds:.1} s)"),
            Probe::Bad(_) => status!("{version}: bad ({seconds:.1} s)"),
            Probe::Unusable(why) => status!(
                "{version}: skipped ({seconds:.1} s): {}",
                versioned::in_short(why)
            ),
        }
        if let (Probe::Good(record) | Probe::Bad(record), true) = (&probe, index + 1 == self.versions.len()) {
            status!("{}", shown_by(version, record));
        }
        Ok(probe)
    }

    fn probe_quietly(&self, version: &ToolVersion) -> anyhow::Result<Probe<TrialRecord>> {
        let run = self
            .runs
            .start(version, |_| true, progress::on_standard_error().into())?;
        let prepared = run.prepare();
        let results = match &prepared {
            Ok(()) => run.run_all(|_| ())?,
            Err(why) => return Ok(Probe::Unusable(why.clone())),
        };
        let Some(record) = results.results.into_iter().next() else {
            bail!("the run of `{}` has no result", self.arguments.trial);
        };
        Ok(match (&record.result, record.cause) {
            (TrialResult::NotApplicable { reason }, _) if reason.starts_with(WITHOUT_FLAG) => {
                Probe::Unusable(reason.clone())
            }
            (TrialResult::NotApplicable { reason }, _) => {
                bail!("`{}` is not applicable: {reason}", self.arguments.trial)
            }
            _ if record.flaky => Probe::Unusable("the trial passed only at a later attempt".to_owned()),
            _ if self.is_bad(&record) => Probe::Bad(record),
            (TrialResult::Fail { error }, Some(cause)) if !cause.is_judged() => {
                let actual = record.mismatches.first().map(|mismatch| &*mismatch.actual);
                let why = actual.filter(|actual| !actual.is_empty()).unwrap_or(error);
                Probe::Unusable(format!(
                    "the trial could not be judged ({}): {why}",
                    cause.as_str()
                ))
            }
            (TrialResult::Fail { error }, _) if self.arguments.finding.is_some() && record.ended_early() => {
                Probe::Unusable(format!("the trial breaks before the finding shows: {error}"))
            }
            _ => Probe::Good(record),
        })
    }

    fn explain(&self, wrong: WrongEnd<TrialRecord>) -> String {
        let (good, bad) = (&self.arguments.good, &self.arguments.bad);
        let about = match &self.arguments.finding {
            Some(name) => format!("the finding `{name}`"),
            None => "a failed trial".to_owned(),
        };
        match wrong {
            WrongEnd::GoodIsBad(record) => {
                format!("`--good {good}` has {about} too\n{}", report_of(&record))
            }
            // The probe has said what the version shows.
            WrongEnd::BadIsGood(_) => format!(
                "`--bad {bad}` does not have {about}: `--finding` can name what it shows. If {good} has it, swap the two versions"
            ),
            WrongEnd::Unusable { is_good_end, why } => {
                let (flag, version) = if is_good_end { ("good", good) } else { ("bad", bad) };
                format!("`--{flag} {version}` cannot be judged: {why}")
            }
        }
    }

    fn print(&self, found: &Bisection<TrialRecord>) -> anyhow::Result<()> {
        let (good, bad) = (
            &self.versions[found.last_good.0],
            &self.versions[found.first_bad.0],
        );
        let changes = self.changes(good, bad);
        if self.arguments.format == TextOrJson::Json {
            let skipped = |(index, why): &(usize, String)| json!({"version": self.versions[*index].as_str(), "why": why});
            let document = json!({
                "trial": self.arguments.trial.to_string(),
                "finding": self.arguments.finding,
                "tool": self.arguments.versions.tool_name(),
                "last_without": end_as_json(good, &found.last_good.1),
                "first_with": end_as_json(bad, &found.first_bad.1),
                "probes": found.probes,
                "between": found.between().map(|(index, _)| self.versions[*index].as_str()).collect::<Vec<_>>(),
                "skipped": found.skipped.iter().map(skipped).collect::<Vec<_>>(),
                "changed_packages": changes.packages,
                "changed_files": changes.files,
            });
            output_json(&document)?;
            return Ok(());
        }
        let tool = self.arguments.versions.tool_name();
        output!("last without:  {tool} {good}");
        output!("first with:    {tool} {bad}");
        output!("versions tried: {} of {}", found.probes, self.versions.len());
        for (index, why) in &found.skipped {
            output!(
                "skipped:       {}: {}",
                self.versions[*index],
                versioned::in_short(why)
            );
        }
        if found.between().next().is_some() {
            output!("The change is in one of the skipped versions between the two, or in {bad}.");
        }
        for (title, version, record) in [
            ("without", good, &found.last_good.1),
            ("with", bad, &found.first_bad.1),
        ] {
            output!("\n── {title}: {tool} {version}\n{}", report_of(record));
            output!("wire diff of {version}:\n{}", wire_diff(record));
        }
        changes.print(good, bad);
        Ok(())
    }

    /// The changes between two versions of the gateway's package.
    fn changes(&self, good: &ToolVersion, bad: &ToolVersion) -> PackageChanges {
        if self.runs.tool == VersionedTool::Claude {
            return PackageChanges {
                note: Some("Claude Code is one program, so there are no files to compare".to_owned()),
                ..PackageChanges::default()
            };
        }
        let compare = async {
            let old = self.runs.installed(good, &Silent).await?;
            let new = self.runs.installed(bad, &Silent).await?;
            anyhow::Ok(PackageChanges {
                packages: update::differences(&old.packages, &new.packages),
                files: inventory::differences(&old.folder, &new.folder, &old.package)?,
                note: None,
            })
        };
        let runtime = tokio::runtime::Runtime::new().map_err(anyhow::Error::from);
        runtime
            .and_then(|runtime| runtime.block_on(compare))
            .unwrap_or_else(|error| PackageChanges {
                note: Some(format!(
                    "the files of both versions cannot be compared: {error:#}"
                )),
                ..PackageChanges::default()
            })
    }
}

/// What differs between two installed versions.
#[derive(Default)]
struct PackageChanges {
    packages: Vec<String>,
    files: Vec<String>,
    /// Why there is nothing to compare.
    note: Option<String>,
}

/// The number of files and packages that the text lists.
const SHOWN: usize = 60;

impl PackageChanges {
    fn print(&self, good: &ToolVersion, bad: &ToolVersion) {
        output!("── changes from {good} to {bad}");
        if let Some(note) = &self.note {
            output!("{note}");
        }
        for (what, lines) in [("packages", &self.packages), ("files", &self.files)] {
            if lines.is_empty() {
                continue;
            }
            output!("{what}: {}", lines.len());
            for line in lines.iter().take(SHOWN) {
                output!("  {line}");
            }
            if lines.len() > SHOWN {
                output!("  and {} more (`--format json` lists all)", lines.len() - SHOWN);
            }
        }
    }
}

fn end_as_json(version: &ToolVersion, record: &TrialRecord) -> Value {
    json!({
        "version": version.as_str(),
        "result": record.result,
        "cause": record.cause,
        "why": record.why,
        "findings": record.findings,
        "evidence": record.evidence,
        "wire_diff": wire_diff(record),
    })
}

fn report_of(record: &TrialRecord) -> String {
    let evidence = record.evidence.as_deref().map(Path::new);
    match record.failure() {
        Some(failure) => report::findings(&failure, evidence, Paint::Plain),
        None => "the trial passes\n".to_owned(),
    }
}

fn wire_diff(record: &TrialRecord) -> String {
    let text = record
        .evidence
        .as_deref()
        .map(|folder| std::fs::read_to_string(Path::new(folder).join(file::WIRE_DIFF_TEXT)));
    match text {
        Some(Ok(text)) if !text.trim().is_empty() => text,
        Some(Err(error)) if error.kind() != ErrorKind::NotFound => format!("it cannot be read: {error}\n"),
        _ => "no difference\n".to_owned(),
    }
}

/// The findings of a version, each with the name of its declaration.
fn shown_by(version: &ToolVersion, record: &TrialRecord) -> String {
    let line = |finding: &Finding| match &finding.known {
        Some(known) => format!("\n  {} (`{}`)", finding.subject, known.name),
        None => format!("\n  {}", finding.subject),
    };
    let lines: String = record.findings.iter().map(line).collect();
    match lines.is_empty() {
        true => format!("{version} shows no finding"),
        false => format!("{version} shows:{lines}"),
    }
}
