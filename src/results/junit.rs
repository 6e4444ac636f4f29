//! JUnit XML for CircleCI, GitHub and GitLab: one suite per feature, one case per trial.
//!
//! A case is a `<failure>` if it has a new finding, an `<error>` if the trial could not be judged, and `<skipped>` if the
//! feature is not applicable or is broken only as known. It has `<flakyFailure>` or `<flakyError>` for attempts that
//! failed before one passed.

use std::path::Path;
use std::time::Duration;

use quick_junit::{
    FlakyOrRerun, NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestRerun, TestSuite,
};

use super::file::{Results, RunRecord, TrialRecord};
use super::status::TrialResult;
use crate::findings::{Finding, Level};
use crate::outcome::{Attempt, Cause, CheckResult, Failure, TrialVerdict, Verdict};
use crate::report::{self, Paint};

pub fn to_xml(results: &Results) -> String {
    let run = &results.run;
    let mut report = Report::new("compat");
    report.set_timestamp(run.started_at);
    report.set_time(run.duration());
    for entries in results.results.chunk_by(|a, b| a.feature_id == b.feature_id) {
        report.add_test_suite(suite(run, entries));
    }
    report.to_string().expect("XML into a String cannot fail")
}

fn suite(run: &RunRecord, entries: &[TrialRecord]) -> TestSuite {
    let mut suite = TestSuite::new(entries[0].feature_id.as_str());
    if let Some(first) = entries.iter().map(|trial| trial.started_at).min() {
        suite.set_timestamp(first);
    }
    let total: u64 = entries.iter().map(|trial| trial.duration_ms).sum();
    suite.set_time(Duration::from_millis(total));
    suite.add_properties(run_properties(run));
    suite.add_test_cases(entries.iter().map(case));
    suite
}

fn run_properties(run: &RunRecord) -> Vec<Property> {
    let behind = match run.behind {
        crate::evidence::Behind::Simulated => "simulated",
        crate::evidence::Behind::Live => "live",
    };
    let mut properties = vec![
        Property::new("behind", behind),
        Property::new("gateway_kind", run.gateway.kind.as_str()),
        Property::new("gateway_configuration", run.gateway.configuration_name()),
    ];
    let optional = [
        ("gateway", &run.gateway.name),
        ("gateway_version", &run.gateway.version),
        ("claude_code_version", &run.claude_code_version),
    ];
    let known = |(name, value): (&str, &Option<String>)| {
        Property::new(name, value.clone().unwrap_or_else(|| "unknown".into()))
    };
    properties.extend(optional.map(known));
    for (provider, usd) in run.spent.iter().flat_map(|spent| &spent.by_provider) {
        properties.push(Property::new(
            format!("spent_usd.{provider}"),
            format!("{usd:.6}"),
        ));
    }
    if let Some(spent) = &run.spent {
        properties.push(Property::new("spent_usd", format!("{:.6}", spent.usd)));
    }
    if let Some(format) = &run.client_format {
        properties.push(Property::new("client_format", format.as_str()));
    }
    if run.rehearsal {
        properties.push(Property::new("rehearsal", "true"));
    }
    if let Some(level) = run.isolation {
        properties.push(Property::new("isolation", level.as_str()));
    }
    properties
}

/// The case has the trial's name, so that `--exact` accepts the name that CI shows. Its file is the cell.
fn case(trial: &TrialRecord) -> TestCase {
    let mut case = TestCase::new(trial.nodeid.to_string(), status(trial));
    case.set_classname(format!("{}.{}", trial.feature_id, trial.provider));
    case.set_time(Duration::from_millis(trial.duration_ms));
    case.set_timestamp(trial.started_at);
    let file = format!("cells/{}/{}.yaml", trial.feature_id, trial.provider);
    case.extra.insert("file".into(), file.into());
    case.add_properties(properties(trial));
    case
}

fn properties(trial: &TrialRecord) -> Vec<Property> {
    let mut properties = vec![
        Property::new("provider", trial.provider.as_str()),
        Property::new("tier", trial.tier.as_str()),
        Property::new("model", trial.model.as_str()),
        Property::new("attempts", trial.attempts.len().to_string()),
        Property::new("cost_usd", format!("{:.6}", trial.cost_usd)),
        Property::new("input_tokens", trial.usage.input_tokens.to_string()),
        Property::new("output_tokens", trial.usage.output_tokens.to_string()),
    ];
    if trial.waited_ms > 0 {
        properties.push(Property::new("waited_ms", trial.waited_ms.to_string()));
    }
    properties.extend(trial.expectations.iter().filter_map(not_judged));
    properties.extend(trial.findings.iter().map(finding));
    let optional = [
        ("verdict", trial.verdict.map(TrialVerdict::as_str)),
        ("cause", trial.cause.map(Cause::as_str)),
        ("why", trial.why.as_deref()),
        ("next", trial.next.as_deref()),
        ("evidence", trial.evidence.as_deref()),
    ];
    properties.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some(Property::new(name, value?))),
    );
    properties
}

/// A property for an expectation that was not judged, because a passed case does not show it.
fn not_judged(check: &CheckResult) -> Option<Property> {
    (check.verdict == Verdict::NotJudged).then(|| Property::new("not_judged", check.name.as_str()))
}

/// `contract: SUBJECT: LOSS Status: known as NAME (LINK): REASON`
fn finding(finding: &Finding) -> Property {
    let level = match finding.level {
        Level::Feature => "feature",
        Level::Contract => "contract",
    };
    let status = finding.status_in_words();
    let text = format!("{level}: {}: {} Status: {status}", finding.subject, finding.loses);
    Property::new("finding", text)
}

fn status(trial: &TrialRecord) -> TestCaseStatus {
    let failed_before = failed_attempts(trial);
    let mut status = match (&trial.result, trial.failure()) {
        (TrialResult::NotApplicable { reason }, _) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.as_str());
            return status;
        }
        (_, Some(failure)) if trial.fails_run() => failed(trial, &failure),
        (TrialResult::Fail { .. }, _) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(trial.known_in_words().unwrap_or_default());
            return status;
        }
        _ => TestCaseStatus::success(),
    };
    status.add_reruns(failed_before.map(|(attempt, failure)| rerun(trial, attempt, failure)));
    if trial.fails_run() {
        status.set_rerun_kind(FlakyOrRerun::Rerun);
    }
    status
}

/// The failed attempts before the last one.
fn failed_attempts(trial: &TrialRecord) -> impl Iterator<Item = (&Attempt, &Failure)> {
    let before = trial.attempts.len().saturating_sub(1);
    trial.attempts[..before]
        .iter()
        .filter_map(|attempt| attempt.failure.as_ref().map(|failure| (attempt, failure)))
}

fn failed(trial: &TrialRecord, failure: &Failure) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind(failure.cause));
    status
        .set_message(report::first_line_in_short(failure))
        .set_type(failure.cause.as_str())
        .set_description(text(trial, failure));
    status
}

fn rerun(trial: &TrialRecord, attempt: &Attempt, failure: &Failure) -> TestRerun {
    let mut rerun = TestRerun::new(kind(failure.cause));
    rerun
        .set_time(Duration::from_millis(attempt.duration_ms))
        .set_message(report::first_line_in_short(failure))
        .set_type(failure.cause.as_str())
        .set_description(text(trial, failure));
    rerun
}

fn text(trial: &TrialRecord, failure: &Failure) -> String {
    report::failure(
        &trial.nodeid,
        &trial.flags,
        failure,
        trial.evidence.as_deref().map(Path::new),
        Paint::Plain,
    )
}

fn kind(cause: Cause) -> NonSuccessKind {
    if cause.is_judged() {
        NonSuccessKind::Failure
    } else {
        NonSuccessKind::Error
    }
}
