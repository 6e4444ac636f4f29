//! A range of versions, of a gateway or of Claude Code.

use std::fmt;
use std::str::FromStr;

use semver::{Comparator, Op, VersionReq};

/// The three numbers of a release.
type Release = (u64, u64, u64);

/// The versions from `first` up to, but without, `end`. It is never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    first: Release,
    /// `None` without an end.
    end: Option<Release>,
}

/// What a range of versions may look like.
pub const RANGE_FORM: &str =
    "comparisons by `=`, `>`, `>=`, `<` or `<=`, such as `=1.98.0` or `>=1.98.0, <=1.106.2`";

impl VersionRange {
    pub const ALL: Self = Self {
        first: (0, 0, 0),
        end: None,
    };

    /// Whether `version` is in the range. Only the first three numbers count, because gateways number patches in ways of their
    /// own: `1.83.3` of `v1.83.3-stable.patch.2` and of `1.83.3.post2`.
    pub fn contains(&self, version: &str) -> bool {
        release(version)
            .is_some_and(|version| self.first <= version && self.end.is_none_or(|end| version < end))
    }

    /// How far `version` is from the range, and first whether it is outside. A minor release is further than any patch.
    pub(super) fn distance(&self, version: &str) -> Option<(bool, u128)> {
        let version = release(version)?;
        let border = match self.end {
            Some(end) if end <= version => end,
            _ => self.first.max(version),
        };
        let digits = |number: u64| u128::from(number.min(u64::from(u32::MAX)));
        let on_a_line = |(major, minor, patch)| (digits(major) << 64) + (digits(minor) << 32) + digits(patch);
        let is_outside = version < self.first || self.end.is_some_and(|end| end <= version);
        Some((is_outside, on_a_line(version).abs_diff(on_a_line(border))))
    }

    /// The first and the last version that it names. A range may have no first one, no last one, or neither.
    pub(super) fn ends(&self) -> impl Iterator<Item = String> {
        let first = (self.first != (0, 0, 0)).then_some(self.first);
        let last = self
            .end
            .and_then(|(major, minor, patch)| Some((major, minor, patch.checked_sub(1)?)));
        let ends = [first, last.filter(|last| Some(*last) != first)];
        ends.into_iter()
            .flatten()
            .map(|(major, minor, patch)| format!("{major}.{minor}.{patch}"))
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        let begins_before_end = |one: &Self, other: &Self| other.end.is_none_or(|end| one.first < end);
        begins_before_end(self, other) && begins_before_end(other, self)
    }

    fn within(self, first: Release, end: Option<Release>) -> Self {
        Self {
            first: self.first.max(first),
            end: self.end.into_iter().chain(end).min(),
        }
    }
}

/// For readers: `1.106.2`, `1.98.0 to 1.106.2`, `1.98.0 and later`.
impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |(major, minor, patch): Release| format!("{major}.{minor}.{patch}");
        let last = self.end.map(|(major, minor, patch)| match patch.checked_sub(1) {
            Some(before) => (text((major, minor, before)), true),
            None => (text((major, minor, patch)), false),
        });
        match (self.first, last) {
            ((0, 0, 0), Some((last, true))) => write!(f, "up to {last}"),
            ((0, 0, 0), Some((end, false))) => write!(f, "before {end}"),
            (first, None) => write!(f, "{} and later", text(first)),
            (first, Some((last, true))) if text(first) == last => f.write_str(&last),
            (first, Some((last, true))) => write!(f, "{} to {last}", text(first)),
            (first, Some((end, false))) => write!(f, "{} until before {end}", text(first)),
        }
    }
}

impl FromStr for VersionRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let comparisons =
            VersionReq::parse(text).map_err(|error| format!("not a range of versions: {error}"))?;
        let mut range = Self::ALL;
        for comparator in &comparisons.comparators {
            let (first, end) = releases(comparator);
            range = match comparator.op {
                Op::Exact => range.within(first, Some(end)),
                Op::Greater => range.within(end, None),
                Op::GreaterEq => range.within(first, None),
                Op::Less => range.within((0, 0, 0), Some(first)),
                Op::LessEq => range.within((0, 0, 0), Some(end)),
                // `1.98.0` alone is `^1.98.0`, which is every later 1.x too.
                _ => return Err("a comparison needs one of five signs".to_owned()),
            };
        }
        match range {
            _ if range == Self::ALL => {
                Err("the range has every version, also those that nobody measured".to_owned())
            }
            Self {
                first,
                end: Some(end),
            } if first >= end => Err("no version is in this range".to_owned()),
            range => Ok(range),
        }
    }
}

/// The first release that the comparator's version stands for, and the one after the last: `1.98` stands for all of 1.98.
fn releases(comparator: &Comparator) -> (Release, Release) {
    let Comparator {
        major, minor, patch, ..
    } = *comparator;
    let end = match (minor, patch) {
        (Some(minor), Some(patch)) => (major, minor, patch.saturating_add(1)),
        (Some(minor), None) => (major, minor.saturating_add(1), 0),
        (None, _) => (major.saturating_add(1), 0, 0),
    };
    ((major, minor.unwrap_or(0), patch.unwrap_or(0)), end)
}

/// Whether both are versions with the same first three numbers.
pub fn is_same_release(one: &str, other: &str) -> bool {
    release(one).is_some_and(|one| Some(one) == release(other))
}

/// Whether `version` begins with two numbers, so that it can be in a range.
pub fn is_release(version: &str) -> bool {
    release(version).is_some()
}

pub(super) fn release(version: &str) -> Option<Release> {
    let mut numbers = version
        .trim_start_matches('v')
        .split(|character: char| !character.is_ascii_digit())
        .map_while(|number| number.parse::<u64>().ok());
    Some((numbers.next()?, numbers.next()?, numbers.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> VersionRange {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_contains_the_releases_between_its_ends() {
        for (text, inside, outside) in [
            ("=1.98.0", "1.98.0", "1.98.1"),
            ("=1.98", "1.98.7", "1.99.0"),
            (">=1.98.0, <=1.106.2", "v1.106.2-stable.patch.1", "1.106.3"),
            (">1.98.0, <2", "1.98.1", "1.98.0"),
            ("<=1.98", "1.98.9.post1", "1.99.0"),
        ] {
            assert!(range(text).contains(inside), "{text} {inside}");
            assert!(!range(text).contains(outside), "{text} {outside}");
        }
        assert!(!range(">=0.1").contains("main"));
    }

    #[test]
    fn a_range_has_words_for_readers() {
        for (text, words) in [
            ("=1.106.2", "1.106.2"),
            (">=1.98.0, <=1.106.2", "1.98.0 to 1.106.2"),
            (">=1.98.0, <1.107", "1.98.0 until before 1.107.0"),
            (">=1.98.0", "1.98.0 and later"),
            ("<=1.98.3", "up to 1.98.3"),
            ("<1.98", "before 1.98.0"),
        ] {
            assert_eq!(range(text).to_string(), words);
        }
    }

    #[test]
    fn ranges_overlap_if_they_share_a_release() {
        for (one, other, expected) in [
            ("=1.98.0", "=1.98.0", true),
            ("=1.98.0", "=1.98.1", false),
            (">=1.98.0, <=1.104.2", ">=1.104.2", true),
            (">=1.98.0, <1.104.2", ">=1.104.2", false),
            ("<1.98", ">=1.98", false),
        ] {
            assert_eq!(range(one).overlaps(&range(other)), expected, "{one} {other}");
            assert_eq!(range(other).overlaps(&range(one)), expected, "{other} {one}");
        }
    }

    #[test]
    fn a_range_without_a_version_or_a_sign_is_refused() {
        for (text, expected) in [
            (">=2, <1", "no version is in this range"),
            (">1.2.3, <1.2.4", "no version is in this range"),
            ("1.98.0", "a comparison needs one of five signs"),
            ("*", "every version"),
            (">=0", "every version"),
            ("newest", "not a range of versions: unexpected character 'n'"),
        ] {
            let error = text.parse::<VersionRange>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
