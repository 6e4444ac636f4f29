//! Common mistakes of authors: each has its place and a way out.

use crate::support::cell::{and, assert_found, found, with};
use crate::support::files::Folder;
use crate::support::project::two_features;
use crate::support::ran::compat;

/// Two calls in one answer, and an expectation of each.
const TWO_CALLS: &str = "prompt: a
replies:
  - content:
      - tool_use: { name: Bash, input: { command: one } }
      - tool_use: { name: Bash, input: { command: two } }
  - content: [{ text: pong }]
expect:
  second:
    tool_call: { name: Bash, call: 2, input: { command: { equals: two } } }
";

#[test]
fn mistakes_of_authors_have_a_place_and_a_way_out() {
    let call = |name: &str, input: &str| {
        with(
            "  - content: [{ text: pong }]\n",
            &format!(
                "  - content: [{{ tool_use: {{ name: {name}, input: {input} }} }}]\n  - content: [{{ text: pong }}]\n"
            ),
        )
    };
    let cases: Vec<(&str, String, &[&str])> = vec![
        (
            "a mistyped tool",
            call("Bahs", "{ command: ls }"),
            &[
                "3:35 replies[0].content[0].tool_use.name",
                "no request offers the tool `Bahs`",
                "did you mean `Bash`?",
            ],
        ),
        (
            "a tool that Claude Code does not have",
            call("Frobnicate", "{}"),
            &[
                "no request offers the tool `Frobnicate`",
                "if a newer Claude Code has it, add the flag `--tools` with its name: `--tools, default,Frobnicate`",
            ],
        ),
        (
            "a structured answer without a schema",
            call("StructuredOutput", "{}"),
            &["no request offers the tool `StructuredOutput` without `--json-schema`"],
        ),
        (
            "a placeholder in the prompt of an asker",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n    asker: { prompt: \"${tool_reslt}\" }",
            ),
            &["replies[0].asker.prompt", "`${tool_reslt}` looks like a placeholder"],
        ),
        (
            "a value that a flag does not take",
            and("flags: [--thinking, fast, --setting-sources, \"user,projct\"]\n"),
            &[
                "`--thinking` does not take `fast`",
                "`--setting-sources` does not take `projct`",
                "did you mean `project`?",
            ],
        ),
        (
            "a field that the structured answer lacks",
            call("StructuredOutput", "{ rank: 1 }").replace(
                "expect:\n",
                "flags: [--json-schema, '{\"type\":\"object\"}']\nexpect:\n  r:\n    event: { path: \"$[?@.type == \
                 'result'].structured_output.rnk\", value: { equals: 1 } }\n",
            ),
            &["no answer of the script has `rnk`", "did you mean `rank`?"],
        ),
        (
            "a mistyped tool in a flag",
            call("Bash", "{ command: ls }") + "flags: [--tools, \"Bash,Raed\"]\n",
            &["Claude Code has no tool `Raed`", "did you mean `Read`?"],
        ),
        (
            "a mistyped tool of an asker",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n    asker: { has_tool: Bsh }",
            ),
            &["replies[0].asker.has_tool", "did you mean `Bash`?"],
        ),
        (
            "a tool of an asker that no server has",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n    asker: { has_tool: mcp__libary__shelf }",
            ),
            &["no request offers the tool `mcp__libary__shelf`"],
        ),
        (
            "a prompt of an asker that the cell does not have",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n    asker: { prompt: Say pang }",
            ),
            &[
                "replies[0].asker.prompt",
                "no prompt of the cell contains `Say pang`",
            ],
        ),
        (
            "a tool that a flag removes",
            call("Bash", "{ command: ls }") + "flags: [--allowed-tools, Bash, --tools, \"Read,Edit\"]\n",
            &[
                "3:35 replies[0].content[0].tool_use.name",
                "no request offers the tool `Bash`: a flag of the cell removes it",
                "this flag removes it: ",
                "or correct `--tools`",
            ],
        ),
        (
            "a tool that a flag denies",
            call("Bash", "{ command: ls }") + "flags: [--allowed-tools, Bash, --disallowed-tools, Bash]\n",
            &[
                "no request offers the tool `Bash`",
                "or correct `--disallowed-tools`",
            ],
        ),
        (
            "a tool of no server",
            call("mcp__library__shelf", "{}"),
            &[
                "no request offers the tool `mcp__library__shelf`",
                "`mcp_servers`, which this cell does not have",
            ],
        ),
        (
            "a placeholder in a call",
            call("Bash", "{ command: \"echo ${tool_reslt}\" }"),
            &[
                "sent as it is, and `${tool_reslt}` looks like a placeholder",
                "only a `text` block has placeholders",
            ],
        ),
        (
            "a placeholder in an error",
            with(
                "content: [{ text: pong }]",
                "error: { status: 529, message: \"${tool_reslt}\" }",
            ),
            &["error.message", "`${tool_reslt}` looks like a placeholder"],
        ),
        (
            "a placeholder in repeated text",
            with(
                "{ text: pong }",
                "{ repeat: { text: \"${tool_reslt} \", times: 2 } }",
            ),
            &["unknown placeholder `${tool_reslt}`"],
        ),
        (
            "a placeholder in redacted thinking",
            with(
                "{ text: pong }",
                "{ redacted_thinking: \"${tool_reslt}\" }, { text: pong }",
            ),
            &["`${tool_reslt}` looks like a placeholder"],
        ),
        (
            "a placeholder in a citation",
            with(
                "{ text: pong }",
                "{ cited_text: { text: pong, citations: [{ title: \"${tool_reslt}\" }] } }",
            ),
            &["`${tool_reslt}` looks like a placeholder"],
        ),
        (
            "a placeholder in a stop sequence",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n    stop_reason: stop_sequence\n    stop_sequence: \"${tool_reslt}\"",
            ),
            &["`${tool_reslt}` looks like a placeholder"],
        ),
        (
            "a placeholder in the name of a detail",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n    stop_details: { \"${tool_reslt}\": 1 }",
            ),
            &["`${tool_reslt}` looks like a placeholder"],
        ),
        (
            "a placeholder in an error of a stream",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n    interrupt: { after_deltas: 1, error: { type: api_error, message: \"${tool_reslt}\" } }",
            ),
            &["`${tool_reslt}` looks like a placeholder"],
        ),
        (
            "a pattern that no stop reason matches",
            and("  ended: { stop_reason: { value: { matches: tooluse } } }\n"),
            &["no stop reason matches `tooluse`", "allowed: `end_turn`"],
        ),
        (
            "a part that no stop reason has",
            and("  ended: { stop_reason: { value: { not_contains: tooluse } } }\n"),
            &["no stop reason contains `tooluse`", "did you mean `tool_use`?"],
        ),
        (
            "a placeholder in a header",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n    headers: { x-note: \"${tool_reslt}\" }",
            ),
            &["headers.x-note", "`${tool_reslt}` looks like a placeholder"],
        ),
        (
            "a placeholder in a result",
            with(
                "{ text: pong }",
                "{ server_tool_result: { type: web_search_tool_result, title: \"${tool_reslt}\" } }",
            ),
            &[
                "server_tool_result.title",
                "`${tool_reslt}` looks like a placeholder",
            ],
        ),
        (
            "a schema that is a list",
            and("flags: [--json-schema, \"[]\"]\n"),
            &[
                "the value of `--json-schema` is no JSON object",
                "write a JSON object",
            ],
        ),
        (
            "a flag without its number",
            and("flags: [--max-turns, abc]\n"),
            &["`--max-turns` does not take `abc`", "write a number"],
        ),
        (
            "a broken schema",
            and("flags: [--json-schema, \"{broken\"]\n"),
            &[
                "flags[1]",
                "the value of `--json-schema` is not JSON: key must be a string at line 1 column 2",
                "write a JSON object",
            ],
        ),
        (
            "a refused value of a flag",
            and("flags: [--effort, 7]\n").replace("7", "\"7\""),
            &["`--effort` does not take `7`", "`claude --help` explains"],
        ),
        (
            "a stop reason of a reply",
            with("[{ text: pong }]", "[{ text: pong }]\n    stop_reason: end_trun"),
            &["there is no stop reason `end_trun`", "did you mean `end_turn`?"],
        ),
        (
            "a stop reason that is expected",
            and("  ended: { stop_reason: { value: { one_of: [end_turn, tool_user] } } }\n"),
            &["there is no stop reason `tool_user`", "did you mean `tool_use`?"],
        ),
        (
            "a part of a stop reason that none has",
            and("  ended: { stop_reason: { value: { contains: tooluse } } }\n"),
            &["no stop reason contains `tooluse`", "did you mean `tool_use`?"],
        ),
        (
            "a wrong type in a schema",
            and("flags: [--json-schema, '{\"properties\": {\"word\": {\"type\": \"strng\"}}}']\n"),
            &[
                "7:24 flags[1]: the value of `--json-schema` is no JSON Schema: `/properties/word/type` is `\"strng\"`",
                "allowed: `string`, `number`",
                "did you mean `string`?",
            ],
        ),
        (
            "an unknown rule of the provider",
            and("refusals: { know_betas: The row is about it. }\n"),
            &[
                "7:13 refusals.know_betas: the provider has no rule `know_betas`",
                "did you mean `known_betas`?",
            ],
        ),
        (
            "the name of a built-in expectation",
            and("  workarounds:\n    exit: 0\n"),
            &[
                "7:3 expect.workarounds",
                "the name of a built-in expectation",
                "choose another name",
            ],
        ),
        (
            "a word boundary in double quotes",
            with("contains: pong", "matches: \"\\bred\\b\""),
            &[
                "6:22",
                "a backspace character in a regular expression",
                "use single quotes",
            ],
        ),
        (
            "an argument that no call has",
            TWO_CALLS.replace("input: { command: { equals", "input: { comand: { equals"),
            &[
                "no reply calls `Bash` with `comand`",
                "allowed: `command`",
                "did you mean `command`?",
            ],
        ),
        (
            "a value that no call has",
            TWO_CALLS.replace("equals: two", "equals: one"),
            &[
                "no reply calls `Bash` with such a `command`",
                "the replies have \"two\"",
            ],
        ),
        (
            "an error type of a reply",
            with(
                "content: [{ text: pong }]",
                "error: { status: 529, type: overload_error, message: a }",
            ),
            &[
                "error.type: the Messages API has no error type `overload_error`",
                "did you mean `overloaded_error`?",
            ],
        ),
        (
            "a delta that the reply does not have",
            with(
                "[{ text: pong }]",
                "[{ text: one two }]\n    interrupt: { after_deltas: 900, cut: true }",
            ),
            &[
                "4:32 replies[0].interrupt.after_deltas: the reply has 2 content deltas",
                "at most 2",
            ],
        ),
        (
            "a wrong name of a tool of a server",
            and("mcp_servers: { library: [{ name: a b, description: a, input_schema: {}, result: a }] }\n"),
            &["expected 1 to 64 letters, digits, `_` or `-`"],
        ),
        (
            "an old JSONPath",
            and(
                "  sent: { request: { turn: 1, body: { \"$.tools[?(@.name = 'x')]\": { exists: true } } } }\n",
            ),
            &["write it as in RFC 9535: `$.tools[?@.name == 'x']`"],
        ),
        (
            "too many replies",
            with(
                "[{ text: pong }]",
                "[{ text: pong }]\n  - content: [{ text: pong }]",
            ),
            &[
                "4:5 replies[1]",
                "no request gets this reply",
                "remove it, or add a prompt",
            ],
        ),
        (
            "a key within a text",
            with("replies:", "  replies:"),
            &[
                "a line that begins in column 3, after one in column 1: it continues the text of `prompt` in line 1",
                "column 1 for a key of the file",
                "keys of one map begin in the same column",
            ],
        ),
        (
            "a key between two columns",
            with("  reply:\n", "  reply:\n    exit: 0\n   tiers: [a]\n"),
            &[
                "a line that begins in column 4, after one in column 5 |",
                "column 1 for a key of the file, column 3 for a key of `expect`",
            ],
        ),
        (
            "a key too far to the right",
            and("    flags: []\n"),
            &[
                "unknown key `flags`",
                "it begins in column 5, so it is part of `expect.reply`; a key of the file begins in column 1",
            ],
        ),
        (
            "a key too far to the left",
            with("    text:", "  text:"),
            &[
                "`text` in line 6 begins in the same column as `reply`, so it is no part of it: indent what belongs to `reply`",
            ],
        ),
        (
            "a slip below an empty key",
            and("flags:\nrepiles: []\n"),
            &["unknown key `repiles`", "did you mean `replies`?"],
        ),
        (
            "an expectation that is not indented",
            with("  reply:\n    text:", "reply:\n  text:"),
            &[
                "unknown key `reply`",
                "`reply` begins in the same column as `expect` in line 4, which has no value: indent what belongs to `expect`",
            ],
        ),
        (
            "several wrong keys",
            and("  wrong: { requets: 1, claues: 2, tirs: 3 }\n"),
            &[
                "unknown key `requets`",
                "unknown key `claues`",
                "unknown key `tirs`",
            ],
        ),
        (
            "a call that no reply makes",
            TWO_CALLS.replace("call: 2", "call: 3"),
            &["9:36"],
        ),
    ];
    assert_found(&cases);
    assert_eq!(found(TWO_CALLS), "");
    // A schema that is no JSON is one error.
    let broken = "prompt: a\nflags: [--json-schema, \"{broken\"]\nreplies:\n  - content: [{ tool_use: { name: StructuredOutput, input: {} } }]\nexpect:\n  ends:\n    exit: 0\n";
    assert_eq!(
        found(broken).matches("--json-schema").count(),
        1,
        "{}",
        found(broken)
    );
}

/// What `compat check` prints in `folder`.
fn checked(folder: &Folder) -> String {
    let ran = compat(folder.root(), &["check"]);
    ran.exits(3);
    ran.out + &ran.err
}

const WHOLE: &str =
    "prompt: a\nreplies:\n  - content: [{ text: a }]\nexpect:\n  schema_arrived:\n    exit: 0\n";

/// Claude Code and subagents have prompts of their own.
#[test]
fn a_prompt_of_an_asker_may_be_of_claude_code() {
    let asked = |asker: &str| {
        let cell = with(
            "[{ text: pong }]",
            &format!("[{{ text: pong }}]\n    asker: {{ {asker} }}"),
        );
        found(&cell)
    };
    for asker in [
        "prompt: Say pong",
        "prompt: detailed summary",
        "prompt: tong",
        "subagent: true, prompt: Say pang",
    ] {
        assert_eq!(asked(asker), "", "{asker}");
    }
    assert!(asked("prompt: Say pang").contains("Say pong"));
}

/// A cell may be about a tool that only a newer Claude Code has.
#[test]
fn the_flag_for_tools_makes_a_new_tool_known() {
    let call = "  - content: [{ tool_use: { name: ReadMedia, input: {} } }]\n  - content: [{ text: pong }]\n";
    let cell = with("  - content: [{ text: pong }]\n", call);
    let error = "no request offers the tool `ReadMedia`";
    assert!(found(&cell).contains(error), "{}", found(&cell));
    let cell = cell + "flags: [--tools, \"default,ReadMedia\"]\n";
    assert!(!found(&cell).contains("ReadMedia"), "{}", found(&cell));
}

#[test]
fn an_override_of_nothing_names_what_it_is_near_to() {
    let folder = two_features();
    folder.write("cells/first/_shared.yaml", WHOLE);
    folder.write(
        "cells/first/there.yaml",
        "expect:\n  schema_arived:\n    exit: 1\n",
    );
    let text = checked(&folder);
    for expected in [
        "`schema_arived` overrides nothing, and is named almost like `schema_arrived` of `cells/first/_shared.yaml`",
        "cells/first/there.yaml:2:3",
        "write `schema_arrived`",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    // An expectation of all rows, or of the column.
    folder.write(
        "cells/first/_shared.yaml",
        &WHOLE.replace("schema_arrived", "answered"),
    );
    for file in ["cells/_shared.yaml", "cells/_providers/there.yaml"] {
        folder.write(file, "expect:\n  schema_arrived:\n    exit: 0\n");
        let text = checked(&folder);
        assert!(text.contains(&format!("`schema_arrived` of `{file}`")), "{text}");
        std::fs::remove_file(folder.path(file)).unwrap();
    }
    // In a shared file, and in a short name.
    folder.write(
        "cells/_shared.yaml",
        "expect:\n  model_asked_for:\n    exit: 0\n  route:\n    exit: 0\n",
    );
    folder.write(
        "cells/first/_shared.yaml",
        &WHOLE.replace("schema_arrived", "model_askd_for"),
    );
    folder.write("cells/first/there.yaml", "expect:\n  rout:\n    exit: 1\n");
    let text = checked(&folder);
    for expected in ["`model_askd_for` overrides nothing", "`rout` overrides nothing"] {
        assert_eq!(text.matches(expected).count(), 1, "{text}");
    }
}

#[test]
fn a_missing_shared_file_is_one_fault() {
    let folder = two_features();
    for provider in ["here", "there"] {
        folder.write(
            &format!("cells/first/{provider}.yaml"),
            "expect:\n  asked_once:\n    requests: { count: 1 }\n",
        );
    }
    folder.write("cells/second/_shared.yaml", WHOLE);
    let text = checked(&folder);
    assert_eq!(text.matches("--> cells/first/").count(), 1, "{text}");
    assert!(text.contains("--> cells/first/_shared.yaml"), "{text}");
    assert!(
        text.contains("there is no such file, and 2 cells lack keys"),
        "{text}"
    );
    // The shared file of all cells.
    let note = "note: there is no such file, so no expectation holds in every cell\n--> cells/_shared.yaml\nhint: restore it";
    assert_eq!(text.matches(note).count(), 1, "{text}");
    // Mutants name expectations of every cell.
    folder.write(
        "mutants/body/one.yaml",
        "description: D.\nrequest: { headers: [{ drop: x-app }] }\nkilled_by: { gone: [first] }\n",
    );
    let text = checked(&folder);
    assert_eq!(
        text.matches(&note.replace("note:", "error:")).count(),
        1,
        "{text}"
    );
    assert!(!text.contains("--> mutants/"), "{text}");
    let of_mutants = compat(folder.root(), &["check", "mutants"]);
    assert!(
        of_mutants.out.contains("--> cells/_shared.yaml"),
        "{}",
        of_mutants.out
    );
    std::fs::remove_dir_all(folder.path("mutants")).unwrap();
    folder.write("cells/_shared.yaml", "expect:\n  ends:\n    exit: 0\n");
    assert!(!checked(&folder).contains("so no expectation holds"));
}

#[test]
fn a_row_without_expect_is_told_so() {
    let folder = two_features();
    folder.write(
        "cells/_shared.yaml",
        "expect:\n  once:\n    requests: { count: 1 }\n",
    );
    let (first, _) = WHOLE.split_once("expect:").unwrap();
    folder.write("cells/first/_shared.yaml", first);
    folder.write("cells/second/_shared.yaml", WHOLE);
    let text = checked(&folder);
    let told = "error: the cell has no `expect` of its own, so a live run could judge nothing\n --> cells/first/_shared.yaml:1:1";
    assert_eq!(text.matches(told).count(), 1, "{text}");
}

#[test]
fn equal_faults_are_capped() {
    let folder = two_features();
    let mut text = WHOLE.to_owned();
    for number in 0..60 {
        text.push_str(&format!(
            "  e{number}:\n    stop_reason: {{ value: {{ equals: nonsense }} }}\n"
        ));
    }
    folder.write("cells/first/_shared.yaml", &text);
    folder.write("cells/second/_shared.yaml", WHOLE);
    let text = checked(&folder);
    assert_eq!(text.matches("there is no stop reason").count(), 10, "{text}");
    assert!(text.contains("50 more like these are not shown"), "{text}");
}
