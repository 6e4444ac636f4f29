//! Changes of headers.

use super::HeaderEdit;

/// Headers in order: names in lower case, values as they are.
pub type Headers = Vec<(String, Vec<u8>)>;

impl HeaderEdit {
    /// Applies it; whether anything is different now.
    pub(super) fn apply(&self, headers: &mut Headers) -> bool {
        let before = headers.clone();
        match self {
            Self::Drop(name) => headers.retain(|(key, _)| key != name),
            Self::Set(name, value) => {
                match headers.iter_mut().find(|(key, _)| key == name) {
                    Some((_, old)) => *old = value.clone().into_bytes(),
                    None => headers.push((name.clone(), value.clone().into_bytes())),
                };
            }
            Self::Rename(name, to) => {
                for (key, _) in headers.iter_mut().filter(|(key, _)| key == name) {
                    key.clone_from(to);
                }
            }
            Self::DropEntry(name, find) => on_list(headers, name, |entries| {
                entries.retain(|entry| !find.0.is_match(entry));
            }),
            Self::AddEntry(name, entry) => {
                if headers.iter().any(|(key, _)| key == name) {
                    on_list(headers, name, |entries| entries.push(entry.clone()));
                } else {
                    headers.push((name.clone(), entry.clone().into_bytes()));
                }
            }
        }
        *headers != before
    }
}

/// Applies all of `edits`; whether anything is different now.
pub(super) fn apply_all(edits: &[HeaderEdit], headers: &mut Headers) -> bool {
    edits
        .iter()
        .fold(false, |changed, edit| edit.apply(headers) | changed)
}

/// Changes a comma-separated list; one that is empty then is left out.
fn on_list(headers: &mut Headers, name: &str, change: impl FnOnce(&mut Vec<String>)) {
    let Some(at) = headers.iter().position(|(key, _)| key == name) else {
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
    use regex::Regex;

    use super::*;
    use crate::mutants::Regexp;

    #[test]
    fn headers_and_their_lists_are_changed_in_place() {
        let mut headers: Headers = vec![
            ("anthropic-beta".into(), b"a-1, b-2".to_vec()),
            ("x".into(), b"1".to_vec()),
        ];
        let drop = HeaderEdit::DropEntry("anthropic-beta".into(), Regexp(Regex::new("^a-").unwrap()));
        assert!(drop.apply(&mut headers));
        assert!(!drop.apply(&mut headers));
        assert_eq!(headers[0].1, b"b-2");
        assert!(HeaderEdit::AddEntry("anthropic-beta".into(), "c".into()).apply(&mut headers));
        assert_eq!(headers[0].1, b"b-2,c");
        assert!(HeaderEdit::Rename("x".into(), "y".into()).apply(&mut headers));
        assert!(HeaderEdit::Set("y".into(), "2".into()).apply(&mut headers));
        assert_eq!(headers[1], ("y".into(), b"2".to_vec()));
        assert!(!HeaderEdit::Set("y".into(), "2".into()).apply(&mut headers));
        assert!(HeaderEdit::Drop("y".into()).apply(&mut headers));
        assert_eq!(headers.len(), 1);
    }
}
