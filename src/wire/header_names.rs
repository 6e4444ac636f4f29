//! The names of the headers that Claude Code, its providers and their replies have.
//!
//! Sources: <https://code.claude.com/docs/en/llm-gateway-protocol>, <https://platform.claude.com/docs/en/api/overview>.

use crate::text::slip_of;

const KNOWN: [&str; 25] = [
    "anthropic-beta",
    "anthropic-organization-id",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-limit",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset",
    "anthropic-ratelimit-unified-reset",
    "anthropic-ratelimit-unified-status",
    "anthropic-user-profile-id",
    "anthropic-version",
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "user-agent",
    "x-api-key",
    "x-claude-code-agent-id",
    "x-claude-code-session-id",
    "x-request-id",
    "x-should-retry",
];

/// The known header that `name` is a slip of. Other headers are possible: gateways and clouds have their own.
pub fn misspelt(name: &str) -> Option<&'static str> {
    let dashes = |name: &str| name.matches('-').count();
    // `cf-request-id` and `retry-after-s` are others' own.
    slip_of(name, KNOWN).filter(|known| {
        let is_alike = known.split('-').next() == name.split('-').next() || dashes(name) == 0;
        dashes(known) == dashes(name) && is_alike
    })
}
