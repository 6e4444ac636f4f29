//! Limits for a time, which end by waiting.

use super::{CauseRule, LIKELY, NEXT_WAIT, PLAUSIBLE, SURE, rule};
use crate::outcome::Cause::RateLimit;

/// The rule of a gateway that stops using a deployment after errors.
pub const COOLDOWN: &str = "gateway_cooldown";

pub(super) const RULES: &[CauseRule] = &[
    rule("subscription_limit", RateLimit, LIKELY)
        .says(&[
            r"usage limit (?:has been )?reached|reached your (?:\S+ )?usage limit",
            r"(?:hit|reached|exceeded) your (?:\S+ ){0,2}limit",
            r"(?:5-hour|weekly|session|opus|sonnet|daily) limit (?:has been )?(?:reached|exceeded)",
            r"limit reached.{0,30}resets",
        ])
        .why("the subscription's limit for these hours is reached")
        .next("wait for the reset that the message names, or run with an API key instead of a subscription")
        .example("You've hit your session limit \u{b7} resets 3pm (UTC)"),
    rule("gateway_rate_limit", RateLimit, SURE)
        .says(&[
            r"crossed TPM|max parallel request|parallel request limit|max_parallel_requests",
            r"user-defined ratelimit",
            r"rate limit exceeded for|limit type: (?:tokens|requests|max_parallel)",
            r"model capacity reached|priority-based rate limit",
            r"over available [TR]PM|[TR]PM limit|over limit for",
        ])
        .why("a limit of the gateway on requests or tokens")
        .next(NEXT_WAIT)
        .example("litellm.RateLimitError: Rate limit exceeded for api_key: 88dc. Limit type: requests. Current limit: 2, Remaining: 0."),
    rule(COOLDOWN, RateLimit, SURE)
        .says(&[r"(?:are|is|in) (?:a )?cool(?:ing )?down|model_cooldown|no deployments available.{0,200}cooldown_list=\[[^\]]"])
        .why("after earlier errors of the provider, the gateway uses none of the alias's deployments for a while")
        .next("find the error before this one in the gateway's log, and wait for the end of the cooldown; LiteLLM has none with `router_settings.disable_cooldowns: true`")
        .example("429: No deployments available for selected model, Try again in 120 seconds. All deployments for selected model are in cooldown. Passed model=claude-haiku-4-5. pre-call-checks=False, cooldown_list=['94c7']"),
    rule("no_deployment_available", RateLimit, PLAUSIBLE)
        .says(&[
            r"no deployments available",
            r"RouterRateLimitError",
            r"no healthy deployments?",
            r"no available (?:accounts?|claude accounts?|credentials|providers?)",
        ])
        .why("every deployment of the alias is in cooldown after earlier errors")
        .next("find the error before this one in the gateway's log, then wait for the end of the cooldown and run again")
        .example("429: No deployments available for selected model, Try again in 5 seconds. Passed model=claude-haiku. pre-call-checks=False, cooldown_list=[]"),
    rule("aws_throttling", RateLimit, SURE)
        .says(&[
            r"Throttl(?:ing|ed)",
            r"too many (?:tokens|requests|connections|concurrent)",
            r"TooManyRequests",
            r"ServiceQuotaExceeded",
            r"SlowDown",
        ])
        .unless(&[r"at capacity|overloaded"])
        .why("the provider throttles this account")
        .next(NEXT_WAIT)
        .example("An error occurred (ThrottlingException) when calling the ConverseStream operation: Too many tokens, please wait before trying again."),
    rule("google_quota", RateLimit, SURE)
        .says(&[
            r"RESOURCE_EXHAUSTED|resource (?:has been )?exhausted|ResourceExhausted",
            r"quota exceeded|quotas? .{0,60}exceeded|exceeded .{0,40}quota|QuotaFailure",
            r"rateLimitExceeded",
        ])
        .unless(&[r"disk quota"])
        .why("a quota per minute or day is used up")
        .next(NEXT_WAIT)
        .example("{\"error\":{\"code\":429,\"message\":\"Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model with base model: anthropic-claude-haiku.\",\"status\":\"RESOURCE_EXHAUSTED\"}}"),
    rule("rate_limit", RateLimit, SURE)
        .says(&[
            r"rate_?limit_?error|rate[ _-]?limit(?:s|ed|ing)?\b|ratelimited",
            r"(?:tokens?|requests?|messages) per (?:minute|day|second|hour)",
            r"concurrent (?:connections|requests)",
            r"temporarily limiting requests",
            r"exceeded .{0,40}(?:call rate|token rate)",
            r"acceleration limit|slow down",
        ])
        .why("a limit on requests or tokens per time")
        .next(NEXT_WAIT)
        .example("{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"This request would exceed your organization's limit of 30,000 input tokens per minute\"}}"),
];
