//! The statuses of trials and cells: `{"status": "pass"}`, `{"status": "fail", "error": "…"}`,
//! `{"status": "not_applicable", "reason": "…"}`, and for cells also `{"status": "not_tested"}`, without other keys.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// The result of one trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case", deny_unknown_fields)]
pub enum TrialResult {
    /// Everything held.
    Pass {},
    /// Something did not hold.
    Fail {
        /// What, in a few lines; never empty.
        #[schemars(length(min = 1))]
        error: String,
    },
    /// The feature cannot exist on the provider.
    NotApplicable {
        /// Why not; never empty.
        #[schemars(length(min = 1))]
        reason: String,
    },
}

/// The status of one cell of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case", deny_unknown_fields)]
pub enum CellStatus {
    /// Every tier passed.
    Pass {},
    /// A tier failed.
    Fail {
        /// Which tier, and what did not hold; never empty.
        #[schemars(length(min = 1))]
        error: String,
    },
    /// The feature cannot exist on the provider.
    NotApplicable {
        /// Why not; never empty.
        #[schemars(length(min = 1))]
        reason: String,
    },
    /// Not every tier was tried.
    NotTested {},
}

/// The status of a cell or a trial without its error or reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusWord {
    /// Everything held.
    Pass,
    /// Something did not hold.
    Fail,
    /// The feature cannot exist on the provider.
    NotApplicable,
    /// Not tried.
    NotTested,
}

impl StatusWord {
    /// As in the files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotApplicable => "not_applicable",
            Self::NotTested => "not_tested",
        }
    }
}

impl CellStatus {
    /// The value of the `status` key.
    pub fn word(&self) -> StatusWord {
        match self {
            Self::Pass {} => StatusWord::Pass,
            Self::Fail { .. } => StatusWord::Fail,
            Self::NotApplicable { .. } => StatusWord::NotApplicable,
            Self::NotTested {} => StatusWord::NotTested,
        }
    }

    /// The error or the reason, where there is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Fail { error } => Some(error),
            Self::NotApplicable { reason } => Some(reason),
            Self::Pass {} | Self::NotTested {} => None,
        }
    }
}

impl From<TrialResult> for CellStatus {
    fn from(result: TrialResult) -> Self {
        match result {
            TrialResult::Pass {} => Self::Pass {},
            TrialResult::Fail { error } => Self::Fail { error },
            TrialResult::NotApplicable { reason } => Self::NotApplicable { reason },
        }
    }
}

/// Read first, so that an error can name all keys of the status.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    status: String,
    error: Option<String>,
    reason: Option<String>,
}

impl<'de> Deserialize<'de> for CellStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Raw {
            status,
            error,
            reason,
        } = Raw::deserialize(deserializer)?;
        match (status.as_str(), error, reason) {
            ("pass", None, None) => Ok(Self::Pass {}),
            ("not_tested", None, None) => Ok(Self::NotTested {}),
            ("fail", Some(error), None) if !error.is_empty() => Ok(Self::Fail { error }),
            ("not_applicable", None, Some(reason)) if !reason.is_empty() => {
                Ok(Self::NotApplicable { reason })
            }
            ("pass" | "not_tested", ..) => Err(D::Error::custom(format!("`{status}` has no other keys"))),
            ("fail", ..) => Err(D::Error::custom(
                "`fail` has an `error`, not empty, and no other keys",
            )),
            ("not_applicable", ..) => Err(D::Error::custom(
                "`not_applicable` has a `reason`, not empty, and no other keys",
            )),
            _ => Err(D::Error::custom(format!(
                "unknown status `{status}`, expected one of `pass`, `fail`, `not_applicable`, `not_tested`"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for TrialResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match CellStatus::deserialize(deserializer)? {
            CellStatus::Pass {} => Ok(Self::Pass {}),
            CellStatus::Fail { error } => Ok(Self::Fail { error }),
            CellStatus::NotApplicable { reason } => Ok(Self::NotApplicable { reason }),
            CellStatus::NotTested {} => Err(D::Error::custom(
                "a trial is never `not_tested`: leave it out of the results",
            )),
        }
    }
}
