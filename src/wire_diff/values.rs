//! Where two JSON values differ.

use serde_json::Value;

/// A place in which one value is not the other; `None` where there is none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) path: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// The places, each as deep as it can be told. The order of an object's keys says nothing, nor does a `null`.
pub(super) fn differences(path: &str, before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(path, Some(before), Some(after), &mut found);
    found
}

fn walk(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    let before = before.filter(|value| !value.is_null());
    let after = after.filter(|value| !value.is_null());
    match (before, after) {
        _ if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                walk(&joined(path, key), before.get(key), after.get(key), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                walk(&format!("{path}[{index}]"), Some(before), Some(after), found);
            }
        }
        _ => found.push(Difference {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_found_and_as_deep_as_can_be() {
        let before = json!({"a": 1, "b": {"c": [1, 2], "d": "x"}, "gone": true, "n": null});
        let after = json!({"b": {"d": "x", "c": [1, 3]}, "a": 1, "new": {}});
        let found = differences("", &before, &after);
        let paths: Vec<_> = found.iter().map(|difference| difference.path.as_str()).collect();
        assert_eq!(paths, ["b.c[1]", "gone", "new"]);
        assert_eq!(found[1].after, None);
        assert_eq!(found[2].before, None);
    }
}
