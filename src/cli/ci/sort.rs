//! `compat ci sort`: the category of a log's failure, offline.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use super::ReportFormat;
use crate::ci::{CiLog, FailureCategory, report, sort};
use crate::cli::print::try_output_line;

/// Sort the log of a failed job: which kind of failure, and what to do
///
/// Reads a file or standard input, and needs no network: the log of any CI service, the output of `gh run view --log`, or a
/// part of a log. The categories are code, config, auth, parallel, external_api, timing, infrastructure and unknown; `none`
/// means that the log ends with a pass.
///
/// The exit status is 0 for `none`, 4 for external_api and infrastructure, 3 for every other failure, and 1 for a log that is
/// empty or no text.
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
    let sorted = sort(&CiLog::new(&text_of(&bytes)?));
    let text = match arguments.format {
        ReportFormat::Text => report::sorted_text(&sorted),
        ReportFormat::Markdown => report::sorted_markdown(&sorted),
        ReportFormat::Json => serde_json::to_string_pretty(&sorted)?,
    };
    try_output_line(format_args!("{}", text.trim_end())).context("cannot write the verdict")?;
    Ok(ExitCode::from(match sorted.category {
        FailureCategory::None => 0,
        category if category.is_external() => 4,
        _ => 3,
    }))
}

/// The text of a log. Windows tools write UTF-16, with a byte order mark.
fn text_of(bytes: &[u8]) -> anyhow::Result<String> {
    let utf16 = |of_pair: fn([u8; 2]) -> u16| {
        let pairs = bytes[2..].chunks_exact(2);
        let units: Vec<u16> = pairs.map(|pair| of_pair([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    };
    if text.contains('\0') {
        bail!("the log is no text: it contains NUL bytes. Give the text of a job's log");
    }
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        bail!("the log is empty: nothing shows whether the job passed. Give the text of a job's log");
    }
    Ok(text)
}
