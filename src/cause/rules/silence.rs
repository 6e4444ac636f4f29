//! No error at all: a timeout, a promise not kept, nothing known.
//!
//! Never looks at anything but the message.
#![warn(clippy::disallowed_methods)]

use super::When::{Always, Says};
use super::{LIKELY, NOTHING, PLAUSIBLE, Rule};
use crate::outcome::Cause::{Assertion, Harness};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "harness_timeout",
        cause: Harness,
        confidence: LIKELY,
        when: Says(&[r"timed? ?out|time limit|deadline (?:exceeded|reached)|no output for \d+|killed after"]),
        unless: &[],
        on: &[],
        why: "the harness stopped waiting, and the text names no error before that",
        next: "read the retries in the transcript and the gateway's log: the reason is there; run again with claude's retries off",
        example: "[claude-haiku-4-5-vertex] claude CLI timed out after 120.0s",
    },
    Rule {
        name: "promise_not_kept",
        cause: Assertion,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"empty (?:assistant )?(?:text|response|reply|answer|message|output)|no (?:assistant )?(?:text|reply|answer|output)",
            r"expected|\bassert|did not|does not|didn't|doesn't|was not|were not|wasn't|mismatch|not found in|never ",
            r"\bno \w+(?: \w+){0,3} (?:was|were|in|from|block|blocks|call|calls|events?|seen|found|returned)",
            r"missing|without|instead of|\b0 (?:tool|thinking|cache)|lacks",
        ]),
        unless: &[],
        on: &[],
        why: "the feature's promise was not kept, and the text proves no fault",
        next: "read the expectation and the transcript side by side, and the sibling trials of the column; run again to tell chance from fault",
        example: "[claude-haiku-4-5-bedrock-invoke] cache_read_input_tokens was not above 0 in the second turn",
    },
    Rule {
        name: "nothing_known",
        cause: Assertion,
        confidence: NOTHING,
        when: Always,
        unless: &[],
        on: &[],
        why: "no rule knows this message: no fault is proven",
        next: "read the trial's evidence; if the message has a shape of its own, add a rule for it with this example",
        example: "",
    },
];
