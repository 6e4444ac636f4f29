//! `compat new`: adds a row, a column or a tier of models. Starts nothing.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};

use super::print::status;
use super::project::RootFlag;
use crate::authoring::manifest_text::{self, Edited, NewRow, NewTier};
use crate::authoring::{proxy_text, stub};
use crate::commands;
use crate::files::atomic_write;
use crate::files::project::{CELLS, MANIFEST, PRICES, PROVIDERS, PROXY_CONFIG, Project, SHARED};
use crate::ids::ProviderId;
use crate::text::listed;
use crate::wire::Route;

/// Add a row, a column or a tier of models
///
/// The file of a new row or column is valid, and each of its trials fails with "write me" until its author has written it. The command never
/// overwrites a file. If it fails, it changes nothing.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat new feature pdf_input --name \"PDF input\"\n  compat new provider azure_foundry --alias \"{model}-foundry\""
)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    root: RootFlag,
}

#[derive(Debug, Subcommand)]
enum What {
    Feature(NewFeature),
    Provider(NewProvider),
    Tier(NewModel),
}

/// Add a row: its entry in the manifest, its folder and `_shared.yaml`
///
/// The new row has a cell for every provider of the manifest. The manifest keeps its comments and its layout.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat new feature pdf_input --name \"PDF input\"\n  compat new feature pdf_input --name \"PDF input\" --after vision --category \"Images and documents\""
)]
struct NewFeature {
    /// The feature's name in paths, filters and results: lower case, digits and `_`
    id: String,
    /// The feature's name for readers of the matrix
    #[arg(long)]
    name: String,
    /// The group of rows that it belongs to
    #[arg(long, default_value = "")]
    category: String,
    /// What works if the row is green, in one plain sentence
    #[arg(long, default_value = "")]
    description: String,
    /// The clause of the gateway contract that it rests on: `PAGE#SECTION`
    #[arg(long, default_value = "")]
    clause: String,
    /// The address of the feature's documentation
    #[arg(long, value_name = "URL", default_value = "")]
    docs: String,
    /// The row before the new row [default: the last one]
    #[arg(long, value_name = "FEATURE")]
    after: Option<String>,
}

/// Add a column: its entries in the manifest, and its file in `cells/_providers`
///
/// Prints the remaining steps, with file and line: the gateway's deployments, the facts about the provider.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat new provider azure_foundry\n  compat new provider azure_foundry --alias \"foundry/{model}\""
)]
struct NewProvider {
    /// The provider's name in paths, filters and results: lower case, digits and `_`
    id: String,
    /// The gateway's alias for a tier's model; `{model}` is replaced by the model [default: `{model}-` and the id with `-`]
    #[arg(long, value_name = "PATTERN")]
    alias: Option<String>,
}

/// Add a tier of models: its entry in the manifest, and a deployment for each provider in `proxy_config.yaml`
///
/// A new deployment is a copy of another tier's on the same provider, with the new model. Prints the names to check.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat new tier opus_6 --name \"Opus 6\" --model claude-opus-6\n  compat new tier opus_6 --name \"Opus 6\" --model claude-opus-6 --set next"
)]
struct NewModel {
    /// The tier's name in filters and results: lower case, digits and `_`
    id: String,
    /// The tier's name for readers of the matrix
    #[arg(long)]
    name: String,
    /// The model's name, without a date
    #[arg(long)]
    model: String,
    /// The set of tiers [default: the set of the last tier]
    #[arg(long)]
    set: Option<String>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let project = arguments.root.open()?;
    match &arguments.what {
        What::Feature(new) => new.run(&project)?,
        What::Provider(new) => new.run(&project)?,
        What::Tier(new) => new.run(&project)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn manifest_text(project: &Project) -> anyhow::Result<String> {
    std::fs::read_to_string(project.root.join(MANIFEST)).with_context(|| format!("reading `{MANIFEST}`"))
}

/// Writes the file `new` and the changed manifest, both or neither.
fn write(project: &Project, new: &Path, text: &str, manifest: &Edited) -> anyhow::Result<()> {
    let file = new.display();
    ensure!(!project.root.join(new).exists(), "`{file}` exists already");
    atomic_write::create_and_change(&project.root, (new, text), (MANIFEST.as_ref(), &manifest.text))?;
    status!("changed {MANIFEST}:{}", manifest.line);
    status!("wrote   {file}");
    Ok(())
}

impl NewFeature {
    fn run(&self, project: &Project) -> anyhow::Result<()> {
        let row = NewRow {
            id: &self.id,
            name: &self.name,
            category: &self.category,
            description: &self.description,
            clause: &self.clause,
            docs: &self.docs,
        };
        let edited = manifest_text::with_feature(&manifest_text(project)?, row, self.after.as_deref())?;
        let folder = Path::new(CELLS).join(&self.id);
        ensure!(
            !project.root.join(&folder).exists(),
            "the folder `{}` exists already; add the feature to `{MANIFEST}` by hand, or choose another id",
            folder.display()
        );
        let shared = folder.join(SHARED);
        write(project, &shared, &stub::feature(&self.name), &edited)?;
        let first = first_to_run(project);
        let texts = [
            ("category", &self.category),
            ("description", &self.description),
            ("clause", &self.clause),
            ("docs", &self.docs),
        ];
        let missing = texts.iter().filter(|(_, text)| text.is_empty());
        let missing: Vec<&str> = missing.map(|(key, _)| *key).collect();
        let missing = match missing.is_empty() {
            true => String::new(),
            false => format!(
                "\n  6. add {} at `{MANIFEST}:{}`: readers of the page need them",
                listed(missing),
                edited.line
            ),
        };
        status!(
            "
next:
  1. write `{shared}`: the prompt, the provider's replies, the expectations
  2. `compat check {folder}` shows each `todo`
  3. `{run}` runs it
  4. `compat show {id}::{first}` shows the requests and replies, to write expectations from
  5. remove the `todo`; a provider that differs gets a file: `{folder}/<provider>.yaml`{missing}",
            shared = shared.display(),
            folder = folder.display(),
            id = self.id,
            run = commands::run(&format!("--exact {}::{first}", self.id)),
        );
        Ok(())
    }
}

/// The first provider and the first tier, as part of a trial's name.
fn first_to_run(project: &Project) -> String {
    let manifest = &project.manifest;
    let tier = manifest.tiers.first().map_or("haiku", |tier| tier.id.as_str());
    let provider = manifest.providers.first().map_or("anthropic", ProviderId::as_str);
    format!("{provider}::{tier}")
}

impl NewProvider {
    fn run(&self, project: &Project) -> anyhow::Result<()> {
        let pattern = self
            .alias
            .clone()
            .unwrap_or_else(|| format!("{{model}}-{}", self.id.replace('_', "-")));
        let edited = manifest_text::with_provider(&manifest_text(project)?, &self.id, &pattern)?;
        let file = Path::new(CELLS).join(PROVIDERS).join(format!("{}.yaml", self.id));
        write(project, &file, &stub::provider(&self.id), &edited)?;
        status!("\nremaining steps:");
        for step in self.remaining(project, &pattern, &file) {
            status!("  - {step}");
        }
        Ok(())
    }

    fn remaining(&self, project: &Project, pattern: &str, file: &Path) -> Vec<String> {
        let tiers = &project.manifest.tiers;
        let aliases: Vec<String> = tiers
            .iter()
            .map(|tier| format!("`{}`", pattern.replace("{model}", &tier.model)))
            .collect();
        let config = std::fs::read_to_string(project.root.join(PROXY_CONFIG)).ok();
        let line = config.and_then(|text| manifest_text::last_line_of(&text, "model_list"));
        let mut steps = vec![
            format!(
                "{}  add a deployment for each of {}",
                place(PROXY_CONFIG, line),
                aliases.join(", ")
            ),
            format!(
                "{}  write the facts about the column, or `not_applicable` and the reason",
                file.display()
            ),
        ];
        let readers = "docs/site/src/components/CompatibilityMatrix/names.ts";
        if let Some(line) = line_with(project, readers, "PROVIDER_NAMES:") {
            let id = &self.id;
            steps.push(format!(
                "{readers}:{line}  add the name of `{id}` for readers of the docs page"
            ));
        }
        if Route::called(&self.id).is_none() {
            let routes: Vec<&str> = Route::ALL.iter().map(|route| route.as_str()).collect();
            let code = "src/wire/mod.rs";
            steps.push(format!(
                "{}  only if its requests have another form: the provider simulator supports {}; another route \
                 needs Rust (docs/architecture.md)",
                place(code, line_with(project, code, "pub enum Route")),
                routes.join(", ")
            ));
        }
        steps
    }
}

impl NewModel {
    fn run(&self, project: &Project) -> anyhow::Result<()> {
        let last = project.manifest.tiers.last();
        let set = self.set.as_deref().or(last.map(|tier| tier.set.as_str()));
        let tier = NewTier {
            id: &self.id,
            name: &self.name,
            model: &self.model,
            set: set.unwrap_or_default(),
        };
        let edited = manifest_text::with_tier(&manifest_text(project)?, tier)?;
        let config = std::fs::read_to_string(project.root.join(PROXY_CONFIG))
            .with_context(|| format!("reading `{PROXY_CONFIG}`"))?;
        let deployments = proxy_text::with_model(&config, &project.manifest, &self.model);
        atomic_write::change_both(
            &project.root,
            (MANIFEST.as_ref(), &edited.text),
            (PROXY_CONFIG.as_ref(), &deployments.text),
        )?;
        status!("changed {MANIFEST}:{}", edited.line);
        status!("changed {PROXY_CONFIG}");
        status!("\nremaining steps:");
        for (alias, name) in &deployments.added {
            status!("  - check that `{name}` is the provider's name of the model, for `{alias}`");
        }
        status!(
            "  - {PRICES}  add what `{}` costs, for the estimate of a live run",
            self.model
        );
        for provider in &deployments.left_out {
            status!(
                "  - {PROXY_CONFIG}  add a deployment for `{}`: there is none to copy; or say in {MANIFEST} why `{provider}` lacks \
                 the model (`not_on`)",
                project
                    .manifest
                    .alias_of(provider, &self.model)
                    .unwrap_or_default()
            );
        }
        Ok(())
    }
}

fn place(file: &str, line: Option<usize>) -> String {
    line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}

fn line_with(project: &Project, file: &str, words: &str) -> Option<usize> {
    let text = std::fs::read_to_string(project.root.join(file)).ok()?;
    Some(1 + text.lines().position(|line| line.contains(words))?)
}
