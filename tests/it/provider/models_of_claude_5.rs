//! What the models of Claude 5 refuse of thinking and tools, and what thinking excludes.

use compat_matrix::wire::Route;
use serde_json::json;

use super::models::{Case, each_has_its_verdict};
use super::rules::{Change, list};

use Route::{Anthropic, BedrockInvoke, VertexAi};

const HAIKU: &str = "claude-haiku-4-5";
const SONNET: &str = "claude-sonnet-4-6";
const OPUS: &str = "claude-opus-4-7";
const WITH_SYSTEM: [Route; 3] = [Anthropic, BedrockInvoke, VertexAi];

#[tokio::test]
async fn models_refuse_what_their_pages_say() {
    let adaptive: Change = |body| body["thinking"] = json!({"type": "adaptive"});
    let off: Change = |body| body["thinking"] = json!({"type": "disabled"});
    let budget: Change = |body| body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
    let off_at_max: Change = |body| {
        body["thinking"] = json!({"type": "disabled"});
        body["output_config"] = json!({"effort": "max"});
    };
    let between_at_xhigh: Change = |body| {
        body["thinking"] = json!({"type": "between_tools"});
        body["output_config"] = json!({"effort": "xhigh"});
    };
    let forced: Change = |body| body["tool_choice"] = json!({"type": "any"});
    let auto: Change = |body| body["tool_choice"] = json!({"type": "auto"});
    let computer: Change = |body| {
        let tool = json!({"type": "computer_20251124", "name": "computer", "display_height_px": 1, "display_width_px": 1});
        list(&mut body["tools"]).push(tool);
    };
    let chosen: Change = |body| {
        body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
        body["top_k"] = json!(5);
    };
    let narrow: Change = |body| {
        body["thinking"] = json!({"type": "adaptive"});
        body["top_p"] = json!(0.9);
    };
    let broad: Change = |body| {
        body["thinking"] = json!({"type": "adaptive"});
        body["top_p"] = json!(0.95);
    };
    let ends_in_blank: Change = |body| {
        let text = json!([{"type": "text", "text": "{ "}]);
        list(&mut body["messages"]).push(json!({"role": "assistant", "content": text}));
    };
    let no_off =
        "\"thinking.type.disabled\" is not supported for this model. Use \"thinking.type.adaptive\" and";
    let no_budget =
        "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and";
    let no_max = "output_config.effort 'max' is not supported when thinking is disabled on this model.";
    let no_xhigh = "output_config.effort 'xhigh' is not supported when thinking is disabled on this model.";
    let between =
        "To turn thinking off on this model, send \"thinking\": {\"type\": \"between_tools\"} instead";
    let no_force = "tool_choice: type \"tool\" and \"any\" are not supported for this model.";
    let no_computer = "' does not support tool types: computer_20251124.";
    let cut = "messages: final assistant content cannot end with trailing whitespace";
    let no_prefill = "This model does not support assistant message prefill.";
    let cases: &[Case] = &[
        (
            "claude-opus-5-5",
            &Route::ALL,
            off,
            Some(("thinking_type", no_off)),
        ),
        (
            "claude-opus-5-5",
            &Route::ALL,
            budget,
            Some(("thinking_type", no_budget)),
        ),
        ("claude-opus-5-5", &Route::ALL, adaptive, None),
        (
            "claude-fable-5-1",
            &WITH_SYSTEM,
            off,
            Some(("thinking_type", no_off)),
        ),
        (
            "claude-fable-5-2",
            &WITH_SYSTEM,
            off,
            Some(("thinking_type", no_off)),
        ),
        (
            "claude-sonnet-5-5",
            &Route::ALL,
            off,
            Some(("thinking_type", between)),
        ),
        (
            "claude-sonnet-5-5",
            &Route::ALL,
            budget,
            Some(("thinking_type", no_budget)),
        ),
        (
            "claude-sonnet-5-5",
            &WITH_SYSTEM,
            between_at_xhigh,
            Some(("effort_without_thinking", no_xhigh)),
        ),
        ("claude-opus-5", &Route::ALL, off, None),
        (
            "claude-opus-5",
            &Route::ALL,
            off_at_max,
            Some(("effort_without_thinking", no_max)),
        ),
        ("claude-opus-4-8", &WITH_SYSTEM, off_at_max, None),
        (
            "claude-opus-5-5",
            &Route::ALL,
            forced,
            Some(("forcing_model", no_force)),
        ),
        (
            "claude-sonnet-5-5",
            &Route::ALL,
            forced,
            Some(("forcing_model", no_force)),
        ),
        (
            "claude-fable-5-1",
            &WITH_SYSTEM,
            forced,
            Some(("forcing_model", no_force)),
        ),
        ("claude-opus-5-5", &Route::ALL, auto, None),
        ("claude-opus-5", &Route::ALL, forced, None),
        (
            "claude-opus-5-5",
            &[Anthropic, VertexAi],
            computer,
            Some(("tool_types", no_computer)),
        ),
        ("claude-opus-5-5", &[BedrockInvoke], computer, None),
        ("claude-opus-5", &[Anthropic, VertexAi], computer, None),
        (
            HAIKU,
            &Route::ALL,
            chosen,
            Some((
                "thinking_sampling",
                "`top_k` must be unset when thinking is enabled or in adaptive mode.",
            )),
        ),
        (
            SONNET,
            &Route::ALL,
            narrow,
            Some((
                "thinking_sampling",
                "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled or in adaptive mode.",
            )),
        ),
        (SONNET, &Route::ALL, broad, None),
        (
            HAIKU,
            &WITH_SYSTEM,
            ends_in_blank,
            Some(("trailing_whitespace", cut)),
        ),
        (OPUS, &WITH_SYSTEM, ends_in_blank, Some(("prefill", no_prefill))),
    ];
    each_has_its_verdict(cases).await;
}
