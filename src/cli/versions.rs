//! `compat versions`: which version of Claude Code or LiteLLM to use.

use std::process::ExitCode;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand, ValueEnum};

use super::print::{output, status};
use crate::env::Environment;
use crate::process::RunId;
use crate::toolchain::ToolEnvironment;
use crate::versions::age::Age;
use crate::versions::litellm::{Filter, Pattern};
use crate::versions::{self, WantedVersion};

/// Resolve which version of Claude Code or LiteLLM to use
///
/// Prints the bare version on standard output, and the reason on standard error.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compat versions claude-code                       the newest that is at least three days old
  compat versions claude-code --min-age 0           the newest
  compat versions litellm                           the newest tag like `v*-stable`
  compat versions litellm --channel final           the newest tag like `v1.106.0`
  compat versions litellm --pattern 'v1.83.*-stable'")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The newest version of Claude Code that is old enough
    ///
    /// Reads the metadata in the package registry of the npm client: `NPM_CONFIG_REGISTRY`, `.npmrc`, else the answer of
    /// `npm`. Pre-releases, deprecated and withdrawn versions do not count.
    #[command(
        after_long_help = "Examples:\n  compat versions claude-code\n  compat versions claude-code --min-age 36h\n  compat versions claude-code --at 2026-11-21"
    )]
    ClaudeCode {
        /// How long ago it must have been published: `3d`, `36h`, `0`
        #[arg(long, value_name = "AGE", default_value = "3d")]
        min_age: Age,
        /// Use this time instead of now: `2026-11-21` or `2026-11-21T09:00:00Z`
        #[arg(long, value_name = "TIME", value_parser = time)]
        at: Option<DateTime<Utc>>,
    },
    /// The newest release of LiteLLM
    ///
    /// Reads all pages of GitHub's releases. A token in `GITHUB_TOKEN` or `GH_TOKEN` gives a higher rate limit;
    /// `GITHUB_API_URL` names another server of the same API. Drafts and pre-releases do not count.
    #[command(
        after_long_help = "Examples:\n  compat versions litellm\n  compat versions litellm --channel final\n  compat versions litellm --pattern 'v1.83.*-stable'"
    )]
    Litellm {
        /// A pattern for the tag, `*` for any text; also matches patches such as `v1.83.3-stable.patch.2`
        #[arg(long, value_name = "PATTERN", conflicts_with = "channel")]
        pattern: Option<Pattern>,
        /// Which releases
        #[arg(long, value_enum, default_value_t = Channel::Stable)]
        channel: Channel,
        /// Only releases published by this time: `2026-11-21` or `2026-11-21T09:00:00Z`
        #[arg(long, value_name = "TIME", value_parser = time)]
        at: Option<DateTime<Utc>>,
        /// The repository, as `owner/name`
        #[arg(long, value_name = "REPOSITORY", default_value = "BerriAI/litellm")]
        repository: String,
    },
}

/// Which tags are releases.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(super) enum Channel {
    /// Tags that are a bare version, `v1.106.0`
    Final,
    /// Tags like `v*-stable`
    Stable,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let wanted = match arguments.command {
        Command::ClaudeCode { min_age, at } => WantedVersion::ClaudeCode {
            min_age,
            at: at.unwrap_or_else(Utc::now),
        },
        Command::Litellm {
            pattern,
            channel,
            at,
            repository,
        } => WantedVersion::Litellm {
            filter: filter(pattern, channel),
            repository,
            by: at,
        },
    };
    let tools = ToolEnvironment::new(Environment::from_process(), RunId::mint());
    let runtime = tokio::runtime::Runtime::new()?;
    let resolved = runtime.block_on(versions::resolve(&wanted, &tools))?;
    status!("compat versions: {}", resolved.reason);
    output!("{}", resolved.version);
    Ok(ExitCode::SUCCESS)
}

/// The filter for the pattern if there is one, else for the channel.
pub(super) fn filter(pattern: Option<Pattern>, channel: Channel) -> Filter {
    match (pattern, channel) {
        (Some(pattern), _) => Filter::Pattern(pattern),
        (None, Channel::Final) => Filter::Final,
        (None, Channel::Stable) => Filter::stable(),
    }
}

/// A time, or the beginning of a day, in UTC.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(day) => Ok(day.and_time(NaiveTime::MIN).and_utc()),
        Err(_) => Err("expected a time as in `2026-11-21T09:00:00Z`, or a day as in `2026-11-21`".to_owned()),
    }
}
