//! A body that the gateway sent to the path of another API.

use compat_matrix::cause;
use compat_matrix::evidence::Evidence;
use compat_matrix::expectation::Check;
use compat_matrix::expectation::kinds::UnchangedCheck;
use compat_matrix::outcome::Cause;
use compat_matrix::wire::exchange::Body;
use compat_matrix::wire::{Direction, Route, converse};
use serde_json::json;

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
