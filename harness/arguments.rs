//! The command line: libtest's flags, and ours for parts of a run and for runs with a baseline.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use compat_matrix::selection::Shard;
use libtest_mimic::Arguments;

/// What the harness was asked for.
#[derive(Debug, Parser)]
#[command(
    name = "compat",
    disable_version_flag = true,
    override_usage = "cargo test --test compat -- [OPTIONS] [FILTER]",
    next_help_heading = "Matrix"
)]
pub struct CommandLine {
    /// Run one of N parts, from 1: every N-th trial, so that each feature and provider is spread over the parts
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
    /// Run only the trials that this file names, one a line: what a service that splits by timing hands out
    #[arg(long, value_name = "FILE")]
    pub trials: Option<PathBuf>,
    /// Fail on regressions against this matrix alone, and on entries of it that have had their day
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// What stands between Claude Code and the provider simulator: LiteLLM, or nothing, which shows that command line,
    /// cells and simulator are sane by themselves
    #[arg(long, value_enum, default_value_t)]
    pub gateway: GatewayChoice,
    /// Run the trials of a live run even where one minimal request to their alias fails
    #[arg(long)]
    pub no_preflight: bool,
    /// The flags that every Rust test has.
    #[command(flatten, next_help_heading = "Options")]
    pub libtest: Arguments,
}

/// What stands between Claude Code and the provider simulator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GatewayChoice {
    /// A LiteLLM proxy, or the gateway that `LITELLM_PROXY_BASE_URL` names.
    #[default]
    Litellm,
    /// Nothing: the control.
    None,
}

/// Reads the command line; on a bad one it prints what is wrong and exits with status 2, as libtest does.
pub fn parse() -> CommandLine {
    CommandLine::parse()
}
