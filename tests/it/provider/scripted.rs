//! Scripted errors, breaks, silences and framings, on all four routes, streamed and not.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compat_matrix::wire::Route;
use compat_matrix::wire::exchange::Matched;
use compat_matrix::wire::framing::{Decoder, Framing};
use compat_matrix::wire::script::{
    Asker, Interrupt, LineEnd, Pace, Reply, ReplyBlock, ReplyError, ReplyMessage, Silence, StopDetails,
    StreamError, StreamFraming,
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::provider_client::*;

fn words(text: &str) -> ReplyMessage {
    message(vec![ReplyBlock::Text(text.to_owned())])
}

fn header(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

#[tokio::test]
async fn scripted_headers_are_sent_with_messages_and_errors() {
    let gateway = Gateway::start().await;
    for route in Route::ALL {
        let error = ReplyError {
            status: 429,
            message: "slow down".to_owned(),
            headers: header("retry-after", "7"),
            ..ReplyError::default()
        };
        let reply = ReplyMessage {
            headers: header("anthropic-ratelimit-requests-remaining", "9"),
            ..words("ok")
        };
        let key = gateway.trial([
            Reply::Error(error),
            Reply::Message(reply.clone()),
            Reply::Message(reply),
        ]);
        let refused = gateway.send(route, true, &prompt(key)).await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (429, &"7".parse().unwrap())
        );
        for stream in [true, false] {
            let answered = gateway.send(route, stream, &prompt(key)).await;
            assert_eq!(answered.headers()["anthropic-ratelimit-requests-remaining"], "9");
        }
        let recorded = gateway.simulator.take(key);
        assert!(
            recorded[0]
                .reply
                .headers
                .contains(&("retry-after".to_owned(), "7".to_owned()))
        );
    }
}

/// The events of a reply, of Bedrock's exceptions too, and whether its connection broke.
async fn received(route: Route, reply: reqwest::Response) -> (Vec<Value>, bool) {
    let framing = match route {
        Route::BedrockInvoke | Route::BedrockConverse => Framing::EventStream,
        _ => Framing::ServerSentEvents,
    };
    let mut decoder = Decoder::new(framing);
    let mut events = Vec::new();
    let mut chunks = reply.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else { return (events, true) };
        for event in decoder.push(&chunk) {
            let has_type = event.data.get("type").is_some();
            events.push(if has_type {
                event.data
            } else {
                json!({ event.name: event.data })
            });
        }
    }
    (events, false)
}

fn deltas(events: &[Value]) -> usize {
    let is_delta =
        |event: &&Value| event["type"] == "content_block_delta" || event.get("contentBlockDelta").is_some();
    events.iter().filter(is_delta).count()
}

#[tokio::test]
async fn an_error_within_a_stream_has_the_providers_form() {
    let gateway = Gateway::start().await;
    for (route, expected) in [
        (
            Route::Anthropic,
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        ),
        (
            Route::VertexAi,
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        ),
        (
            Route::BedrockInvoke,
            json!({"serviceUnavailableException": {"message": "Overloaded"}}),
        ),
        (
            Route::BedrockConverse,
            json!({"serviceUnavailableException": {"message": "Overloaded"}}),
        ),
    ] {
        for after_deltas in [0, 2, 99] {
            let reply = Reply::Message(ReplyMessage {
                interrupt: Some(Interrupt {
                    after_deltas,
                    error: Some(StreamError {
                        kind: "overloaded_error".into(),
                        message: "Overloaded".into(),
                    }),
                }),
                ..words("one two three four")
            });
            let key = gateway.trial([reply.clone(), reply]);
            let (events, broke) = received(route, gateway.send(route, true, &prompt(key)).await).await;
            assert_eq!((events.last(), broke), (Some(&expected), false), "{route:?}");
            assert_eq!(deltas(&events), after_deltas.min(4), "{route:?}");
            let whole = gateway.send(route, false, &prompt(key)).await;
            let status = if matches!(route, Route::Anthropic | Route::VertexAi) {
                529
            } else {
                503
            };
            assert_eq!(whole.status().as_u16(), status, "{route:?}");
            let recorded = gateway.simulator.take(key);
            assert_eq!(
                (&recorded[0].reply.message, recorded[0].reply.cut_off),
                (&None, false)
            );
            assert_eq!(recorded[0].reply.events.last().unwrap().data, expected);
        }
    }
}

#[tokio::test]
async fn a_connection_is_cut_after_the_deltas() {
    let gateway = Gateway::start().await;
    for route in Route::ALL {
        let reply = Reply::Message(ReplyMessage {
            interrupt: Some(Interrupt {
                after_deltas: 3,
                error: None,
            }),
            ..words("one two three four")
        });
        let key = gateway.trial([reply.clone(), reply]);
        let (events, broke) = received(route, gateway.send(route, true, &prompt(key)).await).await;
        assert_eq!((deltas(&events), broke), (3, true), "{route:?}");
        let whole = gateway.send(route, false, &prompt(key)).await;
        assert!(whole.bytes().await.is_err(), "{route:?}");
        let recorded = gateway.simulator.take(key);
        assert!(recorded.iter().all(|exchange| exchange.reply.cut_off));
    }
}

#[tokio::test]
async fn a_silence_has_pings_where_the_provider_sends_them() {
    let gateway = Gateway::start().await;
    for route in Route::ALL {
        let silence = Silence {
            after_deltas: 2,
            ms: 120,
            pings: 3,
        };
        let reply = ReplyMessage {
            pace: Pace {
                silence: Some(silence),
                ..Pace::default()
            },
            ..words("one two three four")
        };
        let key = gateway.trial([Reply::Message(reply)]);
        let start = Instant::now();
        let (events, _) = received(route, gateway.send(route, true, &prompt(key)).await).await;
        assert!(start.elapsed() >= Duration::from_millis(120));
        assert_eq!(deltas(&events), 4);
        let pings = events.iter().filter(|event| event["type"] == "ping").count();
        let is_sse = !matches!(route, Route::BedrockInvoke | Route::BedrockConverse);
        // One follows the start of the first block.
        assert_eq!(pings, if is_sse { 4 } else { 0 }, "{route:?}");
    }
}

#[tokio::test]
async fn every_framing_has_the_same_events() {
    let gateway = Gateway::start().await;
    for route in Route::ALL {
        for framing in [
            StreamFraming {
                piece_bytes: Some(7),
                ..StreamFraming::default()
            },
            StreamFraming {
                line_end: LineEnd::Crlf,
                comments: true,
                ..StreamFraming::default()
            },
            StreamFraming {
                line_end: LineEnd::Cr,
                split_data: true,
                ..StreamFraming::default()
            },
            StreamFraming {
                no_space: true,
                split_data: true,
                piece_bytes: Some(1),
                ..StreamFraming::default()
            },
            StreamFraming {
                ids: true,
                data_first: true,
                byte_order_mark: true,
                ..StreamFraming::default()
            },
        ] {
            let reply = ReplyMessage {
                framing,
                ..words("one two three")
            };
            let key = gateway.trial([Reply::Message(reply)]);
            let events = read_stream(route, gateway.send(route, true, &prompt(key)).await).await;
            assert_eq!(streamed_text(&events), "one two three", "{route:?} {framing:?}");
            let recorded = gateway.simulator.take(key).remove(0).reply;
            let sent: Vec<&Value> = recorded.events.iter().map(|event| &event.data).collect();
            assert_eq!(sent, events.iter().collect::<Vec<_>>());
            assert!(!recorded.cut_off);
        }
    }
}

#[tokio::test]
async fn pieces_are_sent_one_by_one() {
    let gateway = Gateway::start().await;
    let framing = StreamFraming {
        piece_bytes: Some(5),
        ..StreamFraming::default()
    };
    let key = gateway.trial([Reply::Message(ReplyMessage {
        framing,
        ..words("one")
    })]);
    let reply = gateway.send(Route::Anthropic, true, &prompt(key)).await;
    let chunks: Vec<_> = reply.bytes_stream().collect().await;
    assert!(chunks.len() > 100, "{}", chunks.len());
    assert!(chunks.iter().all(|chunk| chunk.as_ref().unwrap().len() <= 5));
}

#[tokio::test]
async fn a_reply_goes_to_the_asker_that_it_is_for() {
    let gateway = Gateway::start().await;
    let reply = |text: &str, asker: Asker| Reply::Message(ReplyMessage { asker, ..words(text) });
    let for_subagent = Asker {
        subagent: Some(true),
        ..Asker::default()
    };
    let for_searcher = Asker {
        has_tool: Some("WebSearch".into()),
        model: Some("haiku".into()),
        ..Asker::default()
    };
    for route in Route::ALL {
        let key = gateway.trial([
            reply("sub", for_subagent.clone()),
            reply("search", for_searcher.clone()),
            reply("any", Asker::default()),
        ]);
        let mut with_tool = prompt(key);
        with_tool["tools"] = json!([{"name": "WebSearch", "input_schema": {"type": "object"}}]);
        let mut said = Vec::new();
        for (body, agent) in [(prompt(key), false), (with_tool, false), (prompt(key), true)] {
            let mut request = gateway.ask(route, false, &body);
            if agent {
                request = request.header("x-claude-code-agent-id", "a1");
            }
            let body: Value = request.send().await.unwrap().json().await.unwrap();
            said.push(whole_text(route, &body).to_owned());
        }
        assert_eq!(said, ["any", "search", "sub"], "{route:?}");
        let left = gateway.send(route, false, &prompt(key)).await;
        assert_eq!(left.status().as_u16(), 400);
        let matched: Vec<Matched> = gateway
            .simulator
            .take(key)
            .into_iter()
            .map(|exchange| exchange.matched)
            .collect();
        assert_eq!(matched[..3], [3, 2, 1].map(|reply| Matched::Script { reply }));
    }
}

#[tokio::test]
async fn a_reply_goes_to_the_prompt_that_it_is_for() {
    let gateway = Gateway::start().await;
    let reply = |text: &str, prompt: &str| {
        let asker = Asker {
            prompt: Some(prompt.into()),
            ..Asker::default()
        };
        Reply::Message(ReplyMessage { asker, ..words(text) })
    };
    for route in Route::ALL {
        let key = gateway.trial([reply("two", "say two"), reply("one", "say one")]);
        let mut body = prompt(key);
        let mut said = Vec::new();
        // As Claude Code sends a prompt after one that got no answer.
        for text in ["say one", "say two"] {
            let blocks = body["messages"][0]["content"].as_array_mut().unwrap();
            let reminder = "<system-reminder>Do not say one.</system-reminder>";
            for text in [text, reminder, "# Of the gateway"] {
                blocks.push(json!({"type": "text", "text": text}));
            }
            let reply = gateway.ask(route, false, &body).send().await.unwrap();
            let reply: Value = reply.json().await.unwrap();
            said.push(whole_text(route, &reply).to_owned());
        }
        assert_eq!(said, ["one", "two"], "{route:?}");
    }
}

#[tokio::test]
async fn further_blocks_have_the_providers_form() {
    let citation = json!({"type": "char_location", "cited_text": "red", "document_index": 0, "document_title": "Letter",
        "start_char_index": 0, "end_char_index": 3});
    let content = vec![
        ReplyBlock::RedactedThinking("hidden".into()),
        ReplyBlock::ServerToolUse {
            name: "web_search".into(),
            input: json!({"query": "red"}),
        },
        ReplyBlock::ServerToolResult(json!({"type": "web_search_tool_result", "content": []})),
        ReplyBlock::CitedText {
            text: "it is red".into(),
            citations: vec![citation.clone()],
        },
    ];
    let gateway = Gateway::start().await;
    for route in Route::ALL {
        let reply = Reply::Message(ReplyMessage {
            stop_reason: Some("refusal".into()),
            details: StopDetails {
                stop_details: Some(json!({"type": "refusal", "category": "cyber", "explanation": null})),
                ..StopDetails::default()
            },
            ..message(content.clone())
        });
        let key = gateway.trial([reply.clone(), reply]);
        let mut body = prompt(key);
        body["max_tokens"] = json!(4000);
        body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
        if route != Route::BedrockConverse {
            body["tools"] = json!([{"name": "web_search", "input_schema": {"type": "object"}}]);
        }
        let whole: Value = gateway.send(route, false, &body).await.json().await.unwrap();
        let events = read_stream(route, gateway.send(route, true, &body).await).await;
        let streamed: Vec<String> = events.iter().map(Value::to_string).collect();
        let streamed = streamed.join("\n");
        if route == Route::BedrockConverse {
            let content = &whole["output"]["message"]["content"];
            let data = &content[0]["reasoningContent"]["redactedContent"];
            STANDARD.decode(data.as_str().unwrap()).unwrap();
            let cited = &content[2]["citationsContent"];
            assert_eq!(cited["content"], json!([{"text": "it is red"}]));
            assert_eq!(cited["citations"][0]["location"]["documentChar"]["end"], 3);
            let data = json!({"reasoningContent": {"redactedContent": data}});
            assert!(streamed.contains(&data.to_string()), "{streamed}");
            assert!(streamed.contains(r#""citation":{"title":"Letter""#), "{streamed}");
            assert!(!streamed.contains("server_tool_use"));
        } else {
            let content = &whole["content"];
            assert_eq!(content[0]["type"], "redacted_thinking");
            assert_eq!(content[2]["tool_use_id"], content[1]["id"]);
            assert!(content[1]["id"].as_str().unwrap().starts_with("srvtoolu_"));
            assert_eq!(content[3]["citations"], json!([citation]));
            assert_eq!(whole["stop_details"]["category"], "cyber");
            assert!(streamed.contains(r#""type":"citations_delta""#), "{streamed}");
            assert!(
                streamed
                    .contains(r#""delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"#)
            );
            let starts = events
                .iter()
                .filter(|event| event["type"] == "content_block_start");
            let kinds: Vec<&str> = starts
                .map(|event| event["content_block"]["type"].as_str().unwrap())
                .collect();
            assert_eq!(
                kinds,
                [
                    "redacted_thinking",
                    "server_tool_use",
                    "web_search_tool_result",
                    "text"
                ]
            );
        }
    }
}

#[tokio::test]
async fn verdicts_on_tool_calls_answer_safeguards_only() {
    let verdicts = json!([{"type": "dangerous_tool_use", "status": {"type": "completed", "tool_uses": {"${call_1}": "allow"}}}]);
    let gateway = Gateway::start().await;
    for route in Route::ALL {
        let call = ReplyBlock::ToolUse {
            name: "Bash".into(),
            input: json!({"command": "ls"}),
        };
        let reply = Reply::Message(ReplyMessage {
            details: StopDetails {
                safeguard_results: Some(verdicts.clone()),
                ..StopDetails::default()
            },
            ..message(vec![call])
        });
        let key = gateway.trial(vec![reply; 4]);
        let mut body = prompt(key);
        body["tools"] = json!([{"name": "Bash", "input_schema": {"type": "object"}}]);
        for asks in [false, true] {
            if asks {
                body["safeguards"] = json!([{"type": "dangerous_tool_use"}]);
            }
            let beta = "dangerous-tool-use-2026-09-03";
            if asks && route == Route::BedrockInvoke {
                body["anthropic_beta"] = json!([beta]);
            }
            let send = async |stream: bool| {
                let request = gateway.ask(route, stream, &body);
                request.header("anthropic-beta", beta).send().await.unwrap()
            };
            let is_answered = asks && route != Route::BedrockConverse;
            let whole: Value = send(false).await.json().await.unwrap();
            let call = whole["content"][0]["id"].as_str().unwrap_or("no id");
            let wanted = is_answered.then(|| {
                serde_json::from_str::<Value>(&verdicts.to_string().replace("${call_1}", call)).unwrap()
            });
            assert_eq!(whole.get("safeguard_results"), wanted.as_ref(), "{route:?}");
            let events = read_stream(route, send(true).await).await;
            let starts = events
                .iter()
                .find_map(|event| event["content_block"]["id"].as_str());
            let ends = events
                .iter()
                .filter_map(|event| event["delta"].get("safeguard_results"));
            let verdicts: Vec<String> = ends.map(Value::to_string).collect();
            assert_eq!(verdicts.len(), usize::from(is_answered), "{route:?}");
            assert!(verdicts.iter().all(|verdict| verdict.contains(starts.unwrap())));
        }
    }
}
