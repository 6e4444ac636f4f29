//! Known findings that no longer show in the results of a run, of its shards or of all its processes.
#![warn(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::fmt;

use indexmap::IndexMap;

use super::{Results, TrialRecord, TrialResult};
use crate::evidence::Behind;
use crate::expectation::RUN;
use crate::findings::{KnownFinding, KnownFindings, Subject};
use crate::ids::{ProviderId, TierId, TrialName};
use crate::outcome::{CheckResult, Verdict};

/// A declaration that no longer shows.
#[derive(Clone, Debug, PartialEq)]
pub struct StaleFinding<'a> {
    pub known: &'a KnownFinding,
    pub provider: ProviderId,
    pub tiers: Vec<TierId>,
}

/// `gateways/litellm.yaml:12:3: NAME no longer shows on PROVIDER (TIERS): …`
impl fmt::Display for StaleFinding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tiers: Vec<&str> = self.tiers.iter().map(TierId::as_str).collect();
        let place = &self.known.place;
        write!(
            f,
            "{}:{}:{}: the known finding `{}` no longer shows on {} ({}): narrow its `versions`, `providers` or `tiers`",
            place.file.display(),
            place.line,
            place.column,
            self.known.name,
            self.provider,
            tiers.join(", ")
        )
    }
}

/// The declarations that no longer show, each with the tiers on which it does not. The run is within their versions, judged
/// every trial of the column on these tiers, and none has the finding. So a shard or a filtered run says nothing about a
/// column that it did not finish.
///
/// `applicable` are all trials of the project without the trials that are not applicable.
pub fn stale<'k>(
    results: &Results,
    known: &'k KnownFindings,
    applicable: &[TrialName],
) -> Vec<StaleFinding<'k>> {
    let records: HashMap<&TrialName, &TrialRecord> = results
        .results
        .iter()
        .map(|trial| (&trial.nodeid, trial))
        .collect();
    // `None` for a trial without a result.
    let mut columns: IndexMap<(&ProviderId, &TierId), Option<Vec<&TrialRecord>>> = IndexMap::new();
    for name in applicable {
        let column = columns.entry((&name.cell.provider, &name.tier));
        let column = column.or_insert_with(|| Some(Vec::new()));
        match records.get(name).filter(|record| can_show_findings(record)) {
            Some(record) => column.iter_mut().for_each(|column| column.push(record)),
            None => *column = None,
        }
    }
    let mut stale = Vec::new();
    for known in known.covering(results.run.versions()) {
        for provider in &known.providers {
            // A column without the tier's model has shown nothing.
            let is_run = |trial: &&TrialRecord| !matches!(trial.result, TrialResult::NotApplicable { .. });
            let is_gone = |tier: &TierId, column: &Option<Vec<&TrialRecord>>| {
                let is_gone_from = |trial: &&TrialRecord| is_gone_from(known, trial, results.run.behind);
                known.applies_to(provider, tier)
                    && column
                        .as_ref()
                        .is_some_and(|trials| trials.iter().any(is_run) && trials.iter().all(is_gone_from))
            };
            let tiers: Vec<TierId> = columns
                .iter()
                .filter(|((column, tier), trials)| *column == provider && is_gone(tier, trials))
                .map(|((_, tier), _)| (*tier).clone())
                .collect();
            if !tiers.is_empty() {
                stale.push(StaleFinding {
                    known,
                    provider: provider.clone(),
                    tiers,
                });
            }
        }
    }
    stale
}

/// Whether the trial would have shown a finding: it is not applicable, or `claude` answered and everything was judged.
fn can_show_findings(trial: &TrialRecord) -> bool {
    let ended_early = |check: &CheckResult| check.name == RUN && check.verdict == Verdict::Broken;
    match trial.result {
        TrialResult::NotApplicable { .. } => true,
        _ => trial.verdict.is_some() && !trial.expectations.iter().any(ended_early),
    }
}

/// Whether the trial judged the finding and does not have it. A live run records no change on the wire.
fn is_gone_from(known: &KnownFinding, trial: &TrialRecord, behind: Behind) -> bool {
    let declares = |check: &CheckResult| {
        let subject = |feature| Subject::Expectation {
            feature,
            name: check.name.clone(),
        };
        known.matches(&subject(Some(trial.feature_id.clone()))) || known.matches(&subject(None))
    };
    let is_open = |check: &CheckResult| check.verdict == Verdict::NotJudged && declares(check);
    (behind == Behind::Simulated || known.is_about_expectations())
        && !trial.expectations.iter().any(is_open)
        && !trial
            .findings
            .iter()
            .any(|finding| known.matches(&finding.subject))
}
