//! Calls and results in the messages of a conversation, and deferred tools.

use compat_matrix::wire::Route;
use serde_json::{Value, json};

use super::rules::{refusal_of, sane};
use crate::support::provider_client::*;
use crate::support::text::assert_has;

use Route::{Anthropic, Azure, VertexAi};

/// The broken rule with words of the refusal.
type Refusal = Option<(&'static str, &'static str)>;

/// Sends a sane prompt with `value` at `key` to each route.
async fn assert_verdict(gateway: &Gateway, routes: &[Route], key: &str, value: &Value, wanted: Refusal) {
    for route in routes {
        let mut body = sane();
        body[key] = value.clone();
        let found = refusal_of(gateway, MODEL, *route, &body).await;
        let rule = found.as_ref().map(|(rule, _)| rule.as_str());
        assert_eq!(rule, wanted.map(|(rule, _)| rule), "{route:?}: {value}");
        if let (Some((_, words)), Some((_, message))) = (wanted, &found) {
            assert_has(message, words);
        }
    }
}

fn user(content: Value) -> Value {
    json!({"role": "user", "content": content})
}

fn assistant(content: Value) -> Value {
    json!({"role": "assistant", "content": content})
}

fn words() -> Value {
    json!({"type": "text", "text": "x"})
}

fn call() -> Value {
    json!({"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}})
}

fn result() -> Value {
    json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"})
}

fn server_call(name: &str) -> Value {
    json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": name, "input": {}})
}

fn server_result() -> Value {
    json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []})
}

#[tokio::test]
async fn calls_are_the_assistants_and_results_the_users() {
    let gateway = Gateway::start().await;
    let asked = || user(json!([words()]));
    for (messages, wanted) in [
        (
            json!([
                asked(),
                assistant(json!([words(), call()])),
                user(json!([result()]))
            ]),
            None,
        ),
        (
            json!([
                asked(),
                assistant(json!([words()])),
                user(json!([call()])),
                assistant(json!([result()]))
            ]),
            Some("messages.2: `tool_use` blocks can only be in `assistant` messages"),
        ),
        (
            json!([asked(), assistant(json!([words(), result()])), asked()]),
            Some("messages.1: `tool_result` blocks can only be in `user` messages"),
        ),
    ] {
        let wanted = wanted.map(|words| ("tool_roles", words));
        assert_verdict(&gateway, &Route::ALL, "messages", &messages, wanted).await;
    }
}

#[tokio::test]
async fn a_servers_call_and_its_result_come_in_pairs() {
    let gateway = Gateway::start().await;
    let search = || server_call("web_search");
    let missing = Some((
        "server_results_missing",
        "messages.1: `web_search` tool use with id `srvtoolu_1` was found without a corresponding `web_search_tool_result` block",
    ));
    let cases: &[(Value, Refusal)] = &[
        (
            json!([
                assistant(json!([search(), server_result(), words()])),
                user(json!([words()]))
            ]),
            None,
        ),
        (
            json!([assistant(json!([search()])), user(json!([words()]))]),
            missing,
        ),
        // A paused turn.
        (json!([assistant(json!([words(), search()]))]), None),
        // The provider searches after the result of the client's own tool.
        (
            json!([assistant(json!([search(), call()])), user(json!([result()]))]),
            None,
        ),
        (
            json!([
                assistant(json!([search(), call()])),
                user(json!([result()])),
                assistant(json!([server_result(), words()])),
                user(json!([words()]))
            ]),
            None,
        ),
        // Words end the turn.
        (
            json!([
                assistant(json!([search(), call()])),
                user(json!([result(), words()]))
            ]),
            missing,
        ),
        (
            json!([
                assistant(json!([server_call("tool_search_tool_regex")])),
                user(json!([words()]))
            ]),
            Some((
                "server_results_missing",
                "was found without a corresponding `tool_search_tool_result` block",
            )),
        ),
        (
            json!([
                assistant(json!([words(), server_result()])),
                user(json!([words()]))
            ]),
            Some((
                "server_results_surplus",
                "messages.1.content.1: unexpected `tool_use_id` found in `web_search_tool_result` blocks: srvtoolu_1. Each \
                 `web_search_tool_result` block must have a corresponding `server_tool_use` block before it.",
            )),
        ),
        (
            json!([
                assistant(json!([server_result(), search()])),
                user(json!([words()]))
            ]),
            Some(("server_results_surplus", "messages.1.content.0: unexpected")),
        ),
    ];
    for (later, wanted) in cases {
        let mut messages = vec![user(json!([words()]))];
        messages.extend(later.as_array().unwrap().iter().cloned());
        let routes = [Anthropic, Azure, VertexAi];
        assert_verdict(&gateway, &routes, "messages", &json!(messages), *wanted).await;
    }
}

#[tokio::test]
async fn deferred_tools_are_not_cached_and_never_all() {
    let gateway = Gateway::start().await;
    let tool = |name: &str, is_deferred: bool, is_cached: bool| {
        let mut tool =
            json!({"name": name, "input_schema": {"type": "object"}, "defer_loading": is_deferred});
        if is_cached {
            tool["cache_control"] = json!({"type": "ephemeral"});
        }
        tool
    };
    for (tools, wanted) in [
        ([tool("Bash", false, true), tool("far", true, false)], None),
        (
            [tool("Bash", false, false), tool("far", true, true)],
            Some(
                "Tool 'far' cannot have both defer_loading=true and cache_control set. Tools with defer_loading cannot use \
                 prompt caching.",
            ),
        ),
        (
            [tool("Bash", true, false), tool("far", true, false)],
            Some("At least one tool must have defer_loading=false. All tools cannot be deferred."),
        ),
    ] {
        let wanted = wanted.map(|words| ("deferred_tools", words));
        let routes = [Anthropic, Azure, VertexAi];
        assert_verdict(&gateway, &routes, "tools", &json!(tools), wanted).await;
    }
}

#[tokio::test]
async fn what_stands_before_a_summary_is_ignored() {
    let gateway = Gateway::start().await;
    let summary = || json!({"type": "compaction", "content": "They greeted each other."});
    let asked = || user(json!([words()]));
    let open = [
        asked(),
        assistant(json!([server_call("web_search"), call()])),
        user(json!([result()])),
    ];
    let histories = [
        json!([open[0], open[1], open[2], assistant(json!([summary()])), asked()]),
        json!([
            asked(),
            assistant(json!([server_result(), summary(), words()])),
            asked()
        ]),
        json!([
            asked(),
            assistant(json!([call()])),
            assistant(json!([summary()])),
            asked()
        ]),
    ];
    for messages in histories {
        let body = json!({
            "model": "claude-opus-4-7",
            "max_tokens": 100,
            "messages": messages,
            "tools": [{"name": "Bash", "input_schema": {"type": "object"}}],
            "context_management": {"edits": [{"type": "compact_20260112"}]},
        });
        let request = gateway.anthropic("/v1/messages", &body);
        let request = request.header("anthropic-beta", "compact-2026-01-12");
        let reply = request.send().await.unwrap();
        // No rule refuses it.
        assert_has(
            &reply.text().await.unwrap(),
            "the request belongs to no active trial",
        );
    }
}

#[tokio::test]
async fn token_counts_accept_any_history() {
    let gateway = Gateway::start().await;
    let asked = || user(json!([words()]));
    let deferred = json!({"name": "far", "input_schema": {"type": "object"}, "defer_loading": true});
    for (messages, tools) in [
        (
            json!([asked(), assistant(json!([server_call("web_search")])), asked()]),
            json!([]),
        ),
        (
            json!([asked(), assistant(json!([words(), server_result()])), asked()]),
            json!([]),
        ),
        (json!([asked()]), json!([deferred])),
    ] {
        let body = json!({"model": MODEL, "messages": messages, "tools": tools});
        let request = gateway.anthropic("/v1/messages/count_tokens", &body);
        let reply = request.send().await.unwrap();
        assert!(reply.status().is_success(), "{}", reply.text().await.unwrap());
    }
    let turns =
        json!([{"role": "user", "content": [{"text": "x"}]}, {"role": "user", "content": [{"text": "y"}]}]);
    let body = json!({"input": {"converse": {"messages": turns}}});
    let reply = gateway.signed(&format!("/model/{BEDROCK_MODEL}/count-tokens"), &body);
    let reply = reply.send().await.unwrap();
    assert!(reply.status().is_success(), "{}", reply.text().await.unwrap());
}
