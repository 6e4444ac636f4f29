//! The flags that `compat bisect` and `compat history` share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::catalogue::DEFAULT;
use crate::env::Environment;
use crate::gateway::{WantedGateway, WantedTools, ensure_override_fits};
use crate::plan::selection::{Axes, Names};
use crate::run::versioned::{VersionedRuns, VersionedTool};

const CLAUDE_CODE: &str = "Claude Code";

/// The tool whose versions are compared, and the tools that stay.
#[derive(Args, Debug)]
#[command(next_help_heading = "Versions")]
pub struct VersionedFlags {
    /// Compare versions of this gateway; with `--claude`, the gateway of all runs
    #[arg(long, value_name = "NAME[@VERSION]", default_value = "litellm")]
    gateway: WantedGateway,
    /// Compare versions of Claude Code, not of the gateway
    #[arg(long)]
    claude: bool,
    /// A configuration of the gateway, as `gateways/NAME.yaml` has it
    #[arg(long, value_name = "NAME", default_value = DEFAULT)]
    config: String,
    /// Requirements that replace those of the gateway's packages, for versions that do not start with their own. In the format
    /// of `uv --override`
    #[arg(long = "override", value_name = "FILE")]
    overrides: Option<PathBuf>,
}

impl VersionedFlags {
    /// The runs of the trials that `axes` and `names` select, with results and evidence below `target/compat/versions`.
    pub fn runs(&self, root: &Path, axes: Axes, names: Names) -> anyhow::Result<VersionedRuns> {
        let tool = match self.claude {
            true => VersionedTool::Claude,
            false => VersionedTool::Gateway,
        };
        anyhow::ensure!(
            tool == VersionedTool::Claude || self.gateway.version.is_none(),
            "`--gateway {}` has one version, and this command compares several: name the gateway alone",
            self.gateway
        );
        ensure_override_fits(self.overrides.as_deref(), &self.gateway)?;
        let root = std::path::absolute(root)?;
        let name = match tool {
            VersionedTool::Claude => "claude",
            VersionedTool::Gateway => &self.gateway.name,
        };
        let runs = VersionedRuns {
            environment: Environment::from_process(),
            tool,
            tools: WantedTools {
                gateway: self.gateway.clone(),
                claude: None,
                overrides: self.overrides.clone(),
                ..WantedTools::pinned()
            },
            pairs: BTreeMap::new(),
            config: self.config.clone(),
            axes,
            names,
            folder: root.join("target/compat/versions").join(name),
            root,
        };
        runs.check()?;
        Ok(runs)
    }

    /// The name of the compared tool, for readers.
    pub fn tool_name(&self) -> &str {
        match self.claude {
            true => CLAUDE_CODE,
            false => &self.gateway.name,
        }
    }

    /// The name of the tool that stays, for readers.
    pub fn other_tool_name(&self) -> &str {
        match self.claude {
            true => &self.gateway.name,
            false => CLAUDE_CODE,
        }
    }
}
