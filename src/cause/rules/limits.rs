//! Too much for now: what waiting mends.
//!
//! Never looks at anything but the message.
#![warn(clippy::disallowed_methods)]

use super::When::Says;
use super::{LIKELY, NEXT_WAIT, PLAUSIBLE, Rule, SURE};
use crate::outcome::Cause::RateLimit;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "subscription_limit",
        cause: RateLimit,
        confidence: LIKELY,
        when: Says(&[
            r"usage limit (?:has been )?reached|reached your (?:\S+ )?usage limit",
            r"(?:hit|reached|exceeded) your (?:\S+ ){0,2}limit",
            r"(?:5-hour|weekly|session|opus|sonnet|daily) limit (?:has been )?(?:reached|exceeded)",
            r"limit reached.{0,30}resets",
        ]),
        unless: &[],
        on: &[],
        why: "the subscription's limit for these hours is reached",
        next: "wait for the reset that the message names, or run with an API key instead of a subscription",
        example: "You've hit your session limit \u{b7} resets 3pm (UTC)",
    },
    Rule {
        name: "gateway_rate_limit",
        cause: RateLimit,
        confidence: SURE,
        when: Says(&[
            r"crossed TPM|max parallel request|parallel request limit|max_parallel_requests",
            r"user-defined ratelimit",
            r"rate limit exceeded for|limit type: (?:tokens|requests|max_parallel)",
            r"model capacity reached|priority-based rate limit",
            r"over available [TR]PM|[TR]PM limit|over limit for",
            r"(?:are|is|in) (?:a )?cool(?:ing )?down|model_cooldown",
        ]),
        unless: &[],
        on: &[],
        why: "the gateway's own limit on requests or tokens, or its rest after the provider's",
        next: NEXT_WAIT,
        example: "litellm.RateLimitError: Rate limit exceeded for api_key: 88dc. Limit type: requests. Current limit: 2, Remaining: 0.",
    },
    Rule {
        name: "gateway_has_no_deployment_left",
        cause: RateLimit,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"no deployments available",
            r"RouterRateLimitError",
            r"no healthy deployments?",
            r"no available (?:accounts?|claude accounts?|credentials|providers?)",
        ]),
        unless: &[],
        on: &[],
        why: "every deployment of the alias rests after earlier errors",
        next: "read the gateway's log for the error before this one: it is the real one; then wait out the rest and run again",
        example: "429: No deployments available for selected model, Try again in 5 seconds. Passed model=claude-haiku. pre-call-checks=False, cooldown_list=['a']",
    },
    Rule {
        name: "aws_throttling",
        cause: RateLimit,
        confidence: SURE,
        when: Says(&[
            r"Throttl(?:ing|ed)",
            r"too many (?:tokens|requests|connections|concurrent)",
            r"TooManyRequests",
            r"ServiceQuotaExceeded",
            r"SlowDown",
        ]),
        unless: &[r"at capacity|overloaded"],
        on: &[],
        why: "the provider throttles this account",
        next: NEXT_WAIT,
        example: "An error occurred (ThrottlingException) when calling the ConverseStream operation: Too many tokens, please wait before trying again.",
    },
    Rule {
        name: "google_quota",
        cause: RateLimit,
        confidence: SURE,
        when: Says(&[
            r"RESOURCE_EXHAUSTED|resource (?:has been )?exhausted|ResourceExhausted",
            r"quota exceeded|quotas? .{0,60}exceeded|exceeded .{0,40}quota|QuotaFailure",
            r"rateLimitExceeded",
        ]),
        unless: &[r"disk quota"],
        on: &[],
        why: "a quota per minute or day is used up",
        next: NEXT_WAIT,
        example: "{\"error\":{\"code\":429,\"message\":\"Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model with base model: anthropic-claude-haiku.\",\"status\":\"RESOURCE_EXHAUSTED\"}}",
    },
    Rule {
        name: "rate_limit",
        cause: RateLimit,
        confidence: SURE,
        when: Says(&[
            r"rate_?limit_?error|rate[ _-]?limit(?:s|ed|ing)?\b|ratelimited",
            r"(?:tokens?|requests?|messages) per (?:minute|day|second|hour)",
            r"concurrent (?:connections|requests)",
            r"temporarily limiting requests",
            r"exceeded .{0,40}(?:call rate|token rate)",
            r"acceleration limit|slow down",
        ]),
        unless: &[],
        on: &[],
        why: "a limit on requests or tokens for a time",
        next: NEXT_WAIT,
        example: "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"This request would exceed your organization's limit of 30,000 input tokens per minute\"}}",
    },
];
