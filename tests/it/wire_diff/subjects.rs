//! The subjects of what a gateway changes in a request: a known finding must hide no other fault.

use serde_json::{Value, json};

use super::{Wire, body, list};
use compat_matrix::findings::Subject;

fn subjects(wire: &Wire) -> Vec<String> {
    let changes = wire.compared();
    changes
        .iter()
        .map(|change| Subject::of_change(change).to_string())
        .collect()
}

/// A request with these messages, and an answer.
fn asked(messages: Value) -> Wire {
    let mut body = body();
    body["messages"] = messages;
    Wire::of(&[(body, json!([{"type": "text", "text": "a"}]))])
}

#[test]
fn an_added_text_is_named_by_its_beginning() {
    let subject = |text: &str| {
        let added = json!({"type": "text", "text": text});
        let wire = Wire::one().arrives(|body| list(body, "/messages/0/content").push(added));
        subjects(&wire).join("; ")
    };
    let place = "request block messages[*] user block *";
    assert_eq!(
        subject("Recommend\nthe products."),
        format!("{place} (text \"Recommend the products.\") added")
    );
    // What differs from trial to trial is not named, nor is what follows.
    let long = format!(
        "In /tmp/a-b the session 5f0c6a2e-3c1d says: {}",
        "words ".repeat(20)
    );
    assert_eq!(
        subject(&long),
        format!("{place} (text \"In * the session * says: words words words words words words…\") added")
    );
    assert_eq!(subject(""), format!("{place} (text \"\") added"));
}

#[test]
fn a_system_entry_in_a_users_message_has_another_role() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let messages = json!([
        {"role": "user", "content": [text("hi")]},
        {"role": "system", "content": [text("be brief")]},
    ]);
    let arrives = |content: Value| {
        asked(messages.clone())
            .arrives(|body| body["messages"] = json!([{"role": "user", "content": content}]))
    };
    let lowered = arrives(json!([text("hi"), text("Note:"), text("be brief")]));
    assert_eq!(
        subjects(&lowered),
        [
            "request block messages[*] system block * (text).role changed",
            "request block messages[*] user block * (text \"Note:\") added",
        ]
    );
    assert_eq!(
        lowered.changes()[0],
        "request 1: block `messages[1] system block 0 (text).role` changed: \"system\" → \"user\""
    );
    // With other words, it is lost.
    assert_eq!(
        subjects(&arrives(json!([text("hi"), text("be long")]))),
        [
            "request block messages[*] system block * (text) dropped",
            "request block messages[*] user block * (text \"be long\") added",
        ]
    );
}

#[test]
fn lost_thinking_after_a_tool_call_is_named_so() {
    let result =
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}]});
    let called = |before: Value| {
        let call = json!({"type": "tool_use", "id": "t", "name": "Bash", "input": {}});
        let content: Vec<Value> = before.as_array().unwrap().iter().cloned().chain([call]).collect();
        json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}, result])
    };
    let thought = json!([{"type": "thinking", "thinking": "hm", "signature": "signed"}]);
    for (messages, expected) in [
        (json!([{"role": "user", "content": "hi"}]), "thinking dropped"),
        (called(thought), "thinking dropped"),
        (
            called(json!([])),
            "thinking (after a tool call without thinking) dropped",
        ),
    ] {
        let lost =
            asked(messages).arrives(|body| drop(body.as_object_mut().unwrap().shift_remove("thinking")));
        assert_eq!(subjects(&lost), [format!("request field {expected}")]);
    }
}
