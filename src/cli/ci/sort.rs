//! `compat ci sort`: the category of a log's failure, offline.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::ReportFormat;
use crate::ci::{CiLog, FailureCategory, report, sort};
use crate::cli::print::output;

/// Sort the log of a failed job: which kind of failure, and what to do
///
/// Reads a file or standard input, and needs no network: the log of any CI service, the output of `gh run view --log`, or a
/// part of a log. The categories are code, config, auth, parallel, external_api, timing, infrastructure and unknown; `none`
/// means that the log shows no failure.
///
/// The exit status is 0 for `none`, 4 for external_api and infrastructure, and 3 for every other failure.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat ci sort job.log\n  gh run view 123 --log-failed | compat ci sort --format json"
)]
pub struct Arguments {
    /// The log; standard input if it is missing or `-`
    pub file: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut bytes = Vec::new();
    match arguments.file.as_deref().filter(|file| file.as_os_str() != "-") {
        Some(file) => {
            bytes = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
        }
        None => {
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.context("cannot read the log from standard input")?;
        }
    }
    let sorted = sort(&CiLog::new(&String::from_utf8_lossy(&bytes)));
    let text = match arguments.format {
        ReportFormat::Text => report::sorted_text(&sorted),
        ReportFormat::Markdown => report::sorted_markdown(&sorted),
        ReportFormat::Json => serde_json::to_string_pretty(&sorted)?,
    };
    output!("{}", text.trim_end());
    Ok(ExitCode::from(match sorted.category {
        FailureCategory::None => 0,
        category if category.is_external() => 4,
        _ => 3,
    }))
}
