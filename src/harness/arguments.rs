//! The command line: the flags of a run, and the flags of libtest.

use std::num::NonZeroUsize;

use clap::{Args, Parser};
use libtest_mimic::{Arguments, ColorSetting, FormatSetting};

use crate::report::Paint;
use crate::run::RunOptions;

/// Run the matrix
#[derive(Debug, Parser)]
#[command(
    name = "compat",
    disable_version_flag = true,
    override_usage = "cargo test --test compat -- [OPTIONS] [FILTER]...",
    after_help = "\
Examples:
  cargo test --test compat -- tool_use vision              two rows
  cargo test --test compat -- --provider vertex_ai --tier haiku
  cargo test --test compat -- --rerun-failed               the trials that failed last
  cargo test --test compat -- --status fail --cause gateway"
)]
pub struct CommandLine {
    #[command(flatten)]
    pub run: RunOptions,
    #[command(flatten, next_help_heading = "Options")]
    pub libtest: Libtest,
}

#[derive(Clone, Debug, Args)]
pub struct Libtest {
    /// Include the trials that are not applicable (the default)
    #[arg(long)]
    pub include_ignored: bool,
    /// List the trials and run none
    #[arg(long)]
    pub list: bool,
    /// Trials that run at once [default: 32, since most wait for a provider; or RUST_TEST_THREADS]
    #[arg(long, value_name = "N", value_parser = crate::text::number_from_one::<NonZeroUsize>)]
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
    /// No effect: output is never captured
    #[arg(long, alias = "no-capture")]
    pub nocapture: bool,
    /// No effect: output is never captured
    #[arg(long)]
    pub show_output: bool,
    /// No effect: accepted because test runners may pass it
    #[arg(short = 'Z', value_name = "OPTION", value_parser = ["unstable-options"])]
    pub unstable: Vec<String>,
}

impl Libtest {
    /// Whether stdout has the long format, which the matrix may follow.
    pub fn is_for_readers(&self) -> bool {
        !self.quiet && !matches!(self.format, Some(FormatSetting::Json | FormatSetting::Terse))
    }

    pub fn paint(&self) -> Paint {
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
    /// `ignored`, and it counts the others as filtered out. It writes into `output`.
    pub(super) fn for_selected(&self, threads: usize, output: String, is_coloured: bool) -> Arguments {
        Arguments {
            ignored: true,
            quiet: self.quiet,
            format: self.format,
            logfile: Some(output),
            color: Some(match is_coloured {
                true => ColorSetting::Always,
                false => ColorSetting::Never,
            }),
            test_threads: Some(threads),
            ..Arguments::default()
        }
    }
}
