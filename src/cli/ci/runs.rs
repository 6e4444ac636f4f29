//! `compat ci status`, `failures`, `watch` and `rerun`.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use super::ReportFormat;
use super::access::{Access, AccessFlags, TargetFlags};
use crate::ci::report::{self, CiReport};
use crate::ci::{CommitRuns, CommitVerdict, RunHistory, failures_of, groups_of};
use crate::ci_client::{CiClient, RunTarget, commit_runs, evidence};
use crate::cli::print::{output, status};
use crate::files::atomic_write;
use crate::progress::{self, Work};

/// Show every workflow and job of the newest commit
///
/// Exit status: 0: all jobs passed. 1: that could not be found out. 3: a job is red. 4: only the CI's own infrastructure failed.
/// 5: jobs still run, or wait for an approval.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat ci status --project BerriAI/litellm --branch main\n  compat ci status --sha 9a90490 --format json"
)]
pub struct StatusArguments {
    #[command(flatten)]
    target: TargetFlags,
    #[command(flatten)]
    common: CommonFlags,
}

/// Show why the newest commit is red: the causes, what to do, and what was red before
///
/// Reads the logs and tests of all red jobs, sorts them, groups what has one cause, and compares with the last runs of another
/// branch.
///
/// Exit status: 0: all jobs passed. 1: that could not be found out. 3: a cause is new here, ours or unknown. 4: all causes are
/// external, infrastructure, or on the other branch already. 5: jobs still run.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat ci failures --project BerriAI/litellm --branch main\n  compat ci failures --history 0 --job lint\n  compat ci failures --logs test-results/ci --format markdown"
)]
pub struct FailuresArguments {
    #[command(flatten)]
    target: TargetFlags,
    #[command(flatten)]
    failures: FailureFlags,
    #[command(flatten)]
    common: CommonFlags,
}

/// Wait until the newest commit's runs have finished, then show the failures
///
/// Asks at most once in ten seconds. A run that waits for an approval never finishes by itself, so it ends the wait. The exit
/// status is that of `compat ci failures`; 5 if the time is over.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat ci watch --branch litellm_my_fix\n  compat ci watch --timeout 30m --fail-fast"
)]
pub struct WatchArguments {
    #[command(flatten)]
    target: TargetFlags,
    /// How long to wait: `60m`, `90s`
    #[arg(long, value_name = "TIME", default_value = "60m", value_parser = duration)]
    timeout: Duration,
    /// Stop at the first red job
    #[arg(long)]
    fail_fast: bool,
    #[command(flatten)]
    failures: FailureFlags,
    #[command(flatten)]
    common: CommonFlags,
}

/// Start the failed jobs of a workflow again
///
/// The only command that changes something. It shows what will run and asks; without a terminal it needs `--yes`. It refuses
/// where a rerun cannot help, because the code, the configuration or a credential has to change.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat ci rerun 01da8c12-1dba-4176-a233-dfae214ac2d4 --from-failed --provider circleci\n  compat ci rerun 12345678 --from-failed --provider github --yes"
)]
pub struct RerunArguments {
    /// The workflow's id (CircleCI) or the run's id (GitHub)
    workflow: String,
    /// Run only the failed jobs and those after them; required
    #[arg(long, required = true)]
    from_failed: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Rerun even if that cannot help
    #[arg(long)]
    anyway: bool,
    #[command(flatten)]
    access: AccessFlags,
}

#[derive(Args, Debug)]
struct CommonFlags {
    #[command(flatten)]
    access: AccessFlags,
    /// Output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    /// A red commit ends with 3 even if all its causes are external
    #[arg(long)]
    strict: bool,
}

#[derive(Args, Debug)]
struct FailureFlags {
    /// The branch to compare with
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    against: String,
    /// How many runs of that branch to read; 0 for none
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u8).range(..=50))]
    history: u8,
    /// Only jobs whose name contains this
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Write the log of each red job into this folder
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
}

/// The shortest pause between two looks at a run.
const PAUSE: Duration = Duration::from_secs(10);
/// A watch without a change looks less often: at most six requests a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("write a number and `s`, `m` or `h`: `60m`".into()),
    };
    let number: u32 = number
        .parse()
        .map_err(|_| "write a number and `s`, `m` or `h`: `60m`".to_owned())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

fn block_on<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    Ok(tokio::runtime::Runtime::new()?.block_on(work))
}

async fn read(access: &Access, target: &RunTarget, with_earlier: bool) -> CommitRuns {
    commit_runs(&access.clients, &access.repository, target, with_earlier).await
}

pub fn show_status(arguments: &StatusArguments) -> anyhow::Result<ExitCode> {
    let common = &arguments.common;
    let (access, target) = (common.access.open()?, arguments.target.target()?);
    let runs = block_on(read(&access, &target, false))?;
    let report = CiReport::new(runs, None, Vec::new(), access.requests(), common.strict);
    common.print(&report)
}

pub fn show_failures(arguments: &FailuresArguments) -> anyhow::Result<ExitCode> {
    let common = &arguments.common;
    let (access, target) = (common.access.open()?, arguments.target.target()?);
    let report = block_on(async {
        let runs = read_with_progress(&access, &target).await;
        arguments.failures.report(&access, runs, common.strict).await
    })??;
    common.print(&report)
}

async fn read_with_progress(access: &Access, target: &RunTarget) -> CommitRuns {
    let progress = progress::on_standard_error();
    let _work = Work::begin(&*progress, "reading the runs of the commit");
    read(access, target, true).await
}

pub fn watch(arguments: &WatchArguments) -> anyhow::Result<ExitCode> {
    let common = &arguments.common;
    let (access, target) = (common.access.open()?, arguments.target.target()?);
    let report = block_on(async {
        let runs = wait_for_end(&access, target, arguments).await;
        arguments.failures.report(&access, runs, common.strict).await
    })??;
    common.print(&report)
}

async fn wait_for_end(access: &Access, mut target: RunTarget, arguments: &WatchArguments) -> CommitRuns {
    let deadline = Instant::now() + arguments.timeout;
    let (mut before, mut pause) = (String::new(), PAUSE);
    loop {
        let asked = access.requests();
        let runs = read(access, &target, false).await;
        let cost = u32::try_from(access.requests() - asked).unwrap_or(u32::MAX);
        if let (RunTarget::Branch(branch), false) = (&target, runs.revision.is_empty()) {
            // A later push must not change what is watched.
            target = RunTarget::Revision {
                revision: runs.revision.clone(),
                branch: Some(branch.clone()),
            };
        }
        let only_on_hold = !runs.jobs().any(|job| job.state == crate::ci::JobState::Running);
        let is_over = !runs.is_unfinished() && !runs.pipelines.is_empty() && runs.gaps.is_empty();
        let has_failed = arguments.fail_fast && runs.verdict() == CommitVerdict::Red;
        let waits_for_person = runs.is_unfinished() && only_on_hold && runs.jobs().count() > 0;
        let left = deadline.saturating_duration_since(Instant::now());
        if is_over || has_failed || waits_for_person || left.is_zero() {
            return read(access, &target, true).await;
        }
        let now = report::headline_of(&runs);
        pause = match now == before {
            true => (pause * 2).min(LONGEST_PAUSE),
            false => PAUSE,
        };
        if now != before {
            status!("{now}");
        }
        before = now;
        // Six requests a minute while nothing changes.
        let pause = pause.max(PAUSE * cost.min(60));
        tokio::time::sleep(pause.min(left)).await;
    }
}

impl FailureFlags {
    async fn report(&self, access: &Access, runs: CommitRuns, is_strict: bool) -> anyhow::Result<CiReport> {
        let progress = progress::on_standard_error();
        let work = Work::begin(&*progress, "reading the red jobs");
        let mut notes = Vec::new();
        let mut failures = evidence::refused(&runs);
        let is_wanted = |name: &str| self.job.as_deref().is_none_or(|part| name.contains(part));
        let mut red_names = Vec::new();
        for client in &access.clients {
            let jobs = evidence::red_jobs(&runs, client.service());
            let jobs: Vec<_> = jobs.into_iter().filter(|job| is_wanted(&job.name)).collect();
            let details = client.details_of(&jobs, true).await;
            for (job, details) in jobs.iter().zip(details) {
                red_names.push(job.name.clone());
                notes.extend(details.notes.iter().map(|note| format!("{}: {note}", job.name)));
                if let Some(folder) = &self.logs {
                    write_log(folder, &job.name, job.number, &details.log)?;
                }
                failures.extend(failures_of(job, &details));
            }
        }
        drop(work);
        let history = match self.history {
            0 => RunHistory::default(),
            most if !failures.is_empty() => {
                let label = format!("reading the last {most} runs of `{}`", self.against);
                let _work = Work::begin(&*progress, label);
                let most = usize::from(most);
                evidence::history(
                    &access.clients,
                    &runs,
                    &self.against,
                    most,
                    &red_names,
                    &mut notes,
                )
                .await
            }
            _ => RunHistory::default(),
        };
        let groups = groups_of(failures, &history);
        Ok(CiReport::new(
            runs,
            Some(groups),
            notes,
            access.requests(),
            is_strict,
        ))
    }
}

fn write_log(folder: &Path, job: &str, number: Option<u64>, log: &str) -> anyhow::Result<()> {
    let safe = |character: char| match character.is_ascii_alphanumeric() || "-_.".contains(character) {
        true => character,
        false => '_',
    };
    let name: String = job.chars().map(safe).collect();
    let file = folder.join(format!("{name}-{}.log", number.unwrap_or_default()));
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    atomic_write::write(&file, log).with_context(|| format!("cannot write `{}`", file.display()))
}

impl CommonFlags {
    fn print(&self, report: &CiReport) -> anyhow::Result<ExitCode> {
        let text = match self.format {
            ReportFormat::Text => report::text(report),
            ReportFormat::Markdown => report::markdown(report),
            ReportFormat::Json => crate::results::json::write(report),
        };
        output!("{}", text.trim_end());
        Ok(ExitCode::from(report.exit_status))
    }
}

pub fn rerun(arguments: &RerunArguments) -> anyhow::Result<ExitCode> {
    let access = arguments.access.open()?;
    let [client] = &access.clients[..] else {
        bail!("name the service of the workflow: `--provider circleci` or `--provider github`");
    };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(rerun_workflow(arguments, client))
}

async fn rerun_workflow(arguments: &RerunArguments, client: &CiClient) -> anyhow::Result<ExitCode> {
    let workflow = client.workflow(&arguments.workflow).await?;
    ensure!(
        !workflow.jobs.iter().any(|job| job.state.is_unfinished()),
        "workflow `{}` has not finished: wait, or cancel it first",
        workflow.name
    );
    let red: Vec<_> = workflow.jobs.iter().filter(|job| job.state.is_red()).collect();
    ensure!(!red.is_empty(), "workflow `{}` has no failed job", workflow.name);
    let details = client.details_of(&red, true).await;
    let failures = red
        .iter()
        .zip(&details)
        .flat_map(|(job, details)| failures_of(job, details));
    let groups = groups_of(failures.collect(), &RunHistory::default());
    status!("workflow `{}` has {} failed jobs:", workflow.name, red.len());
    let mut is_useless = false;
    for group in &groups {
        let helps = group.rerun_helps != Some(false);
        is_useless |= !helps;
        let words = report::rerun_words(group.rerun_helps);
        status!(
            "  {} in {}: {}; {words}",
            group.category.as_str(),
            group.jobs.join(", "),
            group.why
        );
    }
    ensure!(
        !is_useless || arguments.anyway,
        "not rerun: a rerun cannot help as long as the causes above stay. Mend them, or add `--anyway`"
    );
    if !arguments.yes {
        ensure!(
            std::io::stdin().is_terminal(),
            "not rerun: there is no terminal to ask on; add `--yes`"
        );
        status!("Rerun the failed jobs? [y/N]");
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        ensure!(answer.trim().eq_ignore_ascii_case("y"), "not rerun");
    }
    let new = client.rerun_from_failed(&arguments.workflow).await?;
    output!("{new}");
    Ok(ExitCode::SUCCESS)
}
