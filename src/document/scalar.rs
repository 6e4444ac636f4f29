//! Scalars without quotes, by the core schema of YAML 1.2.

use serde_json::Number;

use super::node::NodeValue;

/// What YAML 1.1 takes for a boolean and YAML 1.2 for a text.
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
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+'))
            .map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8)
            .ok()
            .filter(|_| !digits.starts_with('+'))
            .map(Number::from);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let begins_as_number = unsigned.starts_with(|first: char| first.is_ascii_digit())
        || unsigned
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    if !begins_as_number
        || !unsigned
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'-' | b'+'))
    {
        return None;
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(integer) = text.parse::<i64>() {
            return Some(integer.into());
        }
        if let Ok(integer) = text.parse::<u64>() {
            return Some(integer.into());
        }
    }
    text.parse().ok().and_then(number_of)
}

/// `1.0` is the whole number 1, as JSON Schema has it.
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

/// The whole numbers below it are the same in every reader of JSON (RFC 8259, section 6): 2 to the power of 53.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Whether it is a whole number that not every reader could hold.
pub(super) fn is_too_large(number: &Number) -> bool {
    number.is_f64() && number.as_f64().is_some_and(|value| value.abs() >= MAX_WHOLE)
}
