//! `compat provider serve --replay`: the recorded replies, and what a miss says.

use std::sync::Arc;

use compat_matrix::drift::Cassette;
use compat_matrix::drift::tape::Tape;
use compat_matrix::provider::{Simulator, SimulatorOptions, Unscripted};
use compat_matrix::wire::Route;
use compat_matrix::wire::exchange::{Body, Matched};
use serde_json::{Value, json};

use super::{bodies, send_all, traffic};
use crate::support::files::Folder;
use crate::support::provider_client::Gateway;
use crate::support::text::assert_has;

/// A gateway in front of a simulator that answers from `cassette`.
async fn replaying(cassette: &Cassette) -> Gateway {
    let options = SimulatorOptions {
        unscripted: Unscripted::Tape(Arc::new(Tape::new(cassette))),
        ..SimulatorOptions::default()
    };
    Gateway::on(Simulator::start(options).await.expect("it starts")).await
}

#[tokio::test]
async fn a_cassette_answers_what_was_recorded() {
    let cassette = traffic(9).await;
    let gateway = replaying(&cassette).await;
    send_all(&gateway).await;
    let recorded = cassette.recordings.iter().map(|placed| &placed.recording);
    let recorded: Vec<_> = recorded.filter(|one| one.request.path != "/token").collect();
    let played = gateway.simulator.orphans();
    let played: Vec<_> = played.iter().filter(|one| one.request.path != "/token").collect();
    assert_eq!(recorded.len(), played.len());
    for (recorded, played) in recorded.iter().zip(played) {
        assert_eq!(played.matched, Matched::BuiltIn, "{:?}", played.request);
        let reply = recorded.reply.as_ref().expect("a reply");
        assert_eq!(reply.status, played.reply.status);
        let data = |events: &[compat_matrix::wire::exchange::SentEvent]| -> Vec<Value> {
            events.iter().map(|event| event.data.clone()).collect()
        };
        assert_eq!(data(&reply.events), data(&played.reply.events));
        assert_eq!(reply.header("request-id").is_some(), {
            let mut headers = played.reply.headers.iter();
            headers.any(|(name, _)| name == "request-id")
        });
    }
    // A client reads the stream as it reads the provider's.
    let text = gateway
        .send(Route::Anthropic, true, &bodies()[0])
        .await
        .text()
        .await
        .expect("a text");
    assert_has(&text, "event: message_start\ndata: {");
}

#[tokio::test]
async fn a_miss_says_which_part_of_the_request_differs() {
    let cassette = traffic(9).await;
    let gateway = replaying(&cassette).await;
    let mut body = bodies()[0].clone();
    body["max_tokens"] = 1001.into();
    let reply = gateway.send(Route::Anthropic, false, &body).await;
    assert_eq!(reply.status(), 400);
    let reply: Value = reply.json().await.expect("JSON");
    let message = reply["error"]["message"].as_str().expect("a message");
    assert_has(
        message,
        "no recording has this request; the nearest one is traffic/all/haiku.jsonl:",
    );
    assert_has(message, "`body.max_tokens` is 1001, and 1000 was recorded");
    let request = gateway.ask(Route::Anthropic, false, &bodies()[0]);
    let reply = request.header("anthropic-beta", "a-2026-01-01").send().await;
    let reply: Value = reply.expect("a reply").json().await.expect("JSON");
    assert_has(
        &reply.to_string(),
        "`anthropic-beta` is [\\\"a-2026-01-01\\\"], and [] was recorded",
    );
    // The rules about credentials still hold.
    let wrong = gateway
        .post("/v1/messages", &json!({}))
        .header("x-api-key", "wrong");
    assert_eq!(wrong.send().await.expect("a reply").status(), 401);
}

#[tokio::test]
async fn any_text_fits_where_a_value_was_removed() {
    let mut cassette = traffic(9).await;
    let is_message = |body: &&mut Body| matches!(body, Body::Json(body) if body["max_tokens"] == 1000);
    let bodies_of = cassette
        .recordings
        .iter_mut()
        .map(|placed| &mut placed.recording.request.body);
    for body in bodies_of.filter(is_message) {
        if let Body::Json(body) = body {
            body["system"] = "the [redacted] and [redacted] again".into();
        }
    }
    let gateway = replaying(&cassette).await;
    for (system, status) in [
        ("the key of this run and another again", 200),
        ("the key of this run again", 400),
        ("a key and another again", 400),
    ] {
        let mut body = bodies()[0].clone();
        body["system"] = system.into();
        let reply = gateway.send(Route::Anthropic, false, &body).await;
        assert_eq!(reply.status(), status, "{system}");
    }
}

#[test]
fn a_folder_that_is_no_cassette_is_named() {
    let folder = Folder::new();
    let ran = folder.compat(&["provider", "serve", "--replay", "nowhere"]);
    ran.exits(1);
    ran.err_has("`nowhere` is no cassette: it has no `cassette.json`");
}
