//! The relay: what it forwards and records, and how it applies a mutant.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use compat_matrix::env::Secret;
use compat_matrix::http;
use compat_matrix::ids::TrialKey;
use compat_matrix::mutants::RelayPosition;
use compat_matrix::relay::{Mutation, Relay, TRIAL_PREFIX};
use compat_matrix::wire::encoding::ContentDecoder;
use compat_matrix::wire::exchange::Body as RecordedBody;
use compat_matrix::wire::reply_id;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

use crate::support::loopback::{gzipped, serve, unused_port};
use crate::support::mutant::mutant;
use crate::support::provider_client::{Gateway, MODEL, new_key, prompt, read_stream, streamed_text, text};
use crate::support::wait::until;

/// Starts a server on loopback that calls `answer`, and returns its address.
async fn upstream<F, A>(answer: F) -> String
where
    F: Fn(Request) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    serve(Router::new().fallback(move |request: Request| answer(request))).await
}

/// Replies with the request: method, path and query, headers, body.
async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let came = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    Response::new(Body::from(came.to_string()))
}

fn streamed(events: impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + 'static) -> Response {
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(Body::from_stream(events)).unwrap()
}

fn event(text: &str) -> Bytes {
    let data = json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}});
    format!("event: content_block_delta\ndata: {data}\n\n").into()
}

fn mutation(yaml: &str) -> Arc<Mutation> {
    let mutant = mutant(&format!("{yaml}\nkilled_by: {{ run: [tool_use] }}")).unwrap();
    Arc::new(Mutation::new(Arc::new(mutant)))
}

async fn relay(position: RelayPosition, upstream: &str) -> Relay {
    Relay::start(position, upstream, None).await.unwrap()
}

/// A Messages request of the trial `key`, to be sent to `relay`.
fn messages(relay: &Relay, key: TrialKey) -> reqwest::RequestBuilder {
    let url = format!("{}/v1/messages?beta=true", relay.base_url());
    http::client().post(url).json(&prompt(key))
}

#[tokio::test]
async fn a_path_may_name_the_trial() {
    let relay = relay(RelayPosition::Front, &upstream(echo).await).await;
    let key = new_key();
    relay.register(key, None, None);
    let url = format!("{}{TRIAL_PREFIX}{key}/v1/models?limit=1000", relay.base_url());
    let came: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!(came["target"], "/v1/models?limit=1000");
    let sent = relay.take(key).remove(0);
    assert_eq!((sent.request.path.as_str(), sent.turn), ("/v1/models", None));
    assert_eq!(sent.reply.unwrap().events[0].data["method"], "GET");
}

#[tokio::test]
async fn a_guarded_relay_needs_the_token_of_a_running_trial() {
    let relay = Relay::start_guarded(&upstream(echo).await).await.unwrap();
    let [key, other] = [new_key(), new_key()];
    relay.register(key, None, None);
    let token = relay.admit(key, Secret::new("key-of-the-gateway"));
    assert_eq!(relay.tokens(key)[0].expose(), token.expose());
    let ask = async |path: &str| {
        let url = format!("{}{path}", relay.base_url());
        let request = http::client().get(url).bearer_auth(token.expose());
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    // The path may have the name of a trial, and the token decides.
    for trial in [key, other] {
        let prefix = format!("{TRIAL_PREFIX}{trial}");
        for (path, target) in [
            ("/v1/models?limit=1", "/v1/models?limit=1"),
            ("", "/"),
            ("?a=b", "/?a=b"),
        ] {
            let (status, came) = ask(&format!("{prefix}{path}")).await;
            assert_eq!(status, 200, "{path}: {came}");
            let came: Value = serde_json::from_str(&came).unwrap();
            assert_eq!(came["target"], target);
            assert!(came.to_string().contains("key-of-the-gateway"), "{came}");
        }
        assert_eq!(ask(&format!("{prefix}/key/list")).await.0, 404);
    }
    assert_eq!(relay.exchanges(key).len(), 8);
    relay.remove(key);
    assert_eq!(ask("/v1/models").await.0, 401);
    assert!(relay.tokens(key).is_empty());
}

#[tokio::test]
async fn path_headers_and_body_pass_unchanged() {
    let relay = relay(RelayPosition::Behind, &upstream(echo).await).await;
    let target = "/model/us.anthropic.claude%3A0/converse-stream?alt=sse&x=%20y@z";
    let reply = http::client()
        .post(format!("{}{target}", relay.base_url()))
        .header("X-Mixed-Case", "1")
        .header("authorization", "AWS4-HMAC-SHA256 x")
        .header("connection", "keep-alive, x-hop")
        .header("x-hop", "1")
        .header("host", "bedrock.example")
        .body("{\"a\": 1,  \"b\":2}")
        .send()
        .await
        .unwrap();
    let came: Value = reply.json().await.unwrap();
    assert_eq!(
        (&came["method"], &came["target"], &came["body"]),
        (&json!("POST"), &json!(target), &json!("{\"a\": 1,  \"b\":2}"))
    );
    let headers = came["headers"].as_array().unwrap();
    let has = |name: &str, value: &str| headers.contains(&json!([name, value]));
    assert!(has("x-mixed-case", "1") && has("host", "bedrock.example"));
    assert!(has("authorization", "AWS4-HMAC-SHA256 x") && has("content-length", "16"));
    assert!(!headers.iter().any(|header| header[0] == "x-hop"));
    relay.shutdown().await;
}

#[tokio::test]
async fn every_route_of_the_provider_passes_through() {
    let gateway = Gateway::start().await;
    let relay = relay(RelayPosition::Behind, gateway.simulator.base_url()).await;
    for route in compat_matrix::wire::Route::ALL {
        let key = gateway.trial([text("one two three")]);
        relay.register(key, None, None);
        let mut request = gateway.ask(route, true, &prompt(key)).build().unwrap();
        let port = reqwest::Url::parse(relay.base_url()).unwrap().port();
        request.url_mut().set_port(port).unwrap();
        let streamed = read_stream(route, gateway.client.execute(request).await.unwrap()).await;
        assert_eq!(streamed_text(&streamed), "one two three", "{route:?}");
        assert_eq!(gateway.simulator.take(key).len(), 1);
    }
}

#[tokio::test]
async fn events_pass_at_once_and_are_recorded_without_credentials() {
    let (send, receive) = mpsc::channel::<Bytes>(1);
    let receive = Arc::new(Mutex::new(Some(receive)));
    let address = upstream(move |_| {
        let receive = receive.lock().unwrap().take().unwrap();
        async move { streamed(ReceiverStream::new(receive).map(Ok)) }
    })
    .await;
    let relay = relay(RelayPosition::Front, &address).await;
    let key = new_key();
    relay.register(key, None, None);
    let request = messages(&relay, key).header("x-api-key", "secret");
    let reply = request.send().await.unwrap();
    let mut body = reply.bytes_stream();
    for part in [event("one"), Bytes::from(": keep-alive\n\n"), event("two")] {
        // The next event is sent after this one has arrived, so a relay that waits for more would hang.
        send.send(part.clone()).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), part);
    }
    drop(send);
    assert!(body.next().await.is_none());
    let exchanges = relay.take(key);
    let [exchange] = &exchanges[..] else {
        panic!("{exchanges:?}")
    };
    assert_eq!(
        (exchange.number, exchange.turn, exchange.request.query.as_str()),
        (1, Some(1), "beta=true")
    );
    assert_eq!(
        exchange.request.header("x-api-key").next(),
        Some("[redacted, 6 bytes]")
    );
    assert!(matches!(exchange.request.body, RecordedBody::Json(_)));
    let reply = exchange.reply.as_ref().unwrap();
    assert_eq!((reply.status, reply.stream, reply.cut_off), (200, true, false));
    assert!(reply.ended_at_ms >= Some(reply.events[1].at_ms));
    // The comment is no event.
    assert_eq!(reply.events[1].data["delta"]["text"], "two");
}

#[tokio::test]
async fn a_compressed_stream_passes_as_it_is_and_is_recorded_decoded() {
    for is_gzip in [true, false] {
        let sent = match is_gzip {
            true => gzipped(&event("one")),
            false => event("one"),
        };
        let body = sent.clone();
        let address = upstream(move |_| {
            let mut reply = streamed(stream::iter([Ok(body.clone())]));
            let headers = reply.headers_mut();
            headers.insert("content-encoding", "gzip".parse().unwrap());
            async move { reply }
        })
        .await;
        let relay = relay(RelayPosition::Front, &address).await;
        let key = new_key();
        relay.register(key, None, None);
        let reply = messages(&relay, key).send().await.unwrap();
        assert_eq!(reply.headers()["content-encoding"], "gzip");
        assert_eq!(reply.bytes().await.unwrap(), sent);
        let recorded = relay.take(key).remove(0).reply.unwrap();
        assert_eq!(recorded.events[0].data["delta"]["text"], "one");
        assert_eq!(recorded.wrong_encoding.is_none(), is_gzip, "{recorded:?}");
    }
}

#[tokio::test]
async fn a_broken_stream_breaks_for_the_client_and_is_recorded() {
    let (shown, seen) = watch::channel(false);
    let address = upstream(move |_| {
        let mut seen = seen.clone();
        async move {
            let broken = stream::once(async move {
                seen.wait_for(|seen| *seen).await.unwrap();
                Err(std::io::Error::other("gone"))
            });
            streamed(stream::iter([Ok(event("one"))]).chain(broken))
        }
    })
    .await;
    let relay = relay(RelayPosition::Front, &address).await;
    let key = new_key();
    relay.register(key, None, None);
    let mut body = messages(&relay, key).send().await.unwrap().bytes_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), event("one"));
    shown.send(true).unwrap();
    assert!(body.next().await.unwrap().is_err());
    assert!(relay.take(key)[0].reply.as_ref().unwrap().cut_off);
}

#[tokio::test]
async fn the_end_of_a_stream_is_recorded_if_the_client_ends_it() {
    let address =
        upstream(|_| async { streamed(stream::iter([Ok(event("one"))]).chain(stream::pending())) }).await;
    let relay = relay(RelayPosition::Front, &address).await;
    let key = new_key();
    relay.register(key, None, None);
    let mut body = messages(&relay, key).send().await.unwrap().bytes_stream();
    body.next().await.unwrap().unwrap();
    sleep(Duration::from_millis(300)).await;
    drop(body);
    let reply = || relay.exchanges(key).remove(0).reply.unwrap();
    until("the end is recorded", || reply().ended_at_ms.is_some()).await;
    assert!(reply().ended_at_ms.unwrap() >= reply().events[0].at_ms + 250);
}

#[tokio::test]
async fn a_request_without_reply_closes_the_connection() {
    let address = format!("http://127.0.0.1:{}", unused_port());
    let relay = relay(RelayPosition::Front, &address).await;
    let key = new_key();
    relay.register(key, None, None);
    assert!(messages(&relay, key).send().await.is_err());
    assert_eq!(relay.take(key)[0].reply, None);
}

#[tokio::test]
async fn a_mutant_changes_only_its_own_trial() {
    let relay = relay(RelayPosition::Front, &upstream(echo).await).await;
    let dropped = mutation("request:\n  headers: [{ drop: anthropic-beta }]\n  body: [{ drop: $.model }]");
    let (mutated, clean) = (new_key(), new_key());
    relay.register(mutated, Some(&dropped), None);
    relay.register(clean, None, None);
    for (key, is_there) in [(mutated, false), (clean, true)] {
        let mut body = prompt(key);
        body["model"] = json!(MODEL);
        let request = messages(&relay, key).header("anthropic-beta", "a-2025-01-01");
        let reply = request.json(&body).send().await.unwrap();
        let came: Value = reply.json().await.unwrap();
        assert_eq!(came["headers"].to_string().contains("anthropic-beta"), is_there);
        assert_eq!(came["body"].as_str().unwrap().contains(MODEL), is_there);
        // The record contains the original request, not the changed one.
        assert!(
            relay.take(key)[0]
                .request
                .header("anthropic-beta")
                .next()
                .is_some()
        );
    }
    assert_eq!(dropped.changes(), 1);
}

#[tokio::test]
async fn a_mutant_of_another_side_or_turn_changes_nothing() {
    let relay = relay(RelayPosition::Front, &upstream(echo).await).await;
    for yaml in [
        "position: behind\nrequest:\n  headers: [{ drop: x }]",
        "when: { turn: 2 }\nrequest:\n  headers: [{ drop: x }]",
        "when: { operation: count_tokens }\nrequest:\n  headers: [{ drop: x }]",
        "when: { body: $.thinking }\nrequest:\n  headers: [{ drop: x }]",
    ] {
        let key = new_key();
        let mutation = mutation(yaml);
        relay.register(key, Some(&mutation), None);
        messages(&relay, key).header("x", "1").send().await.unwrap();
        assert_eq!(mutation.changes(), 0, "{yaml}");
    }
}

#[tokio::test]
async fn a_mutant_can_invent_replies_and_repeat_requests() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let address = upstream(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Response::new(Body::from("{\"usage\": {\"input_tokens\": 3}}")) }
    })
    .await;
    let relay = relay(RelayPosition::Behind, &address).await;
    let send = async |yaml: &str| {
        let key = new_key();
        relay.register(key, Some(&mutation(yaml)), None);
        let reply = messages(&relay, key).send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    let made_up =
        send("position: behind\nrequest:\n  answer: { status: 403, json: { message: denied } }").await;
    assert_eq!(made_up, (403, "{\"message\":\"denied\"}".to_owned()));
    assert_eq!(count.load(Ordering::SeqCst), 0);
    send("position: behind\nrequest: { send_twice: true }").await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    let changed =
        send("position: behind\nreply:\n  status: 500\n  body: [{ set: { path: $.usage.input_tokens, value: 0 } }]").await;
    assert_eq!(changed, (500, "{\"usage\":{\"input_tokens\":0}}".to_owned()));
}

#[tokio::test]
async fn a_buffering_mutant_holds_back_the_whole_body() {
    let (open, opened) = watch::channel(false);
    let address = upstream(move |_| {
        let mut opened = opened.clone();
        async move {
            let last = stream::once(async move {
                opened.wait_for(|open| *open).await.unwrap();
                Ok(event("two"))
            });
            streamed(stream::iter([Ok(event("one"))]).chain(last))
        }
    })
    .await;
    let relay = relay(RelayPosition::Front, &address).await;
    let key = new_key();
    relay.register(key, Some(&mutation("reply: { buffer: true }")), None);
    let reply = messages(&relay, key).send().await.unwrap();
    assert!(relay.take(key)[0].reply.as_ref().unwrap().events.is_empty());
    open.send(true).unwrap();
    assert_eq!(
        reply.bytes().await.unwrap(),
        [event("one"), event("two")].concat()
    );
}

#[tokio::test]
async fn a_request_that_a_mutant_changes_is_signed_again() {
    let gateway = Gateway::start().await;
    let secret = &gateway.simulator.credentials().aws_secret_access_key;
    let relay = Relay::start(RelayPosition::Behind, gateway.simulator.base_url(), Some(secret));
    let relay = relay.await.unwrap();
    let port = reqwest::Url::parse(relay.base_url()).unwrap().port();
    let change = "position: behind\nrequest:\n  body: [{ set: { path: $.max_tokens, value: 77 } }]";
    let kept = format!("{change}\n  keep_signature: true");
    let forged = format!("{change}\n  headers: [{{ set: {{ name: x-amz-date, value: 20200101T000000Z }} }}]");
    for (mutant, is_wrong, status) in [
        (change.to_owned(), false, 200),
        (kept, false, 403),
        (forged, false, 403),
        (change.to_owned(), true, 403),
    ] {
        let key = gateway.trial([text("ok")]);
        relay.register(key, Some(&mutation(&mutant)), None);
        let mut request = gateway
            .ask(compat_matrix::wire::Route::BedrockInvoke, false, &prompt(key))
            .build()
            .unwrap();
        request.url_mut().set_port(port).unwrap();
        if is_wrong {
            request
                .headers_mut()
                .insert("content-type", "text/plain".parse().unwrap());
        }
        let reply = gateway.client.execute(request).await.unwrap();
        assert_eq!(reply.status().as_u16(), status, "{mutant}");
        let arrived = gateway.simulator.take(key).remove(0).message.unwrap();
        assert_eq!(arrived.max_tokens, Some(77));
    }
}

#[tokio::test]
async fn a_compressed_reply_is_recorded_as_claude_code_reads_it() {
    let address = upstream(|_| async { streamed(stream::iter([Ok(event("one")), Ok(event("two"))])) }).await;
    let relay = relay(RelayPosition::Front, &address).await;
    let whole = [event("one"), event("two")].concat();
    for (yaml, encoding, is_wrong) in [
        ("reply: { compress: gzip }", Some("gzip"), false),
        (
            "reply: { compress: gzip, chunk_bytes: 3, buffer: true }",
            Some("gzip"),
            false,
        ),
        (
            "reply:\n  compress: gzip\n  headers: [{ set: { name: content-encoding, value: br } }]",
            Some("br"),
            true,
        ),
        (
            "reply:\n  compress: gzip\n  headers: [{ drop: content-encoding }]",
            None,
            true,
        ),
    ] {
        let key = new_key();
        relay.register(key, Some(&mutation(yaml)), None);
        let reply = messages(&relay, key).send().await.unwrap();
        let named = reply.headers().get("content-encoding").cloned();
        assert_eq!(
            named.as_ref().map(|value| value.to_str().unwrap()),
            encoding,
            "{yaml}"
        );
        let came = reply.bytes().await.unwrap();
        let decoded = ContentDecoder::new(Some("gzip")).push(&came);
        assert_eq!(decoded, whole, "{yaml}");
        let recorded = relay.take(key).remove(0).reply.unwrap();
        assert!(!recorded.cut_off, "{yaml}");
        assert_eq!(recorded.wrong_encoding.is_some(), is_wrong, "{yaml}");
        let is_read = encoding == Some("gzip");
        assert_eq!(recorded.events.len() == 2, is_read, "{yaml}: {recorded:?}");
    }
}

#[tokio::test]
async fn a_mutant_edits_what_a_compressed_reply_says() {
    let json = r#"{"content":[{"text":"one"}]}"#;
    for (content_type, body, yaml) in [
        (
            "application/json",
            json.into(),
            "reply: { body: [{ replace_text: { path: '$..text', find: one, with: two } }] }",
        ),
        (
            "text/event-stream",
            event("one"),
            "reply: { events: [{ name: content_block_delta, edit: [{ replace_text: { path: '$..text', find: one, with: two } }] }] }",
        ),
    ] {
        let sent = gzipped(&body);
        let address = upstream(move |_| {
            let mut reply = streamed(stream::iter([Ok(sent.clone())]));
            let headers = reply.headers_mut();
            headers.insert("content-type", content_type.parse().unwrap());
            headers.insert("content-encoding", "gzip".parse().unwrap());
            async move { reply }
        })
        .await;
        let relay = relay(RelayPosition::Front, &address).await;
        let key = new_key();
        let mutation = mutation(yaml);
        relay.register(key, Some(&mutation), None);
        let reply = messages(&relay, key).send().await.unwrap();
        assert_eq!(reply.headers().get("content-encoding"), None, "{yaml}");
        let came = String::from_utf8(reply.bytes().await.unwrap().to_vec()).unwrap();
        assert!(came.contains("two") && !came.contains("one"), "{yaml}: {came}");
    }
}

#[tokio::test]
async fn empty_lines_after_the_last_event_are_no_event() {
    let address = upstream(|_| async { streamed(stream::iter([Ok(event("one")), Ok("\n".into())])) }).await;
    let relay = relay(RelayPosition::Front, &address).await;
    let key = new_key();
    relay.register(key, None, None);
    messages(&relay, key).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(relay.take(key).remove(0).reply.unwrap().events.len(), 1);
}

#[tokio::test]
async fn a_request_is_compressed_and_its_headers_say_so() {
    let relay = relay(RelayPosition::Front, &upstream(echo).await).await;
    let key = new_key();
    relay.register(key, Some(&mutation("request: { compress: gzip }")), None);
    let reply = messages(&relay, key).send().await.unwrap();
    let came = reply.json::<Value>().await.unwrap()["headers"].to_string();
    assert!(came.contains(r#"["content-encoding","gzip"]"#), "{came}");
}

#[tokio::test]
async fn one_mutant_changes_both_sides() {
    let both = mutation(
        "request:\n  headers: [{ drop: x }]\nother_side:\n  request:\n    headers: [{ set: { name: y, value: \"1\" } }]",
    );
    let behind = relay(RelayPosition::Behind, &upstream(echo).await).await;
    let front = relay(RelayPosition::Front, behind.base_url()).await;
    let key = new_key();
    for relay in [&front, &behind] {
        relay.register(key, Some(&both), None);
    }
    let reply = messages(&front, key).header("x", "1").send().await.unwrap();
    let came = reply.json::<Value>().await.unwrap()["headers"].to_string();
    assert!(
        came.contains(r#"["y","1"]"#) && !came.contains(r#"["x","1"]"#),
        "{came}"
    );
    assert_eq!(both.changes(), 2);
}

/// The lines of the head of the request that arrives under a mutant.
async fn arrived_head(yaml: &str) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let relay = relay(RelayPosition::Front, &address).await;
    let key = new_key();
    relay.register(key, Some(&mutation(yaml)), None);
    let request = messages(&relay, key).header("x-first", "1").header("x-last", "2");
    let sent = tokio::spawn(request.send());
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut head = vec![0; 4096];
    let length = connection.read(&mut head).await.unwrap();
    drop(connection);
    assert!(sent.await.unwrap().is_err());
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    head.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn headers_change_their_case_and_their_order() {
    let places = |head: &[String], names: [&str; 2]| {
        names.map(|name| head.iter().position(|line| line.starts_with(name)).unwrap())
    };
    let titles = arrived_head("request: { title_case_headers: true }").await;
    let [first, last] = places(&titles, ["X-First: 1", "X-Last: 2"]);
    assert!(first < last, "{titles:?}");
    let reversed = arrived_head("request: { reverse_headers: true }").await;
    let [first, last] = places(&reversed, ["x-first: 1", "x-last: 2"]);
    assert!(first > last, "{reversed:?}");
}

#[tokio::test]
async fn an_id_of_the_simulator_shows_under_any_name() {
    for (name, id, expected) in [
        (
            "llm_provider-x-amzn-requestid",
            reply_id::sealed(Uuid::from_u128(815)),
            true,
        ),
        ("llm_provider-x-amzn-requestid", Uuid::from_u128(815), false),
        ("x-other", reply_id::sealed(Uuid::from_u128(815)), false),
    ] {
        let address = upstream(move |_| async move {
            let response = Response::builder().header(name, id.to_string());
            response.body(Body::from("{}")).unwrap()
        });
        let relay = Relay::start(RelayPosition::Front, &address.await, None)
            .await
            .unwrap();
        drop(http::client().get(relay.base_url()).send().await.unwrap());
        assert_eq!(relay.has_met_simulator(), expected, "{name}: {id}");
        relay.shutdown().await;
    }
}
