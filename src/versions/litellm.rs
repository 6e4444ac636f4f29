//! The newest release of LiteLLM by its tag.
//!
//! Pure. Stable releases of LiteLLM were tagged `v1.83.3-stable`, with later patches as `v1.83.3-stable.patch.2` (also
//! `-stable.1` and `-stable-patch1`). Since 2026 final releases have bare tags, `v1.106.0`.
#![warn(clippy::disallowed_methods)]

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use regex::Regex;
use serde::Deserialize;

use super::ResolvedVersion;
use crate::results::json::timestamp::to_text as time_text;
use crate::text::listed;

pub const STABLE: &str = "v*-stable";

/// A release in GitHub's list.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Release {
    pub tag_name: String,
    /// Not published yet.
    #[serde(default)]
    pub draft: bool,
    #[serde(default)]
    pub prerelease: bool,
    pub published_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug)]
pub enum Filter {
    /// Tags that are `v`, three numbers and nothing else.
    Final,
    /// Tags that match a pattern, with or without their patch suffix.
    Pattern(Pattern),
}

/// `*` matches any text, `?` any one character.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// The release with the highest version that `filter` accepts and, if `by` is given, that was published by then.
pub fn select(
    releases: &[Release],
    filter: &Filter,
    by: Option<DateTime<Utc>>,
) -> anyhow::Result<ResolvedVersion> {
    ensure!(
        !releases.is_empty(),
        "the repository has no releases: check `--repository`, and whether the token may see it"
    );
    let is_out = |release: &&Release| {
        !release.draft
            && !release.prerelease
            && by.is_none_or(|by| release.published_at.is_some_and(|published| published <= by))
    };
    let matching: Vec<(Tag, &Release)> = releases
        .iter()
        .filter(is_out)
        .filter_map(|release| Some((filter.accept(&release.tag_name)?, release)))
        .collect();
    let (_, release) = matching
        .iter()
        .max_by(|a, b| a.0.cmp(&b.0))
        .with_context(|| none_matches(releases, filter))?;
    let published = release
        .published_at
        .map(|at| format!(", published {}", time_text(&at)));
    Ok(ResolvedVersion {
        version: release.tag_name.clone(),
        reason: format!(
            "selected LiteLLM {}{}: the highest of {} that are {filter}, of {} releases",
            release.tag_name,
            published.unwrap_or_default(),
            matching.len(),
            releases.len()
        ),
        age: None,
    })
}

fn none_matches(releases: &[Release], filter: &Filter) -> String {
    let left_out = releases
        .iter()
        .filter(|release| release.draft || release.prerelease)
        .count();
    let newest = releases.iter().take(3).map(|release| release.tag_name.as_str());
    format!(
        "none of the {} releases is {filter} ({left_out} drafts and pre-releases left out); the newest tags are {}; try \
         `--channel final` or another `--pattern`",
        releases.len(),
        listed(newest)
    )
}

impl Filter {
    pub fn stable() -> Self {
        Self::Pattern(STABLE.parse().expect("it is not empty"))
    }

    /// The tag as a version, if this filter accepts it.
    fn accept(&self, tag: &str) -> Option<Tag> {
        let parsed = Tag::parse(tag)?;
        let accepts = match self {
            Self::Final => parsed.numbers.len() == 3 && parsed.channel.is_empty() && parsed.patch.is_none(),
            Self::Pattern(pattern) => pattern.regex.is_match(&parsed.base) || pattern.regex.is_match(tag),
        };
        accepts.then_some(parsed)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Final => f.write_str("final (`vX.Y.Z`)"),
            Self::Pattern(pattern) => write!(f, "like `{}`", pattern.text),
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err(format!(
                "the pattern is empty, expected a pattern such as `{STABLE}`"
            ));
        }
        let regex = regex::escape(text).replace("\\*", ".*").replace("\\?", ".");
        Ok(Self {
            text: text.to_owned(),
            regex: Regex::new(&format!("^{regex}$")).expect("an escaped text is a valid pattern"),
        })
    }
}

/// A tag as a version. The order of the fields is the order of precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tag {
    numbers: Vec<u64>,
    channel: String,
    patch: Option<u64>,
    /// The tag without its patch suffix.
    base: String,
}

static TAG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)^(?P<base>v(?P<numbers>\d+(?:\.\d+)*)(?:-(?P<channel>[a-z]+))?)
          (?:[.-](?:patch[.-]?)?(?P<patch>\d+))?$",
    )
    .expect("the pattern is valid")
});

impl Tag {
    fn parse(text: &str) -> Option<Self> {
        let found = TAG.captures(text)?;
        let part = |name| found.name(name).map(|part| part.as_str());
        let numbers: Result<_, _> = found["numbers"].split('.').map(str::parse).collect();
        Some(Self {
            numbers: numbers.ok()?,
            channel: part("channel").unwrap_or_default().to_owned(),
            patch: part("patch").map(str::parse).transpose().ok()?,
            base: found["base"].to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(tag: &str) -> Release {
        Release {
            tag_name: tag.to_owned(),
            draft: false,
            prerelease: false,
            published_at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        }
    }

    fn like(pattern: &str) -> Filter {
        Filter::Pattern(pattern.parse().unwrap())
    }

    #[test]
    fn the_highest_accepted_tag_is_selected() {
        let stable = like(STABLE);
        for (filter, expected, others) in [
            // Numbers compare as numbers.
            (&stable, "v1.10.0-stable", "v1.9.5-stable v1.9.10-stable"),
            // A patch sorts between its release and the next.
            (
                &stable,
                "v1.83.3-stable.patch.10",
                "v1.83.3-stable.patch.2 v1.83.3-stable v1.82.9-stable",
            ),
            (&stable, "v1.83.4-stable", "v1.83.3-stable.patch.10"),
            // All spellings of a patch.
            (&stable, "v1.80.5-stable.1", "v1.80.5-stable"),
            (&stable, "v1.80.5-stable-patch1", "v1.80.5-stable"),
            (&stable, "v1.80.5-stable.patch1", "v1.80.5-stable"),
            (&stable, "v1.80.5-stable.patch.1", "v1.80.5-stable"),
            // Other channels.
            (
                &stable,
                "v1.2.0-stable",
                "v1.99.0 v1.99.0-nightly v1.99.0.rc.1 v1.99.0.dev1 latest-stable vX-stable",
            ),
            (
                &Filter::Final,
                "v1.106.0",
                "v1.106.2-stable v1.107.0.rc.1 v1.107.0-nightly v1.99.9 v2 v1.106.0-1",
            ),
            // A minor version, or patches only.
            (
                &like("v1.83.*-stable"),
                "v1.83.4-stable",
                "v1.83.3-stable.patch.2 v1.84.0-stable",
            ),
            (
                &like("v*-stable.patch.*"),
                "v1.83.3-stable.patch.2",
                "v1.83.4-stable v1.84.0-stable",
            ),
            // A dot matches only a dot.
            (&like("v1.83.?-stable"), "v1.83.1-stable", "v1083.0-stable"),
        ] {
            let tags: Vec<&str> = std::iter::once(expected).chain(others.split(' ')).collect();
            for tags in [tags.clone(), tags.into_iter().rev().collect()] {
                let releases: Vec<Release> = tags.into_iter().map(release).collect();
                let selected = select(&releases, filter, None).unwrap();
                assert_eq!(selected.version, expected);
            }
        }
    }

    #[test]
    fn drafts_pre_releases_and_later_releases_do_not_count() {
        let mut releases: Vec<Release> = ["v1.1.0-stable", "v1.2.0-stable", "v1.3.0-stable", "v1.4.0-stable"]
            .map(release)
            .to_vec();
        releases[3].draft = true;
        releases[2].prerelease = true;
        releases[1].published_at = Some("2026-02-01T00:00:00Z".parse().unwrap());
        let by = |time: &str| {
            let selected = select(&releases, &like(STABLE), Some(time.parse().unwrap()));
            selected.unwrap().version
        };
        assert_eq!(by("2026-03-01T00:00:00Z"), "v1.2.0-stable");
        assert_eq!(by("2026-01-15T00:00:00Z"), "v1.1.0-stable");
    }
}
