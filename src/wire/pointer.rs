//! Values in JSON, by JSON pointer (`/message/id`); a value of another type counts as absent.

use serde_json::Value;

pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

pub fn owned(value: &Value, pointer: &str) -> Option<String> {
    text(value, pointer).map(str::to_owned)
}

pub fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer)?.as_u64()
}

pub fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The texts in a list.
pub fn texts(value: &Value, pointer: &str) -> Vec<String> {
    let items = list(value, pointer).iter();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
