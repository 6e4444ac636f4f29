//! The requests that the provider simulator refuses, and those that it must accept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use compat_matrix::wire::Route;
use compat_matrix::wire::exchange::Matched;
use compat_matrix::wire::script::{Reply, ReplyBlock};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::provider_client::*;
use crate::support::text::assert_has;

use Route::{Anthropic, Azure, BedrockConverse, BedrockInvoke, BedrockMantle, VertexAi};

/// A change to a prompt in the Messages API's form.
pub(super) type Change = fn(&mut Value);

/// Sends `body` for Haiku 4.5 and returns the broken rule and the message.
pub(super) async fn refusal(gateway: &Gateway, route: Route, body: &Value) -> Option<(String, String)> {
    refusal_of(gateway, MODEL, route, body).await
}

/// Sends `body` for `model` and returns the broken rule and the message.
pub(super) async fn refusal_of(
    gateway: &Gateway,
    model: &str,
    route: Route,
    body: &Value,
) -> Option<(String, String)> {
    let key = gateway.trial([text("ok")]);
    let mut body = body.clone();
    list(&mut body["messages"][0]["content"]).push(json!({"type": "text", "text": key}));
    let reply = gateway
        .ask_model(model, route, false, &body)
        .send()
        .await
        .unwrap();
    let status = reply.status();
    let error: Value = reply.json().await.unwrap();
    match &gateway.simulator.take(key)[0].matched {
        Matched::Rejected { rule } => {
            assert!(status.is_client_error());
            let message = error["error"]["message"].as_str().or(error["message"].as_str());
            Some((rule.clone(), message.unwrap().to_owned()))
        }
        other => {
            assert_eq!(
                (status, other),
                (StatusCode::OK, &Matched::Script { reply: 1 }),
                "{error}"
            );
            None
        }
    }
}

pub(super) fn list(value: &mut Value) -> &mut Vec<Value> {
    value.as_array_mut().unwrap()
}

/// A prompt with everything that rules check, which breaks none.
pub(super) fn sane() -> Value {
    json!({
        "max_tokens": 32000,
        "system": [{"type": "text", "text": "be brief"}],
        "tools": [{"name": "Bash", "description": "runs", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "run it"}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "so be it"},
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "x"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"},
            ]},
        ],
    })
}

pub(super) fn image(media_type: &str, data: &str) -> Value {
    json!({"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}})
}

const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

/// A PNG of one pixel's height.
pub(super) fn wide_png(width: u32) -> String {
    let mut png = std::io::Cursor::new(Vec::new());
    let image = image::DynamicImage::new_luma8(width, 1);
    image.write_to(&mut png, image::ImageFormat::Png).unwrap();
    STANDARD.encode(png.into_inner())
}

#[tokio::test]
async fn a_valid_prompt_is_accepted_on_every_route() {
    let gateway = Gateway::start().await;
    let mut with_image = sane();
    with_image["messages"][0]["content"][0] = image("image/png", PNG);
    for route in Route::ALL {
        assert_eq!(refusal(&gateway, route, &sane()).await, None, "{route:?}");
        assert_eq!(refusal(&gateway, route, &with_image).await, None, "{route:?}");
    }
}

/// The routes of a request, the rule that it breaks, words of the refusal and the change to a sane prompt.
pub(super) type Case = (&'static [Route], &'static str, &'static str, Change);

/// Asserts that each case breaks its rule on each of its routes.
pub(super) async fn each_is_refused(cases: &[Case]) {
    let gateway = Gateway::start().await;
    for (routes, rule, words, change) in cases {
        for route in *routes {
            let mut body = sane();
            change(&mut body);
            let found = refusal(&gateway, *route, &body).await;
            let (found_rule, message) = found.unwrap_or_else(|| panic!("{rule} on {route:?}: accepted"));
            assert_eq!(found_rule, *rule, "{route:?}: {message}");
            assert!(message.contains(words), "{route:?}: {message}");
        }
    }
}

#[tokio::test]
async fn a_broken_rule_is_refused_with_the_providers_message() {
    let cases: &[Case] = &[
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "max_tokens_required",
            "max_tokens: Field required",
            |body| drop(body.as_object_mut().unwrap().remove("max_tokens")),
        ),
        (
            &Route::ALL,
            "max_tokens_limit",
            "max_tokens: 64001 > 64000",
            |body| body["max_tokens"] = json!(64001),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "known_fields",
            "surprise: Extra inputs are not permitted",
            |body| body["surprise"] = json!(1),
        ),
        (
            &[BedrockInvoke, VertexAi],
            "known_fields",
            "cache_control: Extra inputs are not permitted",
            |body| body["cache_control"] = json!({"type": "ephemeral"}),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "beta_fields",
            "context_management: Extra inputs",
            |body| body["context_management"] = json!({"edits": []}),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "beta_fields",
            "safeguards: Extra inputs are not permitted",
            |body| body["safeguards"] = json!([{"type": "dangerous_tool_use"}]),
        ),
        (&[BedrockInvoke], "known_betas", "invalid beta flag", |body| {
            body["anthropic_beta"] = json!(["prompt-caching-scope-2026-01-05"])
        }),
        (
            &[VertexAi],
            "known_betas",
            "Unexpected value(s) `advanced-tool-use-2025-11-20` for the `anthropic-beta` header",
            |body| body["anthropic_beta"] = json!(["advanced-tool-use-2025-11-20"]),
        ),
        (
            &Route::ALL,
            "thinking_type",
            "adaptive thinking is not supported on this model",
            |body| body["thinking"] = json!({"type": "adaptive"}),
        ),
        (
            &Route::ALL,
            "thinking_budget",
            "`max_tokens` must be greater than `thinking.budget_tokens`",
            |body| body["thinking"] = json!({"type": "enabled", "budget_tokens": 32000}),
        ),
        (
            &Route::ALL,
            "thinking_budget",
            "greater than or equal to 1024",
            |body| body["thinking"] = json!({"type": "enabled", "budget_tokens": 1000}),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "thinking_temperature",
            "`temperature` may only be set to 1",
            |body| {
                body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
                body["temperature"] = json!(0.5);
            },
        ),
        (
            &Route::ALL,
            "thinking_signature",
            "messages.1.content.0: Invalid `signature` in `thinking` block",
            |body| {
                body["messages"][1]["content"][0] =
                    json!({"type": "thinking", "thinking": "hm", "signature": "AAAA"})
            },
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "tool_results_missing",
            "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
            |body| body["messages"][2]["content"] = json!([{"type": "text", "text": "well?"}]),
        ),
        (
            &[BedrockConverse],
            "tool_results_missing",
            "Expected toolResult blocks at messages.2.content for the following Ids: toolu_1",
            |body| body["messages"][2]["content"] = json!([{"type": "text", "text": "well?"}]),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "tool_results_surplus",
            "unexpected `tool_use_id` found in `tool_result` blocks: toolu_1",
            |body| drop(list(&mut body["messages"][1]["content"]).pop()),
        ),
        (
            &[BedrockConverse],
            "tool_results_surplus",
            "exceeds the number of toolUse blocks",
            |body| drop(list(&mut body["messages"][1]["content"]).pop()),
        ),
        (&Route::ALL, "tool_ids", "`tool_use` ids must be unique", |body| {
            let call = body["messages"][1]["content"][1].clone();
            list(&mut body["messages"][1]["content"]).push(call);
        }),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "tool_names",
            "Tool names must be unique",
            |body| {
                let tool = body["tools"][0].clone();
                list(&mut body["tools"]).push(tool);
            },
        ),
        (
            &[BedrockInvoke],
            "server_tools",
            "Input tag 'tool_search_tool_regex_20251119'",
            |body| {
                let tool =
                    json!({"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"});
                list(&mut body["tools"]).push(tool);
            },
        ),
        (
            &[BedrockInvoke, VertexAi],
            "server_tools",
            "Input tag 'web_fetch_20250910'",
            |body| list(&mut body["tools"]).push(json!({"type": "web_fetch_20250910", "name": "web_fetch"})),
        ),
        (
            &[BedrockInvoke, VertexAi, BedrockMantle],
            "server_tools",
            "Input tag 'mcp_toolset'",
            |body| {
                list(&mut body["tools"]).push(json!({"type": "mcp_toolset", "mcp_server_name": "library"}))
            },
        ),
        (
            &[BedrockInvoke],
            "deferred_loading",
            "tools.0.custom.defer_loading: Extra inputs are not permitted",
            |body| body["tools"][0]["defer_loading"] = json!(true),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi, Azure, BedrockMantle],
            "tool_reference",
            "Tool reference 'absent' not found in available tools",
            |body| {
                body["messages"][2]["content"][0]["content"] =
                    json!([{"type": "tool_reference", "tool_name": "absent"}])
            },
        ),
        (
            &[BedrockConverse],
            "tool_spec",
            "Value null at 'toolConfig.tools.1.member.toolSpec.inputSchema' failed to satisfy constraint",
            |body| drop(body["tools"][0].as_object_mut().unwrap().remove("input_schema")),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "tool_choice",
            "may only be specified while providing tools",
            |body| {
                body["tools"] = json!([]);
                body["tool_choice"] = json!({"type": "any"});
            },
        ),
        (
            &[BedrockConverse],
            "tool_config",
            "The toolConfig field must be defined",
            |body| drop(body.as_object_mut().unwrap().remove("tools")),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "empty_text",
            "messages: text content blocks must be non-empty",
            |body| body["messages"][0]["content"][0]["text"] = json!(""),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "empty_text",
            "messages: text content blocks must contain non-whitespace text",
            |body| body["messages"][0]["content"][0]["text"] = json!(" \n"),
        ),
        (
            &[BedrockConverse],
            "empty_text",
            "The text field in the ContentBlock object at messages.0.content.0 is blank",
            |body| body["messages"][0]["content"][0]["text"] = json!(""),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "empty_content",
            "all messages must have non-empty content",
            |body| body["messages"][2]["content"] = json!([]),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "roles",
            "Unexpected role \"system\"",
            |body| {
                list(&mut body["messages"])
                    .push(json!({"role": "system", "content": [{"type": "text", "text": "x"}]}))
            },
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "known_keys",
            "messages.0.reasoning_content: Extra inputs are not permitted",
            |body| body["messages"][0]["reasoning_content"] = json!("x"),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "known_keys",
            "messages.1.content.1.tool_use.text: Extra inputs are not permitted",
            |body| body["messages"][1]["content"][1]["text"] = json!("x"),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "known_keys",
            "messages.1.content.1.tool_use.input: Input should be an object",
            |body| body["messages"][1]["content"][1]["input"] = json!("{\"command\": \"x\"}"),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "known_keys",
            "thinking.disabled.display: Extra inputs are not permitted",
            |body| body["thinking"] = json!({"type": "disabled", "display": "omitted"}),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "known_keys",
            "messages.0.content.0.document.source.content.content.0.text.surprise: Extra inputs are not permitted",
            |body| {
                let text = json!({"type": "text", "text": "x", "surprise": 1});
                body["messages"][0]["content"][0] =
                    json!({"type": "document", "source": {"type": "content", "content": [text]}});
            },
        ),
        (
            &[Anthropic, VertexAi],
            "known_keys",
            "output_config.format.name: Extra inputs are not permitted",
            |body| {
                let format = json!({"type": "json_schema", "schema": {"type": "object"}, "name": "x"});
                body["output_config"] = json!({"format": format});
            },
        ),
        (
            &[BedrockInvoke, VertexAi],
            "known_keys",
            "context_management.edits.0.clear_thinking_20251015.trigger: Extra inputs are not permitted",
            |body| {
                let edit = json!({"type": "clear_thinking_20251015", "trigger": {}});
                body["anthropic_beta"] = json!(["context-management-2025-06-27"]);
                body["context_management"] = json!({"edits": [edit]});
            },
        ),
        (
            &[BedrockInvoke, VertexAi],
            "compaction",
            "context_management.edits.0: Input tag 'compact_20260112' found using 'type' does not match any of the expected \
             tags: 'clear_thinking_20251015', 'clear_tool_uses_20250919'",
            |body| {
                body["anthropic_beta"] = json!(["context-management-2025-06-27"]);
                body["context_management"] = json!({"edits": [{"type": "compact_20260112"}]});
            },
        ),
        (
            &[BedrockInvoke, VertexAi],
            "known_fields",
            "diagnostics: Extra inputs are not permitted",
            |body| body["diagnostics"] = json!({"previous_message_id": null}),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "tool_error_content",
            "messages.2.content.0: content cannot be empty if `is_error` is true",
            |body| {
                let result = &mut body["messages"][2]["content"][0];
                (result["is_error"], result["content"]) = (json!(true), json!([]));
            },
        ),
        (
            &[Anthropic, BedrockInvoke, BedrockConverse, VertexAi],
            "stop_sequences",
            "stop_sequences: each stop sequence must contain non-whitespace",
            |body| body["stop_sequences"] = json!(["end", "\n"]),
        ),
        (
            &[BedrockConverse],
            "stop_sequences",
            "'inferenceConfig.stopSequences' failed to satisfy constraint",
            |body| body["stop_sequences"] = json!([""]),
        ),
        (
            &[BedrockInvoke],
            "eager_input_streaming",
            "tools.0.custom.eager_input_streaming: Extra inputs are not permitted",
            |body| body["tools"][0]["eager_input_streaming"] = json!(true),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "tool_id_form",
            "messages.1.content.1.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
            |body| body["messages"][1]["content"][1]["id"] = json!("toolu 1!"),
        ),
        (
            &[BedrockConverse],
            "tool_id_form",
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_.:-]+",
            |body| body["messages"][1]["content"][1]["id"] = json!("toolu 1!"),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "tool_name_form",
            "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
            |body| body["tools"][0]["name"] = json!("a b!"),
        ),
        (
            &[BedrockConverse],
            "tool_name_form",
            "Value 'a b!' at 'toolConfig.tools.1.member.toolSpec.name' failed to satisfy constraint",
            |body| body["tools"][0]["name"] = json!("a b!"),
        ),
        (
            &[BedrockConverse],
            "tool_name_form",
            "Member must have length less than or equal to 64",
            |body| body["tools"][0]["name"] = json!("a".repeat(65)),
        ),
        (
            &Route::ALL,
            "forced_tool",
            "Thinking may not be enabled when tool_choice forces tool use.",
            |body| {
                body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
                body["tool_choice"] = json!({"type": "any"});
            },
        ),
        (
            &[BedrockInvoke, VertexAi],
            "image_source",
            "messages.0.content.0.image.source: Input tag 'url'",
            |body| {
                body["messages"][0]["content"][0] =
                    json!({"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}})
            },
        ),
        (
            &Route::ALL,
            "image",
            "messages.0.content.0.image.source.base64: image exceeds 5 MB maximum: 5592408 bytes > 5242880 bytes",
            |body| body["messages"][0]["content"][0] = image("image/png", &"A".repeat(5_592_408)),
        ),
        (
            &Route::ALL,
            "image",
            "messages.0.content.0.image.source.base64.data: At least one of the image dimensions exceed max allowed size: 8000",
            |body| body["messages"][0]["content"][0] = image("image/png", &wide_png(9000)),
        ),
        (&Route::ALL, "image", "Could not process image", |body| {
            body["messages"][0]["content"][0] = image("image/png", "bm90IGFuIGltYWdl")
        }),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "image",
            "specified using the image/jpeg media type, but the image appears to be a image/png image",
            |body| body["messages"][0]["content"][0] = image("image/jpeg", PNG),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "cache_breakpoints",
            "A maximum of 4 blocks with cache_control may be provided. Found 5.",
            |body| {
                let block = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
                body["system"] = json!([block, block, block, block, block]);
            },
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "cache_ttl",
            "ttl: Input should be '5m' or '1h'",
            |body| body["system"][0]["cache_control"] = json!({"type": "ephemeral", "ttl": "2h"}),
        ),
        (
            &[Anthropic, BedrockInvoke, VertexAi],
            "cache_ttl_order",
            "a ttl='1h' cache_control block must not come after a ttl='5m'",
            |body| {
                body["system"][0]["cache_control"] = json!({"type": "ephemeral"});
                body["messages"][0]["content"][0]["cache_control"] =
                    json!({"type": "ephemeral", "ttl": "1h"});
            },
        ),
    ];
    each_is_refused(cases).await;
}

#[tokio::test]
async fn returned_thinking_must_be_unchanged() {
    let gateway = Gateway::start().await;
    for route in Route::ALL {
        let thinking = ReplyBlock::Thinking("hm".to_owned());
        let answer = ReplyBlock::Text("ok".to_owned());
        let key = gateway.trial([Reply::Message(message(vec![thinking, answer]))]);
        let mut body = prompt(key);
        body["max_tokens"] = json!(4000);
        body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
        gateway.send(route, false, &body).await;
        let content = gateway.simulator.take(key).remove(0).reply.message.unwrap()["content"].take();
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": content}));
        messages.push(json!({"role": "user", "content": [{"type": "text", "text": "more"}]}));
        assert_eq!(refusal(&gateway, route, &body).await, None);
        body["messages"][1]["content"][0]["thinking"] = json!("hmm");
        let (rule, _) = refusal(&gateway, route, &body).await.unwrap();
        assert_eq!(rule, "thinking_signature");
    }
}

#[tokio::test]
async fn thinking_lost_in_a_tool_loop_is_refused() {
    let gateway = Gateway::start().await;
    for route in Route::ALL {
        let call = ReplyBlock::ToolUse {
            name: "Bash".to_owned(),
            input: json!({}),
        };
        let thinking = ReplyBlock::Thinking("hm".to_owned());
        let key = gateway.trial([Reply::Message(message(vec![thinking, call])), text("ok")]);
        let mut body = prompt(key);
        body["max_tokens"] = json!(4000);
        body["tools"] = sane()["tools"].clone();
        body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
        let first: Value = gateway.send(route, false, &body).await.json().await.unwrap();
        let id = match route {
            BedrockConverse => &first["output"]["message"]["content"][1]["toolUse"]["toolUseId"],
            _ => &first["content"][1]["id"],
        };
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "Bash", "input": {}}]}));
        messages.push(
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "x"}]}),
        );
        let reply = gateway.send(route, false, &body).await;
        assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
        let refusal = reply.text().await.unwrap();
        assert_has(
            &refusal,
            "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
        );
        body["thinking"] = json!({"type": "disabled"});
        assert_eq!(
            gateway.send(route, false, &body).await.status(),
            StatusCode::OK,
            "without thinking no block is required"
        );
    }
}
