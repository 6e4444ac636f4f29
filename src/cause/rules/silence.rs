//! No error at all: a timeout, a promise not kept, nothing known.
//!
//! Never looks at anything but the message.
#![warn(clippy::disallowed_methods)]

use super::When::{Always, Says};
use super::{GUESS, LIKELY, NOTHING, PLAUSIBLE, Rule};
use crate::outcome::Cause::{Assertion, Cli, Gateway, Harness};

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
        name: "cli_ended_without_a_word",
        cause: Cli,
        confidence: GUESS,
        when: Says(&[
            r"no diagnostic output",
            r"claude (?:CLI )?(?:failed|exited|ended):? ?(?:with )?(?:exit|code|status)\W{0,3}\d+(?:; text=)?\W*$",
        ]),
        unless: &[],
        on: &[],
        why: "Claude Code ended with an exit status and without a word",
        next: "see the transcript and standard error of the trial; run it again with `--debug`",
        example: "[m] claude CLI failed: exit=1; text=",
    },
    Rule {
        name: "error_of_no_known_shape",
        cause: Gateway,
        confidence: GUESS,
        when: Says(&[
            r"\b(?:invalid|malformed|unsupported|unknown|unhandled|unable to|could not|couldn't|failed to|failure|cannot|can't)\b",
            r"\bmust (?:be|have|include|contain|not|configure)\b|\brequires? an?\b|\bis required\b|not (?:yet )?(?:implemented|supported)|not an instance of|\w(?:Error|Exception)\b",
        ]),
        unless: &[r"\b(?:expected|did not|didn't|never)\b"],
        on: &[],
        why: "a program refused or failed, in words that are nobody's in particular: in a trial it is the gateway's first",
        next: "find these words in the gateway's log, then in its source and in the provider's documentation",
        example: "the payload cannot be forwarded",
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
        example: "[claude-haiku-4-5-bedrock-invoke] 4 deltas expected in the second turn, 1 seen",
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
