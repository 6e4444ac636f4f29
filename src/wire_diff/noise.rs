//! What every gateway may change: a table of rules, each with its reason.
//!
//! Key order, message ids and pings are no differences at all: nothing compares them.

use crate::wire::{Direction, Operation, Route};
use serde_json::{Value, json};

use super::{Change, Fate, Part};

/// A rule that takes a difference for noise.
pub struct Rule {
    /// Its name, as `wire-diff.json` counts it.
    pub name: &'static str,
    /// Why a gateway may do so.
    pub reason: &'static str,
    is_noise: fn(&Change) -> bool,
}

/// The first rule by which `change` is noise.
pub fn rule_for(change: &Change) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.is_noise)(change))
}

pub const RULES: &[Rule] = &[
    Rule {
        name: "credentials",
        reason: "a gateway takes its own key and shows the provider another: that is what it is for",
        is_noise: |change| {
            is_header(
                change,
                &[
                    "authorization",
                    "x-api-key",
                    "api-key",
                    "x-goog-api-key",
                    "x-goog-user-project",
                    "cookie",
                ],
            ) || is_header_like(change, "x-amz-")
        },
    },
    Rule {
        name: "connection",
        reason: "headers of one connection, or of one body on it (RFC 9110): a new request has its own",
        is_noise: |change| {
            is_header(
                change,
                &[
                    "host",
                    "connection",
                    "keep-alive",
                    "content-length",
                    "transfer-encoding",
                    "content-type",
                    "accept",
                    "accept-encoding",
                    "accept-language",
                ],
            )
        },
    },
    Rule {
        name: "client",
        reason: "they name the program that sends: towards the provider that is the gateway's HTTP client",
        is_noise: |change| {
            is_header(
                change,
                &["user-agent", "anthropic-dangerous-direct-browser-access", "x-app"],
            ) || is_header_like(change, "x-stainless-")
        },
    },
    Rule {
        name: "tracing",
        reason: "a gateway may add headers of its own that follow a request about; none may be dropped",
        is_noise: |change| {
            change.what.fate == Fate::Added
                && (is_header(
                    change,
                    &["traceparent", "tracestate", "via", "forwarded", "x-request-id"],
                ) || is_header_like(change, "x-forwarded-"))
        },
    },
    Rule {
        name: "model_id",
        reason: "an alias of the gateway becomes the provider's model id, which Bedrock and Vertex AI have in the path",
        is_noise: |change| is_field(change, "model"),
    },
    Rule {
        name: "stream_in_path",
        reason: "Bedrock and Vertex AI name streaming in the path; whether a stream comes is compared in the reply",
        is_noise: |change| {
            is_field(change, "stream") && change.what.fate == Fate::Dropped && is_cloud(change)
        },
    },
    Rule {
        name: "version_in_body",
        reason: "Bedrock and Vertex AI have `anthropic_version` in the body, in words of their own",
        is_noise: |change| {
            is_cloud(change)
                && (is_field(change, "anthropic_version") || is_header(change, &["anthropic-version"]))
        },
    },
    Rule {
        name: "renamed_beta",
        reason: "advanced tool use of Anthropic's API is tool search on Bedrock and Vertex AI \
                 (https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool)",
        is_noise: |change| {
            is_cloud(change)
                && (is_beta(change, Fate::Dropped, "advanced-tool-use-2025-11-20")
                    || is_beta(change, Fate::Added, "tool-search-tool-2025-10-19"))
        },
    },
    Rule {
        name: "beta_of_the_api",
        reason: "no page of Bedrock or Vertex AI offers these betas, and an unknown one is refused there: they name the \
                 client and add a count, and change no answer",
        is_noise: |change| {
            is_cloud(change)
                && ["claude-code-20250219", "thinking-token-count-2026-05-13"]
                    .iter()
                    .any(|beta| is_beta(change, Fate::Dropped, beta))
        },
    },
    Rule {
        name: "billing_line",
        reason: "a line of the system prompt in the form of a header, for Anthropic's own accounting; it stands before \
                 every cache breakpoint and differs from run to run, so that gateways take it out for other providers",
        is_noise: |change| {
            let is_line = change.what.before.as_ref().is_some_and(|block| {
                block["text"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("x-anthropic-billing-header:"))
            });
            change.direction == Direction::Request
                && change.what.part == Part::Block
                && change.what.fate == Fate::Dropped
                && change.what.path.starts_with("system[")
                && is_line
        },
    },
    Rule {
        name: "metadata_on_converse",
        reason: "Converse has no place for the Messages API's `metadata`: its `requestMetadata` is for logs of the account",
        is_noise: |change| {
            change.route == Some(Route::BedrockConverse)
                && change.what.part == Part::Field
                && (change.what.path.starts_with("metadata")
                    || change.what.path.starts_with("requestMetadata"))
        },
    },
    Rule {
        name: "schema_on_converse",
        reason: "Converse takes a tool's schema as a document of its own: what no validator reads (`$schema`), what says \
                 nothing (an empty `required`) or what a model is not held to (`additionalProperties: false`) may be missing",
        is_noise: |change| {
            let ends = |word: &str| change.what.path.ends_with(word);
            change.route == Some(Route::BedrockConverse)
                && change.what.part == Part::Tool
                && (ends(".$schema")
                    || (ends(".required") && is_one_of(change, &json!([])))
                    || (ends(".additionalProperties") && is_one_of(change, &json!(false))))
        },
    },
    Rule {
        name: "token_count_form",
        reason: "Bedrock's CountTokens wraps the whole request into `input`, and a beta of old days opens token counting",
        is_noise: |change| {
            change.operation == Operation::CountTokens
                && change.what.fate == Fate::Added
                && (is_beta(change, Fate::Added, "token-counting-2024-11-01")
                    || (is_cloud(change) && is_field(change, "input")))
        },
    },
    Rule {
        name: "response_fields_on_converse",
        reason: "Converse leaves out of a reply what it was not asked for by path: to ask for more loses nothing",
        is_noise: |change| {
            change.route == Some(Route::BedrockConverse)
                && change.what.fate == Fate::Added
                && is_field(change, "additionalModelResponseFieldPaths")
        },
    },
];

fn is_header(change: &Change, names: &[&str]) -> bool {
    change.direction == Direction::Request
        && change.what.part == Part::Header
        && names.contains(&change.what.path.as_str())
}

fn is_header_like(change: &Change, prefix: &str) -> bool {
    change.direction == Direction::Request
        && change.what.part == Part::Header
        && change.what.path.starts_with(prefix)
}

fn is_field(change: &Change, name: &str) -> bool {
    change.direction == Direction::Request && change.what.part == Part::Field && change.what.path == name
}

fn is_beta(change: &Change, fate: Fate, name: &str) -> bool {
    change.what.part == Part::Beta && change.what.fate == fate && change.what.path == name
}

fn is_one_of(change: &Change, value: &Value) -> bool {
    match (&change.what.before, &change.what.after) {
        (Some(one), None) | (None, Some(one)) => one == value,
        _ => false,
    }
}

/// By another route than Anthropic's own API.
fn is_cloud(change: &Change) -> bool {
    matches!(
        change.route,
        Some(Route::BedrockInvoke | Route::BedrockConverse | Route::VertexAi)
    )
}
