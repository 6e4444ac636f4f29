//! The pace of replies: delays of their events, bursts, and streams that stay open.

use compat_matrix::wire::Direction;
use compat_matrix::wire::exchange::{CpuWait, Lockstep, SentEvent};
use compat_matrix::wire_diff::{Fate, Part, compare};
use serde_json::json;

use super::Wire;
use crate::support::text::assert_has;

#[test]
fn a_late_display_by_claude_is_no_delay_of_the_stream() {
    let lockstep = Some(Lockstep { deltas: 3, seen: 0 });
    let mut wire = Wire::one();
    wire.exchanges[0].reply.lockstep = lockstep;
    // The gateway passes each delta in the same millisecond, so only the display by Claude Code is late.
    assert_eq!(wire.kinds(), []);
    let wire = wire.comes_back(|events| events.iter_mut().for_each(|event| event.at_ms = 900));
    assert_eq!(wire.kinds(), [(Direction::Reply, Part::Pace, Fate::Delayed)]);
}

#[test]
fn a_provider_that_stops_waiting_proves_no_delay() {
    // The first delta came at once: Claude Code did not show it. The provider sends the others without waiting.
    assert_eq!(Wire::shown_late(150).kinds(), []);
    assert_eq!(Wire::shown_late(2_000).kinds(), []);
    // A gateway that leaves Claude Code too little time holds the stream back.
    for came_ms in [3_200, 5_200, 9_900, 10_120] {
        let held_back = Wire::shown_late(came_ms);
        let late = [(Direction::Reply, Part::Pace, Fate::Delayed)];
        assert_eq!(held_back.kinds(), late, "{came_ms}");
    }
}

/// In lockstep each delta waits for the one before, so a delay of each shows in half of them.
#[test]
fn the_delay_of_each_delta_has_a_bound() {
    let delayed = |delays: [u64; 3], lockstep: bool, released_at_ms: u64| {
        let mut wire = Wire::one();
        let reply = &mut wire.exchanges[0].reply;
        reply.lockstep = lockstep.then_some(Lockstep { deltas: 3, seen: 3 });
        let back = wire.sent[0].reply.as_mut().unwrap();
        back.released_at_ms = Some(released_at_ms);
        let deltas = back
            .events
            .iter_mut()
            .filter(|event| !event.data["delta"]["text"].is_null());
        for (event, delay) in deltas.zip(delays) {
            event.at_ms += delay;
        }
        wire
    };
    let found = |wire: Wire| wire.changes();
    assert_eq!(found(delayed([200, 200, 200], true, 0)), [""; 0]);
    assert_eq!(found(delayed([5, 5, 2000], true, 0)), [""; 0], "a busy machine");
    assert_eq!(
        found(delayed([5000, 5000, 5000], true, 5000)),
        [""; 0],
        "the relay held it"
    );
    assert_eq!(
        found(delayed([2000, 2000, 2000], false, 0)),
        [""; 0],
        "deltas queue up"
    );
    assert_eq!(
        found(delayed([201, 201, 201], true, 0)),
        ["reply 1: each content delta held back: 201 ms for half of 3 instead of at most 200 ms"]
    );
    assert_eq!(
        found(delayed([0, 0, 2_001], false, 0)),
        ["reply 1: each content delta held back: 2001 ms instead of at most 2000 ms"]
    );
    let mut busy = delayed([201, 201, 201], true, 0);
    let back = busy.sent[0].reply.as_mut().unwrap();
    let last_ms = back.events.last().unwrap().at_ms;
    back.cpu_waits = vec![CpuWait {
        from_ms: 0,
        to_ms: last_ms,
        waited_ms: 1,
    }];
    assert_eq!(found(busy), [""; 0], "the machine had no CPU for the gateway");
    let wire = delayed([1, 2, 7], true, 0);
    let text = compare(&wire.sent, &wire.exchanges).text();
    assert_has(
        &text,
        "delay of 3 content deltas by the gateway: 2 ms for half of them (bound 200 ms, in lockstep), 7 ms at most",
    );
}

#[test]
fn the_delay_of_the_other_events_has_a_bound() {
    for kind in [
        "message_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ] {
        let delayed = |ms: u64| {
            Wire::one().comes_back(|events| {
                let of_kind = events.iter_mut().filter(|event| event.data["type"] == kind);
                of_kind.for_each(|event| event.at_ms += ms);
            })
        };
        assert_eq!(delayed(2_000).changes(), [""; 0], "{kind}");
        // What follows the late beginning is late too.
        let what = if kind == "message_start" {
            "the answer"
        } else {
            "each other event"
        };
        assert_eq!(
            delayed(2_001).changes(),
            [format!(
                "reply 1: {what} held back: 2001 ms instead of at most 2000 ms"
            )],
            "{kind}"
        );
    }
}

#[test]
fn a_stream_left_open_after_its_last_event_is_seen() {
    let open_for = |ms: u64| {
        let mut wire = Wire::one();
        let back = wire.sent[0].reply.as_mut().unwrap();
        back.ended_at_ms = Some(back.events.last().unwrap().at_ms + ms);
        wire
    };
    assert_eq!(open_for(2_000).changes(), [""; 0]);
    assert_eq!(
        open_for(2_001).changes(),
        ["reply 1: the end of the stream held back: 2001 ms after its last event instead of at most 2000 ms"]
    );
    let with_pings = open_for(30_000).comes_back(|events| {
        let last = events.last().unwrap().at_ms;
        events.extend([10_000, 29_000].map(|ms| SentEvent {
            at_ms: last + ms,
            data: json!({"type": "ping"}),
        }));
    });
    assert_has(&with_pings.changes().join("\n"), "30000 ms after its last event");
    let mut cut = open_for(2_001);
    cut.exchanges[0].reply.cut_off = true;
    assert_eq!(cut.changes(), [""; 0], "the provider did not end it either");
}

#[test]
fn a_burst_is_recognised_by_the_pace_of_the_provider() {
    let at_once = |between: u64, at: u64| {
        let mut wire = Wire::one();
        for (index, event) in wire.exchanges[0].reply.events.iter_mut().enumerate() {
            event.at_ms = 20 + index as u64 * between;
        }
        wire.comes_back(|events| events.iter_mut().for_each(|event| event.at_ms = at))
            .kinds()
    };
    assert_eq!(
        at_once(500, 4_000),
        [(Direction::Reply, Part::Pace, Fate::Delayed)]
    );
    // A machine may stop for as long.
    assert_eq!(at_once(150, 1_100), []);
}

#[test]
fn a_changed_word_does_not_hide_that_a_stream_was_held_back() {
    let mut wire = Wire::one();
    wire.exchanges[0].reply.lockstep = Some(Lockstep { deltas: 3, seen: 0 });
    let wire = wire.comes_back(|events| {
        events.iter_mut().for_each(|event| event.at_ms = 900);
        events[4].data["delta"]["text"] = json!(" x");
    });
    assert!(
        wire.kinds()
            .contains(&(Direction::Reply, Part::Pace, Fate::Delayed)),
        "{:?}",
        wire.kinds()
    );
}
