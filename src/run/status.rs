//! The exit status of a run, and what its reports share.

use super::{FAILED, NOT_JUDGED};
use crate::expectation::RUN;
use crate::findings::Level;
use crate::findings::summary::RunFinding;
use crate::matrix::baseline::BaselineComparison;
use crate::matrix::diff::CellChange;
use crate::outcome::{Cause, CheckResult, Failure, Verdict};
use crate::report;
use crate::results::{Results, TrialRecord, TrialResult};

/// Whether the trial would have shown a finding: it is not applicable, or `claude` answered and everything was judged.
pub(super) fn can_show_findings(trial: &TrialRecord) -> bool {
    let ended_early = |check: &CheckResult| check.name == RUN && check.verdict == Verdict::Broken;
    match trial.result {
        TrialResult::NotApplicable { .. } => true,
        _ => trial.verdict.is_some() && !trial.expectations.iter().any(ended_early),
    }
}

/// What a trial's report is about: its new findings in its column, or the failure's words if it was not judged.
pub(super) fn fault_of(record: &TrialRecord, failure: &Failure) -> String {
    let mut subjects: Vec<String> = record
        .findings
        .iter()
        .filter(|finding| finding.status.is_new())
        .map(|finding| finding.subject.to_string())
        .collect();
    subjects.sort_unstable();
    // An expectation can fail in several ways, a change on the wire in one.
    let is_expectation = subjects.iter().any(|subject| subject.starts_with("expectation"));
    let why = if is_expectation {
        failure.why.as_str()
    } else {
        failure.cause.as_str()
    };
    match subjects.is_empty() {
        false => format!("{}: {}: {why}", record.provider, subjects.join("; ")),
        true => report::failure_in_short(failure),
    }
}

/// Whether a trial that fails the run says something about the gateway, the feature or Claude Code.
pub(super) fn gives_verdict(trial: &TrialRecord) -> bool {
    trial.cause.is_some_and(Cause::is_judged) || trial.has_new_finding()
}

/// The exit status of a run without a baseline; `is_judged` says that one of the failures is a verdict.
pub(super) fn status(failed: bool, is_judged: bool) -> u8 {
    match (failed, is_judged) {
        (false, _) => 0,
        (true, true) => FAILED,
        (true, false) => NOT_JUDGED,
    }
}

/// The exit status of a run with a baseline: failures in the baseline do not count, new contract findings do.
pub(super) fn status_of_verdict(verdict: &BaselineComparison, results: &Results) -> u8 {
    let breaks_contract = |finding: &RunFinding| finding.level == Level::Contract && finding.status.is_new();
    if results.findings.iter().any(breaks_contract) {
        FAILED
    } else if verdict.stale.is_empty() {
        // A cell that is broken only as known is no regression.
        let fails_run = |change: &&CellChange| {
            let mut trials = results.results.iter();
            trials.any(|trial| {
                trial.feature_id == change.feature && trial.provider == change.provider && trial.fails_run()
            })
        };
        let mut regressions = verdict.regressions.iter().filter(fails_run).peekable();
        let failed = regressions.peek().is_some();
        let mut causes = regressions.flat_map(|change| change.causes.iter().copied());
        status(failed, causes.any(Cause::is_judged))
    } else {
        FAILED
    }
}
