//! Diagnostics of `known_failures` and `known_changes`.

use crate::support::cell::{GOOD, and, found};

#[test]
fn known_failures_and_changes_need_a_reason_and_a_public_page() {
    let cases: [(&str, String, &[&str]); 8] = [
        (
            "a bad link",
            and("known_failures:\n  reply: { reason: because, link: somewhere }\n"),
            &["8:35", "an address that begins with `https://`"],
        ),
        (
            "a known failure without a reason",
            and("known_failures:\n  reply: { link: \"https://example.org\" }\n"),
            &["8:3", "`reason` is missing"],
        ),
        (
            "a known failure of nothing",
            and("known_failures:\n  replly: { reason: x, link: \"https://example.org\" }\n"),
            &[
                "8:3 known_failures.replly",
                "names no expectation",
                "did you mean `reply`?",
            ],
        ),
        (
            "a known failure on another tier",
            GOOD.to_owned()
                + "    tiers: [haiku]\n  other: { exit: 0 }\nknown_failures:\n  reply: { reason: x, link: \"https://example.org\", tiers: [opus] }\n",
            &["the expectation `reply` is not for `opus`"],
        ),
        (
            "a known failure whose reason is blank",
            and("known_failures:\n  reply: { reason: \" \", link: \"https://example.org\" }\n"),
            &["8:20 known_failures.reply.reason", "the text is empty"],
        ),
        (
            "a known change whose reason is blank",
            and(
                "known_changes:\n  request:\n    thinking: { reason: \" \", link: \"https://example.org\" }\n",
            ),
            &["9:25 known_changes.request.thinking.reason", "the text is empty"],
        ),
        (
            "a known change without a public page",
            and("known_changes:\n  request:\n    thinking: { reason: x, link: somewhere }\n"),
            &["9:34", "an address that begins with `https://`"],
        ),
        (
            "a known change that is declared twice",
            and(
                "known_changes:\n  request:\n    thinking: { reason: x, link: \"https://example.org\" }\n    thinking: { reason: y, link: \"https://example.org\" }\n",
            ),
            &["10:5", "`thinking`", "twice"],
        ),
    ];
    for (mistake, text, wanted) in cases {
        let shown = found(&text);
        assert!(
            !shown.is_empty() && wanted.iter().all(|part| shown.contains(part)),
            "{mistake}: wanted {wanted:?}, found\n{shown}"
        );
    }
}
