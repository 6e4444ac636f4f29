//! The search for the credential of the gateway's caller.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use compat_matrix::wire::Route;
use serde_json::json;

use crate::support::provider_client::*;

#[tokio::test]
async fn the_callers_credential_is_found_by_its_value() {
    const CALLER: &str = "sk-caller-1234567890";
    let gateway = Gateway::start().await;
    let own = gateway.simulator.credentials().anthropic_api_key.clone();
    for watched in [CALLER, &own, "any"] {
        gateway.simulator.watch(watched);
    }
    let key = gateway.trial([text("ok"), text("ok")]);
    let mut body = prompt(key);
    gateway.send(Route::Anthropic, false, &body).await;
    let encoded = STANDARD.encode(format!("user:{CALLER}"));
    body["system"] = json!(format!("The key is {CALLER}."));
    let request = gateway
        .post(&format!("/v1/messages?key={CALLER}"), &body)
        .header("x-any", format!("Basic {encoded}"));
    request.send().await.unwrap();
    let places: Vec<Vec<String>> = gateway
        .simulator
        .take(key)
        .into_iter()
        .map(|exchange| exchange.caller_credential)
        .collect();
    assert_eq!(places, [vec![], vec!["header x-any", "query", "body"]]);
}

#[tokio::test]
async fn a_plain_credential_is_found_as_a_whole_value() {
    let gateway = Gateway::start().await;
    for watched in ["sk-1234", "test-key", "any"] {
        gateway.simulator.watch(watched);
    }
    let places = async |query: &str, header: (&str, &str), system: &str| {
        let key = gateway.trial([text("ok")]);
        let mut body = prompt(key);
        body["system"] = json!(system);
        body["tools"] = json!([{"name": "any", "input_schema": {"type": "object"}}]);
        body["tool_choice"] = json!({"type": "any"});
        let request = gateway.post(&format!("/v1/messages{query}"), &body);
        request.header(header.0, header.1).send().await.unwrap();
        gateway.simulator.take(key).remove(0).caller_credential
    };
    let none = ("x-other", "sk-12345");
    assert!(places("?beta=true", none, "any").await.is_empty());
    for (query, header, system, place) in [
        ("", ("x-any", "sk-1234"), "", "header x-any"),
        ("", ("authorization", "Bearer any"), "", "header authorization"),
        (
            "",
            ("authorization", "bearer test-key"),
            "",
            "header authorization",
        ),
        ("?key=sk%2D1234", none, "", "query"),
        ("", none, "test-key", "body"),
    ] {
        assert_eq!(places(query, header, system).await, [place], "{query} {header:?}");
    }
    for system in ["The test-key is sk-1234.", "sk-1234"] {
        assert!(places("", none, system).await.is_empty(), "{system}");
    }
}
