//! `compat mutants`: runs the matrix with seeded gateway bugs, and reports which cells caught them.

use super::print::{TextOrJson, output, output_json, status};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::files::Output;
use super::git::changed_files;
use super::project::{InvalidFiles, RootFlag};
use crate::commands;
use crate::env::{self, Environment};
use crate::files::Project;
use crate::files::mutant_files;
use crate::gateway::{LITELLM, WantedTools};
use crate::ids::TierId;
use crate::mutants::RowScore;
use crate::mutants::score::{Named, Scored, Vacuous};
use crate::progress;
use crate::run::campaign::{Campaign, CampaignListener, CampaignResult, NotClean};
use crate::run::choice::{Choice, ChosenMutant};
use crate::session::daemon::DaemonUse;
use crate::session::{Session, SessionOptions, WantedIsolation};
use crate::text::{counted, printable};
use crate::wire::client_format::ClientFormat;

/// Run the matrix with seeded gateway bugs, and report which cells catch them
///
/// Each mutant (`mutants/<class>/<name>.yaml`) is a bug that real gateways had. A relay in front of the gateway or behind it
/// applies the bug. The cells that the mutant names must then fail by the expectations that it names, and cells that it does
/// not affect must pass. A neutral mutant (`must_stay: green`) makes a change that every gateway may make, and no cell may
/// fail under it. Before that, all these cells run without a mutant, and must pass.
///
/// A mutant runs in the cells that it names and in another one, which only shows how far the bug is seen. The score of a row
/// counts the mutants that name it.
///
/// The exit status is 0 only if every mutant is killed, and every cell stayed green under the neutral ones.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat mutants\n  compat mutants --quick\n  compat mutants thinking\n  compat mutants cache/breakpoints_lost --tier sonnet\n  compat mutants --changed=main\n  compat mutants --list"
)]
pub struct Arguments {
    /// Classes, names or parts of them; all mutants if none is given
    pub filters: Vec<String>,
    /// Run only the mutants marked as quick, in the cells that they name
    #[arg(long, conflicts_with = "everywhere")]
    pub quick: bool,
    /// Run each mutant in all cells of its providers that it can change
    #[arg(long)]
    pub everywhere: bool,
    /// Run only what depends on files that differ from a git revision: changed mutants, and the mutants that name a changed
    /// cell, in this cell
    #[arg(long, value_name = "REVISION", num_args = 0..=1, require_equals = true, default_missing_value = "HEAD")]
    pub changed: Option<String>,
    /// The tier to run the cells on; a mutant may name another
    #[arg(long, default_value = "haiku")]
    pub tier: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// List the mutants and run nothing
    #[arg(long)]
    pub list: bool,
    #[command(flatten)]
    pub root: RootFlag,
}

/// The usual number of cells in which a mutant runs besides those that it names.
const OTHERS: usize = 1;

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let project = arguments.root.open()?;
    let tier = TierId::new(&arguments.tier);
    anyhow::ensure!(
        project.manifest.tier(&tier).is_some(),
        "the manifest has no tier `{tier}`"
    );
    // A broken cell would be skipped, and could not catch its mutants.
    let (mutants, mut faults) = mutant_files::read(&project);
    faults.extend(project.check(&[]));
    anyhow::ensure!(faults.is_empty(), InvalidFiles(faults));
    let changed = arguments.changed.as_ref();
    let changed = changed.map(|revision| changed_files(&project.root, revision));
    let choice = Choice {
        filters: arguments.filters.clone(),
        quick: arguments.quick,
        others: match (arguments.quick, arguments.everywhere) {
            (true, _) => Some(0),
            (_, true) => None,
            _ => Some(OTHERS),
        },
        changed: changed.transpose()?,
        tier: tier.clone(),
    };
    let is_whole = arguments.filters.is_empty() && !arguments.quick && choice.changed.is_none();
    let chosen = choice.of(mutants, &project);
    if let (true, Some(revision)) = (chosen.is_empty(), &arguments.changed) {
        status!("no file that a mutant depends on differs from `{revision}`");
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::ensure!(
        !chosen.is_empty(),
        "no mutant matches; `compat mutants --list` shows all of them"
    );
    if arguments.list {
        list(&chosen);
        return Ok(ExitCode::SUCCESS);
    }
    let start = Instant::now();
    let outcome = tokio::runtime::Runtime::new()?.block_on(run_campaign(&project, tier, &chosen))?;
    let seconds = start.elapsed().as_secs_f64();
    match outcome {
        Ok(result) => {
            let vacuous = is_whole.then_some(&result.vacuous);
            match arguments.format {
                TextOrJson::Text => Output::Standard.write(&printable(&text(&result, vacuous, seconds)))?,
                TextOrJson::Json => output_json(&json_of(&result, vacuous, seconds))?,
            }
            Ok(match result.mutants.iter().all(|scored| scored.passed) {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
        Err(red) => {
            status!("{}", not_clean(&red));
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn run_campaign(
    project: &Project,
    tier: TierId,
    chosen: &[ChosenMutant],
) -> anyhow::Result<Result<CampaignResult, Vec<NotClean>>> {
    let environment = Environment::from_process();
    anyhow::ensure!(
        environment.get(env::LITELLM_PROXY_BASE_URL).is_none(),
        "`{}` is set, but mutants need a gateway that this run starts, with a relay behind it",
        env::LITELLM_PROXY_BASE_URL
    );
    let proxy_config = project.proxy_config().map_err(InvalidFiles)?;
    let known = project.known_findings(LITELLM).map_err(InvalidFiles)?;
    project.ensure_inside(&proxy_config, &project.trials())?;
    let options = SessionOptions {
        records: false,
        wanted: WantedTools::pinned(),
        limits: Default::default(),
        shares: 1,
        client_format: ClientFormat::Messages,
        daemon: DaemonUse::Never,
        watchdog: None,
        isolation: WantedIsolation::default(),
        environment,
        root: project.root.clone(),
        mutants: true,
    };
    let session = Session::start(&options, progress::on_standard_error().as_ref()).await?;
    let known = known.only(session.versions());
    let campaign = Campaign {
        project,
        proxy_config: &proxy_config,
        session: &session,
        tier,
        known: &known,
    };
    let outcome = campaign.run(chosen, &Bar::new()).await;
    session.end().await;
    Ok(outcome)
}

fn list(chosen: &[ChosenMutant]) {
    for mutant in chosen.iter().map(|chosen| &chosen.mutant) {
        let neutral = if mutant.is_neutral { " (neutral)" } else { "" };
        let quick = if mutant.quick { " (quick)" } else { "" };
        output!("{}{neutral}{quick}: {}", mutant.name, mutant.description);
    }
    status!("{} mutants", chosen.len());
}

/// Shows progress on standard error: a bar on a terminal, and a line for each mutant.
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

impl CampaignListener for Bar {
    fn planned(&self, trials: usize) {
        self.bar.set_length(trials as u64);
        let what = match self.bar.position() {
            0 => "trials without a mutant first",
            _ => "trials in total, without those that their mutant cannot change",
        };
        self.say(&format!("{trials} {what}"));
    }

    fn trial_finished(&self) {
        self.bar.inc(1);
    }

    fn mutant_scored(&self, scored: &Scored) {
        let (verdict, touched, tried) = (verdict(scored), scored.touched, scored.tried);
        self.say(&format!(
            "{verdict:12} {} ({touched} of {} affected)",
            scored.mutant,
            counted(tried, "cell")
        ));
    }
}

fn not_clean(red: &[NotClean]) -> String {
    let mut out = String::from("error: cells fail without a mutant, so they cannot catch one\n");
    for one in red {
        let mismatch = one.failure.mismatches.first();
        let first = mismatch.map(|mismatch| format!("{}: {}", mismatch.expectation, mismatch.summary));
        let (cause, first) = (one.failure.cause.as_str(), first.unwrap_or_default());
        let _ = writeln!(out, "  {}: {cause} ({first})", one.name);
    }
    let _ = write!(out, "hint: `{}` shows their failures", commands::run(""));
    out
}

fn text(result: &CampaignResult, vacuous: Option<&Vacuous>, seconds: f64) -> String {
    let mut out: String = result.mutants.iter().map(mutant_text).collect();
    out.push_str(&rows_text(&result.rows));
    let (mutants, trials) = (&result.mutants, result.trials);
    let percent = passed(mutants, None) * 100 / mutants.len().max(1);
    let scores = [(false, "mutants killed"), (true, "neutral mutants stayed green")];
    let scores = scores.into_iter().filter_map(|(is_neutral, what)| {
        let of = mutants.iter().filter(|scored| scored.is_neutral == is_neutral);
        let (of, passed) = (of.count(), passed(mutants, Some(is_neutral)));
        (of > 0).then(|| format!("{passed} of {of} {what}, "))
    });
    let scores: String = scores.collect();
    let _ = writeln!(
        out,
        "score: {scores}{percent} % ({}, {seconds:.0} s)",
        counted(trials, "trial")
    );
    if let Some(Vacuous { expectations, cells }) = vacuous {
        for (what, names) in [
            ("expectations that no mutant broke", expectations),
            ("cells that no mutant turned red", cells),
        ] {
            let _ = writeln!(out, "{what}: {}", names.len());
            out.extend(names.iter().map(|name| format!("  {name}\n")));
        }
    }
    out
}

/// A line for each row, and its survivors.
fn rows_text(rows: &[RowScore]) -> String {
    let width = rows.iter().map(|row| row.row.as_str().len()).max().unwrap_or(0);
    let mut out = String::new();
    for row in rows {
        let others = match row.others {
            0 => String::new(),
            others => format!(", {} of {others} others turned it red", row.others_red),
        };
        let neutral = match row.neutral {
            0 => String::new(),
            neutral => format!(", green under {} of {neutral} neutral", row.neutral_green),
        };
        let (name, killed, of) = (row.row.as_str(), row.killed, row.of);
        let _ = writeln!(out, "{name:width$}  {killed:3} of {of:3} killed{others}{neutral}");
        out.extend(row.survived.iter().map(|name| format!("  survived: {name}\n")));
    }
    out
}

/// The number of mutants that came out as they should: of all, or of the neutral or the other ones.
fn passed(mutants: &[Scored], is_neutral: Option<bool>) -> usize {
    let is_counted = |scored: &&Scored| is_neutral.is_none_or(|wanted| wanted == scored.is_neutral);
    mutants
        .iter()
        .filter(is_counted)
        .filter(|scored| scored.passed)
        .count()
}

fn verdict(scored: &Scored) -> &'static str {
    match (scored.is_neutral, scored.passed) {
        (false, true) => "killed",
        (false, false) => "SURVIVED",
        (true, true) => "stayed green",
        (true, false) if scored.touched == 0 => "NO CHANGE",
        (true, false) => "TURNED RED",
    }
}

fn mutant_text(scored: &Scored) -> String {
    let mut out = format!("{} {}: {}\n", verdict(scored), scored.mutant, scored.description);
    let (also, wrong_report) = match scored.is_neutral {
        true => ("wrongly broken", "red"),
        false => ("also broken", "wrong report"),
    };
    for (what, named) in [
        ("caught by", &scored.caught_by),
        ("missed by", &scored.missed_by),
        (also, &scored.also),
        ("wrongly broken, not affected", &scored.wrongly_red),
    ] {
        for (expectation, cells) in by_expectation(named) {
            let _ = writeln!(out, "  {what}: {expectation} in {}", cells.join(", "));
        }
    }
    let others = scored.stayed_green.iter().map(|cell| cell.0.to_string());
    let others = others.collect::<Vec<_>>().join(", ");
    if !scored.is_neutral && !others.is_empty() {
        let _ = writeln!(out, "  not named, stayed green: {others}");
    }
    let wrong = scored.misjudged.iter().map(|report| (wrong_report, report));
    // The reports of one bug begin alike.
    let first = scored.reports.first().map(|report| ("report", report));
    for (what, report) in wrong.chain(first) {
        let line = &report.first_line;
        let (cell, cause) = (&report.cell, report.cause.as_str());
        let _ = writeln!(out, "  {what}: {cell} blames {cause}: {line}");
    }
    if !scored.passed {
        let (touched, tried, sources) = (scored.touched, scored.tried, scored.sources.join(" "));
        let _ = writeln!(
            out,
            "  it affected {touched} of {}; sources: {sources}",
            counted(tried, "cell")
        );
    }
    out
}

/// The cells of each expectation.
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

fn json_of(result: &CampaignResult, vacuous: Option<&Vacuous>, seconds: f64) -> serde_json::Value {
    json!({
        "mutants": result.mutants,
        "rows": result.rows,
        "killed": passed(&result.mutants, Some(false)),
        "stayed_green": passed(&result.mutants, Some(true)),
        "of": result.mutants.len(),
        "trials": result.trials,
        "seconds": seconds,
        "vacuous": vacuous,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CellId, FeatureId, ProviderId};
    use crate::mutants::MutantName;
    use crate::mutants::score::{CellName, CellReport};
    use crate::outcome::Cause;

    fn scored(class: &str, is_neutral: bool, passed: bool) -> Scored {
        let cell = CellId {
            feature: FeatureId::new("vision"),
            provider: ProviderId::new("anthropic"),
        };
        let named = vec![Named {
            cell: cell.clone(),
            expectation: "reply".to_owned(),
        }];
        let red = CellReport {
            cell,
            cause: Cause::Gateway,
            headline: Some("reply 1: gone".to_owned()),
            first_line: "no reply: reply 1: gone".to_owned(),
        };
        let is_red = is_neutral && !passed;
        Scored {
            mutant: MutantName::new(class, "one"),
            description: "One.".to_owned(),
            sources: vec!["https://example.com".to_owned()],
            is_neutral,
            passed,
            touched: 1,
            tried: 2,
            run: 1,
            caught_by: Vec::new(),
            also: if is_red { named } else { Vec::new() },
            missed_by: Vec::new(),
            wrongly_red: Vec::new(),
            stayed_green: Vec::new(),
            reports: Vec::new(),
            misjudged: if is_red { vec![red] } else { Vec::new() },
        }
    }

    fn shown(mutants: Vec<Scored>) -> String {
        let result = CampaignResult {
            mutants,
            rows: Vec::new(),
            vacuous: Vacuous::default(),
            trials: 9,
        };
        text(&result, None, 1.0)
    }

    #[test]
    fn neutral_mutants_have_their_own_place_in_the_score() {
        let all = shown(vec![scored("body", false, true), scored("neutral", true, false)]);
        let expected = "killed body/one: One.\n\
             TURNED RED neutral/one: One.\n  \
             wrongly broken: reply in vision::anthropic\n  \
             red: vision::anthropic blames gateway: no reply: reply 1: gone\n  \
             it affected 1 of 2 cells; sources: https://example.com\n\
             score: 1 of 1 mutants killed, 0 of 1 neutral mutants stayed green, 50 % (9 trials, 1 s)\n";
        assert_eq!(all, expected);
        let green = shown(vec![scored("neutral", true, true)]);
        assert!(green.ends_with("score: 1 of 1 neutral mutants stayed green, 100 % (9 trials, 1 s)\n"));
        assert!(shown(vec![scored("body", false, false)]).starts_with("SURVIVED body/one"));
    }

    #[test]
    fn each_row_has_a_line_and_lists_its_survivors() {
        let row = |name: &str| RowScore {
            row: FeatureId::new(name),
            killed: 1,
            of: 1,
            survived: Vec::new(),
            others_red: 0,
            others: 0,
            neutral_green: 0,
            neutral: 0,
        };
        let partly = RowScore {
            of: 2,
            survived: vec![MutantName::new("body", "one")],
            others_red: 3,
            others: 4,
            neutral_green: 5,
            neutral: 5,
            ..row("tool_use")
        };
        let expected = "vision      1 of   1 killed\n\
            tool_use    1 of   2 killed, 3 of 4 others turned it red, green under 5 of 5 neutral\n  \
            survived: body/one\n";
        assert_eq!(rows_text(&[row("vision"), partly]), expected);
    }

    #[test]
    fn an_unnamed_cell_that_stays_green_is_shown() {
        let mut killed = scored("body", false, true);
        let cell = CellId {
            feature: FeatureId::new("web_search"),
            provider: ProviderId::new("anthropic"),
        };
        killed.stayed_green = vec![CellName(cell)];
        let text = mutant_text(&killed);
        assert!(
            text.contains("  not named, stayed green: web_search::anthropic\n"),
            "{text}"
        );
    }
}
