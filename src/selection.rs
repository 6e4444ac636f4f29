//! Which of the project's trials a run is of: a shard of them, those that a list names, and of these what each filter
//! lets through: names, features, providers, tiers, and what became of a trial in the last results.
//!
//! Pure. A list that names a trial that is not there is an error, and so is a filter by a name that the manifest does not
//! have: a part that lost a trial must not pass for a whole one.
#![warn(clippy::disallowed_methods)]

use crate::cells::Manifest;
use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use crate::ids::TrialName;
use crate::outcome::Cause;
use crate::results::{Results, TrialRecord, TrialResult};
use crate::text;

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
    pub first: String,
    pub others: usize,
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        others => format!(" (nor {others} others that are named)"),
    }
}

/// Filters by name, as libtest has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Parts of names, any of which lets a trial through; none lets all through.
    pub filters: Vec<String>,
    /// Parts of names, any of which keeps a trial back.
    pub skipped: Vec<String>,
    pub exact: bool,
}

impl Names {
    /// Whether the trial is let through.
    pub fn select(&self, name: &TrialName) -> bool {
        let name = name.to_string();
        let is_meant = |part: &String| match self.exact {
            true => name == *part,
            false => name.contains(part.as_str()),
        };
        (self.filters.is_empty() || self.filters.iter().any(is_meant)) && !self.skipped.iter().any(is_meant)
    }
}

/// Why `names` let none of `trials` through, with what the first filter that fits nothing may have been meant to be.
pub fn why_nothing(names: &Names, trials: &[TrialName]) -> String {
    let mut known: Vec<String> = Vec::new();
    for trial in trials {
        let cell = &trial.cell;
        known.extend([
            cell.feature.to_string(),
            cell.provider.to_string(),
            cell.to_string(),
            trial.to_string(),
        ]);
    }
    let stray = names
        .filters
        .iter()
        .find(|filter| !known.iter().any(|name| name.contains(filter.as_str())));
    match (stray, names.exact && !names.filters.is_empty()) {
        (Some(filter), _) => match text::closest(filter, known.iter().map(String::as_str)) {
            Some(close) => format!("no trial's name has `{filter}` in it (did you mean `{close}`?)"),
            None => format!("no trial's name has `{filter}` in it; `--list` shows them all"),
        },
        (None, true) => {
            "no trial has exactly this name; without `--exact` a part of a name is enough".to_owned()
        }
        (None, false) => "the filters together let no trial through".to_owned(),
    }
}

/// Those of `names` (`feature::provider`, perhaps with `::tier`) of which a part is `part`, or the one that is most like it, or
/// holds it whole.
pub fn alike<'a>(part: &str, names: &'a [String]) -> Vec<&'a str> {
    let all = || names.iter().map(String::as_str);
    let holding: Vec<&str> = all().filter(|name| name.contains(part)).collect();
    if !holding.is_empty() {
        return holding;
    }
    match text::closest(part, all().flat_map(|name| name.split("::"))) {
        Some(close) => all()
            .filter(|name| name.split("::").any(|known| known == close))
            .collect(),
        None => Vec::new(),
    }
}

/// What [`alike`] finds as the end of a message: `; did you mean …?`, or nothing.
pub fn did_you_mean(part: &str, names: &[String]) -> String {
    const MOST: usize = 6;
    match alike(part, names)[..] {
        [] => String::new(),
        [one] => format!("; did you mean `{one}`?"),
        ref some if some.len() <= MOST => {
            format!("; did you mean one of {}?", text::listed(some.iter().copied()))
        }
        ref many => format!(
            "; did you mean one of {}, …?",
            text::listed(many[..MOST].iter().copied())
        ),
    }
}

/// Filters by the manifest's own names; an empty list lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axes {
    pub features: Vec<String>,
    pub providers: Vec<String>,
    pub tiers: Vec<String>,
}

impl Axes {
    /// Whether the manifest has every name.
    pub fn check(&self, manifest: &Manifest) -> Result<(), UnknownName> {
        let features: Vec<&str> = manifest.features.iter().map(|row| row.id.as_str()).collect();
        let providers: Vec<&str> = manifest.providers.iter().map(|id| id.as_str()).collect();
        let tiers: Vec<&str> = manifest.tiers.iter().map(|tier| tier.id.as_str()).collect();
        for (axis, asked, known) in [
            ("feature", &self.features, features),
            ("provider", &self.providers, providers),
            ("tier", &self.tiers, tiers),
        ] {
            if let Some(name) = asked.iter().find(|name| !known.contains(&name.as_str())) {
                return Err(UnknownName::new(axis, name, &known));
            }
        }
        Ok(())
    }

    /// Whether the trial is let through.
    pub fn select(&self, name: &TrialName) -> bool {
        let lets = |asked: &[String], own: &str| asked.is_empty() || asked.iter().any(|name| name == own);
        lets(&self.features, name.cell.feature.as_str())
            && lets(&self.providers, name.cell.provider.as_str())
            && lets(&self.tiers, name.tier.as_str())
    }
}

/// A filter by something that there is not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {axis} `{name}`{close}: it is one of {known}")]
pub struct UnknownName {
    axis: &'static str,
    name: String,
    close: String,
    known: String,
}

impl UnknownName {
    fn new(axis: &'static str, name: &str, known: &[&str]) -> Self {
        let close = text::closest(name, known.iter().copied());
        Self {
            axis,
            name: name.to_owned(),
            close: close.map_or_else(String::new, |close| format!(" (did you mean `{close}`?)")),
            known: text::listed(known.iter().copied()),
        }
    }
}

/// What became of a trial in the last results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastStatus {
    /// It passed, perhaps not at once.
    Pass,
    Fail,
    /// It passed after it had failed.
    Flaky,
    NotApplicable,
    /// It was not selected, or the run was broken off before it had finished.
    NotTested,
}

impl LastStatus {
    const ALL: [(&'static str, Self); 5] = [
        ("pass", Self::Pass),
        ("fail", Self::Fail),
        ("flaky", Self::Flaky),
        ("not_applicable", Self::NotApplicable),
        ("not_tested", Self::NotTested),
    ];

    fn is_of(self, entry: Option<&TrialRecord>) -> bool {
        match (self, entry) {
            (Self::NotTested, entry) => entry.is_none(),
            (Self::Pass, Some(entry)) => matches!(entry.result, TrialResult::Pass {}),
            (Self::Fail, Some(entry)) => matches!(entry.result, TrialResult::Fail { .. }),
            (Self::Flaky, Some(entry)) => entry.flaky,
            (Self::NotApplicable, Some(entry)) => matches!(entry.result, TrialResult::NotApplicable { .. }),
            (_, None) => false,
        }
    }
}

impl FromStr for LastStatus {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        one_of("status", text, Self::ALL)
    }
}

/// The cause that is called `text`.
pub fn cause(text: &str) -> Result<Cause, UnknownName> {
    one_of("cause", text, Cause::ALL.map(|cause| (cause.as_str(), cause)))
}

fn one_of<T: Copy, const N: usize>(
    axis: &'static str,
    text: &str,
    all: [(&'static str, T); N],
) -> Result<T, UnknownName> {
    let found = all.iter().find(|(name, _)| *name == text);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| UnknownName::new(axis, text, &all.map(|(name, _)| name)))
}

/// Filters by the last results. Each that asks for something must let a trial through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Last {
    pub statuses: Vec<LastStatus>,
    /// Any of these, of a failure.
    pub causes: Vec<Cause>,
    /// What failed, and what a run that was broken off had not finished.
    pub failed: bool,
}

impl Last {
    /// Whether the last results are needed at all.
    pub fn is_asked(&self) -> bool {
        self.failed || !self.statuses.is_empty() || !self.causes.is_empty()
    }

    /// The names among `names` that are let through.
    pub fn select(&self, results: &Results, names: Vec<TrialName>) -> Vec<TrialName> {
        let entries: HashMap<&TrialName, &TrialRecord> = results
            .results
            .iter()
            .map(|entry| (&entry.nodeid, entry))
            .collect();
        let unfinished: HashSet<&TrialName> = results.run.unfinished.iter().collect();
        let is_let_through = |name: &TrialName| {
            let entry = entries.get(name).copied();
            let cause = entry.and_then(|entry| entry.cause);
            (self.statuses.is_empty() || self.statuses.iter().any(|status| status.is_of(entry)))
                && (self.causes.is_empty() || cause.is_some_and(|cause| self.causes.contains(&cause)))
                && (!self.failed || LastStatus::Fail.is_of(entry) || unfinished.contains(name))
        };
        names.into_iter().filter(is_let_through).collect()
    }
}

/// The trials that a change of `files` (relative to the project's root) touches: a cell's file its own, anything else in a
/// feature's folder the feature's, what all rest on (the manifest, the gateway's configuration, the pinned tools) all. A
/// name that an editor keeps for itself touches nothing.
pub fn touched(files: &[std::path::PathBuf], names: Vec<TrialName>) -> Vec<TrialName> {
    let parts: Vec<Vec<String>> = files
        .iter()
        .map(|file| {
            file.iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect()
        })
        .filter(|parts: &Vec<String>| parts.last().is_some_and(|name| !is_an_editors(name)))
        .collect();
    let is_touched = |name: &TrialName, parts: &[String]| {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts[..] {
            ["manifest.yaml" | "proxy_config.yaml"] | ["toolchain", ..] | ["cells"] => true,
            ["cells", feature] => feature == name.cell.feature.as_str(),
            ["cells", feature, file] => {
                let provider = file.strip_suffix(".yaml").filter(|stem| !stem.starts_with('_'));
                feature == name.cell.feature.as_str()
                    && provider.is_none_or(|provider| provider == name.cell.provider.as_str())
            }
            ["cells", feature, ..] => feature == name.cell.feature.as_str(),
            _ => false,
        }
    };
    names
        .into_iter()
        .filter(|name| parts.iter().any(|parts| is_touched(name, parts)))
        .collect()
}

/// Swap files, backups, and the file that Vim makes to see whether it may.
fn is_an_editors(name: &str) -> bool {
    name.starts_with('.')
        || name.starts_with('#')
        || name.ends_with('~')
        || [".swp", ".swx", ".tmp", ".bak", ".orig"]
            .iter()
            .any(|ending| name.ends_with(ending))
        || name.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn grid() -> Vec<TrialName> {
        let mut names = Vec::new();
        for feature in ["tool_use", "vision"] {
            for provider in ["anthropic", "vertex_ai"] {
                for tier in ["haiku", "opus"] {
                    names.push(format!("{feature}::{provider}::{tier}").parse().unwrap());
                }
            }
        }
        names
    }

    fn those(selected: impl Fn(&TrialName) -> bool) -> Vec<String> {
        let names = grid().into_iter().filter(|name| selected(name));
        names.map(|name| name.to_string()).collect()
    }

    #[test]
    fn any_of_several_filters_lets_a_trial_through_and_any_skip_keeps_it_back() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let names = |filters: &[&str], skipped: &[&str], exact| Names {
            filters: texts(filters),
            skipped: texts(skipped),
            exact,
        };
        let count = |names: Names| those(|name| names.select(name)).len();
        assert_eq!(count(names(&[], &[], false)), 8);
        assert_eq!(count(names(&["tool_use::anthropic", "opus"], &[], false)), 5);
        assert_eq!(count(names(&["tool_use"], &["vertex", "haiku"], false)), 1);
        assert_eq!(count(names(&["tool_use"], &[], true)), 0);
        let exact = ["tool_use::anthropic::opus", "vision::anthropic::opus"];
        assert_eq!(count(names(&exact, &[], true)), 2);
        assert_eq!(count(names(&exact, &exact[..1], true)), 1);
        assert_eq!(count(names(&[], &["opus"], true)), 8);
    }

    #[test]
    fn axes_are_of_the_manifest_and_one_that_is_not_is_named_with_what_it_was_meant_to_be() {
        let manifest = b"schema_version: \"1\"\nproviders: [anthropic, vertex_ai]\nfeatures:\n  - id: vision\n    \
            name: Vision\ntiers:\n  - id: haiku\n    name: Haiku\n    model: m\naliases:\n  anthropic: \"{model}\"\n  \
            vertex_ai: \"{model}-v\"\n";
        let manifest = Manifest::parse("manifest.yaml".as_ref(), manifest).unwrap();
        let mut axes = Axes {
            providers: vec!["vertex_ai".into()],
            ..Axes::default()
        };
        axes.check(&manifest).unwrap();
        assert_eq!(those(|name| axes.select(name)).len(), 4);
        axes.tiers = vec!["haiku".into()];
        axes.features = vec!["vision".into()];
        assert_eq!(those(|name| axes.select(name)), ["vision::vertex_ai::haiku"]);
        axes.providers = vec!["antropic".into()];
        assert_eq!(
            axes.check(&manifest).unwrap_err().to_string(),
            "there is no provider `antropic` (did you mean `anthropic`?): it is one of `anthropic`, `vertex_ai`"
        );
        let error = "failed".parse::<LastStatus>().unwrap_err().to_string();
        assert!(
            error.starts_with("there is no status `failed` (did you mean `fail`?)"),
            "{error}"
        );
        assert_eq!(cause("gateway"), Ok(Cause::Gateway));
        assert!(cause("gatway").unwrap_err().to_string().contains("`gateway`"));
    }

    #[test]
    fn a_part_of_a_name_leads_to_whole_ones() {
        let names: Vec<String> = grid().iter().map(ToString::to_string).collect();
        assert_eq!(alike("vision", &names).len(), 4);
        assert_eq!(alike("visoin", &names).len(), 4);
        assert_eq!(alike("vertex_ai::opus", &names).len(), 2);
        assert_eq!(did_you_mean("0815", &names), "");
        assert!(
            did_you_mean("antropic", &names)
                .starts_with("; did you mean one of `tool_use::anthropic::haiku`, ")
        );
        assert_eq!(
            did_you_mean("on::anthropic::h", &names),
            "; did you mean `vision::anthropic::haiku`?"
        );
    }

    #[test]
    fn a_file_touches_what_rests_on_it() {
        let count = |files: &[&str]| {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            touched(&files, grid()).len()
        };
        assert_eq!(count(&["cells/vision/vertex_ai.yaml"]), 2);
        assert_eq!(count(&["cells/vision/_shared.yaml"]), 4);
        assert_eq!(count(&["cells/vision/red.png"]), 4);
        assert_eq!(count(&["cells/vision"]), 4);
        assert_eq!(count(&["manifest.yaml"]), 8);
        assert_eq!(count(&["proxy_config.yaml", "cells/vision/vertex_ai.yaml"]), 8);
        assert_eq!(
            count(&["cells/vision/vertex_ai.yaml", "cells/tool_use/anthropic.yaml"]),
            4
        );
        let nothing = [
            "cells/vision/.vertex_ai.yaml.swp",
            "cells/vision/vertex_ai.yaml~",
            "cells/vision/4913",
            "README.md",
            "compat-results.json",
        ];
        assert_eq!(count(&nothing), 0);
    }

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
