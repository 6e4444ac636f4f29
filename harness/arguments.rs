//! The command line: the flags of libtest, and the flags of the matrix.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser};
use compat_matrix::plan::selection::{Axes, Names, Shard};
use compat_matrix::report::Paint;
use compat_matrix::results::last::LastFilter;
use compat_matrix::run::RunOptions;
use libtest_mimic::{Arguments, ColorSetting, FormatSetting};

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
  cargo test --test compat -- --rerun-failed               the trials that failed last
  cargo test --test compat -- --status fail --cause gateway"
)]
pub struct CommandLine {
    /// Run one of N parts, from 1: every N-th trial, so that each part has trials of each feature and provider
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
    /// Run only the trials that this file lists, one on each line, as from a service that splits by timing
    #[arg(long, value_name = "FILE")]
    pub trials: Option<PathBuf>,
    #[command(flatten)]
    pub axes: Axes,
    #[command(flatten)]
    pub last: LastFilter,
    /// Fail only on regressions against this matrix, and on stale entries of it
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// The gateway: LiteLLM (or the one that `LITELLM_PROXY_BASE_URL` names), or none, to test Claude Code, cells and
    /// simulator alone
    #[arg(long, value_parser = ["litellm", "none"], default_value = "litellm")]
    pub gateway: String,
    /// Start a new session, even if `compat up` has started a warm one
    #[arg(long)]
    pub cold: bool,
    /// In a live run, run the trials of an alias even if one minimal request to it fails
    #[arg(long)]
    pub no_preflight: bool,
    #[command(flatten, next_help_heading = "Options")]
    pub libtest: Libtest,
}

#[derive(Clone, Debug, Args)]
pub struct Libtest {
    #[command(flatten)]
    pub names: Names,
    /// Run only the trials that are not applicable: each is reported with its reason and starts nothing
    #[arg(long, conflicts_with = "include_ignored")]
    pub ignored: bool,
    /// Include the trials that are not applicable (the default)
    #[arg(long)]
    pub include_ignored: bool,
    /// List the trials and run none
    #[arg(long)]
    pub list: bool,
    /// Trials that run at once [default: 32, since most wait for a provider; or RUST_TEST_THREADS]
    #[arg(long, value_name = "N")]
    pub test_threads: Option<NonZeroUsize>,
    /// Print one character for each trial: the same as `--format terse`
    #[arg(short, long, conflicts_with = "format")]
    pub quiet: bool,
    /// Output format
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<FormatSetting>,
    /// When to use colour
    #[arg(long, value_enum, value_name = "WHEN")]
    pub color: Option<ColorSetting>,
    /// Write the output of libtest to this file
    #[arg(long, value_name = "FILE")]
    pub logfile: Option<String>,
    /// Run tests, not benchmarks: there are no benchmarks
    #[arg(long, conflicts_with = "bench")]
    pub test: bool,
    /// Run benchmarks: there are none
    #[arg(long)]
    pub bench: bool,
    /// No effect: output is never captured
    #[arg(long, alias = "no-capture")]
    pub nocapture: bool,
    /// No effect: output is never captured
    #[arg(long)]
    pub show_output: bool,
    /// No effect: accepted because `cargo test` may pass it
    #[arg(short = 'Z', value_name = "OPTION", value_parser = ["unstable-options"])]
    pub unstable: Vec<String>,
}

impl CommandLine {
    pub fn run_options(&self) -> RunOptions {
        RunOptions {
            shard: self.shard,
            trials: self.trials.clone(),
            names: self.libtest.names.clone(),
            axes: self.axes.clone(),
            last: self.last.clone(),
            not_applicable: self.libtest.ignored,
            benchmarks: self.libtest.bench,
            control: self.gateway == "none",
            cold: self.cold,
            no_preflight: self.no_preflight,
            baseline: self.baseline.clone(),
            paint: self.libtest.paint(),
            compat: option_env!("CARGO_BIN_EXE_compat").map(PathBuf::from),
        }
    }
}

impl Libtest {
    /// Whether stdout has the long format, which the matrix may follow.
    pub fn is_for_readers(&self) -> bool {
        !self.quiet && !matches!(self.format, Some(FormatSetting::Json | FormatSetting::Terse))
    }

    fn paint(&self) -> Paint {
        let is_coloured = match self.color {
            Some(ColorSetting::Always) => true,
            Some(ColorSetting::Never) => false,
            Some(ColorSetting::Auto) | None => {
                anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
            }
        };
        if is_coloured { Paint::Ansi } else { Paint::Plain }
    }

    /// The arguments for libtest-mimic. It has only one filter, so we select before it: the selected trials have the flag
    /// `ignored`, and it counts the others as filtered out.
    pub fn for_selected(&self, threads: usize) -> Arguments {
        Arguments {
            ignored: true,
            quiet: self.quiet,
            format: self.format,
            color: self.color,
            logfile: self.logfile.clone(),
            test_threads: Some(threads),
            ..Arguments::default()
        }
    }
}
