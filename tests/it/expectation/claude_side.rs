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
            call: None,
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
            input: Vec::new(),
            call: None,
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
    let text = |deltas| check(Some(deltas), None, false);
    let in_time = || check(None, None, true);
    let three = |reply| streamed(&["a", "b", "c"], 1, reply);
    let plain = || three(text_exchange());
    let shown = |seen| three(in_lockstep(3, seen));
    let live = |apart_ms| streamed(&["a", "b", "c"], apart_ms, text_exchange()).live();
    table(&[
        ("enough", text(3), plain(), HELD),
        ("too few", text(4), plain(), BROKEN),
        ("of another kind", check(None, Some(1), false), plain(), BROKEN),
        ("all but the last shown in time", in_time(), shown(2), HELD),
        ("all shown in time", in_time(), shown(3), HELD),
        ("held back", in_time(), shown(1), BROKEN),
        ("nothing in lockstep", in_time(), plain(), BROKEN),
        ("live and spread", in_time(), live(LIVE_SPREAD_MS / 2), HELD),
        ("live in a burst", in_time(), live(1), BROKEN),
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
    table(&[("a clock set back", in_time(), backwards, BROKEN)]);
}

#[test]
fn usage_is_compared_with_bounds_and_with_the_provider() {
    let counted = |min, max, as_provider| CountMatcher {
        min,
        max,
        as_provider,
    };
    let usage = |turn, name: UsageCount, count| {
        Check::Usage(UsageCheck {
            turn,
            counts: vec![(name, count)],
        })
    };
    let input = |min, max| usage(None, UsageCount::Input, counted(min, max, false));
    let as_provider = |turn, min| usage(turn, UsageCount::Input, counted(min, None, true));
    let at_least = |name, min| usage(None, name, counted(Some(min), None, false));
    let answer = |turn, min| usage(Some(turn), UsageCount::Input, counted(Some(min), None, false));
    let with_probe = || {
        nothing()
            .reached(probe())
            .reached(text_exchange())
            .reached(scripted_error(529))
            .answered(text_message("pong"))
            .ended("pong")
    };
    let mut miscounted = pong();
    miscounted.exchanges[0].reply.usage.input_tokens = 11;
    let miscounted = || miscounted.clone();
    let too_much = usage(None, UsageCount::Output, counted(None, Some(1), false));
    let two = Check::Usage(UsageCheck {
        turn: None,
        counts: vec![
            (UsageCount::Input, counted(Some(1), None, false)),
            (UsageCount::Output, counted(None, None, true)),
        ],
    });
    let live = || pong().live();
    table(&[
        ("of the run", input(Some(10), Some(10)), pong(), HELD),
        ("too little", input(Some(11), None), pong(), BROKEN),
        ("too much", too_much, pong(), BROKEN),
        ("of an answer", answer(1, 10), pong(), HELD),
        ("of an answer that is missing", answer(2, 1), pong(), BROKEN),
        ("as the provider", as_provider(None, None), pong(), HELD),
        (
            "not as the provider",
            as_provider(None, None),
            miscounted(),
            BROKEN,
        ),
        (
            "an answer, not as the provider",
            as_provider(Some(1), None),
            miscounted(),
            BROKEN,
        ),
        (
            "as the provider, without probes and errors",
            as_provider(None, None),
            with_probe(),
            HELD,
        ),
        (
            "an answer, without probes",
            as_provider(Some(1), None),
            with_probe(),
            HELD,
        ),
        (
            "live, where the provider's count is unknown",
            as_provider(None, None),
            live(),
            NOT_JUDGED,
        ),
        (
            "live, outside its bounds",
            as_provider(None, Some(11)),
            live(),
            BROKEN,
        ),
        (
            "live, within its bounds",
            as_provider(None, Some(1)),
            live(),
            NOT_JUDGED,
        ),
        (
            "live, one count within its bounds and one unknown",
            two,
            live(),
            NOT_JUDGED,
        ),
        ("live, by bounds alone", input(Some(1), None), live(), HELD),
        ("cache reads", at_least(UsageCount::CacheRead, 1), pong(), BROKEN),
        (
            "cache writes",
            at_least(UsageCount::CacheCreation, 1),
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
        "`input_tokens` of the run does not match: the provider itself reported 10"
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
    let check = || Check::Exit(ExitCheck(1));
    let killed = || nothing().killed(Killed::Deadline);
    table(&[
        ("as expected", check(), nothing().exited(1), HELD),
        ("another", check(), nothing(), BROKEN),
        ("killed", check(), killed(), BROKEN),
        ("killed as it exited", check(), killed().exited(1), BROKEN),
    ]);
}

#[test]
fn an_event_check_of_a_prompt_searches_its_events_only() {
    let two = || {
        let result = |text: &str| json!({"type": "result", "result": text});
        nothing().printed(result("one")).printed(result("two"))
    };
    let check = |prompt: usize, value: &str| {
        Check::Event(EventCheck {
            path: query("$[?@.type == 'result'].result"),
            prompt: Some(prompt),
            first_turn: prompt,
            value: equals(value),
        })
    };
    table(&[
        ("the first", check(1, "one"), two(), HELD),
        ("the second", check(2, "two"), two(), HELD),
        ("of another prompt", check(1, "two"), two(), BROKEN),
        ("of no prompt", check(3, "two"), two(), BROKEN),
    ]);
    let evaluation = judge(&test(check(2, "one")), &two());
    let [mismatch] = &evaluation.mismatches[..] else {
        panic!("{:?}", evaluation.mismatches)
    };
    assert_eq!(mismatch.actual, "\"two\"");
    assert_eq!(mismatch.evidence.as_ref().unwrap().line, 2);
}

#[test]
fn an_event_check_searches_all_printed_events() {
    let check = |path: &str, value: &str| {
        Check::Event(EventCheck {
            path: query(path),
            prompt: None,
            first_turn: 1,
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
    let reply = |status, id: &str| pong().direct(status, json!({ "id": id }));
    table(&[
        ("as expected", check(), reply(200, "msg_1"), HELD),
        ("live too", check(), reply(200, "msg_1").live(), HELD),
        ("another body", check(), reply(200, "msg_2"), BROKEN),
        ("another status", check(), reply(500, "msg_1"), BROKEN),
        ("never sent", check(), pong(), BROKEN),
    ]);
}
