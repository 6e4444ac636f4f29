//! Assertions on texts.

/// Fails unless `text` contains `part`.
#[track_caller]
pub fn assert_has(text: &str, part: &str) {
    assert!(text.contains(part), "no `{part}` in\n{text}");
}

/// Fails if `text` contains `part`.
#[track_caller]
pub fn assert_lacks(text: &str, part: &str) {
    assert!(!text.contains(part), "`{part}` is in\n{text}");
}

/// Fails unless `text` starts with `start`.
#[track_caller]
pub fn assert_starts(text: &str, start: &str) {
    assert!(text.starts_with(start), "no `{start}` at the start of\n{text}");
}
