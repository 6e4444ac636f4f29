//! JUnit XML, as CircleCI, GitHub and GitLab show it: a suite a feature, a case a trial.
//!
//! Pure. A case is a `<failure>` where the gateway, the feature or Claude Code is at fault, an `<error>` where it
//! could not be judged, `<skipped>` where the feature cannot exist, and carries `<flakyFailure>` or
//! `<flakyError>` where an attempt failed before one passed.

use std::path::Path;
use std::time::Duration;

use quick_junit::{
    FlakyOrRerun, NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestRerun, TestSuite,
};

use super::file::{AttemptEntry, Entry, FailureEntry, Results, Run};
use super::status::TrialResult;
use crate::outcome::{Cause, Failure, Judged, Verdict};
use crate::report::{self, Paint};

pub fn to_xml(results: &Results) -> String {
    let run = &results.run;
    let mut report = Report::new("compat");
    report.set_timestamp(run.started_at);
    report.set_time((run.written_at - run.started_at).to_std().unwrap_or_default());
    for entries in results.results.chunk_by(|a, b| a.feature_id == b.feature_id) {
        report.add_test_suite(suite(run, entries));
    }
    report.to_string().expect("XML into a String cannot fail")
}

fn suite(run: &Run, entries: &[Entry]) -> TestSuite {
    let mut suite = TestSuite::new(entries[0].feature_id.as_str());
    if let Some(first) = entries.iter().map(|entry| entry.started_at).min() {
        suite.set_timestamp(first);
    }
    let total: u64 = entries.iter().map(|entry| entry.duration_ms).sum();
    suite.set_time(Duration::from_millis(total));
    suite.add_properties(run_properties(run));
    suite.add_test_cases(entries.iter().map(case));
    suite
}

fn run_properties(run: &Run) -> Vec<Property> {
    let behind = match run.behind {
        crate::evidence::Behind::Simulated => "simulated",
        crate::evidence::Behind::Live => "live",
    };
    let mut properties = vec![
        Property::new("behind", behind),
        Property::new("gateway", run.gateway.kind.as_str()),
    ];
    if let Some(version) = &run.gateway.version {
        properties.push(Property::new("gateway_version", version.as_str()));
    }
    if let Some(version) = &run.claude_code_version {
        properties.push(Property::new("claude_code_version", version.as_str()));
    }
    properties
}

/// The case is named as the trial is, so that what CI shows is what `--exact` takes; its file is its cell.
fn case(entry: &Entry) -> TestCase {
    let mut case = TestCase::new(entry.nodeid.to_string(), status(entry));
    case.set_classname(format!("{}.{}", entry.feature_id, entry.provider));
    case.set_time(Duration::from_millis(entry.duration_ms));
    case.set_timestamp(entry.started_at);
    let file = format!("cells/{}/{}.yaml", entry.feature_id, entry.provider);
    case.extra.insert("file".into(), file.into());
    case.add_properties(properties(entry));
    case
}

fn properties(entry: &Entry) -> Vec<Property> {
    let mut properties = vec![
        Property::new("provider", entry.provider.as_str()),
        Property::new("tier", entry.tier.as_str()),
        Property::new("model", entry.model.as_str()),
        Property::new("attempts", entry.attempts.len().to_string()),
        Property::new("cost_usd", format!("{:.6}", entry.cost_usd)),
        Property::new("input_tokens", entry.usage.input_tokens.to_string()),
        Property::new("output_tokens", entry.usage.output_tokens.to_string()),
    ];
    properties.extend(entry.expectations.iter().filter_map(not_held));
    if let Some(cause) = entry.cause {
        properties.push(Property::new("cause", cause.as_str()));
    }
    if let Some(why) = &entry.why {
        properties.push(Property::new("why", why.as_str()));
    }
    if let Some(next) = &entry.next {
        properties.push(Property::new("next", next.as_str()));
    }
    if let Some(evidence) = &entry.evidence {
        properties.push(Property::new("evidence", evidence.as_str()));
    }
    properties
}

/// What a case that passed does not show: an expectation that failed as declared, or that could not be judged.
fn not_held(judged: &Judged) -> Option<Property> {
    match judged.verdict {
        Verdict::KnownFailure => {
            let told = [judged.name.as_str()]
                .into_iter()
                .chain(judged.reason.as_deref())
                .chain(judged.link.as_deref());
            Some(Property::new(
                "known_failure",
                told.collect::<Vec<_>>().join(": "),
            ))
        }
        Verdict::NotJudged => Some(Property::new("not_judged", judged.name.as_str())),
        Verdict::Held | Verdict::Broken | Verdict::UnexpectedlyHeld => None,
    }
}

fn status(entry: &Entry) -> TestCaseStatus {
    let failed_before = failed_attempts(entry);
    let mut status = match (&entry.result, entry.failure()) {
        (TrialResult::NotApplicable { reason }, _) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.as_str());
            return status;
        }
        (TrialResult::Fail { .. }, Some(failure)) => failed(entry, &failure),
        _ => TestCaseStatus::success(),
    };
    status.add_reruns(failed_before.map(|(attempt, failure)| rerun(entry, attempt, failure)));
    if matches!(entry.result, TrialResult::Fail { .. }) {
        status.set_rerun_kind(FlakyOrRerun::Rerun);
    }
    status
}

/// The attempts that failed before the one that gave the verdict.
fn failed_attempts(entry: &Entry) -> impl Iterator<Item = (&AttemptEntry, &FailureEntry)> {
    let before = entry.attempts.len().saturating_sub(1);
    entry.attempts[..before]
        .iter()
        .filter_map(|attempt| attempt.failure.as_ref().map(|failure| (attempt, failure)))
}

fn failed(entry: &Entry, failure: &Failure) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind(failure.cause));
    status
        .set_message(headline(failure))
        .set_type(failure.cause.as_str())
        .set_description(text(entry, failure));
    status
}

fn rerun(entry: &Entry, attempt: &AttemptEntry, failure: &FailureEntry) -> TestRerun {
    let failure = failure.to_failure();
    let mut rerun = TestRerun::new(kind(failure.cause));
    rerun
        .set_time(Duration::from_millis(attempt.duration_ms))
        .set_message(headline(&failure))
        .set_type(failure.cause.as_str())
        .set_description(text(entry, &failure));
    rerun
}

fn headline(failure: &Failure) -> String {
    report::failure_in_short(failure)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn text(entry: &Entry, failure: &Failure) -> String {
    report::failure(
        &entry.nodeid,
        failure,
        entry.evidence.as_deref().map(Path::new),
        Paint::Plain,
    )
}

/// Judged and found wanting is a failure; what could not be judged is an error.
fn kind(cause: Cause) -> NonSuccessKind {
    if cause.is_judged() {
        NonSuccessKind::Failure
    } else {
        NonSuccessKind::Error
    }
}
