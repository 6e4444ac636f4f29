//! `compat new`: a row, a column or a cell, still to be written. Starts nothing.

use crate::text::closest;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};

use super::check::{self, FAULTS};
use super::evidence;
use super::files::Output;
use super::print::talk;
use crate::authoring::draft::{self, Draft, Given};
use crate::authoring::manifest_text::{self, Edited, ManifestTextError};
use crate::authoring::stub;
use crate::document::Diagnostic;
use crate::document::render::{self, Format};
use crate::ids::{CellId, FeatureId, ProviderId};
use crate::new_files::NewFiles;
use crate::spec::cell::CellBody;
use crate::spec::expectation::{Check, KnownFailure};
use crate::spec_files::{CELLS, MANIFEST, PROXY_CONFIG, Project, SHARED};
use crate::wire::Route;

/// Begin a row, a column or a cell
///
/// What is made is valid and red: every trial of it fails with "write me" until its author has written it. Nothing is ever
/// written over, and either all files are written or none.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat new feature pdf_input --name \"PDF input\"\n  compat new provider azure_foundry --alias \"{model}-foundry\"\n  compat new cell pdf_input/anthropic --from-run pdf_input::anthropic::haiku"
)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The folder that holds `manifest.yaml` [default: the nearest one upwards]
    #[arg(long, value_name = "FOLDER", global = true)]
    root: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    Feature(NewFeature),
    Provider(NewProvider),
    Cell(NewCell),
}

/// Begin a row: its entry in the manifest, its folder, `_shared.yaml` and a file for each provider
///
/// The manifest keeps its comments and its layout.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat new feature pdf_input --name \"PDF input\"\n  compat new feature pdf_input --name \"PDF input\" --after vision"
)]
struct NewFeature {
    /// The feature's name in paths, filters and results: lower case, digits and `_`
    id: String,
    /// The feature's name for readers of the matrix
    #[arg(long)]
    name: String,
    /// The row that it comes after; the last one if not given
    #[arg(long, value_name = "FEATURE")]
    after: Option<String>,
}

/// Begin a column: its entries in the manifest, and a cell in each row
///
/// What no command can know (the gateway's deployments, what is true of the provider) is listed with its file and line.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat new provider azure_foundry\n  compat new provider azure_foundry --alias \"foundry/{model}\""
)]
struct NewProvider {
    /// The provider's name in paths, filters and results: lower case, digits and `_`
    id: String,
    /// How the gateway calls a tier's model there; `{model}` stands for the model [default: `{model}-` and the id with `-`]
    #[arg(long, value_name = "PATTERN")]
    alias: Option<String>,
}

/// Draft a cell from a recorded run
///
/// Takes the provider's replies and what was seen on both sides from a trial's evidence folder, without credentials, sessions
/// and folders of the run. A draft says what was, not what should be: it fails until its author has read it and removed its
/// `todo`. A file that is there is not written over, unless it is still what `compat new feature` has made.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat new cell pdf_input/anthropic --from-run pdf_input::anthropic::haiku\n  compat new cell pdf_input/anthropic --from-run pdf_input::anthropic::haiku --output -"
)]
struct NewCell {
    /// The cell: `feature/provider`
    cell: String,
    /// The trial, `feature::provider::tier`, or its evidence folder
    #[arg(long, value_name = "TRIAL")]
    from_run: String,
    /// Where the draft goes: a file, or `-` for standard output [default: the cell's file]
    #[arg(short, long, value_name = "FILE")]
    output: Option<Output>,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let current = std::env::current_dir().context("the working directory is gone")?;
    let root = check::root(arguments.root.as_deref(), &current)?;
    let project = match check::open(&root) {
        Ok(project) => project,
        Err(status) => return Ok(status),
    };
    match &arguments.what {
        What::Feature(new) => new.run(&project),
        What::Provider(new) => new.run(&project),
        What::Cell(new) => new.run(&project),
    }
}

fn manifest_text(project: &Project) -> anyhow::Result<String> {
    std::fs::read_to_string(project.root.join(MANIFEST)).with_context(|| format!("reading `{MANIFEST}`"))
}

fn cell_path(feature: &str, provider: &str) -> PathBuf {
    Path::new(CELLS).join(feature).join(format!("{provider}.yaml"))
}

impl NewFeature {
    fn run(&self, project: &Project) -> anyhow::Result<ExitCode> {
        let text = manifest_text(project)?;
        let edited = manifest_text::with_feature(&text, &self.id, &self.name, self.after.as_deref());
        let edited = match edited {
            Err(ManifestTextError::Exists { what, id, line }) => bail!(
                "{}; did you mean `compat new cell {id}/PROVIDER --from-run FOLDER`, which drafts one of its cells?",
                ManifestTextError::Exists {
                    what,
                    id: id.clone(),
                    line
                }
            ),
            other => other?,
        };
        let folder = Path::new(CELLS).join(&self.id);
        ensure!(
            !project.root.join(&folder).exists(),
            "the folder `{}` is there already; add the feature to `{MANIFEST}` by hand, or name another",
            folder.display()
        );
        let mut new = vec![(folder.join(SHARED), stub::shared(&self.name))];
        new.extend(project.manifest.providers.iter().map(|provider| {
            let precedent = precedent(project, provider);
            let text = stub::cell(provider.as_str(), precedent.as_deref());
            (cell_path(&self.id, provider.as_str()), text)
        }));
        write(project, new, edited)?;
        let first = first_to_run(project);
        talk!(
            "
next:
  1. write `{shared}`: what is asked, what the provider answers, what must hold
  2. `compat check {folder}` names each place that is still to be written
  3. `cargo test --test compat -- --exact {id}::{first}` runs it, red or not, and records what is seen on both sides
  4. `compat new cell {id}/{provider} --from-run {id}::{first}` drafts a cell from that, if you like
  5. remove each `todo` when its place is written (`docs/cells.md` shows a whole row)",
            shared = folder.join(SHARED).display(),
            folder = folder.display(),
            id = self.id,
            provider = first.split("::").next().unwrap_or_default(),
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// A provider and a tier that can be run: the first of each.
fn first_to_run(project: &Project) -> String {
    let tier = project
        .manifest
        .tiers
        .first()
        .map_or("haiku", |tier| tier.id.as_str());
    let provider = project
        .manifest
        .providers
        .first()
        .map_or("anthropic", ProviderId::as_str);
    format!("{provider}::{tier}")
}

/// Why the last cell of `provider` that is not applicable is not.
fn precedent(project: &Project, provider: &ProviderId) -> Option<String> {
    let reason = |feature: &crate::spec::manifest::Feature| {
        let id = CellId {
            feature: feature.id.clone(),
            provider: provider.clone(),
        };
        match &project.cell(&id).ok()?.body {
            CellBody::NotApplicable(reason) => Some(reason.clone()),
            CellBody::Test(_) => None,
        }
    };
    project.manifest.features.iter().rev().find_map(reason)
}

fn write(project: &Project, new: Vec<(PathBuf, String)>, manifest: Edited) -> anyhow::Result<()> {
    let files = NewFiles {
        new,
        changed: Some((MANIFEST.into(), manifest.text)),
    };
    files.write(&project.root)?;
    talk!("changed {MANIFEST}:{}", manifest.line);
    for (file, _) in &files.new {
        talk!("wrote   {}", file.display());
    }
    Ok(())
}

impl NewProvider {
    fn run(&self, project: &Project) -> anyhow::Result<ExitCode> {
        let pattern = self
            .alias
            .clone()
            .unwrap_or_else(|| format!("{{model}}-{}", self.id.replace('_', "-")));
        let edited = manifest_text::with_provider(&manifest_text(project)?, &self.id, &pattern)?;
        let features = &project.manifest.features;
        let new: Vec<(PathBuf, String)> = features
            .iter()
            .filter(|feature| project.root.join(CELLS).join(feature.id.as_str()).is_dir())
            .map(|feature| {
                (
                    cell_path(feature.id.as_str(), &self.id),
                    stub::cell(&self.id, None),
                )
            })
            .collect();
        let cells = new.len();
        write(project, new, edited)?;
        let mut rest = Vec::new();
        let aliases: Vec<String> = project
            .manifest
            .tiers
            .iter()
            .map(|tier| format!("`{}`", pattern.replace("{model}", &tier.model)))
            .collect();
        let line = std::fs::read_to_string(project.root.join(PROXY_CONFIG))
            .ok()
            .and_then(|text| manifest_text::last_line_of(&text, "model_list"));
        rest.push(format!(
            "{}  add a deployment for each of {}",
            place(PROXY_CONFIG, line),
            aliases.join(", ")
        ));
        rest.push(format!(
            "{CELLS}/*/{}.yaml  write the {cells} cells, or make them `not_applicable` and say why; `compat check` names them",
            self.id
        ));
        let readers = "docs/site/src/components/CompatibilityMatrix/names.ts";
        if let Some(line) = line_with(project, readers, "PROVIDER_NAMES:") {
            rest.push(format!(
                "{readers}:{line}  say how readers of the docs page call `{}`",
                self.id
            ));
        }
        if !Route::ALL.iter().any(|route| route.as_str() == self.id) {
            let routes: Vec<&str> = Route::ALL.iter().map(|route| route.as_str()).collect();
            let code = "src/wire/mod.rs";
            rest.push(format!(
                "{}  only if its requests have a form of their own: the provider simulator speaks {}, and a fifth is Rust \
                 (docs/architecture.md)",
                place(code, line_with(project, code, "pub enum Route")),
                routes.join(", ")
            ));
        }
        talk!("\nwhat remains to be done by hand:");
        for step in rest {
            talk!("  - {step}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn place(file: &str, line: Option<usize>) -> String {
    line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}

fn line_with(project: &Project, file: &str, words: &str) -> Option<usize> {
    let text = std::fs::read_to_string(project.root.join(file)).ok()?;
    Some(1 + text.lines().position(|line| line.contains(words))?)
}

impl NewCell {
    fn run(&self, project: &Project) -> anyhow::Result<ExitCode> {
        let id = self.id(project)?;
        let recorded = evidence::recorded(&self.from_run, Some(&project.root))?;
        let given = given(project, &id);
        let from = match &recorded.name {
            Some(name) => format!("a run of {name}"),
            None => recorded.folder.display().to_string(),
        };
        let mut draft = draft::draft(
            &id.provider,
            &recorded.evidence,
            given,
            &known_changes(project, &id.provider),
            &from,
        );
        draft.leave_out_shared(&project.shared_keys(&id.feature));
        let left_out = match fitted(project, &id, &mut draft) {
            Ok(left_out) => left_out,
            Err(faults) => return self.put_aside(&id, &draft, &faults),
        };
        self.put(project, &id, &draft.text())?;
        for fault in left_out {
            let told = render::text(&fault.note(), true);
            talk!("left out, as the cell could not judge it:\n{}", told.trim_end());
        }
        Ok(ExitCode::SUCCESS)
    }

    fn id(&self, project: &Project) -> anyhow::Result<CellId> {
        let parts: Vec<&str> = self.cell.split('/').flat_map(|part| part.split("::")).collect();
        let [feature, provider] = parts[..] else {
            bail!("`{}` is not a cell, expected `feature/provider`", self.cell);
        };
        let features = || {
            project
                .manifest
                .features
                .iter()
                .map(|feature| feature.id.as_str())
        };
        let providers = || project.manifest.providers.iter().map(ProviderId::as_str);
        if !features().any(|known| known == feature) {
            bail!(
                "the manifest has no feature `{feature}`; {}",
                match closest(feature, features()) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!("`compat new feature {feature} --name \"…\"` begins it"),
                }
            );
        }
        if !providers().any(|known| known == provider) {
            bail!(
                "the manifest has no provider `{provider}`; {}",
                match closest(provider, providers()) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!("`compat new provider {provider}` begins it"),
                }
            );
        }
        Ok(CellId {
            feature: FeatureId::new(feature),
            provider: ProviderId::new(provider),
        })
    }

    /// A draft with faults goes nowhere but where it was asked for: what is in the cell's place is always valid.
    fn put_aside(&self, id: &CellId, draft: &Draft, faults: &[Diagnostic]) -> anyhow::Result<ExitCode> {
        if let Some(output) = &self.output {
            output.write(&draft.text())?;
        }
        talk!("{}", render::render(faults, Format::Text, true).trim_end());
        talk!(
            "\nwhat was recorded makes no valid cell together with what `{id}` has already: the lines are those of the draft{}",
            match self.output {
                Some(_) => "",
                None => ", which `--output FILE` shows",
            }
        );
        Ok(ExitCode::from(FAULTS))
    }

    /// Writes the draft where it belongs.
    fn put(&self, project: &Project, id: &CellId, text: &str) -> anyhow::Result<()> {
        match &self.output {
            Some(Output::Standard) => Output::Standard.write(text),
            Some(Output::File(file)) => {
                ensure!(
                    !file.exists(),
                    "`{}` is there already, and nothing is written over it",
                    file.display()
                );
                Output::File(file.clone()).write(text)?;
                talk!("wrote   {}", file.display());
                Ok(())
            }
            None => {
                let file = Project::cell_file(id);
                let path = project.root.join(&file);
                let precedent = precedent(project, &id.provider);
                let untouched = [
                    stub::cell(id.provider.as_str(), precedent.as_deref()),
                    stub::cell(id.provider.as_str(), None),
                ];
                match std::fs::read_to_string(&path) {
                    Ok(known) if !untouched.contains(&known) => bail!(
                        "`{}` is there already, and nothing is written over it; `--output -` prints the draft, `--output FILE` puts it \
                         elsewhere",
                        file.display()
                    ),
                    _ => Output::File(path).write(text)?,
                }
                talk!("wrote   {}", file.display());
                Ok(())
            }
        }
    }
}

/// What the cells of `provider` declare that the gateway changes.
fn known_changes(project: &Project, provider: &ProviderId) -> Vec<(String, KnownFailure)> {
    let cells = project.cells();
    let of_provider = cells.iter().filter(|id| id.provider == *provider);
    of_provider
        .filter_map(|id| project.cell(id).ok())
        .flat_map(|cell| match &cell.body {
            CellBody::Test(test) => test
                .expectations
                .iter()
                .filter_map(|expectation| match &expectation.check {
                    Check::Unchanged { except, .. } => Some(except.clone()),
                    _ => None,
                })
                .flatten()
                .collect(),
            CellBody::NotApplicable(_) => Vec::new(),
        })
        .collect()
}

/// What the feature of `id` shares.
fn given(project: &Project, id: &CellId) -> Given {
    let keys = project.shared_keys(&id.feature);
    let has = |key: &str| keys.iter().any(|origin| origin.key == key);
    let holds = |block: &str| {
        let block = format!("\"{block}\":");
        keys.iter()
            .any(|origin| origin.key == "prompts" && origin.value.to_string().contains(&block))
    };
    Given {
        prompt: has("prompt") || has("prompts"),
        image: holds("image"),
        document: holds("document"),
        direct: has("direct"),
        count_tokens: has("count_tokens"),
    }
}

/// Leaves out of `draft` what makes no valid cell; gives the faults of what was left out.
fn fitted(project: &Project, id: &CellId, draft: &mut Draft) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let mut left_out = Vec::new();
    loop {
        let Err(faults) = project.cell_of(id, draft.text().as_bytes()) else {
            return Ok(left_out);
        };
        let own = Project::cell_file(id);
        let mut gone = Vec::new();
        for fault in &faults {
            let name = fault
                .path
                .strip_prefix("expect.")
                .and_then(|path| path.split('.').next());
            if fault.place.file == own && name.is_some_and(|name| draft.leave_out(name)) {
                gone.push(fault.clone());
            }
        }
        if gone.is_empty() {
            return Err(faults);
        }
        left_out.extend(gone);
    }
}
