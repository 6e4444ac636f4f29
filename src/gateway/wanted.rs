//! The gateway that a run asks for: `litellm`, `litellm@1.101.0`, `none`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;

use super::{CatalogueGateway, LITELLM};
use crate::catalogue::Configuration;
use crate::toolchain::ToolVersion;

/// The name for a run without a gateway.
pub const NO_GATEWAY: &str = "none";

/// A gateway by its name, at a version if one is given. Without one it is the pinned version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedGateway {
    pub name: String,
    pub version: Option<ToolVersion>,
}

/// The gateway and the Claude Code of a run.
#[derive(Clone, Debug)]
pub struct WantedTools {
    pub gateway: WantedGateway,
    /// `None` for the pinned version.
    pub claude: Option<ToolVersion>,
    /// Requirements that replace those of the gateway's packages.
    pub overrides: Option<PathBuf>,
    /// The gateway as the catalogue has it; `None` for LiteLLM, an attached gateway and a control run.
    pub catalogue: Option<CatalogueGateway>,
    /// `None` for the gateway's usual configuration.
    pub configuration: Option<Configuration>,
    /// Headers of each request to an attached gateway.
    pub headers: Vec<(String, String)>,
}

impl WantedTools {
    /// The pinned tools.
    pub fn pinned() -> Self {
        Self {
            gateway: WantedGateway::pinned(),
            claude: None,
            overrides: None,
            catalogue: None,
            configuration: None,
            headers: Vec::new(),
        }
    }

    /// Whether the gateway is the pinned one in its usual configuration, as a warm session has it.
    pub fn is_pinned_gateway(&self) -> bool {
        self.overrides.is_none() && self.configuration.is_none() && self.gateway == WantedGateway::pinned()
    }
}

impl WantedGateway {
    /// The pinned LiteLLM.
    pub fn pinned() -> Self {
        Self {
            name: LITELLM.to_owned(),
            version: None,
        }
    }

    /// The name of its file in `gateways/`, without the extension: `claude-code-router` is `claude_code_router`.
    pub fn file_name(&self) -> String {
        self.name.replace('-', "_")
    }

    /// Whether there is no gateway: a control run.
    pub fn is_none(&self) -> bool {
        self.name == NO_GATEWAY
    }
}

impl fmt::Display for WantedGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for WantedGateway {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version.parse()?)),
            None => (text, None),
        };
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(is_allowed) {
            return Err(format!(
                "`{name}` is not the name of a gateway: allowed are lower-case letters, digits, `-` and `_`, a letter first"
            ));
        }
        if name == NO_GATEWAY && version.is_some() {
            return Err(format!(
                "`{NO_GATEWAY}` stands for no gateway, so it has no version"
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }
}

/// Fails if `overrides` is given for a gateway whose packages it cannot replace.
pub fn ensure_override_fits(overrides: Option<&Path>, gateway: &WantedGateway) -> anyhow::Result<()> {
    let Some(file) = overrides else {
        return Ok(());
    };
    anyhow::ensure!(
        gateway.name == LITELLM,
        "`--override` replaces packages of `{LITELLM}` alone, not of `{}`: remove it",
        gateway.name
    );
    let read = std::fs::File::open(file).map(drop);
    read.with_context(|| {
        format!(
            "cannot read the requirements of `--override` in `{}`",
            file.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_has_a_name_and_may_have_a_version() {
        for (text, name, version) in [
            ("litellm", "litellm", None),
            ("litellm@1.101.0", "litellm", Some("1.101.0")),
            ("claude-gateway@2.1.327", "claude-gateway", Some("2.1.327")),
            ("litellm@1.83.3.post2", "litellm", Some("1.83.3.post2")),
            ("none", "none", None),
        ] {
            let wanted: WantedGateway = text.parse().unwrap();
            assert_eq!(wanted.name, name);
            assert_eq!(wanted.version.as_ref().map(ToolVersion::as_str), version);
            assert_eq!(wanted.to_string(), text);
        }
    }

    #[test]
    fn a_wrong_name_or_version_is_explained() {
        for (text, expected) in [
            ("", "`` is not the name of a gateway"),
            ("Lite LLM", "`Lite LLM` is not the name"),
            ("litellm@", "`` is not a version"),
            ("litellm@newest", "`newest` is not a version"),
            ("litellm@v1.101.0", "`v1.101.0` is not a version"),
            ("litellm@1.101.0;x", "`1.101.0;x` is not a version"),
            ("none@1.0.0", "`none` stands for no gateway"),
        ] {
            let error = text.parse::<WantedGateway>().unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
