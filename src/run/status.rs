//! The exit status of a run, and what its reports share.

use super::{FAILED, NOT_JUDGED};
use crate::matrix::baseline::BaselineComparison;
use crate::outcome::Cause;
use crate::results::TrialRecord;

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
