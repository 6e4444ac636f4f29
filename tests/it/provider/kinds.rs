//! Requests with values of another kind, and what Converse itself, single fields and single paths refuse.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use compat_matrix::wire::Route;
use compat_matrix::wire::exchange::Matched;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::rules::{Case, each_is_refused, image, list, refusal, sane, wide_png};
use crate::support::provider_client::*;
use crate::support::text::assert_has;

use Route::{Anthropic, BedrockConverse, BedrockInvoke, BedrockMantle, VertexAi};

#[tokio::test]
async fn many_images_must_be_smaller_than_few() {
    let gateway = Gateway::start().await;
    let of_images = |count: usize, width: u32| {
        let mut body = sane();
        body["messages"][0]["content"] = vec![image("image/png", &wide_png(width)); count].into();
        body
    };
    for route in Route::ALL {
        for (count, width) in [(20, 2001), (21, 2000)] {
            let body = of_images(count, width);
            assert_eq!(refusal(&gateway, route, &body).await, None, "{route:?} {count}");
        }
        let (rule, words) = refusal(&gateway, route, &of_images(21, 2001)).await.unwrap();
        assert_eq!(rule, "image", "{route:?}");
        assert_has(&words, "max allowed size for many-image requests: 2000 pixels");
    }
}

#[tokio::test]
async fn a_value_of_another_kind_is_refused() {
    let cases: &[Case] = &[
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "known_keys",
            "tools.0.custom.input_schema.type: Field required",
            |body| body["tools"][0]["input_schema"] = json!({}),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "known_keys",
            "tool_choice: Input should be an object",
            |body| body["tool_choice"] = json!("auto"),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "known_keys",
            "messages.2.content.0.tool_result.is_error: Input should be a valid boolean",
            |body| body["messages"][2]["content"][0]["is_error"] = json!("maybe"),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "known_keys",
            "messages.2.content.0.tool_result.content.0: Input tag 'redacted_thinking' found using 'type' does not match",
            |body| {
                body["messages"][2]["content"][0]["content"] =
                    json!([{"type": "redacted_thinking", "data": "AAAA"}])
            },
        ),
        (
            &[BedrockInvoke],
            "known_keys",
            "anthropic_beta: Input should be a valid array",
            |body| body["anthropic_beta"] = json!("interleaved-thinking-2025-05-14"),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "tool_name_form",
            "tools.0.custom.name: String should have at least 1 character",
            |body| body["tools"][0]["name"] = json!(""),
        ),
        (
            &[BedrockConverse],
            "conversation_start",
            "A conversation must start with a user message.",
            |body| {
                let hello = json!({"role": "assistant", "content": [{"type": "text", "text": "hello"}]});
                let messages = list(&mut body["messages"]);
                messages.insert(1, hello);
                messages.swap(0, 1);
            },
        ),
        (
            &[BedrockConverse],
            "converse_members",
            "Value at 'toolConfig.tools' failed to satisfy constraint: Member must have length greater than or equal to 1",
            |body| body["tools"] = json!([]),
        ),
        (
            &[BedrockInvoke, VertexAi, BedrockMantle],
            "image_source",
            "messages.0.content.0.document.source: Input tag 'file'",
            |body| {
                body["messages"][0]["content"][0] =
                    json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}})
            },
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi, BedrockMantle],
            "known_keys",
            "system.0.cache_control.ephemeral.scope: Extra inputs are not permitted",
            |body| body["system"][0]["cache_control"] = json!({"type": "ephemeral", "scope": "global"}),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "cache_ttl",
            "ttl: Input should be '5m' or '1h'",
            |body| body["system"][0]["cache_control"] = json!({"type": "ephemeral", "ttl": 3600}),
        ),
    ];
    each_is_refused(cases).await;
    let gateway = Gateway::start().await;
    let mut body = sane();
    body["system"][0]["cache_control"] = json!({"type": "ephemeral", "scope": "global"});
    let key = gateway.trial([text("ok")]);
    list(&mut body["messages"][0]["content"]).push(json!({"type": "text", "text": key}));
    let request = gateway.ask(Route::Anthropic, false, &body);
    let request = request.header("anthropic-beta", "prompt-caching-scope-2026-01-05");
    let reply = request.send().await.unwrap();
    let status = reply.status();
    assert_eq!(status, StatusCode::OK, "{}", reply.text().await.unwrap());
}

/// Sends `body` in Converse's form to Haiku 4.5. Returns the broken rule and the message; the conversation of an accepted one
/// belongs to no trial.
async fn converse_verdict(gateway: &Gateway, body: &Value) -> (Option<String>, String) {
    let request = gateway.signed(&format!("/model/{BEDROCK_MODEL}/converse"), body);
    let error: Value = request.send().await.unwrap().json().await.unwrap();
    let rule = match gateway.simulator.orphans().pop().unwrap().matched {
        Matched::Rejected { rule } => Some(rule),
        _ => None,
    };
    (rule, error["message"].as_str().unwrap_or_default().to_owned())
}

/// A place in a request of Converse, the value there, and the broken rule with words of the refusal.
type ConverseCase = (&'static str, Value, Option<(&'static str, &'static str)>);

#[tokio::test]
async fn converse_refuses_what_its_model_of_requests_excludes() {
    let pdf = |name: &str| {
        let bytes = STANDARD.encode("%PDF-1.4");
        json!({"document": {"name": name, "format": "pdf", "source": {"bytes": bytes}}})
    };
    let history = |id: &str| {
        json!([
            {"role": "user", "content": [{"text": "run it"}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": id, "name": "Bash", "input": {}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": id, "content": [{"text": "done"}]}}]},
        ])
    };
    let tool = |description: &str| json!({"toolSpec": {"name": "Bash", "description": description, "inputSchema": {"json": {"type": "object"}}}});
    let alternating = "A conversation must alternate between user and assistant roles. Make sure the conversation alternates \
                       between user and assistant roles and try again.";
    let name = "The document file name can only contain alphanumeric characters, whitespace characters,";
    let cases: &[ConverseCase] = &[
        ("/messages/0/content/0", pdf("a_b (1) [x]-y"), None),
        (
            "/messages/0/content/0",
            pdf("a.pdf"),
            Some(("document_name", name)),
        ),
        (
            "/messages/0/content/0",
            pdf("a  b"),
            Some(("document_name", name)),
        ),
        (
            "/messages/0/content/0",
            pdf("a\u{3000}b"),
            Some(("document_name", name)),
        ),
        (
            "/messages/2/content/0/toolResult/content/0",
            pdf(""),
            Some(("document_name", name)),
        ),
        (
            "/messages/2/content/0/toolResult",
            json!({"toolUseId": "toolu_1", "content": [{"text": "x"}], "status": "failed"}),
            Some((
                "converse_members",
                "Value 'failed' at 'messages.3.member.content.1.member.toolResult.status' failed to satisfy constraint: \
                 Member must satisfy enum value set: [success, error]",
            )),
        ),
        (
            "/messages/2/content/0/toolResult",
            json!({"toolUseId": "toolu_1", "content": [{"text": "x"}], "status": "error"}),
            None,
        ),
        (
            "/system/0",
            json!({"cachePoint": {"type": "x"}}),
            Some((
                "converse_members",
                "Value 'x' at 'system.1.member.cachePoint.type' failed to satisfy constraint",
            )),
        ),
        (
            "/toolConfig/toolChoice",
            json!("auto"),
            Some((
                "converse_members",
                "Value at 'toolConfig.toolChoice' failed to satisfy constraint",
            )),
        ),
        (
            "/toolConfig/toolChoice",
            json!({"tool": {"auto": []}}),
            Some((
                "converse_members",
                "Value at 'toolConfig.toolChoice.tool.name' failed to satisfy constraint: Member must not be null",
            )),
        ),
        ("/toolConfig/toolChoice", json!({"auto": {}}), None),
        ("/toolConfig/toolChoice", json!({"tool": {"name": "Bash"}}), None),
        (
            "/toolConfig/toolChoice",
            json!({"tool": {"name": "a b"}}),
            Some((
                "tool_name_form",
                "Value 'a b' at 'toolConfig.toolChoice.tool.name' failed to satisfy constraint",
            )),
        ),
        ("/messages/1/content/1/toolUse/name", json!("a".repeat(64)), None),
        (
            "/messages/1/content/1/toolUse/name",
            json!("a".repeat(65)),
            Some((
                "tool_name_form",
                "at 'messages.2.member.content.2.member.toolUse.name' failed to satisfy constraint: Member must have length \
                 less than or equal to 64",
            )),
        ),
        ("/messages", history("call.1:2"), None),
        ("/messages", history(&"a".repeat(64)), None),
        (
            "/messages",
            history(&"a".repeat(65)),
            Some((
                "tool_id_form",
                "at 'messages.2.member.content.1.member.toolUse.toolUseId' failed to satisfy constraint: Member must have \
                 length less than or equal to 64",
            )),
        ),
        (
            "/messages/2/content/0/toolResult/toolUseId",
            json!("a/b"),
            Some((
                "tool_id_form",
                "Value 'a/b' at 'messages.3.member.content.1.member.toolResult.toolUseId' failed to satisfy constraint",
            )),
        ),
        (
            "/messages/1/role",
            json!("user"),
            Some(("alternating_roles", alternating)),
        ),
        (
            "/messages/2/role",
            json!("system"),
            Some(("roles", "messages: Unexpected role \"system\"")),
        ),
        (
            "/messages",
            json!([
                {"role": "user", "content": [{"text": "a"}]},
                {"role": "assistant", "content": [{"text": "b"}]},
                {"role": "assistant", "content": [{"text": "c"}]},
                {"role": "user", "content": [{"text": "d"}]},
            ]),
            Some(("alternating_roles", alternating)),
        ),
        ("/inferenceConfig/maxTokens", json!(1), None),
        (
            "/inferenceConfig/maxTokens",
            json!(0),
            Some((
                "converse_members",
                "Value '0' at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or \
                 equal to 1",
            )),
        ),
        (
            "/inferenceConfig/maxTokens",
            json!("5"),
            Some((
                "converse_members",
                "'inferenceConfig.maxTokens' failed to satisfy constraint",
            )),
        ),
        (
            "/messages/0/content/0",
            json!({"document": {"format": "pdf", "source": {"bytes": "JVBERi0="}}}),
            Some((
                "document_name",
                "Value null at 'messages.1.member.content.1.member.document.name' failed to satisfy constraint: Member must \
                 not be null",
            )),
        ),
        (
            "/messages/0/content/0",
            json!({"text": "x", "document": null}),
            None,
        ),
        ("/toolConfig/tools/0", tool("x"), None),
        (
            "/toolConfig/tools/0",
            tool(""),
            Some((
                "converse_members",
                "Value '' at 'toolConfig.tools.1.member.toolSpec.description' failed to satisfy constraint: Member must have \
                 length greater than or equal to 1",
            )),
        ),
    ];
    let gateway = Gateway::start().await;
    for (place, value, wanted) in cases {
        let mut body = to_converse(&sane());
        body["toolConfig"]["toolChoice"] = json!({"auto": {}});
        *body.pointer_mut(place).unwrap() = value.clone();
        let (rule, message) = converse_verdict(&gateway, &body).await;
        assert_eq!(
            rule.as_deref(),
            wanted.map(|(rule, _)| rule),
            "{value}: {message}"
        );
        assert_has(&message, wanted.map_or("", |(_, words)| words));
    }
}

#[tokio::test]
async fn a_request_without_a_model_is_no_unknown_model() {
    let gateway = Gateway::start().await;
    for (model, words) in [
        (None, "model: Field required"),
        (Some(json!(null)), "model: Input should be a valid string"),
        (Some(json!("")), "model: String should have at least 1 character"),
    ] {
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let mut body = json!({"messages": [{"role": "user", "content": "hello"}]});
            if let Some(model) = &model {
                body["model"] = model.clone();
            }
            let reply = gateway.anthropic(path, &body).send().await.unwrap();
            assert_eq!(reply.status(), StatusCode::BAD_REQUEST, "{words}");
            let error: Value = reply.json().await.unwrap();
            assert_eq!(error["error"]["message"], words);
            let matched = gateway.simulator.orphans().pop().unwrap().matched;
            let rule = "model_required".to_owned();
            assert_eq!(matched, Matched::Rejected { rule });
        }
    }
    let body = json!({"model": "claude-none", "messages": [{"role": "user", "content": "hello"}]});
    let reply = gateway
        .vertex("count-tokens:rawPredict", &body)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), StatusCode::NOT_FOUND);
    assert_has(&reply.text().await.unwrap(), "/models/claude-none` was not found");
}

#[tokio::test]
async fn a_guardrails_field_needs_its_header() {
    let gateway = Gateway::start().await;
    let mut body = sane();
    body["anthropic_version"] = json!("bedrock-2023-05-31");
    body["amazon-bedrock-guardrailConfig"] = json!({"tagSuffix": "x"});
    for (header, is_refused) in [(None, true), (Some("gr-1"), false)] {
        let mut request = gateway.signed(&format!("/model/{BEDROCK_MODEL}/invoke"), &body);
        if let Some(value) = header {
            request = request.header("x-amzn-bedrock-guardrailidentifier", value);
        }
        request.send().await.unwrap();
        let matched = gateway.simulator.orphans().pop().unwrap().matched;
        let is_rejected = matches!(matched, Matched::Rejected { rule } if rule == "known_fields");
        assert_eq!(is_rejected, is_refused, "{header:?}");
    }
}

#[tokio::test]
async fn one_model_of_the_list_can_be_asked_for() {
    let gateway = Gateway::start().await;
    let asked = async |name: &str| {
        let key = &gateway.simulator.credentials().anthropic_api_key;
        let request = gateway
            .get(&format!("/v1/models/{name}"))
            .header("x-api-key", key);
        let reply = request
            .header("anthropic-version", "2023-06-01")
            .send()
            .await
            .unwrap();
        (reply.status(), reply.json::<Value>().await.unwrap())
    };
    let (status, model) = asked("claude-haiku-4-5").await;
    assert_eq!(
        (status, &model["id"]),
        (StatusCode::OK, &json!("claude-haiku-4-5-20251001"))
    );
    let (status, error) = asked("claude-none").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(error["error"]["message"], "model: claude-none");
}
