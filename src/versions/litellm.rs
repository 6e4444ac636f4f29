//! The newest release of LiteLLM by its tag.
//!
//! Pure: the releases that GitHub lists in, one of them out. LiteLLM's stable releases were tagged `v1.83.3-stable`, with
//! later patches as `v1.83.3-stable.patch.2` (also seen: `-stable.1`, `-stable-patch1`); since 2026 final ones are bare,
//! `v1.106.0`.
#![warn(clippy::disallowed_methods)]

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use regex::Regex;
use serde::Deserialize;

pub const STABLE: &str = "v*-stable";

/// A release, as GitHub's REST API lists it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Release {
    pub tag_name: String,
    /// Whether it is not published yet.
    #[serde(default)]
    pub draft: bool,
    /// Whether it is marked as a pre-release.
    #[serde(default)]
    pub prerelease: bool,
    pub published_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug)]
pub enum Filter {
    /// Tags that are `v`, three numbers and nothing else.
    Final,
    /// Tags that a pattern describes, `*` for any text and `?` for any one character. A patch suffix may follow.
    Pattern(Pattern),
}

#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// A pattern without which nothing could match.
#[derive(Debug, thiserror::Error)]
#[error("the pattern of a tag is empty, expected something like `{STABLE}`")]
pub struct EmptyPattern;

/// What was selected, and from what.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    pub release: Release,
    pub wanted: String,
    pub matching: usize,
    pub of: usize,
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub enum NoRelease {
    #[error("the repository has no releases: is `--repository` right, and may the token see it?")]
    Empty,
    /// There are some, but none fits.
    #[error(
        "none of the {of} releases is {wanted} ({left_out} drafts and pre-releases left out); the newest tags are {}; try \
         `--channel final` or another `--pattern`", newest.join(", ")
    )]
    NoneMatches {
        wanted: String,
        of: usize,
        /// How many of them are drafts or pre-releases.
        left_out: usize,
        newest: Vec<String>,
    },
}

/// The release with the highest version among those that `filter` takes and, if given, that were published by `by`.
pub fn select(
    releases: &[Release],
    filter: &Filter,
    by: Option<DateTime<Utc>>,
) -> Result<Selected, NoRelease> {
    if releases.is_empty() {
        return Err(NoRelease::Empty);
    }
    let is_out = |release: &&Release| {
        !release.draft
            && !release.prerelease
            && by.is_none_or(|by| release.published_at.is_some_and(|published| published <= by))
    };
    let mut matching: Vec<(Tag, &Release)> = releases
        .iter()
        .filter(is_out)
        .filter_map(|release| Some((filter.take(&release.tag_name)?, release)))
        .collect();
    matching.sort_by(|a, b| a.0.cmp(&b.0));
    match matching.last() {
        Some((_, release)) => Ok(Selected {
            release: (*release).clone(),
            wanted: filter.to_string(),
            matching: matching.len(),
            of: releases.len(),
        }),
        None => Err(NoRelease::NoneMatches {
            wanted: filter.to_string(),
            of: releases.len(),
            left_out: releases
                .iter()
                .filter(|release| release.draft || release.prerelease)
                .count(),
            newest: releases
                .iter()
                .take(3)
                .map(|release| format!("`{}`", release.tag_name))
                .collect(),
        }),
    }
}

impl Selected {
    /// One line on what was selected and why.
    pub fn reason(&self) -> String {
        let published = match self.release.published_at {
            Some(at) => format!(", published {}", at.format("%Y-%m-%dT%H:%M:%SZ")),
            None => String::new(),
        };
        format!(
            "selected LiteLLM {}{published}: the highest of {} that are {}, of {} releases",
            self.release.tag_name, self.matching, self.wanted, self.of
        )
    }
}

impl Filter {
    pub fn stable() -> Self {
        Self::Pattern(STABLE.parse().expect("it is not empty"))
    }

    /// The tag as a version, if this filter takes it.
    fn take(&self, tag: &str) -> Option<Tag> {
        let parsed: Tag = tag.parse().ok()?;
        let takes = match self {
            Self::Final => parsed.numbers.len() == 3 && parsed.channel.is_empty() && parsed.patch.is_none(),
            Self::Pattern(pattern) => pattern.regex.is_match(&parsed.base) || pattern.regex.is_match(tag),
        };
        takes.then_some(parsed)
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
    type Err = EmptyPattern;

    fn from_str(text: &str) -> Result<Self, EmptyPattern> {
        if text.is_empty() {
            return Err(EmptyPattern);
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

impl FromStr for Tag {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let found = TAG.captures(text).ok_or(())?;
        let numbers: Result<Vec<u64>, _> = found["numbers"].split('.').map(str::parse).collect();
        let patch = found
            .name("patch")
            .map(|patch| patch.as_str().parse())
            .transpose();
        Ok(Self {
            numbers: numbers.map_err(|_| ())?,
            channel: found
                .name("channel")
                .map_or("", |channel| channel.as_str())
                .to_owned(),
            patch: patch.map_err(|_| ())?,
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

    fn selected(tags: &[&str], filter: &Filter) -> String {
        let releases: Vec<Release> = tags.iter().map(|tag| release(tag)).collect();
        select(&releases, filter, None).unwrap().release.tag_name
    }

    #[test]
    fn tags_compare_by_number() {
        assert_eq!(
            selected(
                &["v1.9.5-stable", "v1.10.0-stable", "v1.9.10-stable"],
                &like(STABLE)
            ),
            "v1.10.0-stable"
        );
    }

    #[test]
    fn a_patch_comes_after_what_it_patches_and_before_the_next_version() {
        let tags = [
            "v1.83.3-stable.patch.2",
            "v1.83.3-stable",
            "v1.83.3-stable.patch.10",
            "v1.82.9-stable",
        ];
        assert_eq!(selected(&tags, &like(STABLE)), "v1.83.3-stable.patch.10");
        assert_eq!(
            selected(&["v1.83.4-stable", "v1.83.3-stable.patch.10"], &like(STABLE)),
            "v1.83.4-stable"
        );
    }

    #[test]
    fn every_spelling_of_a_patch_is_understood() {
        for patched in [
            "v1.80.5-stable.1",
            "v1.80.5-stable-patch1",
            "v1.80.5-stable.patch1",
            "v1.80.5-stable.patch.1",
        ] {
            assert_eq!(selected(&["v1.80.5-stable", patched], &like(STABLE)), patched);
        }
    }

    #[test]
    fn other_channels_are_not_stable() {
        let tags = [
            "v1.99.0",
            "v1.99.0-nightly",
            "v1.99.0.rc.1",
            "v1.99.0.dev1",
            "v1.2.0-stable",
            "latest-stable",
            "vX-stable",
        ];
        assert_eq!(selected(&tags, &like(STABLE)), "v1.2.0-stable");
    }

    #[test]
    fn the_final_channel_takes_bare_tags_alone() {
        let tags = [
            "v1.106.0",
            "v1.106.2-stable",
            "v1.107.0.rc.1",
            "v1.107.0-nightly",
            "v1.99.9",
            "v2",
            "v1.106.0-1",
        ];
        assert_eq!(selected(&tags, &Filter::Final), "v1.106.0");
    }

    #[test]
    fn drafts_pre_releases_and_later_ones_are_left_out() {
        let mut releases: Vec<Release> = ["v1.1.0-stable", "v1.2.0-stable", "v1.3.0-stable", "v1.4.0-stable"]
            .map(release)
            .to_vec();
        releases[3].draft = true;
        releases[2].prerelease = true;
        releases[1].published_at = Some("2026-02-01T00:00:00Z".parse().unwrap());
        let by = |time: &str| {
            let selected = select(&releases, &like(STABLE), Some(time.parse().unwrap()));
            selected.unwrap().release.tag_name
        };
        assert_eq!(by("2026-03-01T00:00:00Z"), "v1.2.0-stable");
        assert_eq!(by("2026-01-15T00:00:00Z"), "v1.1.0-stable");
    }

    #[test]
    fn a_pattern_may_name_a_line_or_the_patches_alone() {
        let tags = ["v1.83.3-stable.patch.2", "v1.83.4-stable", "v1.84.0-stable"];
        assert_eq!(selected(&tags, &like("v1.83.*-stable")), "v1.83.4-stable");
        assert_eq!(
            selected(&tags, &like("v*-stable.patch.*")),
            "v1.83.3-stable.patch.2"
        );
    }

    #[test]
    fn a_dot_in_a_pattern_is_a_dot() {
        let releases = [release("v1083.0-stable")];
        assert!(select(&releases, &like("v1.83.?-stable"), None).is_err());
    }

    #[test]
    fn nothing_to_select_from_is_an_error_that_says_so() {
        assert_eq!(select(&[], &Filter::Final, None), Err(NoRelease::Empty));
        let error = select(&[release("v1.2.3")], &like(STABLE), None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("none of the 1 releases is like `v*-stable`") && error.contains("`v1.2.3`"),
            "{error}"
        );
    }
}
