//! Requests that the types of the official SDK (`anthropic` 2.14.0) allow.

use compat_matrix::wire::Route;
use serde_json::json;

use super::rules::{Change, list, refusal_of, sane};
use crate::support::provider_client::*;

use Route::{Anthropic, Azure, BedrockInvoke, BedrockMantle, VertexAi};

#[tokio::test]
async fn what_the_official_sdk_sends_is_accepted() {
    let cases: &[(&[Route], &str, Change)] = &[
        (&[Anthropic, VertexAi, Azure], MODEL, |body| {
            body["thinking"] = json!({"type": "between_tools"})
        }),
        (&[Anthropic, BedrockInvoke, BedrockMantle], MODEL, |body| {
            body["messages"][2]["content"][0]["content"] = json!([{
                "type": "browser_state",
                "tabs": [{"tab_id": "1", "title": "", "url": "", "active": true}],
                "state_changes": [{"type": "tab_opened", "tab_id": "1"}],
            }])
        }),
        (&[Anthropic], MODEL, |body| body["speed"] = json!("standard")),
        (&[Anthropic], "claude-opus-5-5", |body| {
            body["speed"] = json!("fast")
        }),
        (&[BedrockInvoke, BedrockMantle], MODEL, |body| {
            body["user_profile_id"] = json!("uprof_1")
        }),
        (&[Anthropic, VertexAi, BedrockMantle], "claude-opus-5-5", |body| {
            list(&mut body["messages"]).push(json!({"role": "system", "output_config": {"effort": "low"}}))
        }),
        (&[Anthropic, VertexAi, BedrockMantle], MODEL, |body| {
            let far = json!({"name": "far", "input_schema": {"type": "object"}, "defer_loading": true});
            list(&mut body["tools"]).push(far)
        }),
        (&[Anthropic, BedrockInvoke], MODEL, |body| {
            body["messages"][2]["content"][0]["content"] =
                json!([{"type": "tool_reference", "tool_name": "Bash"}])
        }),
    ];
    let gateway = Gateway::start().await;
    for (routes, model, change) in cases {
        for route in *routes {
            let mut body = sane();
            change(&mut body);
            assert_eq!(
                refusal_of(&gateway, model, *route, &body).await,
                None,
                "{route:?}: {body}"
            );
        }
    }
}

#[tokio::test]
async fn an_entry_without_content_must_change_the_effort() {
    let gateway = Gateway::start().await;
    for entry in [
        json!({"role": "system"}),
        json!({"role": "system", "output_config": {}}),
        json!({"role": "user", "output_config": {"effort": "low"}}),
    ] {
        let mut body = sane();
        list(&mut body["messages"]).push(entry);
        let (rule, message) = refusal_of(&gateway, "claude-opus-5-5", Anthropic, &body)
            .await
            .unwrap();
        assert_eq!(
            (rule.as_str(), message.as_str()),
            ("known_keys", "messages.3.content: Field required")
        );
    }
}
