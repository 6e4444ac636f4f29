//! What a gateway changes in token counts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use compat_matrix::wire::exchange::Body;
use compat_matrix::wire::{Operation, Route};
use serde_json::{Value, json};

use super::{Wire, timed};

/// Claude Code's request, which asks for no stream.
fn whole(wire: &Wire) -> Body {
    let Body::Json(mut body) = wire.sent[0].request.body.clone() else {
        unreachable!("it is JSON")
    };
    body["stream"] = json!(false);
    Body::Json(body)
}

#[test]
fn each_key_of_a_token_counts_reply_is_compared() {
    let counted = |sent: Value, came: Value| {
        let mut wire = Wire::one();
        let asked = whole(&wire);
        wire.sent[0].request.body = asked.clone();
        let exchange = &mut wire.exchanges[0];
        exchange.request.body = asked;
        exchange.operation = Operation::CountTokens;
        let content_type = ("content-type".to_owned(), "application/json".to_owned());
        (exchange.reply.stream, exchange.reply.headers) = (false, vec![content_type]);
        exchange.reply.events = timed(0, [sent]);
        wire.sent[0].operation = Operation::CountTokens;
        let back = wire.sent[0].reply.as_mut().unwrap();
        (back.stream, back.headers[0].1) = (false, "application/json".into());
        back.events = timed(0, [came]);
        wire.changes()
    };
    let edits = json!({"original_input_tokens": 12});
    let reply = json!({"input_tokens": 10, "context_management": edits});
    assert_eq!(counted(reply.clone(), reply.clone()), [""; 0]);
    assert_eq!(
        counted(json!({"inputTokens": 10}), json!({"input_tokens": 10})),
        [""; 0]
    );
    assert_eq!(
        counted(reply, json!({"input_tokens": 10, "model": "x"})),
        [
            "count_tokens reply 1: field `context_management` dropped: {\"original_input_tokens\":12}",
            "count_tokens reply 1: field `model` added: \"x\"",
        ]
    );
    assert_eq!(
        counted(json!({"input_tokens": 10}), json!({"inputTokens": 10})).len(),
        2,
        "the name of another API"
    );
}

/// Bedrock's CountTokens has the request in base64.
#[test]
fn token_counts_are_compared_like_messages() {
    let counted = |edit: fn(&mut Value)| {
        let mut wire = Wire::one();
        let Body::Json(mut inner) = wire.exchanges[0].request.body.clone() else {
            unreachable!("it is JSON")
        };
        edit(&mut inner);
        let exchange = &mut wire.exchanges[0];
        exchange.message = compat_matrix::wire::messages::read(&inner, None, &[]);
        let inner = STANDARD.encode(inner.to_string());
        exchange.request.body = Body::Json(json!({"input": {"invokeModel": {"body": inner}}}));
        exchange.request.headers.clear();
        exchange.route = Some(Route::BedrockInvoke);
        exchange.operation = Operation::CountTokens;
        wire.sent[0].operation = Operation::CountTokens;
        let back = wire.sent[0].reply.as_mut().unwrap();
        (back.stream, back.headers[0].1) = (false, "application/json".into());
        back.events = timed(0, [json!({"input_tokens": 10})]);
        wire.sent[0].request.body = whole(&wire);
        wire.changes()
    };
    assert_eq!(counted(|body| body["stream"] = json!(false)), [""; 0]);
    assert_eq!(
        counted(|body| {
            body["stream"] = json!(false);
            body["system"][0]["text"] = json!("be long");
        }),
        ["count_tokens request 1: block `system[0] (text).text` changed: \"be brief\" → \"be long\""]
    );
}
