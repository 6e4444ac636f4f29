//! From a red pipeline to its causes: the rules that sort the failures of CI jobs, and the evidence of earlier runs.
//!
//! Pure: logs and statuses in, values and texts out. `ci_client` reads them from CircleCI and GitHub Actions. Logs are foreign
//! text: nothing in them is trusted, and every quotation is printable, short and free of credentials.
#![warn(clippy::disallowed_methods)]

mod failures;
mod group;
mod log;
mod model;
pub mod report;
pub mod rules;
mod sort;

pub use failures::{JobFailure, failures_of, tests_in};
pub use group::{EvidenceWord, FailureGroup, PastAttempt, PastJob, RunHistory, groups_of};
pub use log::{CiLog, of_chunks};
pub use model::{
    CiJob, CiService, CommitRuns, CommitVerdict, FailedTest, JobDetails, JobState, Pipeline, Workflow,
};
pub use sort::{SortedLog, sort};

use regex::Regex;
use serde::{Deserialize, Serialize};

/// A constant regular expression.
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is valid")
}

/// What has to change for a failure to go away.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FailureCategory {
    /// The code or an assertion.
    Code,
    /// Versions, lock files, schemas, migrations, parameters of the CI.
    Config,
    /// A credential, a permission, or the override of a check in a test.
    Auth,
    /// Parallel tests share memory or state.
    Parallel,
    /// A live provider: to wait, retry, skip or pay helps.
    ExternalApi,
    /// Asked before it was done, or too slow.
    Timing,
    /// Runner, network, registry, disk.
    Infrastructure,
    /// It failed, and no rule knows why.
    Unknown,
    /// The log shows no failure.
    None,
}

impl FailureCategory {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Config => "config",
            Self::Auth => "auth",
            Self::Parallel => "parallel",
            Self::ExternalApi => "external_api",
            Self::Timing => "timing",
            Self::Infrastructure => "infrastructure",
            Self::Unknown => "unknown",
            Self::None => "none",
        }
    }

    /// What to do, where the rule says nothing more exact. The actions are those of LiteLLM's guide to a stable CI, kept
    /// current here.
    pub fn action(self) -> &'static str {
        match self {
            Self::Code => "fix the code, or the assertion if the behaviour changed on purpose",
            Self::Config => {
                "fix the version, lock file, schema, migration or CI parameter that the line names"
            }
            Self::Auth => {
                "mend the credential or its scope; in a test of the proxy set `app.dependency_overrides[user_api_key_auth]`"
            }
            Self::Parallel => {
                "put the tests into one `xdist_group`, give each worker its own state, or lower `-n` in the CI configuration"
            }
            Self::ExternalApi => "wait and run again; let the test retry, or skip when the provider is out",
            Self::Timing => {
                "poll for the state with a deadline instead of a fixed sleep, or raise the test's timeout"
            }
            Self::Infrastructure => "run again; if it stays, look at the CI service's status page",
            Self::Unknown => "read the last lines of the log",
            Self::None => "nothing",
        }
    }

    /// Whether the same commit may pass when it runs again.
    pub fn rerun_helps(self) -> bool {
        matches!(
            self,
            Self::Parallel | Self::ExternalApi | Self::Timing | Self::Infrastructure
        )
    }

    /// Whether the commit's author is not at fault.
    pub fn is_external(self) -> bool {
        matches!(self, Self::ExternalApi | Self::Infrastructure)
    }
}
