//! What differs on Microsoft Foundry and on Bedrock's Messages API.

use compat_matrix::wire::Route;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::provider_client::*;
use crate::support::text::assert_has;

const PATH: &str = "/anthropic/v1/messages";

/// A prompt for `model`.
fn ask(model: &str) -> Value {
    let mut body = prompt(new_key());
    body["model"] = json!(model);
    body
}

async fn sent(request: RequestBuilder) -> (StatusCode, reqwest::header::HeaderMap, Value) {
    let reply = request
        .header("anthropic-version", "2023-06-01")
        .send()
        .await
        .unwrap();
    (
        reply.status(),
        reply.headers().clone(),
        reply.json().await.unwrap(),
    )
}

/// The status and the message of the reply; a valid request of no trial gets the simulator's own refusal.
async fn verdict(request: RequestBuilder) -> (u16, String) {
    let (status, _, body) = sent(request).await;
    let message = body["error"]["message"].as_str().unwrap_or_default();
    (status.as_u16(), message.to_owned())
}

const ACCEPTED: &str = "provider simulator: the request belongs to no active trial";

#[tokio::test]
async fn foundry_takes_its_key_in_two_headers_or_a_token() {
    let gateway = Gateway::start().await;
    let credentials = gateway.simulator.credentials();
    let request = || gateway.post(PATH, &ask(MODEL));
    for authorized in [
        request().header("x-api-key", &credentials.azure_api_key),
        request().header("api-key", &credentials.azure_api_key),
        request().bearer_auth(&credentials.entra_token),
    ] {
        assert_has(&verdict(authorized).await.1, ACCEPTED);
    }
    let (status, headers, body) = sent(request().header("api-key", "wrong")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["error"]["code"], "401");
    assert_eq!(body.get("type"), None, "not in Anthropic's form");
    assert!(headers.contains_key("apim-request-id"));
    assert!(!headers.contains_key("request-id"));
}

#[tokio::test]
async fn foundry_names_its_deployments() {
    let gateway = Gateway::start().await;
    let azure_key = &gateway.simulator.credentials().azure_api_key;
    for model in [
        "claude-haiku-3",
        "claude-haiku-4-5-20251001",
        "claude-opus-4-7-hosted-on-azure",
        "claude-sonnet-4-6-hosted-on-azure",
        "gpt-5.6",
    ] {
        let (status, _, body) = sent(gateway.post(PATH, &ask(model)).header("api-key", azure_key)).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{model}");
        assert_eq!(body["error"]["code"], "DeploymentNotFound");
    }
    for model in [
        "claude-opus-4-7",
        "claude-haiku-5-5",
        "claude-opus-5-hosted-on-azure",
    ] {
        let (_, message) = verdict(gateway.post(PATH, &ask(model)).header("api-key", azure_key)).await;
        assert_has(&message, ACCEPTED);
    }
}

#[tokio::test]
async fn foundry_replies_have_two_ids_and_no_rate_limits() {
    let gateway = Gateway::start().await;
    let key = gateway.trial([text("ok")]);
    let reply = gateway.send(Route::Azure, false, &prompt(key)).await;
    assert_eq!(reply.status(), StatusCode::OK);
    for name in ["request-id", "apim-request-id"] {
        assert!(reply.headers().contains_key(name), "{name}");
    }
    let names = reply.headers().keys().map(reqwest::header::HeaderName::as_str);
    assert!(!names.into_iter().any(|name| name.contains("ratelimit")));
}

#[tokio::test]
async fn what_a_cloud_lacks_is_refused_there_only() {
    let gateway = Gateway::start().await;
    let credentials = gateway.simulator.credentials();
    let on_anthropic = "claude-haiku-4-5";
    let on_azure = "claude-haiku-4-5-hosted-on-azure";
    let on_mantle = "anthropic.claude-haiku-4-5";
    type Change = fn(&mut Value);
    let server_tool: Change = |body| {
        body["tools"] = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    };
    let tool_search: Change = |body| {
        body["tools"] =
            json!([{"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}]);
    };
    let schema: Change =
        |body| body["output_config"] = json!({"format": {"type": "json_schema", "schema": {}}});
    let fallbacks: Change = |body| body["fallbacks"] = json!([]);
    let advisor: Change = |body| {
        body["tools"] = json!([{"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-5"}]);
    };
    let toolset: Change = |body| {
        body["tools"] = json!([{"type": "mcp_toolset", "mcp_server_name": "library"}]);
    };
    let image: Change = |body| {
        let source = json!({"type": "url", "url": "https://example.com/x.png"});
        body["messages"][0]["content"] = json!([{"type": "image", "source": source}]);
    };
    let document: Change = |body| {
        let source = json!({"type": "file", "file_id": "file_1"});
        body["messages"][0]["content"] = json!([{"type": "document", "source": source}]);
    };
    for (change, models, words) in [
        (
            server_tool,
            vec![on_azure, on_mantle],
            "Input tag 'web_search_20250305'",
        ),
        (
            tool_search,
            vec![on_azure],
            "Input tag 'tool_search_tool_regex_20251119'",
        ),
        (
            schema,
            vec![on_azure, on_mantle],
            "output_config.format: Extra inputs",
        ),
        (
            fallbacks,
            vec![on_azure, on_anthropic, on_mantle],
            "fallbacks: Extra inputs",
        ),
        (
            advisor,
            vec![on_azure, on_anthropic, on_mantle],
            "Input tag 'advisor_20260301'",
        ),
        (toolset, vec![on_azure, on_mantle], "Input tag 'mcp_toolset'"),
        (
            image,
            vec![on_mantle],
            "messages.0.content.0.image.source: Input tag 'url'",
        ),
        (
            document,
            vec![on_azure, on_mantle],
            "messages.0.content.0.document.source: Input tag 'file'",
        ),
    ] {
        for model in [on_anthropic, on_azure, on_mantle] {
            let mut body = ask(model);
            change(&mut body);
            let request = match model == on_mantle {
                true => gateway
                    .post(PATH, &body)
                    .bearer_auth(&credentials.bedrock_api_key),
                false => gateway
                    .post(PATH, &body)
                    .header("x-api-key", &credentials.azure_api_key),
            };
            let (_, message) = verdict(request).await;
            let expected = if models.contains(&model) { words } else { ACCEPTED };
            assert_has(&message, expected);
        }
    }
}

#[tokio::test]
async fn bedrocks_messages_api_has_its_own_names_of_models() {
    let gateway = Gateway::start().await;
    for (model, is_served) in [
        ("anthropic.claude-haiku-4-5", true),
        ("anthropic.claude-opus-4-7", true),
        ("anthropic.claude-sonnet-5-5", true),
        ("anthropic.claude-sonnet-4-6", false),
        ("us.anthropic.claude-opus-4-7", false),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", false),
    ] {
        let (status, message) = verdict(gateway.signed(PATH, &ask(model))).await;
        let expected = format!("The model '{model}' does not exist");
        assert_has(&message, if is_served { ACCEPTED } else { &expected });
        assert_eq!(status, if is_served { 400 } else { 404 });
    }
    let unsigned = gateway.post(PATH, &ask("anthropic.claude-haiku-4-5"));
    let (status, message) = verdict(unsigned).await;
    assert_eq!((status, message.as_str()), (403, "Missing Authentication Token"));
    let unknown_beta = gateway
        .signed(PATH, &ask("anthropic.claude-haiku-4-5"))
        .header("anthropic-beta", "files-api-2025-04-14");
    assert_eq!(verdict(unknown_beta).await.1, "invalid beta flag");
}

#[tokio::test]
async fn newer_models_take_system_within_a_conversation() {
    let gateway = Gateway::start().await;
    let azure_key = &gateway.simulator.credentials().azure_api_key;
    for (model, takes_system) in [
        ("claude-haiku-4-5", false),
        ("claude-opus-4-7", false),
        ("claude-opus-4-8", true),
        ("claude-sonnet-5-5", true),
    ] {
        let mut body = ask(model);
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "system", "content": [{"type": "text", "text": "Be brief."}]}));
        let (_, message) = verdict(gateway.post(PATH, &body).header("x-api-key", azure_key)).await;
        let refusal = "messages: Unexpected role \"system\"";
        assert_has(&message, if takes_system { ACCEPTED } else { refusal });
    }
}
