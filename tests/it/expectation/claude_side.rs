//! The checks of the output of Claude Code.

use super::*;
use compat_matrix::expectation::kinds::usage::UsageCount;
use compat_matrix::expectation::kinds::{
    DirectReplyCheck, EventCheck, ExitCheck, StopReasonCheck, StreamCheck, TextCheck, ThinkingCheck,
    ToolCallCheck, ToolResultCheck, UsageCheck,
};

#[test]
fn a_text_check_reads_the_answer_to_the_last_prompt() {
    let check = || Check::Text(TextCheck(equals("pong")));
    table(&[
        ("as expected", check(), pong(), HELD),
        ("live too", check(), pong().live(), HELD),
        ("another", check(), nothing().ended("ping"), BROKEN),
        ("the first prompt's", check(), pong().ended("other"), BROKEN),
        ("none", check(), nothing(), BROKEN),
    ]);
}

fn ran(result: Value) -> Evidence {
    let user = json!({ "type": "user", "message": { "role": "user", "content": [result] } });
    nothing().answered(tool_call("toolu_1", "ls")).printed(user)
}

#[test]
fn a_tool_call_matches_by_name_and_arguments() {
    let called = || nothing().answered(tool_call("toolu_1", "ls"));
    let check = |name: &str, input: &[(&str, &str)]| {
        Check::ToolCall(ToolCallCheck {
            name: name.into(),
            input: input
                .iter()
                .map(|(key, value)| ((*key).into(), equals(*value)))
                .collect(),
        })
    };
    table(&[
        ("by name", check("Bash", &[]), called(), HELD),
        ("by argument", check("Bash", &[("command", "ls")]), called(), HELD),
        ("another tool", check("Read", &[]), called(), BROKEN),
        (
            "another argument",
            check("Bash", &[("command", "pwd")]),
            called(),
            BROKEN,
        ),
        (
            "an argument it lacks",
            check("Bash", &[("command", "ls"), ("x", "y")]),
            called(),
            BROKEN,
        ),
        ("no call", check("Bash", &[]), pong(), BROKEN),
    ]);
}

#[test]
fn a_tool_result_matches_by_name_text_and_kind() {
    let check = |text: Option<&str>, is_error| {
        Check::ToolResult(ToolResultCheck {
            name: "Bash".into(),
            text: text.map(equals),
            is_error,
        })
    };
    let good = || ran(tool_result("toolu_1", "a.txt", false));
    let bad = || ran(tool_result("toolu_1", "no such file", true));
    table(&[
        ("any", check(None, None), good(), HELD),
        ("its text", check(Some("a.txt"), Some(false)), good(), HELD),
        ("another text", check(Some("b.txt"), None), good(), BROKEN),
        ("an unexpected error", check(None, Some(false)), bad(), BROKEN),
        ("an expected error", check(None, Some(true)), bad(), HELD),
        (
            "a result without a call",
            check(None, None),
            ran(tool_result("toolu_2", "a.txt", false)),
            BROKEN,
        ),
        ("none", check(None, None), pong(), BROKEN),
    ]);
}

#[test]
fn thinking_has_the_text_and_signature_of_the_provider() {
    let check = |text: Option<&str>| {
        Check::Thinking(ThinkingCheck {
            text: text.map(equals),
        })
    };
    let sent = || nothing().reached(exchange(request("ping"), thinking_message("hm", "sig")));
    let got = |text: &str, signature: &str| sent().answered(thinking_message(text, signature));
    table(&[
        ("the same", check(None), got("hm", "sig"), HELD),
        ("its text", check(Some("hm")), got("hm", "sig"), HELD),
        (
            "another text than asked for",
            check(Some("ho")),
            got("hm", "sig"),
            BROKEN,
        ),
        ("changed on the way", check(None), got("hmm", "sig"), BROKEN),
        ("signed otherwise", check(None), got("hm", "gis"), BROKEN),
        ("not signed", check(None), got("hm", ""), BROKEN),
        ("none", check(None), sent().answered(text_message("pong")), BROKEN),
        (
            "live, any that is signed",
            check(None),
            nothing().answered(thinking_message("x", "y")).live(),
            HELD,
        ),
        (
            "live, not signed",
            check(None),
            nothing().answered(thinking_message("x", "")).live(),
            BROKEN,
        ),
    ]);
}

fn streamed(parts: &[&str], apart_ms: u64, reply: ProviderExchange) -> Evidence {
    stream(parts, apart_ms)
        .into_iter()
        .fold(nothing().reached(reply), |evidence, (at_ms, event)| {
            evidence.printed_at(at_ms, event)
        })
}

#[test]
fn a_stream_check_counts_deltas_that_come_one_by_one() {
    let check = |text_deltas, input_deltas, incremental| {
        Check::Stream(StreamCheck {
            text_deltas,
            input_deltas,
            incremental,
        })
    };
    let three = |reply| streamed(&["a", "b", "c"], 1, reply);
    let live = |apart_ms| streamed(&["a", "b", "c"], apart_ms, text_exchange()).live();
    table(&[
        (
            "enough",
            check(Some(3), None, false),
            three(text_exchange()),
            HELD,
        ),
        (
            "too few",
            check(Some(4), None, false),
            three(text_exchange()),
            BROKEN,
        ),
        (
            "of another kind",
            check(None, Some(1), false),
            three(text_exchange()),
            BROKEN,
        ),
        (
            "all deltas but the last shown in time",
            check(None, None, true),
            three(in_lockstep(3, 2)),
            HELD,
        ),
        (
            "all deltas shown in time",
            check(None, None, true),
            three(in_lockstep(3, 3)),
            HELD,
        ),
        (
            "held back",
            check(None, None, true),
            three(in_lockstep(3, 1)),
            BROKEN,
        ),
        (
            "nothing in lockstep",
            check(None, None, true),
            three(text_exchange()),
            BROKEN,
        ),
        (
            "live and spread",
            check(None, None, true),
            live(LIVE_SPREAD_MS / 2),
            HELD,
        ),
        ("live in a burst", check(None, None, true), live(1), BROKEN),
    ]);
    let mut backwards = live(LIVE_SPREAD_MS);
    let times: Vec<u64> = backwards
        .transcript
        .events
        .iter()
        .map(|event| event.at_ms)
        .collect();
    for (event, at_ms) in backwards
        .transcript
        .events
        .iter_mut()
        .zip(times.into_iter().rev())
    {
        event.at_ms = at_ms;
    }
    table(&[("a clock set back", check(None, None, true), backwards, BROKEN)]);
}

#[test]
fn usage_is_compared_with_bounds_and_with_the_provider() {
    let counted = |min, max, as_provider| CountMatcher {
        min,
        max,
        as_provider,
    };
    let check = |turn, name: UsageCount, min, max, as_provider| {
        Check::Usage(UsageCheck {
            turn,
            counts: vec![(name, counted(min, max, as_provider))],
        })
    };
    let probed = || {
        nothing()
            .reached(probe())
            .reached(text_exchange())
            .reached(scripted_error(529))
    };
    let with_probe = || probed().answered(text_message("pong")).ended("pong");
    let mut miscounted = pong();
    miscounted.exchanges[0].reply.usage.input_tokens = 11;
    table(&[
        (
            "of the run",
            check(None, UsageCount::Input, Some(10), Some(10), false),
            pong(),
            HELD,
        ),
        (
            "too little",
            check(None, UsageCount::Input, Some(11), None, false),
            pong(),
            BROKEN,
        ),
        (
            "too much",
            check(None, UsageCount::Output, None, Some(1), false),
            pong(),
            BROKEN,
        ),
        (
            "of an answer",
            check(Some(1), UsageCount::Input, Some(10), None, false),
            pong(),
            HELD,
        ),
        (
            "of an answer that is missing",
            check(Some(2), UsageCount::Input, Some(1), None, false),
            pong(),
            BROKEN,
        ),
        (
            "as the provider's",
            check(None, UsageCount::Input, None, None, true),
            pong(),
            HELD,
        ),
        (
            "not as the provider's",
            check(None, UsageCount::Input, None, None, true),
            miscounted.clone(),
            BROKEN,
        ),
        (
            "not as the provider's answer",
            check(Some(1), UsageCount::Input, None, None, true),
            miscounted,
            BROKEN,
        ),
        (
            "as the provider's, probes and errors aside",
            check(None, UsageCount::Input, None, None, true),
            with_probe(),
            HELD,
        ),
        (
            "the answer's, probes aside",
            check(Some(1), UsageCount::Input, None, None, true),
            with_probe(),
            HELD,
        ),
        (
            "live, where the provider's count is unknown",
            check(None, UsageCount::Input, None, None, true),
            pong().live(),
            NOT_JUDGED,
        ),
        (
            "live, by its bounds",
            check(None, UsageCount::Input, Some(11), None, true),
            pong().live(),
            BROKEN,
        ),
        (
            "live, within its bounds",
            check(None, UsageCount::Input, Some(1), None, true),
            pong().live(),
            NOT_JUDGED,
        ),
        (
            "live, one count within its bounds and one unknown",
            Check::Usage(UsageCheck {
                turn: None,
                counts: vec![
                    (UsageCount::Input, counted(Some(1), None, false)),
                    (UsageCount::Output, counted(None, None, true)),
                ],
            }),
            pong().live(),
            NOT_JUDGED,
        ),
        (
            "live, by bounds alone",
            check(None, UsageCount::Input, Some(1), None, false),
            pong().live(),
            HELD,
        ),
        (
            "cache reads",
            check(None, UsageCount::CacheRead, Some(1), None, false),
            pong(),
            BROKEN,
        ),
        (
            "cache writes",
            check(None, UsageCount::CacheCreation, Some(1), None, false),
            pong(),
            BROKEN,
        ),
    ]);
}

#[test]
fn a_provider_count_outside_the_bounds_is_reported() {
    let check = Check::Usage(UsageCheck {
        turn: None,
        counts: vec![(
            UsageCount::Input,
            CountMatcher {
                min: Some(11),
                max: None,
                as_provider: true,
            },
        )],
    });
    let mismatches = judge(&test(check), &pong()).mismatches;
    assert_eq!(
        mismatches[0].summary,
        "`input_tokens` of the run is not as it should be: the provider itself reported 10"
    );
    assert_eq!(mismatches[0].expected, "at least 11");
}

#[test]
fn a_direct_request_does_not_count_as_one_of_claude() {
    let check = Check::Usage(UsageCheck {
        turn: None,
        counts: vec![(
            UsageCount::Input,
            CountMatcher {
                as_provider: true,
                ..CountMatcher::default()
            },
        )],
    });
    let twice = pong().reached(text_exchange());
    table(&[
        ("claude's own", check.clone(), twice.clone(), BROKEN),
        ("the harness's", check, twice.direct(200, json!({})), HELD),
    ]);
}

#[test]
fn a_stop_reason_belongs_to_the_named_answer() {
    let check = |turn, value: &str| {
        Check::StopReason(StopReasonCheck {
            turn,
            value: equals(value),
        })
    };
    let two = || ran(tool_result("toolu_1", "a.txt", false)).answered(text_message("pong"));
    table(&[
        ("the last", check(None, "end_turn"), two(), HELD),
        ("the first", check(Some(1), "tool_use"), two(), HELD),
        ("another", check(Some(2), "tool_use"), two(), BROKEN),
        (
            "of an answer that is missing",
            check(Some(3), "end_turn"),
            two(),
            BROKEN,
        ),
        ("of nothing", check(None, "end_turn"), nothing(), BROKEN),
    ]);
}

#[test]
fn an_exit_status_counts_only_if_claude_ended_by_itself() {
    table(&[
        (
            "as expected",
            Check::Exit(ExitCheck(1)),
            nothing().exited(1),
            HELD,
        ),
        ("another", Check::Exit(ExitCheck(1)), nothing(), BROKEN),
        (
            "killed",
            Check::Exit(ExitCheck(1)),
            nothing().killed(Killed::Deadline),
            BROKEN,
        ),
        (
            "killed as it exited",
            Check::Exit(ExitCheck(1)),
            nothing().killed(Killed::Deadline).exited(1),
            BROKEN,
        ),
    ]);
}

#[test]
fn an_event_check_searches_all_printed_events() {
    let check = |path: &str, value: &str| {
        Check::Event(EventCheck {
            path: query(path),
            value: equals(value),
        })
    };
    let broken_line = || pong().printed_at(0, Event::Unparsable("oops".into()));
    table(&[
        ("present", check("$[*].result", "pong"), broken_line(), HELD),
        ("another", check("$[*].result", "ping"), broken_line(), BROKEN),
        ("absent", check("$[*].nothing", "pong"), broken_line(), BROKEN),
    ]);
}

#[test]
fn a_direct_reply_has_a_status_and_a_body() {
    let check = || {
        Check::DirectReply(DirectReplyCheck {
            status: 200,
            body: vec![(query("$.id"), equals("msg_1"))],
        })
    };
    table(&[
        (
            "as expected",
            check(),
            pong().direct(200, json!({ "id": "msg_1" })),
            HELD,
        ),
        (
            "live too",
            check(),
            pong().direct(200, json!({ "id": "msg_1" })).live(),
            HELD,
        ),
        (
            "another body",
            check(),
            pong().direct(200, json!({ "id": "msg_2" })),
            BROKEN,
        ),
        (
            "another status",
            check(),
            pong().direct(500, json!({ "id": "msg_1" })),
            BROKEN,
        ),
        ("never sent", check(), pong(), BROKEN),
    ]);
}
