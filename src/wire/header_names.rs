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

/// Headers of a connection, not of the message (RFC 9110, section 7.6.1).
pub const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// Headers that the connection or the body decides.
const OF_THE_MESSAGE: [&str; 5] = [
    "accept-encoding",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
];

/// Whether the connection or the body decides the value of header `name` (lower case).
pub fn is_of_the_connection(name: &str) -> bool {
    HOP_BY_HOP.contains(&name) || OF_THE_MESSAGE.contains(&name)
}

/// Why a gateway cannot want a request with another value of header `name`; `None` if it can.
pub fn reserved(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let is_own = name.starts_with("anthropic-") || name.starts_with("x-claude-code-");
    match is_of_the_connection(&name) {
        true => Some("the connection and the body decide its value"),
        false => is_own.then_some("it is Claude Code's own, and the matrix tests whether it arrives"),
    }
}

/// The known header that `name` is a slip of. Other headers are possible: gateways and clouds have their own.
pub fn misspelt(name: &str) -> Option<&'static str> {
    let dashes = |name: &str| name.matches('-').count();
    // `cf-request-id` and `retry-after-s` are others' own.
    slip_of(name, KNOWN).filter(|known| {
        let is_alike = known.split('-').next() == name.split('-').next() || dashes(name) == 0;
        dashes(known) == dashes(name) && is_alike
    })
}
