//! What judges a trial: every check as it holds, as it does not, and as it cannot be judged; what is expected of every
//! trial; and whose fault a failure is.

use base64::Engine as _;
use compat_matrix::cause::of_trial;
use compat_matrix::evidence::{Behind, Evidence, Killed};
use compat_matrix::expect::{self, IMPLIED, Judgement, RUN, TRANSCRIPT, UNMATCHED, WORKAROUNDS};
use compat_matrix::ids::TierId;
use compat_matrix::outcome::{Cause, Verdict};
use compat_matrix::spec::cell::{Prompt, PromptBlock, Test};
use compat_matrix::spec::expectation::{Check, CountMatcher, LIVE_SPREAD_MS, Matcher, RequestCheck, Turn};
use compat_matrix::transcript::{Event, Transcript};
use compat_matrix::wire::exchange::{Body, Exchange, Matched};
use compat_matrix::wire::{Operation, Route, Usage};
use serde_json::{Value, json};

use crate::evidence::{
    Builder, equals, exchange, expectation, in_lockstep, known_failure, message, nothing, probe, query,
    refused, request, scripted_error, stream, test, text_exchange, text_message,
};

const HELD: Verdict = Verdict::Held;
const BROKEN: Verdict = Verdict::Broken;
const NOT_JUDGED: Verdict = Verdict::NotJudged;

fn haiku() -> TierId {
    TierId::new("haiku")
}

fn verdict_of(name: &str, judgement: &Judgement) -> Option<Verdict> {
    let judged = judgement.judged.iter().find(|judged| judged.name == name)?;
    Some(judged.verdict)
}

/// Judges `evidence` by each check alone, and compares.
fn table(rows: &[(&str, Check, Evidence, Verdict)]) {
    for (what, check, evidence, expected) in rows {
        rules_on(what, &test(check.clone()), evidence, *expected);
    }
}

fn rules_on(what: &str, test: &Test, evidence: &Evidence, expected: Verdict) {
    let judgement = expect::judge(test, &haiku(), evidence);
    let found = verdict_of("check", &judgement);
    assert_eq!(found, Some(expected), "{what}: {judgement:#?}");
    let told = judgement
        .mismatches
        .iter()
        .filter(|mismatch| mismatch.expectation == "check");
    for mismatch in told.clone() {
        let words = [&mismatch.summary, &mismatch.expected, &mismatch.actual];
        assert!(
            words.iter().all(|words| !words.is_empty()),
            "{what}: {mismatch:#?}"
        );
    }
    assert_eq!(told.count() > 0, expected == BROKEN, "{what}");
}

fn pong() -> Evidence {
    nothing()
        .reached(text_exchange())
        .answered(text_message("pong"))
        .ended("pong")
}

fn matches_any() -> Option<Matcher> {
    Some(Matcher {
        exists: Some(true),
        ..Matcher::default()
    })
}

// What Claude Code printed.

#[test]
fn a_final_text_is_that_of_the_last_prompt() {
    let check = || Check::Text(equals("pong"));
    table(&[
        ("as it should", check(), pong(), HELD),
        ("live too", check(), pong().live(), HELD),
        ("another", check(), nothing().ended("ping"), BROKEN),
        ("the first prompt's", check(), pong().ended("other"), BROKEN),
        ("none", check(), nothing(), BROKEN),
    ]);
}

fn tool_call(id: &str, command: &str) -> Value {
    let call = json!({ "type": "tool_use", "id": id, "name": "Bash", "input": { "command": command } });
    message(&format!("msg_{id}"), json!([call]), "tool_use")
}

fn tool_result(id: &str, text: &str, is_error: bool) -> Value {
    json!({ "type": "tool_result", "tool_use_id": id, "content": text, "is_error": is_error })
}

fn ran(result: Value) -> Evidence {
    let user = json!({ "type": "user", "message": { "role": "user", "content": [result] } });
    nothing().answered(tool_call("toolu_1", "ls")).printed(user)
}

#[test]
fn a_tool_call_fits_by_name_and_every_argument() {
    let called = || nothing().answered(tool_call("toolu_1", "ls"));
    let check = |name: &str, input: &[(&str, &str)]| Check::ToolCall {
        name: name.into(),
        input: input
            .iter()
            .map(|(key, value)| ((*key).into(), equals(*value)))
            .collect(),
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
fn a_tool_result_fits_by_name_text_and_kind() {
    let check = |text: Option<&str>, is_error| Check::ToolResult {
        name: "Bash".into(),
        text: text.map(equals),
        is_error,
    };
    let good = || ran(tool_result("toolu_1", "a.txt", false));
    let bad = || ran(tool_result("toolu_1", "no such file", true));
    table(&[
        ("any", check(None, None), good(), HELD),
        ("its text", check(Some("a.txt"), Some(false)), good(), HELD),
        ("another text", check(Some("b.txt"), None), good(), BROKEN),
        (
            "an error where none should be",
            check(None, Some(false)),
            bad(),
            BROKEN,
        ),
        ("an error as it should", check(None, Some(true)), bad(), HELD),
        (
            "a result for a call nobody saw",
            check(None, None),
            ran(tool_result("toolu_2", "a.txt", false)),
            BROKEN,
        ),
        ("none", check(None, None), pong(), BROKEN),
    ]);
}

fn thinking_block(text: &str, signature: &str) -> Value {
    json!({ "type": "thinking", "thinking": text, "signature": signature })
}

fn thinking_message(text: &str, signature: &str) -> Value {
    let content = json!([thinking_block(text, signature), { "type": "text", "text": "pong" }]);
    message("msg_1", content, "end_turn")
}

#[test]
fn thinking_is_signed_and_the_same_that_the_provider_sent() {
    let check = |text: Option<&str>| Check::Thinking {
        text: text.map(equals),
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

fn streamed(parts: &[&str], apart_ms: u64, reply: Exchange) -> Evidence {
    stream(parts, apart_ms)
        .into_iter()
        .fold(nothing().reached(reply), |evidence, (at_ms, event)| {
            evidence.printed_at(at_ms, event)
        })
}

#[test]
fn a_stream_has_deltas_that_come_one_by_one() {
    let check = |text_deltas, input_deltas, incremental| Check::Stream {
        text_deltas,
        input_deltas,
        incremental,
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
            "all but the last seen in time",
            check(None, None, true),
            three(in_lockstep(3, 2)),
            HELD,
        ),
        (
            "all seen",
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
fn usage_is_held_against_bounds_and_against_the_provider() {
    let check = |turn, name: &str, min, max, as_provider| Check::Usage {
        turn,
        counts: vec![(
            name.into(),
            CountMatcher {
                min,
                max,
                as_provider,
            },
        )],
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
            check(None, "input_tokens", Some(10), Some(10), false),
            pong(),
            HELD,
        ),
        (
            "too little",
            check(None, "input_tokens", Some(11), None, false),
            pong(),
            BROKEN,
        ),
        (
            "too much",
            check(None, "output_tokens", None, Some(1), false),
            pong(),
            BROKEN,
        ),
        (
            "of an answer",
            check(Some(1), "input_tokens", Some(10), None, false),
            pong(),
            HELD,
        ),
        (
            "of an answer that is missing",
            check(Some(2), "input_tokens", Some(1), None, false),
            pong(),
            BROKEN,
        ),
        (
            "as the provider's",
            check(None, "input_tokens", None, None, true),
            pong(),
            HELD,
        ),
        (
            "not as the provider's",
            check(None, "input_tokens", None, None, true),
            miscounted.clone(),
            BROKEN,
        ),
        (
            "not as the provider's answer",
            check(Some(1), "input_tokens", None, None, true),
            miscounted,
            BROKEN,
        ),
        (
            "as the provider's, probes and errors aside",
            check(None, "input_tokens", None, None, true),
            with_probe(),
            HELD,
        ),
        (
            "the answer's, probes aside",
            check(Some(1), "input_tokens", None, None, true),
            with_probe(),
            HELD,
        ),
        (
            "live, as nobody knows",
            check(None, "input_tokens", None, None, true),
            pong().live(),
            NOT_JUDGED,
        ),
        (
            "live, by its bounds",
            check(None, "input_tokens", Some(11), None, true),
            pong().live(),
            BROKEN,
        ),
        (
            "cache reads",
            check(None, "cache_read_input_tokens", Some(1), None, false),
            pong(),
            BROKEN,
        ),
        (
            "cache writes",
            check(None, "cache_creation_input_tokens", Some(1), None, false),
            pong(),
            BROKEN,
        ),
    ]);
}

#[test]
fn the_harnesss_own_request_is_none_of_claudes() {
    let check = Check::Usage {
        turn: None,
        counts: vec![(
            "input_tokens".into(),
            CountMatcher {
                as_provider: true,
                ..CountMatcher::default()
            },
        )],
    };
    let twice = pong().reached(text_exchange());
    table(&[
        ("claude's own", check.clone(), twice.clone(), BROKEN),
        ("the harness's", check, twice.direct(200, json!({})), HELD),
    ]);
}

#[test]
fn a_stop_reason_is_that_of_the_answer_asked_for() {
    let check = |turn, value: &str| Check::StopReason {
        turn,
        value: equals(value),
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
fn an_exit_status_counts_only_where_claude_ended_by_itself() {
    table(&[
        ("as it should", Check::Exit(1), nothing().exited(1), HELD),
        ("another", Check::Exit(1), nothing(), BROKEN),
        (
            "killed",
            Check::Exit(1),
            nothing().killed(Killed::Deadline),
            BROKEN,
        ),
        (
            "killed as it exited",
            Check::Exit(1),
            nothing().killed(Killed::Deadline).exited(1),
            BROKEN,
        ),
    ]);
}

#[test]
fn an_event_is_looked_for_among_all_that_were_printed() {
    let check = |path: &str, value: &str| Check::Event {
        path: query(path),
        value: equals(value),
    };
    let broken_line = || pong().printed_at(0, Event::Unparsable("oops".into()));
    table(&[
        ("there", check("$[*].result", "pong"), broken_line(), HELD),
        ("another", check("$[*].result", "ping"), broken_line(), BROKEN),
        ("not there", check("$[*].nothing", "pong"), broken_line(), BROKEN),
    ]);
}

#[test]
fn a_direct_reply_has_a_status_and_a_body() {
    let check = || Check::DirectReply {
        status: 200,
        body: vec![(query("$.id"), equals("msg_1"))],
    };
    table(&[
        (
            "as it should",
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

// What reached the provider.

#[test]
fn requests_are_counted_by_kind_and_without_probes() {
    let check = |operation, count| Check::Requests { operation, count };
    let mut count_tokens = text_exchange();
    (count_tokens.operation, count_tokens.turn) = (Operation::CountTokens, None);
    let all = || pong().reached(probe()).reached(count_tokens.clone());
    table(&[
        ("turns", check(Operation::Messages, 1), all(), HELD),
        ("too few", check(Operation::Messages, 2), all(), BROKEN),
        ("too many", check(Operation::Messages, 0), all(), BROKEN),
        ("token counts", check(Operation::CountTokens, 1), all(), HELD),
        ("none of a kind", check(Operation::Unknown, 0), all(), HELD),
        ("live", check(Operation::Messages, 1), all().live(), NOT_JUDGED),
    ]);
}

fn anything_of(turn: Turn) -> RequestCheck {
    RequestCheck {
        turn,
        operation: Operation::Messages,
        route: None,
        stream: None,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

#[test]
fn a_turn_names_one_request_or_each_and_there_must_be_one() {
    let texts = |texts: &[&str]| {
        texts.iter().fold(nothing().reached(probe()), |evidence, text| {
            evidence.reached(exchange(request(text), text_message("pong")))
        })
    };
    let check = |turn| {
        Check::Request(RequestCheck {
            body: vec![(query("$.messages[0].content[0].text"), equals("a"))],
            ..anything_of(turn)
        })
    };
    table(&[
        ("the first", check(Turn::Number(1)), texts(&["a", "b"]), HELD),
        ("the second", check(Turn::Number(2)), texts(&["a", "b"]), BROKEN),
        ("one past the last", check(Turn::Number(2)), texts(&["a"]), BROKEN),
        ("far past the last", check(Turn::Number(9)), texts(&["a"]), BROKEN),
        ("the last", check(Turn::Last), texts(&["b", "a"]), HELD),
        ("not the last", check(Turn::Last), texts(&["a", "b"]), BROKEN),
        ("every", check(Turn::Every), texts(&["a", "a"]), HELD),
        ("all but one", check(Turn::Every), texts(&["a", "b"]), BROKEN),
        ("the last of none", check(Turn::Last), texts(&[]), BROKEN),
        ("every of none", check(Turn::Every), texts(&[]), BROKEN),
        ("live", check(Turn::Every), texts(&["a"]).live(), NOT_JUDGED),
    ]);
}

#[test]
fn a_request_has_a_route_a_way_to_be_answered_headers_and_a_body() {
    let check = |edit: &dyn Fn(&mut RequestCheck)| {
        let mut check = anything_of(Turn::Number(1));
        edit(&mut check);
        Check::Request(check)
    };
    let header = |name: &'static str, matcher: Matcher| {
        check(&move |check| check.headers.push((name.into(), matcher.clone())))
    };
    let absent = || Matcher {
        exists: Some(false),
        ..Matcher::default()
    };
    let mut twice = text_exchange();
    twice.request.headers.push(("anthropic-beta".into(), "a".into()));
    twice.request.headers.push(("anthropic-beta".into(), "b".into()));
    let twice = nothing().reached(twice);
    let mut text = text_exchange();
    text.request.body = Body::Text("<html>".into());
    let text = nothing().reached(text);
    let nowhere = |evidence: Evidence| Evidence {
        exchanges: evidence
            .exchanges
            .into_iter()
            .map(|exchange| Exchange {
                route: None,
                ..exchange
            })
            .collect(),
        ..evidence
    };
    table(&[
        (
            "its route",
            check(&|check| check.route = Some(Route::Anthropic)),
            pong(),
            HELD,
        ),
        (
            "another route",
            check(&|check| check.route = Some(Route::VertexAi)),
            pong(),
            BROKEN,
        ),
        (
            "no route",
            check(&|check| check.route = Some(Route::Anthropic)),
            nowhere(pong()),
            BROKEN,
        ),
        (
            "in one piece",
            check(&|check| check.stream = Some(false)),
            pong(),
            HELD,
        ),
        (
            "not as a stream",
            check(&|check| check.stream = Some(true)),
            pong(),
            BROKEN,
        ),
        (
            "a header",
            header("anthropic-version", equals("2023-06-01")),
            pong(),
            HELD,
        ),
        (
            "another value",
            header("anthropic-version", equals("2024-01-01")),
            pong(),
            BROKEN,
        ),
        (
            "a missing header",
            header("anthropic-beta", matches_any().unwrap()),
            pong(),
            BROKEN,
        ),
        (
            "a header that must not be there",
            header("anthropic-beta", absent()),
            twice.clone(),
            BROKEN,
        ),
        (
            "a header sent twice",
            header("anthropic-beta", equals("a,b")),
            twice,
            HELD,
        ),
        (
            "a body that is not JSON",
            check(&|check| check.body.push((query("$.x"), absent()))),
            text,
            BROKEN,
        ),
    ]);
}

const PNG: &[u8] = b"not really a png";

fn image_test() -> Test {
    let mut test = test(Check::ImageArrived {
        turn: Turn::Number(1),
    });
    test.prompts = vec![Prompt {
        blocks: vec![PromptBlock::Image {
            file: "red.png".into(),
            media_type: "image/png".into(),
            bytes: PNG.to_vec(),
        }],
    }];
    test
}

fn with_image(media_type: &str, data: &str) -> Evidence {
    let mut body = request("which colour?");
    body["messages"][0]["content"].as_array_mut().unwrap().push(
        json!({ "type": "image", "source": { "type": "base64", "media_type": media_type, "data": data } }),
    );
    nothing().reached(exchange(body, text_message("red")))
}

#[test]
fn an_image_arrives_byte_for_byte() {
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    for (what, evidence, expected) in [
        ("the same", with_image("image/png", &encode(PNG)), HELD),
        ("other bytes", with_image("image/png", &encode(b"other")), BROKEN),
        ("another type", with_image("image/jpeg", &encode(PNG)), BROKEN),
        ("no base64", with_image("image/png", "???"), BROKEN),
        ("none", pong(), BROKEN),
        ("no request", nothing(), BROKEN),
        ("live", with_image("image/png", "???").live(), NOT_JUDGED),
    ] {
        rules_on(what, &image_test(), &evidence, expected);
    }
}

/// A call of the provider, and the request that follows with these blocks of the user's.
fn called_back(blocks: Value) -> Evidence {
    let call = tool_call("toolu_1", "ls");
    let mut body = request("list");
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": call["content"] }),
        json!({ "role": "user", "content": blocks }),
    ]);
    nothing()
        .reached(exchange(request("list"), call))
        .reached(exchange(body, text_message("done")))
}

#[test]
fn a_tool_result_answers_the_providers_very_call() {
    let check = |turn, text: Option<&str>| Check::ToolResultArrived {
        turn,
        name: "Bash".into(),
        text: text.map(equals),
    };
    let answered = || called_back(json!([tool_result("toolu_1", "a.txt", false)]));
    let second = Turn::Number(2);
    table(&[
        ("any", check(second, None), answered(), HELD),
        ("its text", check(second, Some("a.txt")), answered(), HELD),
        ("changed", check(second, Some("b.txt")), answered(), BROKEN),
        (
            "for another call",
            check(second, None),
            called_back(json!([tool_result("toolu_x", "a.txt", false)])),
            BROKEN,
        ),
        (
            "none",
            check(second, None),
            called_back(json!([{ "type": "text", "text": "a.txt" }])),
            BROKEN,
        ),
        (
            "before any call",
            check(Turn::Number(1), None),
            answered(),
            BROKEN,
        ),
        ("live", check(second, None), answered().live(), NOT_JUDGED),
    ]);
}

fn thought_again(content: Value) -> Evidence {
    let mut body = request("think");
    let assistant = json!({ "role": "assistant", "content": content });
    body["messages"].as_array_mut().unwrap().push(assistant);
    nothing()
        .reached(exchange(request("think"), thinking_message("hm", "sig")))
        .reached(exchange(body, text_message("done")))
}

#[test]
fn thinking_comes_back_unmodified_at_the_head_of_its_message() {
    let check = |turn| Check::ThinkingArrived { turn };
    let text = json!({ "type": "text", "text": "pong" });
    let again = |blocks: &[Value]| thought_again(json!(blocks));
    table(&[
        (
            "as sent",
            check(Turn::Last),
            again(&[thinking_block("hm", "sig"), text.clone()]),
            HELD,
        ),
        (
            "its text changed",
            check(Turn::Last),
            again(&[thinking_block("hmm", "sig"), text.clone()]),
            BROKEN,
        ),
        (
            "signed otherwise",
            check(Turn::Last),
            again(&[thinking_block("hm", "gis"), text.clone()]),
            BROKEN,
        ),
        (
            "behind the text",
            check(Turn::Last),
            again(&[text.clone(), thinking_block("hm", "sig")]),
            BROKEN,
        ),
        ("dropped", check(Turn::Last), again(&[text]), BROKEN),
        ("before any was sent", check(Turn::Number(1)), again(&[]), BROKEN),
        ("live", check(Turn::Last), again(&[]).live(), NOT_JUDGED),
    ]);
}

#[test]
fn a_cache_has_breakpoints_writes_and_reads() {
    let check = |breakpoints, created_tokens, read_tokens| Check::Cache {
        turn: Turn::Number(1),
        breakpoints,
        created_tokens,
        read_tokens,
    };
    let mut body = request("ping");
    body["system"] = json!([{ "type": "text", "text": "s", "cache_control": { "type": "ephemeral" } }]);
    body["tools"] = json!([{ "name": "Bash", "input_schema": {}, "cache_control": { "type": "ephemeral" } }]);
    body["messages"][0]["content"][0]["cache_control"] = json!({ "type": "ephemeral" });
    let mut cached = exchange(body, text_message("pong"));
    cached.reply.usage = Usage {
        cache_creation_input_tokens: 1000,
        cache_read_input_tokens: 50,
        ..cached.reply.usage
    };
    let cached = || nothing().reached(cached.clone());
    let mut unreadable = text_exchange();
    unreadable.message = None;
    table(&[
        ("all three", check(Some(3), Some(1000), Some(50)), cached(), HELD),
        (
            "too few breakpoints",
            check(Some(4), None, None),
            cached(),
            BROKEN,
        ),
        (
            "too little written",
            check(None, Some(1001), None),
            cached(),
            BROKEN,
        ),
        ("too little read", check(None, None, Some(51)), cached(), BROKEN),
        (
            "nothing to read",
            check(Some(1), None, None),
            nothing().reached(unreadable),
            BROKEN,
        ),
        ("live", check(Some(3), None, None), cached().live(), NOT_JUDGED),
    ]);
}

// What is expected of every trial.

#[test]
fn what_is_expected_of_every_trial_is_told_apart() {
    let unmatched = refused(
        400,
        Matched::Unmatched {
            why: "the script has 1 reply".into(),
        },
    );
    let line = |text: &str| Event::Unparsable(text.into());
    let mut torn = pong();
    torn.transcript.events.extend(
        Transcript::from_jsonl(
            &json!({ "at_ms": 1, "event": { "type": "stream_event", "event":
            { "type": "content_block_delta", "index": 0, "delta": {} } } })
            .to_string(),
        )
        .events,
    );
    let around = "API error: sending the request again without betas";
    let rows: [(&str, Evidence, &[&str]); 11] = [
        ("all well", pong(), &[]),
        (
            "an error at the end",
            nothing().ended_with_error(Some(500), "API Error: 500"),
            &[RUN],
        ),
        ("no answer", nothing(), &[RUN]),
        ("a status", pong().exited(1), &[RUN]),
        ("time was up", pong().killed(Killed::Deadline), &[RUN]),
        (
            "no retry could mend it",
            nothing().killed(Killed::PermanentError),
            &[RUN],
        ),
        (
            "a signal",
            Evidence {
                exit: nothing().killed(Killed::Deadline).exit,
                ..nothing()
            },
            &[RUN],
        ),
        (
            "a line that is none",
            pong().printed_at(0, line("oops")),
            &[TRANSCRIPT],
        ),
        ("a torn stream", torn, &[TRANSCRIPT]),
        ("a request got around", pong().logged(around), &[WORKAROUNDS]),
        (
            "a request without a reply",
            pong().reached(unmatched.clone()),
            &[UNMATCHED],
        ),
    ];
    for (what, evidence, broken) in rows {
        let judgement = expect::judge(
            &test(Check::Requests {
                operation: Operation::Unknown,
                count: 0,
            }),
            &haiku(),
            &evidence,
        );
        for name in IMPLIED {
            let expected = if broken.contains(&name) { BROKEN } else { HELD };
            assert_eq!(
                verdict_of(name, &judgement),
                Some(expected),
                "{what}: `{name}`: {judgement:#?}"
            );
        }
    }
    let live = expect::judge(&test(Check::Text(equals("pong"))), &haiku(), &pong().live());
    assert_eq!(verdict_of(UNMATCHED, &live), None);
}

#[test]
fn a_broken_off_run_has_no_second_fault_for_its_open_stream() {
    let open = stream(&["a"], 1)
        .into_iter()
        .take(3)
        .fold(nothing(), |evidence, (at_ms, event)| {
            evidence.printed_at(at_ms, event)
        });
    let judged = |evidence: Evidence| {
        verdict_of(
            TRANSCRIPT,
            &expect::judge(&test(Check::Exit(0)), &haiku(), &evidence),
        )
    };
    assert_eq!(judged(open.clone()), Some(BROKEN));
    assert_eq!(judged(open.clone().killed(Killed::Deadline)), Some(HELD));
    assert_eq!(judged(open.ended_with_error(Some(500), "x")), Some(HELD));
}

#[test]
fn two_prompts_need_two_answers() {
    let mut test = test(Check::Text(equals("pong")));
    test.prompts.push(test.prompts[0].clone());
    let judged = |evidence| verdict_of(RUN, &expect::judge(&test, &haiku(), &evidence));
    assert_eq!(judged(pong()), Some(BROKEN));
    assert_eq!(judged(pong().ended("pong")), Some(HELD));
}

#[test]
fn a_run_that_is_to_fail_is_not_asked_for_an_answer() {
    let failed = nothing().ended_with_error(Some(403), "API Error: 403");
    let judgement = expect::judge(&test(Check::Exit(1)), &haiku(), &failed);
    assert_eq!(verdict_of(RUN, &judgement), None);
    assert_eq!(judgement.mismatches, []);
}

// Known failures.

#[test]
fn a_known_failure_is_no_mismatch_until_it_holds() {
    let rows = [
        ("fails as declared", None, "ping", Verdict::KnownFailure, 0),
        ("holds now", None, "pong", Verdict::UnexpectedlyHeld, 1),
        (
            "fails, declared for this tier",
            Some(["haiku"]),
            "ping",
            Verdict::KnownFailure,
            0,
        ),
        (
            "fails, declared for another tier",
            Some(["opus"]),
            "ping",
            BROKEN,
            1,
        ),
        (
            "holds, declared for another tier",
            Some(["opus"]),
            "pong",
            HELD,
            0,
        ),
    ];
    for (what, tiers, text, verdict, mismatches) in rows {
        let mut test = test(Check::Text(equals(text)));
        test.expectations[0].known_failure = Some(known_failure(tiers.as_ref().map(|tiers| &tiers[..])));
        let judgement = expect::judge(&test, &haiku(), &pong());
        assert_eq!(verdict_of("check", &judgement), Some(verdict), "{what}");
        assert_eq!(judgement.mismatches.len(), mismatches, "{what}");
        if verdict == Verdict::UnexpectedlyHeld {
            let place = judgement.mismatches[0].place.as_ref().unwrap();
            assert_eq!(place.line, 9, "the declaration's line, not the expectation's");
            assert_eq!(of_trial(&pong(), &judgement).rule, "stale_known_failure");
        }
    }
}

#[test]
fn a_known_failure_of_what_is_implied_counts_too_and_is_not_judged_where_it_cannot_be() {
    let mut test = test(Check::Requests {
        operation: Operation::Messages,
        count: 1,
    });
    test.implied_known_failures = vec![(RUN.into(), known_failure(None))];
    test.expectations[0].known_failure = Some(known_failure(None));
    let failed = nothing().ended_with_error(Some(500), "API Error: 500").live();
    let judgement = expect::judge(&test, &haiku(), &failed);
    assert_eq!(verdict_of(RUN, &judgement), Some(Verdict::KnownFailure));
    assert_eq!(verdict_of("check", &judgement), Some(NOT_JUDGED));
    assert_eq!(judgement.mismatches, []);
}

#[test]
fn an_expectation_of_other_tiers_is_not_judged_at_all() {
    let mut test = test(Check::Text(equals("ping")));
    test.expectations[0].tiers = Some(vec![TierId::new("opus")]);
    test.expectations
        .push(expectation("other", Check::Text(equals("pong"))));
    let judgement = expect::judge(&test, &haiku(), &pong());
    assert_eq!(verdict_of("check", &judgement), None);
    assert_eq!(verdict_of("other", &judgement), Some(HELD));
}

// Whose fault it is.

/// What a run that was to answer `pong` comes to.
fn blamed(evidence: &Evidence) -> (Cause, &'static str) {
    let judgement = expect::judge(&test(Check::Text(equals("pong"))), &haiku(), evidence);
    assert_ne!(judgement.mismatches, [], "nothing failed: {evidence:#?}");
    let diagnosis = of_trial(evidence, &judgement);
    assert!(
        !diagnosis.why.is_empty() && !diagnosis.next.is_empty(),
        "{diagnosis:?}"
    );
    (diagnosis.cause, diagnosis.rule)
}

fn api_error(status: u16, words: &str) -> String {
    format!("API error (attempt 1/3): {status} {status} {words}")
}

fn failed(evidence: Evidence, status: u16, words: &str) -> Evidence {
    evidence
        .logged(&api_error(status, words))
        .ended_with_error(Some(status), &format!("API Error: {status} {words}"))
}

fn rejected() -> Exchange {
    let rule = "unknown_beta".into();
    refused(400, Matched::Rejected { rule })
}

#[test]
fn a_broken_simulated_run_is_blamed_by_what_both_sides_saw() {
    let unmatched = || {
        let why = "the script has 1 reply".into();
        refused(400, Matched::Unmatched { why })
    };
    let mut cut_off = text_exchange();
    cut_off.reply.cut_off = true;
    let server_error = r#"{"error":{"message":"Internal Server Error","code":"500"}}"#;
    let no_model = r#"{"error":{"message":"litellm.BadRequestError: Invalid model name passed in model=x. Call `/v1/models` to view available models for your key.","code":"400"}}"#;
    let rows: Vec<(&str, Evidence, (Cause, &str))> = vec![
        (
            "the request never arrived: the gateway's own error",
            failed(nothing(), 500, server_error),
            (Cause::Gateway, "never_forwarded"),
        ),
        (
            "only a probe arrived",
            failed(nothing().reached(probe()), 500, server_error),
            (Cause::Gateway, "never_forwarded"),
        ),
        (
            "the request never arrived, and nothing came back",
            nothing().killed(Killed::Deadline),
            (Cause::Gateway, "never_answered"),
        ),
        (
            "the request never arrived: an error, then the time was up",
            nothing()
                .retried(Some(500), "server_error")
                .killed(Killed::Deadline),
            (Cause::Gateway, "never_forwarded"),
        ),
        (
            "nothing was asked",
            nothing().exited(2),
            (Cause::Cli, "never_asked"),
        ),
        (
            "the provider said 200 and the CLI saw 500",
            failed(nothing().reached(text_exchange()), 500, server_error),
            (Cause::Gateway, "answer_lost"),
        ),
        (
            "the provider said 200 and the CLI saw 500 until its time was up",
            nothing()
                .reached(text_exchange())
                .retried(Some(500), "server_error")
                .killed(Killed::Deadline),
            (Cause::Gateway, "answer_lost"),
        ),
        (
            "the provider said 403 and the gateway made it 500",
            failed(nothing().reached(scripted_error(403)), 500, server_error),
            (Cause::Gateway, "status_changed"),
        ),
        (
            "the gateway's request was refused",
            failed(nothing().reached(rejected()), 400, "{}"),
            (Cause::Gateway, "rejected_request"),
        ),
        (
            "the gateway's request was refused, and the refusal passed on as another",
            failed(nothing().reached(rejected()), 500, "{}"),
            (Cause::Gateway, "rejected_request"),
        ),
        (
            "more requests than replies",
            failed(nothing().reached(text_exchange()).reached(unmatched()), 400, "{}"),
            (Cause::Assertion, "more_requests_than_replies"),
        ),
        (
            "the answer never came",
            nothing().reached(text_exchange()).killed(Killed::Deadline),
            (Cause::Gateway, "answer_never_came"),
        ),
        (
            "the answer never came after an error that was overcome",
            nothing()
                .reached(scripted_error(529))
                .retried(Some(529), "overloaded")
                .reached(text_exchange())
                .killed(Killed::Deadline),
            (Cause::Gateway, "answer_never_came"),
        ),
        (
            "the connection broke",
            nothing()
                .reached(text_exchange())
                .logged("API error (attempt 1/3): undefined Connection error.")
                .ended_with_error(None, "API Error: Connection error."),
            (Cause::Gateway, "answer_broken_off"),
        ),
        (
            "the gateway hung up",
            nothing().reached(cut_off).exited(1),
            (Cause::Gateway, "answer_broken_off"),
        ),
        (
            "no fault of anybody else",
            nothing().reached(text_exchange()).exited(1),
            (Cause::Cli, "ended_without_a_word"),
        ),
        (
            "Claude Code's own limit",
            nothing()
                .reached(text_exchange())
                .ended_with_error(None, "Reached maximum number of turns (1)"),
            (Cause::Cli, "ended_without_a_word"),
        ),
    ];
    for (what, evidence, expected) in rows {
        assert_eq!(blamed(&evidence), expected, "{what}");
    }
    let (cause, _) = blamed(&failed(nothing(), 400, no_model));
    assert_eq!(
        cause,
        Cause::Config,
        "the gateway's own words tell of an alias that is not there"
    );
}

#[test]
fn an_error_that_was_passed_on_as_it_was_is_the_providers_even_if_time_ran_out() {
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let passed_on = failed(nothing().reached(scripted_error(529)), 529, overloaded);
    assert_eq!(blamed(&passed_on).0, Cause::Upstream);
    let until_the_end = nothing()
        .reached(scripted_error(529))
        .logged(&api_error(529, overloaded))
        .retried(Some(529), "overloaded")
        .reached(scripted_error(529))
        .killed(Killed::Deadline);
    assert_eq!(blamed(&until_the_end).0, Cause::Upstream);
}

#[test]
fn a_live_run_is_blamed_by_the_gateways_words() {
    let error = |kind: &str, words: &str| json!({ "error": { "type": kind, "message": words } }).to_string();
    for (status, words, expected) in [
        (
            401,
            error("authentication_error", "invalid x-api-key"),
            Cause::Auth,
        ),
        (
            429,
            error("rate_limit_error", "This request would exceed your rate limit"),
            Cause::RateLimit,
        ),
        (529, error("overloaded_error", "Overloaded"), Cause::Upstream),
        (
            400,
            error(
                "invalid_request_error",
                "Your credit balance is too low to access the API",
            ),
            Cause::Account,
        ),
    ] {
        let live = failed(nothing(), status, &words).live();
        assert_eq!(blamed(&live).0, expected, "{words}");
        let late = nothing()
            .logged(&api_error(status, &words))
            .live()
            .killed(Killed::Deadline);
        assert_eq!(blamed(&late).0, expected, "{words}, and then the time was up");
        let timed_out = nothing()
            .logged(&api_error(status, &words))
            .logged("API error (attempt 2/3): undefined Request timed out.")
            .live()
            .killed(Killed::Deadline);
        assert_eq!(blamed(&timed_out).0, expected, "{words}, and then a timeout");
    }
    let only_announced = nothing()
        .retried(Some(529), "overloaded")
        .live()
        .killed(Killed::Deadline);
    assert_eq!(blamed(&only_announced).0, Cause::Upstream);
    assert_eq!(
        blamed(&nothing().live().killed(Killed::Deadline)),
        (Cause::Harness, "deadline")
    );
    assert_eq!(
        blamed(&nothing().live().exited(3)),
        (Cause::Cli, "ended_without_a_word")
    );
}

/// A live error reached Claude Code through a gateway, whether or not its words show it.
#[test]
fn a_live_error_came_through_a_gateway_even_if_its_words_do_not_say_so() {
    use compat_matrix::cause::{Message, Route, diagnose};
    for words in ["Internal server error", "Bad gateway", "{\"type\":\"error\"}"] {
        let live = failed(nothing(), 500, words).live();
        let judgement = expect::judge(&test(Check::Text(equals("pong"))), &haiku(), &live);
        let expected = diagnose(&Message::new(words).with_route(Route::Gateway).with_status(500));
        assert_eq!(of_trial(&live, &judgement), expected);
    }
}

#[test]
fn a_broken_promise_is_the_gateways_only_where_both_sides_prove_it() {
    let wrong = |evidence: Evidence| evidence.answered(text_message("ping")).ended("ping");
    let same = exchange(request("ping"), text_message("ping"));
    let mut held_back = in_lockstep(3, 0);
    held_back.reply.message = same.reply.message.clone();
    let rows: Vec<(&str, Evidence, (Cause, &str))> = vec![
        (
            "no fault proven",
            wrong(nothing().reached(same.clone())),
            (Cause::Assertion, "promise_not_kept"),
        ),
        (
            "another answer than was sent",
            wrong(nothing().reached(text_exchange())),
            (Cause::Gateway, "answer_changed"),
        ),
        (
            "a stream held back",
            wrong(nothing().reached(held_back)),
            (Cause::Gateway, "stream_held_back"),
        ),
        (
            "a request refused on the way to the answer",
            wrong(nothing().reached(rejected()).reached(same.clone())),
            (Cause::Gateway, "rejected_request"),
        ),
        (
            "an error that the provider did not give",
            wrong(nothing().retried(Some(500), "server_error").reached(same.clone())),
            (Cause::Gateway, "refused_once"),
        ),
        (
            "an error that the provider did give",
            wrong(
                nothing()
                    .retried(Some(529), "overloaded")
                    .reached(scripted_error(529))
                    .reached(same.clone()),
            ),
            (Cause::Assertion, "promise_not_kept"),
        ),
        (
            "live",
            wrong(nothing()).live(),
            (Cause::Assertion, "promise_not_kept"),
        ),
        (
            "live, after an error that was overcome",
            wrong(nothing().retried(Some(529), "overloaded")).live(),
            (Cause::Assertion, "promise_not_kept"),
        ),
    ];
    for (what, evidence, expected) in rows {
        assert_eq!(blamed(&evidence), expected, "{what}");
    }
}

#[test]
fn an_error_that_a_cell_asks_for_is_told_from_one_that_the_gateway_changed() {
    let mut test = test(Check::Exit(1));
    test.expectations
        .push(expectation("words", Check::Text(equals("something else"))));
    let blamed = |evidence: Evidence| {
        let judgement = expect::judge(&test, &haiku(), &evidence);
        of_trial(&evidence, &judgement).rule
    };
    let answered_with = |status| failed(nothing().reached(scripted_error(403)), status, "{}");
    assert_eq!(blamed(answered_with(403)), "promise_not_kept");
    assert_eq!(blamed(answered_with(500)), "status_changed");
    assert_eq!(answered_with(500).behind, Behind::Simulated);
}
