//! What a history says about each known finding of its gateway, for the ranges of `gateways/<name>.yaml`.
//!
//! Pure.
#![warn(clippy::disallowed_methods)]

use std::collections::{BTreeMap, HashMap};

use super::versions::{VersionHistory, VersionRecords};
use crate::findings::proposal::Measured;
use crate::findings::{KnownFinding, KnownFindings};
use crate::ids::TrialName;
use crate::results::{TrialRecord, TrialResult};

/// What each usable version shows of each known finding. `all` are the trials of a run without filters.
///
/// A finding that no version shows is absent only from a version that judged each trial that may show it.
pub fn measured(
    history: &VersionHistory,
    runs: &[VersionRecords],
    known: &KnownFindings,
    all: &[TrialName],
) -> Measured {
    let of = |(index, run): (usize, &VersionRecords)| {
        let records = run.records.as_deref().ok()?;
        let records = records.iter().map(|record| (&record.nodeid, record)).collect();
        let shows = |finding: &KnownFinding| {
            let mut rows = history
                .findings
                .iter()
                .filter(|row| row.name == finding.name)
                .peekable();
            match rows.peek() {
                Some(_) => together(rows.map(|row| row.shows[index])),
                None => is_absent(finding, &records, all).then_some(false),
            }
        };
        let shown = known.findings.iter();
        let shown = shown.filter_map(|finding| Some((finding.name.clone(), shows(finding)?)));
        Some((run.version.clone(), shown.collect::<BTreeMap<_, _>>()))
    };
    runs.iter().enumerate().filter_map(of).collect()
}

/// The versions of `runs` in which each trial was judged.
pub fn judged(runs: &[VersionRecords]) -> Vec<&str> {
    let is_judged = |record: &TrialRecord| record.cause.is_none_or(|cause| cause.is_judged());
    let judged = runs.iter().filter(|run| {
        let records = run.records.as_deref();
        records.is_ok_and(|records| records.iter().all(is_judged))
    });
    judged.map(|run| run.version.as_str()).collect()
}

/// What several columns say: one that shows a finding is enough, and one that cannot tell leaves it open.
fn together(columns: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let columns: Vec<Option<bool>> = columns.collect();
    match columns.contains(&Some(true)) {
        true => Some(true),
        false => columns.into_iter().collect::<Option<Vec<bool>>>().map(|_| false),
    }
}

/// Whether each trial that may show the finding was judged to its end. None of them has it.
fn is_absent(finding: &KnownFinding, records: &HashMap<&TrialName, &TrialRecord>, all: &[TrialName]) -> bool {
    let may_show = |trial: &&TrialName| {
        let cell = &trial.cell;
        let in_row = finding
            .shows
            .iter()
            .any(|subject| subject.may_be_in(&cell.feature));
        in_row && finding.applies_to(&cell.provider, &trial.tier)
    };
    let trials: Option<Vec<&TrialRecord>> = all
        .iter()
        .filter(may_show)
        .map(|trial| records.get(trial).copied())
        .collect();
    let mut ran = trials
        .iter()
        .flatten()
        .filter(|record| !matches!(record.result, TrialResult::NotApplicable { .. }));
    let mut ran = ran.by_ref().peekable();
    ran.peek().is_some() && ran.all(|record| !record.ended_early())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Finding, FindingStatus, GatewayDescription, Level, MatrixNames};
    use crate::ids::{FeatureId, ProviderId, TierId};
    use crate::outcome::Outcome;

    const GONE: &str = "request beta gone dropped";

    fn known(subject: &str) -> KnownFindings {
        let text = include_str!("../../tests/fixtures/gateway-with-one-finding.yaml")
            .replace("SUBJECT", subject)
            .replace("PROVIDER", "p")
            .replace("TIER", "haiku");
        let names = MatrixNames {
            providers: &[ProviderId::new("p")],
            features: &[FeatureId::new("a"), FeatureId::new("b")],
            tiers: &[TierId::new("haiku")].into_iter().collect(),
        };
        let file = std::path::Path::new("gateways/example.yaml");
        GatewayDescription::parse(file, text.as_bytes(), names)
            .unwrap()
            .known
    }

    fn trial(feature: &str) -> TrialName {
        format!("{feature}::p::haiku").parse().unwrap()
    }

    fn record(feature: &str, subject: Option<&str>) -> TrialRecord {
        let mut record = TrialRecord::new(
            &trial(feature),
            "alias",
            &Outcome::Pass,
            chrono::DateTime::UNIX_EPOCH,
        );
        record.findings.extend(subject.map(|subject| Finding {
            subject: subject.parse().unwrap(),
            level: Level::Contract,
            expectation: "request_unchanged".into(),
            summary: String::new(),
            loses: String::new(),
            status: FindingStatus::New,
            known: None,
        }));
        record
    }

    fn shown(subject: &str, records: Vec<TrialRecord>) -> Option<bool> {
        let runs = [VersionRecords {
            version: "1.2.0".into(),
            beside: None,
            records: Ok(records),
        }];
        let known = known(subject);
        let history = VersionHistory::new("example", "Claude Code", None, &runs);
        let all = [trial("a"), trial("b")];
        let measured = measured(&history, &runs, &known, &all);
        measured[0].1.get(&known.findings[0].name).copied()
    }

    #[test]
    fn a_finding_is_absent_if_what_may_show_it_was_judged() {
        let (a, b) = (|| record("a", None), || record("b", None));
        let mut broken = b();
        broken.cause = Some(crate::outcome::Cause::Harness);
        assert_eq!(shown(GONE, vec![a(), b()]), Some(false));
        assert_eq!(shown(GONE, vec![a()]), None, "a filter left out the other row");
        assert_eq!(shown(GONE, vec![a(), broken.clone()]), None);
        // Only this row can show it.
        assert_eq!(
            shown("expectation a::bash_succeeds", vec![a(), broken]),
            Some(false)
        );
    }

    #[test]
    fn a_version_with_an_unjudged_trial_is_not_measured() {
        let run = |version: &str, records| VersionRecords {
            version: version.to_owned(),
            beside: None,
            records,
        };
        let mut broken = record("a", None);
        broken.cause = Some(crate::outcome::Cause::Harness);
        let runs = [
            run("1.0.0", Ok(vec![record("a", None)])),
            run("1.1.0", Ok(vec![broken])),
            run("1.2.0", Err("it does not start".into())),
        ];
        assert_eq!(judged(&runs), ["1.0.0"]);
    }
}
