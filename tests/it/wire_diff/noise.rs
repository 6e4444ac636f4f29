//! The rules for changes that every gateway makes.

use compat_matrix::wire::exchange::Body;
use compat_matrix::wire::{Direction, Operation, Route};
use compat_matrix::wire_diff::noise::{self, RULES};
use compat_matrix::wire_diff::{Change, Difference, Fate, Part};
use serde_json::{Value, json};

use super::Wire;

fn change(route: Route, part: Part, path: &str, before: Option<Value>, after: Option<Value>) -> Change {
    let fate = match (&before, &after) {
        (Some(_), None) => Fate::Dropped,
        (None, Some(_)) => Fate::Added,
        _ => Fate::Changed,
    };
    Change {
        direction: Direction::Request,
        operation: Operation::Messages,
        turn: 1,
        sent: 1,
        exchange: Some(1),
        route: Some(route),
        calls_without_thinking: false,
        what: Difference {
            part,
            fate,
            path: path.into(),
            before,
            after,
        },
    }
}

fn replied(change: Change) -> Change {
    Change {
        direction: Direction::Reply,
        ..change
    }
}

/// Each row has a rule, a change that it matches, and a similar change that no rule matches.
#[test]
fn each_noise_rule_matches_its_own_change_and_no_similar_one() {
    use Part::{Beta, Block, Credential, Error, Field, Header, Query, Tool};
    use Route::{Anthropic, Azure, BedrockConverse, BedrockInvoke, BedrockMantle, VertexAi};
    let long = |letters: usize| Some(json!("a".repeat(letters)));
    let some = |value: &str| Some(json!(value));
    let rows = [
        (
            "free_header",
            change(
                BedrockInvoke,
                Header,
                "x-amzn-bedrock-guardrailversion",
                some("1"),
                None,
            ),
            change(
                BedrockInvoke,
                Header,
                "x-amzn-bedrock-guardrailversion",
                None,
                some("1"),
            ),
        ),
        (
            "free_header",
            change(Anthropic, Header, "x-claude-code-session-id", some("s"), None),
            change(Anthropic, Header, "anthropic-version", some("a"), None),
        ),
        (
            "free_header",
            change(Anthropic, Header, "x-claude-code-agent-id", some("a"), None),
            change(Anthropic, Header, "x-claude-code-agent-id", some("a"), some("b")),
        ),
        (
            "free_header",
            change(Anthropic, Header, "x-datadog-trace-id", None, some("1")),
            replied(change(Anthropic, Header, "retry-after", some("1"), None)),
        ),
        (
            "free_header",
            change(Anthropic, Header, "authorization", some("a"), None),
            change(Anthropic, Credential, "header cookie", None, some("a")),
        ),
        (
            "model_id",
            change(Anthropic, Field, "model", some("alias"), some("id")),
            change(Anthropic, Field, "models", some("alias"), some("id")),
        ),
        (
            "stream_in_path",
            change(VertexAi, Field, "stream", Some(json!(true)), None),
            change(Anthropic, Field, "stream", Some(json!(true)), None),
        ),
        (
            "default_stream",
            change(BedrockMantle, Field, "stream", Some(json!(false)), None),
            change(BedrockMantle, Field, "stream", Some(json!(true)), None),
        ),
        (
            "form_of_number",
            change(Anthropic, Field, "temperature", Some(json!(1)), Some(json!(1.0))),
            change(Anthropic, Field, "temperature", Some(json!(1)), Some(json!(0.9))),
        ),
        (
            "form_of_number",
            change(Azure, Field, "temperature", Some(json!(1)), Some(json!(1.0))),
            change(Azure, Field, "max_tokens", Some(json!(1)), Some(json!(1.0))),
        ),
        (
            "version_in_body",
            change(BedrockInvoke, Field, "anthropic_version", None, some("v")),
            change(Anthropic, Field, "anthropic_version", None, some("v")),
        ),
        (
            "version_in_body",
            change(VertexAi, Header, "anthropic-version", some("v"), None),
            change(Anthropic, Header, "anthropic-version", some("v"), None),
        ),
        (
            "refused_beta",
            change(VertexAi, Beta, "advanced-tool-use-2025-11-20", some("b"), None),
            change(Anthropic, Beta, "advanced-tool-use-2025-11-20", some("b"), None),
        ),
        (
            "refused_beta",
            change(BedrockConverse, Beta, "claude-code-20250219", some("b"), None),
            change(
                BedrockConverse,
                Beta,
                "interleaved-thinking-2025-05-14",
                some("b"),
                None,
            ),
        ),
        (
            "renamed_beta",
            change(
                VertexAi,
                Beta,
                "tool-search-tool-2025-10-19",
                some("a"),
                some("b"),
            ),
            change(
                Anthropic,
                Beta,
                "tool-search-tool-2025-10-19",
                some("a"),
                some("b"),
            ),
        ),
        (
            "renamed_beta",
            change(
                BedrockMantle,
                Beta,
                "tool-search-tool-2025-10-19",
                some("a"),
                some("b"),
            ),
            change(Azure, Beta, "tool-search-tool-2025-10-19", some("a"), some("b")),
        ),
        (
            "renamed_beta",
            change(
                BedrockInvoke,
                Beta,
                "mid-conversation-output-config-2026-07-01",
                some("a"),
                some("b"),
            ),
            change(
                BedrockInvoke,
                Beta,
                "mid-conversation-output-config-2026-07-01",
                None,
                some("b"),
            ),
        ),
        (
            "refused_field_of_tool",
            change(
                BedrockInvoke,
                Tool,
                "Bash.eager_input_streaming",
                Some(json!(true)),
                None,
            ),
            change(
                BedrockMantle,
                Tool,
                "Bash.eager_input_streaming",
                Some(json!(true)),
                None,
            ),
        ),
        (
            "shortened_name_on_converse",
            change(BedrockConverse, Tool, "t.name", long(65), long(64)),
            change(BedrockConverse, Tool, "t.name", long(64), long(63)),
        ),
        (
            "shortened_name_on_converse",
            change(
                BedrockConverse,
                Block,
                "messages[1] assistant block 0 (tool_use).name",
                long(65),
                long(64),
            ),
            change(
                BedrockConverse,
                Block,
                "messages[1] assistant block 0 (tool_use).input",
                long(65),
                long(64),
            ),
        ),
        (
            "words_of_a_cloud",
            replied(change(
                Azure,
                Error,
                "the message of error 400",
                some("a"),
                some("b"),
            )),
            replied(change(
                BedrockInvoke,
                Error,
                "the message of error 400",
                some("Input is too long for requested model."),
                some("b"),
            )),
        ),
        (
            "words_of_a_cloud",
            replied(change(
                VertexAi,
                Error,
                "the message of error 400",
                some("The request is refused."),
                some("b"),
            )),
            replied(change(
                VertexAi,
                Error,
                "the message of error 400",
                some("The request size (1 bytes) exceeds 30.000MB limit."),
                some("b"),
            )),
        ),
        (
            "words_of_a_cloud",
            replied(change(
                Azure,
                Error,
                "the message of error 529",
                some("a"),
                some("b"),
            )),
            replied(change(
                Azure,
                Error,
                "the type of error 529",
                some("a"),
                some("b"),
            )),
        ),
        (
            "words_of_a_cloud",
            replied(change(
                Azure,
                Error,
                "the message of error 400",
                some("a"),
                some("b"),
            )),
            replied(change(
                Anthropic,
                Error,
                "the message of error 400",
                some("a"),
                some("b"),
            )),
        ),
        (
            "web_search_beta",
            change(VertexAi, Beta, "web-search-2025-03-05", None, some("b")),
            change(Azure, Beta, "web-search-2025-03-05", None, some("b")),
        ),
        (
            "request_tags",
            change(BedrockInvoke, Field, "tags", Some(json!({"team": "a"})), None),
            change(Anthropic, Field, "tags", Some(json!({"team": "a"})), None),
        ),
        (
            "metadata_on_converse",
            change(BedrockConverse, Field, "metadata", some("u"), None),
            change(BedrockInvoke, Field, "metadata", some("u"), None),
        ),
        (
            "schema_on_converse",
            change(
                BedrockConverse,
                Tool,
                "Bash.input_schema.$schema",
                some("u"),
                None,
            ),
            change(BedrockInvoke, Tool, "Bash.input_schema.$schema", some("u"), None),
        ),
        (
            "schema_on_converse",
            change(
                BedrockConverse,
                Tool,
                "Bash.input_schema.required",
                None,
                Some(json!([])),
            ),
            change(
                BedrockConverse,
                Tool,
                "Bash.input_schema.required",
                Some(json!(["a"])),
                None,
            ),
        ),
        (
            "response_fields_on_converse",
            change(
                BedrockConverse,
                Field,
                "additionalModelResponseFieldPaths",
                None,
                Some(json!(["/usage"])),
            ),
            change(
                BedrockConverse,
                Field,
                "additionalModelRequestFields",
                None,
                Some(json!({})),
            ),
        ),
        (
            "beta_in_query",
            change(Anthropic, Query, "beta", some("true"), None),
            change(Anthropic, Query, "beta", some("true"), some("false")),
        ),
        (
            "form_in_query",
            change(VertexAi, Query, "alt", None, some("sse")),
            change(VertexAi, Query, "alt", None, some("json")),
        ),
        (
            "metrics_of_bedrock",
            replied(change(
                BedrockInvoke,
                Field,
                "message_stop.amazon-bedrock-invocationMetrics",
                some("m"),
                None,
            )),
            replied(change(
                BedrockInvoke,
                Field,
                "message_stop.usage",
                None,
                some("m"),
            )),
        ),
    ];
    let counted = |mut change: Change| {
        change.operation = Operation::CountTokens;
        change
    };
    let rows: Vec<(&str, Change, Change)> = rows
        .into_iter()
        .chain([
            (
                "token_count_form",
                counted(change(BedrockInvoke, Field, "input", None, Some(json!({})))),
                counted(change(VertexAi, Field, "input", None, Some(json!({})))),
            ),
            (
                "token_count_form",
                counted(change(
                    BedrockInvoke,
                    Field,
                    "max_tokens",
                    None,
                    Some(json!(1024)),
                )),
                change(BedrockInvoke, Field, "max_tokens", None, Some(json!(1024))),
            ),
            (
                "token_counting_beta",
                counted(change(
                    Anthropic,
                    Beta,
                    "token-counting-2024-11-01",
                    None,
                    some("b"),
                )),
                change(Anthropic, Beta, "token-counting-2024-11-01", None, some("b")),
            ),
        ])
        .collect();
    for (name, noise, similar) in &rows {
        let found = noise::rule_for(noise).map(|rule| rule.name);
        assert_eq!(found, Some(*name), "{}", noise.sentence());
        let found = noise::rule_for(similar).map(|rule| rule.name);
        assert_eq!(found, None, "{}", similar.sentence());
    }
    for rule in RULES {
        assert!(
            rows.iter().any(|(name, ..)| *name == rule.name),
            "`{}` has no row",
            rule.name
        );
        assert!(rule.reason.len() > 40, "`{}` needs a reason", rule.name);
        let is_clause = ["llm-gateway-protocol#", "protocol#", "https://"]
            .iter()
            .any(|start| rule.clause.starts_with(start));
        assert!(is_clause, "`{}` needs a clause or a page", rule.name);
    }
}

/// Vertex AI has another name for this beta.
#[test]
fn a_renamed_beta_needs_its_original() {
    let with = |sent: &str| {
        let mut wire = Wire::one();
        wire.exchanges[0].route = Some(Route::VertexAi);
        let header = |value: &str| ("anthropic-beta".to_owned(), value.to_owned());
        wire.sent[0].request.headers.push(header(sent));
        let arrived = &mut wire.exchanges[0].request.headers;
        arrived.push(header("tool-search-tool-2025-10-19"));
        wire.changes()
    };
    assert_eq!(with("advanced-tool-use-2025-11-20"), [""; 0]);
    let added = "request 1: beta `tool-search-tool-2025-10-19` added";
    assert_eq!(with(""), [added]);
}

/// A beta in place of a tool's field.
#[test]
fn a_beta_stands_for_the_field_of_a_tool() {
    let on = |route: Route, asked: bool, betas: Value| {
        let mut wire = Wire::one();
        wire.exchanges[0].route = Some(route);
        if let (true, Body::Json(body)) = (asked, &mut wire.sent[0].request.body) {
            body["tools"][0]["eager_input_streaming"] = json!(true);
        }
        if let Body::Json(body) = &mut wire.exchanges[0].request.body {
            body["anthropic_beta"] = betas;
        }
        wire.changes()
    };
    let name = "fine-grained-tool-streaming-2025-05-14";
    assert_eq!(on(Route::BedrockInvoke, true, json!([name])), [""; 0]);
    let added = format!("request 1: beta `{name}` added");
    assert_eq!(on(Route::BedrockInvoke, false, json!([name])), [added]);
    let lost = format!("request 1: beta `{name}` dropped: \"eager_input_streaming\"");
    assert_eq!(on(Route::BedrockInvoke, true, json!([])), [lost]);
}
