//! Pairs of changes that look alike: one that a gateway may make, and one that it may not.

use compat_matrix::wire::Route;
use serde_json::{Value, json};

use super::{Wire, body, list};

/// The changes of a request to `route` whose body the gateway changes.
fn on(route: Route, sent: Value, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut wire = Wire::of(&[(sent, json!([{"type": "text", "text": "x"}]))]).arrives(change);
    wire.exchanges[0].route = Some(route);
    wire.changes()
}

#[test]
fn blocks_that_change_places_are_named() {
    let with_system = |texts: &[&str]| {
        let blocks: Vec<Value> = texts
            .iter()
            .map(|text| json!({"type": "text", "text": text}))
            .collect();
        let mut body = body();
        body["system"] = blocks.into();
        body
    };
    let reversed = on(Route::Anthropic, with_system(&["a", "b"]), |body| {
        list(body, "/system").reverse();
    });
    assert_eq!(reversed.len(), 1, "{reversed:#?}");
    // The contract asks gateways not to remove the attribution block, on no route. It has a name of its own.
    let lines = ["x-anthropic-billing-header: cc_version=1;", "b", "c"];
    for route in Route::ALL
        .into_iter()
        .filter(|route| *route != Route::BedrockConverse)
    {
        let without = on(route, with_system(&lines), |body| {
            list(body, "/system").remove(0);
        });
        assert_eq!(without.len(), 1, "{route:?}: {without:#?}");
        assert!(without[0].contains("system[0] (attribution)"), "{without:#?}");
    }
    let reversed = on(Route::VertexAi, with_system(&lines), |body| {
        let system = list(body, "/system");
        system.remove(0);
        system.reverse();
    });
    assert_eq!(reversed.len(), 2, "{reversed:#?}");
    assert!(
        reversed.iter().any(|line| line.contains(" (text)` moved")),
        "{reversed:#?}"
    );
}

#[test]
fn shortened_names_of_tools_are_paired_by_what_they_do() {
    let tool = |name: &str, description: &str| json!({"name": name, "description": description, "input_schema": {"type": "object"}});
    let stem = "mcp__claude_ai_Google_Calendar__find_free_times_for_all_participants";
    let mut sent = body();
    sent["tools"] = json!([
        tool(&format!("{stem}_by_hour"), "by the hour"),
        tool(&format!("{stem}_by_week"), "by the week")
    ]);
    let short = |end: &str| format!("{}_{end}", &stem[..50]);
    // In the order of their letters, the names are the other way round.
    let lines = on(Route::BedrockConverse, sent, |body| {
        body["tools"][0]["name"] = json!(short("f0"));
        body["tools"][1]["name"] = json!(short("a0"));
    });
    let of_tools: Vec<&String> = lines.iter().filter(|line| line.contains("tool")).collect();
    assert!(of_tools.is_empty(), "{of_tools:#?}");
}

#[test]
fn settings_of_invoke_in_headers_are_no_free_headers() {
    let with = |name: &str| {
        let mut wire = Wire::one();
        wire.exchanges[0].route = Some(Route::BedrockInvoke);
        let headers = &mut wire.exchanges[0].request.headers;
        headers.push((name.to_owned(), "a".to_owned()));
        let lines = wire.changes();
        lines
            .into_iter()
            .filter(|line| line.contains("header"))
            .collect::<Vec<_>>()
    };
    assert_eq!(with("x-amzn-bedrock-trace"), [""; 0]);
    assert_eq!(
        with("x-amzn-bedrock-guardrailidentifier"),
        ["request 1: header `x-amzn-bedrock-guardrailidentifier` added: \"a\""]
    );
}

#[test]
fn a_beta_lost_under_its_own_name_of_the_route_is_named_so() {
    let (api, own) = ("advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19");
    let lines = |route: Route, arrived: Value| {
        let mut wire = Wire::one().arrives(|body| body["anthropic_beta"] = arrived);
        wire.exchanges[0].route = Some(route);
        let header = ("anthropic-beta".to_owned(), api.to_owned());
        wire.sent[0].request.headers.push(header);
        let lines = wire.changes();
        lines
            .into_iter()
            .filter(|line| line.contains("beta"))
            .collect::<Vec<_>>()
    };
    for route in [Route::VertexAi, Route::BedrockInvoke] {
        assert_eq!(lines(route, json!([own])), [""; 0], "{route:?}");
        assert_eq!(
            lines(route, json!([])),
            [format!("request 1: beta `{own}` dropped: \"{api}\"")],
            "{route:?}"
        );
    }
    // Converse searches for no tools.
    assert_eq!(lines(Route::BedrockConverse, json!([])), [""; 0]);
}

#[test]
fn the_error_of_a_stream_keeps_its_type() {
    let sent = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let lines = |route: Route, came: Value| {
        let mut wire = Wire::one().comes_back(|events| {
            events.truncate(4);
            events[3].data = came;
        });
        let exchange = &mut wire.exchanges[0];
        exchange.route = Some(route);
        exchange.reply.message = None;
        exchange.reply.events.truncate(4);
        exchange.reply.events[3].data = sent.clone();
        wire.changes()
    };
    let with = |key: &str, value: &str| {
        let mut came = sent.clone();
        came["error"][key] = json!(value);
        came
    };
    let of_type = r#"reply 1: the type of the stream's error changed: "overloaded_error" → "api_error""#;
    let of_words = r#"reply 1: the message of the stream's error changed: "Overloaded" → "busy""#;
    let untyped = json!({"type": "error", "error": {"message": "Overloaded"}});
    let lost = r#"reply 1: the type of the stream's error dropped: "overloaded_error""#;
    assert_eq!(lines(Route::Azure, untyped), [lost]);
    for route in [Route::Anthropic, Route::Azure] {
        assert_eq!(lines(route, sent.clone()), [""; 0], "{route:?}");
        assert_eq!(lines(route, with("type", "api_error")), [of_type], "{route:?}");
    }
    assert_eq!(lines(Route::Anthropic, with("message", "busy")), [of_words]);
    // A cloud's words may name accounts.
    assert_eq!(lines(Route::Azure, with("message", "busy")), [""; 0]);
}
