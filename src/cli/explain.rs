//! `compat explain`: shows the keys of a cell, each with its file and line. Starts nothing.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::files::Output;
use super::print::output_wrapped;
use super::project::{InvalidFiles, RootFlag};
use crate::cells::Origin;
use crate::claude::{Endpoint, Invocation};
use crate::commands;
use crate::env::{Secret, Variables};
use crate::expectation::Expectation;
use crate::files::Project;
use crate::ids::{CellId, FeatureId, ProviderId, TierId, TrialKey, TrialName};
use crate::plan::{Planned, selection};
use crate::process::RunId;
use crate::text::{listed, shell_word, suggestion};

/// Show all keys of a cell
///
/// Shows the merged keys of a cell, each with its file and line: prompts, flags, variables, replies of the simulated provider, and
/// expectations. For a trial it also shows the command line and the environment of Claude Code. GATEWAY, KEY, FOLDER and SESSION
/// are placeholders for values that each run creates. Starts nothing. The exit status is 3 if the cell has errors.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat explain tool_use::bedrock_invoke\n  compat explain extended_thinking::vertex_ai::opus\n  compat explain vision::anthropic::haiku --json"
)]
pub struct Arguments {
    /// The cell or trial: `feature::provider` or `feature::provider::tier`
    pub name: String,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub root: RootFlag,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let project = arguments.root.open()?;
    let (id, tier) = find(&project, &arguments.name)?;
    let tiers = match tier {
        Some(tier) => vec![tier],
        None => project.manifest.tier_ids(),
    };
    let cell = project.cell(&id).map_err(InvalidFiles)?;
    let explained = Explained {
        origins: project.origins(&id).map_err(InvalidFiles)?,
        expectations: cell.test().map_or(&[], |test| &test.expectations),
        trials: tiers
            .iter()
            .filter_map(|tier| ExplainedTrial::new(&project, id.trial(tier)))
            .collect(),
        tiers,
        id,
    };
    match arguments.json {
        true => Output::Standard.write(&format!("{:#}\n", explained.json()))?,
        false => output_wrapped(explained.text().trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}

fn find(project: &Project, name: &str) -> anyhow::Result<(CellId, Option<TierId>)> {
    let cells = project.cells();
    let names: Vec<String> = cells.iter().map(ToString::to_string).collect();
    let parts: Vec<&str> = name.split("::").collect();
    let (feature, provider, tier) = match parts[..] {
        [feature, provider] => (feature, provider, None),
        [feature, provider, tier] => (feature, provider, Some(TierId::new(tier))),
        _ => bail!(
            "`{name}` is not a cell or trial, expected `feature::provider` or `feature::provider::tier`{}",
            selection::did_you_mean(name, &names)
        ),
    };
    let id = CellId::new(&FeatureId::new(feature), &ProviderId::new(provider));
    if !cells.contains(&id) {
        if project.missing().contains(&id) {
            bail!(
                "`{id}` has no file: create `{}`",
                Project::cell_file(&id).display()
            );
        }
        let similar = suggestion(&id.to_string(), names.iter().map(String::as_str));
        bail!("there is no cell `{id}`{similar}");
    }
    if let Some(tier) = tier.as_ref().filter(|tier| project.manifest.tier(tier).is_none()) {
        let tiers = project.manifest.tiers.iter().map(|tier| tier.id.as_str());
        bail!(
            "the manifest has no tier `{tier}`, its tiers are {}",
            listed(tiers)
        );
    }
    Ok((id, tier))
}

/// How a trial runs, with words for the values that each run creates.
struct ExplainedTrial {
    name: TrialName,
    alias: String,
    argv: Vec<String>,
    environment: Vec<(String, String)>,
}

impl ExplainedTrial {
    /// `None` if the trial does not run.
    fn new(project: &Project, name: TrialName) -> Option<Self> {
        let Planned::Run(planned) = project.plan(None, &name) else {
            return None;
        };
        let test = planned.test();
        let invocation = Invocation {
            program: "claude".into(),
            run: RunId(Uuid::nil()),
            key: TrialKey(Uuid::nil()),
            model: planned.alias.clone(),
            prompts: test.prompts.clone(),
            workspace: test.workspace.clone(),
            mcp_program: "compat".into(),
            flags: test.flags.clone(),
            expects_failures: test.expects_failures(&name.tier),
            variables: test.env.clone(),
            endpoint: match test.subscription {
                true => Endpoint::Subscription {
                    base_url: "GATEWAY".to_owned(),
                    oauth_token: Secret::new("SUBSCRIPTION"),
                    token: Secret::new("KEY"),
                },
                false => Endpoint::Gateway {
                    base_url: "GATEWAY".to_owned(),
                    token: Secret::new("KEY"),
                },
            },
            folder: "FOLDER".into(),
            inherited: Variables::default(),
            deadline: Duration::from_secs(test.timeout_seconds),
            waits: Default::default(),
            cage: None,
        };
        let session = Uuid::nil().to_string();
        let in_words = |text: &OsStr| text.to_string_lossy().replace(&session, "SESSION");
        let argv = invocation.argv();
        let words = argv.iter().map(|word| in_words(word));
        let environment = invocation.environment();
        let variables = environment.iter();
        Some(Self {
            name,
            alias: planned.alias,
            argv: std::iter::once("claude".to_owned()).chain(words).collect(),
            environment: variables
                .map(|(name, value)| (in_words(name), in_words(value)))
                .collect(),
        })
    }

    fn text(&self) -> String {
        let words: Vec<String> = self.argv.iter().map(|word| shell_word(word)).collect();
        let (name, words) = (&self.name, words.join(" "));
        let mut out = format!("\nrun  {name}\n  {}\n", commands::run(&format!("--exact {name}")));
        let _ = writeln!(out, "\ncommand line  {name}\n  {words}\n\nenvironment  {name}");
        for (name, value) in &self.environment {
            let _ = writeln!(out, "  {name}={value}");
        }
        out
    }

    fn json(&self) -> Value {
        let environment: serde_json::Map<String, Value> = self
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        json!({
            "trial": self.name,
            "run": ["cargo", "test", "--test", "compat", "--", "--exact", self.name.to_string()],
            "command_line": self.argv,
            "environment": environment,
        })
    }
}

struct Explained<'a> {
    id: CellId,
    tiers: Vec<TierId>,
    trials: Vec<ExplainedTrial>,
    origins: Vec<Origin>,
    expectations: &'a [Expectation],
}

impl Explained<'_> {
    fn expectation(&self, key: &str) -> Option<&Expectation> {
        let name = key.strip_prefix("expect.")?;
        self.expectations
            .iter()
            .find(|expectation| expectation.name == name)
    }

    /// The keys that apply to one of the tiers.
    fn keys(&self) -> impl Iterator<Item = &Origin> {
        let applies = |expectation: &Expectation| self.tiers.iter().any(|tier| expectation.applies_to(tier));
        let origins = self.origins.iter();
        origins.filter(move |origin| self.expectation(&origin.key).is_none_or(applies))
    }

    fn text(&self) -> String {
        let mut out = format!("{}\n", self.id);
        for trial in &self.trials {
            let _ = writeln!(
                out,
                "  {}: asks the gateway for `{}`",
                trial.name.tier, trial.alias
            );
        }
        for origin in self.keys() {
            let side = self
                .expectation(&origin.key)
                .map(side)
                .map_or_else(String::new, |side| format!("  judged on {side}"));
            let (file, line) = (origin.place.file.display(), origin.place.line);
            let _ = writeln!(out, "\n{}  {file}:{line}{side}", origin.key);
            lines(&origin.value, 1, &mut out);
        }
        // The command lines of several tiers differ only in the model.
        if let [trial] = &self.trials[..] {
            out.push_str(&trial.text());
        }
        out
    }

    fn json(&self) -> Value {
        let keys: Vec<Value> = self
            .keys()
            .map(|origin| {
                json!({
                    "key": origin.key,
                    "file": origin.place.file,
                    "line": origin.place.line,
                    "judged_on": self.expectation(&origin.key).map(side),
                    "value": origin.value,
                })
            })
            .collect();
        let trials = self.trials.iter();
        let aliases: serde_json::Map<String, Value> = trials
            .clone()
            .map(|trial| (trial.name.tier.to_string(), trial.alias.as_str().into()))
            .collect();
        let trials: Vec<Value> = trials.map(ExplainedTrial::json).collect();
        json!({ "cell": self.id.to_string(), "aliases": aliases, "keys": keys, "trials": trials })
    }
}

fn side(expectation: &Expectation) -> &'static str {
    match expectation.check.is_provider_side() {
        true => "the requests at the provider (simulated runs)",
        false => "the output of Claude Code or the gateway",
    }
}

/// Writes `value` as indented lines, without the quotes and braces of JSON where possible.
fn lines(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                entry(&format!("{key}:"), value, depth, out);
            }
        }
        Value::Array(items) => {
            for (number, item) in (1..).zip(items) {
                entry(&format!("{number}."), item, depth, out);
            }
        }
        scalar => {
            let _ = writeln!(out, "{}{scalar}", "  ".repeat(depth));
        }
    }
}

fn entry(label: &str, value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    if fits_line(value) {
        let _ = writeln!(out, "{indent}{label} {value}");
    } else {
        let _ = writeln!(out, "{indent}{label}");
        lines(value, depth + 1, out);
    }
}

fn fits_line(value: &Value) -> bool {
    const WIDTH: usize = 110;
    let is_small = |value: &Value| !value.is_object() && !value.is_array();
    let has_small_values = match value {
        Value::Object(map) => map.len() <= 2 && map.values().all(is_small),
        Value::Array(items) => items.iter().all(is_small),
        _ => return true,
    };
    has_small_values && value.to_string().len() <= WIDTH
}
