//! Which of the project's trials this process is to run, before any filter: a shard of them, or those that a file names.

use std::collections::HashSet;
use std::str::FromStr;

use anyhow::bail;
use compat_matrix::ids::TrialName;

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
/// A name that the project does not have: a part that lost a trial must not pass for a whole one.
pub fn listed(text: &str, names: Vec<TrialName>) -> anyhow::Result<Vec<TrialName>> {
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
        Some(first) => bail!(
            "the project has no trial `{first}`{}: list them with `cargo test --test compat -- --list`",
            match unknown.len() {
                1 => String::new(),
                number => format!(" (nor {} others that are named)", number - 1),
            }
        ),
    }
}
