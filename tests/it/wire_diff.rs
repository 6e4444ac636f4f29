//! The wire diff: what it finds of what a gateway did, what it takes for noise, and what a cause is told from it.

use crate::evidence::{Builder, equals, exchange, known_failure, nothing, refused, test, text_message};
use compat_matrix::cause;
use compat_matrix::evidence::Evidence;
use compat_matrix::expectation::kinds::{
    CacheCheck, ImageArrivedCheck, RequestCheck, TextCheck, UnchangedCheck,
};
use compat_matrix::expectation::{Check, Interest, KnownChange, Turn};
use compat_matrix::ids::TierId;
use compat_matrix::outcome::{Cause, Verdict};
use compat_matrix::wire::answer::ProviderAnswer;
use compat_matrix::wire::exchange::{
    Body, GatewayExchange, GatewayReply, Lockstep, ProviderExchange, SentEvent,
};
use compat_matrix::wire::{Direction, Operation, Route, Usage, converse, messages};
use compat_matrix::wire_diff::noise::{self, RULES};
use compat_matrix::wire_diff::{Change, Difference, Fate, Part, compare};
use serde_json::{Value, json};
mod frame;

/// One request and its reply, as both sides saw it: equal until a test changes one side.
struct Wire {
    sent: Vec<GatewayExchange>,
    exchanges: Vec<ProviderExchange>,
}

impl Wire {
    /// Each request with its answer's blocks, streamed.
    fn of(turns: &[(Value, Value)]) -> Self {
        let pairs = turns.iter().enumerate().map(|(index, (body, blocks))| {
            let exchange = arrived(index, body, blocks);
            (passage(index, body, &exchange), exchange)
        });
        let (sent, exchanges) = pairs.unzip();
        Self { sent, exchanges }
    }

    fn one() -> Self {
        Self::of(&[(body(), json!([{"type": "text", "text": "a b c"}]))])
    }

    /// What one text says of each difference.
    fn told(&self) -> Vec<String> {
        let diff = compare(&self.sent, &self.exchanges);
        diff.changes.iter().map(Change::line).collect()
    }

    fn kinds(&self) -> Vec<(Direction, Part, Fate)> {
        let diff = compare(&self.sent, &self.exchanges);
        let kinds = diff.changes.iter();
        kinds
            .map(|change| (change.direction, change.what.part, change.what.fate))
            .collect()
    }

    /// Changes the body that arrived.
    fn arrives(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let exchange = self.exchanges.last_mut().unwrap();
        if let Body::Json(body) = &mut exchange.request.body {
            change(body);
            exchange.message = messages::read(body, None, &[]);
        }
        self
    }

    /// Changes the events that came back.
    fn comes_back(mut self, change: impl FnOnce(&mut Vec<SentEvent>)) -> Self {
        change(&mut self.sent.last_mut().unwrap().reply.as_mut().unwrap().events);
        self
    }
}

fn body() -> Value {
    json!({
        "model": "alias", "max_tokens": 100, "stream": true, "metadata": {"user_id": "u"},
        "thinking": {"type": "enabled", "budget_tokens": 50},
        "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "Bash", "description": "runs", "input_schema": {"type": "object"}}, {"name": "Read", "input_schema": {}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "first"}, {"type": "text", "text": "second"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "signed"},
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "x"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "out"}]},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="},
                    "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ]},
        ],
    })
}

fn answer(blocks: &Value) -> ProviderAnswer {
    ProviderAnswer {
        id: "msg_1".into(),
        model: "m".into(),
        content: blocks.as_array().unwrap().clone(),
        stop_reason: "end_turn".into(),
        usage: Usage {
            input_tokens: 10,
            output_tokens: 2,
            ..Usage::default()
        },
        created_for_1h: 0,
        latency_ms: 1,
        context_management: false,
    }
}

/// Turns are a second apart, the provider is 10 ms behind the gateway, and a reply takes a millisecond an event.
fn timed(index: usize, events: impl IntoIterator<Item = Value>) -> Vec<SentEvent> {
    let start = index as u64 * 1000 + 20;
    let events = events.into_iter().zip(start..);
    events.map(|(data, at_ms)| SentEvent { at_ms, data }).collect()
}

fn arrived(index: usize, body: &Value, blocks: &Value) -> ProviderExchange {
    let answer = answer(blocks);
    let mut exchange = exchange(body.clone(), answer.message());
    exchange.number = index + 1;
    exchange.turn = Some(index + 1);
    exchange.request.at_ms = index as u64 * 1000 + 10;
    exchange.reply.stream = true;
    exchange.reply.events = timed(index, answer.stream().into_iter().map(|event| event.data));
    exchange
}

fn passage(index: usize, body: &Value, exchange: &ProviderExchange) -> GatewayExchange {
    let mut request = exchange.request.clone();
    request.at_ms = index as u64 * 1000;
    request.body = Body::Json(body.clone());
    let events = exchange.reply.events.iter().map(|event| event.data.clone());
    GatewayExchange {
        number: index + 1,
        turn: Some(index + 1),
        operation: Operation::Messages,
        request,
        reply: Some(GatewayReply {
            at_ms: index as u64 * 1000 + 20,
            status: exchange.reply.status,
            headers: vec![("content-type".into(), "text/event-stream; charset=utf-8".into())],
            stream: true,
            events: timed(index, events),
            cut_off: false,
        }),
    }
}

#[test]
fn what_passes_unchanged_is_no_difference() {
    assert_eq!(Wire::one().told(), [""; 0]);
    let text = compare(&[], &[]).text();
    assert!(text.starts_with("no difference"), "{text}");
}

#[test]
fn each_change_of_a_request_is_told_with_its_path() {
    type Edit = fn(&mut Value);
    let rows: [(Edit, &str); 18] = [
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
            "request 1: block `messages[0] user block 1 (text)` moved: \"messages[0] user block 1 (text)\" → \"messages[0] user block 0 (text)\"",
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
            |body| body["tools"][0]["description"] = json!("walks"),
            "request 1: tool `Bash.description` changed: \"runs\" → \"walks\"",
        ),
        (
            |body| list(body, "/tools").swap(0, 1),
            "request 1: tool `the tools` moved: [\"Bash\",\"Read\"] → [\"Read\",\"Bash\"]",
        ),
        (
            |body| body["system"] = json!("be brief"),
            "request 1: cache breakpoint `system[0] (text)` dropped: {\"ttl\":\"5m\"}",
        ),
        (
            |body| body["system"][0]["text"] = json!("be brief, it is 10:31"),
            "request 1: block `system[0] (text).text` changed: \"be brief\" → \"be brief, it is 10:31\"",
        ),
        (
            |body| body["anthropic_beta"] = json!(["extra"]),
            "request 1: beta `extra` added: \"extra\"",
        ),
    ];
    for (edit, expected) in rows {
        assert_eq!(Wire::one().arrives(edit).told(), [expected]);
    }
}

fn list<'a>(body: &'a mut Value, path: &str) -> &'a mut Vec<Value> {
    body.pointer_mut(path).unwrap().as_array_mut().unwrap()
}

fn remove(body: &mut Value, path: &str, key: &str) -> Option<Value> {
    let fields = body.pointer_mut(path)?.as_object_mut()?;
    fields.shift_remove(key)
}

#[test]
fn headers_and_betas_are_compared_one_by_one() {
    let mut wire = Wire::one();
    let headers = &mut wire.sent[0].request.headers;
    headers.push(("anthropic-beta".into(), "one,two".into()));
    headers.push(("x-claude-code-session-id".into(), "s".into()));
    wire.exchanges[0].request.headers = vec![
        ("anthropic-version".into(), "2024-01-01".into()),
        ("anthropic-beta".into(), "two, three".into()),
        ("x-gateway".into(), "yes".into()),
    ];
    assert_eq!(
        wire.told(),
        [
            "request 1: header `anthropic-version` changed: \"2023-06-01\" → \"2024-01-01\"",
            "request 1: header `x-claude-code-session-id` dropped: \"s\"",
            "request 1: header `x-gateway` added: \"yes\"",
            "request 1: beta `one` dropped: \"one\"",
            "request 1: beta `three` added: \"three\"",
        ]
    );
}

#[test]
fn order_of_keys_and_the_seams_between_messages_of_one_role_are_no_difference() {
    let wire = Wire::one().arrives(|body| {
        let fields: Vec<(String, Value)> = body.as_object().unwrap().clone().into_iter().collect();
        *body = fields.into_iter().rev().collect::<serde_json::Map<_, _>>().into();
        let moved = list(body, "/messages/0/content").remove(1);
        list(body, "/messages").insert(1, json!({"role": "user", "content": [moved]}));
    });
    assert_eq!(wire.told(), [""; 0]);
}

#[test]
fn a_converse_request_is_compared_by_what_it_means() {
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
    assert_eq!(wire.told(), [""; 0]);
    if let Body::Json(body) = &mut wire.exchanges[0].request.body {
        remove(body, "/additionalModelRequestFields", "thinking");
        wire.exchanges[0].message = converse::read(body, "m");
    }
    let told = wire.told();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].starts_with("request 1: field `thinking` dropped"),
        "{told:#?}"
    );
}

#[test]
fn requests_that_are_repeated_or_never_forwarded_are_told() {
    let mut repeated = Wire::one();
    let mut again = repeated.exchanges[0].clone();
    again.number = 2;
    repeated.exchanges.push(again);
    assert_eq!(
        repeated.told(),
        ["request 1: the request was forwarded more than once: 1 → {\"times\":2,\"statuses\":[200,200]}"]
    );

    let mut swallowed = Wire::one();
    swallowed.exchanges.clear();
    assert_eq!(
        swallowed.told(),
        [
            "request 1: the request was never forwarded: \"/v1/messages\" → \"the gateway itself answered with HTTP 200\""
        ]
    );
}

#[test]
fn a_cached_prefix_that_arrives_as_two_is_told_where_it_first_differs() {
    let mut second = body();
    list(&mut second, "/messages").push(json!({"role": "assistant", "content": "more"}));
    let blocks = json!([{"type": "text", "text": "ok"}]);
    let wire = Wire::of(&[(body(), blocks.clone()), (second, blocks)]);
    assert_eq!(wire.told(), [""; 0]);
    let wire = wire.arrives(|body| body["system"][0]["text"] = json!("be brief, it is 10:31"));
    let told = wire.told();
    assert!(
        told.iter()
            .any(|line| line.starts_with("request 2: the cached prefix, first at system[0] (text), changed")),
        "{told:#?}"
    );
}

#[test]
fn each_change_of_a_reply_is_told() {
    type Edit = fn(&mut Vec<SentEvent>);
    use Direction::Reply;
    type Row = (&'static str, Edit, &'static [(Direction, Part, Fate)]);
    let rows: [Row; 7] = [
        (
            "deltas joined",
            |events| {
                events[4].data["delta"]["text"] = json!(" b c");
                events.remove(5);
            },
            &[(Reply, Part::Event, Fate::Merged)],
        ),
        (
            "a delta lost",
            |events| drop(events.remove(4)),
            &[
                (Reply, Part::Block, Fate::Changed),
                (Reply, Part::Event, Fate::Merged),
            ],
        ),
        (
            "a start twice",
            |events| events.insert(1, events[0].clone()),
            &[(Reply, Part::Event, Fate::Repeated)],
        ),
        (
            "no end",
            |events| drop(events.pop()),
            &[(Reply, Part::Event, Fate::Dropped)],
        ),
        ("no ping", |events| drop(events.remove(2)), &[]),
        (
            "another stop reason",
            |events| {
                let at = events.len() - 2;
                events[at].data["delta"]["stop_reason"] = json!("max_tokens");
            },
            &[(Reply, Part::StopReason, Fate::Changed)],
        ),
        (
            "another count",
            |events| {
                let at = events.len() - 2;
                events[at].data["usage"]["output_tokens"] = json!(9);
            },
            &[(Reply, Part::Usage, Fate::Changed)],
        ),
    ];
    for (what, edit, expected) in rows {
        let wire = Wire::one().comes_back(edit);
        assert_eq!(wire.kinds(), expected, "{what}: {:#?}", wire.told());
    }
}

#[test]
fn message_ids_may_differ_and_thinking_may_not() {
    let blocks = json!([{"type": "thinking", "thinking": "hm", "signature": "signed"}, {"type": "text", "text": "ok"}]);
    let wire = Wire::of(&[(body(), blocks)]).comes_back(|events| {
        events[0].data["message"]["id"] = json!("other");
        let signature = events
            .iter_mut()
            .find(|event| event.data["delta"]["type"] == "signature_delta");
        signature.unwrap().data["delta"]["signature"] = json!("forged");
    });
    assert_eq!(
        wire.told(),
        ["reply 1: thinking signature `content[0] (thinking).signature` changed: \"signed\" → \"forged\""]
    );
}

#[test]
fn a_status_or_an_error_that_is_reshaped_is_told() {
    let mut wire = Wire::one();
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let given = &mut wire.exchanges[0].reply;
    (given.status, given.message, given.stream) = (529, None, false);
    given.events = timed(0, [error.clone()]);
    let back = wire.sent[0].reply.as_mut().unwrap();
    (back.status, back.stream) = (529, false);
    back.events = timed(0, [error]);
    assert_eq!(wire.told(), [""; 0]);

    let back = wire.sent[0].reply.as_mut().unwrap();
    back.status = 500;
    back.events = timed(0, [json!({"error": {"message": "it broke"}})]);
    assert_eq!(
        wire.kinds(),
        [
            (Direction::Reply, Part::Status, Fate::Changed),
            (Direction::Reply, Part::Error, Fate::Changed),
            (Direction::Reply, Part::Error, Fate::Changed),
        ]
    );
}

#[test]
fn a_stream_that_is_held_back_is_told_from_one_that_claude_shows_late() {
    let lockstep = Some(Lockstep { deltas: 3, seen: 0 });
    let mut wire = Wire::one();
    wire.exchanges[0].reply.lockstep = lockstep;
    // Each delta is in front of the gateway in the millisecond in which it was sent: late is who shows it.
    assert_eq!(wire.kinds(), []);
    let wire = wire.comes_back(|events| events.iter_mut().for_each(|event| event.at_ms = 900));
    assert_eq!(wire.kinds(), [(Direction::Reply, Part::Pace, Fate::Delayed)]);
}

#[test]
fn a_burst_is_told_by_what_the_provider_took() {
    let mut wire = Wire::one();
    for (index, event) in wire.exchanges[0].reply.events.iter_mut().enumerate() {
        event.at_ms = 20 + index as u64 * 150;
    }
    let wire = wire.comes_back(|events| events.iter_mut().for_each(|event| event.at_ms = 1800));
    assert_eq!(wire.kinds(), [(Direction::Reply, Part::Pace, Fate::Delayed)]);
}

fn change(route: Route, part: Part, path: &str, before: Option<Value>, after: Option<Value>) -> Change {
    let fate = match (&before, &after) {
        (Some(_), None) => Fate::Dropped,
        (None, Some(_)) => Fate::Added,
        _ => Fate::Changed,
    };
    Change {
        direction: Direction::Request,
        operation: Operation::Messages,
        turn: 1,
        sent: 1,
        exchange: Some(1),
        route: Some(route),
        what: Difference {
            part,
            fate,
            path: path.into(),
            before,
            after,
        },
    }
}

/// Of every rule what it takes, and beside it what is like it and is none.
#[test]
fn every_rule_of_noise_takes_what_it_is_for_and_nothing_beside_it() {
    use Part::{Beta, Block, Field, Header, Tool};
    use Route::{Anthropic, BedrockConverse, BedrockInvoke, VertexAi};
    let some = |value: &str| Some(json!(value));
    let billing = |text: &str| Some(json!({"text": text}));
    let rows = [
        (
            "credentials",
            change(Anthropic, Header, "authorization", some("a"), None),
            change(Anthropic, Header, "anthropic-version", some("a"), None),
        ),
        (
            "credentials",
            change(BedrockInvoke, Header, "x-amz-date", None, some("d")),
            change(BedrockInvoke, Header, "x-amzn-date", None, some("d")),
        ),
        (
            "connection",
            change(Anthropic, Header, "content-length", some("1"), some("2")),
            change(Anthropic, Header, "content-language", some("1"), some("2")),
        ),
        (
            "client",
            change(Anthropic, Header, "x-stainless-os", some("Linux"), None),
            change(Anthropic, Header, "x-claude-code-session-id", some("s"), None),
        ),
        (
            "client",
            change(Anthropic, Header, "user-agent", some("a"), some("b")),
            change(Anthropic, Header, "x-claude-code-agent-id", some("a"), some("b")),
        ),
        (
            "tracing",
            change(Anthropic, Header, "traceparent", None, some("t")),
            change(Anthropic, Header, "traceparent", some("t"), None),
        ),
        (
            "model_id",
            change(Anthropic, Field, "model", some("alias"), some("id")),
            change(Anthropic, Field, "models", some("alias"), some("id")),
        ),
        (
            "stream_in_path",
            change(VertexAi, Field, "stream", Some(json!(true)), None),
            change(Anthropic, Field, "stream", Some(json!(true)), None),
        ),
        (
            "version_in_body",
            change(BedrockInvoke, Field, "anthropic_version", None, some("v")),
            change(Anthropic, Field, "anthropic_version", None, some("v")),
        ),
        (
            "version_in_body",
            change(VertexAi, Header, "anthropic-version", some("v"), None),
            change(Anthropic, Header, "anthropic-version", some("v"), None),
        ),
        (
            "renamed_beta",
            change(VertexAi, Beta, "advanced-tool-use-2025-11-20", some("b"), None),
            change(Anthropic, Beta, "advanced-tool-use-2025-11-20", some("b"), None),
        ),
        (
            "beta_of_the_api",
            change(BedrockConverse, Beta, "claude-code-20250219", some("b"), None),
            change(
                BedrockConverse,
                Beta,
                "interleaved-thinking-2025-05-14",
                some("b"),
                None,
            ),
        ),
        (
            "billing_line",
            change(
                VertexAi,
                Block,
                "system[0] (text)",
                billing("x-anthropic-billing-header: cc_version=1;"),
                None,
            ),
            change(
                VertexAi,
                Block,
                "system[0] (text)",
                billing("You are Claude"),
                None,
            ),
        ),
        (
            "metadata_on_converse",
            change(BedrockConverse, Field, "metadata", some("u"), None),
            change(BedrockInvoke, Field, "metadata", some("u"), None),
        ),
        (
            "schema_on_converse",
            change(
                BedrockConverse,
                Tool,
                "Bash.input_schema.$schema",
                some("u"),
                None,
            ),
            change(BedrockInvoke, Tool, "Bash.input_schema.$schema", some("u"), None),
        ),
        (
            "schema_on_converse",
            change(
                BedrockConverse,
                Tool,
                "Bash.input_schema.required",
                None,
                Some(json!([])),
            ),
            change(
                BedrockConverse,
                Tool,
                "Bash.input_schema.required",
                Some(json!(["a"])),
                None,
            ),
        ),
        (
            "response_fields_on_converse",
            change(
                BedrockConverse,
                Field,
                "additionalModelResponseFieldPaths",
                None,
                Some(json!(["/usage"])),
            ),
            change(
                BedrockConverse,
                Field,
                "additionalModelRequestFields",
                None,
                Some(json!({})),
            ),
        ),
    ];
    let counted = |mut change: Change| {
        change.operation = Operation::CountTokens;
        change
    };
    let rows: Vec<(&str, Change, Change)> = rows
        .into_iter()
        .chain([
            (
                "token_count_form",
                counted(change(BedrockInvoke, Field, "input", None, Some(json!({})))),
                change(BedrockInvoke, Field, "input", None, Some(json!({}))),
            ),
            (
                "token_count_form",
                counted(change(
                    Anthropic,
                    Beta,
                    "token-counting-2024-11-01",
                    None,
                    some("b"),
                )),
                change(Anthropic, Beta, "token-counting-2024-11-01", None, some("b")),
            ),
        ])
        .collect();
    for (name, noise, like_it) in &rows {
        let found = noise::rule_for(noise).map(|rule| rule.name);
        assert_eq!(found, Some(*name), "{}", noise.sentence());
        let found = noise::rule_for(like_it).map(|rule| rule.name);
        assert_eq!(found, None, "{}", like_it.sentence());
    }
    for rule in RULES {
        assert!(
            rows.iter().any(|(name, ..)| *name == rule.name),
            "`{}` has no row",
            rule.name
        );
        assert!(rule.reason.len() > 40, "`{}` needs a reason", rule.name);
    }
}

#[test]
fn a_report_has_few_lines_and_first_those_of_what_broke() {
    let wire = Wire::one().arrives(|body| {
        list(body, "/messages/2/content").remove(1);
        for index in 0..20 {
            body[format!("field_{index}")] = json!(index);
        }
    });
    let diff = compare(&wire.sent, &wire.exchanges);
    let image = Check::ImageArrived(ImageArrivedCheck { turn: Turn::Every });
    let lines = diff.lines(Interest::in_order(&[image.interest()], &diff));
    assert_eq!(lines.len(), 12, "{lines:#?}");
    assert!(lines[0].contains("(image)` dropped"), "{lines:#?}");
    assert_eq!(lines[11], "and 10 more: `wire-diff.txt`");
    assert_eq!(
        diff.text()
            .lines()
            .filter(|line| line.starts_with("request 1"))
            .count(),
        21
    );
}

/// The cause that a broken `check` has.
fn cause_of(check: Check, wire: Wire, evidence: Evidence) -> (Cause, &'static str, String) {
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..evidence
    };
    let judgement = compat_matrix::judge::judge(&test(check), &TierId::new("haiku"), &evidence);
    assert_ne!(judgement.mismatches, [], "nothing failed");
    let diagnosis = cause::of_trial(&evidence, &judgement);
    (diagnosis.cause, diagnosis.rule, diagnosis.why)
}

fn request_check(field: &str) -> Check {
    Check::Request(RequestCheck {
        turn: Turn::Every,
        operation: Operation::Messages,
        route: None,
        model: None,
        stream: None,
        headers: Vec::new(),
        body: vec![(crate::evidence::query(field), equals(100))],
    })
}

#[test]
fn a_cause_is_told_from_both_sides_of_the_gateway() {
    let showed = |text: &str| nothing().answered(text_message(text)).ended(text);
    let back = |text: &'static str| {
        move |events: &mut Vec<SentEvent>| {
            events[3].data["delta"]["text"] = json!(text);
            events.drain(4..6);
        }
    };
    let max_tokens = || request_check("$.max_tokens");
    let cache = |breakpoints, read| {
        Check::Cache(CacheCheck {
            turn: Turn::Last,
            breakpoints,
            created_tokens: None,
            read_tokens: read,
        })
    };
    let rows = [
        (
            "sent, and lost",
            max_tokens(),
            Wire::one().arrives(|body| body["max_tokens"] = json!(1)),
            showed("a b c"),
            (Cause::Gateway, "lost_on_the_way"),
        ),
        (
            "never sent",
            request_check("$.top_k"),
            Wire::one(),
            showed("a b c"),
            (Cause::Cli, "never_sent"),
        ),
        (
            "never sent, after a reply that was changed",
            request_check("$.top_k"),
            Wire::one().comes_back(back("x")),
            showed("a b c"),
            (Cause::Gateway, "misled_by_a_reply"),
        ),
        (
            "a breakpoint lost",
            cache(Some(2), None),
            Wire::one().arrives(|body| drop(remove(body, "/system/0", "cache_control"))),
            showed("a b c"),
            (Cause::Gateway, "lost_on_the_way"),
        ),
        (
            "nothing read from the cache, and the prompt was changed",
            cache(None, Some(5)),
            Wire::one().arrives(|body| body["system"][0]["text"] = json!("x")),
            showed("a b c"),
            (Cause::Gateway, "lost_on_the_way"),
        ),
        (
            "nothing read from the cache, and nothing was changed",
            cache(None, Some(5)),
            Wire::one(),
            showed("a b c"),
            (Cause::Assertion, "promise_not_kept"),
        ),
        (
            "the answer was changed on the way back",
            Check::Text(TextCheck(equals("a b c"))),
            Wire::one().comes_back(back("x")),
            showed("x"),
            (Cause::Gateway, "changed_on_the_way_back"),
        ),
        (
            "the answer came back right and was shown wrong",
            Check::Text(TextCheck(equals("a b c"))),
            Wire::one(),
            showed("x"),
            (Cause::Cli, "shown_otherwise"),
        ),
        (
            "the answer is what the provider gave, which is not what the cell expects",
            Check::Text(TextCheck(equals("y"))),
            Wire::one(),
            showed("a b c"),
            (Cause::Assertion, "promise_not_kept"),
        ),
    ];
    for (what, check, wire, evidence, expected) in rows {
        let (cause, rule, why) = cause_of(check, wire, evidence);
        assert_eq!((cause, rule), expected, "{what}: {why}");
    }
}

#[test]
fn why_names_the_nearest_difference() {
    let wire = Wire::one().arrives(|body| body["max_tokens"] = json!(1));
    let evidence = nothing().answered(text_message("a b c")).ended("a b c");
    let (_, _, why) = cause_of(request_check("$.max_tokens"), wire, evidence);
    assert_eq!(
        why,
        "sent by claude, absent or changed at the provider: request 1: field `max_tokens` changed: 100 → 1"
    );
}

#[test]
fn a_request_that_is_refused_as_claude_made_it_is_no_fault_of_the_gateway() {
    let rule = || compat_matrix::wire::exchange::Matched::Rejected {
        rule: "beta_fields".into(),
    };
    let run = |changed: bool| {
        let mut wire = Wire::one();
        wire.exchanges[0].matched = rule();
        wire.exchanges[0].reply = refused(400, rule()).reply;
        if changed {
            wire = wire.arrives(|body| body["top_k"] = json!(1));
        }
        let evidence = nothing().ended_with_error(Some(400), "API Error: 400 no");
        let (cause, rule, _) = cause_of(Check::Text(TextCheck(equals("a b c"))), wire, evidence);
        (cause, rule)
    };
    assert_eq!(run(true), (Cause::Gateway, "rejected_request"));
    assert_eq!(run(false), (Cause::Cli, "refused_as_sent"));
}

/// What becomes of "the request comes out as it went in" when `known` are declared to change.
fn request_unchanged(wire: Wire, known: &[&str]) -> (Verdict, Vec<String>) {
    let evidence = Evidence {
        sent: wire.sent,
        exchanges: wire.exchanges,
        ..nothing().answered(text_message("a b c")).ended("a b c")
    };
    let known_changes = known.iter().map(|what| KnownChange {
        direction: Direction::Request,
        what: (*what).to_owned(),
        known: known_failure(None),
    });
    let test = compat_matrix::cells::Test {
        known_changes: known_changes.collect(),
        ..test(Check::Unchanged(UnchangedCheck(Direction::Request)))
    };
    let judgement = compat_matrix::judge::judge(&test, &TierId::new("haiku"), &evidence);
    let told = judgement
        .mismatches
        .iter()
        .map(|mismatch| mismatch.summary.clone());
    (judgement.judged.last().unwrap().verdict, told.collect())
}

#[test]
fn a_known_change_is_a_known_failure_and_a_fault_once_it_no_longer_shows() {
    let lost = || Wire::one().arrives(|body| drop(body["max_tokens"].take()));
    let (verdict, told) = request_unchanged(lost(), &[]);
    assert_eq!(verdict, Verdict::Broken);
    assert!(
        told[0].contains("did not reach the provider as it was sent"),
        "{told:?}"
    );
    let known = request_unchanged(lost(), &["max_tokens"]);
    assert_eq!(known, (Verdict::KnownFailure, vec![]));
    let (verdict, told) = request_unchanged(lost(), &["max_tokens", "temperature"]);
    assert_eq!(verdict, Verdict::UnexpectedlyHeld);
    assert!(told[0].contains("no longer shows"), "{told:?}");
    assert_eq!(request_unchanged(Wire::one(), &[]), (Verdict::Held, vec![]));
}
