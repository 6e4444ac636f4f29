//! Names that are almost known ones. Nothing closes their lists, so a name that differs more passes.

use crate::support::cell::{and, assert_found, found, with};

/// The good cell with `more` below `expect`, for the case `name`.
fn case<'a>(name: &'a str, more: &str, wanted: &'a [&'a str]) -> (&'a str, String, &'a [&'a str]) {
    (name, and(more), wanted)
}

#[test]
fn a_slip_in_a_name_has_a_suggestion() {
    assert_found(&[
        case(
            "a beta",
            "  b:\n    beta: { turn: 1, name: efort-2025-11-24 }\n",
            &[
                "8:28 expect.b.beta.name",
                "a misspelt beta",
                "did you mean `effort-2025-11-24`?",
            ],
        ),
        case(
            "the date of a beta",
            "  b:\n    beta: { turn: 1, name: effort-2025-11-4 }\n",
            &["did you mean `effort-2025-11-24`?"],
        ),
        case(
            "a short role",
            "direct: { messages: [{ role: usr, content: ping }] }\n",
            &["no message has the role `usr`", "did you mean `user`?"],
        ),
        case(
            "a beta of a variable",
            "env: { ANTHROPIC_BETAS: \"effort-2025-11-24, context-1n-2025-08-07\" }\n",
            &["env.ANTHROPIC_BETAS", "did you mean `context-1m-2025-08-07`?"],
        ),
        case(
            "a header of a request",
            "  h:\n    request: { turn: 1, headers: { anthropic-verison: { exists: false } } }\n",
            &[
                "8:36 expect.h.request.headers.anthropic-verison",
                "did you mean `anthropic-version`?",
            ],
        ),
        case(
            "a header of a reply",
            "  h:\n    reply_head: { turn: 1, headers: { retry-atfer: { equals: \"1\" } } }\n",
            &["a misspelt header", "did you mean `retry-after`?"],
        ),
        (
            "a header that the provider sends",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n    headers: { x-shoud-retry: \"true\" }",
            ),
            &[
                "4:16 replies[0].headers.x-shoud-retry",
                "did you mean `x-should-retry`?",
            ],
        ),
        case(
            "a variable",
            "env: { MAX_THINKNG_TOKENS: \"4096\" }\n",
            &[
                "7:8 env.MAX_THINKNG_TOKENS",
                "did you mean `MAX_THINKING_TOKENS`?",
            ],
        ),
        case(
            "an allowed tool",
            "flags: [--allowed-tools, Read, \"Bahs(echo 1, 2) Edit\"]\n",
            &["7:32 flags[2]", "no tool `Bahs`", "did you mean `Bash`?"],
        ),
        case(
            "a role of a path",
            "  r:\n    request: { turn: 1, body: { \"$.messages[?@.role == 'sytem']\": { exists: true } } }\n",
            &["no message has the role `sytem`", "did you mean `system`?"],
        ),
        case(
            "a role of a direct request",
            "direct: { messages: [{ role: usre, content: ping }] }\n",
            &["7:30 direct.messages[0].role", "did you mean `user`?"],
        ),
    ]);
}

#[test]
fn another_name_passes() {
    for more in [
        "  b:\n    beta: { turn: 1, name: effort-2027-11-24 }\n",
        "  h:\n    request: { turn: 1, headers: { x-heron: { exists: true } } }\n",
        "  h:\n    reply_head: { turn: 1, headers: { anthropic-ratelimit-unified-7d-status: { exists: true } } }\n",
        "env: { ENABLE_PROMPT_CACHING_5M: \"1\", MY_WORD: heron }\n",
        "flags: [--allowed-tools, \"Wait,Bash(Raed it)\", mcp__library]\n",
    ] {
        assert_eq!(found(&and(more)), "", "{more}");
    }
}

#[test]
fn a_request_that_is_not_sent_has_no_head() {
    assert_found(&[
        case(
            "the head of a reply",
            "  h:\n    reply_head: { turn: 2, status: { equals: 200 } }\n",
            &[
                "8:25 expect.h.reply_head.turn",
                "there is no request 2: the script has 1 reply",
            ],
        ),
        case(
            "attempts",
            "  a:\n    attempts: { turn: 2, count: { equals: 1 } }\n",
            &["8:23 expect.a.attempts.turn", "allowed: 1, `every` or `last`"],
        ),
    ]);
}
