//! The newest version of Claude Code that is old enough.
//!
//! Pure. A new version may be withdrawn within days: the gate waits for that, the daily run does not.
#![warn(clippy::disallowed_methods)]

use anyhow::bail;
use chrono::{DateTime, TimeDelta, Utc};
use semver::Version;

use super::ResolvedVersion;
use super::age::Age;
use crate::results::json::timestamp::to_text as time_text;
use crate::toolchain::npm::{Package, Version as Metadata};
use crate::toolchain::platform::CLAUDE_PACKAGE;

pub const DEFAULT_MIN_AGE: Age = Age(TimeDelta::days(3));

#[derive(Clone)]
struct Candidate {
    version: Version,
    published: DateTime<Utc>,
    age: Age,
}

/// The highest version that is at least `min_age` old at `now`. Pre-releases, deprecated versions and withdrawn ones (in
/// `time` but not in `versions`) do not count.
pub fn select(package: &Package, min_age: Age, now: DateTime<Utc>) -> anyhow::Result<ResolvedVersion> {
    let mut candidates = candidates(package, now);
    if candidates.is_empty() {
        bail!(no_candidate(package));
    }
    candidates.sort_by(|a, b| b.version.cmp(&a.version));
    let Some(position) = candidates.iter().position(|candidate| candidate.age >= min_age) else {
        bail!(all_too_young(candidates, min_age));
    };
    let selected = &candidates[position];
    let mut reason = format!(
        "selected {CLAUDE_PACKAGE}@{}, published {} ({} ago): the newest that is at least {min_age} old",
        selected.version,
        time_text(&selected.published),
        selected.age,
    );
    if position > 0 {
        reason += &format!("; too young: {}", list(&candidates[..position]));
    }
    Ok(ResolvedVersion {
        version: selected.version.to_string(),
        reason,
        age: Some(selected.age),
    })
}

fn candidates(package: &Package, now: DateTime<Utc>) -> Vec<Candidate> {
    package
        .versions
        .iter()
        .filter(|(_, metadata)| metadata.deprecated.is_none())
        .filter_map(|(version, _)| {
            let published = DateTime::parse_from_rfc3339(package.time.get(version)?).ok()?;
            let version = Version::parse(version).ok()?;
            version.pre.is_empty().then(|| Candidate {
                version,
                published: published.to_utc(),
                age: Age(now - published.to_utc()),
            })
        })
        .collect()
}

fn no_candidate(package: &Package) -> String {
    let versions = &package.versions;
    let count = |is_such: &dyn Fn(&str, &Metadata) -> bool| {
        versions
            .iter()
            .filter(|(version, metadata)| is_such(version, metadata))
            .count()
    };
    let deprecated = count(&|_, metadata| metadata.deprecated.is_some());
    let undated = count(&|version, _| !package.time.contains_key(version));
    let pre_releases =
        count(&|version, _| Version::parse(version).is_ok_and(|version| !version.pre.is_empty()));
    format!(
        "the registry's metadata of `{CLAUDE_PACKAGE}` has no usable version among {}: {deprecated} deprecated, {pre_releases} \
         pre-releases, {undated} without a time of publication",
        versions.len()
    )
}

fn all_too_young(mut candidates: Vec<Candidate>, min_age: Age) -> String {
    candidates.sort_by_key(|candidate| candidate.age);
    let oldest = &candidates[candidates.len() - 1];
    format!(
        "no version of `{CLAUDE_PACKAGE}` is at least {min_age} old; the youngest are {}; {} will be the first, in {}: wait, or \
         ask for less with `--min-age`",
        list(&candidates),
        oldest.version,
        Age(min_age.0 - oldest.age.0)
    )
}

/// The first five.
fn list(candidates: &[Candidate]) -> String {
    let shown: Vec<String> = candidates
        .iter()
        .take(5)
        .map(|candidate| format!("{} ({})", candidate.version, candidate.age))
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

    #[test]
    fn the_newest_old_enough_version_is_selected() {
        let two = [
            ("1.0.0", "2026-01-01T00:00:00Z"),
            ("1.0.1", "2026-01-10T00:00:00Z"),
        ];
        // Versions compare by number and not by time.
        let numbers = [
            ("2.1.9", "2026-01-03T00:00:00Z"),
            ("2.1.10", "2026-01-02T00:00:00Z"),
            ("1.99.99", "2026-01-04T00:00:00Z"),
        ];
        for (versions, min_age, now, expected) in [
            // The minimum age is exact to the second.
            (&two[..], "3d", "2026-01-13T00:00:00Z", "1.0.1"),
            (&two, "3d", "2026-01-12T23:59:59Z", "1.0.0"),
            // A version from the future is too young.
            (&two, "0", "2026-01-02T00:00:00Z", "1.0.0"),
            (&numbers, "3d", "2026-02-01T00:00:00Z", "2.1.10"),
        ] {
            let selected = select(&package(versions), age(min_age), at(now)).unwrap();
            assert_eq!(selected.version, expected, "{min_age} {now}");
        }
    }

    #[test]
    fn only_final_current_versions_count() {
        let mut package = package(&[
            ("1.0.0", "2026-01-01T00:00:00Z"),
            ("1.1.0-beta.1", "2026-01-02T00:00:00Z"),
            ("1.2.0", "2026-01-03T00:00:00Z"),
        ]);
        package.versions.get_mut("1.2.0").unwrap().deprecated = Some("broken".to_owned());
        package
            .time
            .insert("1.3.0".to_owned(), "2026-01-04T00:00:00Z".to_owned());
        let selected = select(&package, age("0"), at("2026-02-01T00:00:00Z")).unwrap();
        assert_eq!(selected.version, "1.0.0");
    }

    #[test]
    fn created_and_modified_are_not_versions() {
        let error = select(&package(&[]), age("0"), at("2026-01-11T00:00:00Z")).unwrap_err();
        assert!(error.to_string().contains("no usable version among 0"), "{error}");
    }
}
