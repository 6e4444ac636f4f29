//! The validation gate: whether a run's matrix may be published.
//!
//! Pure. It refuses failures that are not the gateway's, incomplete runs, and runs without the real providers. New findings and
//! stale declarations are facts about the gateway: the page shows them, and notes tell the maintainers.
#![warn(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, anyhow, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::evidence::Behind;
use crate::findings::KnownFindings;
use crate::findings::summary::RunFinding;
use crate::ids::TrialName;
use crate::isolation::IsolationLevel;
use crate::matrix::builder::{BuildError, Stamp, build};
use crate::matrix::{Details, ManifestView, Matrix, schema};
use crate::outcome::Cause;
use crate::results::stale::stale;
use crate::results::{CellStatus, Results, TrialRecord};
use crate::text::{self, counted};

#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub matrix: Matrix,
    pub details: Details,
    /// What `compat history` printed, if it is published too.
    pub version_history: Option<String>,
}

#[derive(Clone, Debug)]
pub struct GateDecision {
    pub candidate: Candidate,
    /// Why it must not be published; empty if it may be.
    pub refusals: Vec<Refusal>,
    /// Trials that could not be judged and are published as not tested.
    pub left_out: Vec<TrialName>,
    /// What was spent, new findings and stale declarations, a line each.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Refusal {
    /// The run used a provider simulator.
    Simulated,
    /// Claude Code called the gateway in another API than the Messages API, which the matrix has no place to say.
    ClientFormat {
        format: String,
    },
    Filtered {
        selected: usize,
        /// The trials that a live run can have.
        possible: usize,
    },
    Incomplete {
        finished: usize,
        selected: usize,
    },
    Session {
        what: String,
    },
    /// The matrix would name another version than the one that ran.
    Version {
        what: &'static str,
        wanted: String,
        ran: String,
    },
    /// The run confined `claude` less than required.
    Isolation {
        required: IsolationLevel,
        reached: IsolationLevel,
    },
    /// Trials failed for reasons other than the gateway.
    Inconclusive {
        trials: BTreeMap<String, Vec<String>>,
    },
    NothingJudged,
    Schema {
        file: &'static str,
        what: String,
    },
}

/// The gate's input beside the results.
#[derive(Clone, Copy, Debug)]
pub struct GateRules<'a> {
    pub stamp: &'a Stamp,
    /// The number of the project's trials. A pair of the manifest without a cell has none, and counts as not tested.
    pub trials: usize,
    /// The number of those that no live run can have: their cells need their own replies. They count as not tested.
    pub scripted: usize,
    /// The project's trials without those that are not applicable.
    pub applicable: &'a [TrialName],
    /// What the gateway of the run is known to break.
    pub known: &'a KnownFindings,
    /// Whether to publish trials that could not be judged as not tested.
    pub allow_inconclusive: bool,
    /// The lowest isolation level that may be published.
    pub isolation: IsolationLevel,
}

/// Builds the matrix and decides whether it may be published.
pub fn decide(
    manifest: &ManifestView,
    results: &Results,
    rules: GateRules,
) -> Result<GateDecision, BuildError> {
    let (judged, inconclusive): (Vec<_>, Vec<_>) = results.results.iter().cloned().partition(is_judged);
    let mut counted = results.clone();
    if rules.allow_inconclusive {
        counted.results = judged;
        for trial in &inconclusive {
            let cause = trial.cause.map_or("unknown", Cause::as_str);
            let row = counted.run.left_out.entry(trial.feature_id.clone()).or_default();
            let why = || format!("The run could not judge this (cause `{cause}`).");
            row.entry(trial.provider.clone()).or_insert_with(why);
        }
    }
    let candidate = Candidate {
        matrix: build(manifest, &counted, rules.stamp)?,
        details: Details::build(manifest, &counted, rules.stamp)?,
        version_history: None,
    };
    let mut refusals = of_run(results, rules.trials, rules.scripted);
    refusals.extend(of_versions(results, rules.stamp));
    let (required, reached) = (rules.isolation, results.run.isolation.unwrap_or_default());
    if reached < required {
        refusals.push(Refusal::Isolation { required, reached });
    }
    if !inconclusive.is_empty() && !rules.allow_inconclusive {
        refusals.push(Refusal::Inconclusive {
            trials: by_cause(&inconclusive),
        });
    }
    let is_verdict = |status: &CellStatus| matches!(status, CellStatus::Pass {} | CellStatus::Fail { .. });
    if !candidate.matrix.cells().any(|(.., status)| is_verdict(status)) {
        refusals.push(Refusal::NothingJudged);
    }
    refusals.extend(of_schemas(&candidate));
    let left_out = inconclusive.into_iter().filter(|_| rules.allow_inconclusive);
    Ok(GateDecision {
        candidate,
        refusals,
        left_out: left_out.map(|entry| entry.nodeid).collect(),
        notes: notes(results, rules),
    })
}

impl GateDecision {
    /// Adds what `compat history` printed to the candidate. A broken one is a refusal.
    pub fn add_version_history(&mut self, text: String) {
        if let Err(error) = check_version_history(&text) {
            self.refusals.push(Refusal::Schema {
                file: "version-history.json",
                what: format!("{error:#}"),
            });
        }
        self.candidate.version_history = Some(text);
    }
}

fn check_version_history(text: &str) -> anyhow::Result<()> {
    check_schema(&schema::files(), "version-history.schema.json", text)?;
    let history: Value = serde_json::from_str(text)?;
    let count = |list: &Value| list.as_array().map_or(0, Vec::len);
    let versions = count(&history["versions"]);
    // No schema can say that two lists have the same length.
    for (list, of_versions) in [("findings", "shows"), ("cells", "signs")] {
        for (index, entry) in history[list].as_array().into_iter().flatten().enumerate() {
            let found = count(&entry[of_versions]);
            ensure!(
                found == versions,
                "/{list}/{index}/{of_versions}: {found} entries, expected {versions}, one for each version"
            );
        }
    }
    Ok(())
}

fn is_judged(entry: &TrialRecord) -> bool {
    entry.cause.is_none_or(Cause::is_judged)
}

fn of_run(results: &Results, trials: usize, scripted: usize) -> Vec<Refusal> {
    let run = &results.run;
    let finished: BTreeSet<_> = results.results.iter().map(|entry| &entry.nodeid).collect();
    let mut refusals = Vec::new();
    if run.behind == Behind::Simulated {
        refusals.push(Refusal::Simulated);
    }
    let format = run.client_format.iter().cloned();
    refusals.extend(format.map(|format| Refusal::ClientFormat { format }));
    let possible = trials - scripted;
    if run.selected < possible || run.trials != trials {
        refusals.push(Refusal::Filtered {
            selected: run.selected,
            possible,
        });
    }
    if !run.complete || finished.len() < run.selected {
        refusals.push(Refusal::Incomplete {
            finished: finished.len(),
            selected: run.selected,
        });
    }
    let broken = results.results.iter().find_map(session_fault);
    refusals.extend(broken.map(|what| Refusal::Session { what }));
    refusals
}

/// The error of a session that could not start, which the harness records for each trial.
fn session_fault(entry: &TrialRecord) -> Option<String> {
    entry
        .mismatches
        .iter()
        .find(|mismatch| entry.cause == Some(Cause::Harness) && mismatch.expectation == "session")
        .map(|mismatch| mismatch.actual.clone())
}

fn of_versions(results: &Results, stamp: &Stamp) -> Vec<Refusal> {
    let run = &results.run;
    let refusal = |what, wanted: &str, ran: Option<&String>| {
        let ran = ran.filter(|ran| numbers(wanted) != numbers(ran))?;
        Some(Refusal::Version {
            what,
            wanted: wanted.to_owned(),
            ran: ran.clone(),
        })
    };
    let litellm = refusal("LiteLLM", &stamp.litellm_version, run.gateway.version.as_ref());
    let ran = run.claude_code_version.as_ref();
    let claude_code = refusal("Claude Code", &stamp.claude_code_version, ran);
    litellm.into_iter().chain(claude_code).collect()
}

/// A line for each new finding and each stale declaration.
fn notes(results: &Results, rules: GateRules) -> Vec<String> {
    let new = results.findings.iter().filter(|finding| finding.status.is_new());
    let in_words = |finding: &RunFinding| {
        let subjects: Vec<String> = finding.subjects.iter().map(ToString::to_string).collect();
        format!(
            "a new finding on {}: {}: {}; declare it in `gateways/` with a reason and a link",
            finding.provider,
            subjects.join(", "),
            finding.loses
        )
    };
    let stale = stale(results, rules.known, rules.applicable);
    let spent = results.run.spent.iter().map(|spent| format!("spent: {spent}"));
    spent
        .chain(new.map(in_words))
        .chain(stale.iter().map(ToString::to_string))
        .collect()
}

/// The three numbers of a version or a tag: `1.83.3` of `v1.83.3-stable.patch.2`, whose package has version `1.83.3`.
fn numbers(version: &str) -> Vec<&str> {
    version
        .trim_start_matches('v')
        .split(|character: char| !character.is_ascii_digit())
        .take(3)
        .collect()
}

fn by_cause(entries: &[TrialRecord]) -> BTreeMap<String, Vec<String>> {
    let mut trials: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for entry in entries {
        let cause = entry.cause.map_or("unknown", Cause::as_str).to_owned();
        trials.entry(cause).or_default().push(entry.nodeid.to_string());
    }
    trials
}

fn of_schemas(candidate: &Candidate) -> Vec<Refusal> {
    let schemas = schema::files();
    let refusal = |(file, text): (&'static str, String)| {
        let error = check_schema(&schemas, &file.replace(".json", ".schema.json"), &text).err()?;
        let what = format!("{error:#}");
        Some(Refusal::Schema { file, what })
    };
    let matrix = ("compatibility-matrix.json", candidate.matrix.to_text());
    let details = ("compatibility-details.json", candidate.details.to_text());
    [matrix, details].into_iter().filter_map(refusal).collect()
}

/// Checks `text` against the schema `name`; an unreadable schema accepts nothing.
fn check_schema(schemas: &[(&str, String)], name: &str, text: &str) -> anyhow::Result<()> {
    let schema = schemas.iter().find(|(file, _)| file.ends_with(name));
    let (_, schema) = schema.with_context(|| format!("there is no schema `{name}`"))?;
    jsonschema::validator_for(&serde_json::from_str(schema)?)?
        .validate(&serde_json::from_str(text)?)
        .map_err(|error| anyhow!("{}: {error}", error.instance_path()))
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulated => {
                f.write_str("the run used a provider simulator: only a live run tests the providers")
            }
            Self::ClientFormat { format } => write!(
                f,
                "Claude Code called the gateway in another API (`--client-format {format}`): run without this flag"
            ),
            Self::Filtered { selected, possible } => write!(
                f,
                "the run selected {selected} of the {} that a live run can have: run all of them",
                text::counted(*possible, "trial")
            ),
            Self::Incomplete { finished, selected } => {
                write!(
                    f,
                    "the run is incomplete: {finished} of {} finished",
                    text::counted(*selected, "trial")
                )
            }
            Self::Session { what } => write!(f, "the session could not start: {what}"),
            Self::Version { what, wanted, ran } => write!(
                f,
                "the matrix would name {what} {wanted}, but {ran} ran: use the gateway and the `claude` that were resolved"
            ),
            Self::Isolation { required, reached } => write!(
                f,
                "`claude` ran at isolation level `{reached}`, and `{required}` is required"
            ),
            Self::Inconclusive { trials } => f.write_str(&inconclusive(trials)),
            Self::NothingJudged => f.write_str("no cell passed or failed: there is nothing to publish"),
            Self::Schema { file, what } => write!(f, "`{file}` does not follow its schema: {what}"),
        }
    }
}

fn inconclusive(trials: &BTreeMap<String, Vec<String>>) -> String {
    let number: usize = trials.values().map(Vec::len).sum();
    let of_cause = |(cause, names): (&String, &Vec<String>)| {
        let others = match names.len() {
            1 => String::new(),
            number => format!(" and {} more", number - 1),
        };
        format!("{cause} ({}): {}{others}", names.len(), names[0])
    };
    let causes: Vec<String> = trials.iter().map(of_cause).collect();
    format!(
        "{} failed for reasons other than the gateway: {}; fix these and run again, or publish them as not \
         tested with `--allow-inconclusive`",
        counted(number, "trial"),
        causes.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_violation_is_refused_with_its_position() {
        let schema = "compatibility-matrix.schema.json";
        let sample = include_str!("../../sample_compatibility-matrix.json");
        let schemas = schema::files();
        assert!(check_schema(&schemas, schema, sample).is_ok());
        let other = sample.replacen("\"pass\"", "\"passed\"", 1);
        let error = check_schema(&schemas, schema, &other).unwrap_err();
        assert!(error.to_string().contains("/features/0/providers"), "{error}");
        assert!(check_schema(&schemas, "no.schema.json", sample).is_err());
    }
}
