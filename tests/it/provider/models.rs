//! The API versions, the names of models on each route, and the rules that depend on the model.

use compat_matrix::wire::Route;
use compat_matrix::wire::script::{Reply, ReplyBlock};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::rules::{list, refusal_of, sane};
use crate::support::provider_client::*;
use crate::support::text::assert_has;

use Route::{Anthropic, BedrockConverse, BedrockInvoke, VertexAi};

const NEW: &str = "2026-10-21";
const HAIKU: &str = "claude-haiku-4-5";
const SONNET: &str = "claude-sonnet-4-6";
const OPUS: &str = "claude-opus-4-7";
const OLDER: &str = "claude-opus-4-1";

/// A request with the new version.
pub(super) fn with_new_version(gateway: &Gateway, model: &str, route: Route, body: &Value) -> RequestBuilder {
    let mut body = body.clone();
    if matches!(route, BedrockInvoke | VertexAi) {
        body["anthropic_version"] = json!(NEW);
    }
    let mut request = gateway.ask_model(model, route, false, &body).build().unwrap();
    if route == Anthropic {
        request
            .headers_mut()
            .insert("anthropic-version", NEW.parse().unwrap());
    }
    RequestBuilder::from_parts(gateway.client.clone(), request)
}

async fn status_and_message(request: RequestBuilder) -> (u16, String) {
    let reply = request.send().await.unwrap();
    let status = reply.status().as_u16();
    let body: Value = reply.json().await.unwrap();
    let message = body["error"]["message"].as_str().or(body["message"].as_str());
    (status, message.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_version_is_required_if_the_provider_has_one() {
    let gateway = Gateway::start().await;
    let body = sane();
    let mut anthropic = gateway.ask(Anthropic, false, &body).build().unwrap();
    anthropic.headers_mut().remove("anthropic-version");
    let anthropic = RequestBuilder::from_parts(gateway.client.clone(), anthropic);
    let invoke = gateway.signed(&format!("/model/{BEDROCK_MODEL}/invoke"), &body);
    let vertex = gateway.vertex("claude-haiku-4-5:rawPredict", &body);
    for request in [anthropic, invoke, vertex] {
        let (status, message) = status_and_message(request).await;
        assert_eq!(status, 400);
        assert_has(&message, "version: ");
    }
}

#[tokio::test]
async fn the_new_version_is_taken_where_the_provider_takes_it() {
    let gateway = Gateway::start().await;
    for (model, route, accepted) in [
        (HAIKU, Anthropic, true),
        (HAIKU, VertexAi, true),
        (OPUS, Anthropic, true),
        (OPUS, VertexAi, true),
        (OPUS, BedrockInvoke, true),
        ("claude-opus-5-5", BedrockInvoke, true),
        (HAIKU, BedrockInvoke, false),
        (SONNET, BedrockInvoke, false),
    ] {
        let key = gateway.trial([text("ok")]);
        let request = with_new_version(&gateway, model, route, &prompt(key));
        let (status, message) = status_and_message(request).await;
        match accepted {
            true => assert_eq!((status, message.as_str()), (200, ""), "{model} {route:?}"),
            false => assert_eq!(
                (status, message.as_str()),
                (400, "anthropic_version: Input should be 'bedrock-2023-05-31'")
            ),
        }
    }
}

#[tokio::test]
async fn the_new_version_has_no_sampling_parameters() {
    let gateway = Gateway::start().await;
    for route in [Anthropic, BedrockInvoke, VertexAi] {
        for (name, value) in [
            ("temperature", json!(1)),
            ("top_p", json!(0.9)),
            ("top_k", json!(5)),
        ] {
            let mut body = sane();
            body[name] = value;
            let (status, message) = status_and_message(with_new_version(&gateway, OPUS, route, &body)).await;
            assert_eq!(status, 400);
            assert_eq!(message, format!("{name}: Extra inputs are not permitted"));
        }
        let mut cited = sane();
        cited["messages"][0]["content"][0]["citations"] = json!([{"type": "char_location"}]);
        let mut document = sane();
        document["messages"][1]["content"][0] =
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}});
        for body in [cited, document] {
            assert_eq!(
                refusal_of(&gateway, OPUS, route, &body).await,
                None,
                "the old version takes it"
            );
            let (status, _) = status_and_message(with_new_version(&gateway, OPUS, route, &body)).await;
            assert_eq!(status, 400);
        }
    }
}

#[tokio::test]
async fn an_unknown_model_is_refused_in_the_providers_shape() {
    let gateway = Gateway::start().await;
    let body = prompt(new_key());
    let mut anthropic = body.clone();
    anthropic["model"] = json!("claude-nonexistent-9");
    let anthropic = gateway.anthropic("/v1/messages", &anthropic);
    let reply = anthropic.send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::NOT_FOUND);
    let error: Value = reply.json().await.unwrap();
    assert_eq!(
        error["error"],
        json!({"type": "not_found_error", "message": "model: claude-nonexistent-9"})
    );

    for id in [
        "us.anthropic.claude-haiku-4-5",
        "us.anthropic.claude-haiku-4-5-20251001-v1%253A0",
    ] {
        for verb in ["invoke", "converse-stream"] {
            let reply = gateway
                .signed(&format!("/model/{id}/{verb}"), &body)
                .send()
                .await
                .unwrap();
            assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
            let kind = reply.headers()["x-amzn-errortype"].to_str().unwrap().to_owned();
            assert_has(&kind, "ValidationException:");
            let error: Value = reply.json().await.unwrap();
            assert_eq!(
                error,
                json!({"message": "The provided model identifier is invalid."})
            );
        }
    }

    let vertex = gateway.vertex("claude-haiku-4-5@20250101:rawPredict", &body);
    let reply = vertex.send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::NOT_FOUND);
    let error: Value = reply.json().await.unwrap();
    assert_eq!(error["error"]["status"], "NOT_FOUND");
    let message = error["error"]["message"].as_str().unwrap();
    assert_has(message, "models/claude-haiku-4-5@20250101` was not found");
}

#[tokio::test]
async fn another_project_is_not_permitted_on_vertex_ai() {
    let gateway = Gateway::start().await;
    let path =
        "/v1/projects/another/locations/us-east5/publishers/anthropic/models/claude-opus-4-7:rawPredict";
    let request = gateway.post(path, &sane()).bearer_auth(&gateway.access_token);
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::FORBIDDEN);
    let error: Value = reply.json().await.unwrap();
    assert_eq!(error["error"]["status"], "PERMISSION_DENIED");
}

type Change = fn(&mut Value);
/// A model, its routes, a change to a valid prompt, and the broken rule with its message.
pub(super) type Case<'a> = (&'a str, &'a [Route], Change, Option<(&'a str, &'a str)>);

/// Bedrock's Messages API has no Sonnet 4.6.
fn is_on(route: Route, model: &str) -> bool {
    route != Route::BedrockMantle || model != SONNET
}

/// Asserts that each case breaks the rule that it names, or none.
pub(super) async fn each_has_its_verdict(cases: &[Case<'_>]) {
    let gateway = Gateway::start().await;
    for (model, routes, change, wanted) in cases {
        for route in routes.iter().filter(|route| is_on(**route, model)) {
            let mut body = sane();
            change(&mut body);
            let found = refusal_of(&gateway, model, *route, &body).await;
            match (found, wanted) {
                (None, None) => {}
                (Some((rule, message)), Some((wanted_rule, words))) => {
                    assert_eq!(rule, *wanted_rule, "{model} {route:?}: {message}");
                    assert!(message.contains(words), "{model} {route:?}: {message}");
                }
                (found, wanted) => panic!("{model} {route:?}: {found:?}, wanted {wanted:?}"),
            }
        }
    }
}

#[tokio::test]
async fn each_model_has_its_own_parameters() {
    let half: Change = |body| body["temperature"] = json!(0.5);
    let default: Change = |body| body["temperature"] = json!(1.0);
    let both: Change = |body| {
        body["temperature"] = json!(0.5);
        body["top_p"] = json!(0.9);
    };
    let high: Change = |body| body["output_config"] = json!({"effort": "high"});
    let xhigh: Change = |body| body["output_config"] = json!({"effort": "xhigh"});
    let huge: Change = |body| body["output_config"] = json!({"effort": "huge"});
    let max: Change = |body| body["output_config"] = json!({"effort": "max"});
    let hot: Change = |body| body["temperature"] = json!(1.5);
    let cold: Change = |body| body["temperature"] = json!(-1);
    let wide: Change = |body| body["top_p"] = json!(1.5);
    let negative: Change = |body| body["top_k"] = json!(-5);
    let prefill: Change = |body| {
        let text = json!([{"type": "text", "text": "{"}]);
        list(&mut body["messages"]).push(json!({"role": "assistant", "content": text}));
    };
    let system: Change = |body| {
        let text = json!([{"type": "text", "text": "be brief"}]);
        list(&mut body["messages"]).push(json!({"role": "system", "content": text}));
    };
    let changed_effort: Change = |body| {
        let entry = json!({"role": "system", "content": [], "output_config": {"effort": "low"}});
        list(&mut body["messages"]).push(entry);
    };
    let empty_system: Change =
        |body| list(&mut body["messages"]).push(json!({"role": "system", "content": []}));
    let long: Change = |body| {
        let text = "word ".repeat(200_000);
        list(&mut body["messages"][0]["content"]).push(json!({"type": "text", "text": text}));
    };
    let long_with_beta: Change = |body| {
        body["anthropic_beta"] = json!(["context-1m-2025-08-07"]);
        let text = "word ".repeat(200_000);
        list(&mut body["messages"][0]["content"]).push(json!({"type": "text", "text": text}));
    };
    let hour: Change = |body| body["system"][0]["cache_control"] = json!({"type": "ephemeral", "ttl": "1h"});
    let adaptive: Change = |body| body["thinking"] = json!({"type": "adaptive"});
    let deprecated = "`temperature` is deprecated for this model.";
    let one = "`temperature` and `top_p` cannot both be specified for this model. Please use only one.";
    let no_prefill = "This model does not support assistant message prefill. The conversation must end with a user message.";
    let levels =
        "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.";
    let no_effort = "This model does not support the effort parameter.";
    const BEDROCK: [Route; 2] = [BedrockInvoke, BedrockConverse];
    const WITH_SYSTEM: [Route; 3] = [Anthropic, BedrockInvoke, VertexAi];
    let cases: &[Case] = &[
        (OPUS, &Route::ALL, half, Some(("sampling_deprecated", deprecated))),
        (OPUS, &Route::ALL, default, None),
        (SONNET, &Route::ALL, half, None),
        (SONNET, &Route::ALL, both, Some(("one_sampling_parameter", one))),
        (HAIKU, &Route::ALL, both, Some(("one_sampling_parameter", one))),
        (
            SONNET,
            &WITH_SYSTEM,
            hot,
            Some(("sampling_range", "temperature: range: 0..1")),
        ),
        (
            OPUS,
            &WITH_SYSTEM,
            hot,
            Some(("sampling_range", "temperature: range: 0..1")),
        ),
        (
            SONNET,
            &WITH_SYSTEM,
            wide,
            Some(("sampling_range", "top_p: range: 0..1")),
        ),
        (
            HAIKU,
            &WITH_SYSTEM,
            cold,
            Some((
                "sampling_range",
                "`temperature` cannot be set to -1 for this model.",
            )),
        ),
        (OLDER, &[VertexAi], cold, None),
        (
            OLDER,
            &[VertexAi],
            hot,
            Some(("sampling_range", "temperature: range: -1 or 0..1")),
        ),
        (
            HAIKU,
            &[BedrockConverse],
            hot,
            Some((
                "sampling_range",
                "Value '1.5' at 'inferenceConfig.temperature' failed to satisfy constraint: Member must have value less than or equal to 1",
            )),
        ),
        (
            HAIKU,
            &[BedrockConverse],
            wide,
            Some(("sampling_range", "Value '1.5' at 'inferenceConfig.topP' failed")),
        ),
        (
            HAIKU,
            &Route::ALL,
            negative,
            Some((
                "sampling_range",
                "top_k: Input should be greater than or equal to 0",
            )),
        ),
        (HAIKU, &Route::ALL, high, Some(("effort", no_effort))),
        (
            "claude-sonnet-4-5",
            &[Anthropic, VertexAi],
            high,
            Some(("effort", no_effort)),
        ),
        (OLDER, &[VertexAi], high, Some(("effort", no_effort))),
        ("claude-opus-4-5", &[Anthropic, VertexAi], high, None),
        (
            "claude-opus-4-5",
            &[Anthropic, VertexAi],
            max,
            Some((
                "effort",
                "This model does not support effort level 'max'. Supported levels: high, low, medium.",
            )),
        ),
        ("claude-opus-4-6", &[Anthropic, VertexAi], max, None),
        (
            "claude-opus-4-6",
            &[Anthropic, VertexAi],
            xhigh,
            Some(("effort", levels)),
        ),
        (SONNET, &Route::ALL, high, None),
        (SONNET, &Route::ALL, max, None),
        (SONNET, &Route::ALL, xhigh, Some(("effort", levels))),
        (OPUS, &Route::ALL, xhigh, None),
        (
            OPUS,
            &Route::ALL,
            huge,
            Some((
                "effort",
                "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
            )),
        ),
        (
            "claude-sonnet-4-5",
            &WITH_SYSTEM,
            adaptive,
            Some((
                "thinking_type",
                "adaptive thinking is not supported on this model",
            )),
        ),
        ("claude-opus-4-6", &WITH_SYSTEM, adaptive, None),
        (HAIKU, &BEDROCK, hour, None),
        (OLDER, &[VertexAi], hour, None),
        (
            OLDER,
            &BEDROCK,
            hour,
            Some((
                "cache_ttl_offered",
                "system.0.cache_control.ephemeral.ttl: Extra inputs are not permitted",
            )),
        ),
        (OPUS, &Route::ALL, prefill, Some(("prefill", no_prefill))),
        (SONNET, &[Anthropic], prefill, Some(("prefill", no_prefill))),
        (SONNET, &BEDROCK, prefill, None),
        (HAIKU, &Route::ALL, prefill, None),
        ("claude-opus-4-8", &WITH_SYSTEM, system, None),
        ("claude-sonnet-5-5", &WITH_SYSTEM, system, None),
        ("claude-sonnet-5-5", &WITH_SYSTEM, changed_effort, None),
        (
            "claude-sonnet-5-5",
            &WITH_SYSTEM,
            empty_system,
            Some(("empty_content", "all messages must have non-empty content")),
        ),
        (
            OPUS,
            &WITH_SYSTEM,
            system,
            Some((
                "roles",
                "messages: Unexpected role \"system\". The Messages API accepts",
            )),
        ),
        (
            HAIKU,
            &[Anthropic, VertexAi],
            long,
            Some(("context_window", " tokens > 200000 maximum")),
        ),
        (
            HAIKU,
            &BEDROCK,
            long,
            Some(("context_window", "Input is too long.")),
        ),
        (SONNET, &Route::ALL, long, None),
        (
            HAIKU,
            &[BedrockInvoke],
            long_with_beta,
            Some(("context_window", "Input is too long.")),
        ),
        ("claude-sonnet-4-5", &[BedrockInvoke], long_with_beta, None),
    ];
    each_has_its_verdict(cases).await;
}

#[tokio::test]
async fn omitted_thinking_is_a_signature_alone() {
    let gateway = Gateway::start().await;
    let adaptive = |display: Option<&str>| match display {
        Some(display) => json!({"type": "adaptive", "display": display}),
        None => json!({"type": "adaptive"}),
    };
    for (model, display, shown) in [
        (SONNET, Some("omitted"), ""),
        (SONNET, None, "hm well"),
        (OPUS, None, ""),
        (OPUS, Some("summarized"), "hm well"),
        (OPUS, Some("updates"), "hm well"),
    ] {
        for route in Route::ALL.into_iter().filter(|route| is_on(*route, model)) {
            let blocks = [
                ReplyBlock::Thinking("hm well".to_owned()),
                ReplyBlock::Text("ok".to_owned()),
            ];
            let reply = Reply::Message(message(blocks.into()));
            let key = gateway.trial([reply.clone(), reply, text("more")]);
            let mut body = prompt(key);
            body["thinking"] = adaptive(display);
            let reply = gateway.ask_model(model, route, true, &body).send().await.unwrap();
            assert_eq!(reply.status(), StatusCode::OK, "{model} {route:?}");
            let events = read_stream(route, reply).await;
            let thinking: String = events
                .iter()
                .filter_map(|event| {
                    let converse = &event["contentBlockDelta"]["delta"]["reasoningContent"]["text"];
                    event["delta"]["thinking"].as_str().or(converse.as_str())
                })
                .collect();
            assert_eq!(thinking, shown, "{model} {display:?} {route:?}");
            let whole = gateway
                .ask_model(model, route, false, &body)
                .send()
                .await
                .unwrap();
            assert_eq!(whole.status(), StatusCode::OK);
            let content = gateway.simulator.take(key)[1].reply.message.clone().unwrap()["content"].take();
            assert_eq!(content[0]["thinking"], shown);
            assert!(!content[0]["signature"].as_str().unwrap().is_empty());
            // The block goes back unchanged.
            let key = gateway.trial([text("more")]);
            list(&mut body["messages"]).push(json!({"role": "assistant", "content": content}));
            let more = format!("{key}");
            list(&mut body["messages"])
                .push(json!({"role": "user", "content": [{"type": "text", "text": more}]}));
            let reply = gateway
                .ask_model(model, route, false, &body)
                .send()
                .await
                .unwrap();
            assert_eq!(reply.status(), StatusCode::OK, "{model} {route:?}");
        }
    }
}

#[tokio::test]
async fn only_bedrock_streams_have_no_ping() {
    let gateway = Gateway::start().await;
    for (route, pings) in [(Anthropic, 1), (VertexAi, 1), (BedrockInvoke, 0)] {
        let key = gateway.trial([text("one two")]);
        let events = read_stream(route, gateway.send(route, true, &prompt(key)).await).await;
        let found = events.iter().filter(|event| event["type"] == "ping").count();
        assert_eq!(found, pings, "{route:?}");
    }
}

#[tokio::test]
async fn a_breakpoint_of_the_whole_request_caches_its_end() {
    let gateway = Gateway::start().await;
    let key = gateway.trial([text("ok"), text("ok")]);
    let mut body = prompt(key);
    body["system"] = json!([{"type": "text", "text": "word ".repeat(8000)}]);
    body["cache_control"] = json!({"type": "ephemeral", "ttl": "1h"});
    let first: Value = gateway.send(Anthropic, false, &body).await.json().await.unwrap();
    assert!(
        first["usage"]["cache_creation"]["ephemeral_1h_input_tokens"]
            .as_u64()
            .unwrap()
            > 4096
    );
    let second: Value = gateway.send(Anthropic, false, &body).await.json().await.unwrap();
    assert_eq!(
        second["usage"]["cache_read_input_tokens"],
        first["usage"]["cache_creation_input_tokens"]
    );
}

#[tokio::test]
async fn converse_names_the_lifetime_of_what_it_cached() {
    let gateway = Gateway::start().await;
    let key = gateway.trial([text("ok")]);
    let mut body = to_converse(&prompt(key));
    body["system"] = json!([
        {"text": "word ".repeat(8000)},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
    ]);
    let request = gateway.signed(&format!("/model/{BEDROCK_MODEL}/converse"), &body);
    let reply: Value = request.send().await.unwrap().json().await.unwrap();
    let written = reply["usage"]["cacheWriteInputTokens"].clone();
    assert_eq!(
        reply["usage"]["cacheDetails"],
        json!([{"ttl": "1h", "inputTokens": written}])
    );
}
