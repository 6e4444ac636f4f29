//! What a gateway changes in replies: their content, their frame, their pace.

use compat_matrix::findings::Subject;
use compat_matrix::wire::exchange::{GatewayReply, SentEvent};
use compat_matrix::wire::{Direction, Route};
use compat_matrix::wire_diff::{CUT_MADE_ERROR, Fate, Part, compare};
use serde_json::{Value, json};

use super::{Wire, body, timed};
use crate::support::text::assert_has;

#[test]
fn each_change_of_a_reply_has_its_kind() {
    type Edit = fn(&mut Vec<SentEvent>);
    use Direction::Reply;
    type Row = (&'static str, Edit, &'static [(Direction, Part, Fate)]);
    let rows: [Row; 10] = [
        (
            "the start of a block lost",
            |events| drop(events.remove(1)),
            &[
                (Reply, Part::Block, Fate::Dropped),
                (Reply, Part::Event, Fate::Dropped),
            ],
        ),
        (
            "deltas joined",
            |events| {
                events[4].data["delta"]["text"] = json!(" b c");
                events.remove(5);
            },
            &[(Reply, Part::Event, Fate::Merged)],
        ),
        (
            "a delta lost",
            |events| drop(events.remove(4)),
            &[
                (Reply, Part::Block, Fate::Changed),
                (Reply, Part::Event, Fate::Dropped),
            ],
        ),
        (
            "a delta twice",
            |events| events.insert(4, events[4].clone()),
            &[
                (Reply, Part::Block, Fate::Changed),
                (Reply, Part::Event, Fate::Repeated),
            ],
        ),
        (
            "a start twice",
            |events| events.insert(1, events[0].clone()),
            &[(Reply, Part::Event, Fate::Repeated)],
        ),
        (
            "a start of a block twice",
            |events| events.insert(1, events[1].clone()),
            &[
                (Reply, Part::Block, Fate::Added),
                (Reply, Part::Event, Fate::Repeated),
            ],
        ),
        (
            "no end",
            |events| drop(events.pop()),
            &[(Reply, Part::Event, Fate::Dropped)],
        ),
        ("no ping", |events| drop(events.remove(2)), &[]),
        (
            "another stop reason",
            |events| {
                let at = events.len() - 2;
                events[at].data["delta"]["stop_reason"] = json!("max_tokens");
            },
            &[(Reply, Part::StopReason, Fate::Changed)],
        ),
        (
            "another count",
            |events| {
                let at = events.len() - 2;
                events[at].data["usage"]["output_tokens"] = json!(9);
            },
            &[(Reply, Part::Usage, Fate::Changed)],
        ),
    ];
    for (what, edit, expected) in rows {
        let wire = Wire::one().comes_back(edit);
        assert_eq!(wire.kinds(), expected, "{what}: {:#?}", wire.changes());
    }
}

#[test]
fn each_event_has_its_own_counts_and_keys() {
    type Edit = fn(&mut Vec<SentEvent>);
    let rows: [(Edit, &str); 8] = [
        (
            |events| events[0].data["message"]["usage"]["input_tokens"] = json!(11),
            "reply 1: usage `message_start.usage.input_tokens` changed: 10 → 11",
        ),
        (
            |events| events[0].data["message"]["usage"]["cost"] = json!(0.1),
            "reply 1: usage `message_start.usage.cost` added: 0.1",
        ),
        (|events| events[0].data["message"]["container"] = json!(null), ""),
        (
            |events| events[0].data["message"]["provider"] = json!("x"),
            "reply 1: field `message_start.provider` added: \"x\"",
        ),
        (
            |events| events[1].data["content_block"]["cache_control"] = json!({}),
            "reply 1: field `content[0].cache_control` added: {}",
        ),
        (
            |events| events[3].data["delta"]["logprobs"] = json!([]),
            "reply 1: field `content_block_delta.delta.logprobs` added: []",
        ),
        (
            |events| {
                let at = events.len() - 2;
                events[at].data["context_management"] = json!({"applied_edits": []});
            },
            "reply 1: field `message_delta.context_management` added: {\"applied_edits\":[]}",
        ),
        (
            |events| events.last_mut().unwrap().data["usage"] = json!({"input_tokens": 10}),
            "reply 1: field `message_stop.usage` added: {\"input_tokens\":10}",
        ),
    ];
    for (edit, expected) in rows {
        assert_eq!(Wire::one().comes_back(edit).changes().join("\n"), expected);
    }
}

/// Converse has no counts at the start of a stream.
#[test]
fn the_counts_at_the_start_on_converse_are_none_or_right() {
    let started_with = |count: u64| {
        let asked = json!({"stream": true, "messages": [{"role": "user", "content": "hi"}]});
        let mut wire = Wire::of(&[(asked, json!([{"type": "text", "text": "a b c"}]))]);
        wire.exchanges[0].route = Some(Route::BedrockConverse);
        let wire = wire.comes_back(|events| {
            events[0].data["message"]["usage"] = json!({"input_tokens": count, "output_tokens": 0});
        });
        wire.changes()
    };
    assert_eq!(started_with(0), [""; 0]);
    assert_eq!(started_with(10), [""; 0]);
    assert_eq!(
        started_with(12),
        ["reply 1: usage `message_start.usage.input_tokens` changed: 10 → 12"]
    );
}

/// Claude Code takes a write without a lifetime to be for five minutes.
#[test]
fn a_write_for_an_hour_on_converse_is_reported_as_one() {
    let reported = |given: u64, came: Value| {
        let asked = json!({"stream": true, "messages": [{"role": "user", "content": "hi"}]});
        let mut wire = Wire::of(&[(asked, json!([{"type": "text", "text": "a b c"}]))]);
        let exchange = &mut wire.exchanges[0];
        exchange.route = Some(Route::BedrockConverse);
        let counts = json!({"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": given});
        exchange.reply.message.as_mut().unwrap()["usage"]["cache_creation"] = counts;
        let wire = wire.comes_back(|events| {
            events[0].data["message"]["usage"] = json!({"input_tokens": 10, "cache_creation": came});
        });
        wire.changes()
    };
    assert_eq!(reported(0, Value::Null), [""; 0]);
    assert_eq!(reported(7, json!({"ephemeral_1h_input_tokens": 7})), [""; 0]);
    assert_eq!(
        reported(7, Value::Null),
        ["reply 1: usage `cache_creation.ephemeral_1h_input_tokens` dropped: 7"]
    );
    assert_eq!(
        reported(0, json!({"ephemeral_1h_input_tokens": 4})),
        ["reply 1: usage `cache_creation.ephemeral_1h_input_tokens` added: 4"]
    );
}

#[test]
fn message_ids_may_differ_and_thinking_may_not() {
    let blocks = json!([{"type": "thinking", "thinking": "hm", "signature": "signed"}, {"type": "text", "text": "ok"}]);
    let wire = Wire::of(&[(body(), blocks)]).comes_back(|events| {
        events[0].data["message"]["id"] = json!("other");
        let signature = events
            .iter_mut()
            .find(|event| event.data["delta"]["type"] == "signature_delta");
        signature.unwrap().data["delta"]["signature"] = json!("forged");
    });
    assert_eq!(
        wire.changes(),
        ["reply 1: thinking signature `content[0] (thinking).signature` changed: \"signed\" → \"forged\""]
    );
}

#[test]
fn a_changed_status_or_error_is_a_difference() {
    let mut wire = Wire::one();
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let given = &mut wire.exchanges[0].reply;
    (given.status, given.message, given.stream) = (529, None, false);
    given.events = timed(0, [error.clone()]);
    let back = wire.sent[0].reply.as_mut().unwrap();
    (back.status, back.stream) = (529, false);
    back.events = timed(0, [error]);
    assert_eq!(wire.changes(), [""; 0]);

    let back = wire.sent[0].reply.as_mut().unwrap();
    back.status = 500;
    back.events = timed(0, [json!({"error": {"message": "it broke"}})]);
    assert_eq!(
        wire.kinds(),
        [
            (Direction::Reply, Part::Status, Fate::Changed),
            (Direction::Reply, Part::Error, Fate::Changed),
            (Direction::Reply, Part::Error, Fate::Changed),
        ]
    );
    assert_has(&wire.changes()[1], "reply 1: the shape of error 529 changed: ");
    let words = "reply 1: the message of error 529 changed: \"Overloaded\" → \"it broke\"";
    assert_eq!(wire.changes()[2], words);

    // Claude Code reads the message of such an error.
    let back = wire.sent[0].reply.as_mut().unwrap();
    back.status = 529;
    back.events = timed(
        0,
        [json!({"error": {"type": "overloaded_error", "message": "it is Overloaded"}})],
    );
    assert_eq!(wire.changes(), ["reply 1: field `type` dropped: \"error\""]);
    let back = wire.sent[0].reply.as_mut().unwrap();
    back.events[0].data["error"]["type"] = "api_error".into();
    let of_type = "reply 1: the type of error 529 changed: \"overloaded_error\" → \"api_error\"";
    assert_eq!(wire.changes()[1..], [of_type]);
}

/// The status tells the type of an error in a cloud's own form.
#[test]
fn the_type_of_a_clouds_error_is_compared() {
    let came_as = |kind: &str| {
        let mut wire = Wire::one();
        let given = &mut wire.exchanges[0].reply;
        (given.status, given.message, given.stream) = (429, None, false);
        given.events = timed(0, [json!({"message": "Too many herons"})]);
        let back = wire.sent[0].reply.as_mut().unwrap();
        (back.status, back.stream) = (429, false);
        let error = json!({"type": "error", "error": {"type": kind, "message": "Too many herons"}});
        back.events = timed(0, [error]);
        wire.changes()
    };
    assert_eq!(came_as("rate_limit_error"), [""; 0]);
    let other = "reply 1: the type of error 429 changed: \"rate_limit_error\" → \"api_error\"";
    assert_eq!(came_as("api_error"), [other]);
}

#[test]
fn an_answer_that_becomes_an_error_is_named() {
    let mut wire = Wire::one();
    let back = wire.sent[0].reply.as_mut().unwrap();
    (back.status, back.stream) = (500, false);
    back.events = timed(0, [json!({"error": {"message": "it broke"}})]);
    let changes = compare(&wire.sent, &wire.exchanges).changes;
    let lost = Subject::of_change(&changes[0]);
    assert_eq!(lost.to_string(), "reply status HTTP status of an answer changed");
}

#[test]
fn a_split_signature_counts_as_claude_code_reads_it() {
    let blocks = json!([{"type": "thinking", "thinking": "hm", "signature": "signed"}]);
    let wire = Wire::of(&[(body(), blocks)]).comes_back(|events| {
        let is_signature = |event: &SentEvent| event.data["delta"]["type"] == "signature_delta";
        let at = events.iter().position(is_signature).unwrap();
        let mut second = events[at].clone();
        events[at].data["delta"]["signature"] = json!("sig");
        second.data["delta"]["signature"] = json!("ned");
        events.insert(at + 1, second);
    });
    assert_eq!(
        wire.changes(),
        ["reply 1: thinking signature `content[0] (thinking).signature` changed: \"signed\" → \"ned\""]
    );
}

#[test]
fn pings_compare_as_nothing() {
    let wire = Wire::one().comes_back(|events| {
        let at = |data| SentEvent { at_ms: 21, data };
        events.insert(1, at(json!({"type": "ping"})));
        events.insert(5, at(json!({"type": "ping"})));
    });
    assert_eq!(wire.changes(), [""; 0]);
}

#[test]
fn content_type_id_and_model_are_compared() {
    let back = |wire: &mut Wire, edit: fn(&mut GatewayReply)| edit(wire.sent[0].reply.as_mut().unwrap());
    let mut wire = Wire::one();
    back(&mut wire, |reply| reply.headers[0].1 = "text/plain".into());
    assert_eq!(
        wire.changes(),
        ["reply 1: header `content-type` changed: \"text/event-stream\" → \"text/plain\""]
    );
    let mut wire = Wire::one();
    back(&mut wire, |reply| {
        reply.events[0].data["message"]["model"] = json!("alias")
    });
    assert_eq!(wire.changes(), [""; 0], "the request has this name");
    back(&mut wire, |reply| {
        reply.events[0].data["message"]["model"] = json!("gpt-5")
    });
    back(&mut wire, |reply| {
        reply.events[0].data["message"]["id"] = json!("")
    });
    assert_eq!(
        wire.changes(),
        [
            "reply 1: field `id` dropped: \"msg_1\"",
            "reply 1: field `model` changed: \"m\" → \"gpt-5\"",
        ]
    );
}

#[test]
fn unknown_and_misplaced_events_are_differences() {
    let wire = Wire::one().comes_back(|events| {
        let mut event = events[0].clone();
        event.data = json!({"type": "cost", "usd": 1});
        events.insert(3, event);
    });
    assert_eq!(
        wire.changes(),
        ["reply 1: event `cost` added: {\"type\":\"cost\",\"usd\":1}"]
    );
    let wire = Wire::one().comes_back(|events| {
        let stop = events.len() - 3;
        events.swap(stop, stop + 1);
    });
    assert_eq!(
        wire.changes(),
        ["reply 1: the events are out of order: `message_delta` comes before block 0 stops"]
    );
}

/// A reply that the provider itself breaks has to break at Claude Code too.
#[test]
fn a_broken_stream_must_stay_broken() {
    let error = || json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let exception = json!({"serviceUnavailableException": {"message": "Overloaded"}});
    let broken = |last: Option<serde_json::Value>| {
        let mut wire = Wire::one();
        wire.sent[0].reply.as_mut().unwrap().events.truncate(4);
        let reply = &mut wire.exchanges[0].reply;
        reply.message = None;
        reply.events.truncate(4);
        reply
            .events
            .extend(last.map(|data| SentEvent { at_ms: 30, data }));
        reply.cut_off = !reply
            .events
            .last()
            .unwrap()
            .data
            .to_string()
            .contains("Overloaded");
        wire
    };
    let lost = (Direction::Reply, Part::Error, Fate::Dropped);
    let hidden = (Direction::Reply, Part::Event, Fate::Changed);
    let with_error = |events: &mut Vec<SentEvent>| {
        events.push(SentEvent {
            at_ms: 40,
            data: error(),
        })
    };
    let found = |wire: Wire| wire.kinds();
    assert_eq!(found(broken(Some(error())).comes_back(with_error)), []);
    assert_eq!(found(broken(Some(exception.clone())).comes_back(with_error)), []);
    assert_eq!(found(broken(Some(error()))), [lost]);
    assert_eq!(found(broken(Some(exception))), [lost]);
    assert_eq!(found(broken(None)), [hidden]);
    // Claude Code asks again after a cut, and not after an error.
    assert_eq!(found(broken(None).comes_back(with_error)), [hidden]);
    let mut cut_as_well = broken(None);
    cut_as_well.sent[0].reply.as_mut().unwrap().cut_off = true;
    assert_eq!(found(cut_as_well), []);
    // Claude Code hangs up at the error, or reads nothing after it.
    let made_an_error = |cut_off: bool, after: serde_json::Value| {
        let mut wire = broken(None).comes_back(with_error).comes_back(|events| {
            events.push(SentEvent {
                at_ms: 50,
                data: after,
            });
        });
        wire.sent[0].reply.as_mut().unwrap().cut_off = cut_off;
        wire.compared().remove(0).what.path
    };
    assert_eq!(made_an_error(true, json!({"type": "ping"})), CUT_MADE_ERROR);
    assert_eq!(
        made_an_error(false, json!({"type": "message_stop"})),
        CUT_MADE_ERROR
    );
}

#[test]
fn the_end_of_an_answer_and_its_citations_are_compared() {
    let wire = || {
        let cited = json!([{"type": "text", "text": "a b", "citations": [{"type": "char_location", "cited_text": "b"}]}]);
        Wire::of(&[(body(), cited)])
    };
    assert_eq!(wire().kinds(), []);
    let no_citation =
        wire().comes_back(|events| events.retain(|event| event.data["delta"]["type"] != "citations_delta"));
    assert_eq!(no_citation.kinds()[0].1, Part::Block);
    for (name, part) in [
        ("stop_details", Part::StopReason),
        ("safeguard_results", Part::Field),
    ] {
        let wire = wire().comes_back(|events| {
            let at = events.len() - 2;
            events[at].data["delta"][name] = json!({"type": "made up"});
        });
        assert_eq!(wire.kinds(), [(Direction::Reply, part, Fate::Added)]);
    }
}

/// A known finding about one kind of block hides no other kind.
#[test]
fn a_lost_block_has_its_kind() {
    type Block = (&'static str, Value);
    let thinking: Block = ("thinking", json!({"thinking": "hm", "signature": "s"}));
    let redacted: Block = ("redacted_thinking", json!({"data": "x"}));
    let text = |text: &str| -> Block { ("text", json!({"text": text})) };
    let call: Block = ("tool_use", json!({"id": "t", "name": "Bash", "input": {}}));
    let came = |sent: &[&Block], came: &[&Block]| {
        let [sent, came] = [sent, came].map(|blocks| -> Value {
            let typed = |(kind, block): &&Block| {
                let mut block = block.clone();
                block["type"] = json!(kind);
                block
            };
            blocks.iter().map(typed).collect::<Vec<_>>().into()
        });
        let wire = Wire::of(&[(body(), sent)]);
        let other = Wire::of(&[(body(), came)]);
        let lines = wire
            .comes_back(|events| *events = other.exchanges[0].reply.events.clone())
            .changes();
        let blocks = lines
            .iter()
            .filter_map(|line| line.strip_prefix("reply 1: block "));
        blocks.map(str::to_owned).collect::<Vec<_>>()
    };
    let (one, two) = (text("one"), text("two"));
    let all = [&thinking, &redacted, &one];
    assert_eq!(
        came(&all, &[&thinking, &one]),
        [r#"`content (redacted_thinking)` dropped: {"data":"x"}"#]
    );
    assert_eq!(
        came(&all, &[&thinking, &one, &two]),
        [
            r#"`content (redacted_thinking)` changed: {"type":"redacted_thinking","data":"x"} → {"type":"text","text":"two"}"#
        ]
    );
    assert_eq!(
        came(&all, &[]),
        [
            r#"`content (thinking)` dropped: {"thinking":"hm","signature":"s"}"#,
            r#"`content (redacted_thinking)` dropped: {"data":"x"}"#,
            r#"`content (text)` dropped: {"text":"one"}"#,
        ]
    );
    assert_eq!(
        came(&all, &[&thinking, &two]),
        [
            r#"`content (redacted_thinking)` dropped: {"data":"x"}"#,
            r#"`content[2] (text).text` changed: "one" → "two""#,
        ]
    );
    assert_eq!(
        came(&[&one, &call], &[&one, &two, &call]),
        [r#"`content (text)` added: {"text":"two"}"#]
    );
    assert_eq!(
        came(&[&one, &call], &[&call, &one]),
        [r#"`content` moved: ["text","tool_use"] → ["tool_use","text"]"#]
    );
}

#[test]
fn an_answer_whose_content_is_no_list_says_so() {
    let mut wire = Wire::of(&[(body(), json!([{"type": "text", "text": "pong"}]))]);
    let reply = wire.sent[0].reply.as_mut().unwrap();
    reply.stream = false;
    reply.events = vec![SentEvent {
        at_ms: 0,
        data: json!({"type": "message", "content": "pong"}),
    }];
    let changes = wire.changes();
    let wanted = "reply 1: the answer is lost: a message whose `content` is no list: \"pong\"";
    assert!(changes.contains(&wanted.to_owned()), "{changes:#?}");
}

/// A single ping at the start says nothing.
#[test]
fn pings_of_a_silence_come_back() {
    let ping = |at_ms: u64| SentEvent {
        at_ms,
        data: json!({"type": "ping"}),
    };
    let silent = |came: usize| {
        let mut wire = Wire::one();
        let events = &mut wire.exchanges[0].reply.events;
        (0..2).for_each(|at| events.insert(5, ping(at)));
        wire.comes_back(|events| (0..came).for_each(|_| events.insert(5, ping(30))))
            .kinds()
    };
    assert_eq!(silent(2), []);
    assert_eq!(silent(1), []);
    assert_eq!(silent(0), [(Direction::Reply, Part::Event, Fate::Dropped)]);
}
