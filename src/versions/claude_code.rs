//! The newest version of Claude Code that has been out for long enough.
//!
//! Pure: the package's metadata and a clock in, a version out. A version that has just been published may be withdrawn
//! again within days; the gate waits for that, the daily run does not.
#![warn(clippy::disallowed_methods)]

use chrono::{DateTime, Utc};
use semver::Version;

use super::age::Age;
use crate::toolchain::npm::Package;
use crate::toolchain::platform::CLAUDE_PACKAGE;

/// How old a version has to be where nothing else is said: three days.
pub const PATIENT: Age = Age(chrono::TimeDelta::days(3));

/// A version and when it was published.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    pub version: Version,
    pub at: DateTime<Utc>,
}

/// What was selected, and why not something newer.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    pub published: Published,
    pub age: Age,
    /// How old it had to be.
    pub min_age: Age,
    /// Newer versions that are too young, newest first.
    pub too_young: Vec<(Version, Age)>,
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub enum NoEligibleVersion {
    /// There is nothing to select from.
    #[error(
        "the registry's metadata of `{CLAUDE_PACKAGE}` has no usable version among {versions}: {reasons}"
    )]
    Nothing { versions: usize, reasons: String },
    #[error(
        "no version of `{CLAUDE_PACKAGE}` is at least {min_age} old; the youngest are {}; {} will be the first, in {}: \
         wait, or ask for less with `--min-age`",
        list(youngest), first.0, Age(min_age.0 - first.1.0)
    )]
    TooYoung {
        /// How old one would have to be.
        min_age: Age,
        /// The youngest candidates, at most five.
        youngest: Vec<(Version, Age)>,
        /// The candidate that will be old enough first.
        first: (Version, Age),
    },
}

/// The highest version that was published at least `min_age` before `now`. Pre-releases, deprecated versions and those
/// that were withdrawn (in `time` but not in `versions`) do not count.
pub fn select(package: &Package, min_age: Age, now: DateTime<Utc>) -> Result<Selected, NoEligibleVersion> {
    let mut candidates = candidates(package);
    if candidates.is_empty() {
        return Err(nothing(package));
    }
    candidates.sort_by(|a, b| b.version.cmp(&a.version));
    let age = |published: &Published| Age(now - published.at);
    let Some(position) = candidates.iter().position(|candidate| age(candidate) >= min_age) else {
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.at));
        let mut youngest = ages(&candidates, now);
        let first = youngest[youngest.len() - 1].clone();
        youngest.truncate(5);
        return Err(NoEligibleVersion::TooYoung {
            min_age,
            youngest,
            first,
        });
    };
    let published = candidates[position].clone();
    Ok(Selected {
        age: age(&published),
        published,
        min_age,
        too_young: ages(&candidates[..position], now),
    })
}

impl Selected {
    /// One line on what was selected and why.
    pub fn reason(&self) -> String {
        let Published { version, at } = &self.published;
        let mut reason = format!(
            "selected {CLAUDE_PACKAGE}@{version}, published {} ({} ago): the newest that is at least {} old",
            at.format("%Y-%m-%dT%H:%M:%SZ"),
            self.age,
            self.min_age
        );
        if !self.too_young.is_empty() {
            reason += &format!("; too young: {}", list(&self.too_young));
        }
        reason
    }
}

fn candidates(package: &Package) -> Vec<Published> {
    package
        .versions
        .iter()
        .filter(|(_, metadata)| metadata.deprecated.is_none())
        .filter_map(|(version, _)| {
            let at = DateTime::parse_from_rfc3339(package.time.get(version)?)
                .ok()?
                .to_utc();
            let version = Version::parse(version).ok()?;
            version.pre.is_empty().then_some(Published { version, at })
        })
        .collect()
}

fn nothing(package: &Package) -> NoEligibleVersion {
    let versions = &package.versions;
    let deprecated = versions
        .values()
        .filter(|version| version.deprecated.is_some())
        .count();
    let undated = versions
        .keys()
        .filter(|version| !package.time.contains_key(*version))
        .count();
    let pre_releases = versions
        .keys()
        .filter(|version| Version::parse(version).is_ok_and(|version| !version.pre.is_empty()))
        .count();
    NoEligibleVersion::Nothing {
        versions: versions.len(),
        reasons: format!(
            "{deprecated} deprecated, {pre_releases} pre-releases, {undated} without a time of publication"
        ),
    }
}

fn ages(published: &[Published], now: DateTime<Utc>) -> Vec<(Version, Age)> {
    published
        .iter()
        .map(|published| (published.version.clone(), Age(now - published.at)))
        .collect()
}

fn list(versions: &[(Version, Age)]) -> String {
    let shown: Vec<String> = versions
        .iter()
        .take(5)
        .map(|(version, age)| format!("{version} ({age})"))
        .collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn age(text: &str) -> Age {
        text.parse().unwrap()
    }

    fn package(versions: &[(&str, &str)]) -> Package {
        let mut time = json!({"created": "2020-01-01T00:00:00Z", "modified": "2020-01-01T00:00:00Z"});
        let mut all = json!({});
        for (version, published) in versions {
            time[*version] = json!(published);
            all[*version] = json!({"dist": {"tarball": "https://npm.example/x.tgz"}});
        }
        serde_json::from_value(json!({"versions": all, "time": time})).unwrap()
    }

    fn selected(package: &Package, min_age: &str, now: &str) -> String {
        select(package, age(min_age), at(now))
            .unwrap()
            .published
            .version
            .to_string()
    }

    #[test]
    fn the_newest_version_that_is_old_enough_is_taken() {
        let package = package(&[
            ("2.1.327", "2026-11-17T20:33:19Z"),
            ("2.1.329", "2026-11-19T18:40:25Z"),
            ("2.1.326", "2026-11-16T18:43:39Z"),
            ("2.1.328", "2026-11-18T23:09:39Z"),
        ]);
        assert_eq!(selected(&package, "3d", "2026-11-21T09:00:00Z"), "2.1.327");
        assert_eq!(selected(&package, "0", "2026-11-21T09:00:00Z"), "2.1.329");
    }

    #[test]
    fn exactly_old_enough_is_old_enough_and_a_second_less_is_not() {
        let package = package(&[
            ("1.0.0", "2026-01-01T00:00:00Z"),
            ("1.0.1", "2026-01-10T00:00:00Z"),
        ]);
        assert_eq!(selected(&package, "3d", "2026-01-13T00:00:00Z"), "1.0.1");
        assert_eq!(selected(&package, "3d", "2026-01-12T23:59:59Z"), "1.0.0");
    }

    #[test]
    fn versions_compare_by_number_and_not_by_time() {
        let package = package(&[
            ("2.1.9", "2026-01-03T00:00:00Z"),
            ("2.1.10", "2026-01-02T00:00:00Z"),
            ("1.99.99", "2026-01-04T00:00:00Z"),
        ]);
        assert_eq!(selected(&package, "3d", "2026-02-01T00:00:00Z"), "2.1.10");
    }

    #[test]
    fn pre_releases_deprecated_and_withdrawn_versions_do_not_count() {
        let mut package = package(&[
            ("1.0.0", "2026-01-01T00:00:00Z"),
            ("1.1.0-beta.1", "2026-01-02T00:00:00Z"),
            ("1.2.0", "2026-01-03T00:00:00Z"),
        ]);
        package.versions.get_mut("1.2.0").unwrap().deprecated = Some("broken".to_owned());
        package
            .time
            .insert("1.3.0".to_owned(), "2026-01-04T00:00:00Z".to_owned());
        assert_eq!(selected(&package, "0", "2026-02-01T00:00:00Z"), "1.0.0");
    }

    #[test]
    fn when_all_are_too_young_the_error_names_the_youngest_and_the_one_to_wait_for() {
        let package = package(&[
            ("1.0.0", "2026-01-09T12:00:00Z"),
            ("1.0.1", "2026-01-10T00:00:00Z"),
        ]);
        let error = select(&package, age("3d"), at("2026-01-11T00:00:00Z"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("at least 3 d old; the youngest are 1.0.1 (1 d), 1.0.0 (1 d 12 h)"),
            "{error}"
        );
        assert!(error.contains("1.0.0 will be the first, in 1 d 12 h"), "{error}");
    }

    #[test]
    fn created_and_modified_are_no_versions() {
        let error = select(&package(&[]), age("0"), at("2026-01-11T00:00:00Z")).unwrap_err();
        assert!(matches!(error, NoEligibleVersion::Nothing { versions: 0, .. }));
    }

    #[test]
    fn a_version_from_the_future_is_too_young() {
        let package = package(&[
            ("1.0.0", "2026-01-01T00:00:00Z"),
            ("1.0.1", "2026-03-01T00:00:00Z"),
        ]);
        assert_eq!(selected(&package, "0", "2026-02-01T00:00:00Z"), "1.0.0");
    }

    #[test]
    fn the_reason_names_the_version_its_age_and_the_younger_ones() {
        let package = package(&[
            ("1.0.0", "2026-01-01T00:00:00Z"),
            ("1.0.1", "2026-01-10T00:00:00Z"),
        ]);
        let selected = select(&package, age("3d"), at("2026-01-11T00:00:00Z")).unwrap();
        assert_eq!(
            selected.reason(),
            "selected @anthropic-ai/claude-code@1.0.0, published 2026-01-01T00:00:00Z (10 d ago): the newest that is at \
             least 3 d old; too young: 1.0.1 (1 d)"
        );
    }
}
