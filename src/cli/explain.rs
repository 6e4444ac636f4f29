//! `compat explain`: a cell as it is run, with the file and line that each part comes from. Starts nothing.

use crate::cells::{CellBody, Origin, Test};
use crate::document::Place;
use crate::expectation::Expectation;
use crate::text::{closest, listed};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::check::{self, FAULTS};
use super::files::Output;
use crate::claude::{Endpoint, Invocation};
use crate::document::render::Format;
use crate::env::{Secret, Variables};
use crate::files::Project;
use crate::ids::{CellId, FeatureId, ProviderId, TierId, TrialKey, TrialName};
use crate::plan::{Planned, selection};
use crate::process::RunId;

/// Show a cell as it is run
///
/// The merged keys of a cell, each with the file and line that it comes from: what is said to Claude Code, with which flags
/// and variables, what the simulated provider answers, and what is judged on which side. Of one trial also how it is run, and
/// the whole command line and environment of Claude Code, in which GATEWAY, KEY, FOLDER and SESSION stand for what a run mints.
/// Nothing is started. The exit status is 3 if the cell has faults.
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
    /// The folder that holds `manifest.yaml` [default: the nearest one upwards]
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<std::path::PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let current = std::env::current_dir().context("the working directory is gone")?;
    let project = match check::open(&check::root(arguments.root.as_deref(), &current)?) {
        Ok(project) => project,
        Err(status) => return Ok(status),
    };
    let (cell, tier) = find(&project, &arguments.name)?;
    let tiers: Vec<TierId> = match tier {
        Some(tier) => vec![tier],
        None => project
            .manifest
            .tiers
            .iter()
            .map(|tier| tier.id.clone())
            .collect(),
    };
    let read = project
        .cell(&cell)
        .and_then(|checked| Ok((checked, project.origins(&cell)?)));
    let (checked, origins) = match read {
        Ok(read) => read,
        Err(faults) => {
            check::print(&faults, Format::Text);
            return Ok(ExitCode::from(FAULTS));
        }
    };
    let aliases = aliases(&project, &cell, &tiers);
    let started: Vec<Started> = match &checked.body {
        CellBody::Test(test) => aliases
            .iter()
            .map(|(tier, alias)| Started::of(&cell.trial(tier), test, alias))
            .collect(),
        CellBody::NotApplicable(_) => Vec::new(),
    };
    let explained = Explained {
        cell: &cell,
        started: &started,
        aliases: &aliases,
        origins: &origins,
        expectations: match &checked.body {
            CellBody::Test(test) => &test.expectations,
            CellBody::NotApplicable(_) => &[],
        },
        tiers: &tiers,
    };
    match arguments.json {
        true => Output::Standard.write(&format!("{:#}\n", explained.json()))?,
        false => Output::Standard.write(&explained.text())?,
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
    let id = CellId {
        feature: FeatureId::new(feature),
        provider: ProviderId::new(provider),
    };
    if !cells.contains(&id) {
        if project.missing().contains(&id) {
            bail!(
                "`{id}` has no file yet: `{}` would be it",
                Project::cell_file(&id).display()
            );
        }
        match closest(&id.to_string(), names.iter().map(String::as_str)) {
            Some(close) => bail!("there is no cell `{id}`; did you mean `{close}`?"),
            None => bail!("there is no cell `{id}`; `compat check` reads all that there are"),
        }
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

fn aliases(project: &Project, cell: &CellId, tiers: &[TierId]) -> Vec<(TierId, String)> {
    let alias = |tier: &TierId| match project.plan(None, &cell.trial(tier)) {
        Planned::Run(run) => Some((tier.clone(), run.alias)),
        Planned::Broken(_) | Planned::NotApplicable(_) => None,
    };
    tiers.iter().filter_map(alias).collect()
}

/// How a trial is run, and how `claude` is started then: what a run mints stands in words.
struct Started {
    trial: TrialName,
    argv: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Started {
    fn of(trial: &TrialName, test: &Test, alias: &str) -> Self {
        let invocation = Invocation {
            program: "claude".into(),
            run: RunId(Uuid::nil()),
            key: TrialKey(Uuid::nil()),
            model: alias.to_owned(),
            prompts: test.prompts.clone(),
            flags: test.flags.clone(),
            variables: test.env.clone(),
            endpoint: Endpoint::Gateway {
                base_url: "GATEWAY".to_owned(),
                token: Secret::new("KEY"),
            },
            folder: "FOLDER".into(),
            inherited: Variables::default(),
            deadline: Duration::from_secs(test.timeout_seconds),
        };
        let session = Uuid::nil().to_string();
        let in_words = |text: &OsStr| text.to_string_lossy().replace(&session, "SESSION");
        let program = [OsString::from("claude")];
        Self {
            trial: trial.clone(),
            argv: program
                .iter()
                .chain(&invocation.argv())
                .map(|word| in_words(word))
                .collect(),
            environment: invocation
                .environment()
                .iter()
                .map(|(name, value)| (in_words(name), in_words(value)))
                .collect(),
        }
    }

    fn text(&self) -> String {
        let words: Vec<String> = self.argv.iter().map(|word| shell_word(word)).collect();
        let mut out = format!("\nrun  {}\n", self.trial);
        let _ = writeln!(out, "  cargo test --test compat -- --exact {}", self.trial);
        let _ = writeln!(out, "\ncommand line  {}", self.trial);
        let _ = writeln!(out, "  {}", words.join(" "));
        let _ = writeln!(out, "\nenvironment  {}", self.trial);
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
            "trial": self.trial,
            "run": ["cargo", "test", "--test", "compat", "--", "--exact", self.trial.to_string()],
            "command_line": self.argv,
            "environment": environment,
        })
    }
}

/// `word` as a POSIX shell takes it.
fn shell_word(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./=:@,+".contains(character);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

struct Explained<'a> {
    cell: &'a CellId,
    started: &'a [Started],
    aliases: &'a [(TierId, String)],
    origins: &'a [Origin],
    expectations: &'a [Expectation],
    tiers: &'a [TierId],
}

impl Explained<'_> {
    fn expectation(&self, key: &str) -> Option<&Expectation> {
        let name = key.strip_prefix("expect.")?;
        self.expectations
            .iter()
            .find(|expectation| expectation.name == name)
    }

    /// Whether the key matters to one of the tiers that are shown.
    fn shows(&self, origin: &Origin) -> bool {
        self.expectation(&origin.key)
            .is_none_or(|expectation| self.tiers.iter().any(|tier| expectation.applies_to(tier)))
    }

    fn shown(&self) -> impl Iterator<Item = &Origin> {
        self.origins.iter().filter(|origin| self.shows(origin))
    }

    fn text(&self) -> String {
        let mut out = format!("{}\n", self.cell);
        for (tier, alias) in self.aliases {
            let _ = writeln!(out, "  {tier}: asks the gateway for `{alias}`");
        }
        for origin in self.shown() {
            let side = self
                .expectation(&origin.key)
                .map(side)
                .map_or_else(String::new, |side| format!("  judged on {side}"));
            let _ = writeln!(out, "\n{}  {}{side}", origin.key, place(&origin.place));
            lines(&origin.value, 1, &mut out);
        }
        // Of several tiers they differ by the model alone.
        if let [started] = self.started {
            out.push_str(&started.text());
        }
        out
    }

    fn json(&self) -> Value {
        let keys: Vec<Value> = self
            .shown()
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
        let aliases: serde_json::Map<String, Value> = self
            .aliases
            .iter()
            .map(|(tier, alias)| (tier.to_string(), alias.as_str().into()))
            .collect();
        let started: Vec<Value> = self.started.iter().map(Started::json).collect();
        json!({ "cell": self.cell.to_string(), "aliases": aliases, "keys": keys, "trials": started })
    }
}

fn side(expectation: &Expectation) -> &'static str {
    match expectation.check.is_provider_side() {
        true => "what reached the provider (simulated runs)",
        false => "what Claude Code or the gateway showed",
    }
}

fn place(place: &Place) -> String {
    format!("{}:{}", place.file.display(), place.line)
}

/// `value` as indented lines: a value tree without the quotes and braces of JSON where it can do without.
fn lines(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match scalar(value) {
                    Some(text) => {
                        let _ = writeln!(out, "{indent}{key}: {text}");
                    }
                    None => {
                        let _ = writeln!(out, "{indent}{key}:");
                        lines(value, depth + 1, out);
                    }
                }
            }
        }
        Value::Array(items) => {
            for (number, item) in (1..).zip(items) {
                match scalar(item) {
                    Some(text) => {
                        let _ = writeln!(out, "{indent}{number}. {text}");
                    }
                    None => {
                        let _ = writeln!(out, "{indent}{number}.");
                        lines(item, depth + 1, out);
                    }
                }
            }
        }
        scalar => {
            let _ = writeln!(out, "{indent}{scalar}");
        }
    }
}

/// A value that fits a line.
fn scalar(value: &Value) -> Option<String> {
    const WIDTH: usize = 110;
    let is_small = |value: &Value| !value.is_object() && !value.is_array();
    let fits = match value {
        Value::Object(map) => {
            map.len() <= 2 && map.values().all(is_small) && value.to_string().len() <= WIDTH
        }
        Value::Array(items) => items.iter().all(is_small) && value.to_string().len() <= WIDTH,
        _ => true,
    };
    fits.then(|| value.to_string())
}
