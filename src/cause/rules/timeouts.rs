//! No error in the text: timeouts, broken promises, unknown texts.

use super::{CauseRule, GUESS, LIKELY, NOTHING, PLAUSIBLE, rule};
use crate::outcome::Cause::{Assertion, Cli, Gateway, Harness};

pub(super) const RULES: &[CauseRule] = &[
    rule("harness_timeout", Harness, LIKELY)
        .says(&[r"timed? ?out|time limit|deadline (?:exceeded|reached)|no output for \d+|killed after"])
        .why("the harness stopped waiting, and the text has no earlier error")
        .next("find the reason in the transcript's retries and the gateway's log; run again with claude's retries off")
        .example("[claude-haiku-4-5-vertex] claude CLI timed out after 120.0s"),
    rule("cli_exited_silently", Cli, GUESS)
        .says(&[
            r"no diagnostic output",
            r"claude (?:CLI )?(?:failed|exited|ended):? ?(?:with )?(?:exit|code|status)\W{0,3}\d+(?:; text=)?\W*$",
        ])
        .why("Claude Code exited without a message")
        .next("see the transcript and standard error of the trial; run it again with `--debug`")
        .example("[m] claude CLI failed: exit=1; text="),
    rule("error_unknown", Gateway, GUESS)
        .says(&[
            r"\b(?:invalid|malformed|unsupported|unknown|unhandled|unable to|could not|couldn't|failed to|failure|cannot|can't)\b",
            r"\bmust (?:be|have|include|contain|not|configure)\b|\brequires? an?\b|\bis required\b|not (?:yet )?(?:implemented|supported)|not an instance of|\w(?:Error|Exception)\b",
        ])
        .unless(&[r"\b(?:expected|did not|didn't|never)\b"])
        .why("generic error text, attributed to the gateway, which is nearest to claude in a trial")
        .next("search for this text in the gateway's log, then in its source and in the provider's documentation")
        .example("the payload cannot be forwarded"),
    rule("promise_not_kept", Assertion, PLAUSIBLE)
        .says(&[
            r"empty (?:assistant )?(?:text|response|reply|answer|message|output)|no (?:assistant )?(?:text|reply|answer|output)",
            r"expected|\bassert|did not|does not|didn't|doesn't|was not|were not|wasn't|mismatch|not found in|never ",
            r"\bno \w+(?: \w+){0,3} (?:was|were|in|from|block|blocks|call|calls|events?|seen|found|returned)",
            r"missing|without|instead of|\b0 (?:tool|thinking|cache)|lacks",
        ])
        .why("the feature did not work, and the text proves no fault")
        .next("compare the expectation with the transcript and with other trials of the provider; run again to rule out chance")
        .example("[claude-haiku-4-5-bedrock-invoke] 4 deltas expected in the second turn, 1 seen"),
    rule("no_rule_matches", Assertion, NOTHING)
        .why("no rule matches this message, so no fault is proven")
        .next("read the trial's evidence; if the message has a known shape, add a rule with this example"),
];
