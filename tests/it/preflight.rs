//! The preflight of an attached gateway, and what it leaves to the trials.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::Response;
use axum::routing::post;
use compat_matrix::{env, http};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::support::loopback::{Server, compressed, ready, serve, status};
use crate::support::small_project::{MANIFEST, Small, simulator};
use crate::support::text::{assert_has, assert_lacks};

/// A body of which only the head and one byte arrive.
const STALLED: &str = "stalled";

/// A gateway that answers `GET`, and each `POST` with `status` and `body`, compressed; without a status it never answers.
async fn gateway(status: Option<u16>, body: &'static str) -> Server {
    Server::start(move |asked, _| {
        Box::pin(async move {
            match (asked.target.split('?').next().unwrap_or_default(), status) {
                ("/v1/messages", None) => std::future::pending().await,
                ("/v1/messages", Some(_)) if body == STALLED => {
                    let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
                    Response::new(Body::from_stream(first.chain(stream::pending())))
                }
                ("/v1/messages", Some(status)) => compressed(status, body),
                _ => Response::default(),
            }
        })
    })
    .await
}

#[tokio::test]
async fn what_the_preflight_finds_is_never_a_verdict() {
    let simulator = simulator().await;
    let no_key = r#"{"error":{"message":"Authentication Error, Invalid proxy server token passed","type":"auth_error"}}"#;
    let no_model = r#"{"type":"error","error":{"type":"not_found_error","message":"model: gone"}}"#;
    let completion =
        r#"{"object":"chat.completion","choices":[{"message":{"role":"assistant","content":"pong"}}]}"#;
    let no_money =
        r#"{"error":{"message":"Insufficient credits. Add more at https://gw.example/credits","code":402}}"#;
    let message = r#"{"type":"message","content":[{"type":"text","text":"pong"}]}"#;
    let hello =
        r#"{"type":"message","content":[{"type":"text","text":"Hello from the provider simulator."}]}"#;
    for (status, body, live, cause, expected) in [
        (
            None,
            "",
            false,
            "config",
            "the gateway accepts requests and does not answer",
        ),
        (
            Some(200),
            STALLED,
            false,
            "config",
            "the gateway accepts requests and does not answer",
        ),
        (Some(401), no_key, false, "auth", "preflight:"),
        (Some(404), no_model, false, "config", "preflight:"),
        (Some(200), message, false, "config", "correct that variable"),
        (
            Some(200),
            "{}",
            false,
            "config",
            "must answer as Anthropic's API does",
        ),
        (Some(200), "", true, "config", "got HTTP 200 without a body"),
        (Some(200), r#"{"data":[]}"#, true, "config", "got HTTP 200: {"),
        (
            Some(200),
            completion,
            true,
            "config",
            "in the form of OpenAI's API",
        ),
        (Some(200), no_money, true, "account", "preflight:"),
        (Some(200), "<html>Login</html>", true, "config", "with a web page"),
        (
            Some(200),
            hello,
            true,
            "config",
            "set `COMPAT_PROVIDER_URL` to the address",
        ),
    ] {
        let server = gateway(status, body).await;
        let mut small = Small::attached(&simulator);
        small.set(env::LITELLM_PROXY_BASE_URL, &server.address);
        if live {
            small.set(env::COMPAT_PROVIDER_URL, "");
        }
        let start = std::time::Instant::now();
        let ran = small.run(&["text"]).await;
        // On a quiet machine within 10 s. A run that waits for an answer takes minutes.
        assert!(start.elapsed() < Duration::from_secs(60), "{status:?} {body}");
        ran.exits(102);
        assert_has(&format!("{}{}", ran.out, ran.err), expected);
        assert_eq!(small.causes(), [cause], "{status:?} {body}\n{}", ran.out);
        // Both trials have their own alias, and one fault.
        ran.out_has("---- ", 1);
        let shown = small.compat(&["results", "show"]).await;
        shown.out_has("! 2 trials not judged: text::anthropic::", 1);
        shown.out_has("cannot be used", 1);
    }
}

#[tokio::test]
async fn a_live_run_without_any_answer_starts_no_trial() {
    let simulator = simulator().await;
    let limited = r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your rate limit."}}"#;
    let server = gateway(Some(429), limited).await;
    let mut small = Small::attached(&simulator);
    small.set(env::LITELLM_PROXY_BASE_URL, &server.address);
    small.set(env::COMPAT_PROVIDER_URL, "");
    let ran = small.run(&["text", "--no-preflight"]).await;
    ran.exits(102);
    assert_eq!(small.causes(), ["rate_limit"], "{}", ran.out);
    ran.out_has("so the trial did not run", 1);
}

#[tokio::test]
async fn the_preflight_waits_as_long_as_the_provider_asks() {
    let simulator = simulator().await;
    let server = Server::start(|asked, _| {
        let limited = Response::builder().status(429).header("retry-after", "3");
        let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"Too many requests."}}"#;
        ready(match (asked.target.starts_with("/v1/messages"), asked.before) {
            (true, 0 | 1) => limited.body(body.into()).unwrap(),
            (true, _) => compressed(200, r#"{"type":"message","content":[]}"#),
            (false, _) => Response::default(),
        })
    })
    .await;
    let mut small = Small::attached(&simulator);
    small.set(env::LITELLM_PROXY_BASE_URL, &server.address);
    small.set(env::COMPAT_PROVIDER_URL, "");
    let ran = small.run(&["text"]).await;
    assert_lacks(&ran.out, "so the trial did not run");
    // Two aliases are asked twice, and not a third time in between.
    let targets = server.targets();
    let preflight = targets.iter().filter(|target| *target == "/v1/messages");
    assert_eq!(preflight.count(), 4, "{targets:?}");
}

#[tokio::test]
async fn a_gateway_that_refuses_every_request_has_one_report() {
    let simulator = simulator().await;
    let server = gateway(
        Some(500),
        r#"{"error":{"message":"Internal Server Error","code":"500"}}"#,
    )
    .await;
    let mut small = Small::attached(&simulator);
    small.set(env::LITELLM_PROXY_BASE_URL, &server.address);
    let ran = small.run(&["anthropic"]).await;
    ran.exits(101);
    assert_eq!(small.causes(), ["gateway"]);
    ran.out_has("---- ", 1);
    ran.err_has("4 trials have the report of ");
    ran.out_has("no Messages request reached the provider", 1);
}

/// A gateway that asks `provider` for what `change` makes of each request, and answers with `answer`.
async fn gateway_that(
    change: fn(&mut Value),
    answer: fn() -> Response<Body>,
    provider: String,
    key: String,
) -> String {
    let ask = move |body: Bytes| async move {
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        change(&mut body);
        let sent = http::client()
            .post(format!("{provider}/v1/messages"))
            .header("x-api-key", key)
            .header("anthropic-version", "2023-06-01")
            .json(&body);
        sent.send().await.unwrap();
        answer()
    };
    serve(
        Router::new()
            .route("/v1/messages", post(ask))
            .fallback(|| async {}),
    )
    .await
}

#[tokio::test]
async fn a_wrong_model_of_the_gateway_is_the_configuration_s_fault() {
    let simulator = simulator().await;
    let key = simulator.credentials().anthropic_api_key.clone();
    let change: fn(&mut Value) =
        |body| body["model"] = format!("{}-wrong", body["model"].as_str().unwrap()).into();
    let address = gateway_that(change, || status(500), simulator.base_url().to_owned(), key).await;
    let mut small = Small::attached(&simulator);
    small.set(env::LITELLM_PROXY_BASE_URL, &address);
    let ran = small.run(&["anthropic"]).await;
    ran.exits(102);
    assert_eq!(small.causes(), ["config"], "{}", ran.out);
    ran.err_has("the gateway asked the provider for the model `claude-haiku-4-5-wrong`");
    ran.err_has("did you mean `claude-haiku-4-5`? correct the model of `claude-haiku-4-5` in the");
    ran.out_has("the gateway asked the provider for the model", 1);
    // Without the preflight, the trials find the same.
    let ran = small.run(&["anthropic", "--no-preflight"]).await;
    ran.exits(102);
    assert_eq!(small.causes(), ["config"], "{}", ran.out);
    ran.out_has("-wrong`, which the gateway's configuration gives `claude-", 1);
    ran.out_has("`? correct the model of `claude-", 1);
}

/// Its requests reach the simulator without the key of a trial.
#[tokio::test]
async fn a_gateway_that_drops_the_mark_of_a_run_is_judged() {
    let simulator = simulator().await;
    let key = simulator.credentials().anthropic_api_key.clone();
    let change: fn(&mut Value) = |body| {
        body.as_object_mut().unwrap().remove("metadata");
        body["messages"] = json!([{"role": "user", "content": "ping"}]);
    };
    let answer = || compressed(200, "{}");
    let address = gateway_that(change, answer, simulator.base_url().to_owned(), key).await;
    let mut small = Small::attached(&simulator);
    small.set(env::LITELLM_PROXY_BASE_URL, &address);
    let ran = small.run(&["text::anthropic"]).await;
    ran.exits(101);
    assert_lacks(&ran.err, "the simulator received no request");
    assert_eq!(small.causes(), ["gateway"], "{}", ran.out);
}

/// A gateway without LiteLLM's errors, which serves the API elsewhere, or nothing.
#[tokio::test]
async fn a_path_in_the_base_is_the_line_to_change() {
    const NO_KEY: &str = r#"{"error":{"message":"No key.","type":"auth_error"}}"#;
    let simulator = simulator().await;
    for (path, status, at_origin, base) in [
        ("/v1", 404, 404, Some("")),
        ("/v1", 500, 404, Some("")),
        ("/v1/v1", 404, 404, Some("")),
        ("/llm/v1/messages", 409, 404, Some("/llm")),
        ("/anthropic", 422, 401, Some("")),
        ("/anthropic", 501, 200, Some("")),
        ("/llm", 422, 404, None),
        ("/llm", 422, 422, None),
    ] {
        let below = format!("{path}/v1/messages");
        let server = Server::start(move |asked, _| {
            ready(match asked.target.as_str() {
                target if target == below => compressed(status, r#"{"detail":"no"}"#),
                "/v1/messages" => compressed(at_origin, NO_KEY),
                _ => Response::default(),
            })
        })
        .await;
        let mut small = Small::attached(&simulator);
        small.set(env::LITELLM_PROXY_BASE_URL, &format!("{}{path}", server.address));
        let ran = small.run(&["text"]).await;
        let case = format!("{path} {status} {at_origin}\n{}{}", ran.out, ran.err);
        let Some(base) = base else {
            assert_eq!(small.causes(), ["gateway"], "{case}");
            continue;
        };
        ran.exits(102);
        assert_eq!(small.causes(), ["config"], "{case}");
        let line = format!("write `LITELLM_PROXY_BASE_URL={}{base}`", server.address);
        assert_has(&ran.err, &line);
    }
}

/// The relay follows no redirect, so the preflight must not either.
#[tokio::test]
async fn a_redirect_is_the_line_to_change() {
    let simulator = simulator().await;
    for (location, line) in [
        (
            "https://gw.example/llm/v1/messages",
            "write `LITELLM_PROXY_BASE_URL=https://gw.example/llm`",
        ),
        ("/login?next=%2Fv1", "correct `LITELLM_PROXY_BASE_URL`, or"),
    ] {
        let server = Server::start(move |asked, _| {
            let redirect = Response::builder().status(307).header("location", location);
            ready(match asked.target.as_str() {
                "/v1/messages" => redirect.body(Body::empty()).unwrap(),
                _ => Response::default(),
            })
        })
        .await;
        let mut small = Small::attached(&simulator);
        small.set(env::LITELLM_PROXY_BASE_URL, &server.address);
        let ran = small.run(&["text"]).await;
        ran.exits(102);
        assert_eq!(small.causes(), ["config"], "{}", ran.out);
        ran.err_has(line);
        assert!(!server.targets().contains(&location.to_owned()), "{location}");
    }
}

/// A gateway that its owner configured for another location than this project's `proxy_config.yaml`.
#[tokio::test]
async fn an_attached_gateway_may_choose_the_location() {
    let simulator = simulator().await;
    let (base, token) = (simulator.base_url().to_owned(), simulator.access_token());
    let project = simulator.credentials().vertex_project.clone();
    let pass_on = move |request: Request| {
        let (token, address) = (
            token.clone(),
            format!("{base}/v1/projects/{project}/locations/europe-west1/publishers/anthropic/models"),
        );
        async move {
            let bytes = to_bytes(request.into_body(), usize::MAX).await.unwrap();
            let Ok(mut body) = serde_json::from_slice::<Value>(&bytes) else {
                return Response::default();
            };
            body.as_object_mut().unwrap().remove("model");
            body["anthropic_version"] = "vertex-2023-10-16".into();
            let sent = http::client().post(format!("{address}/claude-haiku-4-5@20251001:streamRawPredict"));
            let reply = sent.bearer_auth(token).json(&body).send().await.unwrap();
            let copy = Response::builder()
                .status(reply.status())
                .header("content-type", reply.headers()["content-type"].clone());
            copy.body(Body::from_stream(reply.bytes_stream())).unwrap()
        }
    };
    let mut small = Small::attached(&simulator);
    small.set(
        env::LITELLM_PROXY_BASE_URL,
        &serve(Router::new().fallback(pass_on)).await,
    );
    small.write("manifest.yaml", &MANIFEST.replace("azure", "vertex_ai"));
    small.write(
        "proxy_config.yaml",
        "model_list:\n  - model_name: claude-haiku-4-5-vertex_ai\n    litellm_params: { model: vertex_ai/claude-haiku-4-5, \
         vertex_location: us-east5 }\n",
    );
    small.write(
        "cells/text/vertex_ai.yaml",
        "expect:\n  request_unchanged:\n    unchanged: request\n",
    );
    for name in ["text", "words"] {
        std::fs::remove_file(small.path(&format!("cells/{name}/azure.yaml"))).unwrap();
    }
    small.write(
        "cells/words/vertex_ai.yaml",
        "not_applicable: no Claude there (https://example.com)\n",
    );
    let ran = small.run(&["text::vertex_ai::haiku"]).await;
    ran.exits(0);
    assert_has(&ran.out, "not compared");
}
