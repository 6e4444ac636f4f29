//! Texts of a test, or of a tool that sets tests up. They may quote anything, so these rules come first.

use super::{CauseRule, LIKELY, rule};
use crate::outcome::Cause::{Assertion, Harness};

pub(super) const RULES: &[CauseRule] = &[
    rule("test_tool_failed", Harness, LIKELY)
        .says(&[
            r"custom build command|could not compile|linker .{0,12} not found|failed to (?:compile|build)\b",
            r"^E +ModuleNotFoundError|no module named 'pytest|test exceeded \d+",
            r"npm (?:ERR!|error)|^(?:docker|podman)(?:-compose)?: |docker daemon|error response from daemon|pull access denied|manifest unknown",
            r"could not find a version that satisfies|no matching distribution|externally-managed-environment",
            r"fixture '\w+' not found|errors? during collection|ERROR collecting|INTERNALERROR|no tests ran|unrecognized arguments|conftest\.py",
            r"could not (?:get|acquire) lock|dpkg|\bapt-get\b|rate limit for unauthenticated pulls|toomanyrequests",
        ])
        .why("a tool that sets up or runs the tests failed before the first request")
        .next("repair the installation or the CI runner and run again")
        .example("npm ERR! 404 Not Found - GET https://registry.example/some-package"),
    rule("assertion_failed", Assertion, LIKELY)
        .says(&[
            r"\.py:\d+: (?:in )?AssertionError|^E +(?:assert|AssertionError)",
            r"^(?:\[[^\]]+\] )?(?:assertion ?error|assertion failed|assert |expected |expect\[)",
            r"^(?:\[[^\]]+\] )?(?:claude |the model |assistant |response )?(?:returned (?:empty|no|only)|did not|didn't|does not|never|produced no|emitted no)",
            r"^(?:\[[^\]]+\] )?(?:no|missing|zero) (?:tool|thinking|text|cache|assistant|block|image|stream|event|delta|usage|result|search|citation)",
        ])
        .unless(&[
            r#"API Error|litellm|"error"|api_status|exception\b|timed out|error code"#,
            r"redacted_thinking|NoneType|bytes-like",
        ])
        .why("an expectation did not hold, and the text has no error")
        .next("compare the expectation with the transcript: did the model not do it, or did it get lost; run the trial again to rule out chance")
        .example("AssertionError: expected a tool_use block named Bash, got text only"),
    rule("answer_wrong", Assertion, LIKELY)
        .says(&[
            r"^(?:\[[^\]]+\] )?(?:the |final |first |second |last |turn \d+:? )*(?:answer|response|output|model|assistant|text|reply|image|vision|tool|thinking|prompt cach\w+|structured output|result|citations?|usage|cache\w*|count tokens)\b.{0,80}(?:\bnot\b|n't\b|never|missing|empty|lacks?|no longer|without|instead of|\bzero\b|=0\b|\b(?:none|null)\b)",
        ])
        .unless(&[
            r"model\W.{0,60}not found",
            r#"error|exception|timed out|timeout|\b[45]\d\d\b|litellm|[{}]|connection|stream (?:ended|closed)"#,
            r"exist|available|supported|permitted|allowed|access|accept|must|overload|invalid|blank|valid\b|too long|credit|quota",
        ])
        .why("the text is about the model's answer and has no error")
        .next("compare the expectation with the transcript; run the trial again to rule out chance")
        .example("the answer did not follow the schema"),
];
