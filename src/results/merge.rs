//! Merges the results of shards.
//!
//! Parts of one run have the same gateway, versions and trials. A difference is an error.

use super::Spending;
use super::file::{GatewayRecord, LeftOut, Results, RunRecord};
use crate::ids::TrialName;
use crate::text::counted;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    #[error("nothing to merge: name at least one results file")]
    Nothing,
    #[error(
        "`{first}` and `{second}` are not parts of one run: `{fact}` is `{one}` in the first and `{other}` in the second"
    )]
    Mismatch {
        first: String,
        second: String,
        fact: &'static str,
        one: String,
        other: String,
    },
    #[error("`{trial}` is in `{first}` and in `{second}`")]
    Duplicate {
        trial: String,
        first: String,
        second: String,
    },
    #[error(
        "the parts have {finished} of {}{broken_off}: give the missing parts, or use `--allow-partial` to \
         merge without them",
        counted(*.trials, "trial")
    )]
    Partial {
        finished: usize,
        trials: usize,
        /// `, and … was interrupted`, if one was.
        broken_off: String,
    },
}

/// Merges `parts`, each with its file name for errors. With `allow_partial`, trials may be missing.
pub fn merge(parts: Vec<(String, Results)>, allow_partial: bool) -> Result<Results, MergeError> {
    check_facts(&parts)?;
    let run = merged_run(&parts).ok_or(MergeError::Nothing)?;
    let broken_off = parts
        .iter()
        .find(|(_, part)| !part.run.complete)
        .map(|(name, _)| name.clone());
    let mut named: Vec<_> = parts
        .into_iter()
        .flat_map(|(name, part)| part.results.into_iter().map(move |entry| (name.clone(), entry)))
        .collect();
    named.sort_by(|a, b| a.1.nodeid.cmp(&b.1.nodeid));
    if let Some(twice) = named.windows(2).find(|pair| pair[0].1.nodeid == pair[1].1.nodeid) {
        return Err(MergeError::Duplicate {
            trial: twice[0].1.nodeid.to_string(),
            first: twice[0].0.clone(),
            second: twice[1].0.clone(),
        });
    }
    if !allow_partial && (named.len() < run.trials || broken_off.is_some()) {
        return Err(MergeError::Partial {
            finished: named.len(),
            trials: run.trials,
            broken_off: broken_off.map_or_else(String::new, |name| format!(", and `{name}` was interrupted")),
        });
    }
    Ok(Results::new(
        run,
        named.into_iter().map(|(_, entry)| entry).collect(),
    ))
}

fn check_facts(parts: &[(String, Results)]) -> Result<(), MergeError> {
    for (index, fact) in FACTS.into_iter().enumerate() {
        let mut known = parts
            .iter()
            .filter_map(|(name, part)| Some((name, facts(part)[index].clone()?)));
        let Some((first, one)) = known.next() else {
            continue;
        };
        if let Some((second, other)) = known.find(|(_, other)| *other != one) {
            return Err(MergeError::Mismatch {
                first: first.clone(),
                second: second.clone(),
                fact,
                one,
                other,
            });
        }
    }
    Ok(())
}

/// Facts that are the same in all parts of a run.
const FACTS: [&str; 8] = [
    "behind",
    "gateway.kind",
    "gateway.name",
    "gateway.configuration",
    "gateway.settings",
    "trials",
    "gateway.version",
    "claude_code_version",
];

/// The values of [`FACTS`]; a part in which nothing ran has no versions.
fn facts(part: &Results) -> [Option<String>; FACTS.len()] {
    let run = &part.run;
    let has_run = part.results.iter().any(|entry| !entry.attempts.is_empty());
    let version =
        |version: &Option<String>| has_run.then(|| version.clone().unwrap_or_else(|| "unknown".into()));
    [
        Some(match run.rehearsal {
            true => "rehearsal".to_owned(),
            false => format!("{:?}", run.behind).to_lowercase(),
        }),
        Some(run.gateway.kind.clone()),
        Some(run.gateway.name.clone().unwrap_or_else(|| "unknown".into())),
        Some(run.gateway.configuration_name().to_owned()),
        run.gateway.settings_in_words(),
        Some(run.trials.to_string()),
        version(&run.gateway.version),
        version(&run.claude_code_version),
    ]
}

/// The first fact in which `now` differs from `then`, so that results of both do not belong in one file: its name and both
/// values. A fact that one of them does not know counts as equal.
pub fn differing_fact(then: &RunRecord, now: &RunRecord) -> Option<(&'static str, String, String)> {
    let format = |run: &RunRecord| Some(run.client_format.clone().unwrap_or_else(|| "messages".into()));
    let facts = |run: &RunRecord| {
        [
            ("behind", Some(format!("{:?}", run.behind).to_lowercase())),
            ("gateway.kind", Some(run.gateway.kind.clone())),
            ("gateway.name", run.gateway.name.clone()),
            (
                "gateway.configuration",
                Some(run.gateway.configuration_name().to_owned()),
            ),
            ("gateway.settings", run.gateway.settings_in_words()),
            ("client_format", format(run)),
            ("gateway.version", run.gateway.version.clone()),
            ("claude_code_version", run.claude_code_version.clone()),
        ]
    };
    let mut both = facts(then).into_iter().zip(facts(now));
    both.find_map(|((fact, one), (_, other))| {
        Some((fact, one?, other?)).filter(|(_, one, other)| one != other)
    })
}

/// The run of all parts: from the first start to the last write.
fn merged_run(parts: &[(String, Results)]) -> Option<RunRecord> {
    let runs = || parts.iter().map(|(_, part)| &part.run);
    let first = runs().next()?;
    Some(RunRecord {
        started_at: runs().map(|run| run.started_at).min()?,
        written_at: runs().map(|run| run.written_at).max()?,
        complete: runs().all(|run| run.complete),
        selected: runs().map(|run| run.selected).sum::<usize>().min(first.trials),
        gateway: GatewayRecord {
            version: runs().find_map(|run| run.gateway.version.clone()),
            ..first.gateway.clone()
        },
        claude_code_version: runs().find_map(|run| run.claude_code_version.clone()),
        // The weakest part counts.
        isolation: runs().filter_map(|run| run.isolation).min(),
        unfinished: unfinished(parts),
        left_out: left_out(runs()),
        spent: runs().filter_map(|run| run.spent.clone()).reduce(Spending::with),
        // Parts run side by side.
        ran_ms: None,
        name: None,
        ..first.clone()
    })
}

/// The cells that a part cannot have.
fn left_out<'a>(runs: impl Iterator<Item = &'a RunRecord>) -> LeftOut {
    let mut all = LeftOut::new();
    for (feature, cells) in runs.flat_map(|run| run.left_out.clone()) {
        all.entry(feature).or_default().extend(cells);
    }
    all
}

/// The trials that no part has finished.
fn unfinished(parts: &[(String, Results)]) -> Vec<TrialName> {
    let is_finished = |name: &TrialName| {
        let mut entries = parts.iter().flat_map(|(_, part)| &part.results);
        entries.any(|entry| entry.nodeid == *name)
    };
    let all = parts.iter().flat_map(|(_, part)| &part.run.unfinished);
    all.filter(|name| !is_finished(name)).cloned().collect()
}
