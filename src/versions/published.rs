//! The published versions of a tool, in order.
//!
//! Pure. Pre-releases, withdrawn and deprecated versions do not count.
#![warn(clippy::disallowed_methods)]

use std::sync::LazyLock;

use anyhow::{Context as _, ensure};
use regex::Regex;

use crate::text::listed;
use crate::toolchain::ToolVersion;
use crate::toolchain::index::PackageRelease;
use crate::toolchain::npm::Package;

/// Versions in the order of their numbers, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedVersions(Vec<ToolVersion>);

/// The numbers of a final release. A later build of the same release (`.post1`) has one more. `None` for a pre-release.
pub fn numbers(version: &str) -> Option<Vec<u64>> {
    static FINAL: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\d+(\.\d+)+(\.post\d+)?$").expect("the pattern is valid"));
    FINAL.is_match(version).then(|| {
        let digits = version.split(|character: char| !character.is_ascii_digit());
        digits.filter_map(|number| number.parse().ok()).collect()
    })
}

impl PublishedVersions {
    pub fn of_litellm(releases: &[PackageRelease]) -> Self {
        let current = releases.iter().filter(|release| !release.yanked);
        Self::sorted(current.map(|release| release.version.as_str()))
    }

    pub fn of_claude(package: &Package) -> Self {
        let current = package
            .versions
            .iter()
            .filter(|(_, version)| version.deprecated.is_none());
        Self::sorted(current.map(|(version, _)| version.as_str()))
    }

    fn sorted<'a>(versions: impl Iterator<Item = &'a str>) -> Self {
        let mut found: Vec<(Vec<u64>, ToolVersion)> = versions
            .filter_map(|version| Some((numbers(version)?, version.parse().ok()?)))
            .collect();
        found.sort();
        Self(found.into_iter().map(|(_, version)| version).collect())
    }

    /// The newest `count`, the oldest of them first.
    pub fn last(&self, count: usize) -> &[ToolVersion] {
        &self.0[self.0.len().saturating_sub(count)..]
    }

    /// The versions from `first` to `last`, both included.
    pub fn between(&self, first: &ToolVersion, last: &ToolVersion) -> anyhow::Result<&[ToolVersion]> {
        let position = |version: &ToolVersion| {
            self.0.iter().position(|known| known == version).with_context(|| {
                let newest = listed(self.last(3).iter().map(ToolVersion::as_str));
                format!("`{version}` is not a published final version; the newest are {newest}")
            })
        };
        let (first, last) = (position(first)?, position(last)?);
        ensure!(
            first <= last,
            "`{}` is newer than `{}`: name the older version first",
            self.0[first],
            self.0[last]
        );
        Ok(&self.0[first..=last])
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
        let published = PublishedVersions::sorted(versions.into_iter());
        let words = |versions: &[ToolVersion]| {
            versions
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(words(published.last(9)), "1.9.0 1.98.0 1.98.0.post1 1.100.0");
        assert_eq!(words(published.last(1)), "1.100.0");
        let version = |text: &str| text.parse::<ToolVersion>().unwrap();
        let between = published.between(&version("1.98.0"), &version("1.100.0"));
        assert_eq!(words(between.unwrap()), "1.98.0 1.98.0.post1 1.100.0");
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
