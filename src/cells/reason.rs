//! The reasons why something is not applicable. The matrix shows them, so each names its source.

use std::sync::LazyLock;

use regex::Regex;

use crate::document::{Diagnostic, Node, NodeValue};

/// The pages of `docs/` that the reasons below `node` name, each with its reason. `is_reason` says whether `node` is one.
pub fn pages(node: &Node, is_reason: bool) -> Vec<(&Node, &str)> {
    static PAGE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?:^|[\s(])(docs/[\w./-]*\.md)\b").expect("a constant expression"));
    match &node.value {
        NodeValue::Text(text) if is_reason => {
            let found = PAGE.captures_iter(text).filter_map(|found| found.get(1));
            found.map(|page| (node, page.as_str())).collect()
        }
        NodeValue::List(items) => items.iter().flat_map(|item| pages(item, false)).collect(),
        NodeValue::Map(entries) => {
            let is_reason = |key: &str| is_reason || matches!(key, "not_applicable" | "not_on" | "reason");
            let values = entries.iter();
            values
                .flat_map(|entry| pages(&entry.value, is_reason(&entry.key)))
                .collect()
        }
        _ => Vec::new(),
    }
}

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
