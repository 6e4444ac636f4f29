//! Thinking: the parameter, and the blocks that a client returns.

use serde_json::Value;

use super::{Rule, Subject};
use crate::wire::error_reply::ErrorReply;
use crate::wire::message::{Content, Message};
use crate::wire::model::{Generation, Refused};

pub(super) const RULES: &[Rule] = rules![
    thinking_type,
    effort_without_thinking,
    thinking_budget,
    thinking_temperature,
    thinking_sampling,
    thinking_signature,
    redacted_thinking,
    thinking_lost,
];

const LEAST_BUDGET: u64 = 1024;

fn thinking<'a>(subject: &Subject<'a>) -> Option<&'a Value> {
    subject.message()?.thinking.as_ref()
}

/// A token count is exempt from the ban on `disabled`: no source says that it is refused there. Some models take no
/// `between_tools`, but no source says which.
///
/// Source: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking (supported models),
/// https://github.com/anthropics/anthropic-sdk-python (`types/thinking_config_param.py`); wording:
/// https://github.com/anomalyco/opencode/issues/22863, https://github.com/pensarai/apex/pull/890,
/// https://github.com/Kilo-Org/kilocode/issues/10732 (Opus 4.8), https://github.com/sausheong/harness/pull/2 (5),
/// https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5 (Opus 5.5, Fable 5.1),
/// https://platform.claude.com/docs/en/models/fable-5-2/whats-new-fable-5-2 (Fable 5.2, Mythos 5.2),
/// https://platform.claude.com/docs/en/models/fable-5/migration-guide (Fable 5, Mythos 5),
/// https://platform.claude.com/docs/en/models/sonnet-5-5/whats-new-sonnet-5-5,
/// https://github.com/NousResearch/hermes-agent/pull/90948 (Fable 5)
fn thinking_type(subject: &Subject) -> Option<ErrorReply> {
    let asked = thinking(subject)?["type"].as_str();
    let lacks_adaptive = subject.is_since(Generation::Four) && !subject.is_since(Generation::FourSix);
    let unsupported = |kind: &str| {
        subject.invalid(format!(
            "\"thinking.type.{kind}\" is not supported for this model. Use \"thinking.type.adaptive\" and \
             \"output_config.effort\" to control thinking behavior."
        ))
    };
    match (asked, subject.model()) {
        (Some("adaptive"), _) if lacks_adaptive => subject.invalid("adaptive thinking is not supported on this model"),
        (Some(kind @ "enabled"), _) if subject.model_refuses(Refused::Budget) => unsupported(kind),
        (Some("disabled"), _) if subject.is_count() => None,
        (Some(kind @ "disabled"), _) if subject.model_refuses(Refused::NoThinking) => unsupported(kind),
        (Some("disabled"), "claude-sonnet-5-5") => subject.invalid(
            "To turn thinking off on this model, send \"thinking\": {\"type\": \"between_tools\"} instead of {\"type\": \
             \"disabled\"}. The model does not think before responding. The short updates it writes between tool calls \
             come back as thinking blocks.",
        ),
        (Some("enabled" | "adaptive" | "disabled" | "between_tools"), _) => None,
        (other, _) => subject.invalid(format!(
            "thinking: Input tag '{}' found using 'type' does not match any of the expected tags: 'adaptive', \
             'disabled', 'enabled'",
            other.unwrap_or_default()
        )),
    }
}

/// Source: https://platform.claude.com/docs/en/models/opus-5/whats-new-opus-5 (thinking is off only at effort `high` or
/// below), https://platform.claude.com/docs/en/models/sonnet-5-5/whats-new-sonnet-5-5 (`between_tools`); wording:
/// https://github.com/anthropics/claude-code/issues/81084
fn effort_without_thinking(subject: &Subject) -> Option<ErrorReply> {
    let off = match subject.model() {
        "claude-opus-5" => "disabled",
        "claude-sonnet-5-5" => "between_tools",
        _ => return None,
    };
    let effort = subject.model_fields()?["output_config"]["effort"].as_str()?;
    if subject.is_count() || thinking(subject)?["type"] != off || !matches!(effort, "xhigh" | "max") {
        return None;
    }
    subject.invalid(format!(
        "output_config.effort '{effort}' is not supported when thinking is disabled on this model. Use effort 'high' or \
         below, or enable thinking."
    ))
}

/// Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking (budget_tokens); wording:
/// https://github.com/BerriAI/litellm/issues/39627
fn thinking_budget(subject: &Subject) -> Option<ErrorReply> {
    let thinking = thinking(subject)?;
    if thinking["type"] != "enabled" {
        return None;
    }
    let Some(budget) = thinking["budget_tokens"].as_u64() else {
        return subject.invalid("thinking.enabled.budget_tokens: Field required");
    };
    if budget < LEAST_BUDGET {
        return subject.invalid(format!(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST_BUDGET}"
        ));
    }
    // With interleaved thinking, the budget is for several replies.
    let interleaves = subject.has_beta("interleaved-thinking-") && !subject.message()?.tools.is_empty();
    let max_tokens = subject.message()?.max_tokens?;
    if budget < max_tokens || interleaves || subject.is_count() {
        return None;
    }
    subject.invalid(
        "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at \
         https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size",
    )
}

/// Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking (feature compatibility)
fn thinking_temperature(subject: &Subject) -> Option<ErrorReply> {
    let prompt = subject.prompt()?;
    let temperature = prompt["temperature"]
        .as_f64()
        .or(prompt["inferenceConfig"]["temperature"].as_f64())?;
    if temperature == 1.0 || !subject.message()?.thinks() {
        return None;
    }
    subject.invalid(
        "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. Please consult our documentation \
         at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#important-considerations-when-using-extended-thinking",
    )
}

/// The least `top_p` with thinking.
const LEAST_TOP_P: f64 = 0.95;

/// Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking (feature compatibility); wordings:
/// https://github.com/quarkiverse/quarkus-langchain4j/issues/1812 (`top_k`),
/// https://github.com/tailcallhq/forgecode/pull/3472 (`top_p`, with adaptive thinking)
fn thinking_sampling(subject: &Subject) -> Option<ErrorReply> {
    if !subject.message()?.thinks() {
        return None;
    }
    let number = |name: &str| subject.parameter(name).and_then(Value::as_f64);
    let bound = match (number("top_k"), number("top_p")) {
        (Some(_), _) => "`top_k` must be unset",
        (None, Some(top_p)) if top_p < LEAST_TOP_P => {
            "`top_p` must be greater than or equal to 0.95 or unset"
        }
        _ => return None,
    };
    subject.invalid(format!(
        "{bound} when thinking is enabled or in adaptive mode. Please consult our documentation at \
         https://docs.claude.com/en/docs/build-with-claude/extended-thinking#important-considerations-when-using-extended-thinking"
    ))
}

/// The provider must have made the signature, for the same text.
///
/// Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking (thinking encryption)
fn thinking_signature(subject: &Subject) -> Option<ErrorReply> {
    let model = &subject.message()?.model;
    let (place, _) = subject.blocks().find(|(_, block)| match &block.content {
        Content::Thinking { thinking, signature } => !subject.signer.verifies(model, thinking, signature),
        _ => false,
    })?;
    subject.invalid(format!("{place}: Invalid `signature` in `thinking` block"))
}

/// Wording: https://github.com/microsoft/vscode/pull/320196
fn redacted_thinking(subject: &Subject) -> Option<ErrorReply> {
    let model = &subject.message()?.model;
    let (place, _) = subject.blocks().find(|(_, block)| match &block.content {
        Content::RedactedThinking(data) => !subject.signer.verifies_redacted(model, data),
        _ => false,
    })?;
    subject.invalid(format!("{place}: Invalid `data` in `redacted_thinking` block"))
}

/// In a tool loop, a client must return the thinking before the call unchanged. This applies only to thinking that this
/// provider sent.
///
/// Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking (preserving thinking blocks);
/// wording: https://github.com/BerriAI/litellm/issues/8777
fn thinking_lost(subject: &Subject) -> Option<ErrorReply> {
    if !subject.message()?.thinks() {
        return None;
    }
    let messages = &subject.message()?.messages;
    let (index, message) = messages
        .iter()
        .enumerate()
        .rfind(|(_, message)| message.role == "assistant")?;
    let sent = message.content.iter().find_map(|block| match &block.content {
        Content::ToolUse { id, .. } => subject.sent_thinking.get(id),
        _ => None,
    })?;
    let returned = signatures(message);
    if returned == *sent {
        return None;
    }
    let first = message
        .content
        .first()
        .map_or("nothing", |block| block.content.kind());
    if returned.is_empty() || first != "thinking" {
        return subject.invalid(format!(
            "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When \
             `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the \
             lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from \
             previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation at \
             https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
        ));
    }
    subject.invalid(format!(
        "messages.{index}.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be \
         modified. These blocks must remain as they were in the original response."
    ))
}

/// The signatures of the thinking blocks before a message's first tool call.
fn signatures(message: &Message) -> Vec<&str> {
    message
        .content
        .iter()
        .take_while(|block| !matches!(block.content, Content::ToolUse { .. }))
        .filter_map(|block| match &block.content {
            Content::Thinking { signature, .. } => Some(signature.as_str()),
            _ => None,
        })
        .collect()
}
