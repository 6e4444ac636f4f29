//! The fields and headers of a reply that not every route and model has: who sends them, and by which source.
//!
//! What no source shows on a route stays away there:
//!
//! | part of a reply | not sent | why |
//! |---|---|---|
//! | `service_tier`, `caller` | on `InvokeModel` | the recordings lack them |
//! | `service_tier`, `caller`, `stop_details` without a refusal | on Vertex AI and Bedrock's Messages API | no source shows them |
//! | `inference_geo` | on clouds | the page on data residency has it for Anthropic's own API only |
//! | `container` | always | only code that the provider runs has one, and the simulator runs none |
//! | `diagnostics`, `output_tokens_details`, `iterations` | always | the recordings with them are of requests with betas |
//! | limits (`anthropic-ratelimit-*`) | on clouds, and with a subscription | clouds have their own; a subscription has others |
//! | `x-should-retry` | but with status 429 | no recording has it with another status |
//!
//! The sources are the pages that each item names, and these recordings:
//!
//! | API | models | recorded in | where |
//! |---|---|---|---|
//! | Anthropic | Haiku, Sonnet and Opus 4.5 | February 2026 | `tests/lib/**/__inline_snapshot__/` of the package `anthropic` 2.14.0 |
//! | Anthropic | Haiku 4.5, Opus 4.7 | May 2026 | `packages/llm/test/fixtures/recordings/` of <https://github.com/anomalyco/opencode> |
//! | Bedrock | Sonnet 4.5 | October 2026 | `src/__tests__/drift/bedrock-misbehavior-live.drift.ts` of <https://github.com/CopilotKit/aimock> |

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;

use super::Route;
use super::model::{Generation, find};

/// The fields of a reply besides the answer itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyFields {
    /// `service_tier` of the usage. The responses of Microsoft Foundry have the form of Anthropic's:
    /// <https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry>.
    pub service_tier: bool,
    /// `inference_geo` of the usage: where the model ran. Models before Opus 4.6 have the value `not_available`, and so has a
    /// subscription. Source: <https://platform.claude.com/docs/en/build-with-claude/data-residency>.
    pub inference_geo: Option<&'static str>,
    /// `caller` of a tool's call: the model itself, not code that it runs.
    pub caller: bool,
    /// `stop_details`, which is null without a refusal.
    pub stop_details: bool,
    /// `speed` of the usage of a request in fast mode: `fast`. Source: `types/beta/beta_usage.py` of the official SDK.
    pub is_fast: bool,
    /// Whether headers tell the limits of the account (`rate_limits`).
    pub limits: bool,
}

impl ReplyFields {
    /// What `route` sends for `model`. `is_subscription` tells whether the request has the token of a subscription.
    pub fn of(route: Route, model: &str, is_subscription: bool) -> Self {
        let is_anthropics = route == Route::Anthropic;
        let has_geography = find(model).is_some_and(|model| model.generation >= Generation::FourSix);
        let geography = match has_geography && !is_subscription {
            true => "global",
            false => "not_available",
        };
        Self {
            service_tier: is_anthropics || route == Route::Azure,
            inference_geo: is_anthropics.then_some(geography),
            caller: is_anthropics || route == Route::Azure,
            stop_details: matches!(route, Route::Anthropic | Route::Azure | Route::BedrockInvoke),
            is_fast: false,
            limits: is_anthropics && !is_subscription,
        }
    }

    /// The same for a request with the body `asked`.
    pub fn asked_by(self, asked: Option<&Value>) -> Self {
        Self {
            is_fast: asked.is_some_and(|asked| asked["speed"] == "fast"),
            ..self
        }
    }
}

/// The organization of the simulated account.
///
/// Source: <https://platform.claude.com/docs/en/api/overview#response-headers> (in every response)
pub const ORGANIZATION: (&str, &str) = (
    "anthropic-organization-id",
    "0c0a7a7e-5157-4a7e-9a11-5de05e1a7e01",
);

/// The names of the headers of a limit, the limit, and what is left of it.
const LIMITS: [([&str; 3], u64, u64); 4] = [
    (
        [
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ],
        4000,
        3999,
    ),
    (
        [
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ],
        2_400_000,
        2_400_000,
    ),
    (
        [
            "anthropic-ratelimit-input-tokens-limit",
            "anthropic-ratelimit-input-tokens-remaining",
            "anthropic-ratelimit-input-tokens-reset",
        ],
        2_000_000,
        2_000_000,
    ),
    (
        [
            "anthropic-ratelimit-output-tokens-limit",
            "anthropic-ratelimit-output-tokens-remaining",
            "anthropic-ratelimit-output-tokens-reset",
        ],
        400_000,
        400_000,
    ),
];

/// The headers with the limits of an account that has used one request.
///
/// Source: <https://platform.claude.com/docs/en/api/rate-limits#response-headers>; the recording of all twelve:
/// <https://rdrr.io/cran/tidyllm/src/tests/testthat/claude/api.anthropic.com/v1/messages-e050b5-POST.R>
pub fn rate_limits(now_ms: u64) -> Vec<(&'static str, String)> {
    let now = i64::try_from(now_ms)
        .ok()
        .and_then(DateTime::from_timestamp_millis);
    let reset = now.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true);
    let headers = LIMITS
        .iter()
        .flat_map(|([limit, remaining, reset_at], most, left)| {
            [
                (*limit, most.to_string()),
                (*remaining, left.to_string()),
                (*reset_at, reset.clone()),
            ]
        });
    headers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_has_the_fields_that_a_source_shows() {
        let of = |route, model| ReplyFields::of(route, model, false);
        let anthropic = of(Route::Anthropic, "claude-haiku-4-5");
        assert!(anthropic.service_tier && anthropic.caller && anthropic.stop_details && anthropic.limits);
        for (route, model, geography) in [
            (Route::Anthropic, "claude-haiku-4-5", Some("not_available")),
            (Route::Anthropic, "claude-opus-4-7", Some("global")),
            (Route::Anthropic, "claude-unknown-9", Some("not_available")),
            (Route::Azure, "claude-opus-4-7", None),
            (Route::VertexAi, "claude-opus-4-7", None),
        ] {
            assert_eq!(of(route, model).inference_geo, geography, "{route:?} {model}");
        }
        let subscription = ReplyFields::of(Route::Anthropic, "claude-opus-4-7", true);
        assert_eq!(subscription.inference_geo, Some("not_available"));
        assert!(!subscription.limits);
        let vertex = of(Route::VertexAi, "claude-opus-4-7");
        assert_eq!(vertex, ReplyFields::default());
        let invoke = of(Route::BedrockInvoke, "claude-haiku-4-5");
        assert!(invoke.stop_details && !invoke.service_tier && !invoke.caller);
    }

    #[test]
    fn the_limits_are_those_of_an_account_with_one_request() {
        let headers = rate_limits(1_772_049_757_475);
        assert_eq!(headers.len(), 12);
        assert!(headers.contains(&("anthropic-ratelimit-requests-remaining", "3999".to_owned())));
        let reset = (
            "anthropic-ratelimit-tokens-reset",
            "2026-02-25T20:02:37Z".to_owned(),
        );
        assert!(headers.contains(&reset));
    }
}
