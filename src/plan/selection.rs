//! Selects trials: a shard, a list, filters by name, feature, provider and tier, and the trials of changed files.
//!
//! Pure. A list with an unknown trial is an error, and so is a filter by a name that the manifest lacks: a run without one of
//! its trials must not look complete.
#![warn(clippy::disallowed_methods)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use crate::cells::Manifest;
use crate::cells::manifest::ALL_SETS;
use crate::commands;
use crate::ids::TrialName;
use crate::text;

/// One of N parts of a run.
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
    /// The number of parts.
    pub fn parts(self) -> usize {
        self.of
    }

    /// Every N-th of `names`, starting with the K-th.
    pub fn of(self, names: Vec<TrialName>) -> Vec<TrialName> {
        names.into_iter().skip(self.part - 1).step_by(self.of).collect()
    }
}

/// The trials among `names` that `text` lists, one name on each line. Empty lines are skipped, and the `: test` that
/// `--list` adds to a name is removed.
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
    if wanted.is_empty() {
        return Ok(selected);
    }
    let mut unknown: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
    unknown.sort_unstable();
    Err(UnknownTrials(unknown))
}

/// A list names trials that the project does not have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the project has no trial {}: list its trials with `{}`",
    first_of(.0),
    commands::run("--list")
)]
pub struct UnknownTrials(pub Vec<String>);

/// The first names, in backticks.
fn first_of(names: &[impl AsRef<str>]) -> String {
    const MOST: usize = 6;
    let more = if names.len() > MOST { ", …" } else { "" };
    let shown = names.iter().take(MOST).map(AsRef::as_ref);
    format!("{}{more}", text::listed(shown))
}

/// The filters by name that libtest has.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Run only trials whose name contains any of these
    #[arg(value_name = "FILTER", value_parser = filter)]
    pub filters: Vec<String>,
    /// Skip trials whose name contains this; repeatable
    #[arg(long = "skip", value_name = "FILTER")]
    pub skipped: Vec<String>,
    /// Match FILTER and `--skip` against whole names
    #[arg(long)]
    pub exact: bool,
}

/// A part of a trial's name. After `--`, the command line takes a flag for one.
fn filter(text: &str) -> Result<String, String> {
    match text.starts_with('-') {
        true => Err("no trial has such a name; a flag stands before `--`".to_owned()),
        false => Ok(text.to_owned()),
    }
}

impl Names {
    pub fn select(&self, name: &TrialName) -> bool {
        let name = name.to_string();
        let matches = |part: &String| match self.exact {
            true => name == *part,
            false => name.contains(part.as_str()),
        };
        (self.filters.is_empty() || self.filters.iter().any(matches)) && !self.skipped.iter().any(matches)
    }
}

/// The first filter that matches no name of `trials`, with a suggestion.
pub fn stray_filter(names: &Names, trials: &[TrialName]) -> Option<String> {
    if names.filters.is_empty() {
        return None;
    }
    let cells = trials.iter().map(|trial| (&trial.cell, trial));
    let known: Vec<String> = cells
        .flat_map(|(cell, trial)| {
            let (feature, provider) = (cell.feature.to_string(), cell.provider.to_string());
            [feature, provider, cell.to_string(), trial.to_string()]
        })
        .collect();
    let mut filters = names.filters.iter();
    let stray = filters.find(|filter| !known.iter().any(|name| name.contains(filter.as_str())))?;
    let similar = text::suggestion(stray, known.iter().map(String::as_str));
    Some(format!(
        "no trial name contains `{stray}`{similar}; `--list` shows all of them"
    ))
}

/// The reason why `names` select none of `trials`.
pub fn why_nothing(names: &Names, trials: &[TrialName]) -> String {
    stray_filter(names, trials).unwrap_or_else(|| match names.exact && !names.filters.is_empty() {
        true => "no trial has exactly this name; without `--exact` a part of a name is enough".to_owned(),
        false => "no trial matches all of the filters".to_owned(),
    })
}

/// The names (`feature::provider` or `feature::provider::tier`) that contain `part`. If there are none, the names of which
/// one segment is the most similar to it.
pub fn alike<'a>(part: &str, names: &'a [String]) -> Vec<&'a str> {
    let all = || names.iter().map(String::as_str);
    let containing: Vec<&str> = all().filter(|name| name.contains(part)).collect();
    if !containing.is_empty() {
        return containing;
    }
    match text::closest(part, all().flat_map(|name| name.split("::"))) {
        Some(close) => all()
            .filter(|name| name.split("::").any(|known| known == close))
            .collect(),
        None => Vec::new(),
    }
}

/// The result of [`alike`] as the end of a message: `; did you mean …?`, or nothing.
pub fn did_you_mean(part: &str, names: &[String]) -> String {
    match alike(part, names)[..] {
        [] => String::new(),
        [one] => format!("; did you mean `{one}`?"),
        ref some => format!("; did you mean one of {}?", first_of(some)),
    }
}

/// Filters by feature, provider and tier; an empty list selects all.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Axes {
    /// Run only this feature; repeatable
    #[arg(long = "feature", value_name = "FEATURE")]
    pub features: Vec<String>,
    /// Run only this provider; repeatable
    #[arg(long = "provider", value_name = "PROVIDER")]
    pub providers: Vec<String>,
    /// Run only this tier; repeatable
    #[arg(long = "tier", value_name = "TIER")]
    pub tiers: Vec<String>,
    /// Run the tiers of this set, or of `all` sets [default: the first set of the manifest, or the sets of `--tier`]
    #[arg(long = "tiers", value_name = "SET")]
    pub set: Option<String>,
    /// Run this part of the manifest's `matrices`
    #[arg(long, value_name = "MATRIX", conflicts_with = "set")]
    pub matrix: Option<String>,
}

impl Axes {
    /// Fails if the manifest lacks one of the names.
    pub fn check(&self, manifest: &Manifest) -> Result<(), UnknownName> {
        let features: Vec<&str> = manifest.features.iter().map(|row| row.id.as_str()).collect();
        let providers: Vec<&str> = manifest.providers.iter().map(|id| id.as_str()).collect();
        let tiers: Vec<&str> = manifest.tiers.iter().map(|tier| tier.id.as_str()).collect();
        for (axis, asked, known) in [
            ("feature", &self.features, features),
            ("provider", &self.providers, providers),
            ("tier", &self.tiers, tiers),
        ] {
            is_known(axis, asked, &known)?;
        }
        let names = manifest.tier_names();
        let mut sets = names.sets();
        sets.retain(|set| !set.is_empty());
        sets.push(ALL_SETS);
        is_known("set of tiers", self.set.as_slice(), &sets)?;
        let parts: Vec<&str> = manifest.parts.iter().map(|part| part.name.as_str()).collect();
        is_known("matrix", self.matrix.as_slice(), &parts)
    }

    /// The trials of the part of the matrix and of the set of tiers. Without either, those of the first set; but a tier that is
    /// asked for may be in any set.
    pub fn in_scope(&self, manifest: &Manifest, mut names: Vec<TrialName>) -> Vec<TrialName> {
        let part = self.matrix.as_ref();
        let part = part.and_then(|name| manifest.parts.iter().find(|part| part.name == *name));
        if let Some(part) = part {
            names.retain(|name| {
                part.features.contains(&name.cell.feature) && part.providers.contains(&name.cell.provider)
            });
        }
        let first = manifest.tiers.first().map(|tier| tier.set.as_str());
        let set = match (part, self.set.as_deref()) {
            (Some(part), _) => Some(part.tiers.as_str()),
            (None, Some(ALL_SETS)) => None,
            (None, Some(set)) => Some(set),
            (None, None) if self.tiers.is_empty() => first,
            (None, None) => None,
        };
        names.retain(|name| {
            let own = manifest.tier(&name.tier).map(|tier| tier.set.as_str());
            set.is_none() || own == set
        });
        names
    }

    pub fn select(&self, name: &TrialName) -> bool {
        let selects = |asked: &[String], own: &str| asked.is_empty() || asked.iter().any(|name| name == own);
        selects(&self.features, name.cell.feature.as_str())
            && selects(&self.providers, name.cell.provider.as_str())
            && selects(&self.tiers, name.tier.as_str())
    }
}

fn is_known(axis: &str, asked: &[String], known: &[&str]) -> Result<(), UnknownName> {
    let Some(name) = asked.iter().find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let similar = text::suggestion(name, known.iter().copied());
    let known = text::listed(known.iter().copied());
    let message = format!("there is no {axis} `{name}`{similar}: expected one of {known}");
    Err(UnknownName(message))
}

/// A filter names a feature, provider, tier, set or matrix that the manifest lacks.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownName(String);

/// The trials that depend on one of `files` (paths relative to the project's root). A cell's file affects that cell, a
/// provider's file its column, any other file of a feature's folder the feature. The shared file of all cells, the manifest, the
/// gateway's configuration and the pinned tools affect all. Temporary files of editors affect nothing.
pub fn touched(files: &[PathBuf], names: Vec<TrialName>) -> Vec<TrialName> {
    let is_relevant = |file: &&PathBuf| {
        let name = file.file_name();
        name.is_some_and(|name| !is_temporary(&name.to_string_lossy()))
    };
    let files: Vec<&PathBuf> = files.iter().filter(is_relevant).collect();
    let depends = |name: &TrialName| files.iter().any(|file| depends(name, file));
    names.into_iter().filter(depends).collect()
}

fn depends(name: &TrialName, file: &Path) -> bool {
    let is_of_feature = |feature: &str| feature == name.cell.feature.as_str();
    let is_of_provider = |provider: &str| provider == name.cell.provider.as_str();
    let parts: Vec<&str> = file
        .iter()
        .map(|part| part.to_str().unwrap_or_default())
        .collect();
    match parts[..] {
        ["manifest.yaml" | "proxy_config.yaml"] | ["toolchain", ..] => true,
        ["cells"] | ["cells", "_shared.yaml"] | ["cells", "_providers"] => true,
        ["cells", "_providers", file] => is_of_provider(file.trim_end_matches(".yaml")),
        ["cells", feature, file] => {
            let provider = file.strip_suffix(".yaml").filter(|stem| !stem.starts_with('_'));
            is_of_feature(feature) && provider.is_none_or(is_of_provider)
        }
        ["cells", feature, ..] => is_of_feature(feature),
        _ => false,
    }
}

/// Swap files, backups, and the file `4913` with which Vim tests whether it may write.
fn is_temporary(name: &str) -> bool {
    name.starts_with(['.', '#'])
        || name.ends_with('~')
        || [".swp", ".swx", ".tmp", ".bak", ".orig"]
            .iter()
            .any(|ending| name.ends_with(ending))
        || name.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
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

    fn selected_by(selected: impl Fn(&TrialName) -> bool) -> Vec<String> {
        let names = grid().into_iter().filter(|name| selected(name));
        names.map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_trial_matches_one_filter_and_no_skipped_name() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let names = |filters: &[&str], skipped: &[&str], exact| Names {
            filters: texts(filters),
            skipped: texts(skipped),
            exact,
        };
        let count = |names: Names| selected_by(|name| names.select(name)).len();
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
    fn an_unknown_axis_name_is_refused_with_a_suggestion() {
        let manifest = b"schema_version: \"1\"\nproviders: [anthropic, vertex_ai]\nfeatures:\n  - id: vision\n    \
            name: Vision\ntiers:\n  - id: haiku\n    name: Haiku\n    model: m\naliases:\n  anthropic: \"{model}\"\n  \
            vertex_ai: \"{model}-v\"\n";
        let manifest = Manifest::parse("manifest.yaml".as_ref(), manifest).unwrap();
        let mut axes = Axes {
            providers: vec!["vertex_ai".into()],
            ..Axes::default()
        };
        axes.check(&manifest).unwrap();
        assert_eq!(selected_by(|name| axes.select(name)).len(), 4);
        axes.tiers = vec!["haiku".into()];
        axes.features = vec!["vision".into()];
        assert_eq!(
            selected_by(|name| axes.select(name)),
            ["vision::vertex_ai::haiku"]
        );
        axes.providers = vec!["antropic".into()];
        assert_eq!(
            axes.check(&manifest).unwrap_err().to_string(),
            "there is no provider `antropic` (did you mean `anthropic`?): expected one of `anthropic`, `vertex_ai`"
        );
    }

    #[test]
    fn a_part_of_a_name_suggests_whole_names() {
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
    fn a_file_touches_the_trials_that_depend_on_it() {
        let count = |files: &[&str]| {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            touched(&files, grid()).len()
        };
        assert_eq!(count(&["cells/vision/vertex_ai.yaml"]), 2);
        assert_eq!(count(&["cells/vision/_shared.yaml"]), 4);
        assert_eq!(count(&["cells/vision/red.png"]), 4);
        assert_eq!(count(&["cells/vision"]), 4);
        assert_eq!(count(&["cells/_providers/vertex_ai.yaml"]), 4);
        assert_eq!(count(&["cells/_shared.yaml"]), 8);
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
    fn the_shards_of_a_run_contain_each_trial_once() {
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
    fn a_malformed_shard_is_refused() {
        for text in ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_selects_in_project_order_and_accepts_listed_names() {
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
    fn an_unknown_name_in_a_list_is_an_error() {
        let error = listed("tool_use::anthropic::haikú\nx", names()).unwrap_err();
        assert_eq!(error.0.len(), 2);
        assert!(error.to_string().contains("--list"));
    }
}
