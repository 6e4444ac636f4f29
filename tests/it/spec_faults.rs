//! What an author reads when something is wrong: for each mistake its place, its message and the way out.

use compat_matrix::cells::{Layer, Layers, Manifest, resolve};
use std::path::Path;

use compat_matrix::document::Diagnostic;
use compat_matrix::document::render::{self, Format};
use compat_matrix::ids::{CellId, FeatureId, ProviderId};

const MANIFEST: &str = include_str!("../../manifest.yaml");
const RED: &[u8] = include_bytes!("../../cells/vision/_red.png");

fn manifest() -> Manifest {
    Manifest::parse(Path::new("manifest.yaml"), MANIFEST.as_bytes())
        .expect("the project's manifest has no faults")
}

pub fn faults_of(shared: Option<&str>, own: &[u8]) -> Vec<Diagnostic> {
    let id = CellId {
        feature: FeatureId::new("tool_use"),
        provider: ProviderId::new("bedrock_invoke"),
    };
    let shared = shared.map(|text| Layer::shared(Path::new("_shared.yaml"), text.as_bytes()));
    let attachments = |file: &Path| match file.to_str() {
        Some("_red.png" | "_red.jpg" | "_red.pdf") => Ok(RED.to_vec()),
        _ => Err("there is no such file in the feature's folder".to_owned()),
    };
    let layers = match &shared {
        Some(Err(faults)) => Err(&faults[..]),
        Some(Ok(feature)) => Ok(Layers {
            feature: Some(feature),
            ..Layers::default()
        }),
        None => Ok(Layers::default()),
    };
    let own = Some((Path::new("cell.yaml"), own));
    resolve::cell(&id, layers, own, &manifest(), &attachments)
        .err()
        .unwrap_or_default()
}

/// One fault a line, `line:column path: message | found | allowed | hint`.
pub fn brief(faults: &[Diagnostic]) -> String {
    let line = |fault: &Diagnostic| {
        let mut text = format!(
            "{} {}:{} {}: {}",
            fault.place.file.display(),
            fault.place.line,
            fault.place.column,
            fault.path,
            fault.message
        );
        for (name, detail) in [
            ("found", &fault.found),
            ("allowed", &fault.allowed),
            ("hint", &fault.hint),
        ] {
            if let Some(detail) = detail {
                text.push_str(&format!(" | {name}: {detail}"));
            }
        }
        for (place, what) in &fault.related {
            text.push_str(&format!(" | {what}: {}:{}", place.line, place.column));
        }
        text
    };
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A cell without faults, on lines 1 to 6.
pub const GOOD: &str = "prompt: Say pong\nreplies:\n  - content: [{ text: pong }]\nexpect:\n  reply:\n    text: { contains: pong }\n";

/// The good cell with `from` replaced by `to`.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "the good cell has no `{from}`");
    GOOD.replacen(from, to, 1)
}

/// The good cell with `more` after it.
pub fn and(more: &str) -> String {
    format!("{GOOD}{more}")
}

#[test]
fn a_good_cell_has_no_faults() {
    assert_eq!(brief(&faults_of(None, GOOD.as_bytes())), "");
}

#[test]
fn each_mistake_is_named_where_it_stands_with_the_way_out() {
    let tool = "replies:\n  - content: [{ tool_use: { name: Bash, input: { command: ls } } }]\n  - content: [{ text: pong }]\n";
    let with_tool = with("replies:\n  - content: [{ text: pong }]\n", tool);
    let cases: Vec<(&str, String, &[&str])> = vec![
        // YAML
        (
            "an unclosed quote",
            with("Say pong", "\"Say pong"),
            &["this is not YAML", "a quote is not closed"],
        ),
        (
            "a colon in plain text",
            with("Say pong", "Say: pong"),
            &["cell.yaml 1:12", "this is not YAML"],
        ),
        (
            "a tab",
            and("\tflags: []\n"),
            &["7:2", "a tab in the indentation", "indent by spaces"],
        ),
        (
            "a key twice",
            and("prompt: again\n"),
            &[
                "7:1",
                "the key `prompt` is there twice",
                "it stands here already: 1:1",
            ],
        ),
        (
            "a name twice",
            and("  reply:\n    exit: 0\n"),
            &["7:3", "the key `reply` is there twice", "5:3"],
        ),
        (
            "a second document",
            and("---\nprompt: x\n"),
            &["7:1", "a second document begins here", "remove `---`"],
        ),
        ("a tag", with("Say pong", "!secret pong"), &["1:", "a YAML tag"]),
        (
            "a merge key",
            and("<<: { flags: [] }\n"),
            &["7:1", "merge keys (`<<`) are not read", "_shared.yaml"],
        ),
        (
            "a key that is a number",
            and("5: x\n"),
            &["7:1", "a key must be a text", "quote it: `\"5\"`"],
        ),
        (
            "a key that is a list",
            and("[a]: x\n"),
            &["7:1", "a list or map as a key"],
        ),
        (
            "yes without quotes",
            with("contains: pong", "contains: yes"),
            &[
                "6:23",
                "`yes` is a boolean to some YAML readers",
                "write `true` for the boolean, or `\"yes\"` for the text",
            ],
        ),
        (
            "an empty file",
            String::new(),
            &["cell.yaml 0:0", "the file is empty"],
        ),
        ("only comments", "# nothing\n".to_owned(), &["the file is empty"]),
        (
            "a list as file",
            "- a\n".to_owned(),
            &["1:1", "expected a map", "found: a list"],
        ),
        (
            "an alias of nothing",
            with("Say pong", "*nowhere"),
            &["1:9", "this is not YAML"],
        ),
        // Form
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
            "an unknown kind",
            with("text: { contains", "txt: { contains"),
            &[
                "6:5 expect.reply.txt",
                "unknown key `txt`",
                "did you mean `text`?",
            ],
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
            &["5:3 expect.reply", "does not say what must hold"],
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
        // Meaning
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
            &[
                "7:1 prompts",
                "contradict each other",
                "`prompt` stands here: 1:1",
            ],
        ),
        (
            "no replies",
            with("replies:\n  - content: [{ text: pong }]\n", ""),
            &["the simulated provider has no reply"],
        ),
        (
            "no expect",
            with("expect:\n  reply:\n    text: { contains: pong }\n", ""),
            &["the cell expects nothing, so it could never fail"],
        ),
        (
            "an empty prompt",
            with("Say pong", "\" \""),
            &["1:9 prompt", "the text is empty"],
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
            "a bad regex",
            with("contains: pong", "matches: '(pong'"),
            &[
                "6:23 expect.reply.text.matches",
                "not a regular expression: unclosed group",
                "needs a `\\` before it",
            ],
        ),
        (
            "a bad regex that is not written as it is",
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
            "a header in capitals",
            and("  r:\n    request: { turn: 1, headers: { X-Api-Key: { exists: true } } }\n"),
            &["8:36", "not a header's name in lower case", "write `x-api-key`"],
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
            "expectations as a list",
            and("known_failures:\n  - x\n"),
            &["expected a map", "give each entry a name of its own"],
        ),
        (
            "a misspelt kind, which is one fault",
            and("  r:\n    txt: { contains: pong }\n"),
            &["unknown key `txt`", "did you mean `text`?"],
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
            "a key without a space",
            with("contains: pong", "contains:pong"),
            &[
                "unknown key `contains:pong`",
                "a space is missing: `contains: pong`",
            ],
        ),
        (
            "a key without a space on the line before",
            and("  r:\n    request:\n      turn:every\n      stream: true\n"),
            &["10:13", "line 9 lacks a space after `turn:`"],
        ),
        (
            "a key without a name",
            and(": x\n"),
            &["7:1", "a key must be a text", "write the key before the `:`"],
        ),
        (
            "a quote in a bracket that is not right",
            with("contains: pong", "contains: 'it's'"),
            &["something stands behind the closing quote", "(`'it''s'`)"],
        ),
        (
            "a text that begins with a sign",
            with("prompt: Say pong", "prompt: @pong"),
            &["1:9", "a text cannot begin with `@`", "quote texts"],
        ),
        (
            "a number that no reader holds",
            and("timeout_seconds: 99999999999999999999999\n"),
            &["7:18", "is too large", "quote it"],
        ),
        (
            "a name in another form",
            with("  reply:", "  Right reply:"),
            &["5:3", "is not a name for an expectation", "write `right_reply`"],
        ),
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
            &["7:9 flags[0]", "one word an entry"],
        ),
        (
            "a variable with a space",
            and("env: { MY VAR: x }\n"),
            &["is not a name of a variable", "letters, digits and `_`"],
        ),
        (
            "a clause with a slip",
            and("  c:\n    clause: llm-gateway-protcol\n    exit: 0\n"),
            &["8:13", "did you mean `llm-gateway-protocol`?"],
        ),
        (
            "a tool nobody calls",
            with_tool.clone() + "  t:\n    tool_call: { name: Bsh }\n",
            &["no reply calls the tool `Bsh`", "did you mean `Bash`?"],
        ),
        (
            "a tool's result too early",
            with_tool.clone() + "  t:\n    tool_result_arrived: { turn: 1, name: Bash }\n",
            &["no reply calls the tool `Bash` before that request"],
        ),
        (
            "thinking that nobody does",
            and("  t:\n    thinking: {}\n"),
            &["no reply holds a thinking block"],
        ),
        (
            "an image that nobody sends",
            and("  i:\n    image_arrived: { turn: 1 }\n"),
            &["no prompt has an image, so this could never be judged"],
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
            "an unknown clause",
            and("    clause: rfc-1\n"),
            &["7:13 expect.reply.clause", "no clause of the gateway contract"],
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
            &["no reply before this one calls a tool"],
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
            "a direct request that nobody judges",
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
            &["answered in one piece"],
        ),
        (
            "a judgement without direct request",
            and("  d:\n    direct_reply: {}\n"),
            &["the cell makes no direct request, so this could never be judged"],
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
            "two words in one entry",
            and("flags: [\"--effort high\"]\n"),
            &["one word an entry"],
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
            "a credential",
            and("env: { ANTHROPIC_API_KEY: x }\n"),
            &["7:8 env.ANTHROPIC_API_KEY", "cells hold none"],
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
        (
            "a variable's name",
            and("env: { \"A B\": x }\n"),
            &["not a name of a variable"],
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
            &["begin with `_`"],
        ),
        (
            "an image of an unknown kind",
            with("prompt: Say pong", "prompts: [[{ image: _red.bmp }]]"),
            &["an ending of no kind that is allowed here", "`png`, `jpg`"],
        ),
        (
            "an image that is another",
            with("prompt: Say pong", "prompts: [[{ image: _red.jpg }]]"),
            &["does not hold `image/jpeg`"],
        ),
        (
            "a document that is none",
            with("prompt: Say pong", "prompts: [[{ document: _red.pdf }]]"),
            &["does not hold `application/pdf`"],
        ),
        (
            "not applicable and a test",
            and("not_applicable: because\n"),
            &["1:1 prompt", "`prompt` contradicts `not_applicable`"],
        ),
        (
            "an empty reason",
            "not_applicable: \"\"\n".to_owned(),
            &["1:17 not_applicable", "the text is empty"],
        ),
    ];
    let mut wrong = String::new();
    for (mistake, text, wanted) in &cases {
        let found = brief(&faults_of(None, text.as_bytes()));
        if found.is_empty() || !wanted.iter().all(|part| found.contains(part)) {
            wrong.push_str(&format!("\n{mistake}: wanted {wanted:?}, found\n{found}\n"));
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn one_mistake_is_one_fault() {
    let one = |text: String| {
        assert_eq!(
            faults_of(None, text.as_bytes()).len(),
            1,
            "{}",
            brief(&faults_of(None, text.as_bytes()))
        )
    };
    one(with("contains:", "contain:"));
    one(with("text: pong", "txt: pong"));
    one(with("prompt: Say pong", "prompt:"));
    one(with("text: { contains: pong }", "text: pong"));
    one(and(
        "known_failures:\n  reply: { link: \"https://example.org\" }\n",
    ));
    one(and("timeout_seconds: soon\n"));
    one(and("  t:\n    event: { pth: $, value: { equals: 1 } }\n"));
    one(with("prompt: Say pong", "prompts: [[{ image: red.png }]]")
        .replace("text: pong", "text: \"${image_colour}\""));
    one(with("prompt: Say pong", "prompts: [[{ img: _red.png }]]")
        .replace("text: pong", "text: \"${image_colour}\""));
}

#[test]
fn faults_of_form_and_of_meaning_are_found_together() {
    let text = and("timeout: 5\nflags: [--efort]\n").replace("contains: pong", "matches: '('")
        + "env: { HOME: x }\n";
    assert_lines(
        &brief(&faults_of(None, text.as_bytes())),
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

#[test]
fn a_fault_in_shared_text_points_to_the_shared_file() {
    let shared = "prompt: Say pong\nexpect:\n  reply:\n    text: { matches: '(' }\n";
    let own = "replies:\n  - content: [{ text: pong }]\n";
    let found = brief(&faults_of(Some(shared), own.as_bytes()));
    assert!(
        found.starts_with("_shared.yaml 4:23 expect.reply.text.matches: not a regular expression"),
        "{found}"
    );
}

#[test]
fn an_expectation_of_the_same_name_replaces_the_shared_one() {
    let shared = "prompt: Say pong\nreplies:\n  - content: [{ text: pong }]\nexpect:\n  reply:\n    text: { matches: '(' }\n";
    let own = "expect:\n  reply:\n    text: { contains: pong }\n";
    assert_eq!(brief(&faults_of(Some(shared), own.as_bytes())), "");
}

#[test]
fn what_all_cells_lack_is_told_of_the_shared_file() {
    let found = brief(&faults_of(
        Some("prompt: Say pong\n"),
        b"expect:\n  r:\n    text: { contains: pong }\n",
    ));
    assert!(
        found.starts_with("_shared.yaml 1:1 : the simulated provider has no reply"),
        "{found}"
    );
    assert!(found.ends_with("a cell that lacks it: 1:1"), "{found}");
}

#[test]
fn a_credential_is_named_and_not_shown() {
    let key = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz";
    let faults = faults_of(
        None,
        with("Say pong", &format!("\"Say pong to {key}\"")).as_bytes(),
    );
    let found = brief(&faults);
    assert!(
        found.starts_with("cell.yaml 1:9 : this looks like a credential"),
        "{found}"
    );
    for format in [Format::Text, Format::Json, Format::Github, Format::Gitlab] {
        assert!(!render::render(&faults, format, false).contains(key));
    }
    let shared = format!("description: {key}\n");
    assert!(brief(&faults_of(Some(&shared), GOOD.as_bytes())).starts_with("_shared.yaml 1:14"));
}

/// What the `--json-schema` flag of Claude Code does to a run, and what it does not.
#[test]
fn a_call_that_a_flag_lets_end_the_run_may_be_the_last_reply() {
    let call = "replies:\n  - content: [{ tool_use: { name: StructuredOutput, input: { word: pong } } }]\n";
    let cell =
        with("replies:\n  - content: [{ text: pong }]\n", call) + "  one:\n    requests: { count: 1 }\n";
    let flags = "flags: [--json-schema, '{}']\n";
    assert_eq!(brief(&faults_of(None, (cell.clone() + flags).as_bytes())), "");
    assert!(
        brief(&faults_of(None, cell.as_bytes()))
            .contains("every reply calls a tool, so the prompt never gets a final answer")
    );
    let other = cell.replace("StructuredOutput", "Bash") + flags;
    assert!(brief(&faults_of(None, other.as_bytes())).contains("never gets a final answer"));
    let twice = cell.replacen(
        "  - content",
        "  - content: [{ tool_use: { name: StructuredOutput, input: {} } }]\n  - content",
        1,
    );
    let twice = twice.replace("count: 1", "count: 2") + flags;
    assert_eq!(brief(&faults_of(None, twice.as_bytes())), "");
}

#[test]
fn not_applicable_cannot_be_shared() {
    let found = brief(&faults_of(Some("not_applicable: never\n"), GOOD.as_bytes()));
    assert!(
        found.contains("_shared.yaml 1:1 not_applicable: `not_applicable` cannot be shared"),
        "{found}"
    );
}

#[test]
fn anchors_that_explode_are_refused_before_they_do() {
    let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (from, to) in "abcdefghi".chars().zip("bcdefghij".chars()) {
        text.push_str(&format!(
            "{to}: &{to} [{}]\n",
            vec![format!("*{from}"); 10].join(", ")
        ));
    }
    let found = brief(&faults_of(None, text.as_bytes()));
    assert!(found.contains("aliases make this file too large"), "{found}");
    assert!(found.contains("at most 100000 values"), "{found}");
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!("prompt: {}", "[".repeat(5_000));
    let found = brief(&faults_of(None, text.as_bytes()));
    assert!(found.contains("nested too deep"), "{found}");
}

#[test]
fn bytes_that_are_not_utf8_are_named() {
    let found = brief(&faults_of(None, b"prompt: Say\nexpect: caf\xe9\n"));
    assert!(
        found.contains("cell.yaml 2:12 : the file is not UTF-8 | found: the byte 0xe9"),
        "{found}"
    );
}

#[test]
fn utf16_is_called_what_it_is() {
    let bytes: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(GOOD.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let found = brief(&faults_of(None, &bytes));
    assert_eq!(
        found,
        "cell.yaml 0:0 : the file is not UTF-8 | found: the byte order mark of UTF-16 | hint: save the file as UTF-8"
    );
}

#[test]
fn a_file_of_ten_megabytes_is_refused() {
    let found = brief(&faults_of(None, &vec![b'#'; 10_000_000]));
    assert!(
        found.contains("the file is too large | found: 10000000 bytes | allowed: at most 1000000 bytes"),
        "{found}"
    );
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let seeds: Vec<Vec<u8>> = ["tool_use", "vision", "extended_thinking", "prompt_caching_5m"]
        .iter()
        .map(|feature| {
            std::fs::read(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("cells")
                    .join(feature)
                    .join("_shared.yaml"),
            )
        })
        .collect::<Result<_, _>>()
        .expect("the project's cells");
    // A xorshift generator with a fixed seed: the same mutations in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).expect("below a usize")
    };
    let bits: &[&[u8]] = &[
        b"[", b"]", b"{", b"}", b": ", b"- ", b"&a ", b"*a", b"\t", b"\n", b"'", b"\"", b"!x ", b"\xff",
        b"\0", b"---\n", b"? ", b"| ", b"9e999", b"<<: ",
    ];
    for round in 0..600 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(3) {
                0 => {
                    bytes.truncate(at + 1);
                }
                1 => {
                    let end = (at + random(20)).min(bytes.len());
                    bytes.drain(at..end);
                    if bytes.is_empty() {
                        bytes.push(b'\n');
                    }
                }
                _ => {
                    let bit = bits[random(bits.len())];
                    bytes.splice(at..at, bit.iter().copied());
                }
            }
        }
        for fault in faults_of(None, &bytes) {
            render::text(&fault, true);
        }
        let _ = Manifest::parse(Path::new("manifest.yaml"), &bytes);
    }
}

#[test]
fn a_fault_shows_its_line_with_a_caret() {
    let faults = faults_of(None, with("contains: pong", "contain: pong").as_bytes());
    let shown = render::render(&faults, Format::Text, false);
    insta::assert_snapshot!(shown, @r"
    error: unknown key `contain`
     --> cell.yaml:6:13  expect.reply.text.contain
      |
    6 |     text: { contain: pong }
      |             ^^^^^^^
      = allowed: `equals`, `one_of`, `contains`, `not_contains`, `matches`, `exists`, `min`, `max`
    hint: did you mean `contains`?
    ");
}

#[test]
fn a_caret_stands_below_its_character_whatever_takes_two_columns_or_none_is_seen() {
    let shown = |text: &str| render::render(&faults_of(None, text.as_bytes()), Format::Text, false);
    insta::assert_snapshot!(shown(&with("{ contains: pong }", "{ contains: 漢字, contian: x }")), @r"
    error: unknown key `contian`
     --> cell.yaml:6:27  expect.reply.text.contian
      |
    6 |     text: { contains: 漢字, contian: x }
      |                             ^^^^^^^
      = allowed: `equals`, `one_of`, `contains`, `not_contains`, `matches`, `exists`, `min`, `max`
    hint: did you mean `contains`?
    ");
    insta::assert_snapshot!(shown(&and("\tflags: []\n")), @r"
    error: this is not YAML: a tab where only spaces may be
     --> cell.yaml:7:2
      |
    7 | →flags: []
      |  ^
      = found: a tab in the indentation
    hint: indent by spaces: YAML does not take tabs
    ");
    let old = GOOD
        .replace("contains: pong", "contian: pong")
        .replace('\n', "\r");
    assert!(
        shown(&old).contains("6 |     text: { contian: pong }\n"),
        "{}",
        shown(&old)
    );
}

#[test]
fn entries_of_gitlab_are_told_apart() {
    let faults = faults_of(
        None,
        GOOD.replace("contains: pong", "contains: \"\\q\"").as_bytes(),
    );
    let twice = [&faults[..], &faults[..]].concat();
    let entries: serde_json::Value =
        serde_json::from_str(&render::render(&twice, Format::Gitlab, false)).expect("JSON");
    assert_ne!(entries[0]["fingerprint"], entries[1]["fingerprint"]);
}

#[test]
fn annotations_are_escaped() {
    let faults = faults_of(None, with("contains: pong", "matches: '%('").as_bytes());
    let github = render::render(&faults, Format::Github, false);
    assert!(
        github.starts_with(
            "::error file=cell.yaml,line=6,col=24,title=expect.reply.text.matches::not a regular expression"
        ),
        "{github}"
    );
    assert!(github.contains("%25("), "{github}");
    assert_eq!(github.lines().count(), 1);
    let gitlab: serde_json::Value =
        serde_json::from_str(&render::render(&faults, Format::Gitlab, false)).expect("JSON");
    assert_eq!(gitlab[0]["location"]["lines"]["begin"], 6);
    let json: serde_json::Value =
        serde_json::from_str(&render::render(&faults, Format::Json, false)).expect("JSON");
    assert_eq!(json[0]["path"], "expect.reply.text.matches");
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let faults = faults_of(None, and("\"a\u{1b}[31m\": x\n").as_bytes());
    let shown = render::render(&faults, Format::Text, false);
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}
