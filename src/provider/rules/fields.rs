//! Body fields that a provider does not know, or that need a beta flag.

use serde_json::Value;

use super::{Rule, Subject};
use crate::wire::Route;
use crate::wire::error_reply::ErrorReply;

pub(super) const RULES: &[Rule] = rules![known_fields, beta_fields,];

/// Fields of every provider with the Messages API's body.
const COMMON: [&str; 15] = [
    "messages",
    "max_tokens",
    "metadata",
    "stop_sequences",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
    "output_config",
    "context_management",
    "diagnostics",
    // Claude Code's auto mode: https://code.claude.com/docs/en/llm-gateway-protocol.
    "safeguards",
];
const ANTHROPIC: [&str; 15] = [
    "model",
    "stream",
    "service_tier",
    "container",
    "mcp_servers",
    "output_format",
    "cache_control",
    "inference_geo",
    "speed",
    "fallbacks",
    "tags",
    "compaction",
    "thread",
    "billing_policy",
    "fallback_credit_token",
];
/// Fields that Bedrock and Vertex AI have in the body instead of the path or a header.
const BEDROCK: [&str; 2] = ["anthropic_version", "anthropic_beta"];
const VERTEX: [&str; 3] = ["anthropic_version", "anthropic_beta", "stream"];
/// Fields of a token count: <https://platform.claude.com/docs/en/api/messages-count-tokens>.
const COUNTED: [&str; 14] = [
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "mcp_servers",
    "output_config",
    "output_format",
    "context_management",
    "cache_control",
    "speed",
    "compaction",
    "billing_policy",
];
/// Fields that Converse forwards to the model unchanged.
const CONVERSE_ADDITIONAL: [&str; 8] = [
    "anthropic_beta",
    "thinking",
    "output_config",
    "top_k",
    "context_management",
    "tools",
    "tool_choice",
    "metadata",
];

/// Fields that need a beta flag, and the prefixes of that flag.
const WITH_BETA: [(&str, &[&str]); 5] = [
    ("context_management", &["context-management-", "compact-"]),
    ("mcp_servers", &["mcp-client-"]),
    ("container", &["code-execution-", "skills-"]),
    ("output_format", &["structured-outputs-"]),
    ("speed", &["fast-mode-"]),
];

/// Source: https://platform.claude.com/docs/en/api/messages (body parameters),
/// https://github.com/anthropics/anthropic-sdk-python (`types/beta/message_create_params.py`); the message for an unknown one:
/// https://github.com/BerriAI/litellm/issues/27532, https://github.com/BerriAI/litellm/issues/26320
fn known_fields(subject: &Subject) -> Option<ErrorReply> {
    let unknown = field_names(subject)
        .into_iter()
        .find(|name| !is_known(subject, name))?;
    refusal(subject, unknown)
}

fn field_names<'a>(subject: &Subject<'a>) -> Vec<&'a str> {
    let fields = subject.model_fields().and_then(Value::as_object);
    fields
        .map(|fields| fields.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

fn is_known(subject: &Subject, name: &str) -> bool {
    match subject.route() {
        Route::BedrockConverse => CONVERSE_ADDITIONAL.contains(&name),
        Route::BedrockInvoke => COMMON.contains(&name) || BEDROCK.contains(&name),
        Route::Anthropic if subject.is_count() => COUNTED.contains(&name),
        Route::Anthropic => COMMON.contains(&name) || ANTHROPIC.contains(&name),
        Route::VertexAi if subject.is_count() => COUNTED.contains(&name) || BEDROCK.contains(&name),
        Route::VertexAi => COMMON.contains(&name) || VERTEX.contains(&name),
    }
}

/// Source: https://platform.claude.com/docs/en/build-with-claude/context-editing (beta header); without it:
/// https://github.com/BerriAI/litellm/issues/27532
fn beta_fields(subject: &Subject) -> Option<ErrorReply> {
    let fields = subject.model_fields()?;
    let (name, _) = WITH_BETA.iter().find(|(name, betas)| {
        fields.get(name).is_some_and(|value| !value.is_null())
            && !betas.iter().any(|beta| subject.has_beta(beta))
    })?;
    refusal(subject, name)
}

fn refusal(subject: &Subject, field: &str) -> Option<ErrorReply> {
    subject.invalid(format!("{field}: Extra inputs are not permitted"))
}
