//! The age of a version: `3d`, `36h`, `1d12h`, `0`.
//!
//! Pure.
#![warn(clippy::disallowed_methods)]

use std::fmt;
use std::str::FromStr;

use chrono::TimeDelta;

/// A length of time, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age(pub TimeDelta);

/// Each unit with its seconds, longest first.
const UNITS: [(char, i64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = match text {
            "" => None,
            "0" => Some(0),
            text => text.split_inclusive(char::is_alphabetic).map(seconds).sum(),
        };
        seconds.and_then(TimeDelta::try_seconds).map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not an age, expected numbers with units (`w`, `d`, `h`, `m`, `s`), as in `3d`, `36h` or \
                 `1d12h`, or `0`"
            )
        })
    }
}

/// The seconds of one number with its unit.
fn seconds(part: &str) -> Option<i64> {
    let (_, seconds) = UNITS.into_iter().find(|(unit, _)| part.ends_with(*unit))?;
    let count: u32 = part[..part.len() - 1].parse().ok()?;
    Some(i64::from(count) * seconds)
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
        for text in ["", "3", "d", "3 d", "-3d", "3y", "3é", "99999999999d", "3d4"] {
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
