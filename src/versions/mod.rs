//! Which version of Claude Code or LiteLLM to use.
//!
//! [`resolve`] asks the registry or GitHub and installs nothing. The selection itself is pure (`claude_code`, `litellm`).

pub mod age;
pub mod claude_code;
pub mod litellm;
pub mod github;
pub mod published;

use chrono::{DateTime, Utc};

use self::age::Age;
use crate::toolchain::ToolEnvironment;
use crate::toolchain::npm::Registry;
use crate::toolchain::platform::CLAUDE_PACKAGE;

#[derive(Clone, Debug)]
pub enum WantedVersion {
    /// This version of `tool`, without a check.
    Given { tool: &'static str, version: String },
    /// The newest version of Claude Code that is at least `min_age` old at the time `at`.
    ClaudeCode { min_age: Age, at: DateTime<Utc> },
    /// The highest release of LiteLLM in `repository` that `filter` accepts, published by the time `by` if that is given.
    Litellm {
        filter: litellm::Filter,
        repository: String,
        by: Option<DateTime<Utc>>,
    },
}

impl WantedVersion {
    /// `version` of `tool` if it is given, else this one.
    pub fn unless_given(self, tool: &'static str, version: Option<String>) -> Self {
        version.map_or(self, |version| Self::Given { tool, version })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedVersion {
    /// The version; for LiteLLM its tag.
    pub version: String,
    /// One line that says why this version was selected.
    pub reason: String,
    /// The time since its publication, if the registry was asked.
    pub age: Option<Age>,
}

pub async fn resolve(wanted: &WantedVersion, tools: &ToolEnvironment) -> anyhow::Result<ResolvedVersion> {
    match wanted {
        WantedVersion::Given { tool, version } => Ok(ResolvedVersion {
            reason: format!("{tool} {version}, as given"),
            version: version.clone(),
            age: None,
        }),
        WantedVersion::ClaudeCode { min_age, at } => {
            let registry = Registry::find(tools).await?;
            let package = registry.package(CLAUDE_PACKAGE).await?;
            claude_code::select(&package, *min_age, *at)
        }
        WantedVersion::Litellm {
            filter,
            repository,
            by,
        } => {
            let releases = github::releases(tools, repository, Utc::now()).await?;
            litellm::select(&releases, filter, *by)
        }
    }
}
