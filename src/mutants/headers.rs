//! Changes of headers.

use super::form::{HeaderEdit, HeaderName};

/// Headers in order: names in lower case, and values.
pub type Headers = Vec<(String, Vec<u8>)>;

impl HeaderEdit {
    /// Applies it. Returns whether the headers are different now.
    pub(super) fn apply(&self, headers: &mut Headers) -> bool {
        let before = headers.clone();
        match self {
            Self::Drop(name) => headers.retain(|(key, _)| *key != name.0),
            Self::Set { name, value } => match headers.iter_mut().find(|(key, _)| *key == name.0) {
                Some((_, old)) => *old = value.clone().into_bytes(),
                None => headers.push((name.0.clone(), value.clone().into_bytes())),
            },
            Self::Rename { name, to } => {
                for (key, _) in headers.iter_mut().filter(|(key, _)| *key == name.0) {
                    key.clone_from(&to.0);
                }
            }
            Self::DropEntry { name, find } => on_list(headers, name, |entries| {
                entries.retain(|entry| !find.0.is_match(entry));
            }),
            Self::AddEntry { name, value } => {
                if headers.iter().any(|(key, _)| *key == name.0) {
                    on_list(headers, name, |entries| entries.push(value.clone()));
                } else {
                    headers.push((name.0.clone(), value.clone().into_bytes()));
                }
            }
            Self::ReplaceText { name, find, with } => {
                for (_, value) in headers.iter_mut().filter(|(key, _)| *key == name.0) {
                    let text = String::from_utf8_lossy(value);
                    *value = find.0.replace_all(&text, with).into_owned().into_bytes();
                }
            }
        }
        *headers != before
    }
}

/// Applies all of `edits`. Returns whether the headers are different now.
pub(super) fn apply_all(edits: &[HeaderEdit], headers: &mut Headers) -> bool {
    let apply = |changed, edit: &HeaderEdit| edit.apply(headers) | changed;
    edits.iter().fold(false, apply)
}

/// Says that the body is compressed with gzip. Returns false if it is encoded already.
pub(super) fn encode(headers: &mut Headers) -> bool {
    let is_encoded = headers.iter().any(|(name, _)| name == "content-encoding");
    if !is_encoded {
        headers.push(("content-encoding".to_owned(), b"gzip".to_vec()));
    }
    !is_encoded
}

/// Changes a comma-separated list, and removes the header if the list is empty then.
fn on_list(headers: &mut Headers, name: &HeaderName, change: impl FnOnce(&mut Vec<String>)) {
    let Some(at) = headers.iter().position(|(key, _)| *key == name.0) else {
        return;
    };
    let text = String::from_utf8_lossy(&headers[at].1).into_owned();
    let mut entries: Vec<String> = text.split(',').map(|entry| entry.trim().to_owned()).collect();
    change(&mut entries);
    if entries.is_empty() {
        headers.remove(at);
    } else {
        headers[at].1 = entries.join(",").into_bytes();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn headers_and_their_lists_are_changed_in_place() {
        let mut headers: Headers = vec![
            ("anthropic-beta".into(), b"a-1, b-2".to_vec()),
            ("x".into(), b"1".to_vec()),
        ];
        let mut apply = |edit: Value| {
            let edit: HeaderEdit = serde_json::from_value(edit).unwrap();
            let changed = edit.apply(&mut headers);
            let shown = headers
                .iter()
                .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
            (changed, shown.collect::<Vec<_>>().join(" "))
        };
        let drop = json!({"drop_entry": {"name": "Anthropic-Beta", "find": "^a-"}});
        assert_eq!(apply(drop.clone()), (true, "anthropic-beta=b-2 x=1".into()));
        assert!(!apply(drop).0);
        let add = json!({"add_entry": {"name": "anthropic-beta", "value": "c"}});
        assert_eq!(apply(add), (true, "anthropic-beta=b-2,c x=1".into()));
        assert!(apply(json!({"rename": {"name": "x", "to": "y"}})).0);
        let set = json!({"set": {"name": "y", "value": "2"}});
        assert_eq!(apply(set.clone()), (true, "anthropic-beta=b-2,c y=2".into()));
        assert!(!apply(set).0);
        let reword = json!({"replace_text": {"name": "y", "find": "^", "with": "x"}});
        assert_eq!(apply(reword), (true, "anthropic-beta=b-2,c y=x2".into()));
        assert_eq!(apply(json!({"drop": "y"})), (true, "anthropic-beta=b-2,c".into()));
    }
}
