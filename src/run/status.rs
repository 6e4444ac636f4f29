//! The ends of trials and of runs, and the exit status.

use crate::evidence::Behind;
use crate::ids::TrialName;
use crate::matrix::baseline::BaselineComparison;
use crate::outcome::Cause;
use crate::results::{Results, RunRecord, TrialRecord, TrialResult};

/// Exit status of a run that could not start, or whose session failed.
pub const BROKEN: u8 = 2;
/// Exit status of a run in which a trial failed.
pub const FAILED: u8 = 101;
/// Exit status of a run in which trials failed, but none because of gateway, feature or Claude Code.
pub const NOT_JUDGED: u8 = 102;

/// Exit status of a run whose filters match no trial, as nextest has it.
pub const NO_TRIALS: u8 = 4;

pub enum TrialEnd {
    Passed,
    /// With the reason.
    NotApplicable(String),
    /// Broken only as known; with the finding.
    Known(String),
    /// With the reason.
    NotStarted(String),
    /// It has a new finding or could not be judged; with the report.
    Failed(String),
}

/// The texts and the exit status at the end of a run.
pub struct RunEnd {
    pub warnings: Vec<String>,
    /// The matrix; `None` if this process ran only some trials of the run.
    pub matrix: Option<String>,
    pub comparison: Option<String>,
    /// An error if no trial could run, or if the matrix is incomplete.
    pub status: anyhow::Result<u8>,
}

/// The report of a trial that fails the run. If the feature works, it says so.
pub(super) fn with_level(report: String, record: &TrialRecord) -> String {
    match record.result {
        TrialResult::Pass {} => format!(
            "{report}hint: Claude Code got what it needs, and only the contract is broken: the trial fails the run because the finding is new\n"
        ),
        _ => report,
    }
}

/// The exit status of the trials that are this run's own.
pub(super) fn of_results(failed: bool, results: &Results, is_own: impl Fn(&TrialName) -> bool) -> u8 {
    let own = results.results.iter().filter(|entry| is_own(&entry.nodeid));
    status(failed, own.filter(|entry| entry.fails_run()).any(gives_verdict))
}

/// Whether a trial that fails the run says something about the gateway, the feature or Claude Code.
pub(super) fn gives_verdict(trial: &TrialRecord) -> bool {
    let of_findings = || trial.has_new_finding();
    trial.cause.map_or_else(of_findings, Cause::is_judged)
}

/// The exit status of a run without a baseline; `is_judged` says that one of the failures is a verdict.
pub(super) fn status(failed: bool, is_judged: bool) -> u8 {
    match (failed, is_judged) {
        (false, _) => 0,
        (true, true) => FAILED,
        (true, false) => NOT_JUDGED,
    }
}

/// The exit status of a run with a baseline: what the baseline accepts does not count.
pub(super) fn status_of_verdict(verdict: &BaselineComparison) -> u8 {
    if !verdict.new_findings.is_empty() || !verdict.stale.is_empty() {
        return FAILED;
    }
    let mut causes = verdict.regressions.iter().flat_map(|change| &change.causes);
    status(
        !verdict.regressions.is_empty(),
        causes.any(|cause| cause.is_judged()),
    )
}

pub(super) const REHEARSAL: &str = "rehearsal: a simulator that answers like a model stands behind the gateway, so these results are not live";

/// The run is not live: a reply came from a simulator.
pub(super) fn as_rehearsal(run: &mut RunRecord) {
    run.rehearsal = true;
    run.behind = Behind::Simulated;
}

/// The columns of the terminal; 100 if there is none.
pub(super) fn terminal_width() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}
