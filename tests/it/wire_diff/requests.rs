//! What a gateway changes in requests.

use compat_matrix::wire::exchange::{Body, Matched, TOO_LARGE};
use compat_matrix::wire::message::{Block, Content};
use compat_matrix::wire::place::ProcessingPlace;
use compat_matrix::wire::{Operation, Route, converse};
use compat_matrix::wire_diff::compare;
use serde_json::{Value, json};

use super::{Wire, answer, body, list, remove, timed};

use crate::support::text::{assert_has, assert_lacks, assert_starts};

#[test]
fn unchanged_traffic_has_no_difference() {
    assert_eq!(Wire::one().changes(), [""; 0]);
    let text = compare(&[], &[]).text();
    assert_starts(&text, "no difference");
}

#[test]
fn each_change_of_a_request_has_its_path() {
    type Edit = fn(&mut Value);
    let rows: [(Edit, &str); 24] = [
        (
            |body| drop(remove(body, "/thinking", "budget_tokens")),
            "request 1: field `thinking.budget_tokens` dropped: 50",
        ),
        (
            |body| body["top_k"] = json!(5),
            "request 1: field `top_k` added: 5",
        ),
        (
            |body| body["max_tokens"] = json!(99),
            "request 1: field `max_tokens` changed: 100 → 99",
        ),
        (
            |body| drop(list(body, "/messages/2/content").remove(1)),
            "request 1: block `messages[2] user block 1 (image)` dropped: {\"media_type\":\"image/png\",\"data\":\"AA==\"}",
        ),
        (
            |body| list(body, "/messages/0/content").push(json!({"type": "text", "text": "more"})),
            "request 1: block `messages[0] user block 2 (text)` added: {\"text\":\"more\"}",
        ),
        (
            |body| list(body, "/messages/0/content").swap(0, 1),
            "request 1: block `messages[0] user block 1 (text)` moved to `messages[0] user block 0 (text)`",
        ),
        (
            |body| body["messages"][0]["content"][1]["text"] = json!("third"),
            "request 1: block `messages[0] user block 1 (text).text` changed: \"second\" → \"third\"",
        ),
        (
            |body| body["messages"][1]["content"][0]["signature"] = json!("forged"),
            "request 1: thinking signature `messages[1] assistant block 0 (thinking).signature` changed: \"signed\" → \"forged\"",
        ),
        (
            |body| drop(list(body, "/messages/1/content").remove(0)),
            "request 1: block `messages[1] assistant block 0 (thinking)` dropped: {\"thinking\":\"hm\",\"signature\":\"signed\"}",
        ),
        (
            |body| body["messages"][2]["content"][0]["tool_use_id"] = json!("other"),
            "request 1: block `messages[2] user block 0 (tool_result).tool_use_id` changed: \"toolu_1\" → \"other\"",
        ),
        (
            |body| drop(remove(body, "/system/0", "cache_control")),
            "request 1: cache breakpoint `system[0] (text)` dropped: {\"ttl\":\"5m\"}",
        ),
        (
            |body| drop(remove(body, "/messages/2/content/1/cache_control", "ttl")),
            "request 1: cache breakpoint `messages[2] user block 1 (image)` changed: {\"ttl\":\"1h\"} → {\"ttl\":\"5m\"}",
        ),
        (
            |body| drop(list(body, "/tools").remove(1)),
            "request 1: tool `Read` dropped: {\"description\":null,\"input_schema\":{}}",
        ),
        (
            |body| drop(remove(body, "/tools/0", "description")),
            "request 1: tool `Bash.description` dropped: \"runs\"",
        ),
        (
            |body| body["tools"][0]["name"] = json!("gw_Bash"),
            "request 1: tool `Bash.name` changed: \"Bash\" → \"gw_Bash\"",
        ),
        (
            |body| {
                let hoisted = list(body, "/messages/0/content").remove(0);
                list(body, "/system").push(hoisted);
            },
            "request 1: block `messages[0] user block 0 (text)` moved to `system[1] (text)`",
        ),
        (
            |body| drop(remove(body, "/messages/1/content/0", "signature")),
            "request 1: thinking signature `messages[1] assistant block 0 (thinking).signature` dropped: \"signed\"",
        ),
        // Things of another kind have no fields in common.
        (
            |body| body["messages"][2]["content"][1]["source"] = json!({"type": "url", "url": "a.png"}),
            "request 1: block `messages[2] user block 1 (image)` changed: {\"media_type\":\"image/png\",\"data\":\"AA==\"} → {\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"a.…",
        ),
        (
            |body| body["thinking"] = json!({"type": "disabled", "budget_tokens": 50, "display": "omitted"}),
            "request 1: field `thinking` changed: {\"type\":\"enabled\",\"budget_tokens\":50} → {\"type\":\"disabled\",\"budget_tokens\":50,\"display\":…",
        ),
        (
            |body| body["metadata"] = json!({}),
            "request 1: field `metadata.user_id` dropped: \"u\"",
        ),
        (
            |body| body["tools"][0]["description"] = json!("walks"),
            "request 1: tool `Bash.description` changed: \"runs\" → \"walks\"",
        ),
        (
            |body| list(body, "/tools").swap(0, 1),
            "request 1: the tools moved: [\"Bash\",\"Read\"] → [\"Read\",\"Bash\"]",
        ),
        (
            |body| body["system"] = json!("be brief"),
            "request 1: cache breakpoint `system[0] (text)` dropped: {\"ttl\":\"5m\"}",
        ),
        (
            |body| body["system"][0]["text"] = json!("be brief, it is 10:31"),
            "request 1: block `system[0] (text).text` changed: \"be brief\" → \"be brief, it is 10:31\"",
        ),
    ];
    for (edit, expected) in rows {
        assert_eq!(Wire::one().arrives(edit).changes(), [expected]);
    }
    // Only Bedrock and Vertex AI have betas in the body.
    let in_body = Wire::one().arrives(|body| body["anthropic_beta"] = json!(["extra"]));
    assert_eq!(
        in_body.changes(),
        [
            "request 1: beta `extra` added",
            "request 1: field `anthropic_beta` added: [\"extra\"]"
        ]
    );
}

#[test]
fn keys_that_nothing_reads_are_compared_too() {
    type Edit = fn(&mut Value);
    let rows: [(Edit, &str); 9] = [
        (
            |body| body["messages"][0]["content"][0]["citations"] = json!(null),
            "",
        ),
        (
            |body| body["system"][0]["cache_control"]["scope"] = json!("global"),
            "request 1: cache breakpoint `system[0] (text).scope` added: \"global\"",
        ),
        (
            |body| body["tools"][1]["cache_control"] = json!({"type": "ephemeral", "scope": "all"}),
            "request 1: cache breakpoint `tool Read` added: {\"ttl\":\"5m\"}",
        ),
        (
            |body| body["system"][0]["name"] = json!("gateway"),
            "request 1: block `system[0] (text).name` added: \"gateway\"",
        ),
        (
            |body| body["messages"][2]["content"][1]["id"] = json!(1),
            "request 1: block `messages[2] user block 1 (image).id` added: 1",
        ),
        (
            |body| body["messages"][1]["reasoning_content"] = json!("hm"),
            "request 1: block `messages[1].reasoning_content` added: \"hm\"",
        ),
        (
            |body| body["messages"][1]["content"][1]["caller"] = json!({"type": "direct"}),
            "request 1: block `messages[1] assistant block 1 (tool_use).caller` added: {\"type\":\"direct\"}",
        ),
        (
            |body| body["messages"][2]["content"][0]["content"][0]["foo"] = json!(1),
            "request 1: block `messages[2] user block 0 (tool_result) content[0].foo` added: 1",
        ),
        (
            |body| body["messages"][2]["content"][1]["source"]["file"] = json!("a.png"),
            "request 1: block `messages[2] user block 1 (image).source.file` added: \"a.png\"",
        ),
    ];
    for (edit, expected) in rows {
        let changes = Wire::one().arrives(edit).changes();
        assert_eq!(changes.join("\n"), expected);
    }
}

#[test]
fn a_body_that_is_no_json_is_a_difference() {
    let arrives = |body: Body, encoding: Option<&str>| {
        let mut wire = Wire::one();
        let request = &mut wire.exchanges[0].request;
        request.body = body;
        let header = encoding.map(|name| ("content-encoding".to_owned(), name.to_owned()));
        request.headers.extend(header);
        wire.changes()
    };
    assert_eq!(
        arrives(Body::Text("\u{1f}".into()), Some("gzip")),
        ["request 1: the body that arrived is no JSON; `content-encoding` is gzip"]
    );
    assert_eq!(
        arrives(Body::Empty, None),
        ["request 1: the body that arrived is no JSON"]
    );
    assert_eq!(arrives(Body::Text(TOO_LARGE.into()), None), [""; 0]);
}

#[test]
fn the_query_is_compared() {
    let with = |sent: &str, arrived: &str| {
        let mut wire = Wire::one();
        wire.sent[0].request.query = sent.into();
        wire.exchanges[0].request.query = arrived.into();
        wire.changes()
    };
    assert_eq!(with("beta=true&a=x%20y", "a=x%20y"), [""; 0]);
    assert_eq!(with("a=1&b=2", "b=2&a=1"), [""; 0]);
    assert_eq!(
        with("beta=true", "beta=true&debug=1"),
        ["request 1: query parameter `debug` added: \"1\""]
    );
}

#[test]
fn headers_and_betas_are_compared_one_by_one() {
    let mut wire = Wire::one();
    let headers = &mut wire.sent[0].request.headers;
    headers.push((
        "anthropic-beta".into(),
        "one-2025-01-01,two-2025-01-01,no date".into(),
    ));
    headers.push(("x-claude-code-session-id".into(), "s".into()));
    wire.exchanges[0].request.headers = vec![
        ("anthropic-version".into(), "2024-01-01".into()),
        ("anthropic-beta".into(), "two-2025-01-01, three-2025-01-01".into()),
        ("x-gateway".into(), "yes".into()),
    ];
    assert_eq!(
        wire.changes(),
        [
            "request 1: header `anthropic-version` changed: \"2023-06-01\" → \"2024-01-01\"",
            "request 1: beta `one-2025-01-01` dropped",
            "request 1: beta `three-2025-01-01` added",
        ]
    );
}

#[test]
fn only_the_routes_own_credential_may_arrive() {
    let with = |route: Route, names: &[&str]| {
        let mut wire = Wire::one();
        let exchange = &mut wire.exchanges[0];
        exchange.route = Some(route);
        for name in names {
            let header = ((*name).to_owned(), "[redacted, 9 bytes]".to_owned());
            exchange.request.headers.push(header);
        }
        let mut changes = wire.changes();
        changes.retain(|change| change.contains("credential"));
        changes
    };
    for (route, names) in [
        (Route::Anthropic, &["x-api-key"][..]),
        (Route::Anthropic, &["authorization"]),
        (Route::BedrockInvoke, &["authorization", "x-amz-security-token"]),
        (Route::VertexAi, &["authorization", "x-cache-key"]),
    ] {
        assert_eq!(with(route, names), [""; 0]);
    }
    for (route, names, expected) in [
        (
            Route::Anthropic,
            &["x-api-key", "authorization"][..],
            "the credential stands in two headers",
        ),
        (
            Route::Anthropic,
            &["x-amz-security-token"],
            "credential `header x-amz-security-token` added",
        ),
        (
            Route::VertexAi,
            &["authorization", "x-api-key"],
            "credential `header x-api-key` added",
        ),
        (
            Route::BedrockConverse,
            &["authorization", "cookie"],
            "credential `header cookie` added",
        ),
    ] {
        let found = with(route, names);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_starts(&found[0], &format!("request 1: {expected}"));
    }
    let mut wire = Wire::one();
    wire.exchanges[0].caller_credential = vec!["body".into()];
    let mut listed = wire.exchanges[0].clone();
    (listed.number, listed.turn, listed.operation) = (2, None, Operation::ListModels);
    let found = "credential `the caller's key in the body` added";
    assert_eq!(wire.changes(), [format!("request 1: {found}")]);
    // A request that is not one of Claude Code's.
    wire.exchanges[0].caller_credential.clear();
    wire.exchanges.push(listed);
    assert_has(&wire.changes().join("\n"), found);
}

#[test]
fn a_request_goes_where_the_configuration_says() {
    const MODEL: &str = "publishers/anthropic/models/claude-haiku-4-5:rawPredict";
    let wanted = ProcessingPlace {
        project: Some("p".into()),
        location: Some("us-east5".into()),
        geography: Some("us".into()),
        quota_project: None,
    };
    let sent_to = |route: Route, path: &str, quota: Option<&str>| {
        let mut wire = Wire::one();
        let exchange = &mut wire.exchanges[0];
        (exchange.route, exchange.request.path) = (Some(route), path.to_owned());
        exchange.wanted_place = wanted.clone();
        let quota = quota.map(|quota| ("x-goog-user-project".to_owned(), quota.to_owned()));
        exchange.request.headers.extend(quota);
        let mut changes = wire.changes();
        changes.retain(|change| change.contains("place"));
        changes
    };
    let vertex = |project: &str, location: &str, quota| {
        let path = format!("/v1/projects/{project}/locations/{location}/{MODEL}");
        sent_to(Route::VertexAi, &path, quota)
    };
    let bedrock = |model: &str| sent_to(Route::BedrockInvoke, &format!("/model/{model}/invoke"), None);
    assert_eq!(vertex("p", "us-east5", None), [""; 0]);
    assert_eq!(vertex("p", "us-east5", Some("p")), [""; 0]);
    assert_eq!(bedrock("us.anthropic.claude-opus-4-7"), [""; 0]);
    assert_eq!(
        vertex("p", "europe-west1", Some("q")),
        [
            "request 1: place `location` changed: \"us-east5\" → \"europe-west1\"",
            "request 1: place `quota project` changed: \"p\" → \"q\"",
        ]
    );
    assert_eq!(
        bedrock("global.anthropic.claude-opus-4-7"),
        ["request 1: place `geography` changed: \"us\" → \"global\""]
    );
    let profile = "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Fx";
    assert_eq!(bedrock(profile), [""; 0], "the ARN does not say where");
    let mut unknown = Wire::one();
    let exchange = &mut unknown.exchanges[0];
    exchange.route = Some(Route::VertexAi);
    exchange.request.path = format!("/v1/projects/q/locations/global/{MODEL}");
    exchange
        .request
        .headers
        .push(("x-goog-user-project".into(), "r".into()));
    assert_lacks(&unknown.changes().join("\n"), "place");
}

#[test]
fn key_order_and_split_messages_of_one_role_are_no_difference() {
    let wire = Wire::one().arrives(|body| {
        let fields: Vec<(String, Value)> = body.as_object().unwrap().clone().into_iter().collect();
        *body = fields.into_iter().rev().collect::<serde_json::Map<_, _>>().into();
        let moved = list(body, "/messages/0/content").remove(1);
        list(body, "/messages").insert(1, json!({"role": "user", "content": [moved]}));
    });
    assert_eq!(wire.changes(), [""; 0]);
}

/// At a path that no route has, the path is the fault.
#[test]
fn the_noise_of_every_route_is_noise_at_an_unknown_path() {
    let arrived_at = |route: Option<Route>| {
        let mut wire = Wire::one();
        wire.exchanges[0].route = route;
        if let Body::Json(body) = &mut wire.sent[0].request.body {
            body["tags"] = json!({"team": "a"});
        }
        wire.changes().len()
    };
    assert_eq!(arrived_at(Some(Route::Anthropic)), 1);
    assert_eq!(arrived_at(None), 0);
}

#[test]
fn a_converse_request_is_compared_by_its_meaning() {
    let mut wire = Wire::one();
    wire.sent[0].request.headers.clear();
    let sent = json!({
        "system": [{"text": "be brief"}, {"cachePoint": {"type": "default"}}],
        "messages": [
            {"role": "user", "content": [{"text": "first"}, {"text": "second"}]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "signed"}}},
                {"toolUse": {"toolUseId": "toolu_1", "name": "Bash", "input": {"command": "x"}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "toolu_1", "content": [{"text": "out"}]}},
                {"image": {"format": "png", "source": {"bytes": "AA=="}}},
                {"cachePoint": {"type": "default", "ttl": "1h"}},
            ]},
        ],
        "toolConfig": {"tools": [
            {"toolSpec": {"name": "Bash", "description": "runs", "inputSchema": {"json": {"type": "object"}}}},
            {"toolSpec": {"name": "Read", "inputSchema": {"json": {}}}},
        ]},
        "inferenceConfig": {"maxTokens": 100},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 50}},
    });
    let exchange = &mut wire.exchanges[0];
    exchange.route = Some(Route::BedrockConverse);
    exchange.request.headers.clear();
    exchange.message = converse::read(&sent, "m");
    exchange.request.body = Body::Json(sent);
    exchange.reply.events = timed(
        0,
        converse::stream(&answer(&json!([{"type": "text", "text": "a b c"}])))
            .into_iter()
            .map(|(name, payload, _)| json!({name: payload})),
    );
    assert_eq!(wire.changes(), [""; 0]);
    if let Body::Json(body) = &mut wire.exchanges[0].request.body {
        remove(body, "/additionalModelRequestFields", "thinking");
        wire.exchanges[0].message = converse::read(body, "m");
    }
    let changes = wire.changes();
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert!(
        changes[0].starts_with("request 1: field `thinking` dropped"),
        "{changes:#?}"
    );
}

#[test]
fn the_format_of_an_answer_has_its_own_form_on_converse() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let mut body = json!({"max_tokens": 100, "messages": [{"role": "user", "content": "x"}]});
    body["output_config"] = json!({"effort": "low", "format": {"type": "json_schema", "schema": schema}});
    let changes = |schema: &Value| {
        let mut wire = Wire::of(&[(body.clone(), json!([{"type": "text", "text": "a"}]))]);
        let text_format = json!({"type": "json_schema", "structure": {"jsonSchema": {"name": "n", "schema": schema.to_string()}}});
        let arrived = json!({
            "messages": [{"role": "user", "content": [{"text": "x"}]}],
            "inferenceConfig": {"maxTokens": 100},
            "additionalModelRequestFields": {"output_config": {"effort": "low"}},
            "outputConfig": {"textFormat": text_format},
        });
        let exchange = &mut wire.exchanges[0];
        exchange.route = Some(Route::BedrockConverse);
        exchange.message = converse::read(&arrived, "m");
        exchange.request.body = Body::Json(arrived);
        let fields = wire.changes().into_iter();
        fields
            .filter(|line| line.contains("field `output"))
            .collect::<Vec<_>>()
    };
    assert_eq!(changes(&schema), [""; 0]);
    assert_eq!(
        changes(&json!({"type": "object", "properties": {"a": {"type": "number"}}})),
        ["request 1: field `output_config.format.schema.properties.a.type` changed: \"string\" → \"number\""]
    );
}

#[test]
fn an_added_or_lost_message_without_content_is_seen() {
    let wire = Wire::one().arrives(|body| {
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": []}));
    });
    let changes = wire.changes();
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert!(changes[0].starts_with("request 1: block `messages[3] assistant (without content)` added"));
    let mut with_entry = body();
    let entry = json!({"role": "system", "content": [], "output_config": {"effort": "max"}});
    list(&mut with_entry, "/messages").push(entry);
    let wire = Wire::of(&[(with_entry, json!([{"type": "text", "text": "a"}]))]);
    let lost = wire.arrives(|arrived| drop(list(arrived, "/messages").pop()));
    let changes = lost.changes();
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert!(changes[0].starts_with("request 1: block `messages[3] system (without content)` dropped"));
}

#[test]
fn repeated_and_swallowed_requests_are_differences() {
    let mut repeated = Wire::one();
    let mut again = repeated.exchanges[0].clone();
    again.number = 2;
    repeated.exchanges.push(again);
    assert_eq!(
        repeated.changes(),
        [
            "request 1: the answered request was forwarded more than once: 1 → {\"times\":2,\"statuses\":[200,200]}"
        ]
    );

    if let Body::Json(body) = &mut repeated.exchanges[1].request.body {
        body["top_k"] = json!(5);
    }
    assert_has(&repeated.changes().join("\n"), "field `top_k` added: 5");

    let mut swallowed = Wire::one();
    swallowed.exchanges.clear();
    assert_eq!(
        swallowed.changes(),
        ["request 1: the request was never forwarded: the gateway itself answered with HTTP 200"]
    );
}

#[test]
fn the_report_names_the_first_change_of_a_cached_prefix() {
    let mut second = body();
    list(&mut second, "/messages").push(json!({"role": "assistant", "content": "more"}));
    let blocks = json!([{"type": "text", "text": "ok"}]);
    let wire = Wire::of(&[(body(), blocks.clone()), (second, blocks)]);
    assert_eq!(wire.changes(), [""; 0]);
    let wire = wire.arrives(|body| body["system"][0]["text"] = json!("be brief, it is 10:31"));
    let changes = wire.changes();
    assert!(
        changes
            .iter()
            .any(|line| line.starts_with("request 2: the cached prefix, first at system[0] (text), changed")),
        "{changes:#?}"
    );
}

#[test]
fn a_refused_request_and_its_repetition_have_one_number() {
    let blocks = json!([{"type": "text", "text": "ok"}]);
    let mut wire = Wire::of(&[
        (body(), blocks.clone()),
        (body(), blocks.clone()),
        (body(), blocks),
    ]);
    let refused = &mut wire.exchanges[0];
    refused.matched = Matched::Rejected {
        rule: "known_betas".into(),
    };
    for exchange in &mut wire.exchanges {
        if let Body::Json(body) = &mut exchange.request.body {
            body["max_tokens"] = 50.into();
        }
    }
    let turns: Vec<usize> = wire.compared().iter().map(|change| change.turn).collect();
    assert_eq!(turns, [1, 1, 2]);
    let diff = compare(&wire.sent, &wire.exchanges);
    assert_starts(
        &diff.text(),
        "requests 1, 2: field `max_tokens` changed: 100 → 50\n",
    );

    // Another request comes before the repetition.
    for (exchange, text) in wire.exchanges.iter_mut().zip(["a", "b", "a"]) {
        let last = exchange.message.as_mut().unwrap().messages.last_mut().unwrap();
        last.content.push(Block {
            content: Content::Text(text.into()),
            cache: None,
        });
    }
    let mut changes = wire.compared();
    changes.retain(|change| change.what.path == "max_tokens");
    let turns: Vec<usize> = changes.iter().map(|change| change.turn).collect();
    assert_eq!(turns, [2, 1, 2]);
}
