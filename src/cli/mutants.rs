//! `compat mutants`: the matrix under seeded gateway bugs, and who caught them.

use super::print::{TextOrJson, output, status};
use crate::document::render::Format;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::check;
use super::files::Output;
use crate::env::{self, Environment};
use crate::ids::TierId;
use crate::mutants::Mutant;
use crate::mutants::score::{Named, Scored, Vacuous};
use crate::mutation::{self, Campaign, Conclusion, Listener, NotClean};
use crate::session::{self, Relays, Session};
use crate::spec_files::Project;
use crate::warm::Warmth;
use crate::{mutant_files, progress};

/// Run the matrix under seeded gateway bugs, and see which cells catch them
///
/// Each mutant (`mutants/<class>/<name>.yaml`) is a bug that real gateways have had. A relay before or behind the gateway
/// applies it, the cells of its providers are run, and those that it names must go red under the expectations that it names;
/// cells that it does not touch must stay green. First the same cells are run without a mutant: they must be green.
///
/// The exit status is 0 only if every mutant is killed.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat mutants\n  compat mutants --quick\n  compat mutants thinking\n  compat mutants cache/breakpoints_lost --tier sonnet\n  compat mutants --list"
)]
pub struct Arguments {
    /// Classes, names or parts of them; all mutants if none is given
    pub filters: Vec<String>,
    /// Only the mutants marked as quick
    #[arg(long)]
    pub quick: bool,
    /// The tier on which the cells are tried; a mutant may name another
    #[arg(long, default_value = "haiku")]
    pub tier: String,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// Only list the mutants
    #[arg(long)]
    pub list: bool,
    /// The folder that holds `manifest.yaml` [default: the nearest one upwards]
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<std::path::PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let current = std::env::current_dir().context("the working directory is gone")?;
    let root = check::root(arguments.root.as_deref(), &current)?;
    let project = match check::open(&root) {
        Ok(project) => project,
        Err(status) => return Ok(status),
    };
    let tier = TierId::new(&arguments.tier);
    anyhow::ensure!(
        project.manifest.tier(&tier).is_some(),
        "the manifest has no tier `{tier}`"
    );
    // A cell that cannot be read would be left out, and with it what it should have caught.
    let (mutants, mut faults) = mutant_files::read(&project);
    faults.extend(project.check(&[]));
    if !faults.is_empty() {
        check::print(&faults, Format::Text);
        return Ok(ExitCode::from(check::FAULTS));
    }
    let is_whole = arguments.filters.is_empty() && !arguments.quick;
    let mutants = mutation::selected(mutants, &arguments.filters, arguments.quick);
    anyhow::ensure!(
        !mutants.is_empty(),
        "no mutant fits; `compat mutants --list` shows all of them"
    );
    if arguments.list {
        list(&mutants);
        return Ok(ExitCode::SUCCESS);
    }
    let start = Instant::now();
    let outcome = tokio::runtime::Runtime::new()?.block_on(campaign(&project, tier, &mutants))?;
    let seconds = start.elapsed().as_secs_f64();
    match outcome {
        Ok(conclusion) => {
            let vacuous = is_whole.then_some(&conclusion.vacuous);
            match arguments.format {
                TextOrJson::Text => Output::Standard.write(&text(&conclusion, vacuous, seconds))?,
                TextOrJson::Json => output!("{:#}", json_of(&conclusion, vacuous, seconds)),
            }
            Ok(match conclusion.mutants.iter().all(|scored| scored.killed) {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
        Err(red) => {
            status!("{}", not_clean(&red).trim_end());
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn campaign(
    project: &Project,
    tier: TierId,
    mutants: &[Arc<Mutant>],
) -> anyhow::Result<Result<Conclusion, Vec<NotClean>>> {
    let environment = Environment::from_process();
    anyhow::ensure!(
        environment.get(env::LITELLM_PROXY_BASE_URL).is_none(),
        "`{}` is set, but mutants need a gateway of their own, to stand behind it too",
        env::LITELLM_PROXY_BASE_URL
    );
    let proxy_config = project.proxy_config().map_err(|faults| {
        let faults: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
        anyhow::anyhow!("`proxy_config.yaml` cannot be read: {}", faults.join(", "))
    })?;
    let options = session::Options {
        control: false,
        warmth: Warmth::Cold,
        watchdog: None,
        environment,
        root: project.root.clone(),
        first_byte_delay_ms: 0,
        relays: Relays::Mutants,
    };
    let session = Session::start(&options, progress::on_standard_error().as_ref()).await?;
    let campaign = Campaign {
        project,
        proxy_config: &proxy_config,
        session: &session,
        tier,
    };
    let outcome = campaign.run(mutants, &Bar::new()).await;
    session.end().await;
    Ok(outcome)
}

fn list(mutants: &[Arc<Mutant>]) {
    for mutant in mutants {
        let quick = if mutant.quick { " (quick)" } else { "" };
        output!("{}{quick}: {}", mutant.name, mutant.description);
    }
    status!("{} mutants", mutants.len());
}

/// Progress on standard error: a bar on a terminal, and a line for each mutant.
struct Bar {
    bar: ProgressBar,
    is_terminal: bool,
}

impl Bar {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} trials, {elapsed}")
            .expect("the template is valid");
        Self {
            bar: ProgressBar::new(0).with_style(style),
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    fn say(&self, line: &str) {
        match self.is_terminal {
            true => self.bar.println(line),
            false => status!("{line}"),
        }
    }
}

impl Listener for Bar {
    fn begins(&self, trials: usize) {
        self.bar.set_length(trials as u64);
        let what = match self.bar.position() {
            0 => "trials without a mutant first",
            _ => "trials in all, those left out in which a mutant could change nothing",
        };
        self.say(&format!("{trials} {what}"));
    }

    fn trial(&self) {
        self.bar.inc(1);
    }

    fn mutant(&self, scored: &Scored) {
        let verdict = if scored.killed { "killed" } else { "SURVIVED" };
        self.say(&format!(
            "{verdict:8} {} ({} of {} cells touched)",
            scored.mutant, scored.touched, scored.tried
        ));
    }
}

fn not_clean(red: &[NotClean]) -> String {
    let mut out = String::from("error: cells are red without any mutant, so they could prove nothing\n");
    for one in red {
        let first = one.failure.mismatches.first().map_or(String::new(), |mismatch| {
            format!("{}: {}", mismatch.expectation, mismatch.summary)
        });
        let _ = writeln!(out, "  {}: {} ({first})", one.name, one.failure.cause.as_str());
    }
    out.push_str("hint: `cargo test --test compat` shows what is wrong with them\n");
    out
}

fn text(conclusion: &Conclusion, vacuous: Option<&Vacuous>, seconds: f64) -> String {
    let mut out = String::new();
    for scored in &conclusion.mutants {
        mutant_text(&mut out, scored);
    }
    let killed = conclusion.mutants.iter().filter(|scored| scored.killed).count();
    let _ = writeln!(
        out,
        "score: {killed} of {} mutants killed, {} % ({} trials, {seconds:.0} s)",
        conclusion.mutants.len(),
        killed * 100 / conclusion.mutants.len().max(1),
        conclusion.trials,
    );
    if let Some(vacuous) = vacuous {
        listing(
            &mut out,
            "expectations that no mutant broke",
            &vacuous.expectations,
        );
        listing(&mut out, "cells that no mutant turned red", &vacuous.cells);
    }
    out
}

fn mutant_text(out: &mut String, scored: &Scored) {
    let verdict = if scored.killed { "killed" } else { "SURVIVED" };
    let _ = writeln!(out, "{verdict} {}: {}", scored.mutant, scored.description);
    for (what, named) in [
        ("caught by", &scored.caught_by),
        ("missed by", &scored.missed_by),
        ("also red", &scored.also),
        ("wrongly red, not touched", &scored.wrongly_red),
    ] {
        for (expectation, cells) in by_expectation(named) {
            let _ = writeln!(out, "  {what}: {expectation} in {}", cells.join(", "));
        }
    }
    if !scored.killed {
        let _ = writeln!(
            out,
            "  it touched {} of {} cells; sources: {}",
            scored.touched,
            scored.tried,
            scored.sources.join(" ")
        );
    }
}

/// The same expectation in several cells is one line.
fn by_expectation(named: &[Named]) -> Vec<(&str, Vec<String>)> {
    let mut lines: Vec<(&str, Vec<String>)> = Vec::new();
    for one in named {
        let cell = one.cell.to_string();
        match lines.iter_mut().find(|(name, _)| *name == one.expectation) {
            Some((_, cells)) => cells.push(cell),
            None => lines.push((&one.expectation, vec![cell])),
        }
    }
    lines
}

fn listing(out: &mut String, what: &str, lines: &[String]) {
    let _ = writeln!(out, "{what}: {}", lines.len());
    for line in lines {
        let _ = writeln!(out, "  {line}");
    }
}

fn json_of(conclusion: &Conclusion, vacuous: Option<&Vacuous>, seconds: f64) -> serde_json::Value {
    let killed = conclusion.mutants.iter().filter(|scored| scored.killed).count();
    json!({
        "mutants": conclusion.mutants,
        "killed": killed,
        "of": conclusion.mutants.len(),
        "trials": conclusion.trials,
        "seconds": seconds,
        "vacuous": vacuous,
    })
}
