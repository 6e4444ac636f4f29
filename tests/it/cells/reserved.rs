//! Diagnostics of the flags and variables that a cell sets for Claude Code.

use crate::support::cell::{and, assert_found};

#[test]
fn mistakes_in_flags_and_variables_are_explained() {
    let cases: Vec<(&str, String, &[&str])> = vec![
        (
            "a flag twice",
            and("flags: [--effort, high, --effort, low]\n"),
            &["7:25 flags[2]", "`--effort` is there twice"],
        ),
        (
            "a value that a flag does not take",
            and("flags: [--permission-mode, dontask]\n"),
            &[
                "7:28 flags[1]",
                "does not take `dontask`",
                "did you mean `dontAsk`?",
            ],
        ),
        (
            "two flags in one",
            and("flags: [--effort high]\n"),
            &["7:9 flags[0]", "write each word as one entry"],
        ),
        (
            "two words in one entry",
            and("flags: [\"--effort high\"]\n"),
            &["write each word as one entry"],
        ),
        (
            "a flag of the harness",
            and("flags: [--output-format, json]\n"),
            &["7:9 flags[0]", "the harness sets `--output-format` itself"],
        ),
        (
            "a flag of the harness, inline",
            and("flags: [--model=opus]\n"),
            &["the harness sets `--model` itself"],
        ),
        (
            "a flag that skips permissions",
            and("flags: [--dangerously-skip-permissions]\n"),
            &["skips permission rules", "--allowed-tools"],
        ),
        (
            "a mode that skips permissions",
            and("flags: [--permission-mode, bypassPermissions]\n"),
            &["skips permission rules"],
        ),
        (
            "an unknown flag",
            and("flags: [--efort, high]\n"),
            &[
                "`claude` has no flag `--efort`",
                "allowed: `--add-dir`",
                "did you mean `--effort`?",
            ],
        ),
        (
            "a stray word",
            and("flags: [high]\n"),
            &["neither a flag nor the value of one"],
        ),
        (
            "a flag without value",
            and("flags: [--effort]\n"),
            &["`--effort` lacks its value"],
        ),
        (
            "a variable with a space",
            and("env: { MY VAR: x }\n"),
            &["is not a name of a variable", "letters, digits and `_`"],
        ),
        (
            "a variable's name",
            and("env: { \"A B\": x }\n"),
            &["not a name of a variable"],
        ),
        (
            "a credential",
            and("env: { ANTHROPIC_API_KEY: x }\n"),
            &["7:8 env.ANTHROPIC_API_KEY", "cells contain none"],
        ),
        (
            "a base address",
            and("env: { ANTHROPIC_BASE_URL: x }\n"),
            &["past the gateway under test"],
        ),
        (
            "a variable of the harness",
            and("env: { HOME: x }\n"),
            &["the harness sets it itself"],
        ),
    ];
    assert_found(&cases);
}
