//! Diagnostics of the form of a cell: keys, types, names.

use crate::support::cell::{GOOD, and, assert_found, diagnostics, found, with};

#[test]
fn a_valid_cell_has_no_diagnostics() {
    assert_eq!(found(GOOD), "");
}

#[test]
fn mistakes_of_form_are_explained() {
    let cases: Vec<(&str, String, &[&str])> = vec![
        (
            "an unknown key",
            and("timeout: 5\n"),
            &[
                "7:1 timeout",
                "unknown key `timeout`",
                "did you mean `timeout_seconds`?",
                "allowed: `not_applicable`",
            ],
        ),
        (
            "a tier that the manifest does not have",
            and("not_on: { haiko: It has none. }\n"),
            &["7:11 not_on.haiko", "no tier `haiko`", "did you mean `haiku`?"],
        ),
        (
            "an empty reason for a tier",
            and("not_on: { haiku: \" \" }\n"),
            &["not_on.haiku", "the reason is empty"],
        ),
        (
            "a reason for a tier without a source",
            and("not_on: { haiku: It has none. }\n"),
            &[
                "7:18 not_on.haiku",
                "the reason names no source",
                "add an https address or a page of `docs/`",
            ],
        ),
        (
            "no tier is left",
            and("not_on: { v0: No (docs/a.md)., current: No (docs/a.md). }\n"),
            &["not_on", "no tier is left"],
        ),
        (
            "a repeated text beyond all bounds",
            with(
                "prompt: Say pong",
                "prompts: [[{ repeat: { text: heron heron heron heron, times: 1000000 } }]]",
            ),
            &[
                "times",
                "the whole text has 23000000 bytes",
                "at most 16000000 bytes",
            ],
        ),
        (
            "a reply for a command that needs none",
            with("prompt: Say pong", "prompts: [[{ text: /effort low }]]"),
            &["no request gets this reply"],
        ),
        (
            "an unknown kind",
            with("text: { contains", "txt: { contains"),
            &[
                "6:5 expect.reply.txt",
                "unknown key `txt`",
                "did you mean `text`?",
            ],
        ),
        (
            "a misspelt kind, which is one fault",
            and("  r:\n    txt: { contains: pong }\n"),
            &["unknown key `txt`", "did you mean `text`?"],
        ),
        (
            "an unknown condition",
            with("contains:", "contain:"),
            &["6:13 expect.reply.text.contain", "did you mean `contains`?"],
        ),
        (
            "a number for a text",
            with("contains: pong", "contains: 42"),
            &[
                "6:23",
                "expected a text",
                "found: the number `42`",
                "quote it to make it a text: `\"42\"`",
            ],
        ),
        (
            "a text for a matcher",
            with("text: { contains: pong }", "text: pong"),
            &[
                "6:11 expect.reply.text",
                "expected a map",
                "found: the text `pong`",
                "{ equals: … }",
            ],
        ),
        (
            "a text for a number",
            and("timeout_seconds: \"60\"\n"),
            &["7:18", "expected a whole number", "write it without quotes: `60`"],
        ),
        (
            "a text for a boolean",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n    pace: { lockstep: \"yes\" }",
            ),
            &["expected `true` or `false`", "write `true`"],
        ),
        (
            "a text for a list",
            and("flags: --effort\n"),
            &["7:8 flags", "expected a list", "write it as a list"],
        ),
        (
            "nothing for a value",
            with("prompt: Say pong", "prompt:"),
            &[
                "1:1 prompt",
                "expected a text",
                "found: nothing",
                "write a value, or remove the key",
            ],
        ),
        (
            "a number out of range",
            and("timeout_seconds: 0\n"),
            &["7:18", "out of range", "allowed: 1 to 900"],
        ),
        (
            "an empty list",
            with("[{ text: pong }]", "[]"),
            &["3:5 replies[0].content", "the list is empty"],
        ),
        (
            "an empty matcher",
            with("{ contains: pong }", "{}"),
            &[
                "6:5 expect.reply.text",
                "no condition is given, so this could never fail",
                "`equals`",
            ],
        ),
        (
            "an empty text",
            with("contains: pong", "contains: \"\""),
            &["6:23", "the text is empty"],
        ),
        (
            "no expectations",
            with("\n  reply:\n    text: { contains: pong }", " {}"),
            &["4:1 expect", "nothing is expected"],
        ),
        (
            "two kinds",
            and("    exit: 0\n"),
            &[
                "5:3 expect.reply",
                "the expectation has more than one kind",
                "found: `text`, `exit`",
            ],
        ),
        (
            "no kind",
            with("text: { contains: pong }", "tiers: [haiku]"),
            &["5:3 expect.reply", "the expectation has no kind"],
        ),
        (
            "a bad name",
            with("  reply:", "  The Reply:"),
            &[
                "5:3 expect[\"The Reply\"]",
                "`The Reply` is not a name for an expectation",
            ],
        ),
        (
            "a bad name of a server",
            and("mcp_servers: { The Library: [{ name: a, description: a, result: a }] }\n"),
            &[
                "`The Library` is not a name for a server",
                "digits and `-`",
                "write `the-library`",
            ],
        ),
        (
            "a bad name of a rule",
            and("refusals: { Known Betas: Why. }\n"),
            &[
                "`Known Betas` is not a name for a rule of a provider",
                "write `known_betas`",
            ],
        ),
        (
            "a name in another form",
            with("  reply:", "  Right reply:"),
            &["5:3", "is not a name for an expectation", "write `right_reply`"],
        ),
        (
            "expectations as a list",
            GOOD.split("expect:").next().unwrap().to_owned() + "expect:\n  - x\n",
            &["expected a map", "give each entry a name: `name: …`"],
        ),
        (
            "an unknown route",
            and("  r:\n    request: { turn: 1, route: bedrock }\n"),
            &[
                "8:32",
                "the text `bedrock` is not known here",
                "`bedrock_converse`",
                "did you mean `bedrock_",
            ],
        ),
        (
            "a bad turn",
            and("  r:\n    request: { turn: evry, stream: true }\n"),
            &[
                "8:22",
                "expected a number from 1, `every` or `last`",
                "did you mean `every`?",
            ],
        ),
        (
            "a turn of 0",
            and("  r:\n    request: { turn: 0, stream: true }\n"),
            &["8:22", "out of range", "a number from 1, `every` or `last`"],
        ),
        (
            "a missing turn",
            and("  r:\n    request: { stream: true }\n"),
            &["8:5 expect.r.request", "`turn` is missing", "a number from 1"],
        ),
        (
            "two things in a block",
            with("{ text: pong }", "{ text: pong, thinking: hm }"),
            &[
                "replies[0].content[0]",
                "the block is more than one thing",
                "make one block of each",
            ],
        ),
        (
            "an environment value that is a number",
            and("env: { MAX_THINKING_TOKENS: 4096 }\n"),
            &[
                "7:29 env.MAX_THINKING_TOKENS",
                "quote it to make it a text: `\"4096\"`",
            ],
        ),
        (
            "not applicable and a test",
            and("not_applicable: because\n"),
            &["1:1 prompt", "`prompt` contradicts `not_applicable`"],
        ),
        (
            "a reason without a source",
            "not_applicable: \"It is gone: https://…\"\n".to_owned(),
            &["1:17 not_applicable", "the reason names no source"],
        ),
        (
            "an empty reason",
            "not_applicable: \"\"\n".to_owned(),
            &["1:17 not_applicable", "the text is empty"],
        ),
    ];
    assert_found(&cases);
}

#[test]
fn one_mistake_gives_one_diagnostic() {
    let one = |text: String| assert_eq!(diagnostics(None, text.as_bytes()).len(), 1, "{}", found(&text));
    one(with("contains:", "contain:"));
    one(with("text: pong", "txt: pong"));
    one(with("prompt: Say pong", "prompt:"));
    one(with("text: { contains: pong }", "text: pong"));
    one(and("timeout_seconds: soon\n"));
    one(and("  t:\n    event: { pth: $, value: { equals: 1 } }\n"));
    one(with("prompt: Say pong", "prompts: [[{ image: red.png }]]")
        .replace("text: pong", "text: \"${image_colour}\""));
    one(with("prompt: Say pong", "prompts: [[{ img: _red.png }]]")
        .replace("text: pong", "text: \"${image_colour}\""));
}

#[test]
fn mistakes_of_form_and_of_meaning_are_found_together() {
    let text = and("timeout: 5\nflags: [--efort]\n").replace("contains: pong", "matches: '('")
        + "env: { HOME: x }\n";
    assert_lines(
        &found(&text),
        &[
            "6:23 expect.reply.text.matches",
            "7:1 timeout",
            "8:9 flags[0]",
            "9:8 env.HOME",
        ],
    );
}

/// That `text` has a line for each of `wanted`, in order, and no other.
fn assert_lines(text: &str, wanted: &[&str]) {
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), wanted.len(), "{text}");
    for (line, wanted) in lines.iter().zip(wanted) {
        assert!(line.contains(wanted), "`{line}` lacks `{wanted}`");
    }
}
