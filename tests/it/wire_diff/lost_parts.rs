//! What a report says about a part of a block that is lost.

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
