//! The fields and headers of replies that not every route has.

use compat_matrix::wire::script::{Reply, ReplyError};
use compat_matrix::wire::{Route, event_stream, reply_id};
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::support::provider_client::*;

/// The recordings and pages that `wire::reply_fields` names show the fields.
#[tokio::test]
async fn each_route_sends_the_fields_of_its_recordings() {
    let gateway = Gateway::start().await;
    for (route, usage, has_details) in [
        (Route::Anthropic, Some(("standard", "not_available")), true),
        (Route::Azure, Some(("standard", "")), true),
        (Route::BedrockInvoke, None, true),
        (Route::VertexAi, None, false),
        (Route::BedrockMantle, None, false),
    ] {
        let key = gateway.trial([text("one"), text("two")]);
        let whole = gateway.send(route, false, &prompt(key)).await;
        let headers = whole.headers().clone();
        let body: Value = whole.json().await.unwrap();
        let streamed = gateway.send(route, true, &prompt(key)).await;
        let lists_counts = |headers: &HeaderMap| headers.contains_key("x-amzn-bedrock-input-token-count");
        assert!(
            !lists_counts(streamed.headers()),
            "a stream has its counts at its end"
        );
        assert_eq!(lists_counts(&headers), route == Route::BedrockInvoke);
        let events = read_stream(route, streamed).await;
        let start = &events
            .iter()
            .find(|event| event["type"] == "message_start")
            .unwrap()["message"];
        let end = &events
            .iter()
            .find(|event| event["type"] == "message_delta")
            .unwrap()["delta"];
        for message in [&body, start] {
            let field = |name: &str| message["usage"][name].as_str();
            assert_eq!(field("service_tier"), usage.map(|(tier, _)| tier), "{route:?}");
            let geography = usage
                .map(|(_, geography)| geography)
                .filter(|name| !name.is_empty());
            assert_eq!(field("inference_geo"), geography, "{route:?}");
            assert_eq!(message["usage"].get("server_tool_use"), None);
            assert_eq!(message.get("stop_details").is_some(), has_details, "{route:?}");
        }
        assert_eq!(end.get("stop_details").is_some(), has_details, "{route:?}");
        let limits = headers
            .keys()
            .filter(|name| name.as_str().starts_with("anthropic-ratelimit-"));
        let is_anthropics = route == Route::Anthropic;
        assert_eq!(limits.count(), if is_anthropics { 12 } else { 0 }, "{route:?}");
        assert_eq!(headers.contains_key("anthropic-organization-id"), is_anthropics);
    }
}

#[tokio::test]
async fn an_error_of_anthropic_names_the_organization() {
    let gateway = Gateway::start().await;
    let refused = |status| {
        Reply::Error(ReplyError {
            status,
            message: "no".to_owned(),
            ..ReplyError::default()
        })
    };
    for (route, status, organization, retry) in [
        (Route::Anthropic, 429, true, Some("true")),
        (Route::Anthropic, 529, true, None),
        (Route::Anthropic, 401, false, None),
        (Route::Azure, 429, false, None),
    ] {
        let key = gateway.trial([refused(status)]);
        let reply = gateway.send(route, false, &prompt(key)).await;
        let header = |name: &str| reply.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(
            header("anthropic-organization-id").is_some(),
            organization,
            "{route:?} {status}"
        );
        assert_eq!(header("x-should-retry"), retry, "{route:?} {status}");
    }
}

#[tokio::test]
async fn bedrock_pads_its_events_and_seals_its_ids() {
    let gateway = Gateway::start().await;
    for route in [Route::BedrockInvoke, Route::BedrockConverse] {
        let key = gateway.trial([text("one two three")]);
        let reply = gateway.send(route, true, &prompt(key)).await;
        let id = reply.headers()["x-amzn-requestid"].to_str().unwrap().to_owned();
        assert!(reply_id::is_of_simulator(&id), "{id}");
        let events = event_stream::decode(&reply.bytes().await.unwrap()).unwrap();
        assert!(events.len() > 5);
        for (name, payload) in events {
            let padding = payload["p"]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: {payload}"));
            assert!(padding.starts_with("ab"), "{name}: {padding}");
        }
        let recorded = gateway.simulator.take(key).remove(0).reply.events;
        assert!(
            recorded
                .iter()
                .all(|event| !event.data.to_string().contains("\"p\""))
        );
    }
}
