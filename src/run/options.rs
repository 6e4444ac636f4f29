//! The settings of a run: a group of flags of the harness.

use std::path::PathBuf;

use clap::Args;

use crate::cells::limits::NamedLimit;
use crate::claude::ClientFormat;
use crate::env;
use crate::isolation::IsolationLevel;
use crate::plan::selection::{Axes, Names, Shard};
use crate::results::last::LastFilter;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Matrix")]
pub struct RunOptions {
    /// Run one of N parts, from 1: every N-th trial, so that each part has trials of each feature and provider
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
    /// Run only the trials that this file lists, one on each line, for services that split by timing
    #[arg(long, value_name = "FILE")]
    pub trials: Option<PathBuf>,
    #[command(flatten)]
    pub axes: Axes,
    #[command(flatten)]
    pub last: LastFilter,
    /// Fail only on regressions against this matrix, on findings that it does not have, and on stale entries of it. Its findings
    /// are those of `compatibility-details.json` beside it
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// The gateway: LiteLLM (or the gateway at `LITELLM_PROXY_BASE_URL`), or none, as a control of Claude Code, the cells
    /// and the simulator
    #[arg(long, value_parser = ["litellm", "none"], default_value = "litellm")]
    pub gateway: String,
    /// The API in which Claude Code calls the gateway: the Messages API, the gateway's pass-through below `/anthropic`, or the
    /// provider's own API. The last two run the columns that have them
    #[arg(long, value_name = "FORMAT", value_parser = ["messages", "passthrough", "provider"], default_value = "messages")]
    pub client_format: String,
    /// The name of an attached gateway. The known findings are those of `gateways/NAME.yaml`
    #[arg(long, value_name = "NAME", env = env::COMPAT_GATEWAY_NAME)]
    pub gateway_name: Option<String>,
    /// Start a new session, even if `compat up` has started a warm one
    #[arg(long)]
    pub cold: bool,
    /// In a live run, run the trials of an alias even if one minimal request to it fails
    #[arg(long)]
    pub no_preflight: bool,
    /// Start no trial unless each `claude` is confined at least this strongly: `none`, `process`, `landlock` or `full`
    #[arg(long, value_name = "LEVEL", default_value_t = IsolationLevel::None)]
    pub require_isolation: IsolationLevel,
    /// Confine each `claude` at most this strongly
    #[arg(long, value_name = "LEVEL", default_value_t = IsolationLevel::Full)]
    pub isolation: IsolationLevel,
    /// In a live run, send a provider at most so many requests, and tokens, a minute for each model: `any=50`,
    /// `bedrock_invoke=20`, `anthropic/opus=20/40000`. It goes before the manifest's `limits`
    #[arg(long = "limit", value_name = "NAME=REQUESTS[/TOKENS]")]
    pub limits: Vec<NamedLimit>,
    /// In a live run, start no trial that may pass this sum, by the prices of `prices.yaml`. `--rerun-failed` goes on later
    #[arg(long, value_name = "USD", value_parser = dollars)]
    pub max_cost: Option<f64>,
    #[command(flatten, next_help_heading = "Options")]
    pub names: Names,
    /// Run only the trials that are not applicable: each is reported with its reason and starts nothing
    #[arg(long, conflicts_with = "include_ignored")]
    pub ignored: bool,
    /// Run benchmarks: there are none
    #[arg(long)]
    pub bench: bool,
}

fn dollars(text: &str) -> Result<f64, String> {
    let dollars = text
        .parse::<f64>()
        .ok()
        .filter(|dollars| dollars.is_finite() && *dollars > 0.0);
    dollars
        .ok_or_else(|| format!("`{text}` is no sum of US dollars: expected a number over 0, such as `12.50`"))
}

impl RunOptions {
    /// Whether the run is a control run, without a gateway.
    pub fn is_control(&self) -> bool {
        self.gateway == "none"
    }

    pub fn client_format(&self) -> ClientFormat {
        ClientFormat::called(&self.client_format)
    }

    /// Whether this is not one part of a run on several machines.
    pub fn is_whole(&self) -> bool {
        self.shard.is_none() && self.trials.is_none()
    }
}
