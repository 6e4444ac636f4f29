//! The rules for changes that every gateway makes.

use compat_matrix::wire::{Direction, Operation, Route};
use compat_matrix::wire_diff::noise::{self, RULES};
use compat_matrix::wire_diff::{Change, Difference, Fate, Part};
use serde_json::{Value, json};

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
        what: Difference {
            part,
            fate,
            path: path.into(),
            before,
            after,
        },
    }
}

/// Each row has a rule, a change that it matches, and a similar change that no rule matches.
#[test]
fn each_noise_rule_matches_its_own_change_and_no_similar_one() {
    use Part::{Beta, Block, Field, Header, Tool};
    use Route::{Anthropic, BedrockConverse, BedrockInvoke, VertexAi};
    let some = |value: &str| Some(json!(value));
    let billing = |text: &str| Some(json!({"text": text}));
    let rows = [
        (
            "credentials",
            change(Anthropic, Header, "authorization", some("a"), None),
            change(Anthropic, Header, "anthropic-version", some("a"), None),
        ),
        (
            "credentials",
            change(BedrockInvoke, Header, "x-amz-date", None, some("d")),
            change(BedrockInvoke, Header, "x-amzn-date", None, some("d")),
        ),
        (
            "connection",
            change(Anthropic, Header, "content-length", some("1"), some("2")),
            change(Anthropic, Header, "content-language", some("1"), some("2")),
        ),
        (
            "client",
            change(Anthropic, Header, "x-stainless-os", some("Linux"), None),
            change(Anthropic, Header, "x-claude-code-session-id", some("s"), None),
        ),
        (
            "client",
            change(Anthropic, Header, "user-agent", some("a"), some("b")),
            change(Anthropic, Header, "x-claude-code-agent-id", some("a"), some("b")),
        ),
        (
            "tracing",
            change(Anthropic, Header, "traceparent", None, some("t")),
            change(Anthropic, Header, "traceparent", some("t"), None),
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
            "renamed_beta",
            change(VertexAi, Beta, "advanced-tool-use-2025-11-20", some("b"), None),
            change(Anthropic, Beta, "advanced-tool-use-2025-11-20", some("b"), None),
        ),
        (
            "beta_of_the_api",
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
            "billing_line",
            change(
                VertexAi,
                Block,
                "system[0] (text)",
                billing("x-anthropic-billing-header: cc_version=1;"),
                None,
            ),
            change(
                VertexAi,
                Block,
                "system[0] (text)",
                billing("You are Claude"),
                None,
            ),
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
                change(BedrockInvoke, Field, "input", None, Some(json!({}))),
            ),
            (
                "token_count_form",
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
    }
}
