//! Where two JSON values differ.

use serde_json::{Map, Value};

use super::{Difference, Part};

/// The differing values of two lists of fields, as deep as possible. The order of an object's keys does not count; a `null`
/// counts as absent.
pub(super) fn differences(part: Part, path: &str, before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => fields(part, path, [old, new], &mut found),
        _ => walk(part, path, before, after, &mut found),
    }
    found
}

/// The differing values of two things, or the things if they have nothing in common.
pub(super) fn of_value(part: Part, path: &str, before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(part, path, before, after, &mut found);
    found
}

type Fields = Map<String, Value>;

fn fields(part: Part, path: &str, [old, new]: [&Fields; 2], found: &mut Vec<Difference>) {
    let added = new.keys().filter(|key| !old.contains_key(*key));
    for key in old.keys().chain(added) {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        let [before, after] = [old, new].map(|fields| fields.get(key).unwrap_or(&Value::Null));
        walk(part, &path, before, after, found);
    }
}

/// Whether two objects are different things: of another type and with other fields, or without a field in common.
fn is_another(old: &Fields, new: &Fields) -> bool {
    let is_only_in_one =
        |one: &Fields, other: &Fields| one.keys().any(|key| key != "type" && !other.contains_key(key));
    match old.get("type") == new.get("type") {
        true => !old.is_empty() && !new.is_empty() && old.keys().all(|key| !new.contains_key(key)),
        false => is_only_in_one(old, new) || is_only_in_one(new, old),
    }
}

fn walk(part: Part, path: &str, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(old), Value::Object(new)) if !is_another(old, new) => {
            fields(part, path, [old, new], found);
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                walk(part, &format!("{path}[{index}]"), old, new, found);
            }
        }
        _ => match (objects_missing(before, after), objects_missing(after, before)) {
            (Some(lost), _) => found.extend(lost.into_iter().map(|(index, item)| {
                Difference::of(part, format!("{path}[{index}]"), item.clone(), Value::Null)
            })),
            (_, Some(added)) => found.extend(added.into_iter().map(|(index, item)| {
                Difference::of(part, format!("{path}[{index}]"), Value::Null, item.clone())
            })),
            _ => found.push(Difference::of(part, path, before.clone(), after.clone())),
        },
    }
}

/// The objects of the list `whole` that its part `rest` lacks, with their indexes. `None` if `rest` is empty or no part of it.
fn objects_missing<'a>(whole: &'a Value, rest: &Value) -> Option<Vec<(usize, &'a Value)>> {
    let mut rest = rest.as_array().filter(|rest| !rest.is_empty())?.iter().peekable();
    let items = whole.as_array()?.iter().enumerate();
    let missing: Vec<_> = items
        .filter(|(_, item)| rest.next_if_eq(item).is_none())
        .collect();
    let are_objects = missing.iter().all(|(_, item)| item.is_object());
    (rest.peek().is_none() && are_objects).then_some(missing)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_as_deep_as_possible() {
        let before = json!({"a": 1, "b": {"c": [1, 2], "d": "x"}, "gone": true, "n": null});
        let after = json!({"b": {"d": "x", "c": [1, 3]}, "a": 1, "new": {}});
        let found = differences(Part::Field, "", &before, &after);
        let paths: Vec<_> = found.iter().map(|difference| difference.path.as_str()).collect();
        assert_eq!(paths, ["b.c[1]", "gone", "new"]);
        assert_eq!(found[1].after, None);
        assert_eq!(found[2].before, None);
    }

    #[test]
    fn an_object_that_a_list_lost_or_got_is_named() {
        let (text, image, file) = (json!({"text": "x"}), json!({"image": 1}), json!({"file": 2}));
        let all = json!([text, image, file]);
        let paths = |before: &Value, after: &Value| -> Vec<String> {
            let found = of_value(Part::Block, "content", before, after).into_iter();
            found.map(|one| format!("{:?} {}", one.fate, one.path)).collect()
        };
        assert_eq!(paths(&all, &json!([text, file])), ["Dropped content[1]"]);
        assert_eq!(
            paths(&json!([image]), &all),
            ["Added content[0]", "Added content[2]"]
        );
        // Nothing is left, other objects came, or the items are texts.
        for (before, after) in [
            (&all, &json!([])),
            (&all, &json!([file, text])),
            (&json!(["a", "b"]), &json!(["a"])),
        ] {
            assert_eq!(paths(before, after), ["Changed content"]);
        }
    }
}
