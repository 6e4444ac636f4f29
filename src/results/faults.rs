//! The faults of a run: trials that fail for the same reason share a text.
#![warn(clippy::disallowed_methods)]

use indexmap::IndexMap;

use super::{Results, TrialRecord, TrialResult};
use crate::expectation::RUN;
use crate::ids::TrialName;
use crate::outcome::{Cause, Failure, Mismatch};
use crate::report;

/// What a trial's failure is about; two trials with the same one need one report. First comes the change on the wire that
/// explains the failure, then the reason why the run failed, then the new findings in the trial's column. The trial's own
/// alias does not count.
pub fn of_trial(record: &TrialRecord, failure: &Failure) -> String {
    let mut mismatches = failure.mismatches.iter();
    let is_run = |mismatch: &Mismatch| mismatch.expectation == RUN && mismatch.status.is_new();
    let new = record.findings.iter().filter(|finding| finding.status.is_new());
    let mut subjects: Vec<String> = new.map(|finding| finding.subject.to_string()).collect();
    subjects.sort_unstable();
    let is_expectation = |subject: &String| subject.starts_with("expectation");
    let (cause, why) = (failure.cause.as_str(), failure.why.as_str());
    let fault = match &failure.headline {
        _ if subjects.is_empty() || !failure.cause.is_judged() => report::failure_in_short(failure),
        Some(headline) => {
            subjects.retain(|subject| !is_expectation(subject));
            // What follows may name this trial alone, as a provider's words about a refused request do.
            let why = why.split([':', '(', '`']).next().unwrap_or_default();
            let headline = headline.split_inclusive("): ").next().unwrap_or_default();
            format!("{cause}: {why}: {headline}: {}", subjects.join("; "))
        }
        None if mismatches.any(is_run) => format!("{cause}: {why}"),
        // An expectation can fail in several ways, a change on the wire in one.
        None => {
            let why = if subjects.iter().any(is_expectation) {
                why
            } else {
                cause
            };
            format!("{}: {}: {why}", record.provider, subjects.join("; "))
        }
    };
    match record.model.as_str() {
        "" => fault,
        alias => fault.replace(alias, "…"),
    }
}

/// The failures that are no verdict, each with its text in short and its trials.
pub fn not_judged(results: &Results) -> Vec<(String, Vec<&TrialName>)> {
    let mut faults: IndexMap<String, (String, Vec<&TrialName>)> = IndexMap::new();
    for record in &results.results {
        let is_failed = matches!(record.result, TrialResult::Fail { .. });
        if !is_failed || record.cause.is_none_or(Cause::is_judged) {
            continue;
        }
        if let Some(failure) = record.failure() {
            let first = || (report::failure_in_short(&failure), Vec::new());
            let (_, trials) = faults.entry(of_trial(record, &failure)).or_insert_with(first);
            trials.push(&record.nodeid);
        }
    }
    faults.into_values().collect()
}
