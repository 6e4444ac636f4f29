//! Selects trials by their result in an earlier run.
#![warn(clippy::disallowed_methods)]

use std::collections::{HashMap, HashSet};

use super::{Entry, Results, TrialResult};
use crate::ids::TrialName;
use crate::outcome::Cause;

/// A trial's status in the last results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastStatus {
    /// It passed, at once or after a retry.
    Pass,
    Fail,
    /// It passed after a failed attempt.
    Flaky,
    NotApplicable,
    /// It was not selected, or the run stopped before it finished.
    NotTested,
}

impl LastStatus {
    /// Every status with its name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("pass", Self::Pass),
        ("fail", Self::Fail),
        ("flaky", Self::Flaky),
        ("not_applicable", Self::NotApplicable),
        ("not_tested", Self::NotTested),
    ];

    fn is_of(self, entry: Option<&Entry>) -> bool {
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastFilter {
    /// Any of these statuses.
    pub statuses: Vec<LastStatus>,
    /// Failed by any of these causes.
    pub causes: Vec<Cause>,
    /// Failed, or unfinished in a run that stopped early.
    pub failed: bool,
}

impl LastFilter {
    /// Whether any filter is set.
    pub fn is_set(&self) -> bool {
        self.failed || !self.statuses.is_empty() || !self.causes.is_empty()
    }

    pub fn select(&self, results: &Results, names: Vec<TrialName>) -> Vec<TrialName> {
        let entries: HashMap<&TrialName, &Entry> = results
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
                && (!self.failed || LastStatus::Fail.is_of(entry) || unfinished.contains(name))
        };
        names.into_iter().filter(is_selected).collect()
    }
}
