//! The checks of the exchanges between Claude Code and the gateway, and those over several requests.

use super::*;
use compat_matrix::expectation::kinds::{
    AttemptsCheck, GatewayRequestCheck, PrefixStableCheck, ReplyHeadCheck, ToolResultArrivedCheck,
    ToolResultCheck,
};
use compat_matrix::findings::{KnownForRun, Versions};
use compat_matrix::judge;
use compat_matrix::wire::client_format::ClientFormat;
use compat_matrix::wire::exchange::SentEvent;

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn most(max: i64) -> Matcher {
    Matcher {
        max: Some(serde_json::from_value(json!(max)).unwrap()),
        ..Matcher::default()
    }
}

/// A refused request; Claude Code received the header `retry-after` only if the gateway kept it.
fn refused_with(kept: bool) -> Evidence {
    let mut refused = scripted_error(429);
    refused.reply.headers.push(header("retry-after", "7"));
    let mut sent = gateway_exchange(&refused, "application/json");
    if kept {
        sent.reply
            .as_mut()
            .unwrap()
            .headers
            .push(header("retry-after", "7"));
    }
    Evidence {
        sent: vec![sent],
        ..nothing().reached(refused)
    }
}

#[test]
fn a_reply_head_is_judged_as_claude_code_received_it() {
    let check = |turn, status: u16, value: &str| {
        Check::ReplyHead(ReplyHeadCheck {
            turn,
            status: Some(equals(status)),
            headers: vec![("retry-after".into(), equals(value))],
        })
    };
    let first = Turn::Number(1);
    let unanswered = || {
        let mut evidence = refused_with(true);
        evidence.sent[0].reply = None;
        evidence
    };
    table(&[
        ("as sent", check(first, 429, "7"), refused_with(true), HELD),
        (
            "every one",
            check(Turn::Every, 429, "7"),
            refused_with(true),
            HELD,
        ),
        (
            "another status",
            check(first, 500, "7"),
            refused_with(true),
            BROKEN,
        ),
        (
            "another value",
            check(first, 429, "8"),
            refused_with(true),
            BROKEN,
        ),
        (
            "a lost header",
            check(first, 429, "7"),
            refused_with(false),
            BROKEN,
        ),
        (
            "no such request",
            check(Turn::Number(2), 429, "7"),
            refused_with(true),
            BROKEN,
        ),
        ("no reply", check(first, 429, "7"), unanswered(), BROKEN),
        (
            "live",
            check(first, 429, "7"),
            refused_with(true).live(),
            NOT_JUDGED,
        ),
    ]);
    let judgement = judge(&test(check(first, 429, "7")), &refused_with(false));
    let trace = judgement.traces.iter().find(|trace| trace.expectation == "check");
    assert_eq!(
        trace.and_then(|trace| trace.held_before),
        Some(true),
        "{judgement:#?}"
    );
}

#[test]
fn attempts_are_counted_for_each_request_of_claude_code() {
    let check = |count| {
        Check::Attempts(AttemptsCheck {
            turn: Turn::Number(1),
            count,
        })
    };
    let once = || refused_with(true);
    let thrice = || once().reached(scripted_error(429)).reached(scripted_error(429));
    table(&[
        ("once", check(equals(1)), once(), HELD),
        ("more than once", check(equals(1)), thrice(), BROKEN),
        ("within the bound", check(most(3)), thrice(), HELD),
        ("above the bound", check(most(2)), thrice(), BROKEN),
        ("nothing sent", check(equals(1)), nothing(), BROKEN),
        ("live", check(equals(1)), once().live(), NOT_JUDGED),
    ]);
}

#[test]
fn a_request_that_is_no_message_is_judged_with_its_reply() {
    let check = |path: &str, status: u16, model: &str| {
        Check::GatewayRequest(GatewayRequestCheck {
            method: "GET".into(),
            path: path.into(),
            status: equals(status),
            body: vec![(query("$.data[*].id"), equals(model))],
            names_model: None,
        })
    };
    let names_model = || match check("/v1/models", 200, "b") {
        Check::GatewayRequest(check) => Check::GatewayRequest(GatewayRequestCheck {
            names_model: Some(query("$.data[*].id")),
            ..check
        }),
        other => other,
    };
    let listed = || {
        let mut exchange = text_exchange();
        exchange.turn = None;
        exchange.operation = Operation::Unknown;
        exchange.request.method = "GET".into();
        exchange.request.path = "/v1/models".into();
        let mut sent = gateway_exchange(&exchange, "application/json");
        sent.reply.as_mut().unwrap().events = vec![SentEvent {
            at_ms: 0,
            data: json!({"data": [{"id": "a"}, {"id": "b"}]}),
        }];
        Evidence {
            sent: vec![sent],
            ..pong()
        }
    };
    let dated = |path: &str| {
        let mut evidence = listed();
        evidence.sent[0].request.path = path.into();
        evidence.sent[0].reply.as_mut().unwrap().events[0].data = json!({"data": [{"id": "b-20251001"}]});
        let mut body = request("ping");
        body["model"] = json!("b");
        let message = gateway_exchange(&exchange(body, text_message("pong")), "application/json");
        evidence.sent.push(message);
        evidence
    };
    let of_provider = {
        let versions = Versions {
            client_format: ClientFormat::Provider,
            ..Versions::default()
        };
        let known = KnownForRun {
            versions,
            ..KnownForRun::NOTHING
        };
        let name = "feature::provider::haiku".parse().expect("a name");
        let test = test(check("/v1/models", 404, "b"));
        judge::judge(&test, &name, &listed(), known)
    };
    assert!(
        of_provider.mismatches.is_empty(),
        "Claude Code asks for no list there"
    );
    let asking_for = |model: &str| {
        let mut body = request("ping");
        body["model"] = json!(model);
        let mut evidence = listed();
        let message = gateway_exchange(&exchange(body, text_message("pong")), "application/json");
        evidence.sent.push(message);
        evidence
    };
    table(&[
        ("a listed model", names_model(), asking_for("a"), HELD),
        (
            "a model of a long context",
            names_model(),
            asking_for("a[1m]"),
            HELD,
        ),
        (
            "a model that is not listed",
            names_model(),
            asking_for("ab"),
            BROKEN,
        ),
        (
            "a dated name below a pass-through",
            match names_model() {
                Check::GatewayRequest(check) => Check::GatewayRequest(GatewayRequestCheck {
                    body: Vec::new(),
                    ..check
                }),
                other => other,
            },
            dated("/anthropic/v1/models"),
            HELD,
        ),
        (
            "a dated name of the gateway's own list",
            names_model(),
            dated("/v1/models"),
            BROKEN,
        ),
        ("its reply", check("/v1/models", 200, "b"), listed(), HELD),
        ("another body", check("/v1/models", 200, "c"), listed(), BROKEN),
        ("another status", check("/v1/models", 404, "b"), listed(), BROKEN),
        ("another path", check("/v1/other", 200, "b"), listed(), BROKEN),
        ("live", check("/v1/models", 200, "b"), listed().live(), NOT_JUDGED),
    ]);
}

/// Two requests; the second one is made from the first.
fn two_requests(change: impl FnOnce(&mut Value)) -> Evidence {
    let mut first = request("one");
    first["system"] = json!([{ "type": "text", "text": "rules", "cache_control": { "type": "ephemeral" } }]);
    first["tools"] = json!([{ "name": "Bash", "input_schema": {} }]);
    first["messages"][0]["content"][0]["cache_control"] = json!({ "type": "ephemeral" });
    let mut second = first.clone();
    second["messages"][0]["content"][0]
        .as_object_mut()
        .unwrap()
        .remove("cache_control");
    second["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": [{ "type": "text", "text": "pong" }] }),
        json!({ "role": "user", "content": [{ "type": "text", "text": "two" }] }),
    ]);
    change(&mut second);
    nothing()
        .reached(exchange(first, text_message("pong")))
        .reached(exchange(second, text_message("pong")))
}

#[test]
fn a_prefix_stays_while_breakpoints_move() {
    let check = |from| Check::PrefixStable(PrefixStableCheck { from });
    table(&[
        ("a longer request", check(1), two_requests(|_| {}), HELD),
        (
            "another system prompt",
            check(1),
            two_requests(|body| body["system"][0]["text"] = "other".into()),
            BROKEN,
        ),
        (
            "another message",
            check(1),
            two_requests(|body| body["messages"][0]["content"][0]["text"] = "other".into()),
            BROKEN,
        ),
        (
            "another role",
            check(1),
            two_requests(|body| body["messages"][0]["role"] = "assistant".into()),
            BROKEN,
        ),
        (
            "another tool",
            check(1),
            two_requests(|body| body["tools"][0]["input_schema"] = json!({ "type": "object" })),
            BROKEN,
        ),
        (
            "a tool more",
            check(1),
            two_requests(|body| {
                body["tools"]
                    .as_array_mut()
                    .unwrap()
                    .push(json!({ "name": "Read" }))
            }),
            BROKEN,
        ),
        (
            "a shorter request",
            check(1),
            two_requests(|body| drop(body["messages"].as_array_mut().unwrap().drain(..))),
            BROKEN,
        ),
        ("one request", check(2), two_requests(|_| {}), BROKEN),
        ("live", check(1), two_requests(|_| {}).live(), NOT_JUDGED),
    ]);
}

#[test]
fn a_result_is_judged_by_its_number_and_blocks() {
    let image =
        json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AA==" } });
    let first = tool_call("toolu_1", "a");
    let second = tool_call("toolu_2", "b");
    let mut body = request("list");
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": [first["content"][0], second["content"][0]] }),
        json!({ "role": "user", "content": [
            tool_result("toolu_1", "one", false),
            { "type": "tool_result", "tool_use_id": "toolu_2", "content": [image, { "type": "text", "text": "two" }] },
        ] }),
    ]);
    let evidence = || {
        nothing()
            .reached(exchange(request("list"), first.clone()))
            .reached(exchange(request("list"), second.clone()))
            .reached(exchange(body.clone(), text_message("done")))
    };
    let check = |call, text: Option<&str>, blocks: Option<&[&str]>| {
        Check::ToolResultArrived(ToolResultArrivedCheck {
            turn: Turn::Last,
            name: "Bash".into(),
            call,
            text: text.map(equals),
            blocks: blocks.map(|blocks| blocks.iter().map(ToString::to_string).collect()),
            is_error: false,
        })
    };
    let with_image: Option<&[&str]> = Some(&["image", "text"]);
    table(&[
        ("all of them", check(None, None, None), evidence(), HELD),
        ("the first", check(Some(1), Some("one"), None), evidence(), HELD),
        (
            "the second",
            check(Some(2), Some("two"), with_image),
            evidence(),
            HELD,
        ),
        (
            "another text",
            check(Some(2), Some("one"), None),
            evidence(),
            BROKEN,
        ),
        (
            "other blocks",
            check(Some(1), None, with_image),
            evidence(),
            BROKEN,
        ),
        ("no such call", check(Some(3), None, None), evidence(), BROKEN),
    ]);
}

#[test]
fn a_result_in_the_transcript_is_judged_by_its_number() {
    let ran = || {
        let results = json!([
            tool_result("toolu_1", "one", false),
            tool_result("toolu_2", "two", false)
        ]);
        let user = json!({ "type": "user", "message": { "role": "user", "content": results } });
        let mut evidence = nothing()
            .answered(tool_call("toolu_1", "a"))
            .answered(tool_call("toolu_2", "b"));
        let event = compat_matrix::transcript::TimedEvent {
            at_ms: 0,
            event: Event::Json(user),
        };
        evidence.transcript.events.push(event);
        evidence
    };
    let check = |call, text: &str| {
        Check::ToolResult(ToolResultCheck {
            name: "Bash".into(),
            input: Vec::new(),
            call,
            text: Some(equals(text)),
            is_error: None,
        })
    };
    table(&[
        ("any", check(None, "two"), ran(), HELD),
        ("the second", check(Some(2), "two"), ran(), HELD),
        ("not the first", check(Some(1), "two"), ran(), BROKEN),
    ]);
}
