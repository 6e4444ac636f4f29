//! Transcripts: answers, errors and problems of a stream.

use compat_matrix::transcript::{Answer, AnswerBlock, DeltaKind, ErrorSource, Event, TimedEvent, Transcript};
use serde_json::{Value, json};

fn transcript(events: impl IntoIterator<Item = Value>) -> Transcript {
    let timed = |(at_ms, event)| TimedEvent {
        at_ms,
        event: Event::Json(event),
    };
    Transcript {
        events: (1..).zip(events).map(timed).collect(),
    }
}

fn stream(event: Value) -> Value {
    json!({ "type": "stream_event", "event": event, "parent_tool_use_id": null })
}

fn start(id: &str) -> Value {
    stream(
        json!({ "type": "message_start", "message": { "id": id, "model": "m", "content": [],
        "usage": { "input_tokens": 10, "cache_creation_input_tokens": 7, "output_tokens": 1 } } }),
    )
}

fn block_start(index: u64, block: Value) -> Value {
    stream(json!({ "type": "content_block_start", "index": index, "content_block": block }))
}

fn delta(index: u64, delta: Value) -> Value {
    stream(json!({ "type": "content_block_delta", "index": index, "delta": delta }))
}

fn text_delta(text: &str) -> Value {
    delta(0, json!({ "type": "text_delta", "text": text }))
}

fn block_stop(index: u64) -> Value {
    stream(json!({ "type": "content_block_stop", "index": index }))
}

fn message_delta(stop_reason: &str) -> Value {
    stream(
        json!({ "type": "message_delta", "delta": { "stop_reason": stop_reason },
        "usage": { "output_tokens": 5, "cache_read_input_tokens": null } }),
    )
}

fn stop() -> Value {
    stream(json!({ "type": "message_stop" }))
}

fn text_block() -> Value {
    json!({ "type": "text", "text": "" })
}

fn text_answer(id: &str) -> Vec<Value> {
    vec![
        start(id),
        block_start(0, text_block()),
        text_delta("Hello "),
        text_delta("world"),
        block_stop(0),
        message_delta("end_turn"),
        stop(),
    ]
}

fn problems(events: impl IntoIterator<Item = Value>) -> Vec<String> {
    transcript(events)
        .stream_problems()
        .into_iter()
        .map(|problem| problem.what)
        .collect()
}

#[test]
fn an_answer_is_built_from_its_stream() {
    let events = [
        start("msg_1"),
        block_start(0, json!({ "type": "thinking", "thinking": "", "signature": "" })),
        delta(0, json!({ "type": "thinking_delta", "thinking": "let me " })),
        delta(0, json!({ "type": "thinking_delta", "thinking": "see" })),
        delta(0, json!({ "type": "signature_delta", "signature": "c2ln" })),
        block_stop(0),
        block_start(
            1,
            json!({ "type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {} }),
        ),
        delta(
            1,
            json!({ "type": "input_json_delta", "partial_json": "{\"command\":" }),
        ),
        delta(
            1,
            json!({ "type": "input_json_delta", "partial_json": "\"ls\"}" }),
        ),
        json!({ "type": "assistant", "message": { "id": "msg_1", "content": [{ "type": "text", "text": "x" }] } }),
        block_stop(1),
        message_delta("tool_use"),
        stop(),
    ];
    let answers = transcript(events).messages();
    let [answer] = &answers[..] else {
        panic!("{answers:?}")
    };
    let thinking = AnswerBlock::Thinking {
        thinking: "let me see".to_owned(),
        signature: "c2ln".to_owned(),
    };
    let call = AnswerBlock::ToolUse {
        id: "toolu_1".to_owned(),
        name: "Bash".to_owned(),
        input: json!({ "command": "ls" }),
    };
    assert_eq!(answer.content, [thinking, call]);
    assert_eq!(answer.stop_reason.as_deref(), Some("tool_use"));
    assert!(answer.streamed && answer.complete);
    assert_eq!(
        (
            answer.delta_count(DeltaKind::Thinking),
            answer.delta_count(DeltaKind::Input)
        ),
        (2, 2)
    );
    let usage = answer.usage.unwrap();
    assert_eq!(
        (
            usage.input_tokens,
            usage.cache_creation_input_tokens,
            usage.output_tokens
        ),
        (10, 7, 5)
    );
    assert_eq!(
        answer.deltas.iter().map(|delta| delta.line).collect::<Vec<_>>(),
        [3, 4, 8, 9]
    );
}

#[test]
fn answers_with_the_same_id_stay_separate() {
    let answers = transcript([text_answer("msg_1"), text_answer("msg_1")].concat()).messages();
    assert_eq!(
        answers.iter().map(Answer::text).collect::<Vec<_>>(),
        ["Hello world", "Hello world"]
    );
}

#[test]
fn an_answer_without_a_stream_is_read_from_its_lines() {
    let line = |block: Value| {
        json!({ "type": "assistant", "message": { "id": "msg_1", "model": "m", "content": [block],
            "stop_reason": "end_turn", "usage": { "input_tokens": 3 } } })
    };
    let answers = transcript([
        line(json!({ "type": "text", "text": "a" })),
        line(json!({ "type": "text", "text": "b" })),
        json!({ "type": "assistant", "message": { "id": "x", "model": "<synthetic>", "content": [] } }),
    ])
    .messages();
    assert_eq!(
        (answers.len(), answers[0].text().as_str(), answers[0].streamed),
        (1, "ab", false)
    );
    assert_eq!(answers[0].usage.unwrap().input_tokens, 3);
}

#[test]
fn answers_of_a_subagent_may_have_the_id_of_another_answer() {
    let line = |parent: Value, block: Value| {
        let message = json!({"id": "msg_1", "model": "claude-haiku-4-5", "content": [block]});
        json!({"type": "assistant", "message": message, "parent_tool_use_id": parent})
    };
    let call = |id: &str, name: &str| json!({"type": "tool_use", "id": id, "name": name, "input": {}});
    let result = json!({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "b", "content": "ok"}]}});
    let transcript = transcript([
        line(Value::Null, call("a", "Agent")),
        line(json!("a"), call("b", "Bash")),
        result,
    ]);
    assert_eq!(transcript.messages().len(), 2);
    assert_eq!(transcript.tool_results()[0].name.as_deref(), Some("Bash"));
}

#[test]
fn streams_of_subagents_stay_separate() {
    let of_subagent = |mut event: Value| {
        event["parent_tool_use_id"] = json!("toolu_9");
        event
    };
    let mut events = text_answer("main");
    let inner: Vec<Value> = text_answer("inner").into_iter().map(of_subagent).collect();
    events.splice(3..3, inner);
    let transcript = transcript(events);
    assert_eq!(transcript.stream_problems(), []);
    let answers = transcript.messages();
    assert_eq!(
        answers.iter().map(Answer::text).collect::<Vec<_>>(),
        ["Hello world", "Hello world"]
    );
    assert_eq!(answers[1].parent_tool_use_id.as_deref(), Some("toolu_9"));
}

#[test]
fn a_tool_result_has_the_name_of_its_call() {
    let events = [
        json!({ "type": "assistant", "message": { "id": "m", "content":
            [{ "type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {} }] } }),
        json!({ "type": "user", "message": { "content":
            [{ "type": "tool_result", "tool_use_id": "toolu_1", "content": "pong", "is_error": false }] } }),
        json!({ "type": "user", "message": { "content":
            [{ "type": "tool_result", "tool_use_id": "toolu_2", "content": [{ "type": "text", "text": "no" }],
               "is_error": true }] } }),
        json!({ "type": "user", "message": { "content": "plain" } }),
    ];
    let results = transcript(events).tool_results();
    assert_eq!(results.len(), 2);
    assert_eq!(
        (results[0].name.as_deref(), results[0].text.as_str()),
        (Some("Bash"), "pong")
    );
    assert_eq!(
        (results[1].name.as_deref(), results[1].is_error, results[1].line),
        (None, true, 3)
    );
}

#[test]
fn counts_add_up_over_prompts_but_the_cost_does_not() {
    let result = |cost: f64| {
        json!({ "type": "result", "subtype": "success", "result": "x", "total_cost_usd": cost,
            "usage": { "input_tokens": 10, "output_tokens": 5 } })
    };
    let both = transcript([result(0.1), result(0.2)]);
    assert_eq!(both.total_usage().input_tokens, 20);
    assert!((both.total_cost_usd() - 0.2).abs() < 1e-9);
    let killed = transcript(text_answer("msg_1"));
    assert_eq!(
        (killed.total_usage().output_tokens, killed.final_text()),
        (5, None)
    );
}

#[test]
fn the_tokens_of_a_run_are_those_of_all_its_requests() {
    // A subagent's tokens are in `modelUsage` only, which grows over the prompts of a process.
    let result = |of_prompt: u64, by_model: &[(&str, u64)]| {
        let models = by_model.iter().map(|(name, count)| {
            let counts =
                json!({ "inputTokens": count, "outputTokens": count * 2, "cacheReadInputTokens": 1 });
            ((*name).to_owned(), counts)
        });
        json!({ "type": "result", "subtype": "success", "result": "x",
            "usage": { "input_tokens": of_prompt, "cache_creation_input_tokens": 7 },
            "modelUsage": models.collect::<serde_json::Map<_, _>>() })
    };
    let (one, two) = (
        result(10, &[("opus", 30)]),
        result(10, &[("opus", 50), ("haiku", 4)]),
    );
    let spent = transcript([one.clone(), two.clone()]).spent_usage();
    assert_eq!((spent.input_tokens, spent.output_tokens), (54, 108));
    assert_eq!(spent.cache_read_input_tokens, 2);
    assert_eq!(spent.cache_creation_input_tokens, 14, "only `usage` has it");
    let resumed = transcript([one.clone(), two, one]).spent_usage();
    assert_eq!(resumed.input_tokens, 84, "a new process starts again");
    for old in [
        result(10, &[]),
        json!({ "type": "result", "usage": { "input_tokens": 10 } }),
    ] {
        let old = transcript([old]);
        assert_eq!(old.spent_usage(), old.total_usage(), "without `modelUsage`");
        assert_eq!(old.total_usage().input_tokens, 10);
    }
}

#[test]
fn errors_have_their_source() {
    let events = [
        Event::from_debug_log("ERROR", "API error (attempt 1/3): 500 500 {\"error\":1}")
            .json()
            .unwrap()
            .clone(),
        Event::from_debug_log("ERROR", "API error (attempt 2/3): Connection error.")
            .json()
            .unwrap()
            .clone(),
        Event::from_debug_log("ERROR", "something else")
            .json()
            .unwrap()
            .clone(),
        stream(json!({ "type": "error", "error": { "type": "overloaded_error", "message": "m" } })),
        json!({ "type": "result", "is_error": true, "api_error_status": 500, "result": "API Error: 500" }),
    ];
    let errors = transcript(events).errors();
    let seen: Vec<_> = errors
        .iter()
        .map(|error| (error.source, error.status, error.text.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (ErrorSource::DebugLog, Some(500), "{\"error\":1}"),
            (ErrorSource::DebugLog, None, "Connection error."),
            (
                ErrorSource::Stream,
                None,
                r#"{"type":"overloaded_error","message":"m"}"#
            ),
            (ErrorSource::Result, Some(500), "API Error: 500"),
        ]
    );
}

#[test]
fn a_well_formed_stream_has_no_problem() {
    assert_eq!(problems(text_answer("msg_1")), [""; 0]);
}

#[test]
fn each_problem_of_a_stream_has_a_description() {
    let without = |at: usize| {
        let mut events = text_answer("msg_1");
        events.remove(at);
        events
    };
    assert_eq!(problems(without(0))[0], "`content_block_start` outside a message");
    assert_eq!(
        problems(without(1))[0],
        "a `text_delta` for block 0, which is not open"
    );
    assert_eq!(
        problems(without(4)),
        [
            "`message_delta` comes before block 0 stops",
            "block 0 never stops"
        ]
    );
    assert_eq!(problems(without(5)), ["the message ends without a stop reason"]);
    assert_eq!(
        problems(without(6)),
        ["the stream of `msg_1` ends without `message_stop`"]
    );
    let twice = [vec![start("msg_0")], text_answer("msg_1")].concat();
    assert_eq!(
        problems(twice),
        ["a second `message_start` before `message_stop`"]
    );
    let mixed = [
        start("m"),
        block_start(1, text_block()),
        delta(1, json!({ "type": "input_json_delta" })),
    ];
    assert_eq!(
        problems(mixed),
        [
            "block 1 starts where block 0 is due",
            "a `input_json_delta` in a `text` block",
            "the stream of `m` ends without `message_stop`",
        ]
    );
}

#[test]
fn a_transcript_survives_its_file() {
    let mut written = transcript(text_answer("msg_1"));
    written.events.push(TimedEvent {
        at_ms: 99,
        event: Event::from_line("[1, 2] \u{1f980}"),
    });
    let text = written.to_jsonl();
    assert_eq!(Transcript::from_jsonl(&text), written);
    assert_eq!(text.lines().count(), written.events.len());
}

#[test]
fn no_line_causes_a_panic() {
    for line in [
        "",
        "null",
        "[]",
        "{",
        r#"{"type":null}"#,
        r#"{"type":"stream_event"}"#,
        r#"{"type":"result","usage":7}"#,
        r#"{"type":"user","message":{"content":7}}"#,
        r#"{"type":"assistant","message":7}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_delta","index":-1}}"#,
        r#"{"type":"system","subtype":"api_retry","retry_delay_ms":-5e300,"error_status":70000}"#,
    ] {
        let transcript = Transcript {
            events: vec![TimedEvent {
                at_ms: u64::MAX,
                event: Event::from_line(line),
            }],
        };
        let _ = (
            transcript.messages(),
            transcript.results(),
            transcript.errors(),
            transcript.tool_results(),
        );
        let _ = (
            transcript.stream_problems(),
            transcript.api_retries(),
            transcript.init(),
            transcript.total_usage(),
            transcript.spent_usage(),
        );
        assert_eq!(Transcript::from_jsonl(&transcript.to_jsonl()), transcript);
    }
}
