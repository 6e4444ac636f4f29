//! Diagnostics of prompts, replies and attachments.

use crate::support::cell::{and, assert_found, found, with};

#[test]
fn mistakes_in_prompts_and_replies_are_explained() {
    let cases: Vec<(&str, String, &[&str])> = vec![
        (
            "no prompt",
            with("prompt: Say pong\n", ""),
            &[
                "the cell has no prompt for Claude Code",
                "in `_shared.yaml` or in the provider's own file",
            ],
        ),
        (
            "both prompts",
            and("prompts: [[{ text: a }]]\n"),
            &["7:1 prompts", "contradict each other", "`prompt` is here: 1:1"],
        ),
        (
            "no replies",
            with("replies:\n  - content: [{ text: pong }]\n", ""),
            &["the simulated provider has no reply"],
        ),
        (
            "an empty prompt",
            with("Say pong", "\" \""),
            &["1:9 prompt", "the text is empty"],
        ),
        (
            "an unknown placeholder",
            with("[{ text: pong }]", "[{ text: \"${tool_reslt}\" }]"),
            &[
                "unknown placeholder `${tool_reslt}`",
                "did you mean `${tool_result}`?",
            ],
        ),
        (
            "a placeholder without tool",
            with("[{ text: pong }]", "[{ text: \"${tool_result}\" }]"),
            &["no earlier reply calls a tool"],
        ),
        (
            "a placeholder without image",
            with("[{ text: pong }]", "[{ text: \"${image_colour}\" }]"),
            &["no prompt has an image"],
        ),
        (
            "a placeholder in a matcher",
            with("contains: pong", "contains: \"${tool_result}\""),
            &["stands for something only in a reply's text"],
        ),
        (
            "a direct request without reply",
            and("direct: { max_tokens: 1, messages: [{ role: user, content: a }] }\n  \n")
                .replace("expect:\n", "expect:\n  d: { direct_reply: {} }\n"),
            &["2:1 replies", "`direct` has no reply"],
        ),
        (
            "a direct request without an expectation",
            and("direct: { max_tokens: 1, messages: [{ role: user, content: a }] }\n").replace(
                "  - content: [{ text: pong }]\n",
                "  - content: [{ text: pong }]\n  - content: [{ text: pong }]\n",
            ),
            &["nothing judges the answer to `direct`"],
        ),
        (
            "a direct request with model",
            and("direct: { model: x, messages: [{ role: user, content: a }] }\n"),
            &["7:11 direct.model", "the model is the trial's alias"],
        ),
        (
            "a direct request that streams",
            and("direct: { stream: true, messages: [{ role: user, content: a }] }\n"),
            &["is not streamed"],
        ),
        (
            "a reply too many",
            with(
                "  - content: [{ text: pong }]\n",
                "  - content: [{ text: pong }]\n  - content: [{ text: ping }]\n",
            ),
            &["4:", "replies[1]", "no request gets this reply"],
        ),
        (
            "a tool call at the end",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n  - content: [{ tool_use: { name: Bash, input: {} } }]",
            ),
            &["the last reply calls a tool and nothing answers its result"],
        ),
        (
            "an error with content",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n    error: { status: 500, message: refused }",
            ),
            &["`error` and `content` contradict each other"],
        ),
        (
            "an error with pace",
            with(
                "content: [{ text: pong }]",
                "error: { status: 500, message: refused }\n    pace: { lockstep: true }",
            ),
            &["an error has no `pace`"],
        ),
        (
            "a status that is no error",
            with(
                "content: [{ text: pong }]",
                "error: { status: 200, message: refused }",
            ),
            &["out of range", "400 to 599"],
        ),
        (
            "a missing image",
            with("prompt: Say pong", "prompts: [[{ image: _blue.png }]]"),
            &[
                "1:21 prompts[0][0].image",
                "`_blue.png` cannot be read: there is no such file",
            ],
        ),
        (
            "an image elsewhere",
            with("prompt: Say pong", "prompts: [[{ image: ../_red.png }]]"),
            &["not a file of the feature's folder"],
        ),
        (
            "an image named like a cell",
            with("prompt: Say pong", "prompts: [[{ image: red.png }]]"),
            &["begins with `_`"],
        ),
        (
            "an image of an unknown kind",
            with("prompt: Say pong", "prompts: [[{ image: _red.bmp }]]"),
            &["the ending of `_red.bmp` is not allowed here", "`png`, `jpg`"],
        ),
        (
            "an image that is another",
            with("prompt: Say pong", "prompts: [[{ image: _red.jpg }]]"),
            &["does not contain `image/jpeg`"],
        ),
        (
            "a document that is none",
            with("prompt: Say pong", "prompts: [[{ document: _red.pdf }]]"),
            &["does not contain `application/pdf`"],
        ),
        (
            "a file of an unknown kind",
            and("files: [_notes.txt]\n"),
            &[
                "7:9 files[0]",
                "the ending of `_notes.txt` is not allowed here",
                "`pdf`",
            ],
        ),
        (
            "a result of a tool without arguments",
            and("mcp_servers: { library: [{ name: a, description: b, result: \"${title}\" }] }\n"),
            &[
                "mcp_servers.library[0].result",
                "the tool has no argument `title`",
                "name it in the `properties` of `input_schema`",
            ],
        ),
    ];
    assert_found(&cases);
}

#[test]
fn mistakes_in_errors_time_and_askers_are_explained() {
    let reply = |more: &str| with("[{ text: pong }]", &format!("[{{ text: pong }}]\n    {more}"));
    let block = |block: &str| with("[{ text: pong }]", &format!("[{block}]"));
    let cases: Vec<(&str, String, &[&str])> = vec![
        (
            "a header in upper case",
            reply("headers: { Retry-After: \"1\" }"),
            &[
                "4:16 replies[0].headers.Retry-After",
                "is not a header's name in lower case",
            ],
        ),
        (
            "a header of the connection",
            reply("headers: { content-length: \"1\" }"),
            &["the connection decides `content-length`", "remove it"],
        ),
        (
            "a header with a line break",
            reply("headers: { x-a: \"a\\nb\" }"),
            &["the value has characters that no header may have"],
        ),
        (
            "a number as a header",
            reply("headers: { retry-after: 1 }"),
            &["replies[0].headers.retry-after", "expected a text"],
        ),
        (
            "no interruption",
            reply("interrupt: { after_deltas: 2 }"),
            &[
                "4:5 replies[0].interrupt",
                "a reply is interrupted in exactly one way",
                "`cut: true`",
            ],
        ),
        (
            "two interruptions",
            reply("interrupt: { cut: true, error: { type: api_error, message: refused } }"),
            &["a reply is interrupted in exactly one way"],
        ),
        (
            "an error with an interruption",
            with(
                "content: [{ text: pong }]",
                "error: { status: 500, message: refused }\n    interrupt: { cut: true }",
            ),
            &["an error has no `interrupt`"],
        ),
        (
            "pieces in lockstep",
            reply("pace: { lockstep: true }\n    framing: { piece_bytes: 7 }"),
            &["5:29 replies[0].framing.piece_bytes", "contradict each other"],
        ),
        (
            "a silence without length",
            reply("pace: { silence: { pings: 2 } }"),
            &["replies[0].pace.silence", "`ms`"],
        ),
        (
            "an unknown line end",
            reply("framing: { line_end: crfl }"),
            &["replies[0].framing.line_end", "`crlf`"],
        ),
        (
            "a stop sequence without its reason",
            reply("stop_sequence: END"),
            &[
                "only a message that ends for a stop sequence names one",
                "write `stop_reason: stop_sequence`",
            ],
        ),
        (
            "a verdict on a call that is not there",
            reply("safeguard_results: [{ \"${call_1}\": allow }]"),
            &["`${call_1}` has no value: the reply has 0 tool calls"],
        ),
        (
            "an asker without condition",
            reply("asker: {}"),
            &["replies[0].asker"],
        ),
        (
            "redacted thinking without words",
            block("{ redacted_thinking: \" \" }"),
            &["replies[0].content[0].redacted_thinking"],
        ),
        (
            "a result without a call",
            block("{ server_tool_result: { type: web_search_tool_result } }"),
            &["no `server_tool_use` stands before this result"],
        ),
        (
            "a result of no type",
            block("{ server_tool_use: { name: a, input: {} } }, { server_tool_result: { type: text } }"),
            &[
                "the result has no `type` of a tool's result",
                "`web_search_tool_result`",
            ],
        ),
        (
            "a result with an id",
            block(
                "{ server_tool_use: { name: a, input: {} } }, { server_tool_result: { type: a_tool_result, tool_use_id: x } }",
            ),
            &["the simulator sets `tool_use_id`"],
        ),
    ];
    assert_found(&cases);
    let good = [
        reply("headers: { retry-after: \"1\" }\n    interrupt: { after_deltas: 1, cut: true }"),
        reply(
            "pace: { silence: { after_deltas: 1, ms: 10, pings: 2 } }\n    framing: { line_end: cr, comments: true }",
        ),
        reply("asker: { subagent: false, model: haiku }"),
        reply("stop_reason: stop_sequence\n    stop_sequence: END"),
    ];
    for cell in good {
        assert_eq!(found(&cell), "", "{cell}");
    }
}

/// With `--json-schema`, a call of the tool `StructuredOutput` ends the run.
#[test]
fn with_a_json_schema_the_last_reply_may_be_a_tool_call() {
    let call = "replies:\n  - content: [{ tool_use: { name: StructuredOutput, input: { word: pong } } }]\n";
    let cell =
        with("replies:\n  - content: [{ text: pong }]\n", call) + "  one:\n    requests: { count: 1 }\n";
    let flags = "flags: [--json-schema, '{}']\n";
    assert_eq!(found(&(cell.clone() + flags)), "");
    assert!(found(&cell).contains("no request offers the tool `StructuredOutput` without `--json-schema`"));
    let refused = cell.clone() + "flags: [--json-schema, '{\"required\": [\"other\"]}']\n";
    assert!(found(&refused).contains("the schema of `--json-schema` refuses this call"));
    let other = cell.replace("StructuredOutput", "Bash") + flags;
    assert!(found(&other).contains("never gets a final answer"));
    let twice = cell.replacen(
        "  - content",
        "  - content: [{ tool_use: { name: StructuredOutput, input: {} } }]\n  - content",
        1,
    );
    let twice = twice.replace("count: 1", "count: 2") + flags;
    assert_eq!(found(&twice), "");
}
