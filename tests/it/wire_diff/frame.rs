//! What stands around an answer: headers, id and model, events that no provider sends; and a key too many.

use compat_matrix::wire::exchange::GatewayReply;
use serde_json::json;

use super::Wire;

#[test]
fn what_frames_a_reply_is_compared_too() {
    type Edit = fn(&mut Wire);
    let back = |wire: &mut Wire, edit: fn(&mut GatewayReply)| edit(wire.sent[0].reply.as_mut().unwrap());
    let told = |edit: Edit| {
        let mut wire = Wire::one();
        let id = ("request-id".to_owned(), "req_1".to_owned());
        wire.exchanges[0].reply.headers = vec![("content-type".into(), "x".into()), id.clone()];
        wire.sent[0].reply.as_mut().unwrap().headers.push(id);
        edit(&mut wire);
        wire.told()
    };
    assert_eq!(told(|_| ()), [""; 0]);
    assert_eq!(
        told(|wire| drop(wire.sent[0].reply.as_mut().unwrap().headers.pop())),
        ["reply 1: header `request-id` dropped: \"req_1\""]
    );
    assert_eq!(
        told(|wire| wire.sent[0].reply.as_mut().unwrap().headers[0].1 = "text/plain".into()),
        ["reply 1: header `content-type` changed: \"text/event-stream\" → \"text/plain\""]
    );
    let mut wire = Wire::one();
    back(&mut wire, |reply| {
        reply.events[0].data["message"]["model"] = json!("alias")
    });
    assert_eq!(wire.told(), [""; 0], "by this name it was asked for");
    back(&mut wire, |reply| {
        reply.events[0].data["message"]["model"] = json!("gpt-5")
    });
    back(&mut wire, |reply| {
        reply.events[0].data["message"]["id"] = json!("")
    });
    assert_eq!(
        wire.told(),
        [
            "reply 1: field `id` dropped: \"msg_1\"",
            "reply 1: field `model` changed: \"m\" → \"gpt-5\"",
        ]
    );
}

#[test]
fn events_of_a_kind_or_in_an_order_that_no_provider_sends_are_told() {
    let wire = Wire::one().comes_back(|events| {
        let mut event = events[0].clone();
        event.data = json!({"type": "cost", "usd": 1});
        events.insert(3, event);
    });
    assert_eq!(
        wire.told(),
        ["reply 1: event `cost` added: {\"type\":\"cost\",\"usd\":1}"]
    );
    let wire = Wire::one().comes_back(|events| {
        let stop = events.len() - 3;
        events.swap(stop, stop + 1);
    });
    assert_eq!(
        wire.told(),
        ["reply 1: event `order` changed: \"`message_delta` comes before block 0 stops\""]
    );
}

#[test]
fn a_key_beside_the_gateways_own_is_told() {
    let mut wire = Wire::one();
    let headers = &mut wire.exchanges[0].request.headers;
    headers.push(("x-api-key".into(), "[redacted, 9 bytes]".into()));
    assert_eq!(wire.told(), [""; 0]);
    let headers = &mut wire.exchanges[0].request.headers;
    headers.push(("authorization".into(), "[redacted, 9 bytes]".into()));
    assert_eq!(
        wire.told(),
        ["request 1: header `a second credential` added: \"`authorization` and `x-api-key`\""]
    );
}
