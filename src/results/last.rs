//! Selects trials by their result in an earlier run.
#![warn(clippy::disallowed_methods)]

use std::collections::{HashMap, HashSet};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, ValueEnum};

use super::{Results, TrialRecord, TrialResult};
use crate::ids::TrialName;
use crate::outcome::Cause;

/// A trial's status in the last results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum LastStatus {
    /// Passed, at once or after a retry
    Pass,
    /// Failed
    Fail,
    /// Passed after a failed attempt
    Flaky,
    /// Not applicable
    NotApplicable,
    /// Not selected, or not finished
    NotTested,
}

impl LastStatus {
    fn is_of(self, entry: Option<&TrialRecord>) -> bool {
        match (self, entry) {
            (Self::NotTested, entry) => entry.is_none(),
            (Self::Pass, Some(entry)) => matches!(entry.result, TrialResult::Pass {}),
            (Self::Fail, Some(entry)) => matches!(entry.result, TrialResult::Fail { .. }),
            (Self::Flaky, Some(entry)) => entry.flaky,
            (Self::NotApplicable, Some(entry)) => matches!(entry.result, TrialResult::NotApplicable { .. }),
            (_, None) => false,
        }
    }
}

/// Filters by the last results. A trial must match every filter that is set.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct LastFilter {
    /// Run only trials with this status in the last results; repeatable
    #[arg(long = "status", value_name = "STATUS", value_enum)]
    pub statuses: Vec<LastStatus>,
    /// Run only trials that failed by this cause in the last results; repeatable
    #[arg(
        long = "cause",
        value_name = "CAUSE",
        value_parser = PossibleValuesParser::new(Cause::ALL.map(Cause::as_str)).try_map(|name| cause(&name))
    )]
    pub causes: Vec<Cause>,
    /// Run the trials again that failed in the last run or in RUN, or that an interrupted run did not finish. The new results
    /// are merged into that run
    #[arg(long = "rerun-failed", value_name = "RUN", num_args = 0..=1, require_equals = true)]
    pub failed: Option<Option<String>>,
}

fn cause(name: &str) -> Result<Cause, &'static str> {
    let mut all = Cause::ALL.into_iter();
    all.find(|cause| cause.as_str() == name).ok_or("not a cause")
}

impl LastFilter {
    /// Whether any filter is set.
    pub fn is_set(&self) -> bool {
        self.failed.is_some() || !self.statuses.is_empty() || !self.causes.is_empty()
    }

    /// The run to rerun: by its name, or the last one. `None` if none is rerun.
    pub fn rerun(&self) -> Option<Option<&str>> {
        self.failed.as_ref().map(Option::as_deref)
    }

    pub fn select(&self, results: &Results, names: Vec<TrialName>) -> Vec<TrialName> {
        let entries: HashMap<&TrialName, &TrialRecord> = results
            .results
            .iter()
            .map(|entry| (&entry.nodeid, entry))
            .collect();
        let unfinished: HashSet<&TrialName> = results.run.unfinished.iter().collect();
        let is_selected = |name: &TrialName| {
            let entry = entries.get(name).copied();
            let cause = entry.and_then(|entry| entry.cause);
            (self.statuses.is_empty() || self.statuses.iter().any(|status| status.is_of(entry)))
                && (self.causes.is_empty() || cause.is_some_and(|cause| self.causes.contains(&cause)))
                // What works, with a new finding, fails a run too.
                && (self.failed.is_none()
                    || LastStatus::Fail.is_of(entry)
                    || entry.is_some_and(TrialRecord::fails_run)
                    || unfinished.contains(name))
        };
        names.into_iter().filter(is_selected).collect()
    }
}
