//! Bodies in the form of Converse, on its route and on another one.

use compat_matrix::cause;
use compat_matrix::evidence::Evidence;
use compat_matrix::expectation::Check;
use compat_matrix::expectation::kinds::UnchangedCheck;
use compat_matrix::outcome::Cause;
use compat_matrix::wire::exchange::Body;
use compat_matrix::wire::{Direction, Route, converse};
use serde_json::{Value, json};

use super::{Wire, body};
use crate::support::evidence::{Builder, judge, nothing, test, text_message};

fn in_the_form_of_converse() -> Wire {
    let blocks = json!([{"type": "text", "text": "ok"}]);
    let mut wire = Wire::of(&[(body(), blocks.clone()), (body(), blocks)]);
    for exchange in &mut wire.exchanges {
        let body = json!({
            "system": [{"text": "be brief"}, {"cachePoint": {"type": "default"}}],
            "inferenceConfig": {"maxTokens": 100},
            "messages": [{"role": "user", "content": [{"text": "first"}, {"text": "second"}, {"cachePoint": {"type": "default"}}]}],
        });
        exchange.message = converse::read(&body, "m");
        exchange.request.body = Body::Json(body);
    }
    wire
}

#[test]
fn a_body_at_the_path_of_another_api_is_one_difference() {
    let mut wire = in_the_form_of_converse();
    for route in [Route::BedrockInvoke, Route::VertexAi] {
        wire.exchanges
            .iter_mut()
            .for_each(|exchange| exchange.route = Some(route));
        let line = |turn: usize| {
            let name = route.as_str();
            format!("request {turn}: place `route` changed: \"bedrock_converse\" → \"{name}\"")
        };
        assert_eq!(wire.changes(), [line(1), line(2)]);
    }
    let mut wire = Wire::one();
    wire.exchanges[0].route = Some(Route::BedrockConverse);
    assert_eq!(
        wire.changes(),
        ["request 1: place `route` changed: \"bedrock_invoke\" → \"bedrock_converse\""]
    );
}

#[test]
fn the_path_of_another_api_heads_the_report() {
    let mut wire = in_the_form_of_converse();
    let exchanges = wire.exchanges.iter_mut();
    exchanges.for_each(|exchange| exchange.route = Some(Route::BedrockInvoke));
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..nothing().answered(text_message("ok")).ended("ok")
    };
    let check = Check::Unchanged(UnchangedCheck(Direction::Request));
    let judgement = judge(&test(check), &evidence);
    let failure = cause::failure_of_trial(&evidence, &judgement);
    assert_eq!(failure.cause, Cause::Gateway);
    assert_eq!(
        failure.headline.as_deref(),
        Some("request 1: place `route` changed: \"bedrock_converse\" → \"bedrock_invoke\"")
    );
}

#[test]
fn keys_of_documents_and_tools_are_compared_on_converse() {
    let with = |document: &Value, spec: &Value| {
        let mut wire = Wire::of(&[(
            json!({
                "tools": [{"name": "Read", "input_schema": {}, "strict": true}],
                "messages": [{"role": "user", "content": [
                    {"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": false}},
                ]}],
            }),
            json!([{"type": "text", "text": "a"}]),
        )]);
        let body = json!({
            "messages": [{"role": "user", "content": [{"document": document}]}],
            "toolConfig": {"tools": [{"toolSpec": spec}]},
        });
        let exchange = &mut wire.exchanges[0];
        exchange.route = Some(Route::BedrockConverse);
        exchange.message = None;
        exchange.request.body = Body::Json(body);
        let changes = wire.changes().into_iter();
        changes
            .filter(|line| line.starts_with("request"))
            .collect::<Vec<_>>()
    };
    let document = json!({"format": "txt", "name": "x", "citations": {"enabled": false}});
    let tool = json!({"name": "Read", "inputSchema": {"json": {}}, "strict": true});
    assert_eq!(with(&document, &tool), [""; 0]);
    let other = json!({"format": "txt", "name": "x", "citations": {"enabled": true}, "context": "old"});
    assert_eq!(
        with(&other, &json!({"name": "Read"})),
        [
            "request 1: block `documents[0].citations.enabled` changed: false → true",
            "request 1: block `documents[0].context` added: \"old\"",
            "request 1: tool `Read.strict` dropped: true",
        ]
    );
    let unknown = json!({"format": "txt", "name": "x", "citations": {"enabled": false}, "x": 1});
    let tool =
        json!({"name": "Read", "inputSchema": {"json": {"x": 1}}, "strict": true, "cache_control": null});
    assert_eq!(
        with(&unknown, &tool),
        [
            "request 1: block `messages[0].content[0].document.x` added: 1",
            "request 1: block `toolConfig.tools[0].toolSpec.cache_control` added",
        ]
    );
}
