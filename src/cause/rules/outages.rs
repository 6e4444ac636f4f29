//! The provider is down, in its own words.
//!
//! Never looks at anything but the message.
#![warn(clippy::disallowed_methods)]

use super::When::Says;
use super::{LIKELY, NEXT_UPSTREAM, Rule, SURE};
use crate::outcome::Cause::Upstream;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "overloaded",
        cause: Upstream,
        confidence: SURE,
        when: Says(&[
            r"overloaded",
            r"\b529\b",
            r"at capacity|experiencing high (?:load|demand|traffic)|high demand",
            r"currently (?:overloaded|unavailable|experiencing)",
            r"insufficient capacity|no capacity|capacity_exhausted",
        ]),
        unless: &[r"overloaded (?:method|function|operator)"],
        on: &[],
        why: "the provider says it is overloaded",
        next: NEXT_UPSTREAM,
        example: "litellm.InternalServerError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
    },
    Rule {
        name: "cloud_unavailable",
        cause: Upstream,
        confidence: LIKELY,
        when: Says(&[
            r"ServiceUnavailableException|ModelNotReady|ModelTimeout|ModelErrorException|ModelStreamError|InternalServerException|InternalFailure|InternalServiceError",
            r"bedrock is unable to process|unable to process your request",
            r"unexpected error during processing|system encountered an unexpected error",
            r#"status"?'?: ?["'](?:UNAVAILABLE|DEADLINE_EXCEEDED|INTERNAL)["']"#,
            r"503 UNAVAILABLE|DEADLINE_EXCEEDED|api_core\.exceptions\.RetryError|service is currently unavailable|internal error encountered",
            r"temporarily unavailable|try your request again",
        ]),
        unless: &[r"resource temporarily unavailable"],
        on: &[],
        why: "the provider says that it, not the request, is at fault",
        next: NEXT_UPSTREAM,
        example: "BedrockException - An error occurred (ServiceUnavailableException) when calling the InvokeModel operation: Bedrock is unable to process your request.",
    },
];
