//! The command line: libtest's flags, and ours for parts of a run, for what is run again, and for runs with a baseline.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, ValueEnum};
use compat_matrix::outcome::Cause;
use compat_matrix::plan::selection::{Axes, Names, Shard};
use compat_matrix::results::last::{LastFilter, LastStatus};
use libtest_mimic::{Arguments, ColorSetting, FormatSetting};

/// What the harness was asked for.
#[derive(Debug, Parser)]
#[command(
    name = "compat",
    disable_version_flag = true,
    override_usage = "cargo test --test compat -- [OPTIONS] [FILTER]...",
    next_help_heading = "Matrix",
    after_help = "\
Examples:
  cargo test --test compat -- tool_use vision              two rows
  cargo test --test compat -- --provider vertex_ai --tier haiku
  cargo test --test compat -- --rerun-failed               what failed last
  cargo test --test compat -- --status fail --cause gateway"
)]
pub struct CommandLine {
    /// Run one of N parts, from 1: every N-th trial, so that each feature and provider is spread over the parts
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
    /// Run only the trials that this file names, one a line: what a service that splits by timing hands out
    #[arg(long, value_name = "FILE")]
    pub trials: Option<PathBuf>,
    /// Filters by the manifest.
    #[command(flatten)]
    pub axes: Axes,
    /// Run only trials with this status in the last results; repeatable
    #[arg(long, value_name = "STATUS", value_parser = one_of(LastStatus::ALL))]
    pub status: Vec<LastStatus>,
    /// Run only trials that failed by this cause in the last results; repeatable
    #[arg(long, value_name = "CAUSE", value_parser = one_of(Cause::ALL.map(|cause| (cause.as_str(), cause))))]
    pub cause: Vec<Cause>,
    /// Run only what failed in the last results, and what a run that was broken off had not finished
    #[arg(long)]
    pub rerun_failed: bool,
    /// Fail on regressions against this matrix alone, and on entries of it that have had their day
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// What stands between Claude Code and the provider simulator: LiteLLM, or nothing, which shows that command line,
    /// cells and simulator are sane by themselves
    #[arg(long, value_enum, default_value_t)]
    pub gateway: GatewayChoice,
    /// Start everything anew, whatever `compat up` keeps warm
    #[arg(long)]
    pub cold: bool,
    /// Run the trials of a live run even where one minimal request to their alias fails
    #[arg(long)]
    pub no_preflight: bool,
    /// The flags that every Rust test has.
    #[command(flatten, next_help_heading = "Options")]
    pub libtest: Libtest,
}

/// The flags of libtest.
#[derive(Clone, Debug, Args)]
pub struct Libtest {
    /// Run only trials whose name contains any of these
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Take FILTER and `--skip` for whole names
    #[arg(long)]
    pub exact: bool,
    /// Leave out trials whose name contains this; may be given several times
    #[arg(long, value_name = "FILTER")]
    pub skip: Vec<String>,
    /// Take only the trials that are not applicable: each is reported with its reason, and starts nothing
    #[arg(long, conflicts_with = "include_ignored")]
    pub ignored: bool,
    /// Take all trials, also those that are not applicable, as without it
    #[arg(long)]
    pub include_ignored: bool,
    /// List the trials and run none
    #[arg(long)]
    pub list: bool,
    /// How many trials are under way at once [default: 32, most of which wait for a provider; or RUST_TEST_THREADS]
    #[arg(long, value_name = "N")]
    pub test_threads: Option<NonZeroUsize>,
    /// One character a trial: the same as `--format terse`
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,
    /// How the trials are told of
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<FormatSetting>,
    /// When to colour
    #[arg(long, value_enum, value_name = "WHEN")]
    pub color: Option<ColorSetting>,
    /// Write what libtest prints to this file
    #[arg(long, value_name = "FILE")]
    pub logfile: Option<String>,
    /// Run tests, not benchmarks: there are no others
    #[arg(long, conflicts_with = "bench")]
    pub test: bool,
    /// Run benchmarks, of which there are none
    #[arg(long)]
    pub bench: bool,
    /// Nothing is captured anyway
    #[arg(long, alias = "no-capture")]
    pub nocapture: bool,
    /// Nothing is captured anyway
    #[arg(long)]
    pub show_output: bool,
    /// Accepted as `cargo test` may pass it
    #[arg(short = 'Z', value_name = "OPTION", value_parser = ["unstable-options"])]
    pub unstable: Vec<String>,
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

fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    values: [(&'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(values.map(|(name, _)| name)).map(move |name| {
        let value = values.iter().find(|(known, _)| *known == name);
        value.expect("clap has checked the name").1
    })
}

/// Reads the command line; on a bad one it prints what is wrong and exits with status 2, as libtest does.
pub fn parse() -> CommandLine {
    CommandLine::parse()
}

impl CommandLine {
    /// The filters by name.
    pub fn names(&self) -> Names {
        Names {
            filters: self.libtest.filters.clone(),
            skipped: self.libtest.skip.clone(),
            exact: self.libtest.exact,
        }
    }

    /// Whether it is not one part of a run that is split over several machines.
    pub fn is_whole(&self) -> bool {
        self.shard.is_none() && self.trials.is_none()
    }

    /// The filters by the last results.
    pub fn last(&self) -> LastFilter {
        LastFilter {
            statuses: self.status.clone(),
            causes: self.cause.clone(),
            failed: self.rerun_failed,
        }
    }
}

impl Libtest {
    /// The same for libtest-mimic, with `threads` at once, for trials of which those that are selected have the flag
    /// `ignored`: it knows one filter alone, so the selection is made before it, and it counts the rest as filtered out.
    pub fn of_the_selected(&self, threads: usize) -> Arguments {
        Arguments {
            ignored: true,
            include_ignored: self.include_ignored,
            nocapture: self.nocapture,
            show_output: self.show_output,
            list: self.list,
            test: self.test,
            bench: self.bench,
            quiet: self.quiet,
            format: self.format,
            color: self.color,
            logfile: self.logfile.clone(),
            test_threads: Some(threads),
            ..Arguments::default()
        }
    }
}
