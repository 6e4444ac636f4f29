//! How old a version is, or has to be: `3d`, `36h`, `1d12h`, `0`.
//!
//! Pure.
#![warn(clippy::disallowed_methods)]

use std::fmt;
use std::str::FromStr;

use chrono::TimeDelta;

/// A length of time, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age(pub TimeDelta);

/// A text that is no length of time.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not an age, expected numbers with units (`w`, `d`, `h`, `m`, `s`), as in `3d`, `36h` or `1d12h`, or `0`"
)]
pub struct AgeError(String);

/// Each unit with its seconds, longest first.
const UNITS: [(char, i64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl FromStr for Age {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        seconds(text)
            .and_then(TimeDelta::try_seconds)
            .map(Self)
            .ok_or_else(|| AgeError(text.to_owned()))
    }
}

fn seconds(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total = 0i64;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit())?;
        let unit = rest[end..].chars().next()?;
        let (_, length) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let count: i64 = rest[..end].parse().ok()?;
        total = total.checked_add(count.checked_mul(length)?)?;
        rest = &rest[end + unit.len_utf8()..];
    }
    (!text.is_empty()).then_some(total)
}

/// The two largest units that are not zero, weeks as days: `3 d 12 h`.
impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.num_seconds().abs();
        let mut parts = Vec::new();
        for (unit, length) in &UNITS[1..] {
            if rest >= *length && parts.len() < 2 {
                parts.push(format!("{} {unit}", rest / length));
                rest %= length;
            } else if !parts.is_empty() {
                break;
            }
        }
        let sign = if self.0 < TimeDelta::zero() { "-" } else { "" };
        match parts.is_empty() {
            true => f.write_str("0 s"),
            false => write!(f, "{sign}{}", parts.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_sum_of_numbers_with_units() {
        for (text, seconds) in [
            ("3d", 259_200),
            ("1d12h", 129_600),
            ("90m", 5_400),
            ("1w", 604_800),
            ("0", 0),
            ("0d", 0),
        ] {
            assert_eq!(text.parse::<Age>().unwrap().0.num_seconds(), seconds, "{text}");
        }
    }

    #[test]
    fn what_is_no_age_is_refused() {
        for text in [
            "",
            "3",
            "d",
            "3 d",
            "-3d",
            "3y",
            "99999999999999999999d",
            "9223372036854775807w",
            "3d4",
        ] {
            assert!(text.parse::<Age>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_age_shows_its_two_largest_units() {
        for (seconds, text) in [
            (302_400, "3 d 12 h"),
            (86_400, "1 d"),
            (86_401, "1 d"),
            (59, "59 s"),
            (0, "0 s"),
            (-3_700, "-1 h 1 m"),
        ] {
            assert_eq!(Age(TimeDelta::seconds(seconds)).to_string(), text);
        }
    }
}
