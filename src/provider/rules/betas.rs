//! Beta flags that a provider does not know.

use std::sync::LazyLock;

use regex::Regex;

use super::{Rule, Subject};
use crate::wire::Route;
use crate::wire::error_reply::ErrorReply;

pub(super) const RULES: &[Rule] = rules![known_betas,];

/// The flags that Bedrock and Vertex AI accept. They are from the page of the model on Bedrock
/// (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html>)
/// and from LiteLLM's table of betas
/// (<https://github.com/BerriAI/litellm/blob/main/litellm/anthropic_beta_headers_config.json>), or Claude Code sends them.
const COMMON: [&str; 15] = [
    "claude-code-20250219",
    "compact-2026-01-12",
    "computer-use-2025-01-24",
    "computer-use-2025-11-24",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
    "dangerous-tool-use-2026-09-03",
    "effort-2025-11-24",
    "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14",
    "thinking-binding-controls-2026-08-01",
    "thinking-display-updates-2026-08-18",
    "thinking-token-count-2026-05-13",
    "token-efficient-tools-2025-02-19",
    "tool-search-tool-2025-10-19",
];
const BEDROCK: [&str; 7] = [
    "computer-use-2024-10-22",
    "dev-full-thinking-2025-05-14",
    "mid-conversation-output-config-2026-07-01",
    "mid-conversation-tool-changes-2026-07-01",
    "output-128k-2025-02-19",
    "structured-outputs-2025-11-13",
    "tool-examples-2025-10-29",
];
const VERTEX: [&str; 3] = [
    "inline-tools-2026-09-15",
    "per-turn-control-2026-07-01",
    "web-search-2025-03-05",
];

/// Source: https://github.com/BerriAI/litellm/issues/20021 (Bedrock), https://github.com/BerriAI/litellm/issues/18145
/// (Vertex AI): their replies to an unknown flag
fn known_betas(subject: &Subject) -> Option<ErrorReply> {
    let route = subject.route();
    let unknown: Vec<String> = subject
        .message()?
        .betas
        .iter()
        .filter(|beta| !is_known(route, beta))
        .map(|beta| format!("`{beta}`"))
        .collect();
    if unknown.is_empty() {
        return None;
    }
    match route {
        Route::BedrockInvoke | Route::BedrockConverse => subject.invalid("invalid beta flag"),
        Route::Anthropic | Route::VertexAi => subject.invalid(format!(
            "Unexpected value(s) {} for the `anthropic-beta` header. Please consult our documentation at docs.claude.com \
             or try again without the header.",
            unknown.join(", ")
        )),
    }
}

/// Anthropic's list is not public, so only the form of a flag is checked: a name and a date.
fn is_known(route: Route, beta: &str) -> bool {
    static FORM: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[a-z0-9]+(-[a-z0-9]+)*-\d{4}-?\d{2}-?\d{2}$").expect("a constant expression")
    });
    match route {
        Route::Anthropic => FORM.is_match(beta),
        Route::BedrockInvoke | Route::BedrockConverse => COMMON.contains(&beta) || BEDROCK.contains(&beta),
        Route::VertexAi => COMMON.contains(&beta) || VERTEX.contains(&beta),
    }
}
