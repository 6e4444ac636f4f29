//! Each rule of the simulator refuses a request: those without a table elsewhere have one here.

use chrono::{TimeDelta, Utc};
use compat_matrix::wire::Route;
use compat_matrix::wire::exchange::Matched;
use compat_matrix::wire::refusal_rules::REFUSAL_RULES;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::models::with_new_version;
use super::rules::{list, sane};
use crate::support::provider_client::*;

const INVOKE: &str = "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/invoke";

/// A name that needs an own request, and the request that breaks the rule.
type Case = (&'static str, fn(&Gateway) -> RequestBuilder);

fn own_body() -> Value {
    let mut body = sane();
    body["anthropic_version"] = json!("bedrock-2023-05-31");
    body
}

/// A signed request with another `authorization`.
fn with_authorization(gateway: &Gateway, change: impl FnOnce(String) -> String) -> RequestBuilder {
    let mut request = gateway.signed(INVOKE, &own_body()).build().unwrap();
    let header = request.headers()["authorization"].to_str().unwrap().to_owned();
    let header = change(header).parse().unwrap();
    request.headers_mut().insert("authorization", header);
    RequestBuilder::from_parts(gateway.client.clone(), request)
}

const CASES: &[Case] = &[
    ("one_api_key", |gateway| {
        let key = &gateway.simulator.credentials().anthropic_api_key;
        gateway
            .ask(Route::Anthropic, false, &sane())
            .header("x-api-key", key)
    }),
    ("anthropic_api_key", |gateway| {
        gateway
            .post("/v1/messages", &sane())
            .header("x-api-key", "another")
    }),
    ("azure_key", |gateway| {
        gateway
            .post("/anthropic/v1/messages", &sane())
            .header("x-api-key", "another")
    }),
    ("aws_signature_form", |gateway| gateway.post(INVOKE, &own_body())),
    ("aws_access_key", |gateway| {
        let id = gateway.simulator.credentials().aws_access_key_id.clone();
        with_authorization(gateway, |header| header.replace(&id, "AKIAIOSFODNN7EXAMPLE"))
    }),
    ("aws_scope", |gateway| {
        with_authorization(gateway, |header| header.replace("/us-east-1/", "/eu-west-1/"))
    }),
    ("aws_date", |gateway| {
        gateway.signed_at(Utc::now() - TimeDelta::minutes(20), INVOKE, &own_body())
    }),
    ("aws_signature", |gateway| {
        let mut request = gateway.signed(INVOKE, &own_body()).build().unwrap();
        request.url_mut().set_query(Some("a=1"));
        RequestBuilder::from_parts(gateway.client.clone(), request)
    }),
    ("google_access_token", |gateway| {
        let mut request = gateway
            .vertex("claude-opus-4-7:rawPredict", &sane())
            .build()
            .unwrap();
        let header = "Bearer another".parse().unwrap();
        request.headers_mut().insert("authorization", header);
        RequestBuilder::from_parts(gateway.client.clone(), request)
    }),
    ("google_project", |gateway| {
        let path =
            "/v1/projects/another/locations/us-east5/publishers/anthropic/models/claude-opus-4-7:rawPredict";
        gateway.post(path, &sane()).bearer_auth(&gateway.access_token)
    }),
    ("known_operation", |gateway| {
        gateway
            .get("/v1/files")
            .header("x-api-key", &gateway.simulator.credentials().anthropic_api_key)
    }),
    ("anthropic_version", |gateway| {
        let mut body = sane();
        body["anthropic_version"] = json!("2023-06-01");
        gateway.vertex("claude-opus-4-7:rawPredict", &body)
    }),
    ("messages", |gateway| {
        let mut body = sane();
        body["messages"] = json!([]);
        gateway.ask(Route::Anthropic, false, &body)
    }),
    ("json_body", |gateway| {
        gateway.ask(Route::Anthropic, false, &sane()).body("{\"model\":")
    }),
    ("known_model", |gateway| {
        let path = "claude-haiku-4-5@20250101:rawPredict";
        gateway.vertex(path, &sane())
    }),
    ("inference_profile", |gateway| {
        gateway.signed(&INVOKE.replace("us.anthropic", "anthropic"), &own_body())
    }),
    ("inference_profile", |gateway| {
        let arn = "arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fanthropic";
        gateway.signed(&INVOKE.replace("us.anthropic", arn), &own_body())
    }),
    ("sampling_parameters", |gateway| {
        let mut body = sane();
        body["top_k"] = json!(5);
        with_new_version(gateway, "claude-opus-4-7", Route::Anthropic, &body)
    }),
    ("version_content", |gateway| {
        let mut body = sane();
        body["messages"][0]["content"][0]["citations"] = json!([{"type": "char_location"}]);
        with_new_version(gateway, "claude-opus-4-7", Route::Anthropic, &body)
    }),
    ("structured_outputs", |gateway| {
        let mut body = sane();
        body["output_config"] = json!({"format": {"type": "json_schema", "schema": {"type": "object"}}});
        gateway.ask_model("claude-opus-4-7", Route::BedrockMantle, false, &body)
    }),
    ("cached_thinking", |gateway| {
        let mut body = sane();
        // The keys of a thinking block have no breakpoint either; Converse has its own form of one.
        body = to_converse(&body);
        let thinking = json!({"reasoningContent": {"reasoningText": {"text": "hm", "signature": "AAAA"}}});
        let point = json!({"cachePoint": {"type": "default"}});
        let content = list(&mut body["messages"][1]["content"]);
        content.splice(0..0, [thinking, point]);
        gateway.signed(&INVOKE.replace("/invoke", "/converse"), &body)
    }),
    ("document", |gateway| {
        let mut body = sane();
        let source = json!({"type": "base64", "media_type": "application/pdf", "data": "bm90IGEgUERG"});
        body["messages"][0]["content"][0] = json!({"type": "document", "source": source});
        gateway.ask(Route::Anthropic, false, &body)
    }),
];

#[tokio::test]
async fn a_request_of_its_own_breaks_each_rule() {
    let gateway = Gateway::start().await;
    for (rule, request) in CASES {
        let reply = request(&gateway).send().await.unwrap();
        assert!(reply.status().is_client_error(), "{rule}");
        let matched = gateway.simulator.orphans().pop().unwrap().matched;
        match (&matched, *rule) {
            (Matched::Unmatched { .. }, "known_operation") => {}
            (Matched::Rejected { rule: found }, rule) => assert_eq!(found, rule),
            (other, rule) => panic!("{rule}: {other:?}"),
        }
    }
}

#[test]
fn every_rule_has_a_request_that_breaks_it() {
    let tables = [
        include_str!("rules.rs"),
        include_str!("kinds.rs"),
        include_str!("tool_history.rs"),
        include_str!("models_of_claude_5.rs"),
        include_str!("models.rs"),
        include_str!("clouds.rs"),
        include_str!("routes.rs"),
        include_str!("every_rule.rs"),
    ]
    .concat();
    // The key of a body is no name of a rule. The loss of thinking needs a tool loop.
    let is_tested = |rule: &str| {
        let name = format!("\"{rule}\"");
        let mut rest = tables.split(name.as_str()).skip(1);
        rule == "thinking_lost" || rest.any(|rest| !rest.starts_with([':', ']']))
    };
    let untested: Vec<&&str> = REFUSAL_RULES.iter().filter(|rule| !is_tested(rule)).collect();
    assert!(untested.is_empty(), "{untested:?}");
}
