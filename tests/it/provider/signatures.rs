//! Credentials. AWS signatures: the simulator refuses whatever was signed otherwise, in AWS's shape.

use chrono::{TimeDelta, Utc};
use reqwest::{Request, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::rules::{list, sane};
use crate::support::provider_client::*;
use crate::support::text::{assert_has, assert_starts};

const PATH: &str = "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/invoke";

type Change = fn(&mut Request);

fn body() -> Value {
    let mut body = prompt(new_key());
    body["anthropic_version"] = json!("bedrock-2023-05-31");
    body
}

/// Sends a signed request after `change`. Returns the name of the error and its message.
async fn refusal(gateway: &Gateway, change: impl FnOnce(&mut Request)) -> (String, String) {
    refusal_of(gateway, gateway.signed(PATH, &body()), change).await
}

async fn refusal_of(
    gateway: &Gateway,
    request: RequestBuilder,
    change: impl FnOnce(&mut Request),
) -> (String, String) {
    let mut request = request.build().unwrap();
    change(&mut request);
    let reply = gateway.client.execute(request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::FORBIDDEN);
    let kind = reply.headers()["x-amzn-errortype"].to_str().unwrap().to_owned();
    let (name, namespace) = kind.split_once(':').unwrap();
    assert_eq!(
        namespace,
        "http://internal.amazon.com/coral/com.amazon.coral.service/"
    );
    let id = reply.headers()["x-amzn-requestid"].to_str().unwrap();
    uuid::Uuid::parse_str(id).unwrap();
    let error: Value = reply.json().await.unwrap();
    (name.to_owned(), error["message"].as_str().unwrap().to_owned())
}

fn set(request: &mut Request, name: &'static str, value: &str) {
    request.headers_mut().insert(name, value.parse().unwrap());
}

fn authorization(request: &Request) -> String {
    request.headers()["authorization"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_request_changed_after_its_signature_is_refused() {
    let gateway = Gateway::start().await;
    let changes: [(&str, Change); 5] = [
        ("body", |request| {
            let mut sent: Value =
                serde_json::from_slice(request.body().unwrap().as_bytes().unwrap()).unwrap();
            sent["max_tokens"] = json!(999);
            *request.body_mut() = Some(sent.to_string().into());
        }),
        ("path", |request| {
            let path = request
                .url()
                .path()
                .replace("/invoke", "/invoke-with-response-stream");
            request.url_mut().set_path(&path);
        }),
        ("query", |request| request.url_mut().set_query(Some("x=1"))),
        ("header", |request| {
            set(request, "content-type", "application/json; charset=utf-8")
        }),
        ("host", |request| {
            set(request, "host", "bedrock-runtime.us-east-1.amazonaws.com")
        }),
    ];
    for (what, change) in changes {
        let (name, message) = refusal(&gateway, change).await;
        assert_eq!(name, "InvalidSignatureException", "{what}");
        assert_starts(
            &message,
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
             and signing method.",
        );
        assert_has(&message, "The Canonical String for this request should have been");
        assert_has(&message, "-v1%253A0/invoke");
    }
    let reply = gateway.signed(PATH, &body()).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST, "it belongs to no trial");
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let (gateway, other) = (Gateway::start().await, Gateway::start().await);
    let id = &gateway.simulator.credentials().aws_access_key_id;
    let other_id = &other.simulator.credentials().aws_access_key_id;
    let request = other.signed(PATH, &body());
    let (name, _) = refusal_of(&gateway, request, |request| {
        let signed = authorization(request).replace(other_id.as_str(), id);
        set(request, "authorization", &signed);
        let port = reqwest::Url::parse(gateway.simulator.base_url()).unwrap().port();
        request.url_mut().set_port(port).unwrap();
    })
    .await;
    assert_eq!(name, "InvalidSignatureException");
}

#[tokio::test]
async fn an_unknown_key_or_session_token_is_refused() {
    let gateway = Gateway::start().await;
    let id = gateway.simulator.credentials().aws_access_key_id.clone();
    let unknown = (
        "UnrecognizedClientException".to_owned(),
        "The security token included in the request is invalid.".to_owned(),
    );
    let found = refusal(&gateway, |request| {
        let other = authorization(request).replace(&id, "AKIAIOSFODNN7EXAMPLE");
        set(request, "authorization", &other);
    });
    assert_eq!(found.await, unknown);
    let found = refusal(&gateway, |request| {
        set(request, "x-amz-security-token", "IQoJb3JpZ2luX2Vj")
    });
    assert_eq!(found.await, unknown);
}

#[tokio::test]
async fn a_scope_of_another_place_or_day_is_refused() {
    let gateway = Gateway::start().await;
    let today = Utc::now().format("%Y%m%d").to_string();
    for (from, to, words) in [
        (
            "/us-east-1/",
            "/eu-west-1/",
            "Credential should be scoped to a valid region, not 'eu-west-1'.",
        ),
        (
            "/bedrock/",
            "/bedrock-runtime/",
            "Credential should be scoped to correct service: 'bedrock'.",
        ),
        (
            today.as_str(),
            "20200101",
            "Date in Credential scope does not match",
        ),
    ] {
        let (name, message) = refusal(&gateway, |request| {
            let changed = authorization(request).replacen(from, to, 1);
            set(request, "authorization", &changed);
        })
        .await;
        assert_eq!(name, "InvalidSignatureException");
        assert_starts(&message, words);
    }
}

#[tokio::test]
async fn the_messages_api_of_bedrock_is_a_service_of_its_own() {
    let gateway = Gateway::start().await;
    for (path, words) in [
        (PATH, "Credential should be scoped to correct service: 'bedrock'."),
        (
            "/anthropic/v1/messages",
            "The request signature we calculated does not match",
        ),
    ] {
        let mut request = gateway.signed(path, &body()).build().unwrap();
        let changed = authorization(&request).replacen("/bedrock/", "/bedrock-mantle/", 1);
        set(&mut request, "authorization", &changed);
        let reply = gateway.client.execute(request).await.unwrap();
        assert_eq!(reply.status(), StatusCode::FORBIDDEN);
        assert_has(&reply.text().await.unwrap(), words);
    }
}

#[tokio::test]
async fn the_clocks_may_differ_by_five_minutes() {
    let gateway = Gateway::start().await;
    for (minutes, words) in [(-6, "Signature expired: "), (6, "Signature not yet current: ")] {
        let request = gateway.signed_at(Utc::now() + TimeDelta::minutes(minutes), PATH, &body());
        let (name, message) = refusal_of(&gateway, request, |_| {}).await;
        assert_eq!(name, "InvalidSignatureException");
        assert_starts(&message, words);
        assert_has(&message, " 5 min.)");
    }
    for minutes in [-4, 4] {
        let request = gateway.signed_at(Utc::now() + TimeDelta::minutes(minutes), PATH, &body());
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::BAD_REQUEST, "it belongs to no trial");
    }
}

#[tokio::test]
async fn an_incomplete_signature_is_refused() {
    let gateway = Gateway::start().await;
    let changes: [Change; 3] = [
        |request| set(request, "authorization", "AWS4-HMAC-SHA256 x"),
        |request| drop(request.headers_mut().remove("x-amz-date")),
        |request| {
            let fewer = authorization(request).replace("content-type;host;", "content-type;");
            set(request, "authorization", &fewer);
        },
    ];
    for change in changes {
        assert_eq!(refusal(&gateway, change).await.0, "IncompleteSignatureException");
    }
    let (name, message) = refusal(&gateway, |request| {
        drop(request.headers_mut().remove("authorization"));
    })
    .await;
    assert_eq!(name, "MissingAuthenticationTokenException");
    assert_eq!(message, "Missing Authentication Token");
}

#[tokio::test]
async fn a_bedrock_api_key_replaces_a_signature() {
    let gateway = Gateway::start().await;
    let request = gateway.post(PATH, &body());
    let request = request.bearer_auth(&gateway.simulator.credentials().bedrock_api_key);
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST, "it belongs to no trial");
}

#[tokio::test]
async fn a_signature_covers_a_credential_in_the_query() {
    let gateway = Gateway::start().await;
    let key = gateway.trial([text("ok")]);
    let mut body = prompt(key);
    body["anthropic_version"] = json!("bedrock-2023-05-31");
    let path = format!("{PATH}?access_token=secret-of-a-client");
    let reply = gateway.signed(&path, &body).send().await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let recorded = &gateway.simulator.take(key)[0].request.query;
    assert_eq!(recorded, "access_token=[redacted, 18 bytes]");
}

#[tokio::test]
async fn the_token_of_a_subscription_needs_its_beta() {
    let gateway = Gateway::start().await;
    let token = gateway.simulator.credentials().oauth_token();
    let ask = async |token: &str, beta: Option<&str>| {
        let key = gateway.trial([text("ok")]);
        let mut body = sane();
        body["model"] = json!(MODEL);
        list(&mut body["messages"][0]["content"]).push(json!({"type": "text", "text": key}));
        let mut request = gateway.post("/v1/messages", &body);
        request = request
            .bearer_auth(token)
            .header("anthropic-version", "2023-06-01");
        if let Some(beta) = beta {
            request = request.header("anthropic-beta", beta);
        }
        let reply = request.send().await.unwrap();
        let status = reply.status().as_u16();
        let error: Value = reply.json().await.unwrap();
        (status, error["error"]["message"].as_str().map(str::to_owned))
    };
    assert_eq!(ask(&token, Some("oauth-2025-04-20")).await, (200, None));
    let refused = (
        401,
        Some("OAuth authentication is currently not supported.".to_owned()),
    );
    assert_eq!(ask(&token, None).await, refused);
    assert_eq!(ask(&token, Some("context-1m-2025-08-07")).await, refused);
    let (status, message) = ask("sk-ant-oat01-other", Some("oauth-2025-04-20")).await;
    assert_eq!((status, message.as_deref()), (401, Some("Invalid bearer token")));

    let models = async |beta: &str| {
        let request = gateway
            .get("/v1/models")
            .bearer_auth(&token)
            .header("anthropic-beta", beta);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(models("context-1m-2025-08-07, oauth-2025-04-20").await, 200);
    assert_eq!(models("context-1m-2025-08-07").await, 401);
}
