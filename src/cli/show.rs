//! `compat show`: shows a recorded trial.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::evidence::{self, RecordedTrial, RunFlag};
use super::files::Output;
use super::print::{output_json, output_painted};
use super::project::RootFlag;
use crate::commands;
use crate::replay::messages::{self, Reach};
use crate::replay::timeline;
use crate::report::{self, Paint};
use crate::results::{TrialRecord, TrialResult};
use crate::text::printable;
use crate::wire::Route;
use crate::{env, wire_diff};

/// Show a recorded trial
///
/// Prints a timeline from Claude Code through the gateway to the provider and back, with times, sizes and the fields that
/// gateways lose. Then come the changes on the wire and the trial's result. The evidence is from the last run
/// (`compat-results.json`), from a kept run, or from the given folder. Starts nothing.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat show tool_use::bedrock_invoke::haiku\n  compat show target/compat/mutants/cache/breakpoints_lost/prompt_caching_5m/anthropic/haiku\n  compat show tool_use::bedrock_invoke::haiku --raw --turn 2\n  compat show tool_use::bedrock_invoke::haiku --run 3f9c2b\n  compat show tool_use::bedrock_invoke::haiku --curl | sh\n  compat show tool_use::bedrock_invoke::haiku --curl=provider --turn 2"
)]
pub struct Arguments {
    /// The trial, `feature::provider::tier`, or a folder of evidence
    pub trial: String,
    /// Show the HTTP messages instead: heads and bodies on both sides of the gateway, one event of a stream per line
    #[arg(long, conflicts_with_all = ["curl", "json"])]
    pub raw: bool,
    /// Show a `curl` command that repeats Claude Code's request to the gateway, or the gateway's request to the provider (or
    /// its simulator). Addresses and keys are variables
    #[arg(long, value_enum, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "gateway", conflicts_with = "json")]
    pub curl: Option<Where>,
    /// The number of the request, from 1: shows only its messages (`--raw`), or repeats it (`--curl`) [default: the first]
    #[arg(long, value_name = "NUMBER")]
    pub turn: Option<usize>,
    /// Write the timeline as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub run: RunFlag,
    #[command(flatten)]
    pub root: RootFlag,
}

/// Where a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Where {
    /// The gateway
    Gateway,
    /// The provider, or the provider simulator
    Provider,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let recorded = evidence::recorded(&arguments.trial, &arguments.root, &arguments.run)?;
    ensure!(
        arguments.turn.is_none() || arguments.raw || arguments.curl.is_some(),
        "`--turn` needs `--raw` or `--curl`"
    );
    if let Some(destination) = arguments.curl {
        Output::Standard.write(&curl(&recorded, destination, arguments.turn.unwrap_or(1))?)?;
    } else if arguments.raw {
        let text = messages::raw(&recorded.evidence, arguments.turn);
        ensure!(!text.is_empty(), nothing_recorded(&recorded, arguments.turn));
        Output::Standard.write(&match std::io::stdout().is_terminal() {
            true => printable(&text),
            false => text,
        })?;
    } else if arguments.json {
        let steps = timeline::steps(&recorded.evidence);
        let folder = recorded.folder.display().to_string();
        output_json(&json!({ "trial": recorded.name, "evidence": folder, "steps": steps }))?;
    } else {
        output_painted(timeline_of(&recorded).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

fn curl(recorded: &RecordedTrial, destination: Where, turn: usize) -> anyhow::Result<String> {
    let evidence = &recorded.evidence;
    let command = match destination {
        Where::Gateway => {
            messages::to_gateway(evidence, turn).map(|request| messages::curl(request, &reach_gateway()))
        }
        Where::Provider => messages::to_provider(evidence, turn)
            .map(|(request, route)| messages::curl(request, &reach_provider(route))),
    };
    command.with_context(|| nothing_recorded(recorded, Some(turn)))
}

fn reach_gateway() -> Reach {
    Reach {
        base: env::LITELLM_PROXY_BASE_URL,
        credentials: vec![bearer(env::LITELLM_PROXY_API_KEY)],
        hint: format!(
            "Set {} to the gateway's address and {} to a key that it accepts.",
            env::LITELLM_PROXY_BASE_URL,
            env::LITELLM_PROXY_API_KEY
        ),
    }
}

/// Uses the variables of the gateway's configuration.
fn reach_provider(route: Option<Route>) -> Reach {
    let simulator = "`compat provider serve --credentials FOLDER` starts the provider simulator; `. FOLDER/gateway.env` sets \
                     these variables.";
    match route {
        Some(route @ (Route::BedrockInvoke | Route::BedrockConverse | Route::BedrockMantle)) => Reach {
            base: match route {
                Route::BedrockMantle => env::BEDROCK_MANTLE_API_BASE,
                _ => env::AWS_BEDROCK_RUNTIME_ENDPOINT,
            },
            credentials: vec![
                format!("--aws-sigv4 \"aws:amz:${{{}}}:bedrock\"", env::AWS_REGION_NAME),
                format!(
                    "--user \"${{{}}}:${{{}}}\"",
                    env::AWS_ACCESS_KEY_ID,
                    env::AWS_SECRET_ACCESS_KEY
                ),
            ],
            hint: simulator.to_owned(),
        },
        Some(Route::VertexAi) => Reach {
            base: env::VERTEXAI_API_BASE,
            credentials: vec![bearer("ACCESS_TOKEN")],
            hint: format!(
                "Set ACCESS_TOKEN to an access token of the service account in {}.",
                env::VERTEXAI_CREDENTIALS
            ),
        },
        Some(Route::Azure) => Reach {
            base: env::AZURE_AI_API_BASE,
            credentials: vec![format!("-H \"x-api-key: ${{{}}}\"", env::AZURE_AI_API_KEY)],
            hint: simulator.to_owned(),
        },
        Some(Route::Anthropic) | None => Reach {
            base: env::ANTHROPIC_API_BASE,
            credentials: vec![format!("-H \"x-api-key: ${{{}}}\"", env::ANTHROPIC_API_KEY)],
            hint: simulator.to_owned(),
        },
    }
}

fn bearer(variable: &str) -> String {
    format!("-H \"authorization: Bearer ${{{variable}}}\"")
}

fn nothing_recorded(recorded: &RecordedTrial, turn: Option<usize>) -> String {
    let passages = recorded.evidence.sent.iter();
    let recorded = passages.filter(|passage| passage.turn.is_some()).count();
    match turn {
        Some(turn) if recorded > 0 => format!("there is no request {turn}: {recorded} were recorded"),
        _ => "no request was recorded: a live run, and a run without a gateway, records none".to_owned(),
    }
}

/// The trial's steps, the changes by the gateway and the report of its failure.
pub(super) fn timeline_of(recorded: &RecordedTrial) -> String {
    let mut out = heading(recorded);
    out.push_str(&printable(&timeline::text(&timeline::steps(&recorded.evidence))));
    if let Some(diff) = wire_diff::of_trial(&recorded.evidence) {
        out.push_str("\nchanges by the gateway\n");
        for line in printable(&diff.text())
            .lines()
            .take_while(|line| !line.is_empty())
        {
            let _ = writeln!(out, "  {line}");
        }
    }
    if let Some(failure) = recorded.result.as_ref().and_then(TrialRecord::failure) {
        let findings = report::findings(&failure, Some(&recorded.folder), Paint::Ansi);
        let _ = write!(out, "\n{findings}");
        if let Some(next) = &failure.next {
            let _ = writeln!(out, "hint: {}", printable(next));
        }
    }
    out.push_str("\nmore: `--raw` shows the HTTP messages, `--curl` repeats a request");
    if let Some(name) = &recorded.name {
        let flags = recorded
            .result
            .as_ref()
            .map_or("", |result| result.flags.as_str());
        let again = printable(&commands::run_alone(flags, name));
        let _ = write!(out, "; `{again}` runs it again");
    }
    out + "\n"
}

fn heading(recorded: &RecordedTrial) -> String {
    let name = recorded.name.as_ref();
    let name = name.map(|name| format!("{name}  ")).unwrap_or_default();
    let status = match recorded.result.as_ref().map(|result| &result.result) {
        None => "",
        Some(TrialResult::Pass {}) => "pass  ",
        Some(TrialResult::Fail { .. }) => "FAIL  ",
        Some(TrialResult::NotApplicable { .. }) => "not applicable  ",
    };
    let folder = recorded.folder.display().to_string();
    format!("{name}{status}{}\n\n", printable(&folder))
}
