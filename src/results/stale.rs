//! Known findings that no longer show in the results of a run, of its shards or of all its processes.
#![warn(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::fmt;

use indexmap::IndexMap;

use super::{Results, TrialRecord, TrialResult};
use crate::evidence::Behind;
use crate::expectation::RUN;
use crate::findings::{Finding, KnownFinding, KnownFindings, Subject, SubjectPattern};
use crate::ids::{ProviderId, TierId, TrialName};
use crate::outcome::{CheckResult, Verdict, WITHOUT_FLAG};

/// A declaration, or one of its subjects, that no longer shows.
#[derive(Clone, Debug, PartialEq)]
pub struct StaleFinding<'a> {
    pub known: &'a KnownFinding,
    gone: Gone<'a>,
}

#[derive(Clone, Debug, PartialEq)]
enum Gone<'a> {
    /// The declaration shows nowhere in this column on these tiers.
    From(ProviderId, Vec<TierId>),
    /// The subject shows in no column of the declaration.
    Subject(&'a SubjectPattern),
}

impl StaleFinding<'_> {
    /// Whether `trial` is one of those that no longer show it.
    pub fn concerns(&self, trial: &TrialName) -> bool {
        match &self.gone {
            Gone::From(provider, tiers) => trial.cell.provider == *provider && tiers.contains(&trial.tier),
            Gone::Subject(_) => self.known.applies_to(&trial.cell.provider, &trial.tier),
        }
    }
}

/// `gateways/litellm.yaml:12:3: NAME no longer shows on PROVIDER (TIERS): …`
impl fmt::Display for StaleFinding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, name) = (&self.known.place, &self.known.name);
        write!(f, "{}:{}:{}: ", place.file.display(), place.line, place.column)?;
        match &self.gone {
            Gone::From(provider, tiers) => {
                let tiers: Vec<&str> = tiers.iter().map(TierId::as_str).collect();
                let tiers = tiers.join(", ");
                write!(
                    f,
                    "the known finding `{name}` no longer shows on {provider} ({tiers}): narrow its `versions`, `providers` or \
                     `tiers`"
                )
            }
            Gone::Subject(subject) => write!(
                f,
                "the known finding `{name}` no longer shows `{subject}` anywhere: remove it from `shows`, or declare it in a \
                 finding of its own, with the versions that show it"
            ),
        }
    }
}

/// The trials of each column on each tier; `None` if one of them was not judged.
type Columns<'a> = IndexMap<(&'a ProviderId, &'a TierId), Option<Vec<&'a TrialRecord>>>;

/// The declarations that no longer show, each with the tiers on which it does not. The run is within their versions, judged
/// every trial of the column on these tiers, and none has the finding. So a shard or a filtered run says nothing about a
/// column that it did not finish. Also the subjects that no longer show, if the run finished all columns and tiers of their
/// declaration.
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
    let mut columns = Columns::new();
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
        let mut gone = gone_columns(known, &columns, results.run.behind);
        if gone.is_empty() {
            gone = gone_subjects(known, &columns, results.run.behind);
        }
        stale.extend(gone.into_iter().map(|gone| StaleFinding { known, gone }));
    }
    stale
}

/// The columns from which the whole declaration is gone.
fn gone_columns<'k>(known: &KnownFinding, columns: &Columns<'_>, behind: Behind) -> Vec<Gone<'k>> {
    let is_gone = |trials: &Option<Vec<&TrialRecord>>| {
        let is_gone_from = |trial: &&TrialRecord| is_gone_from(&known.shows, trial, behind);
        (trials.as_ref()).is_some_and(|trials| trials.iter().any(is_run) && trials.iter().all(is_gone_from))
    };
    let of_provider = |provider: &ProviderId| {
        let tiers: Vec<TierId> = columns
            .iter()
            .filter(|((column, tier), trials)| {
                *column == provider && known.applies_to(provider, tier) && is_gone(trials)
            })
            .map(|((_, tier), _)| (*tier).clone())
            .collect();
        (!tiers.is_empty()).then(|| Gone::From(provider.clone(), tiers))
    };
    known.providers.iter().filter_map(of_provider).collect()
}

/// The subjects that are gone from all columns of the declaration; none if one of the columns was not finished.
fn gone_subjects<'k>(known: &'k KnownFinding, columns: &Columns<'_>, behind: Behind) -> Vec<Gone<'k>> {
    let of_known = columns
        .iter()
        .filter(|((provider, tier), _)| known.applies_to(provider, tier));
    let finished: Option<Vec<_>> = of_known.map(|(_, trials)| trials.as_ref()).collect();
    let trials: Vec<&TrialRecord> = finished.into_iter().flatten().flatten().copied().collect();
    let is_gone = |subject: &&SubjectPattern| {
        let subjects = std::slice::from_ref(*subject);
        trials.iter().any(is_run) && trials.iter().all(|trial| is_gone_from(subjects, trial, behind))
    };
    known.shows.iter().filter(is_gone).map(Gone::Subject).collect()
}

/// A column without the tier's model has shown nothing.
fn is_run(trial: &&TrialRecord) -> bool {
    !matches!(trial.result, TrialResult::NotApplicable { .. })
}

/// Whether the trial would have shown a finding: it is not applicable, or everything was judged, and no new failure ended it
/// early. A run that the gateway is known to break ends as it did when its findings were declared.
fn can_show_findings(trial: &TrialRecord) -> bool {
    let is_known = |finding: &Finding| finding.expectation == RUN && !finding.status.is_new();
    match trial.result {
        // Another Claude Code than the pinned one may lack a flag.
        TrialResult::NotApplicable { ref reason } => !reason.starts_with(WITHOUT_FLAG),
        _ => trial.verdict.is_some() && (!trial.ended_early() || trial.findings.iter().any(is_known)),
    }
}

/// Whether the trial judged what `shows` declares and has none of it. A live run records no change on the wire.
fn is_gone_from(shows: &[SubjectPattern], trial: &TrialRecord, behind: Behind) -> bool {
    let matches = |subject: &Subject| shows.iter().any(|pattern| pattern.matches(subject));
    let declares = |check: &CheckResult| {
        let subject = |feature| Subject::Expectation {
            feature,
            name: check.name.clone(),
        };
        matches(&subject(Some(trial.feature_id.clone()))) || matches(&subject(None))
    };
    let is_open = |check: &CheckResult| check.verdict == Verdict::NotJudged && declares(check);
    // Without a recording of the wire, only expectations show.
    (behind == Behind::Simulated || shows.iter().all(SubjectPattern::is_of_expectation))
        && !trial.expectations.iter().any(is_open)
        && !trial.findings.iter().any(|finding| matches(&finding.subject))
}
