//! The replies of a simulator without a script.

use compat_matrix::provider::{Simulator, SimulatorOptions, Unscripted, standalone_reply};
use compat_matrix::wire::Route;
use serde_json::{Value, json};

use crate::support::provider_client::*;

async fn gateway() -> Gateway {
    let options = SimulatorOptions {
        unscripted: Unscripted::Reply(standalone_reply()),
        ..SimulatorOptions::default()
    };
    Gateway::on(Simulator::start(options).await.unwrap()).await
}

async fn reply(gateway: &Gateway, route: Route, body: &Value) -> Value {
    gateway.send(route, false, body).await.json().await.unwrap()
}

#[tokio::test]
async fn requests_of_no_trial_share_a_prompt_cache() {
    let gateway = gateway().await;
    let mut body = prompt(new_key());
    body["system"] =
        json!([{"type": "text", "text": "rules ".repeat(4000), "cache_control": {"type": "ephemeral"}}]);
    for route in Route::ALL {
        let [first, second] = [
            reply(&gateway, route, &body).await,
            reply(&gateway, route, &body).await,
        ];
        let tokens = |reply: &Value, names: [&str; 2]| {
            let usage = &reply["usage"];
            names
                .iter()
                .find_map(|name| usage[*name].as_u64())
                .unwrap_or_default()
        };
        let read = ["cache_read_input_tokens", "cacheReadInputTokens"];
        let written = tokens(&first, ["cache_creation_input_tokens", "cacheWriteInputTokens"]);
        assert!(written > 1000, "{route:?}: {first}");
        assert_eq!(tokens(&first, read), 0, "{route:?}");
        assert_eq!(tokens(&second, read), written, "{route:?}: {second}");
    }
}

#[tokio::test]
async fn a_forced_tool_is_called_with_the_smallest_input() {
    let gateway = gateway().await;
    let schema = json!({"type": "object", "required": ["city"], "properties": {
        "city": {"enum": ["Oslo"]}, "days": {"type": "integer"},
    }});
    let tools = json!([{"name": "plain", "input_schema": {"type": "object"}}, {"name": "weather", "input_schema": schema}]);
    for route in Route::ALL {
        for (choice, name, input) in [
            (json!({"type": "any"}), "plain", json!({})),
            (
                json!({"type": "tool", "name": "weather"}),
                "weather",
                json!({"city": "Oslo"}),
            ),
        ] {
            let mut body = prompt(new_key());
            body["tools"] = tools.clone();
            body["tool_choice"] = choice;
            let (answer, call) = match route {
                Route::BedrockConverse => {
                    let answer = reply(&gateway, route, &body).await;
                    let call = answer["output"]["message"]["content"][0]["toolUse"].clone();
                    (answer["stopReason"].clone(), call)
                }
                _ => {
                    let answer = reply(&gateway, route, &body).await;
                    (answer["stop_reason"].clone(), answer["content"][0].clone())
                }
            };
            assert_eq!(
                (&call["name"], &call["input"]),
                (&json!(name), &input),
                "{route:?}: {call}"
            );
            assert_eq!(answer, "tool_use", "{route:?}");
        }
        let mut body = prompt(new_key());
        body["tools"] = tools.clone();
        let answer = reply(&gateway, route, &body).await;
        assert_eq!(whole_text(route, &answer), "Hello from the provider simulator.");
    }
}

#[tokio::test]
async fn an_answer_has_the_schema_of_the_request() {
    let gateway = gateway().await;
    let schema = json!({"type": "object", "additionalProperties": false, "required": ["name", "tags"], "properties": {
        "name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}, "age": {"type": "integer"},
    }});
    for route in [
        Route::Anthropic,
        Route::BedrockInvoke,
        Route::BedrockConverse,
        Route::VertexAi,
    ] {
        let mut body = prompt(new_key());
        body["output_config"] = json!({"format": {"type": "json_schema", "schema": schema}});
        let answer = reply(&gateway, route, &body).await;
        let answer: Value = serde_json::from_str(whole_text(route, &answer)).unwrap();
        assert_eq!(answer, json!({"name": "x", "tags": []}), "{route:?}");
    }
}
