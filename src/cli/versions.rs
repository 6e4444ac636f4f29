//! `compat versions`: which version of Claude Code or LiteLLM to take.

use std::process::ExitCode;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand, ValueEnum};

use super::print::{data, talk};
use crate::process::RunId;
use crate::toolchain::ToolEnvironment;
use crate::toolchain::npm::Registry;
use crate::toolchain::platform::CLAUDE_PACKAGE;
use crate::versions::age::Age;
use crate::versions::github::GitHub;
use crate::versions::{claude_code, litellm};

/// Resolve which version of Claude Code or LiteLLM to take
///
/// Prints the bare version on standard output, and why it was selected on standard error.
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
    /// The newest version of Claude Code that has been out for long enough
    ///
    /// From the metadata of the package registry that the npm client uses: `NPM_CONFIG_REGISTRY`, `.npmrc`, else what
    /// `npm` answers. Pre-releases, deprecated and withdrawn versions do not count.
    #[command(
        after_long_help = "Examples:\n  compat versions claude-code\n  compat versions claude-code --min-age 36h\n  compat versions claude-code --at 2026-11-21"
    )]
    ClaudeCode {
        /// How long ago it must have been published: `3d`, `36h`, `0`
        #[arg(long, value_name = "AGE", default_value = "3d")]
        min_age: Age,
        /// Take this for the time that it is: `2026-11-21` or `2026-11-21T09:00:00Z`
        #[arg(long, value_name = "TIME", value_parser = time)]
        at: Option<DateTime<Utc>>,
    },
    /// The newest release of LiteLLM
    ///
    /// From GitHub's releases, all pages of them. A token in `GITHUB_TOKEN` or `GH_TOKEN` is used if there is one, which
    /// has a higher rate limit; `GITHUB_API_URL` names another server of the same API. Drafts and pre-releases do not
    /// count.
    #[command(
        after_long_help = "Examples:\n  compat versions litellm\n  compat versions litellm --channel final\n  compat versions litellm --pattern 'v1.83.*-stable'"
    )]
    Litellm {
        /// What the tag looks like, `*` for any text; patches such as `v1.83.3-stable.patch.2` count with what they patch
        #[arg(long, value_name = "PATTERN", conflicts_with = "channel")]
        pattern: Option<litellm::Pattern>,
        /// Which releases
        #[arg(long, value_enum, default_value_t = Channel::Stable)]
        channel: Channel,
        /// Only what was published by then: `2026-11-21` or `2026-11-21T09:00:00Z`
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

/// Runs `compat versions`.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new()?.block_on(run_async(arguments))
}

async fn run_async(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let surroundings = ToolEnvironment::new(crate::env::Environment::from_process(), RunId::mint());
    let (version, reason) = match arguments.command {
        Command::ClaudeCode { min_age, at } => {
            let package = Registry::find(&surroundings)
                .await?
                .package(CLAUDE_PACKAGE)
                .await?;
            let selected = claude_code::select(&package, min_age, at.unwrap_or_else(Utc::now))?;
            (selected.published.version.to_string(), selected.reason())
        }
        Command::Litellm {
            pattern,
            channel,
            at,
            repository,
        } => {
            let filter = filter(pattern, channel);
            let releases = GitHub::find(&surroundings)?
                .releases(&repository, Utc::now())
                .await?;
            let selected = litellm::select(&releases, &filter, at)?;
            (selected.release.tag_name.clone(), selected.reason())
        }
    };
    talk!("compat versions: {reason}");
    data!("{version}");
    Ok(ExitCode::SUCCESS)
}

/// The releases of a pattern, if one is given, else of a channel.
pub(super) fn filter(pattern: Option<litellm::Pattern>, channel: Channel) -> litellm::Filter {
    match (pattern, channel) {
        (Some(pattern), _) => litellm::Filter::Pattern(pattern),
        (None, Channel::Final) => litellm::Filter::Final,
        (None, Channel::Stable) => litellm::Filter::stable(),
    }
}

/// A time, or the beginning of a day, in UTC.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let day = || {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(day.and_time(NaiveTime::MIN).and_utc())
    };
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.to_utc())
        .or_else(day)
        .ok_or_else(|| "expected a time as in `2026-11-21T09:00:00Z`, or a day as in `2026-11-21`".to_owned())
}
