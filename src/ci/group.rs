//! Groups of failures with one cause, and the evidence of other runs: is it new here, was it red before, is it flaky?

use schemars::JsonSchema;
use serde::Serialize;

use super::failures::JobFailure;
use super::{FailureCategory, JobState};

/// The failures of one cause.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FailureGroup {
    pub category: FailureCategory,
    /// The share of such verdicts expected to be right, from 0 to 1.
    pub confidence: f64,
    pub rule: &'static str,
    pub why: String,
    pub action: String,
    /// Null if that is not known.
    pub rerun_helps: Option<bool>,
    /// The deciding line of the first failure.
    pub line: String,
    pub jobs: Vec<String>,
    pub tests: Vec<String>,
    /// The number of failures.
    pub count: usize,
    pub evidence: EvidenceWord,
    /// The runs that prove the word.
    pub proof: String,
    /// Other tests of the same jobs failed for external reasons in earlier runs: the failures move from test to test.
    pub shuffles: bool,
    /// Whether this commit has to answer for it: it is not external, and not red on the other branch already.
    pub is_ours: bool,
    /// The last lines of the log, if no rule knows the failure.
    pub tail: Vec<String>,
    #[serde(skip)]
    fingerprint: String,
}

/// What other runs say about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceWord {
    /// It passed in the other branch's newest finished run, and in all earlier ones that are known.
    New,
    /// It failed in the other branch's newest finished run.
    OnMain,
    /// It failed and passed on the same commit.
    Flaky,
    /// It failed in some runs of other commits, but not in the newest.
    Intermittent,
    /// It failed in the last two runs or more, without a pass between them.
    Broken,
    /// No earlier run is known.
    NoHistory,
}

impl EvidenceWord {
    pub fn words(self) -> &'static str {
        match self {
            Self::New => "new here",
            Self::OnMain => "on main",
            Self::Flaky => "flaky",
            Self::Intermittent => "at times",
            Self::Broken => "broken",
            Self::NoHistory => "no history",
        }
    }
}

/// One attempt of the jobs of one commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastAttempt {
    pub revision: String,
    pub jobs: Vec<PastJob>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PastJob {
    pub name: String,
    pub state: JobState,
    /// The failures of a red job; `None` if they were not read.
    pub failures: Option<Vec<JobFailure>>,
}

/// Other runs, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunHistory {
    /// Finished runs of the branch to compare with.
    pub branch: Vec<PastAttempt>,
    /// Earlier attempts of the same commit.
    pub same_commit: Vec<PastAttempt>,
}

/// Groups failures by their fingerprint, the worst group first.
pub fn groups_of(failures: Vec<JobFailure>, history: &RunHistory) -> Vec<FailureGroup> {
    let mut groups: Vec<FailureGroup> = Vec::new();
    for failure in failures {
        let index = groups
            .iter()
            .position(|group| group.fingerprint == failure.fingerprint);
        let index = index.unwrap_or_else(|| {
            groups.push(empty_group(&failure));
            groups.len() - 1
        });
        let group = &mut groups[index];
        group.count += 1;
        push_new(&mut group.jobs, failure.job);
        failure
            .test
            .into_iter()
            .for_each(|test| push_new(&mut group.tests, test));
    }
    for group in &mut groups {
        (group.evidence, group.proof) = evidence_of(group, history);
        group.shuffles = shuffles(group, history);
        let failed_there = history
            .branch
            .iter()
            .any(|attempt| outcome(group, attempt) == Some(false));
        group.is_ours = !group.category.is_external()
            && match group.evidence {
                EvidenceWord::New | EvidenceWord::NoHistory => true,
                EvidenceWord::Flaky => !failed_there,
                EvidenceWord::OnMain | EvidenceWord::Broken | EvidenceWord::Intermittent => false,
            };
    }
    groups.sort_by_key(|group| {
        (
            !group.is_ours,
            group.category.is_external(),
            std::cmp::Reverse(group.count),
        )
    });
    groups
}

fn push_new(list: &mut Vec<String>, item: String) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn empty_group(failure: &JobFailure) -> FailureGroup {
    let sorted = failure.sorted.clone();
    FailureGroup {
        category: sorted.category,
        confidence: sorted.confidence,
        rule: sorted.rule,
        why: sorted.why,
        action: sorted.action,
        rerun_helps: sorted.rerun_helps,
        line: sorted.line,
        jobs: Vec::new(),
        tests: Vec::new(),
        count: 0,
        evidence: EvidenceWord::NoHistory,
        proof: String::new(),
        shuffles: false,
        is_ours: true,
        tail: sorted.tail,
        fingerprint: failure.fingerprint.clone(),
    }
}

/// Whether the group's jobs passed (`true`) or failed alike (`false`) in an attempt; `None` if that is not known.
fn outcome(group: &FailureGroup, attempt: &PastAttempt) -> Option<bool> {
    let jobs = attempt.jobs.iter().filter(|job| group.jobs.contains(&job.name));
    let mut passed = None;
    for job in jobs {
        match (&job.failures, job.state) {
            (_, JobState::Passed) => passed = Some(true),
            (Some(failures), state) if state.is_red() => {
                let is_same = |failure: &JobFailure| {
                    failure.fingerprint == group.fingerprint
                        || failure
                            .test
                            .as_ref()
                            .is_some_and(|test| group.tests.contains(test))
                };
                if failures.iter().any(is_same) {
                    return Some(false);
                }
                // Other tests failed there, so the group's own tests passed.
                let names_tests = failures.iter().any(|failure| failure.test.is_some());
                if names_tests && !group.tests.is_empty() {
                    passed = Some(true);
                }
            }
            _ => {}
        }
    }
    passed
}

fn evidence_of(group: &FailureGroup, history: &RunHistory) -> (EvidenceWord, String) {
    let short = |revision: &str| revision.chars().take(7).collect::<String>();
    if let Some(passed) = history
        .same_commit
        .iter()
        .find(|attempt| outcome(group, attempt) == Some(true))
    {
        let proof = format!("passed in another attempt of {}", short(&passed.revision));
        return (EvidenceWord::Flaky, proof);
    }
    let known: Vec<(&str, bool)> = history
        .branch
        .iter()
        .filter_map(|attempt| Some((attempt.revision.as_str(), outcome(group, attempt)?)))
        .collect();
    let both = known
        .iter()
        .find(|(revision, passed)| !passed && known.contains(&(*revision, true)));
    if let Some((revision, _)) = both {
        return (
            EvidenceWord::Flaky,
            format!("failed and passed on {} of main", short(revision)),
        );
    }
    // The newest attempt of each commit counts.
    let known: Vec<(&str, bool)> = known
        .iter()
        .enumerate()
        .filter_map(|(index, one)| {
            let is_newest = !known[..index].iter().any(|(revision, _)| *revision == one.0);
            is_newest.then_some(*one)
        })
        .collect();
    let failed = known.iter().filter(|(_, passed)| !passed).count();
    let counts = format!("failed in {failed} of {} known runs of main", known.len());
    let streak = known.iter().take_while(|(_, passed)| !passed).count();
    match (known.is_empty(), streak, failed) {
        (true, ..) => (
            EvidenceWord::NoHistory,
            "no finished run of main has this job".to_owned(),
        ),
        (_, 2.., _) => (
            EvidenceWord::Broken,
            format!("red in the last {streak} known runs of main"),
        ),
        (_, 1, _) => (EvidenceWord::OnMain, counts),
        (_, _, 1..) => (EvidenceWord::Intermittent, counts),
        _ => (
            EvidenceWord::New,
            format!("passed in {} of {} known runs of main", known.len(), known.len()),
        ),
    }
}

/// Whether other tests of the same jobs failed for external reasons before.
fn shuffles(group: &FailureGroup, history: &RunHistory) -> bool {
    let is_other = |failure: &JobFailure| {
        let test = failure.test.as_ref();
        failure.sorted.category == FailureCategory::ExternalApi
            && test.is_some_and(|test| !group.tests.contains(test))
    };
    let attempts = history.branch.iter().chain(&history.same_commit);
    group.category == FailureCategory::ExternalApi
        && attempts
            .flat_map(|attempt| &attempt.jobs)
            .filter(|job| group.jobs.contains(&job.name))
            .any(|job| job.failures.iter().flatten().any(is_other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::{CiJob, FailedTest, JobDetails, failures_of};

    fn failures(job: &str, tests: &[(&str, &str)]) -> Vec<JobFailure> {
        let ci_job = CiJob {
            number: Some(1),
            name: job.into(),
            state: JobState::Failed,
            status: String::new(),
            seconds: None,
            after: Vec::new(),
            url: None,
        };
        let tests = tests.iter().map(|(name, message)| FailedTest {
            name: (*name).into(),
            message: (*message).into(),
        });
        let details = JobDetails {
            tests: tests.collect(),
            ..JobDetails::default()
        };
        failures_of(&ci_job, &details)
    }

    fn attempt(revision: &str, state: JobState, tests: &[(&str, &str)]) -> PastAttempt {
        PastAttempt {
            revision: revision.into(),
            jobs: vec![PastJob {
                name: "unit".into(),
                state,
                failures: state.is_red().then(|| failures("unit", tests)),
            }],
        }
    }

    const LOST: (&str, &str) = ("t.py::a", "AssertionError: lost");
    const OTHER: (&str, &str) = ("t.py::b", "AssertionError: other");

    fn word(branch: Vec<PastAttempt>, same_commit: Vec<PastAttempt>) -> EvidenceWord {
        let history = RunHistory { branch, same_commit };
        let groups = groups_of(failures("unit", &[LOST]), &history);
        assert_eq!(groups.len(), 1);
        groups[0].evidence
    }

    #[test]
    fn each_evidence_word_needs_its_proof() {
        use EvidenceWord::*;
        use JobState::{Failed, Passed};
        let pass = |revision| attempt(revision, Passed, &[]);
        let fail = |revision| attempt(revision, Failed, &[LOST]);
        let other = |revision| attempt(revision, Failed, &[OTHER]);
        assert_eq!(word(vec![], vec![]), NoHistory);
        assert_eq!(word(vec![pass("1"), pass("2")], vec![]), New);
        assert_eq!(word(vec![other("1"), pass("2")], vec![]), New);
        assert_eq!(word(vec![fail("1"), pass("2")], vec![]), OnMain);
        assert_eq!(word(vec![fail("1"), fail("2"), pass("3")], vec![]), Broken);
        assert_eq!(word(vec![pass("1"), fail("2"), pass("3")], vec![]), Intermittent);
        assert_eq!(word(vec![pass("1"), fail("1"), pass("2")], vec![]), Flaky);
        assert_eq!(word(vec![pass("1")], vec![pass("0")]), Flaky);
        let unread = PastAttempt {
            revision: "1".into(),
            jobs: vec![PastJob {
                name: "unit".into(),
                state: Failed,
                failures: None,
            }],
        };
        assert_eq!(word(vec![unread], vec![]), NoHistory);
        assert_eq!(
            word(vec![attempt("1", JobState::Canceled, &[])], vec![]),
            NoHistory
        );
    }

    #[test]
    fn one_cause_is_one_group_and_two_causes_are_two() {
        let names: Vec<String> = (0..40).map(|index| format!("t.py::test_{index}")).collect();
        let message = "anthropic.BadRequestError: Your credit balance is too low to access the Anthropic API";
        let mut all = Vec::new();
        for (index, name) in names.iter().enumerate() {
            all.extend(failures(
                &format!("job {}", index % 6),
                &[(name.as_str(), message)],
            ));
        }
        let groups = groups_of(all, &RunHistory::default());
        assert_eq!(groups.len(), 1);
        assert_eq!((groups[0].count, groups[0].jobs.len()), (40, 6));
        assert!(!groups[0].is_ours);
        let two = failures("unit", &[LOST, ("t.py::c", "assert 401 == 200")]);
        assert_eq!(groups_of(two, &RunHistory::default()).len(), 2);
    }

    #[test]
    fn external_failures_that_move_from_test_to_test_shuffle() {
        let overloaded = "anthropic.InternalServerError: Overloaded";
        let history = RunHistory {
            branch: vec![attempt("1", JobState::Failed, &[("t.py::x", overloaded)])],
            same_commit: vec![],
        };
        let groups = groups_of(failures("unit", &[("t.py::y", overloaded)]), &history);
        assert!(groups[0].shuffles);
        let groups = groups_of(failures("unit", &[("t.py::x", overloaded)]), &history);
        assert!(!groups[0].shuffles);
    }
}
