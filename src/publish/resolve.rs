//! Which versions a run is of: the newest release of LiteLLM, the newest `claude`.
//!
//! A version that is given is taken as it is. Installs nothing.

use chrono::{TimeDelta, Utc};

use crate::toolchain::ToolEnvironment;
use crate::toolchain::npm::Registry;
use crate::toolchain::platform::CLAUDE_PACKAGE;
use crate::versions::age::Age;
use crate::versions::claude_code::{self, NoEligibleVersion};
use crate::versions::github::{GitHub, GitHubError};
use crate::versions::litellm::{self, Filter, NoRelease};

/// A version, and why this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The version: of LiteLLM its tag.
    pub version: String,
    pub reason: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    NoRelease(#[from] NoRelease),
    #[error(transparent)]
    Registry(#[from] anyhow::Error),
    #[error(transparent)]
    NoVersion(#[from] NoEligibleVersion),
}

impl Resolved {
    fn given(what: &str, version: String) -> Self {
        Self {
            reason: format!("{what} {version}, as given"),
            version,
        }
    }
}

/// The tag of LiteLLM: the one that is given, else the highest of `repository` that `filter` takes.
pub async fn litellm(
    given: Option<String>,
    repository: &str,
    filter: &Filter,
    surroundings: &ToolEnvironment,
) -> Result<Resolved, ResolveError> {
    if let Some(tag) = given {
        return Ok(Resolved::given("LiteLLM", tag));
    }
    let releases = GitHub::find(surroundings)?
        .releases(repository, Utc::now())
        .await?;
    let selected = litellm::select(&releases, filter, None)?;
    Ok(Resolved {
        reason: selected.reason(),
        version: selected.release.tag_name,
    })
}

/// The version of `claude`: the one that is given, else the newest, however young.
pub async fn claude(given: Option<String>, surroundings: &ToolEnvironment) -> Result<Resolved, ResolveError> {
    if let Some(version) = given {
        return Ok(Resolved::given(CLAUDE_PACKAGE, version));
    }
    let package = Registry::find(surroundings)
        .await?
        .package(CLAUDE_PACKAGE)
        .await?;
    let selected = claude_code::select(&package, Age(TimeDelta::zero()), Utc::now())?;
    Ok(Resolved {
        reason: selected.reason(),
        version: selected.published.version.to_string(),
    })
}
