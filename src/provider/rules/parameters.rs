//! Parameters that a model does not support, and prompts that it cannot take.

use serde_json::Value;

use super::{Rule, Subject};
use crate::wire::Route;
use crate::wire::error_reply::ErrorReply;
use crate::wire::message::Content;
use crate::wire::model::{Generation, find};
use crate::wire::tokens;

pub(super) const RULES: &[Rule] = rules![
    stop_sequences,
    sampling_range,
    sampling_deprecated,
    one_sampling_parameter,
    effort,
    prefill,
    trailing_whitespace,
    context_window,
];

const LONG_CONTEXT: u64 = 1_000_000;

/// Converse itself refuses an empty one: the bound is in its reference, the wording is the one for members of other lists.
///
/// Source: https://github.com/BerriAI/litellm/issues/3286,
/// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InferenceConfiguration.html
fn stop_sequences(subject: &Subject) -> Option<ErrorReply> {
    let sequences = subject.parameter("stop_sequences")?.as_array()?;
    let mut texts = sequences.iter().filter_map(Value::as_str);
    let blank = texts.find(|text| text.trim().is_empty())?;
    let by_model = "stop_sequences: each stop sequence must contain non-whitespace";
    if !blank.is_empty() {
        return subject.invalid(by_model);
    }
    subject.invalid_or(
        "1 validation error detected: Value at 'inferenceConfig.stopSequences' failed to satisfy constraint: \
         Member must satisfy constraint: [Member must have length greater than or equal to 1]",
        by_model,
    )
}

/// -1 is the default of `top_k`, and on models before 4.5 of the others too. The wording for `top_k` is ours.
///
/// Source: https://platform.claude.com/docs/en/api/messages (temperature, top_p, top_k); wordings:
/// https://github.com/anthropics/anthropic-sdk-python/issues/893, https://github.com/anthropics/anthropic-sdk-typescript/issues/484,
/// https://github.com/n8n-io/n8n/issues/20240 (-1), https://github.com/stdapi-ai/stdapi.ai/issues/224 (Converse)
fn sampling_range(subject: &Subject) -> Option<ErrorReply> {
    let takes_default = !subject.is_since(Generation::FourFive);
    let names = ["temperature", "top_p", "top_k"].into_iter();
    let (name, value) = names
        .filter_map(|name| Some((name, subject.parameter(name)?.as_f64()?)))
        .find(|(name, value)| {
            let is_in_range = *value >= 0.0 && (*name == "top_k" || *value <= 1.0);
            let is_default = *value == -1.0 && (takes_default || *name == "top_k");
            !is_in_range && !is_default
        })?;
    let in_converse = match name {
        "temperature" => Some("inferenceConfig.temperature"),
        "top_p" => Some("inferenceConfig.topP"),
        _ => None,
    };
    match in_converse.filter(|_| subject.route() == Route::BedrockConverse) {
        Some(place) => {
            let bound = if value < 0.0 {
                "greater than or equal to 0"
            } else {
                "less than or equal to 1"
            };
            Some(ErrorReply::new(
                400,
                format!(
                    "Value '{value}' at '{place}' failed to satisfy constraint: Member must have value {bound}"
                ),
            ))
        }
        None if name == "top_k" => subject.invalid("top_k: Input should be greater than or equal to 0"),
        None if value == -1.0 => subject.invalid(format!("`{name}` cannot be set to -1 for this model.")),
        None if takes_default => subject.invalid(format!("{name}: range: -1 or 0..1")),
        None => subject.invalid(format!("{name}: range: 0..1")),
    }
}

/// Since Opus 4.7, only the default of a sampling parameter is accepted. For `top_p`, a value from 0.99 is one.
///
/// Source: https://platform.claude.com/docs/en/api/messages (top_p),
/// https://github.com/kangminlee-maker/local-OAuth-CLI-API-adapter (`docs/conformance-matrix.md`, `top_k`);
/// https://github.com/RooCodeInc/Roo-Code/issues/12162, https://github.com/Mintplex-Labs/anything-llm/issues/5461;
/// later models: https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json
/// (supports_sampling_params)
fn sampling_deprecated(subject: &Subject) -> Option<ErrorReply> {
    if !subject.is_since(Generation::FourSeven) {
        return None;
    }
    let is_default = |name: &str, value: &Value| {
        let value = value.as_f64();
        match name {
            "top_k" => value == Some(-1.0),
            "top_p" => value.is_some_and(|value| (0.99..=1.0).contains(&value)),
            _ => value == Some(1.0),
        }
    };
    let names = ["temperature", "top_p", "top_k"].into_iter();
    let name = names
        .filter_map(|name| Some((name, subject.parameter(name)?)))
        .find(|(name, value)| !is_default(name, value))?
        .0;
    subject.invalid(format!("`{name}` is deprecated for this model."))
}

/// Source: https://github.com/BerriAI/litellm/issues/15097, https://github.com/aws-samples/bedrock-access-gateway/issues/191
fn one_sampling_parameter(subject: &Subject) -> Option<ErrorReply> {
    let name = subject.model();
    let is_concerned = subject.is_since(Generation::FourFive)
        && !subject.is_since(Generation::FourSeven)
        && !name.starts_with("claude-opus-");
    if !is_concerned || subject.parameter("temperature").is_none() || subject.parameter("top_p").is_none() {
        return None;
    }
    subject.invalid("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
}

/// The table of models has the levels of each.
///
/// Source: https://platform.claude.com/docs/en/build-with-claude/effort, and the closed list of the official SDK
/// (`types/beta/beta_output_config_param.py`), with the wording that the API has for such lists; wordings:
/// https://github.com/Oaklight/llm-rosetta/issues/289, https://github.com/awslabs/LISA/issues/218 (no effort),
/// https://github.com/askalf/dario/issues/413 (a level)
fn effort(subject: &Subject) -> Option<ErrorReply> {
    let effort = subject.model_fields()?["output_config"]["effort"].as_str()?;
    let efforts = find(subject.model())?.efforts;
    if efforts.is_empty() {
        return subject.invalid("This model does not support the effort parameter.");
    }
    if efforts.contains(&effort) {
        return None;
    }
    if !matches!(effort, "low" | "medium" | "high" | "max" | "xhigh") {
        return subject
            .invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'");
    }
    subject.invalid(format!(
        "This model does not support effort level '{effort}'. Supported levels: {}.",
        efforts.join(", ")
    ))
}

/// An answer that begins with text of the client. Sonnet 4.6 tolerates it on Bedrock, by one report
/// (<https://github.com/NousResearch/hermes-agent/issues/108209>). A turn that a server tool interrupted may end the
/// conversation.
///
/// Source: https://github.com/anomalyco/opencode/issues/13768,
/// https://platform.claude.com/docs/en/about-claude/models/migration-guide
fn prefill(subject: &Subject) -> Option<ErrorReply> {
    let since = match subject.route() {
        Route::Anthropic => Generation::FourSix,
        _ => Generation::FourSeven,
    };
    if subject.is_count() || !subject.is_since(since) {
        return None;
    }
    let last = subject.message()?.messages.last()?;
    let is_text = matches!(last.content.last()?.content, Content::Text(_));
    if last.role != "assistant" || !is_text {
        return None;
    }
    subject.invalid(
        "This model does not support assistant message prefill. The conversation must end with a user message.",
    )
}

/// No source has the rule for Converse or for token counts.
///
/// Source: https://github.com/tailcallhq/forgecode/issues/1872,
/// https://github.com/langchain-ai/langchain-google/pull/1733 (Vertex AI; the last block alone)
fn trailing_whitespace(subject: &Subject) -> Option<ErrorReply> {
    if subject.is_count() || subject.route() == Route::BedrockConverse {
        return None;
    }
    let last = subject.message()?.messages.last()?;
    let is_cut = match &last.content.last()?.content {
        Content::Text(text) => text.ends_with(char::is_whitespace),
        _ => false,
    };
    if last.role != "assistant" || !is_cut {
        return None;
    }
    subject.invalid("messages: final assistant content cannot end with trailing whitespace")
}

/// Source: https://code.claude.com/docs/en/llm-gateway-protocol (errors),
/// https://platform.claude.com/docs/en/build-with-claude/context-windows (the two models whose window a beta opened)
fn context_window(subject: &Subject) -> Option<ErrorReply> {
    let is_opened = matches!(subject.model(), "claude-sonnet-4" | "claude-sonnet-4-5");
    let window = match find(subject.model())?.context_window {
        _ if is_opened && subject.has_beta("context-1m-") => LONG_CONTEXT,
        window => window,
    };
    // A token is at least a byte.
    if subject.is_count() || (subject.incoming.bytes.len() as u64) < window {
        return None;
    }
    let count = tokens::of_request(subject.message()?);
    if count <= window {
        return None;
    }
    match subject.route() {
        Route::BedrockInvoke | Route::BedrockConverse => Some(ErrorReply::new(400, "Input is too long.")),
        Route::Anthropic | Route::VertexAi | Route::Azure | Route::BedrockMantle => {
            subject.invalid(format!("prompt is too long: {count} tokens > {window} maximum"))
        }
    }
}
