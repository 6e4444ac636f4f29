//! Scalars without quotes, by the core schema of YAML 1.2.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Number;

use super::node::NodeValue;

/// A boolean in YAML 1.1 and a text in YAML 1.2.
pub(super) fn is_unclear(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "yes" | "no" | "on" | "off")
}

/// A scalar without quotes, by the core schema (YAML 1.2.2, section 10.3.2). Infinities and not-a-number have no form
/// in JSON and stay texts.
pub(super) fn plain(text: &str) -> NodeValue {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeValue::Null,
        "true" | "True" | "TRUE" => return NodeValue::Bool(true),
        "false" | "False" | "FALSE" => return NodeValue::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| NodeValue::Text(text.to_owned()), NodeValue::Number)
}

fn number(text: &str) -> Option<Number> {
    static DECIMAL: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$").expect("a constant expression")
    });
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let digits = Some(digits).filter(|digits| !digits.starts_with('+'))?;
            return u64::from_str_radix(digits, radix).ok().map(Number::from);
        }
    }
    if !DECIMAL.is_match(text) {
        return None;
    }
    let integer = text.parse::<i64>().map(Number::from);
    let integer = integer.or_else(|_| text.parse::<u64>().map(Number::from));
    integer.ok().or_else(|| number_of(text.parse().ok()?))
}

/// `1.0` is the whole number 1, as in JSON Schema.
fn number_of(value: f64) -> Option<Number> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is a whole number that an `i64` holds"
    )]
    match value.fract() == 0.0 && value.abs() < MAX_WHOLE {
        true => Some(Number::from(value as i64)),
        false => Number::from_f64(value),
    }
}

/// 2 to the power of 53: every JSON reader keeps whole numbers below it exact (RFC 8259, section 6).
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Whether some JSON readers would round the number.
pub(super) fn is_too_large(number: &Number) -> bool {
    number.is_f64() && number.as_f64().is_some_and(|value| value.abs() >= MAX_WHOLE)
}
