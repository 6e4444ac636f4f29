//! The change on the wire with which a report begins.

use compat_matrix::cause;
use compat_matrix::evidence::Evidence;
use compat_matrix::expectation::Check;
use compat_matrix::expectation::count::CountMatcher;
use compat_matrix::expectation::kinds::usage::UsageCount;
use compat_matrix::expectation::kinds::{EventCheck, UnchangedCheck, UsageCheck};
use compat_matrix::report::failure_in_short;
use compat_matrix::wire::exchange::Body;
use compat_matrix::wire::{Direction, messages};
use serde_json::json;

use super::{Wire, body};
use crate::support::evidence::{Builder, equals, expectation, judge, nothing, query, test, text_message};
use crate::support::text::{assert_has, assert_starts};

/// Two turns with the same beginning. At the provider, the second lacks `thinking`, and both lack `max_tokens`.
fn without_thinking_in_the_second_turn() -> Wire {
    let mut second = body();
    let messages = second["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": "more"}));
    let blocks = json!([{"type": "text", "text": "ok"}]);
    let mut wire = Wire::of(&[(body(), blocks.clone()), (second, blocks)]);
    for (index, lost) in [&["max_tokens"][..], &["max_tokens", "thinking"]]
        .into_iter()
        .enumerate()
    {
        let exchange = &mut wire.exchanges[index];
        if let Body::Json(body) = &mut exchange.request.body {
            lost.iter()
                .for_each(|field| drop(body.as_object_mut().unwrap().remove(*field)));
            exchange.message = messages::read(body, None, &[]);
        }
    }
    wire
}

#[test]
fn written_tokens_are_explained_by_the_prefix() {
    let Wire { sent, exchanges } = without_thinking_in_the_second_turn();
    let wrote = |id: &str, tokens: u64| {
        let mut message = text_message("ok");
        message["id"] = json!(id);
        message["usage"]["cache_creation_input_tokens"] = json!(tokens);
        message
    };
    let evidence = Evidence {
        sent,
        exchanges,
        ..nothing()
            .answered(wrote("msg_1", 5))
            .answered(wrote("msg_2", 2714))
            .ended("ok")
    };
    let at_most = CountMatcher {
        min: None,
        max: Some(1000),
        as_provider: false,
    };
    let mut test = test(Check::Usage(UsageCheck {
        turn: Some(2),
        counts: vec![(UsageCount::CacheCreation, at_most)],
    }));
    let unchanged = Check::Unchanged(UnchangedCheck(Direction::Request));
    test.expectations
        .push(expectation("request_unchanged", unchanged));
    let judgement = judge(&test, &evidence);
    let failure = cause::failure_of_trial(&evidence, &judgement);
    let text = failure_in_short(&failure);
    assert_starts(
        &text,
        "`cache_creation_input_tokens` of answer 2 does not match: request 2: `thinking`, on which the cached prefix depends, changed",
    );
    assert_has(&text, "cause: gateway");
}

#[test]
fn a_limit_in_a_header_explains_the_event_about_it() {
    let mut wire = Wire::one().arrives(|body| drop(body["max_tokens"].take()));
    let header = (
        "anthropic-ratelimit-unified-status".to_owned(),
        "allowed_warning".to_owned(),
    );
    wire.exchanges[0].reply.headers.push(header);
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..nothing().answered(text_message("a b c")).ended("a b c")
    };
    let mut test = test(Check::Event(EventCheck {
        path: query("$[?@.type == 'rate_limit_event'].rate_limit_info.status"),
        prompt: None,
        value: equals("allowed_warning"),
    }));
    for (name, direction) in [("request", Direction::Request), ("reply", Direction::Reply)] {
        let unchanged = Check::Unchanged(UnchangedCheck(direction));
        test.expectations.push(expectation(name, unchanged));
    }
    let judgement = judge(&test, &evidence);
    let failure = cause::failure_of_trial(&evidence, &judgement);
    assert_starts(
        &failure_in_short(&failure),
        "what Claude Code printed does not match: reply 1: header `anthropic-ratelimit-unified-status` dropped",
    );
}
