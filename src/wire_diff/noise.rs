//! Changes that every gateway may make: a table of rules, each with its reason.
//!
//! Nothing compares the order of keys, message ids and pings, so they need no rule.

use serde_json::{Value, json};

use super::{Change, Fate, Part};
use crate::wire::{Direction, Operation, Route};

/// A rule that filters a difference as noise.
pub struct NoiseRule {
    /// Its name in the counts of `wire-diff.json`.
    pub name: &'static str,
    /// Why a gateway may make this change.
    pub reason: &'static str,
    is_noise: fn(&Change) -> bool,
}

/// The first rule that filters `change`.
pub fn rule_for(change: &Change) -> Option<&'static NoiseRule> {
    RULES.iter().find(|rule| (rule.is_noise)(change))
}

pub const RULES: &[NoiseRule] = &[
    NoiseRule {
        name: "credentials",
        reason: "a gateway accepts its own keys and has others for the provider",
        is_noise: |change| {
            is_header(
                change,
                "authorization x-api-key api-key x-goog-api-key x-goog-user-project cookie",
            ) || is_header_like(change, "x-amz-")
        },
    },
    NoiseRule {
        name: "connection",
        reason: "headers of one connection or of one body (RFC 9110): a new request has its own",
        is_noise: |change| {
            is_header(
                change,
                "host connection keep-alive content-length transfer-encoding content-type",
            ) || is_header(change, "accept accept-encoding accept-language")
        },
    },
    NoiseRule {
        name: "client",
        reason: "they name the sending program: towards the provider this is the gateway's HTTP client",
        is_noise: |change| {
            is_header(
                change,
                "user-agent anthropic-dangerous-direct-browser-access x-app",
            ) || is_header_like(change, "x-stainless-")
        },
    },
    NoiseRule {
        name: "tracing",
        reason: "a gateway may add headers that trace a request; it must drop none",
        is_noise: |change| {
            change.what.fate == Fate::Added
                && (is_header(change, "traceparent tracestate via forwarded x-request-id")
                    || is_header_like(change, "x-forwarded-"))
        },
    },
    NoiseRule {
        name: "model_id",
        reason: "an alias of the gateway becomes the provider's model id, which Bedrock and Vertex AI have in the path",
        is_noise: |change| is_field(change, "model"),
    },
    NoiseRule {
        name: "stream_in_path",
        reason: "Bedrock and Vertex AI name streaming in the path; the reply shows whether a stream comes",
        is_noise: |change| {
            is_field(change, "stream") && change.what.fate == Fate::Dropped && is_cloud(change)
        },
    },
    NoiseRule {
        name: "version_in_body",
        reason: "Bedrock and Vertex AI have `anthropic_version` in the body, with their own values",
        is_noise: |change| {
            is_cloud(change)
                && (is_field(change, "anthropic_version") || is_header(change, "anthropic-version"))
        },
    },
    NoiseRule {
        name: "renamed_beta",
        reason: "advanced tool use of Anthropic's API is tool search on Bedrock and Vertex AI \
                 (https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool)",
        is_noise: |change| {
            is_cloud(change)
                && (is_beta(change, Fate::Dropped, "advanced-tool-use-2025-11-20")
                    || is_beta(change, Fate::Added, "tool-search-tool-2025-10-19"))
        },
    },
    NoiseRule {
        name: "beta_of_the_api",
        reason: "no page of Bedrock or Vertex AI offers these betas, and both refuse an unknown one: they name the client \
                 and add a count, and change no answer",
        is_noise: |change| {
            let betas = ["claude-code-20250219", "thinking-token-count-2026-05-13"];
            is_cloud(change) && betas.iter().any(|beta| is_beta(change, Fate::Dropped, beta))
        },
    },
    NoiseRule {
        name: "billing_line",
        reason: "a line of the system prompt in the form of a header, for Anthropic's own accounting; it stands before \
                 every cache breakpoint and differs from run to run, so gateways remove it for other providers",
        is_noise: |change| {
            let block = change.what.before.as_ref();
            let text = block.and_then(|block| block["text"].as_str()).unwrap_or_default();
            change.direction == Direction::Request
                && change.what.part == Part::Block
                && change.what.fate == Fate::Dropped
                && change.what.path.starts_with("system[")
                && text.starts_with("x-anthropic-billing-header:")
        },
    },
    NoiseRule {
        name: "metadata_on_converse",
        reason: "Converse has no place for the Messages API's `metadata`: its `requestMetadata` is for the account's logs",
        is_noise: |change| {
            let begins = |word: &str| change.what.path.starts_with(word);
            is_converse(change, Part::Field) && (begins("metadata") || begins("requestMetadata"))
        },
    },
    NoiseRule {
        name: "schema_on_converse",
        reason: "Converse takes a tool's schema as a document: it may lack keys that no validator reads (`$schema`), that \
                 say nothing (an empty `required`) or that do not bind a model (`additionalProperties: false`)",
        is_noise: |change| {
            let ends = |word: &str| change.what.path.ends_with(word);
            is_converse(change, Part::Tool)
                && (ends(".$schema")
                    || (ends(".required") && is_only(change, &json!([])))
                    || (ends(".additionalProperties") && is_only(change, &json!(false))))
        },
    },
    NoiseRule {
        name: "token_count_form",
        reason: "Bedrock's CountTokens wraps the whole request into `input`, and an old beta enables token counting",
        is_noise: |change| {
            change.operation == Operation::CountTokens
                && change.what.fate == Fate::Added
                && (is_beta(change, Fate::Added, "token-counting-2024-11-01")
                    || (is_cloud(change) && is_field(change, "input")))
        },
    },
    NoiseRule {
        name: "response_fields_on_converse",
        reason: "Converse omits reply fields that the request does not name: asking for more loses nothing",
        is_noise: |change| {
            is_converse(change, Part::Field)
                && change.what.fate == Fate::Added
                && is_field(change, "additionalModelResponseFieldPaths")
        },
    },
];

fn is_request(change: &Change, part: Part) -> bool {
    change.direction == Direction::Request && change.what.part == part
}

/// `names` are separated by spaces.
fn is_header(change: &Change, names: &str) -> bool {
    is_request(change, Part::Header) && names.split(' ').any(|name| name == change.what.path)
}

fn is_header_like(change: &Change, prefix: &str) -> bool {
    is_request(change, Part::Header) && change.what.path.starts_with(prefix)
}

fn is_field(change: &Change, name: &str) -> bool {
    is_request(change, Part::Field) && change.what.path == name
}

fn is_beta(change: &Change, fate: Fate, name: &str) -> bool {
    change.what.part == Part::Beta && change.what.fate == fate && change.what.path == name
}

/// Whether only one side has a value, and it is `value`.
fn is_only(change: &Change, value: &Value) -> bool {
    match (&change.what.before, &change.what.after) {
        (Some(one), None) | (None, Some(one)) => one == value,
        _ => false,
    }
}

fn is_converse(change: &Change, part: Part) -> bool {
    change.route == Some(Route::BedrockConverse) && change.what.part == part
}

/// Whether the route is not Anthropic's own API.
fn is_cloud(change: &Change) -> bool {
    change.route.is_some_and(|route| route != Route::Anthropic)
}
