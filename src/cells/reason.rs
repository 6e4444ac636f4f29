//! The reasons why something is not applicable. The matrix shows them, so each names its source.

use std::sync::LazyLock;

use regex::Regex;

use crate::document::Diagnostic;

/// `at` with the fault of the reason `text`; `None` if it has none.
pub(super) fn fault(text: &str, at: impl FnOnce(&str) -> Diagnostic) -> Option<Diagnostic> {
    static SOURCE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"https://[\w-]+\.\w|\bdocs/[\w./-]*\w\.md\b").expect("a constant expression")
    });
    if text.trim().is_empty() {
        return Some(at("the reason is empty").hint("say why, and name the source"));
    }
    let error = || {
        at("the reason names no source")
            .allowed("a text with an address, `https://…`, or a page of this repository, `docs/…`")
            .hint("add an https address or a page of `docs/`")
    };
    (!SOURCE.is_match(text)).then(error)
}
