//! The names in the body of a Messages request, as the providers document them.
//!
//! Sources: <https://platform.claude.com/docs/en/api/messages>,
//! <https://platform.claude.com/docs/en/api/messages-count-tokens>,
//! <https://github.com/anthropics/anthropic-sdk-python> (`types/beta/message_create_params.py`),
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.

use super::{Route, request_types};
use crate::text::{closest, slip_of};

/// Fields of every provider with the Messages API's body.
const COMMON: [&str; 14] = [
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
    // Claude Code's auto mode: https://code.claude.com/docs/en/llm-gateway-protocol.
    "safeguards",
];
const ANTHROPIC: [&str; 16] = [
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
    // Neither Bedrock nor Vertex AI has it: https://platform.claude.com/docs/en/build-with-claude/cache-diagnostics,
    // https://github.com/anthropics/claude-code/issues/82539.
    "diagnostics",
];
/// Fields that Bedrock and Vertex AI have in the body instead of the path or a header. The official SDK moves the header
/// `anthropic-user-profile-id` into Bedrock's body (`lib/bedrock/_client.py`, `_mantle.py`).
///
/// `amazon-bedrock-guardrailConfig` is InvokeModel's own:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html>.
const BEDROCK: [&str; 4] = [
    "anthropic_version",
    "anthropic_beta",
    "user_profile_id",
    "amazon-bedrock-guardrailConfig",
];
const VERTEX: [&str; 3] = ["anthropic_version", "anthropic_beta", "stream"];
const VERTEX_COUNT: [&str; 2] = ["anthropic_version", "anthropic_beta"];
/// Fields of Bedrock's Messages API, besides the common ones. It has no structured outputs, MCP connector or skills:
/// <https://platform.claude.com/docs/en/build-with-claude/claude-in-amazon-bedrock>.
const MANTLE: [&str; 6] = [
    "model",
    "stream",
    "service_tier",
    "cache_control",
    "anthropic_version",
    "user_profile_id",
];
/// Who speaks in a message.
const ROLES: [&str; 3] = ["user", "assistant", "system"];
/// Fields that Microsoft Foundry never has:
/// <https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry>.
const NOT_ON_AZURE: [&str; 1] = ["fallbacks"];
/// Fields of a token count.
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
/// Converse's own fields, and the wrapper of Bedrock's token count.
const CONVERSE: [&str; 11] = [
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "inferenceConfig",
    "outputConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
    "toolConfig",
    "input",
];
/// Names in the schema of a tool, and tags of blocks.
const IN_OPEN_VALUES: [&str; 6] = [
    "additionalProperties",
    "document",
    "image",
    "properties",
    "redacted_thinking",
    "required",
];

/// The role that `role` is a slip of.
pub fn misspelt_role(role: &str) -> Option<&'static str> {
    let of_short = || closest(role, ROLES).filter(|_| role.len() < 4);
    slip_of(role, ROLES).or_else(of_short)
}

/// Whether a request by `route` may have the field `name`. Of Converse: whether the model gets it.
pub fn is_known(route: Route, is_count: bool, name: &str) -> bool {
    match route {
        Route::BedrockConverse => CONVERSE_ADDITIONAL.contains(&name),
        Route::BedrockInvoke => COMMON.contains(&name) || BEDROCK.contains(&name),
        Route::Azure if NOT_ON_AZURE.contains(&name) => false,
        Route::BedrockMantle if !COMMON.contains(&name) && !MANTLE.contains(&name) => false,
        Route::BedrockMantle if !is_count || name == "user_profile_id" => true,
        Route::Anthropic | Route::Azure | Route::BedrockMantle if is_count => COUNTED.contains(&name),
        Route::Anthropic | Route::Azure | Route::BedrockMantle => {
            COMMON.contains(&name) || ANTHROPIC.contains(&name)
        }
        Route::VertexAi if is_count => COUNTED.contains(&name) || VERTEX_COUNT.contains(&name),
        Route::VertexAi => COMMON.contains(&name) || VERTEX.contains(&name),
    }
}

/// The fields of a body, by whatever route.
pub fn of_any_route() -> impl Iterator<Item = &'static str> + Clone {
    COMMON.into_iter().chain(ANTHROPIC).chain(BEDROCK).chain(CONVERSE)
}

/// Whether `name` is documented, as a field or below one.
pub fn is_documented(name: &str) -> bool {
    IN_OPEN_VALUES.contains(&name)
        || request_types::has_key(name)
        || of_any_route().any(|known| known == name)
}
