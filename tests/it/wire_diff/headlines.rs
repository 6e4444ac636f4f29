//! The change on the wire with which a report begins.

use compat_matrix::cause;
use compat_matrix::evidence::Evidence;
use compat_matrix::expectation::Check;
use compat_matrix::expectation::count::CountMatcher;
use compat_matrix::expectation::kinds::usage::UsageCount;
use compat_matrix::expectation::kinds::{EventCheck, UnchangedCheck, UsageCheck};
use compat_matrix::expectation::{Interest, REFUSED};
use compat_matrix::report::failure_in_short;
use compat_matrix::wire::exchange::Body;
use compat_matrix::wire::{Direction, messages};
use compat_matrix::wire_diff::compare;
use serde_json::json;

use super::{Wire, body, timed};
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

/// The report about too many tokens written to the cache in the second turn.
fn of_written_tokens(wire: Wire) -> String {
    let wrote = |id: &str, tokens: u64| {
        let mut message = text_message("ok");
        message["id"] = json!(id);
        message["usage"]["cache_creation_input_tokens"] = json!(tokens);
        message
    };
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
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
    failure_in_short(&cause::failure_of_trial(&evidence, &judgement))
}

#[test]
fn written_tokens_are_explained_by_the_prefix() {
    let text = of_written_tokens(without_thinking_in_the_second_turn());
    assert_starts(
        &text,
        "`cache_creation_input_tokens` of answer 2 does not match: request 2: `thinking`, on which the cached prefix depends, changed",
    );
    assert_has(&text, "cause: gateway");
}

#[test]
fn tokens_that_the_gateway_changed_come_before_the_prefix() {
    let wire = without_thinking_in_the_second_turn().comes_back(|events| {
        for event in events {
            let usage = event.data.pointer_mut("/message/usage");
            usage
                .into_iter()
                .for_each(|usage| usage["cache_creation_input_tokens"] = json!(2714));
        }
    });
    assert_starts(
        &of_written_tokens(wire),
        "`cache_creation_input_tokens` of answer 2 does not match: reply 2: usage `",
    );
}

#[test]
fn a_limit_in_a_header_explains_the_event_about_it() {
    let mut wire = Wire::one().arrives(|body| drop(body["max_tokens"].take()));
    let header = (
        "anthropic-ratelimit-unified-status".to_owned(),
        "allowed_warning".to_owned(),
    );
    wire.exchanges[0].reply.headers.push(header);
    let token = "[redacted, 40 bytes, sk-ant-oat01-…]".to_owned();
    (wire.exchanges[0].request.headers).push(("authorization".to_owned(), token));
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..nothing().answered(text_message("a b c")).ended("a b c")
    };
    let mut test = test(Check::Event(EventCheck {
        path: query("$[?@.type == 'rate_limit_event'].rate_limit_info.status"),
        prompt: None,
        first_turn: 1,
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

/// Two answers whose prompts got the wrong texts; the gateway changed the status of the first reply only.
#[test]
fn a_reply_before_a_prompts_own_explains_nothing() {
    let blocks = json!([{"type": "text", "text": "ok"}]);
    let mut wire = Wire::of(&[(body(), blocks.clone()), (body(), blocks)]);
    wire.sent[0].reply.as_mut().unwrap().status = 500;
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..nothing().ended("one").ended("two")
    };
    let is_explained = |prompt: usize| {
        let check = Check::Event(EventCheck {
            path: query("$[?@.type == 'result'].result"),
            prompt: Some(prompt),
            first_turn: prompt,
            value: equals("three"),
        });
        let judgement = judge(&test(check), &evidence);
        let name = &judgement.judged.last().unwrap().name;
        let [change] = &judgement.whole_diff.as_ref().unwrap().changes[..] else {
            panic!("{:?}", judgement.whole_diff)
        };
        assert_eq!(change.line(), "reply 1: the status changed: 200 → 500");
        judgement.explained_by(change) == Some(name)
    };
    assert!(is_explained(1));
    assert!(!is_explained(2));
}

#[test]
fn an_error_in_place_of_a_cut_has_its_words() {
    let mut wire = Wire::one();
    let given = &mut wire.exchanges[0].reply;
    given.message = None;
    given.events.truncate(4);
    let mut events = given.events.clone();
    let line = json!("data: {\"error\": {\"message\": \"the rest is missing\"}}");
    events.extend(timed(1, [line]));
    wire.sent[0].reply.as_mut().unwrap().events = events;
    assert_eq!(
        wire.changes(),
        [
            "reply 1: the provider's stream was cut off, and that of the gateway was ended by an unread error: the rest is missing"
        ]
    );
}

#[test]
fn a_header_explains_a_refusal_only_if_it_is_the_version() {
    let with_header = |name: &str| {
        let mut wire =
            Wire::one().arrives(|body| drop(body.as_object_mut().unwrap().shift_remove("max_tokens")));
        for (headers, value) in [
            (&mut wire.sent[0].request.headers, "a"),
            (&mut wire.exchanges[0].request.headers, "b"),
        ] {
            headers.retain(|(other, _)| other != name);
            headers.push((name.to_owned(), value.to_owned()));
        }
        let diff = compare(&wire.sent, &wire.exchanges);
        Interest::in_order(&Interest::of_implied(REFUSED), &diff)[0].line()
    };
    assert_starts(
        &with_header("x-claude-code-agent-id"),
        "request 1: field `max_tokens` dropped",
    );
    assert_starts(
        &with_header("anthropic-version"),
        "request 1: header `anthropic-version` changed",
    );
}
