//! The verdict on a trial and whose fault a failure is.
//!
//! Pure data; `expect` and `cause` make it, `results` writes it.
#![warn(clippy::disallowed_methods)]

use crate::document::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The verdict on a trial.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Every expectation held, or is a declared known failure that failed.
    Pass,
    /// Something did not hold.
    Fail(Failure),
    /// The feature cannot exist on the provider.
    NotApplicable(String),
}

/// Why a trial failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Whose fault it is.
    pub cause: Cause,
    /// The facts that decided the cause, for a reader.
    pub why: String,
    /// What to do next, in one line; empty where there is nothing to advise.
    pub next: String,
    /// What the gateway changed on the wire, a line each, what explains the mismatches first; empty where the other
    /// side of the wire was not recorded.
    pub wire: Vec<String>,
    /// What did not hold, the one that says most first; never empty.
    pub mismatches: Vec<Mismatch>,
}

/// One expectation that did not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// The expectation's name, `known_failures.NAME` where its declaration is stale (`harness` faults have names of their own: `cell`, `session`, `run`).
    pub expectation: String,
    /// The contract clause it rests on.
    pub clause: Option<String>,
    /// Where its text stands, if it stands anywhere.
    pub place: Option<Place>,
    /// What broke, in one line: `the provider did not receive the image`.
    pub summary: String,
    /// What was expected.
    pub expected: String,
    /// What was found instead.
    pub actual: String,
    /// Where the evidence is: a file of the trial's evidence folder and a line in it, from 1.
    pub evidence: Option<(String, usize)>,
}

impl Mismatch {
    /// A mismatch of a trial that the harness could not run.
    pub fn of_harness(expectation: &str, summary: &str, expected: &str, actual: &str) -> Self {
        Self {
            expectation: expectation.to_owned(),
            clause: None,
            place: None,
            summary: summary.to_owned(),
            expected: expected.to_owned(),
            actual: actual.to_owned(),
            evidence: None,
        }
    }
}

/// What goes before an expectation's name where the fault is in its declaration as a known failure.
pub const KNOWN_FAILURES: &str = "known_failures.";

/// Whose fault a failure is.
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

    /// Whether the trial was judged and found wanting; else it could not be judged, and is no verdict on the
    /// gateway or the feature.
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

/// What became of one expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// The expectation's name.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// The contract clause it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// Of a known failure: what fails, for a reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of a known failure: the page that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// What became of one expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It held.
    Held,
    /// It did not hold.
    Broken,
    /// It did not hold, as the cell declares.
    KnownFailure,
    /// It held although the cell declares that it does not: the declaration has to go.
    UnexpectedlyHeld,
    /// It could not be judged: it is about what reached the provider, and the run is live.
    NotJudged,
}

/// A finished trial, as results and reports see it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialRecord {
    /// The trial.
    pub name: crate::ids::TrialName,
    /// The gateway's alias that `claude` asked for.
    pub model: String,
    /// The verdict: of the last attempt.
    pub outcome: Outcome,
    /// Every expectation of the cell for this tier; empty where nothing was run.
    pub judged: Vec<Judged>,
    /// The attempts, in order; more than one where a transient error was retried; empty where nothing was run.
    pub attempts: Vec<Attempt>,
    /// When the first attempt began.
    pub started_at: chrono::DateTime<chrono::Utc>,
    /// Milliseconds that the attempts took together, without waiting for their turn.
    pub duration_ms: u64,
    /// Token counts that `claude` reported, of all attempts.
    pub usage: crate::wire::Usage,
    /// Cost in US dollars that `claude` reported, of all attempts.
    pub cost_usd: f64,
    /// The trial's evidence folder, relative to the project's root.
    pub evidence: Option<std::path::PathBuf>,
}

impl TrialRecord {
    /// Failed first, then passed.
    pub fn is_flaky(&self) -> bool {
        self.outcome == Outcome::Pass && self.attempts.iter().any(|attempt| attempt.failure.is_some())
    }
}

/// One attempt at a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Milliseconds it took.
    pub duration_ms: u64,
    /// Why it failed; `None` if it passed.
    pub failure: Option<Failure>,
    /// Transient errors within it that `claude` itself retried: HTTP status and error type of each.
    pub retries: Vec<(u16, String)>,
}

/// What a run was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// What stood behind the gateway.
    pub behind: crate::evidence::Behind,
    /// `litellm`, `attached` or `none`.
    pub gateway: String,
    /// The gateway's version, if it is known.
    pub gateway_version: Option<String>,
    /// The version of Claude Code, if it is known.
    pub claude_code_version: Option<String>,
    /// When the run began.
    pub started_at: chrono::DateTime<chrono::Utc>,
    /// When the results were written.
    pub written_at: chrono::DateTime<chrono::Utc>,
    /// How many trials the project has, and how many of them this run selected.
    pub trials: usize,
    /// How many of them this run selected.
    pub selected: usize,
    /// Whether every selected trial has finished.
    pub complete: bool,
}
