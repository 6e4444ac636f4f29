//! The replies and records of the provider simulator on all four routes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use compat_matrix::http;
use compat_matrix::provider::{Notice, Provider, RemoteSimulator, Simulator, SimulatorOptions, Unscripted};
use compat_matrix::wire::exchange::{Lockstep, Matched};
use compat_matrix::wire::script::{Reply, ReplyBlock, ReplyError};
use compat_matrix::wire::{Operation, Route};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::provider_client::*;
use crate::support::text::{assert_has, assert_lacks, assert_starts};
use crate::support::wait::eventually;

#[tokio::test]
async fn every_route_answers_and_records() {
    let gateway = Gateway::start().await;
    for route in Route::ALL {
        let key = gateway.trial([text("one two three"), text("four five")]);
        let whole = gateway.send(route, false, &prompt(key)).await;
        assert_eq!(whole.status(), StatusCode::OK, "{route:?}");
        let whole: Value = whole.json().await.unwrap();
        assert_eq!(whole_text(route, &whole), "one two three");
        let streamed = read_stream(route, gateway.send(route, true, &prompt(key)).await).await;
        assert_eq!(streamed_text(&streamed), "four five", "{route:?}");

        let exchanges = gateway.simulator.take(key);
        assert_eq!(exchanges.len(), 2);
        for (index, exchange) in exchanges.iter().enumerate() {
            assert_eq!((exchange.number, exchange.turn), (index + 1, Some(index + 1)));
            assert_eq!(
                (exchange.route, exchange.operation),
                (Some(route), Operation::Messages)
            );
            assert_eq!(exchange.matched, Matched::Script { reply: index + 1 });
            assert_eq!(
                (exchange.reply.stream, exchange.reply.cut_off),
                (index == 1, false)
            );
            let request = exchange.message.as_ref().unwrap();
            assert_eq!((request.messages.len(), request.max_tokens), (1, Some(1000)));
        }
        assert_eq!(exchanges[0].reply.events[0].data, whole);
        let sent: Vec<&Value> = exchanges[1]
            .reply
            .events
            .iter()
            .map(|event| &event.data)
            .collect();
        assert_eq!(sent, streamed.iter().collect::<Vec<_>>());
    }
    gateway.simulator.shutdown().await;
}

#[tokio::test]
async fn a_request_without_a_scripted_reply_is_refused() {
    let gateway = Gateway::start().await;
    let key = gateway.trial([]);
    for route in Route::ALL {
        let reply = gateway.send(route, true, &prompt(key)).await;
        assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
        let reply = gateway.send(route, true, &prompt(new_key())).await;
        assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
    }
    let unknown = gateway.post("/v2/messages", &prompt(key)).send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    let exchanges = gateway.simulator.take(key);
    assert_eq!(exchanges.len(), Route::ALL.len() + 1);
    assert!(
        exchanges
            .iter()
            .all(|exchange| matches!(exchange.matched, Matched::Unmatched { .. }))
    );
    let orphans = gateway.simulator.orphans();
    assert_eq!(orphans.len(), Route::ALL.len() + 1);
    assert_eq!(orphans[0].operation, Operation::OauthToken);
    assert!(!format!("{orphans:?}").contains(&gateway.access_token));
}

#[tokio::test]
async fn a_scripted_error_has_the_providers_form() {
    let gateway = Gateway::start().await;
    for route in Route::ALL {
        let error = ReplyError {
            status: 429,
            kind: None,
            message: "slow down".to_owned(),
            ..ReplyError::default()
        };
        let key = gateway.trial([Reply::Error(error), text("ok")]);
        let reply = gateway.send(route, true, &prompt(key)).await;
        assert_eq!(reply.status(), StatusCode::TOO_MANY_REQUESTS);
        let error_type = reply
            .headers()
            .get("x-amzn-errortype")
            .map(|value| value.to_str().unwrap().to_owned());
        let body: Value = reply.json().await.unwrap();
        match route {
            Route::Anthropic | Route::Azure | Route::BedrockMantle => {
                assert_eq!(
                    body["error"],
                    json!({"type": "rate_limit_error", "message": "slow down"})
                );
            }
            Route::BedrockInvoke | Route::BedrockConverse => {
                assert_starts(&error_type.unwrap(), "ThrottlingException:");
                assert_eq!(body, json!({"message": "slow down"}));
            }
            Route::VertexAi => assert_eq!(body["error"]["status"], "RESOURCE_EXHAUSTED"),
        }
        assert_eq!(
            gateway.send(route, true, &prompt(key)).await.status(),
            StatusCode::OK,
            "the next gets the next reply"
        );
    }
}

#[tokio::test]
async fn every_route_needs_credentials_and_never_records_them() {
    let gateway = Gateway::start().await;
    let key = gateway.trial([text("ok")]);
    for route in Route::ALL {
        let mut request = gateway.ask(route, false, &prompt(key)).build().unwrap();
        request.headers_mut().remove("authorization");
        request.headers_mut().remove("x-api-key");
        request.headers_mut().remove("api-key");
        let reply = gateway.client.execute(request).await.unwrap();
        let expected = match route {
            Route::Anthropic | Route::VertexAi | Route::Azure => StatusCode::UNAUTHORIZED,
            Route::BedrockInvoke | Route::BedrockConverse | Route::BedrockMantle => StatusCode::FORBIDDEN,
        };
        assert_eq!(reply.status(), expected, "{route:?}");
    }
    assert_eq!(
        gateway.send(Route::Anthropic, false, &prompt(key)).await.status(),
        StatusCode::OK
    );
    let exchanges = gateway.simulator.take(key);
    assert!(
        exchanges[..Route::ALL.len()]
            .iter()
            .all(|exchange| matches!(exchange.matched, Matched::Rejected { .. }))
    );
    let recorded = serde_json::to_string(&exchanges).unwrap();
    assert_lacks(&recorded, &gateway.simulator.credentials().anthropic_api_key);
    assert_has(&recorded, "[redacted, ");
}

#[tokio::test]
async fn a_key_that_is_sent_twice_is_refused() {
    let gateway = Gateway::start().await;
    let key = gateway.trial([text("ok")]);
    let mut request = gateway
        .ask(Route::Anthropic, false, &prompt(key))
        .build()
        .unwrap();
    let shown = request.headers()["x-api-key"].clone();
    request.headers_mut().append("x-api-key", shown);
    let reply = gateway.client.execute(request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        reply.json::<Value>().await.unwrap()["error"]["message"],
        "API key is invalid."
    );
}

#[tokio::test]
async fn an_expired_assertion_gets_no_token() {
    let gateway = Gateway::start().await;
    let reply = exchange_token(&gateway.client, &gateway.simulator, 7200).await;
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
    assert_eq!(reply.json::<Value>().await.unwrap()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_tool_loop_with_signed_thinking_works() {
    let gateway = Gateway::start().await;
    for route in Route::ALL {
        let call = ReplyBlock::ToolUse {
            name: "Bash".to_owned(),
            input: json!({"command": "echo pong"}),
        };
        let key = gateway.trial([
            Reply::Message(message(vec![
                ReplyBlock::Thinking("hm, let me see".to_owned()),
                call,
            ])),
            text("it said ${tool_result}"),
        ]);
        let mut body = prompt(key);
        body["tools"] = json!([{"name": "Bash", "input_schema": {"type": "object"}}]);
        body["max_tokens"] = json!(4000);
        body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
        let first = gateway.send(route, true, &body).await;
        assert_eq!(first.status(), StatusCode::OK);
        read_stream(route, first).await;
        let sent = gateway.simulator.take(key).remove(0).reply.message.unwrap();
        assert_eq!(sent["stop_reason"], "tool_use");
        assert_eq!(sent["content"][0]["thinking"], "hm, let me see");
        assert!(!sent["content"][0]["signature"].as_str().unwrap().is_empty());
        let has_caller = matches!(route, Route::Anthropic | Route::Azure);
        let caller = has_caller.then(|| json!({"type": "direct"}));
        assert_eq!(sent["content"][1].get("caller"), caller.as_ref(), "{route:?}");

        gateway
            .simulator
            .register(key, script([text("it said ${tool_result}")]));
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": sent["content"]}));
        messages.push(json!({"role": "user", "content": [{
            "type": "tool_result",
            "tool_use_id": sent["content"][1]["id"],
            "content": "pong",
        }]}));
        let second: Value = gateway.send(route, false, &body).await.json().await.unwrap();
        assert_eq!(whole_text(route, &second), "it said pong", "{route:?}");
    }
}

#[tokio::test]
async fn redacted_thinking_returns_only_unchanged() {
    let gateway = Gateway::start().await;
    for route in [Route::Anthropic, Route::BedrockInvoke, Route::VertexAi] {
        let redacted = ReplyBlock::RedactedThinking("hidden".to_owned());
        let answer = ReplyBlock::Text("ok".to_owned());
        let key = gateway.trial([Reply::Message(message(vec![redacted, answer])), text("ok")]);
        let mut body = prompt(key);
        body["max_tokens"] = json!(4000);
        body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
        let first: Value = gateway.send(route, false, &body).await.json().await.unwrap();
        assert_eq!(first["content"][0]["type"], "redacted_thinking", "{route:?}");
        assert_lacks(&first.to_string(), "hidden");
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": first["content"]}));
        messages.push(json!({"role": "user", "content": "and?"}));
        let mut changed = body.clone();
        changed["messages"][1]["content"][0]["data"] = json!("aGlkZGVu");
        let refused = gateway.send(route, false, &changed).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{route:?}");
        assert_has(
            &refused.text().await.unwrap(),
            "Invalid `data` in `redacted_thinking` block",
        );
        assert_eq!(
            gateway.send(route, false, &body).await.status(),
            StatusCode::OK,
            "{route:?}"
        );
    }
}

#[tokio::test]
async fn a_token_count_equals_the_usage() {
    let gateway = Gateway::start().await;
    let key = new_key();
    for route in Route::ALL {
        gateway.simulator.register(key, script([text("ok")]));
        gateway.send(route, false, &prompt(key)).await;
        let usage = gateway.simulator.take(key)[0].reply.usage;
        let reply = match route {
            Route::Anthropic => {
                let mut body = prompt(key);
                body["model"] = json!(MODEL);
                body.as_object_mut().unwrap().remove("max_tokens");
                gateway.anthropic("/v1/messages/count_tokens", &body)
            }
            Route::Azure | Route::BedrockMantle => {
                let mut request = gateway.ask(route, false, &prompt(key)).build().unwrap();
                let sent = request.body().unwrap().as_bytes().unwrap();
                let mut body: Value = serde_json::from_slice(sent).unwrap();
                body.as_object_mut()
                    .unwrap()
                    .retain(|name, _| !matches!(name.as_str(), "max_tokens" | "stream"));
                request.url_mut().set_path("/anthropic/v1/messages/count_tokens");
                let signed = gateway.signed(request.url().path(), &body).build().unwrap();
                let keys = ["authorization", "x-amz-date", "host"];
                for name in keys.into_iter().filter(|_| route == Route::BedrockMantle) {
                    let value = signed.headers()[name].clone();
                    request.headers_mut().insert(name, value);
                }
                request.headers_mut().remove("content-length");
                *request.body_mut() = Some(body.to_string().into());
                let body: Value = gateway
                    .client
                    .execute(request)
                    .await
                    .unwrap()
                    .json()
                    .await
                    .unwrap();
                assert_eq!(body["input_tokens"], usage.input_tokens, "{route:?}");
                continue;
            }
            Route::BedrockInvoke => {
                let mut body = prompt(key);
                body["anthropic_version"] = json!("bedrock-2023-05-31");
                let body = json!({"input": {"invokeModel": {"body": STANDARD.encode(body.to_string())}}});
                gateway.signed(&format!("/model/{BEDROCK_MODEL}/count-tokens"), &body)
            }
            Route::BedrockConverse => {
                let mut converse = to_converse(&prompt(key));
                converse.as_object_mut().unwrap().remove("inferenceConfig");
                let body = json!({"input": {"converse": converse}});
                gateway.signed(&format!("/model/{BEDROCK_MODEL}/count-tokens"), &body)
            }
            Route::VertexAi => {
                let mut body = prompt(key);
                body["model"] = json!("claude-haiku-4-5@20251001");
                body.as_object_mut().unwrap().remove("max_tokens");
                gateway.vertex("count-tokens:rawPredict", &body)
            }
        };
        let body: Value = reply.send().await.unwrap().json().await.unwrap();
        let count = body["input_tokens"].as_u64().or(body["inputTokens"].as_u64());
        assert_eq!(count, Some(usage.input_tokens), "{route:?}");
    }
}

#[tokio::test]
async fn a_lockstep_stream_waits_for_its_client() {
    let gateway = Gateway::start().await;
    let mut reply = message(vec![ReplyBlock::Text("one two three".to_owned())]);
    reply.pace.lockstep = true;
    let key = gateway.trial([Reply::Message(reply)]);
    let mut response = gateway.send(Route::Anthropic, true, &prompt(key)).await;
    let mut received = String::new();
    let mut shown = 0;
    while let Some(chunk) = response.chunk().await.unwrap() {
        received.push_str(std::str::from_utf8(&chunk).unwrap());
        let deltas = received.matches("\"text_delta\"").count();
        assert!(
            deltas <= shown + 1,
            "a delta came before the previous one was shown"
        );
        shown = deltas;
        gateway.simulator.shown(key, shown);
    }
    assert_eq!(
        gateway.simulator.take(key)[0].reply.lockstep,
        Some(Lockstep { deltas: 3, seen: 2 })
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_is_recorded() {
    let gateway = Gateway::start().await;
    let mut reply = message(vec![ReplyBlock::Text("one two".to_owned())]);
    reply.pace.lockstep = true;
    let key = gateway.trial([Reply::Message(reply)]);
    let mut response = gateway.send(Route::Anthropic, true, &prompt(key)).await;
    response.chunk().await.unwrap();
    drop(response);
    assert!(gateway.simulator.take(key)[0].reply.cut_off);
}

#[tokio::test]
async fn a_remote_simulator_is_used_like_an_embedded_one() {
    let options = SimulatorOptions {
        control_key: Some("the key".to_owned()),
        unscripted: Unscripted::Reply(message(vec![ReplyBlock::Text("hi".to_owned())])),
        ..SimulatorOptions::default()
    };
    let gateway = Gateway::on(Simulator::start(options).await.unwrap()).await;
    let base_url = gateway.simulator.base_url();
    let refused = RemoteSimulator::connect(base_url, "another").await.unwrap_err();
    assert_has(&refused.to_string(), "refuses the control key");
    let remote = Provider::Remote(RemoteSimulator::connect(base_url, "the key").await.unwrap());
    let key = new_key();
    remote.register(key, script([text("ok")])).await.unwrap();
    let reply = gateway.send(Route::VertexAi, false, &prompt(key)).await;
    assert_eq!(reply.status(), StatusCode::OK);
    remote.shown(key, 1).await.unwrap();
    let exchanges = remote.take(key).await.unwrap();
    assert_eq!(exchanges[0].matched, Matched::Script { reply: 1 });
    let body: Value = gateway
        .send(Route::Anthropic, false, &prompt(key))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        whole_text(Route::Anthropic, &body),
        "hi",
        "a request without a trial gets the default reply"
    );
    assert!(
        remote
            .orphans()
            .await
            .unwrap()
            .iter()
            .any(|exchange| exchange.matched == Matched::BuiltIn)
    );
}

#[tokio::test]
async fn parallel_trials_are_separate() {
    let gateway = Gateway::start().await;
    let trials: Vec<_> = (0..40)
        .map(|number| (new_key(), Route::ALL[number % 4], format!("answer {number}")))
        .collect();
    for (key, _, answer) in &trials {
        gateway.simulator.register(*key, script([text(answer)]));
    }
    let replies = trials.iter().map(|(key, route, _)| {
        let body = prompt(*key);
        let gateway = &gateway;
        async move { read_stream(*route, gateway.send(*route, true, &body).await).await }
    });
    for (events, (key, _, answer)) in futures_util::future::join_all(replies).await.iter().zip(&trials) {
        assert_eq!(streamed_text(events), *answer);
        assert_eq!(gateway.simulator.take(*key).len(), 1);
    }
}

#[tokio::test]
async fn a_probe_uses_no_reply_and_a_last_error_is_repeated() {
    let gateway = Gateway::start().await;
    let error = ReplyError {
        status: 500,
        kind: None,
        message: "boom".to_owned(),
        ..ReplyError::default()
    };
    let key = gateway.trial([text("first"), Reply::Error(error)]);
    let mut probe = prompt(key);
    probe["max_tokens"] = json!(1);
    assert_eq!(
        gateway.send(Route::BedrockInvoke, false, &probe).await.status(),
        StatusCode::OK
    );
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(
            gateway
                .send(Route::BedrockInvoke, false, &prompt(key))
                .await
                .status()
                .as_u16(),
        );
    }
    assert_eq!(statuses, [200, 500, 500]);
    let turns: Vec<_> = gateway
        .simulator
        .take(key)
        .iter()
        .map(|exchange| exchange.turn)
        .collect();
    assert_eq!(turns, [None, Some(1), Some(2), Some(3)]);
}

#[tokio::test]
async fn a_second_turn_reads_the_cache_on_every_route() {
    let gateway = Gateway::start().await;
    for route in Route::ALL {
        let key = gateway.trial([text("one"), text("two")]);
        let mut body = prompt(key);
        body["system"] =
            json!([{"type": "text", "text": "rules ".repeat(4000), "cache_control": {"type": "ephemeral"}}]);
        gateway.send(route, true, &body).await.bytes().await.unwrap();
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": [{"type": "text", "text": "one"}]}));
        messages.push(json!({"role": "user", "content": [{"type": "text", "text": "again"}]}));
        let second: Value = gateway.send(route, false, &body).await.json().await.unwrap();
        let exchanges = gateway.simulator.take(key);
        let [first_usage, second_usage] = [0, 1].map(|index| exchanges[index].reply.usage);
        assert!(first_usage.cache_creation_input_tokens > 5000, "{route:?}");
        assert_eq!(first_usage.cache_read_input_tokens, 0);
        assert_eq!(
            second_usage.cache_read_input_tokens,
            first_usage.cache_creation_input_tokens
        );
        assert_eq!(second_usage.cache_creation_input_tokens, 0);
        let reported = second["usage"]["cache_read_input_tokens"]
            .as_u64()
            .or(second["usage"]["cacheReadInputTokens"].as_u64());
        assert_eq!(reported, Some(second_usage.cache_read_input_tokens));
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_recorded() {
    let gateway = Gateway::start().await;
    for (route, size, status, words) in [
        (
            Route::Anthropic,
            33 << 20,
            413,
            "Request exceeds the maximum size",
        ),
        (Route::VertexAi, 31 << 20, 400, "exceeds 30.000MB limit."),
        (Route::BedrockInvoke, 25_000_001, 400, "Input is too long."),
        (Route::BedrockConverse, 25_000_001, 400, "Input is too long."),
        (Route::VertexAi, 65 << 20, 400, "exceeds 30.000MB limit."),
    ] {
        let key = gateway.trial([text("ok")]);
        let mut body = prompt(key);
        body["messages"][0]["content"][0]["text"] = json!(format!("{key} {}", "x".repeat(size)));
        let mut request = gateway.ask(route, false, &body).build().unwrap();
        request
            .headers_mut()
            .insert("x-claude-code-session-id", key.to_string().parse().unwrap());
        let length = request.body().unwrap().as_bytes().unwrap().len();
        let reply = gateway.client.execute(request).await.unwrap();
        assert_eq!(reply.status().as_u16(), status, "{route:?}");
        let reply = reply.text().await.unwrap();
        assert_has(&reply, words);
        if route == Route::VertexAi {
            assert_has(&reply, &format!("The request size ({length} bytes)"));
        }
        let exchanges = gateway.simulator.take(key);
        let rule = "request_size".to_owned();
        assert_eq!(exchanges[0].matched, Matched::Rejected { rule });
        assert!(
            serde_json::to_string(&exchanges).unwrap().len() < 5000,
            "its body is not recorded"
        );
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_not_too_large() {
    let gateway = Gateway::start().await;
    let key = gateway.trial([text("ok")]);
    let host = gateway.simulator.base_url().trim_start_matches("http://");
    let head = format!("POST /v1/messages HTTP/1.1\r\nhost: {host}\r\ncontent-length: 99999999\r\n");
    let session = format!("x-claude-code-session-id: {key}\r\n\r\n{{");
    let mut connection = TcpStream::connect(host).await.unwrap();
    connection.write_all((head + &session).as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    let exchanges = || Some(gateway.simulator.exchanges(key)).filter(|exchanges| !exchanges.is_empty());
    let exchange = eventually("the exchange", exchanges).await.remove(0);
    let rule = "complete_body".to_owned();
    assert_eq!(
        (exchange.matched, exchange.turn),
        (Matched::Rejected { rule }, None)
    );
    assert_eq!(
        gateway.send(Route::Anthropic, false, &prompt(key)).await.status(),
        200
    );
}

#[tokio::test]
async fn the_oldest_requests_of_no_trial_are_forgotten() {
    let told = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&told);
    let options = SimulatorOptions {
        observe: Some(std::sync::Arc::new(move |_, notice| {
            if matches!(notice, Notice::Forgetting { kept: 1000 }) {
                counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        })),
        ..SimulatorOptions::default()
    };
    let simulator = Simulator::start(options).await.unwrap();
    let client = http::client();
    for _ in 0..1005 {
        client
            .get(format!("{}/health", simulator.base_url()))
            .send()
            .await
            .unwrap();
    }
    let orphans = simulator.orphans();
    assert_eq!((orphans.len(), orphans[0].number), (1000, 6));
    assert_eq!(told.load(std::sync::atomic::Ordering::Relaxed), 1);
}
