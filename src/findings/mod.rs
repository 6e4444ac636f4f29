//! Findings: what a gateway breaks. A finding is the same in every cell in which it shows.
//!
//! Pure. A [`Subject`] identifies a finding within a provider's column. [`KnownFindings`] is the list of those that a gateway
//! is known to have (`gateways/<name>.yaml`); [`summary`] groups the findings of a run.
#![warn(clippy::disallowed_methods)]

mod range;
mod subject;
mod known;
mod gateway_file;
pub mod loses;
pub mod proposal;
pub mod summary;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use gateway_file::{GATEWAY_FORM, GatewayDescription, MatrixNames, PAGES};
pub use known::{KnownFinding, KnownFindings, KnownForRun, Versions};
pub use range::VersionRange;
pub use subject::{Subject, SubjectError, SubjectPattern};

/// Who notices a broken expectation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    #[default]
    /// A person who uses Claude Code notices: a reply, a tool, thinking, usage or the exit is wrong.
    Feature,
    /// The contract between Claude Code and gateways is broken; the feature still works.
    Contract,
}

impl Level {
    pub fn is_feature(&self) -> bool {
        *self == Self::Feature
    }
}

/// What a gateway breaks in one trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What it is about: `request beta NAME dropped`, `expectation NAME` or `expectation FEATURE::NAME`.
    #[schemars(with = "String")]
    pub subject: Subject,
    /// Who notices it.
    pub level: Level,
    /// The expectation that found it.
    pub expectation: String,
    /// What broke, in one line.
    pub summary: String,
    /// What the user of Claude Code loses, in one sentence.
    pub loses: String,
    /// Whether the gateway is known to break it.
    pub status: FindingStatus,
    /// The declaration in `gateways/<name>.yaml`, if one matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Declared>,
}

/// A declaration of a known finding, for readers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// Its name in `gateways/<name>.yaml`.
    pub name: String,
    /// Why the gateway breaks it.
    pub reason: String,
    /// The page about it.
    pub link: String,
    /// The gateway's versions that show it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    /// What avoids it, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workaround: Option<String>,
}

impl Finding {
    /// See [`FindingStatus::in_words`].
    pub fn status_in_words(&self) -> String {
        self.status.in_words(self.known.as_ref())
    }
}

impl FindingStatus {
    pub fn is_new(&self) -> bool {
        *self == Self::New
    }

    pub fn is_known(self) -> bool {
        self == Self::Known
    }

    /// `new`, or `known as NAME (LINK): REASON`: the only wording of it, for all reports.
    pub fn in_words(self, known: Option<&Declared>) -> String {
        let range = match self {
            Self::OutsideRange => ", but not measured with this version",
            Self::New | Self::Known => "",
        };
        match known {
            Some(Declared {
                name, reason, link, ..
            }) => format!("known as {name}{range} ({link}): {reason}"),
            None => "new".to_owned(),
        }
    }
}

/// Whether a gateway is known to break something.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FindingStatus {
    #[default]
    /// No declaration matches. It fails the run.
    New,
    /// A declaration matches, but not for this version, or the version is unknown. It is noted.
    OutsideRange,
    /// A declaration matches. It does not fail the run.
    Known,
}
