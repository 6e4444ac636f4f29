//! The validation gate: whether what a run found may be published as the truth about the gateway.
//!
//! Pure. What is not the gateway's fault, or not the whole of the matrix, or not from the real providers, is refused: the
//! last truth stays.
#![warn(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::evidence::Behind;
use crate::ids::TrialName;
use crate::matrix::builder::{BuildError, Stamp, build};
use crate::matrix::{Details, ManifestView, Matrix, schema};
use crate::outcome::Cause;
use crate::results::{CellStatus, Results, TrialRecord};

#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub matrix: Matrix,
    pub details: Details,
}

/// What the gate says of a run.
#[derive(Clone, Debug)]
pub struct Judgement {
    pub candidate: Candidate,
    /// Why it may not be; empty if it may.
    pub refusals: Vec<Refusal>,
    /// Trials that could not be judged and are published as if they had not been run.
    pub left_out: Vec<TrialName>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Refusal {
    /// A provider simulator stood behind the gateway.
    Simulated,
    Filtered {
        selected: usize,
        trials: usize,
    },
    /// Not all selected trials have finished.
    Incomplete {
        finished: usize,
        selected: usize,
    },
    /// The session could not be started.
    Session {
        what: String,
    },
    /// Another version ran than the one that the matrix would name.
    Version {
        what: &'static str,
        wanted: String,
        ran: String,
    },
    /// Trials failed for reasons that say nothing about the gateway.
    Inconclusive {
        trials: BTreeMap<String, Vec<String>>,
    },
    NothingJudged,
    /// A file does not follow its schema.
    Schema {
        file: &'static str,
        what: String,
    },
}

/// What the gate is told beside the results.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// What the matrix is to say of itself.
    pub stamp: &'a Stamp,
    /// How many trials the project has. A pair of the manifest without a cell has none, and is not tested.
    pub trials: usize,
    /// Whether trials that could not be judged are published as not tested.
    pub allow_inconclusive: bool,
}

/// Builds the matrix and judges whether it may be published.
pub fn judge(manifest: &ManifestView, results: &Results, rules: Rules) -> Result<Judgement, BuildError> {
    let inconclusive: Vec<&TrialRecord> = results.results.iter().filter(|entry| !is_judged(entry)).collect();
    let mut counted = results.clone();
    if rules.allow_inconclusive {
        counted.results.retain(is_judged);
    }
    let candidate = Candidate {
        matrix: build(manifest, &counted, rules.stamp)?,
        details: Details::build(manifest, &counted, rules.stamp)?,
    };
    let mut refusals = of_run(results, rules.trials);
    refusals.extend(of_versions(results, rules.stamp));
    if !inconclusive.is_empty() && !rules.allow_inconclusive {
        refusals.push(Refusal::Inconclusive {
            trials: by_cause(&inconclusive),
        });
    }
    if !candidate.matrix.cells().any(|(.., status)| is_verdict(status)) {
        refusals.push(Refusal::NothingJudged);
    }
    refusals.extend(of_schemas(&candidate));
    let left_out = match rules.allow_inconclusive {
        true => inconclusive.iter().map(|entry| entry.nodeid.clone()).collect(),
        false => Vec::new(),
    };
    Ok(Judgement {
        candidate,
        refusals,
        left_out,
    })
}

fn is_judged(entry: &TrialRecord) -> bool {
    entry.cause.is_none_or(Cause::is_judged)
}

fn is_verdict(status: &CellStatus) -> bool {
    matches!(status, CellStatus::Pass {} | CellStatus::Fail { .. })
}

fn of_run(results: &Results, trials: usize) -> Vec<Refusal> {
    let run = &results.run;
    let finished: BTreeSet<_> = results.results.iter().map(|entry| &entry.nodeid).collect();
    let mut refusals = Vec::new();
    if run.behind == Behind::Simulated {
        refusals.push(Refusal::Simulated);
    }
    if run.selected < trials || run.trials != trials {
        refusals.push(Refusal::Filtered {
            selected: run.selected,
            trials,
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

/// What a session that could not be started said, as the harness records it for each trial.
fn session_fault(entry: &TrialRecord) -> Option<String> {
    entry
        .mismatches
        .iter()
        .find(|mismatch| entry.cause == Some(Cause::Harness) && mismatch.expectation == "session")
        .map(|mismatch| mismatch.actual.clone())
}

fn of_versions(results: &Results, stamp: &Stamp) -> Vec<Refusal> {
    let pairs = [
        ("LiteLLM", &stamp.litellm_version, &results.run.gateway.version),
        (
            "Claude Code",
            &stamp.claude_code_version,
            &results.run.claude_code_version,
        ),
    ];
    pairs
        .into_iter()
        .filter_map(|(what, wanted, ran)| {
            let ran = ran.as_ref()?;
            (numbers(wanted) != numbers(ran)).then(|| Refusal::Version {
                what,
                wanted: wanted.clone(),
                ran: ran.clone(),
            })
        })
        .collect()
}

/// The three numbers of a version or a tag: `1.83.3` of `v1.83.3-stable.patch.2`, whose package says `1.83.3`.
fn numbers(version: &str) -> Vec<&str> {
    version
        .trim_start_matches('v')
        .split(|character: char| !character.is_ascii_digit())
        .take(3)
        .collect()
}

fn by_cause(entries: &[&TrialRecord]) -> BTreeMap<String, Vec<String>> {
    let mut trials: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in entries {
        let cause = entry.cause.map_or("unknown", Cause::as_str);
        trials
            .entry(cause.to_owned())
            .or_default()
            .push(entry.nodeid.to_string());
    }
    trials
}

fn of_schemas(candidate: &Candidate) -> Vec<Refusal> {
    let files = [
        (
            "compatibility-matrix.json",
            "compatibility-matrix.schema.json",
            candidate.matrix.to_text(),
        ),
        (
            "compatibility-details.json",
            "compatibility-details.schema.json",
            candidate.details.to_text(),
        ),
    ];
    let schemas = schema::files();
    files
        .into_iter()
        .filter_map(|(file, schema, text)| {
            let what = schema_fault(&schemas, schema, &text)?;
            Some(Refusal::Schema { file, what })
        })
        .collect()
}

/// Why `text` does not follow the schema of that name; a schema that cannot be read lets nothing pass.
fn schema_fault(schemas: &[(&str, String)], name: &str, text: &str) -> Option<String> {
    let Some((_, schema)) = schemas.iter().find(|(file, _)| file.ends_with(name)) else {
        return Some(format!("there is no schema `{name}`"));
    };
    let check = || -> Result<(), String> {
        let schema = serde_json::from_str(schema).map_err(|error| error.to_string())?;
        let document = serde_json::from_str(text).map_err(|error| error.to_string())?;
        jsonschema::validator_for(&schema)
            .map_err(|error| error.to_string())?
            .validate(&document)
            .map_err(|error| format!("{}: {error}", error.instance_path()))
    };
    check().err()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulated => f.write_str(
                "a provider simulator stood behind the gateway: only a live run tells what the providers do",
            ),
            Self::Filtered { selected, trials } => write!(
                f,
                "the run selected {selected} of the project's {trials} trials: run all of them"
            ),
            Self::Incomplete { finished, selected } => {
                write!(
                    f,
                    "the run was broken off: {finished} of {selected} trials finished"
                )
            }
            Self::Session { what } => write!(f, "the session broke: {what}"),
            Self::Version { what, wanted, ran } => write!(
                f,
                "the matrix would say {what} {wanted}, but {ran} ran: attach to the gateway and the `claude` that were resolved"
            ),
            Self::Inconclusive { trials } => inconclusive(f, trials),
            Self::NothingJudged => f.write_str("no cell passed or failed: there is nothing to tell"),
            Self::Schema { file, what } => write!(f, "`{file}` does not follow its schema: {what}"),
        }
    }
}

fn inconclusive(f: &mut fmt::Formatter<'_>, trials: &BTreeMap<String, Vec<String>>) -> fmt::Result {
    let number: usize = trials.values().map(Vec::len).sum();
    write!(f, "{number} trials failed by no fault of the gateway:")?;
    for (index, (cause, names)) in trials.iter().enumerate() {
        let separator = if index == 0 { "" } else { ";" };
        write!(f, "{separator} {cause} ({}): {}", names.len(), names[0])?;
        if names.len() > 1 {
            write!(f, " and {} more", names.len() - 1)?;
        }
    }
    f.write_str("; mend that and run again, or publish them as not tested with `--allow-inconclusive`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_follow_its_schema_is_refused_with_its_place() {
        let schema = "compatibility-matrix.schema.json";
        let sample = include_str!("../../sample_compatibility-matrix.json");
        let schemas = schema::files();
        assert_eq!(schema_fault(&schemas, schema, sample), None);
        let other = sample.replacen("\"pass\"", "\"passed\"", 1);
        let what = schema_fault(&schemas, schema, &other).unwrap();
        assert!(what.contains("/features/0/providers"), "{what}");
        let refusal = Refusal::Schema {
            file: "compatibility-matrix.json",
            what,
        };
        assert!(
            refusal
                .to_string()
                .starts_with("`compatibility-matrix.json` does not follow its schema: ")
        );
        assert!(schema_fault(&schemas, "no.schema.json", sample).is_some());
    }
}
