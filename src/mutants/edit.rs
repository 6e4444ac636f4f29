//! Changes of JSON values.

use serde_json::{Number, Value};
use unicode_normalization::UnicodeNormalization as _;

use super::form::{Edit, LetterCase, NormalForm};
use crate::document::Query;

impl Edit {
    /// Applies it. Returns whether the value is different now.
    pub(super) fn apply(&self, value: &mut Value) -> bool {
        match self {
            Self::Drop(path) => !taken(value, path).is_empty(),
            Self::Set { path, value: new } => on_each(value, path, |found| replace(found, new.clone())),
            Self::Add {
                to,
                key,
                value: new,
                first,
            } => on_each(value, to, |found| add(found, key.as_deref(), new, *first)),
            Self::Rename { path, to } => rename(value, path, to),
            Self::Reverse(path) => on_each(value, path, |found| match found {
                Value::Array(items) if items.len() > 1 => {
                    items.reverse();
                    true
                }
                _ => false,
            }),
            Self::Duplicate(path) => duplicate(value, path),
            Self::Move { from, to, first } => shift(value, from, to, *first),
            Self::ReplaceText { path, find, with } => on_texts(value, path, |text| {
                find.0.replace_all(text, with.as_str()).into_owned()
            }),
            Self::Increase { path, by } => on_numbers(value, path, |number| number + by),
            Self::Scale { path, by } => on_numbers(value, path, |number| number * by),
            Self::Normalize { path, form } => on_texts(value, path, |text| match form {
                NormalForm::Nfc => text.nfc().collect(),
                NormalForm::Nfd => text.nfd().collect(),
            }),
            Self::ChangeCase { path, to } => on_texts(value, path, |text| match to {
                LetterCase::Lower => text.to_lowercase(),
                LetterCase::Upper => text.to_uppercase(),
            }),
        }
    }
}

/// Applies all of `edits`. Returns whether the value is different now.
pub(super) fn apply_all(edits: &[Edit], value: &mut Value) -> bool {
    edits
        .iter()
        .fold(false, |changed, edit| edit.apply(value) | changed)
}

/// JSON pointers to the values that `path` finds, in the order of the document.
fn pointers(value: &Value, path: &Query) -> Vec<String> {
    let found = path.path.query_located(value);
    found
        .locations()
        .map(|location| location.to_json_pointer())
        .collect()
}

fn on_each(value: &mut Value, path: &Query, mut change: impl FnMut(&mut Value) -> bool) -> bool {
    pointers(value, path).iter().fold(false, |changed, pointer| {
        value.pointer_mut(pointer).is_some_and(&mut change) | changed
    })
}

fn on_texts(value: &mut Value, path: &Query, change: impl Fn(&str) -> String) -> bool {
    on_each(value, path, |found| match found.as_str().map(&change) {
        Some(new) => replace(found, Value::String(new)),
        None => false,
    })
}

/// Adds `text` to the end of the texts that `path` finds. Returns whether there are any.
pub(super) fn append(value: &mut Value, path: &Query, text: &str) -> bool {
    on_texts(value, path, |found| format!("{found}{text}"))
}

/// An integer stays an integer.
fn on_numbers(value: &mut Value, path: &Query, change: impl Fn(f64) -> f64) -> bool {
    on_each(value, path, |found| {
        let Some(new) = found.as_f64().map(&change) else {
            return false;
        };
        let new = match found.is_f64() {
            true => Number::from_f64(new),
            false => Number::from_i128(new.round() as i128),
        };
        new.is_some_and(|new| replace(found, Value::Number(new)))
    })
}

fn replace(found: &mut Value, new: Value) -> bool {
    let changed = *found != new;
    *found = new;
    changed
}

fn add(found: &mut Value, key: Option<&str>, new: &Value, first: bool) -> bool {
    match (found, key) {
        (Value::Object(map), Some(key)) => map.insert(key.to_owned(), new.clone()).as_ref() != Some(new),
        (Value::Array(items), None) => {
            let at = if first { 0 } else { items.len() };
            items.insert(at, new.clone());
            true
        }
        _ => false,
    }
}

/// The parent of the value at `pointer`, and the last step of `pointer`.
fn parent<'a>(value: &'a mut Value, pointer: &str) -> Option<(&'a mut Value, String)> {
    let (before, last) = pointer.rsplit_once('/')?;
    let key = last.replace("~1", "/").replace("~0", "~");
    Some((value.pointer_mut(before)?, key))
}

fn take(value: &mut Value, pointer: &str) -> Option<Value> {
    match parent(value, pointer)? {
        (Value::Object(map), key) => map.shift_remove(&key),
        (Value::Array(items), key) => {
            let index: usize = key.parse().ok()?;
            (index < items.len()).then(|| items.remove(index))
        }
        _ => None,
    }
}

/// Removes the values that `path` finds, and returns them in the order of the document.
fn taken(value: &mut Value, path: &Query) -> Vec<Value> {
    let mut found: Vec<Value> = pointers(value, path)
        .iter()
        .rev()
        .filter_map(|pointer| take(value, pointer))
        .collect();
    found.reverse();
    found
}

/// Keeps the place among the siblings.
fn rename(value: &mut Value, path: &Query, name: &str) -> bool {
    let pointers = pointers(value, path);
    pointers
        .iter()
        .rev()
        .fold(false, |changed, pointer| match parent(value, pointer) {
            Some((Value::Object(map), key)) if key != name && map.contains_key(&key) => {
                *map = std::mem::take(map)
                    .into_iter()
                    .map(|(old, entry)| (if old == key { name.to_owned() } else { old }, entry))
                    .collect();
                true
            }
            _ => changed,
        })
}

fn duplicate(value: &mut Value, path: &Query) -> bool {
    let pointers = pointers(value, path);
    pointers
        .iter()
        .rev()
        .fold(false, |changed, pointer| match parent(value, pointer) {
            Some((Value::Array(items), key)) => match key.parse::<usize>() {
                Ok(index) if index < items.len() => {
                    items.insert(index, items[index].clone());
                    true
                }
                _ => changed,
            },
            _ => changed,
        })
}

fn shift(value: &mut Value, from: &Query, to: &Query, first: bool) -> bool {
    let moved = taken(value, from);
    if moved.is_empty() {
        return false;
    }
    on_each(value, to, |found| match found {
        Value::Array(items) => {
            let at = if first { 0 } else { items.len() };
            items.splice(at..at, moved.clone());
            true
        }
        _ => false,
    });
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whether `edit` changes `before`, and the value after it.
    fn after(edit: Value, mut before: Value) -> (bool, Value) {
        let edit: Edit = serde_json::from_value(edit).unwrap();
        (edit.apply(&mut before), before)
    }

    #[test]
    fn values_are_dropped_wherever_they_are() {
        let before = json!({"a": [{"c": 1, "x": 1}, {"c": 2}], "c": 3});
        let dropped = json!({"a": [{"x": 1}, {}]});
        assert_eq!(after(json!({"drop": "$..c"}), before), (true, dropped));
        assert_eq!(
            after(json!({"drop": "$[?@ > 1]"}), json!([1, 2, 3, 0])),
            (true, json!([1, 0]))
        );
        assert_eq!(
            after(json!({"drop": "$.z"}), json!({"a": 1})),
            (false, json!({"a": 1}))
        );
    }

    #[test]
    fn values_are_set_added_and_renamed_in_place() {
        let set = |value| json!({"set": {"path": "$.a", "value": value}});
        assert_eq!(
            after(set(0), json!({"a": 1, "b": 2})),
            (true, json!({"a": 0, "b": 2}))
        );
        assert!(!after(set(1), json!({"a": 1})).0);
        let first = json!({"add": {"to": "$.a", "value": 9, "first": true}});
        assert_eq!(after(first, json!({"a": [1]})).1, json!({"a": [9, 1]}));
        let entry = json!({"add": {"to": "$.a", "key": "k", "value": 9}});
        assert_eq!(after(entry, json!({"a": {}})).1, json!({"a": {"k": 9}}));
        let rename = json!({"rename": {"path": "$.a", "to": "z"}});
        let renamed = after(rename, json!({"a": 1, "b": 2})).1;
        assert_eq!(renamed.to_string(), r#"{"z":1,"b":2}"#);
    }

    #[test]
    fn entries_are_moved_repeated_reversed_and_reworded() {
        let from = "$.messages[?@.role == 'system'].content[*]";
        let shift = json!({"move": {"from": from, "to": "$.system"}});
        let before = json!({"system": ["s"], "messages": [{"role": "system", "content": ["t"]}]});
        let moved = json!({"system": ["s", "t"], "messages": [{"role": "system", "content": []}]});
        assert_eq!(after(shift, before).1, moved);
        assert_eq!(
            after(json!({"duplicate": "$[0]"}), json!([1, 2])).1,
            json!([1, 1, 2])
        );
        assert_eq!(
            after(json!({"reverse": "$"}), json!([1, 2])),
            (true, json!([2, 1]))
        );
        let number = |action: &str, by: f64| json!({action: {"path": "$[*]", "by": by}});
        assert_eq!(
            after(number("increase", -1.0), json!([3, 0, 0.5, "x"])),
            (true, json!([2, -1, -0.5, "x"]))
        );
        assert_eq!(
            after(number("scale", 1.3), json!([5, 10, 1.0])),
            (true, json!([7, 13, 1.3]))
        );
        assert!(!after(number("scale", 2.0), json!([0])).0);
        let form = |form: &str| json!({"normalize": {"path": "$", "form": form}});
        assert_eq!(after(form("nfd"), json!("é")), (true, json!("e\u{301}")));
        assert_eq!(after(form("nfc"), json!("e\u{301}")), (true, json!("é")));
        assert!(!after(form("nfc"), json!("é")).0);
        let case = json!({"change_case": {"path": "$", "to": "lower"}});
        assert_eq!(after(case, json!("toolu_1Ä")), (true, json!("toolu_1ä")));
        let reword = json!({"replace_text": {"path": "$.m", "find": "^us\\.", "with": ""}});
        assert_eq!(after(reword, json!({"m": "us.x"})), (true, json!({"m": "x"})));
    }
}
