//! What clients read at the start of a reply, and what tells replies and requests apart.

use compat_matrix::wire::Route;
use compat_matrix::wire::exchange::SentEvent;
use serde_json::{Value, json};

use super::{Wire, body, timed};

/// A reply with a text, a thought and a call, in which `change` changes the events of a type.
fn reply(kind: &str, change: impl Fn(&mut Value)) -> Vec<String> {
    let blocks = json!([
        {"type": "thinking", "thinking": "hm", "signature": "signed"},
        {"type": "text", "text": "a b"},
        {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {"command": "x"}},
    ]);
    let wire = Wire::of(&[(body(), blocks)]);
    let of_kind = |event: &&mut SentEvent| event.data["type"] == kind;
    let wire = wire.comes_back(|events| {
        events
            .iter_mut()
            .filter(of_kind)
            .for_each(|event| change(&mut event.data))
    });
    wire.changes()
}

#[test]
fn a_message_and_its_blocks_start_empty() {
    type Case = (&'static str, fn(&mut Value), &'static str);
    let cases: [Case; 7] = [
        (
            "message_start",
            |event| event["message"]["content"] = json!([{"type": "text", "text": "a"}]),
            "field `message_start.message.content` changed: [] → [{\"type\":\"text\",\"text\":\"a\"}]",
        ),
        (
            "message_start",
            |event| event["message"]["stop_reason"] = json!("end_turn"),
            "field `message_start.message.stop_reason` added: \"end_turn\"",
        ),
        (
            "message_start",
            |event| event["message"]["type"] = json!("completion"),
            "field `message_start.message.type` changed: \"message\" → \"completion\"",
        ),
        (
            "content_block_start",
            |event| {
                let block = &mut event["content_block"];
                if block["type"] == "thinking" {
                    block["thinking"] = json!("h");
                }
            },
            "field `content_block_start.content_block.thinking` changed: \"\" → \"h\"",
        ),
        (
            "content_block_start",
            |event| {
                let block = &mut event["content_block"];
                if block["type"] == "text" {
                    block.as_object_mut().unwrap().shift_remove("text");
                }
            },
            "field `content_block_start.content_block.text` dropped: \"\"",
        ),
        (
            "content_block_delta",
            |event| event["index"] = event["index"].to_string().into(),
            "field `content_block_delta.index` changed: \"a number\" → \"0\"",
        ),
        (
            "content_block_start",
            |event| {
                let block = &mut event["content_block"];
                if block["type"] == "tool_use" {
                    block["input"] = json!({"command": "y"});
                }
            },
            "field `content_block_start.content_block.input` changed: {} → {\"command\":\"y\"}",
        ),
    ];
    for (kind, change, line) in cases {
        let lines = reply(kind, change);
        let line = format!("reply 1: {line}");
        assert!(lines.contains(&line), "no {line:?} in {lines:#?}");
    }
    // These say the same as their absence.
    let absent = reply("message_start", |event| {
        let message = event["message"].as_object_mut().unwrap();
        message.shift_remove("stop_sequence");
        message.shift_remove("stop_reason");
    });
    assert_eq!(absent, [""; 0]);
}

#[test]
fn an_empty_piece_of_arguments_is_no_difference() {
    let blocks = json!([{"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {"command": "x"}}]);
    let wire = Wire::of(&[(body(), blocks)]).comes_back(|events| {
        let delta = json!({"type": "input_json_delta", "partial_json": ""});
        let empty = timed(
            0,
            [json!({"type": "content_block_delta", "index": 0, "delta": delta})],
        );
        events.splice(2..2, empty);
    });
    assert_eq!(wire.changes(), [""; 0]);
}

#[test]
fn answers_that_claude_code_takes_for_one_have_one_id() {
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    let with = |ids: [&str; 2], history: Value| {
        let mut last = body();
        last["messages"] = history;
        let mut wire = Wire::of(&[(body(), text("a")), (body(), text("b")), (last, text("c"))]);
        for (index, own) in ids.into_iter().enumerate() {
            let given = format!("msg_given_{index}");
            wire.exchanges[index].reply.message.as_mut().unwrap()["id"] = json!(given);
            wire.exchanges[index].reply.events[0].data["message"]["id"] = json!(given);
            let back = wire.sent[index].reply.as_mut().unwrap();
            back.events[0].data["message"]["id"] = json!(own);
        }
        wire.changes()
    };
    let said = |texts: &[&str]| {
        let blocks: Vec<Value> = texts
            .iter()
            .map(|text| json!({"type": "text", "text": text}))
            .collect();
        json!({"role": "assistant", "content": blocks})
    };
    let user = json!({"role": "user", "content": [{"type": "text", "text": "go on"}]});
    let apart = || json!([user, said(&["a"]), user, said(&["b"]), user]);
    let as_one = || json!([user, said(&["a", "b"]), user]);
    let is_of_id = |lines: Vec<String>| {
        lines
            .into_iter()
            .filter(|line| line.contains("`id`"))
            .collect::<Vec<_>>()
    };
    assert_eq!(is_of_id(with(["gw_1", "gw_1"], apart())), [""; 0]);
    assert_eq!(is_of_id(with(["gw_1", "gw_2"], as_one())), [""; 0]);
    // An answer may have the words of an earlier one.
    let same = json!([user, said(&["a"]), user]);
    assert_eq!(is_of_id(with(["gw_1", "gw_1"], same)), [""; 0]);
    let of_both = json!([user, said(&["a", "c"]), user, said(&["a"]), user]);
    let texts = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| json!({"type": "text", "text": text}))
            .collect::<Value>()
    };
    let mut last = body();
    last["messages"] = of_both;
    let mut wire = Wire::of(&[
        (body(), texts(&["a", "c"])),
        (body(), texts(&["a"])),
        (last, texts(&["d"])),
    ]);
    for index in 0..2 {
        wire.exchanges[index].reply.message.as_mut().unwrap()["id"] = json!(format!("msg_given_{index}"));
        wire.sent[index].reply.as_mut().unwrap().events[0].data["message"]["id"] = json!("gw_1");
    }
    assert_eq!(
        is_of_id(wire.changes()),
        [""; 0],
        "both have a block of the same words"
    );
    assert_eq!(
        is_of_id(with(["gw_1", "gw_1"], as_one())),
        ["reply 2: field `id` repeated: \"msg_given_1\" → \"gw_1\""]
    );
}

#[test]
fn an_added_header_that_claude_code_obeys_is_a_difference() {
    let added_to = |status: u16, name: &str| {
        let mut wire = Wire::one();
        let header = (name.to_owned(), "1".to_owned());
        wire.exchanges[0].reply.status = status;
        wire.sent[0].reply.as_mut().unwrap().status = status;
        wire.sent[0].reply.as_mut().unwrap().headers.push(header);
        wire.changes()
    };
    let added = |name: &str| added_to(200, name);
    let line = |name: &str| format!("reply 1: header `{name}` added: \"1\"");
    for name in ["retry-after", "x-should-retry"] {
        assert_eq!(added(name), [line(name)]);
    }
    assert_eq!(added("x-request-cost"), [""; 0]);
    let is_of_header = |lines: Vec<String>| lines.iter().any(|line| line.contains("header"));
    assert!(!is_of_header(added_to(429, "retry-after")));
    assert!(is_of_header(added_to(429, "x-should-retry")));
}

#[test]
fn an_added_header_of_claude_code_is_a_difference() {
    let added = |name: &str| {
        let mut wire = Wire::one();
        let header = (name.to_owned(), "a1".to_owned());
        wire.exchanges[0].request.headers.push(header);
        wire.changes()
    };
    let name = "x-claude-code-agent-id";
    assert_eq!(added(name), [format!("request 1: header `{name}` added: \"a1\"")]);
    assert_eq!(added("x-trace-id"), [""; 0]);
}

#[test]
fn a_path_says_model_and_stream() {
    let on = |route: Route, change: fn(&mut Value), streams: bool| {
        let mut wire = Wire::one().arrives(change);
        wire.exchanges[0].route = Some(route);
        wire.exchanges[0].reply.stream = streams;
        let lines = wire.changes().into_iter();
        lines
            .filter(|line| line.contains("`model`") || line.contains("`stream`"))
            .collect::<Vec<_>>()
    };
    let renamed: fn(&mut Value) = |body| body["model"] = json!("claude-haiku-4-5");
    assert_eq!(on(Route::Anthropic, renamed, true), [""; 0]);
    let in_body = "request 1: field `model` changed: \"alias\" → \"claude-haiku-4-5\"";
    assert_eq!(on(Route::BedrockInvoke, renamed, true), [in_body]);
    let in_path: fn(&mut Value) = |body| {
        let body = body.as_object_mut().unwrap();
        body.shift_remove("model");
        body.shift_remove("stream");
    };
    assert_eq!(on(Route::VertexAi, in_path, true), [""; 0]);
    let whole = "request 1: field `stream` changed: true → false";
    assert_eq!(on(Route::VertexAi, in_path, false)[..1], [whole]);
}

#[test]
fn a_repeated_tool_is_named_and_a_block_in_the_middle_stays() {
    let twice = Wire::one().arrives(|body| {
        let tools = body["tools"].as_array_mut().unwrap();
        tools.insert(1, tools[0].clone());
    });
    assert_eq!(twice.changes(), ["request 1: tool `Bash` repeated: 1 → 2"]);
    let mut body = body();
    body["system"] =
        json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, {"type": "text", "text": "c"}]);
    let reversed = Wire::of(&[(body, json!([{"type": "text", "text": "x"}]))])
        .arrives(|body| body["system"].as_array_mut().unwrap().reverse());
    let lines = reversed.changes();
    assert!(!lines.is_empty());
    assert!(
        lines
            .iter()
            .all(|line| !line.contains("system[1] (text)` moved to `system[1]")),
        "{lines:#?}"
    );
}
