//! The errors of all files of a project, in order and once each.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use crate::cells::resolve::NO_SHARED;
use crate::document::Diagnostic;
use crate::text::counted;

/// `errors`, with one error about a row's missing shared file in place of those about the keys that several of its cells lack.
pub(super) fn without_shared(mut errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let shared = |error: &Diagnostic| {
        let mut related = error.related.iter();
        related.find_map(|(place, what)| (what == NO_SHARED).then(|| place.file.clone()))
    };
    let mut cells: HashMap<PathBuf, HashSet<PathBuf>> = HashMap::new();
    for error in &errors {
        if let Some(file) = shared(error) {
            cells.entry(file).or_default().insert(error.place.file.clone());
        }
    }
    cells.retain(|_, cells| cells.len() > 1);
    errors.retain(|error| shared(error).is_none_or(|file| !cells.contains_key(&file)));
    errors.extend(cells.iter().map(|(file, cells)| {
        let message = format!(
            "{NO_SHARED}, and {} lack keys that it would share",
            counted(cells.len(), "cell")
        );
        Diagnostic::of_file(file, message)
            .hint("write it: `prompt`, `replies` and `expect` for all providers")
    }));
    errors
}

/// Sorts by file and place, and keeps one of equal errors: every cell of a feature finds an error in its `_shared.yaml`.
pub(super) fn in_order(mut errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let key = |error: &Diagnostic| {
        let place = &error.place;
        (
            place.file.clone(),
            place.line,
            place.column,
            error.message.clone(),
        )
    };
    errors.sort_by_key(key);
    errors.dedup_by(|again, first| {
        let is_same = key(again) == key(first);
        if is_same {
            let more = std::mem::take(&mut again.related).into_iter();
            let new: Vec<_> = more.filter(|place| !first.related.contains(place)).collect();
            first.related.extend(new);
        }
        is_same
    });
    errors
}
