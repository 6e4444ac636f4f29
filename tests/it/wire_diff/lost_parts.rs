//! What a report says about a part of a block that is lost.

use compat_matrix::wire::exchange::Body;
use compat_matrix::wire::messages;
use compat_matrix::wire_diff::{Part, compare};
use serde_json::{Value, json};

use super::{Wire, body, timed};

#[test]
fn lost_citations_are_named_in_every_form_of_a_reply() {
    let citation = json!({"type": "char_location", "cited_text": "b"});
    let wire = || {
        let cited = json!([{"type": "text", "text": "a b", "citations": [citation.clone()]}]);
        Wire::of(&[(body(), cited)])
    };
    let lost = [format!(
        "reply 1: block `content[0] (text).citations` dropped: [{citation}]"
    )];
    assert_eq!(wire().changes(), [""; 0]);
    let streamed = wire().comes_back(|events| {
        events.retain(|event| event.data["delta"]["type"] != "citations_delta");
    });
    assert_eq!(streamed.changes(), lost);
    let mut whole = wire();
    let given = &mut whole.exchanges[0].reply;
    given.stream = false;
    let mut message = given.message.clone().unwrap();
    given.events = timed(0, [message.clone()]);
    message["content"][0]
        .as_object_mut()
        .unwrap()
        .shift_remove("citations");
    let back = whole.sent[0].reply.as_mut().unwrap();
    back.stream = false;
    back.events = timed(0, [message]);
    let of_block = |line: &String| line.contains("block `");
    let changes: Vec<_> = whole.changes().into_iter().filter(of_block).collect();
    assert_eq!(changes, lost);
}

/// The typed form of a result has `false` for a flag that is not there.
#[test]
fn a_lost_flag_of_a_failure_is_dropped() {
    let arrived_as = |flag: Value| {
        let mut failed = body();
        failed["messages"][2]["content"][0]["is_error"] = json!(true);
        let wire = Wire::of(&[(failed, json!([{"type": "text", "text": "a"}]))]);
        let wire = wire.arrives(|body| body["messages"][2]["content"][0]["is_error"] = flag);
        wire.changes().join("\n")
    };
    let flag = "request 1: block `messages[2] user block 0 (tool_result).is_error`";
    assert_eq!(arrived_as(json!(null)), format!("{flag} dropped: true"));
    assert_eq!(arrived_as(json!(false)), format!("{flag} changed: true → false"));
}

#[test]
fn a_copy_of_a_tool_under_another_name_is_added() {
    let with_copy = Wire::one().arrives(|body| {
        let mut copy = body["tools"][0].clone();
        copy["name"] = json!("gw_shell");
        body["tools"].as_array_mut().unwrap().push(copy);
    });
    let changes = with_copy.changes();
    let added: Vec<_> = changes
        .iter()
        .filter(|line| line.contains("tool `gw_shell` added"))
        .collect();
    assert_eq!(added.len(), 1, "{changes:?}");
}

/// A change that is the same in all requests does not break a prefix.
#[test]
fn the_changed_tool_of_a_prefix_is_named() {
    let named = |in_second: fn(&mut Value)| {
        let mut with_schema = body();
        with_schema["tools"][1]["description"] = json!("reads");
        let blocks = json!([{"type": "text", "text": "ok"}]);
        let mut wire = Wire::of(&[(with_schema.clone(), blocks.clone()), (with_schema, blocks)]);
        for (index, exchange) in wire.exchanges.iter_mut().enumerate() {
            if let Body::Json(body) = &mut exchange.request.body {
                body["tools"][0]["description"] = json!("runs gw");
                if index == 1 {
                    in_second(&mut body["tools"][1]);
                }
                exchange.message = messages::read(body, None, &[]);
            }
        }
        let diff = compare(&wire.sent, &wire.exchanges);
        let prefix = diff
            .changes
            .iter()
            .find(|change| change.what.part == Part::Prefix);
        diff.at_prefix(prefix.expect("the prefix changed"))
            .expect("a tool")
            .line()
    };
    assert_eq!(
        named(|tool| tool["description"] = json!("gw")),
        "request 2: tool `Read.description` changed: \"reads\" → \"gw\""
    );
    assert_eq!(
        named(|tool| tool["name"] = json!("gw_read")),
        "request 2: tool `Read.name` changed: \"Read\" → \"gw_read\""
    );
}
