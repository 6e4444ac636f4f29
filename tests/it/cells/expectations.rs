//! Diagnostics of expectations that could never hold, never fail or never be judged.

use crate::support::cell::{GOOD, and, assert_found, with};

#[test]
fn mistakes_in_expectations_are_explained() {
    let tool = "replies:\n  - content: [{ tool_use: { name: Bash, input: { command: ls } } }]\n  - content: [{ text: pong }]\n";
    let with_tool = with("replies:\n  - content: [{ text: pong }]\n", tool);
    let cases: Vec<(&str, String, &[&str])> = vec![
        (
            "no expect",
            with("expect:\n  reply:\n    text: { contains: pong }\n", ""),
            &["the cell expects nothing, so it could never fail"],
        ),
        (
            "an unknown tier",
            and("    tiers: [hiaku]\n"),
            &[
                "7:13 expect.reply.tiers[0]",
                "the manifest has no tier `hiaku`",
                "did you mean `haiku`?",
            ],
        ),
        (
            "a tier without expectation",
            and("    tiers: [haiku]\n"),
            &["4:1 expect", "nothing is expected on the tiers `sonnet`, `opus`"],
        ),
        (
            "only one side",
            with("text: { contains: pong }", "requests: { count: 1 }"),
            &[
                "4:1 expect",
                "nothing could be judged in a live run of the tiers `haiku`, `sonnet`, `opus`",
            ],
        ),
        (
            "no expectation of its own",
            GOOD.split("expect:").next().unwrap_or_default().to_owned(),
            &["1:1", "the cell expects nothing, so it could never fail"],
        ),
        (
            "a direct request without a message",
            and("direct: { messages: [] }\n"),
            &["7:11 direct.messages", "the list is empty"],
        ),
        (
            "a flag in another case",
            and("flags: [--allowedtools, Read]\n"),
            &["no flag `--allowedtools`", "did you mean `--allowed-tools`?"],
        ),
        (
            "a reply head without a condition",
            and("  head:\n    reply_head: { turn: 1 }\n"),
            &[
                "8:5 expect.head.reply_head",
                "no condition is given",
                "`status`, `headers`",
            ],
        ),
        (
            "a header of a reply in upper case",
            and("  head:\n    reply_head: { turn: 1, headers: { Retry-After: { equals: \"1\" } } }\n"),
            &["is not a header's name in lower case", "write `retry-after`"],
        ),
        (
            "attempts without a number",
            and("  once:\n    attempts: { turn: 1 }\n"),
            &["expect.once.attempts", "`count`"],
        ),
        (
            "a request that is a message",
            and("  list:\n    gateway_request: { path: /v1/messages }\n"),
            &[
                "this is the path of Messages requests",
                "use `request` or `reply_head`",
            ],
        ),
        (
            "a path with a query",
            and("  list:\n    gateway_request: { path: \"/v1/models?limit=1\" }\n"),
            &["is not a path without a query"],
        ),
        (
            "a prefix of one request",
            and("  prefix:\n    prefix_stable: {}\n"),
            &["there is no request after request 1"],
        ),
        (
            "a call that is not there",
            with_tool.clone() + "  second:\n    tool_result: { name: Bash, call: 2 }\n",
            &["there is no call 2 of `Bash`"],
        ),
        (
            "a bad regex",
            with("contains: pong", "matches: '(pong'"),
            &[
                "6:23 expect.reply.text.matches",
                "not a regular expression: unclosed group",
                "needs a `\\` before it",
            ],
        ),
        (
            "a bad regex with an escape",
            with("contains: pong", "matches: \"\\u0028pong\""),
            &["6:22 expect.reply.text.matches", "unclosed group"],
        ),
        (
            "a look-around",
            with("contains: pong", "matches: 'p(?=ong)'"),
            &["6:24", "look-around", "`contains` and `not_contains`"],
        ),
        (
            "a regex that matches all",
            with("contains: pong", "matches: 'x*'"),
            &["6:22", "matches every text, so it could never fail"],
        ),
        (
            "a bad JSONPath",
            and("  e:\n    event: { path: \"$[?\", value: { equals: 1 } }\n"),
            &["8:20 expect.e.event.path", "not a JSONPath"],
        ),
        (
            "a JSONPath without root",
            and("  r:\n    request: { turn: 1, body: { thinking.type: { equals: enabled } } }\n"),
            &[
                "8:33",
                "not a JSONPath",
                "it does not begin with `$`",
                "write `$.thinking.type`",
            ],
        ),
        (
            "a single sign of equality in a JSONPath",
            and("  e:\n    event: { path: \"$[?@.type = 'x']\", value: { equals: 1 } }\n"),
            &["8:31 expect.e.event.path", "values are compared by `==`"],
        ),
        (
            "a JSONPath for a header",
            and("  r:\n    request: { turn: 1, headers: { $.x-id: { exists: true } } }\n"),
            &["is a JSONPath, and headers go by their names", "write `x-id`"],
        ),
        (
            "a header in capitals",
            and("  r:\n    request: { turn: 1, headers: { X-Api-Key: { exists: true } } }\n"),
            &["8:36", "not a header's name in lower case", "write `x-api-key`"],
        ),
        (
            "a field that no provider knows",
            and("  r:\n    request: { turn: 1, body: { $.mesages: { exists: true } } }\n"),
            &[
                "8:33",
                "no request has the field `mesages`",
                "did you mean `messages`",
            ],
        ),
        (
            "a value that its own regular expression refuses",
            with("{ contains: pong }", "{ equals: pong, matches: ping }"),
            &["no value of `equals` fulfils the other conditions, so this could never hold"],
        ),
        (
            "a request without condition",
            and("  r:\n    request: { turn: 1 }\n"),
            &["8:5 expect.r.request", "no condition is given"],
        ),
        (
            "a count that cannot fail",
            and("  u:\n    usage: { counts: { input_tokens: { min: 0 } } }\n"),
            &["a count is never less than 0"],
        ),
        (
            "a count that cannot hold",
            and("  u:\n    usage: { counts: { input_tokens: { min: 3, max: 2 } } }\n"),
            &["no count is both at least 3 and at most 2"],
        ),
        (
            "exists with a value",
            with("{ contains: pong }", "{ exists: false, equals: x }"),
            &["a value that does not exist cannot be compared"],
        ),
        (
            "contains and not",
            with("{ contains: pong }", "{ contains: pong, not_contains: po }"),
            &["could never hold"],
        ),
        (
            "a tool that no reply calls",
            and("  r:\n    tool_call: { name: Bash }\n"),
            &[
                "no reply calls the tool `Bash`",
                "let a reply hold `tool_use: { name: Bash",
            ],
        ),
        (
            "a turn beyond the script",
            and("  r:\n    request: { turn: 3, stream: true }\n"),
            &[
                "8:22",
                "there is no request 3: the script has 1 reply",
                "allowed: 1, `every` or `last`",
            ],
        ),
        (
            "an answer beyond the script",
            and("  u:\n    usage: { turn: 2, counts: { output_tokens: { min: 1 } } }\n"),
            &["8:20", "there is no answer 2: Claude Code gets 1"],
        ),
        (
            "a field that no event has",
            and("  e:\n    event: { path: \"$[?@.is_eror == true]\", value: { exists: false } }\n"),
            &[
                "8:20 expect.e.event.path",
                "Claude Code prints no field `is_eror`",
                "did you mean `is_error`?",
                "write `['is_eror']`",
            ],
        ),
        (
            "a type that no event has",
            and("  e:\n    event: { path: \"$[?@.type == 'reslt'].result\", value: { exists: true } }\n"),
            &[
                "8:20 expect.e.event.path",
                "Claude Code prints nothing of the type `reslt`",
                "did you mean `result`?",
            ],
        ),
        (
            "the events of a prompt that the cell does not have",
            and("  e:\n    event: { path: $, prompt: 2, value: { equals: 1 } }\n"),
            &["8:31", "there is no prompt 2: the cell has 1", "allowed: 1"],
        ),
        (
            "a wrong number of requests",
            and("  r:\n    requests: { count: 2 }\n"),
            &[
                "8:24",
                "the script has 1 reply, so a correct run never makes 2 requests",
            ],
        ),
        (
            "another provider's route",
            and("  r:\n    request: { turn: 1, route: vertex_ai }\n"),
            &[
                "8:32",
                "only requests of `vertex_ai` cells take the route `vertex_ai`",
                "write `bedrock_invoke`",
            ],
        ),
        (
            "a clause with a slip",
            and("  c:\n    clause: llm-gateway-protcol\n    exit: 0\n"),
            &["8:13", "did you mean `llm-gateway-protocol`?"],
        ),
        (
            "an unknown clause",
            and("    clause: rfc-1\n"),
            &["7:13 expect.reply.clause", "no clause of the gateway contract"],
        ),
        (
            "a tool with a slip",
            with_tool.clone() + "  t:\n    tool_call: { name: Bsh }\n",
            &["no reply calls the tool `Bsh`", "did you mean `Bash`?"],
        ),
        (
            "a tool's result too early",
            with_tool.clone() + "  t:\n    tool_result_arrived: { turn: 1, name: Bash }\n",
            &["no reply calls the tool `Bash` before that request"],
        ),
        (
            "thinking without a thinking block",
            and("  t:\n    thinking: {}\n"),
            &["no reply holds a thinking block"],
        ),
        (
            "an image that no prompt has",
            and("  i:\n    image_arrived: { turn: 1 }\n"),
            &["neither `prompts` nor `files` has an image, so this could never be judged"],
        ),
        (
            "a stream without lockstep",
            and("  s:\n    stream: { incremental: true }\n"),
            &["no reply is sent in lockstep", "pace: { lockstep: true }"],
        ),
        (
            "a stream without condition",
            and("  s:\n    stream: { incremental: false }\n"),
            &["no condition is given"],
        ),
        (
            "a cache without condition",
            and("  c:\n    cache: { turn: 1 }\n"),
            &["no condition is given"],
        ),
        (
            "a read in the first request",
            and("  c:\n    cache: { turn: 1, read_tokens: 1 }\n"),
            &["the first request cannot read from the cache"],
        ),
        (
            "a judgement without direct request",
            and("  d:\n    direct_reply: {}\n"),
            &["the cell makes no direct request, so this could never be judged"],
        ),
    ];
    assert_found(&cases);
}
