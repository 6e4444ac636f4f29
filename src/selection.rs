//! Which of the project's trials a run is of, before any filter: a shard of them, or those that a list names.
//!
//! Pure. A list that names a trial that is not there is an error: a part that lost a trial must not pass for a whole one.
#![warn(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::str::FromStr;

use crate::ids::TrialName;

/// One of several parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    part: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text
            .split_once('/')
            .and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((part, of)) if (1..=of).contains(&part) => Ok(Self { part, of }),
            _ => Err("expected `K/N` with K from 1 to N, as in `2/4`".into()),
        }
    }
}

impl Shard {
    /// Every N-th trial, beginning with the K-th.
    pub fn of(self, names: Vec<TrialName>) -> Vec<TrialName> {
        names.into_iter().skip(self.part - 1).step_by(self.of).collect()
    }
}

/// The trials among `names` that `text` lists, a name a line; empty lines and what `--list` adds to a name (`: test`) do not
/// count.
///
/// # Errors
/// [`UnknownTrials`], where the project does not have one.
pub fn listed(text: &str, names: Vec<TrialName>) -> Result<Vec<TrialName>, UnknownTrials> {
    let mut wanted: HashSet<&str> = text
        .lines()
        .map(|line| line.trim().trim_end_matches(": test"))
        .filter(|line| !line.is_empty())
        .collect();
    let selected = names
        .into_iter()
        .filter(|name| wanted.remove(name.to_string().as_str()))
        .collect();
    let mut unknown: Vec<&str> = wanted.into_iter().collect();
    unknown.sort_unstable();
    match unknown.first() {
        None => Ok(selected),
        Some(first) => Err(UnknownTrials {
            first: (*first).to_owned(),
            others: unknown.len() - 1,
        }),
    }
}

/// A list names trials that the project does not have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the project has no trial `{first}`{}: list them with `cargo test --test compat -- --list`", more(*others))]
pub struct UnknownTrials {
    /// One of them.
    pub first: String,
    /// How many more there are.
    pub others: usize,
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        others => format!(" (nor {others} others that are named)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<TrialName> {
        let name = |tier: &str| format!("tool_use::anthropic::{tier}").parse().unwrap();
        ["haiku", "sonnet", "opus", "next"].map(name).to_vec()
    }

    #[test]
    fn the_shards_of_a_run_have_each_trial_once() {
        for of in 1..6 {
            let shards = (1..=of).map(|part| format!("{part}/{of}").parse::<Shard>().unwrap());
            let mut all: Vec<TrialName> = shards.flat_map(|shard| shard.of(names())).collect();
            let mut expected = names();
            all.sort();
            expected.sort();
            assert_eq!(all, expected, "{of}");
        }
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_selects_in_the_project_s_order_and_may_be_what_the_harness_lists() {
        let text = "tool_use::anthropic::opus: test\n\n tool_use::anthropic::haiku\n";
        let selected = listed(text, names()).unwrap();
        let selected: Vec<String> = selected.iter().map(ToString::to_string).collect();
        assert_eq!(
            selected,
            ["tool_use::anthropic::haiku", "tool_use::anthropic::opus"]
        );
        assert!(listed("", names()).unwrap().is_empty());
    }

    #[test]
    fn a_name_that_the_project_does_not_have_is_an_error() {
        let error = listed("tool_use::anthropic::haikú\nx", names()).unwrap_err();
        assert_eq!(error.others, 1);
        assert!(error.to_string().contains("--list"));
    }
}
