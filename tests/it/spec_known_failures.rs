//! Faults of declared faults: of `known_failures`, and of what `unchanged` excepts.

use crate::spec_faults::{GOOD, and, brief, faults_of};

#[test]
fn what_is_excused_has_a_name_a_reason_and_a_public_page() {
    let cases: [(&str, String, &[&str]); 9] = [
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
                "  same:\n    unchanged:\n      way: request\n      except:\n        thinking: { reason: \" \", link: \"https://example.org\" }\n",
            ),
            &[
                "11:29 expect.same.unchanged.except.thinking.reason",
                "the text is empty",
            ],
        ),
        (
            "a known change without a public page",
            and(
                "  same:\n    unchanged:\n      way: request\n      except:\n        thinking: { reason: x, link: somewhere }\n",
            ),
            &["11:38", "an address that begins with `https://`"],
        ),
        (
            "a known change that is declared twice",
            and(
                "  same:\n    unchanged:\n      way: request\n      except:\n        thinking: { reason: x, link: \"https://example.org\" }\n        thinking: { reason: y, link: \"https://example.org\" }\n",
            ),
            &["12:9", "`thinking`", "twice"],
        ),
        (
            "a known change on another tier",
            and(
                "  same:\n    tiers: [haiku]\n    unchanged:\n      way: request\n      except:\n        thinking: { reason: x, link: \"https://example.org\", tiers: [opus] }\n",
            ),
            &[
                "12:9 expect.same.unchanged.except.thinking.tiers",
                "the expectation `same` is not for `opus`",
            ],
        ),
    ];
    for (mistake, text, wanted) in cases {
        let found = brief(&faults_of(None, text.as_bytes()));
        assert!(
            !found.is_empty() && wanted.iter().all(|part| found.contains(part)),
            "{mistake}: wanted {wanted:?}, found\n{found}"
        );
    }
}
