//! The provider says that it is down.

use super::{CauseRule, LIKELY, NEXT_UPSTREAM, SURE, rule};
use crate::outcome::Cause::Upstream;

pub(super) const RULES: &[CauseRule] = &[
    rule("overloaded", Upstream, SURE)
        .says(&[
            r"overloaded",
            r"\b529\b",
            r"at capacity|experiencing high (?:load|demand|traffic)|high demand",
            r"currently (?:overloaded|unavailable|experiencing)",
            r"insufficient capacity|no capacity|capacity_exhausted",
        ])
        .unless(&[r"overloaded (?:method|function|operator)"])
        .why("the provider says it is overloaded")
        .next(NEXT_UPSTREAM)
        .example("litellm.InternalServerError: AnthropicException - {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}"),
    rule("cloud_unavailable", Upstream, LIKELY)
        .says(&[
            r"ServiceUnavailableException|ModelNotReady|ModelTimeout|ModelErrorException|ModelStreamError|InternalServerException|InternalFailure|InternalServiceError",
            r"bedrock is unable to process|unable to process your request",
            r"unexpected error during processing|system encountered an unexpected error",
            r#"status"?'?: ?["'](?:UNAVAILABLE|DEADLINE_EXCEEDED|INTERNAL)["']"#,
            r"503 UNAVAILABLE|DEADLINE_EXCEEDED|api_core\.exceptions\.RetryError|service is currently unavailable|internal error encountered",
            r"temporarily unavailable|try your request again",
        ])
        .unless(&[r"resource temporarily unavailable"])
        .why("the provider says that the error is its own")
        .next(NEXT_UPSTREAM)
        .example("BedrockException - An error occurred (ServiceUnavailableException) when calling the InvokeModel operation: Bedrock is unable to process your request."),
];
