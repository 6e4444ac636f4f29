//! Results of one trial: its outcome, the failed expectations and the cause of a failure.
//!
//! Pure data. `judge` and `cause` create it; these types are also the serialized form in `compat-results.json`.
#![warn(clippy::disallowed_methods)]

use crate::document::Place;
use crate::findings::{Finding, FindingStatus, Level};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The beginning of the reason why a version of Claude Code does not run a cell: it lacks one of the cell's flags.
pub const WITHOUT_FLAG: &str = "The help of Claude Code";

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Every expectation held.
    Pass,
    /// The feature works, and the gateway breaks the contract.
    Unfaithful(Failure),
    /// The feature does not work, or could not be judged.
    Fail(Failure),
    /// The provider cannot have the feature, with the reason.
    NotApplicable(String),
}

/// The verdict on one trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrialVerdict {
    /// A person who uses Claude Code notices that the feature is broken.
    Broken,
    /// The feature works, and the gateway breaks the contract.
    Unfaithful,
    /// The feature works, and the gateway keeps the contract.
    Clean,
}

impl TrialVerdict {
    /// The word used in files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Unfaithful => "unfaithful",
            Self::Clean => "clean",
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The part at fault.
    pub cause: Cause,
    /// The facts that decided the cause.
    pub why: String,
    /// Of the gateway's fault: the first change on the wire that explains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headline: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The gateway's changes, one per line, the likely reason first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wire: Vec<String>,
    /// The expectations that did not hold.
    pub mismatches: Vec<Mismatch>,
}

/// One expectation that did not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mismatch {
    // The harness has names of its own: `cell`, `session`, `run`.
    /// The expectation's name.
    pub expectation: String,
    /// The contract clause it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// Where its text stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Whether the gateway is known to break it; absent if not.
    #[serde(default, skip_serializing_if = "FindingStatus::is_new")]
    pub status: FindingStatus,
    /// What broke, in one line.
    pub summary: String,
    /// What was expected.
    pub expected: String,
    /// What was found instead.
    pub actual: String,
    /// Where the evidence is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceLine>,
}

impl Mismatch {
    /// A mismatch of a trial that the harness could not run.
    pub fn of_harness(expectation: &str, summary: &str, expected: &str, actual: &str) -> Self {
        Self {
            expectation: expectation.to_owned(),
            summary: summary.to_owned(),
            expected: expected.to_owned(),
            actual: actual.to_owned(),
            ..Self::default()
        }
    }
}

impl Failure {
    /// A failure of the harness, the cell's text or the machine.
    pub fn of_harness(why: &str, mismatches: Vec<Mismatch>) -> Self {
        Self {
            cause: Cause::Harness,
            why: why.to_owned(),
            headline: None,
            next: None,
            wire: Vec::new(),
            mismatches,
        }
    }
}

/// A line of the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceLine {
    /// A file of the trial's evidence folder.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
}

/// The cause of a failure: the part at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The gateway changed, lost, held back or refused something.
    Gateway,
    /// The feature's promise was not kept and no fault is proven.
    Assertion,
    /// An alias, a deployment, a model id or a base that does not exist.
    Config,
    /// A credential that is missing, wrong or not permitted.
    Auth,
    /// No credit, or a budget used up.
    Account,
    /// Too many requests or tokens for now.
    RateLimit,
    /// The provider is down or overloaded.
    Upstream,
    /// Claude Code itself.
    Cli,
    /// The harness, the cell's text or the machine.
    Harness,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 9] = [
        Self::Gateway,
        Self::Assertion,
        Self::Config,
        Self::Auth,
        Self::Account,
        Self::RateLimit,
        Self::Upstream,
        Self::Cli,
        Self::Harness,
    ];

    /// Whether the failure says something about the gateway, the feature or Claude Code. Any other cause kept the trial
    /// from being judged.
    pub fn is_judged(self) -> bool {
        matches!(self, Self::Gateway | Self::Assertion | Self::Cli)
    }

    /// The word used in results and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Assertion => "assertion",
            Self::Config => "config",
            Self::Auth => "auth",
            Self::Account => "account",
            Self::RateLimit => "rate_limit",
            Self::Upstream => "upstream",
            Self::Cli => "cli",
            Self::Harness => "harness",
        }
    }
}

/// The judgement of one expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckResult {
    /// The expectation's name.
    pub name: String,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Who notices when it is broken; `feature` if absent.
    #[serde(default, skip_serializing_if = "Level::is_feature")]
    pub level: Level,
    /// The contract clause it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
}

/// Whether an expectation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It held.
    Held,
    /// It did not hold.
    Broken,
    /// It could not be judged: it is about what reached the provider, and the run is live.
    NotJudged,
}

/// One attempt at a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Milliseconds it took.
    pub duration_ms: u64,
    /// What did not hold; absent if everything held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What the gateway broke, once each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Transient errors that `claude` itself retried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retries: Vec<Retry>,
}

impl Attempt {
    /// Whether the feature did not work, or could not be judged.
    pub fn has_failed(&self) -> bool {
        let is_contract = |finding: &Finding| finding.level == Level::Contract;
        self.failure.as_ref().is_some_and(|failure| {
            !failure.cause.is_judged() || self.findings.is_empty() || !self.findings.iter().all(is_contract)
        })
    }
}

/// A transient error that `claude` itself retried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The HTTP status.
    pub status: u16,
    /// The error's type.
    pub error: String,
}
