//! Events that Claude Code cannot read, and what a report says about the losses after them.

use compat_matrix::cause;
use compat_matrix::evidence::Evidence;
use compat_matrix::expectation::Check;
use compat_matrix::expectation::kinds::StreamCheck;
use compat_matrix::report::failure_in_short;
use compat_matrix::wire::exchange::{Lockstep, SentEvent};
use compat_matrix::wire::{Direction, framing};
use compat_matrix::wire_diff::{Fate, Part};
use serde_json::{Value, json};

use super::{Wire, body, timed};
use crate::support::evidence::{Builder, judge, nothing, test, text_message};
use crate::support::text::{assert_has, assert_starts};

/// The events as the recorder reads `text`.
fn read(text: &str) -> Vec<Value> {
    let mut decoder = framing::Decoder::new(framing::Framing::ServerSentEvents);
    let events = decoder.push(text.as_bytes()).into_iter();
    let events = events.filter(|event| !event.data.is_null());
    events.map(|event| event.into_read()).collect()
}

/// The third delta of the reply becomes `text`, after which Claude Code reads no further.
fn broken_by(text: &str) -> Wire {
    Wire::one().comes_back(|events| {
        events.truncate(5);
        events.extend(timed(1, read(text)));
    })
}

/// The headline about a reply that is cut short.
fn headline_of(wire: Wire) -> String {
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..nothing().answered(text_message("a b")).ended("a b")
    };
    let check = Check::Stream(StreamCheck {
        incremental: true,
        ..StreamCheck::default()
    });
    let judgement = judge(&test(check), &evidence);
    let failure = cause::failure_of_trial(&evidence, &judgement);
    assert_has(&failure_in_short(&failure), "cause: gateway");
    failure.headline.unwrap_or_default()
}

#[test]
fn an_unreadable_event_explains_the_losses_after_it() {
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" c"}}"#;
    let (half, rest) = delta.split_at(30);
    let name = "event: content_block_delta\n";
    let no_json = "its data is no JSON: ";
    for (text, reason) in [
        (format!("{name}data: {}\n\n", &delta[..delta.len() - 1]), no_json),
        (format!("{name}data: {half}\n\n{name}data: {rest}\n\n"), no_json),
        (
            format!(
                "{name}data: {delta}\nevent: content_block_stop\ndata: {{\"type\":\"content_block_stop\"}}\n\n"
            ),
            no_json,
        ),
        (
            format!("{name}Data: {delta}\n\n"),
            "it has no `data:` line: Data: {",
        ),
        (
            format!("event: delta\ndata: {delta}\n\n"),
            "its `event:` line has another name: event: delta",
        ),
        (format!("data: {delta}\n\n"), "it has no `event:` line: data: {"),
        (
            format!(": keep-alive\n\n\u{feff}{name}data: {delta}\n\n"),
            "a byte order mark (U+FEFF) stands before its `event:` line: ",
        ),
        (
            format!(": keep-alive {name}data: {delta}\n\n"),
            "it has no `event:` line: ",
        ),
    ] {
        let wire = broken_by(&text);
        let changes = wire.compared();
        let of_event: Vec<_> = changes
            .iter()
            .filter(|change| change.what.path == "content_block_delta")
            .collect();
        let [change] = of_event[..] else {
            panic!("{text}: {changes:#?}");
        };
        assert_eq!((change.what.part, change.what.fate), (Part::Event, Fate::Changed));
        let start = format!(
            "reply 1: event `content_block_delta` is broken: {}",
            &reason[..20]
        );
        assert_starts(&change.line(), &start);
        assert_starts(change.what.after.as_ref().unwrap().as_str().unwrap(), reason);
        let lost = |change: &&super::Change| change.what.path == "content_block_stop";
        assert_eq!(changes.iter().filter(lost).count(), 1, "{text}");
        assert_starts(&headline_of(wire), &start);
    }
}

#[test]
fn a_text_that_names_no_event_of_a_message_is_added() {
    for text in ["data: [DONE]\n\n", "event: cost\ndata: {\"type\":\"cost\"}\n\n"] {
        let wire = Wire::one().comes_back(|events| events.extend(timed(1, read(text))));
        let added = (Direction::Reply, Part::Event, Fate::Added);
        assert_eq!(wire.kinds(), [added], "{text}");
    }
    for text in [": comment\n\n", "event: ping\n\n", "id: 1\n\n"] {
        assert_eq!(
            read(text).iter().filter(|data| data["type"] != "ping").count(),
            0,
            "{text}"
        );
    }
}

#[test]
fn an_event_without_its_field_explains_the_losses_after_it() {
    for (at, field) in [
        (0, "message_start.message"),
        (1, "content_block_start.content_block"),
        (4, "content_block_delta.delta"),
    ] {
        let (_, key) = field.split_once('.').unwrap();
        let wire = Wire::one().comes_back(|events| {
            events.truncate(at + 1);
            events[at].data.as_object_mut().unwrap().shift_remove(key);
        });
        let line = format!("reply 1: field `{field}` dropped");
        assert!(wire.changes().contains(&line), "{:#?}", wire.changes());
        assert_eq!(headline_of(wire), line);
    }
}

/// Claude Code hangs up at an event of another block, so the end of the stream is lost too.
#[test]
fn a_misplaced_event_explains_the_losses_after_it() {
    let cut_at = |index: u64| {
        Wire::one().comes_back(|events| {
            events.truncate(5);
            events[4].data["index"] = json!(index);
        })
    };
    let order = "reply 1: the events are out of order: a `text_delta` for block 1, which is not open";
    assert_eq!(headline_of(cut_at(1)), order);
    let is_order = |line: &String| line.contains("`order`");
    assert!(!cut_at(0).changes().iter().any(is_order));
    let rest = "reply 1: the rest of the stream dropped: \"the stream ended within block 0\"";
    assert!(!cut_at(0).changes().iter().any(|line| line.contains("event `")));
    assert_eq!(headline_of(cut_at(0)), rest);
    // A block that never starts explains its misplaced deltas.
    let blocks = json!([{"type": "text", "text": "a b c"}]);
    let wire = Wire::of(&[(body(), blocks)]).comes_back(|events: &mut Vec<SentEvent>| {
        events.remove(1);
        events.pop();
    });
    assert!(!wire.changes().iter().any(is_order), "{:#?}", wire.changes());
    let cut = wire.comes_back(|events| events.truncate(4));
    assert_eq!(
        headline_of(cut),
        "reply 1: event `content_block_start` dropped: 1 → 0"
    );
}

#[test]
fn an_error_in_a_stream_explains_the_losses_after_it() {
    let of_another_api = "data: {\"error\": {\"message\": \"Upstream failed\"}}\n\n";
    for text in [
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"no\"}}\n\n",
        of_another_api,
        "event: error\ndata: {\"error\":{\"message\":\"Upstream failed\"}}\n\n",
    ] {
        assert_starts(&headline_of(broken_by(text)), "reply 1: event `error` added: ");
    }
    let of_another_api = Wire::one().comes_back(|events| {
        *events = timed(
            0,
            [1, 2].map(|number| json!({"object": "chat.completion.chunk", "number": number})),
        );
    });
    let changes = of_another_api.changes();
    assert_starts(&changes[0], "reply 1: the answer is lost");
    assert_starts(&changes[1], "reply 1: event `without a type` added: {\"object\"");
    assert_eq!(changes.len(), 2, "{changes:?}");
    let only_an_error = Wire::one().comes_back(|events| {
        *events = timed(
            0,
            [json!({"type": "error", "error": {"type": "api_error", "message": "no"}})],
        );
    });
    assert_starts(&headline_of(only_an_error), "reply 1: event `error` added: ");
}

#[test]
fn an_end_mark_of_another_api_is_no_event_before_the_end() {
    let cut = Wire::one().comes_back(|events| {
        events.truncate(4);
        events.extend(timed(1, [json!("data: [DONE]")]));
    });
    assert_starts(
        &headline_of(cut),
        "reply 1: the rest of the stream dropped: \"the stream ended within block 0\"",
    );
    let mut slow = Wire::one();
    let given = &mut slow.exchanges[0].reply.events;
    (given.iter_mut().zip(0..)).for_each(|(event, place)| event.at_ms = 20 + place * 300);
    let cut = slow.comes_back(|events| {
        events.truncate(4);
        events.iter_mut().for_each(|event| event.at_ms = 1_700);
    });
    let is_pace = |line: &String| line.contains("held back");
    assert!(!cut.changes().iter().any(is_pace), "{:?}", cut.changes());
}

#[test]
fn a_stream_without_its_start_or_in_one_piece_is_named() {
    let without_start = Wire::one().comes_back(|events| drop(events.remove(0)));
    let start = "reply 1: event `message_start` dropped: 1 → 0";
    assert_eq!(without_start.changes(), [start]);
    let mark = || timed(1, [json!("data: [DONE]")]);
    let with_mark = without_start.comes_back(|events| events.extend(mark()));
    assert_eq!(with_mark.changes(), [start]);
    let mark_in_place_of_the_end = Wire::one().comes_back(|events| {
        events.pop();
        events.extend(mark());
    });
    let end = "reply 1: event `message_stop` dropped: 1 → 0";
    assert_eq!(mark_in_place_of_the_end.changes()[0], end);
    let mut whole = Wire::one();
    let back = whole.sent[0].reply.as_mut().unwrap();
    back.stream = false;
    let message =
        json!({"type": "message", "id": "m", "model": "m", "content": [{"type": "text", "text": "a b"}]});
    back.events = timed(0, [message]);
    let piece = "reply 1: the answer changed: \"a stream\" → \"a message in one piece\"";
    assert_eq!(headline_of(whole), piece);
}

/// A lockstep provider waits in vain for a piece that is lost, which is no delay.
#[test]
fn a_lost_or_repeated_piece_is_named() {
    let came = |edit: fn(&mut Vec<SentEvent>)| {
        let mut wire = Wire::one();
        wire.exchanges[0].reply.lockstep = Some(Lockstep { deltas: 3, seen: 1 });
        headline_of(wire.comes_back(edit))
    };
    let lost = came(|events| {
        events.remove(4);
        events.iter_mut().for_each(|event| event.at_ms += 900);
    });
    assert_eq!(lost, "reply 1: event `text deltas` dropped: \" b\"");
    let twice = came(|events| events.insert(4, events[4].clone()));
    assert_eq!(twice, "reply 1: event `text deltas` repeated: \" b\"");
    let swapped = Wire::one().comes_back(|events| {
        events.swap(4, 5);
        events.iter_mut().for_each(|event| event.at_ms += 900);
        events[4].at_ms += 200;
    });
    let of_block = (Direction::Reply, Part::Block, Fate::Changed);
    assert_eq!(swapped.kinds(), [of_block]);
}
