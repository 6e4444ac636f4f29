//! What a test, or a tool that sets tests up, says of its own: it may quote anything, so it comes first.
//!
//! Never looks at anything but the message.
#![warn(clippy::disallowed_methods)]

use super::When::Says;
use super::{LIKELY, Rule};
use crate::outcome::Cause::{Assertion, Harness};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "tool_of_the_run_failed",
        cause: Harness,
        confidence: LIKELY,
        when: Says(&[
            r"custom build command|could not compile|linker .{0,12} not found|failed to (?:compile|build)\b",
            r"^E +ModuleNotFoundError|no module named 'pytest|test exceeded \d+",
            r"npm (?:ERR!|error)|^(?:docker|podman)(?:-compose)?: |docker daemon|error response from daemon|pull access denied|manifest unknown",
            r"could not find a version that satisfies|no matching distribution|externally-managed-environment",
            r"fixture '\w+' not found|errors? during collection|ERROR collecting|INTERNALERROR|no tests ran|unrecognized arguments|conftest\.py",
            r"could not (?:get|acquire) lock|dpkg|\bapt-get\b|rate limit for unauthenticated pulls|toomanyrequests",
        ]),
        unless: &[],
        on: &[],
        why: "a tool that sets up or runs the tests failed before anything was asked",
        next: "whoever runs the matrix repairs the installation or the runner and runs again",
        example: "npm ERR! 404 Not Found - GET https://registry.example/some-package",
    },
    Rule {
        name: "assertion_failed",
        cause: Assertion,
        confidence: LIKELY,
        when: Says(&[
            r"\.py:\d+: (?:in )?AssertionError|^E +(?:assert|AssertionError)",
            r"^(?:\[[^\]]+\] )?(?:assertion ?error|assertion failed|assert |expected |expect\[)",
            r"^(?:\[[^\]]+\] )?(?:claude |the model |assistant |response )?(?:returned (?:empty|no|only)|did not|didn't|does not|never|produced no|emitted no)",
            r"^(?:\[[^\]]+\] )?(?:no|missing|zero) (?:tool|thinking|text|cache|assistant|block|image|stream|event|delta|usage|result|search|citation)",
        ]),
        unless: &[
            r#"API Error|litellm|"error"|api_status|exception\b|timed out|error code"#,
            r"redacted_thinking|NoneType|bytes-like",
        ],
        on: &[],
        why: "an expectation that did not hold, and no error beside it",
        next: "read the expectation and the transcript side by side: did the model not do it, or did it not arrive; \
               run the trial again to tell chance from fault",
        example: "AssertionError: expected a tool_use block named Bash, got text only",
    },
    Rule {
        name: "answer_not_as_promised",
        cause: Assertion,
        confidence: LIKELY,
        when: Says(&[
            r"^(?:\[[^\]]+\] )?(?:the |final |first |second |last |turn \d+:? )*(?:answer|response|output|model|assistant|text|reply|image|vision|tool|thinking|prompt cach\w+|structured output|result|citations?|usage|cache\w*|count tokens)\b.{0,80}(?:\bnot\b|n't\b|never|missing|empty|lacks?|no longer|without|instead of|\bzero\b|=0\b|\b(?:none|null)\b)",
        ]),
        unless: &[
            r"model\W.{0,60}not found",
            r#"error|exception|timed out|timeout|\b[45]\d\d\b|litellm|[{}]|connection|stream (?:ended|closed)"#,
            r"exist|available|supported|permitted|allowed|access|accept|must|overload|invalid|blank|valid\b|too long|credit|quota",
        ],
        on: &[],
        why: "words about what the model answered, and no error beside them",
        next: "read the expectation and the transcript side by side; run the trial again to tell chance from fault",
        example: "the answer did not follow the schema",
    },
];
