//! The published versions of a tool, in order.
//!
//! Pure. Pre-releases, withdrawn and deprecated versions do not count.
#![warn(clippy::disallowed_methods)]

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};

use crate::text::listed;
use crate::toolchain::ToolVersion;
use crate::toolchain::npm::Package;
use crate::toolchain::published::Releases;

/// Versions in the order of their numbers, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedVersions {
    finals: Vec<ToolVersion>,
    /// All versions, those that do not count too.
    all: Vec<ToolVersion>,
}

impl PublishedVersions {
    pub fn of(releases: &Releases) -> Self {
        Self::sorted(releases.versions().into_iter())
    }

    /// `versions`, each with whether it is current.
    fn sorted<'a>(versions: impl Iterator<Item = (&'a str, bool)>) -> Self {
        let mut all: Vec<(ToolVersion, bool)> = versions
            .filter_map(|(version, is_current)| Some((version.parse().ok()?, is_current)))
            .collect();
        all.sort_by_cached_key(|(version, _)| version.order());
        let finals = all
            .iter()
            .filter(|(version, is_current)| *is_current && version.is_final());
        Self {
            finals: finals.map(|(version, _)| version.clone()).collect(),
            all: all.into_iter().map(|(version, _)| version).collect(),
        }
    }

    /// Those that were published by `time`, of `package`.
    pub fn of_claude_by(package: &Package, time: DateTime<Utc>) -> Self {
        let is_there = |name: &String| {
            let published = package.time.get(name);
            let published = published.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            published.is_some_and(|published| published <= time)
        };
        let versions = package.versions.iter().filter(|(name, _)| is_there(name));
        Self::sorted(versions.map(|(name, version)| (name.as_str(), version.deprecated.is_none())))
    }

    /// The newest `count`, the oldest of them first.
    pub fn last(&self, count: usize) -> &[ToolVersion] {
        &self.finals[self.finals.len().saturating_sub(count)..]
    }

    /// The newest `count` up to `newest`, the oldest of them first.
    pub fn last_until(&self, count: usize, newest: Option<&ToolVersion>) -> anyhow::Result<&[ToolVersion]> {
        let versions = match (newest, self.finals.first()) {
            (Some(newest), Some(first)) => self.between(first, newest)?,
            _ => &self.finals,
        };
        Ok(&versions[versions.len().saturating_sub(count)..])
    }

    /// The final versions between two ends, and the ends. An end may be a pre-release or a withdrawn version.
    pub fn within(&self, first: &ToolVersion, last: &ToolVersion) -> anyhow::Result<Vec<ToolVersion>> {
        self.named(&[first.clone(), last.clone()])?;
        ensure!(
            first.order() <= last.order(),
            "`{first}` is newer than `{last}`: name the older version first"
        );
        let is_end = |version: &&ToolVersion| *version == first || *version == last;
        let is_between = |version: &&ToolVersion| {
            let order = version.order();
            is_end(version)
                || (self.finals.contains(version) && first.order() < order && order < last.order())
        };
        Ok(self.all.iter().filter(is_between).cloned().collect())
    }

    /// The versions from `first` to `last`, both included.
    pub fn between(&self, first: &ToolVersion, last: &ToolVersion) -> anyhow::Result<&[ToolVersion]> {
        let position = |version: &ToolVersion| {
            self.finals
                .iter()
                .position(|known| known == version)
                .with_context(|| {
                    let newest = listed(self.last(3).iter().map(ToolVersion::as_str));
                    format!("`{version}` is not a published final version; the newest are {newest}")
                })
        };
        let (first, last) = (position(first)?, position(last)?);
        ensure!(
            first <= last,
            "`{}` is newer than `{}`: name the older version first",
            self.finals[first],
            self.finals[last]
        );
        Ok(&self.finals[first..=last])
    }

    /// `wanted`, the oldest first. Fails if one was never published; a pre-release and a withdrawn version are allowed.
    pub fn named(&self, wanted: &[ToolVersion]) -> anyhow::Result<Vec<ToolVersion>> {
        for version in wanted {
            let newest = listed(self.last(3).iter().map(ToolVersion::as_str));
            ensure!(
                self.all.contains(version),
                "`{version}` is not a published version; the newest are {newest}"
            );
        }
        let found = self.all.iter().filter(|version| wanted.contains(version));
        Ok(found.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_versions_are_in_the_order_of_their_numbers() {
        let versions = [
            "1.98.0",
            "1.100.0",
            "1.99.0rc1",
            "1.98.0.post1",
            "1.97.dev2",
            "1.9.0",
        ];
        let published =
            PublishedVersions::sorted(versions.into_iter().map(|version| (version, version != "1.9.0")));
        let words = |versions: &[ToolVersion]| {
            versions
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(words(published.last(9)), "1.98.0 1.98.0.post1 1.100.0");
        let named = ["1.100.0", "1.99.0rc1", "1.9.0"].map(|text| text.parse().unwrap());
        assert_eq!(
            words(&published.named(&named).unwrap()),
            "1.9.0 1.99.0rc1 1.100.0"
        );
        let error = published
            .named(&["9.9.9".parse().unwrap()])
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("`9.9.9` is not a published version"), "{error}");
        assert_eq!(words(published.last(1)), "1.100.0");
        let mut pre: Vec<ToolVersion> = ["1.94.0rc1", "1.94.0b2", "1.94.0.dev3", "1.94.0a4", "1.94.0-rc.2"]
            .map(|text| text.parse().unwrap())
            .into();
        pre.sort_by_cached_key(ToolVersion::order);
        assert_eq!(words(&pre), "1.94.0.dev3 1.94.0a4 1.94.0b2 1.94.0rc1 1.94.0-rc.2");
        let version = |text: &str| text.parse::<ToolVersion>().unwrap();
        let between = published.between(&version("1.98.0"), &version("1.100.0"));
        assert_eq!(words(between.unwrap()), "1.98.0 1.98.0.post1 1.100.0");
        let until = |text: &str| published.last_until(2, Some(&version(text))).map(words);
        assert_eq!(until("1.98.0.post1").unwrap(), "1.98.0 1.98.0.post1");
        assert_eq!(until("1.98.0").unwrap(), "1.98.0");
        assert!(until("1.99.0").is_err());
        assert_eq!(words(published.last_until(1, None).unwrap()), "1.100.0");
        for (first, last, expected) in [
            ("1.100.0", "1.98.0", "`1.100.0` is newer than `1.98.0`"),
            (
                "1.99.0",
                "1.100.0",
                "`1.99.0` is not a published final version; the newest are",
            ),
        ] {
            let error = published
                .between(&version(first), &version(last))
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
