//! Changes that every gateway may make: a table of rules, each with its reason.
//!
//! Nothing compares the order of keys, the ids of messages (alone), added or single pings, and comments in a stream. So they
//! need no rule. Nor do the headers of a reply that Claude Code does not read (`request-id` among them).

use serde_json::{Value, json};

use super::{Change, Fate, Part, reply};
use crate::wire::{Direction, Operation, Route, betas, converse};

/// A rule that filters a difference as noise.
pub struct NoiseRule {
    /// Its name in the counts of `wire-diff.json`.
    pub name: &'static str,
    /// Where the contract, or a provider's page, leaves the change free: `llm-gateway-protocol#…` is a section of
    /// <https://code.claude.com/docs/en/llm-gateway-protocol>, `protocol#…` one of the text that `claude gateway` serves at
    /// `/protocol`.
    pub clause: &'static str,
    /// Why a gateway may make this change.
    pub reason: &'static str,
    pub direction: Direction,
    /// The routes that it is for.
    pub routes: &'static [Route],
    is_noise: fn(&Change) -> bool,
}

const EVERY: &[Route] = &Route::ALL;
const CLOUDS: &[Route] = &[Route::BedrockInvoke, Route::BedrockConverse, Route::VertexAi];
/// The routes of other companies than Anthropic.
const RESOLD: &[Route] = &[
    Route::BedrockInvoke,
    Route::BedrockConverse,
    Route::VertexAi,
    Route::Azure,
    Route::BedrockMantle,
];
const TOOL_SEARCH: &[Route] = &[
    Route::BedrockInvoke,
    Route::BedrockConverse,
    Route::VertexAi,
    Route::BedrockMantle,
];
const BEDROCK: &[Route] = &[Route::BedrockInvoke, Route::BedrockConverse];
const CONVERSE: &[Route] = &[Route::BedrockConverse];

/// The beginning of the headers that name the session, the subagent and the kind of a request.
const ATTRIBUTION_HEADERS: &str = "x-claude-code-";

/// Headers of InvokeModel that change its answer, or where and how it is processed.
///
/// Source: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html>
const SETTINGS: [&str; 4] = [
    "x-amzn-bedrock-guardrailidentifier",
    "x-amzn-bedrock-guardrailversion",
    "x-amzn-bedrock-performanceconfig-latency",
    "x-amzn-bedrock-service-tier",
];

/// The first rule that filters `change`.
pub fn rule_for(change: &Change) -> Option<&'static NoiseRule> {
    RULES.iter().find(|rule| rule.filters(change))
}

impl NoiseRule {
    fn filters(&self, change: &Change) -> bool {
        // At an unknown path, the path is the fault.
        let is_its_route = change.route.is_none_or(|route| self.routes.contains(&route));
        is_its_route && change.direction == self.direction && (self.is_noise)(change)
    }
}

pub const RULES: &[NoiseRule] = &[
    NoiseRule {
        name: "free_header",
        clause: "llm-gateway-protocol#request-headers",
        reason: "in every row only `anthropic-beta` and `anthropic-version` must arrive: a gateway may forward, drop or add \
                 other headers; one that names session, agent or kind of request (`x-claude-code-…`) with a value of its own would be \
                 false, and InvokeModel has settings in headers",
        direction: Direction::Request,
        routes: EVERY,
        is_noise: |change| {
            let is_attribution = change.what.path.starts_with(ATTRIBUTION_HEADERS);
            let is_setting = change.what.fate != Fate::Dropped
                && change.route == Some(Route::BedrockInvoke)
                && SETTINGS.contains(&change.what.path.as_str());
            change.what.part == Part::Header
                && change.what.path != "anthropic-version"
                && !(is_attribution && change.what.fate != Fate::Dropped)
                && !is_setting
        },
    },
    NoiseRule {
        name: "model_id",
        clause: "protocol#proxying-to-bedrock-vertex-or-foundry, Model IDs",
        reason: "an alias of the gateway becomes the provider's model id, which Bedrock and Vertex AI have in the path",
        direction: Direction::Request,
        routes: EVERY,
        is_noise: |change| {
            // A token count has it in the body.
            let is_in_path = change.operation == Operation::Messages
                && change.route.is_some_and(|route| CLOUDS.contains(&route));
            is_field(change, "model") && !(is_in_path && change.what.after.is_some())
        },
    },
    NoiseRule {
        name: "stream_in_path",
        clause: "llm-gateway-protocol#api-formats",
        reason: "Bedrock and Vertex AI name streaming in the path; the reply shows whether a stream comes",
        direction: Direction::Request,
        routes: CLOUDS,
        is_noise: |change| is_field(change, "stream") && change.what.fate == Fate::Dropped,
    },
    NoiseRule {
        name: "default_stream",
        clause: "https://platform.claude.com/docs/en/api/messages",
        reason: "a request without `stream` does not stream, as with `false`",
        direction: Direction::Request,
        routes: EVERY,
        is_noise: |change| is_field(change, "stream") && is_only(change, &json!(false)),
    },
    NoiseRule {
        name: "form_of_number",
        clause: "https://www.rfc-editor.org/rfc/rfc8259#section-6",
        reason: "1 and 1.0 are the same number, and this field takes any number",
        direction: Direction::Request,
        routes: EVERY,
        is_noise: |change| {
            let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_f64);
            let sent = number(&change.what.before);
            is_field(change, "temperature") && sent.is_some() && sent == number(&change.what.after)
        },
    },
    NoiseRule {
        name: "version_in_body",
        clause: "llm-gateway-protocol#api-formats",
        reason: "Bedrock and Vertex AI have `anthropic_version` in the body, with their own values",
        direction: Direction::Request,
        routes: CLOUDS,
        is_noise: |change| {
            is_field(change, "anthropic_version")
                || (change.what.part == Part::Header && change.what.path == "anthropic-version")
        },
    },
    NoiseRule {
        name: "refused_beta",
        clause: "protocol#proxying-to-bedrock-vertex-or-foundry, anthropic-beta",
        reason: "the route's provider refuses this beta, or accepts it and it changes no answer there (`wire::betas`)",
        direction: Direction::Request,
        routes: EVERY,
        is_noise: |change| {
            let has_effect = |route| betas::has_effect(route, &change.what.path);
            change.what.part == Part::Beta
                && change.what.fate == Fate::Dropped
                && !change.route.is_some_and(has_effect)
        },
    },
    NoiseRule {
        name: "renamed_beta",
        clause: "https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool",
        reason: "advanced tool use of Anthropic's API is tool search on Bedrock and Vertex AI, where its own beta is refused; \
                 control of a turn is an output configuration on Bedrock; a beta asks for fine pieces of a tool's arguments \
                 where the tool has no field for it",
        direction: Direction::Request,
        routes: TOOL_SEARCH,
        is_noise: |change| change.what.part == Part::Beta && change.what.fate == Fate::Changed,
    },
    NoiseRule {
        name: "refused_field_of_tool",
        clause: "https://github.com/anthropics/claude-code/issues/33180",
        reason: "InvokeModel refuses `eager_input_streaming` for models before Claude 5, and a beta asks for the same",
        direction: Direction::Request,
        routes: &[Route::BedrockInvoke],
        is_noise: |change| {
            change.what.part == Part::Tool
                && change.what.fate == Fate::Dropped
                && change.what.path.ends_with(".eager_input_streaming")
        },
    },
    NoiseRule {
        name: "web_search_beta",
        clause: "https://code.claude.com/docs/en/feature-availability",
        reason: "web search on Vertex AI needs a beta that Anthropic's API does not",
        direction: Direction::Request,
        routes: &[Route::VertexAi],
        is_noise: |change| is_added_beta(change) && change.what.path == "web-search-2025-03-05",
    },
    NoiseRule {
        name: "request_tags",
        clause: "protocol#proxying-to-bedrock-vertex-or-foundry, Request tags",
        reason: "Bedrock and Vertex AI refuse `tags`, which label usage and do not change the reply",
        direction: Direction::Request,
        routes: CLOUDS,
        is_noise: |change| is_field(change, "tags") && change.what.fate == Fate::Dropped,
    },
    NoiseRule {
        name: "metadata_on_converse",
        clause: "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
        reason: "Converse has no place for the Messages API's `metadata`: its `requestMetadata` is for the account's logs",
        direction: Direction::Request,
        routes: CONVERSE,
        is_noise: |change| {
            let begins = |word: &str| change.what.path.starts_with(word);
            change.what.part == Part::Field && (begins("metadata") || begins("requestMetadata"))
        },
    },
    NoiseRule {
        name: "schema_on_converse",
        clause: "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolInputSchema.html",
        reason: "Converse takes a tool's schema as a document: it may lack keys that no validator reads (`$schema`), that \
                 say nothing (an empty `required`) or that do not bind a model (`additionalProperties: false`)",
        direction: Direction::Request,
        routes: CONVERSE,
        is_noise: |change| {
            let ends = |word: &str| change.what.path.ends_with(word);
            change.what.part == Part::Tool
                && (ends(".$schema")
                    || (ends(".required") && is_only(change, &json!([])))
                    || (ends(".additionalProperties") && is_only(change, &json!(false))))
        },
    },
    NoiseRule {
        name: "shortened_name_on_converse",
        clause: "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html",
        reason: "a tool's name has at most 64 letters on Converse, so a gateway must shorten a longer one",
        direction: Direction::Request,
        routes: CONVERSE,
        is_noise: |change| {
            let length = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).map_or(0, str::len);
            let is_short = (1..=converse::LONGEST_NAME).contains(&length(&change.what.after));
            let is_long = length(&change.what.before) > converse::LONGEST_NAME;
            let is_name = match change.what.part {
                Part::Tool => change.what.path.ends_with(".name"),
                Part::Block => change.what.path.ends_with("(tool_use).name"),
                Part::Field => change.what.path == "tool_choice.name",
                _ => false,
            };
            is_name && is_long && is_short
        },
    },
    NoiseRule {
        name: "words_of_a_cloud",
        clause: "protocol#errors",
        reason: "a cloud's error may name accounts and projects, so a gateway may answer in words of its own; status and type stay, and \
                 the words by which Claude Code knows that a request is too large",
        direction: Direction::Reply,
        routes: RESOLD,
        is_noise: |change| {
            let path = &change.what.path;
            let is_of_body = path.starts_with(reply::MESSAGE_OF_ERROR);
            let words = change
                .what
                .before
                .as_ref()
                .and_then(Value::as_str)
                .unwrap_or_default();
            change.what.part == Part::Error
                && (is_of_body || path == reply::MESSAGE_OF_STREAM_ERROR)
                && !["too long", "request size"]
                    .iter()
                    .any(|known| words.to_lowercase().contains(known))
        },
    },
    NoiseRule {
        name: "token_counting_beta",
        clause: "https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/types/anthropic_beta_param.py",
        reason: "an old beta enables token counting, and gateways still send it with a token count",
        direction: Direction::Request,
        routes: EVERY,
        is_noise: |change| {
            change.operation == Operation::CountTokens
                && is_added_beta(change)
                && change.what.path == "token-counting-2024-11-01"
        },
    },
    NoiseRule {
        name: "token_count_form",
        clause: "protocol#proxying-to-bedrock-vertex-or-foundry, count_tokens",
        reason: "Bedrock's CountTokens wraps the whole request into `input`, an invoke body, which needs `max_tokens`",
        direction: Direction::Request,
        routes: BEDROCK,
        is_noise: |change| {
            change.operation == Operation::CountTokens
                && change.what.fate == Fate::Added
                && (is_field(change, "input") || is_field(change, "max_tokens"))
        },
    },
    NoiseRule {
        name: "response_fields_on_converse",
        clause: "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
        reason: "Converse omits reply fields that the request does not name: asking for more loses nothing",
        direction: Direction::Request,
        routes: CONVERSE,
        is_noise: |change| {
            change.what.fate == Fate::Added && is_field(change, "additionalModelResponseFieldPaths")
        },
    },
    NoiseRule {
        name: "beta_in_query",
        clause: "https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/resources/beta/messages/messages.py",
        reason: "the official clients mark calls of their beta methods by `beta=true`; the header names the betas",
        direction: Direction::Request,
        routes: EVERY,
        is_noise: |change| is_query(change, "beta") && change.what.fate == Fate::Dropped,
    },
    NoiseRule {
        name: "form_in_query",
        clause: "https://cloud.google.com/apis/docs/system-parameters",
        reason: "Google's `alt=sse` asks for a stream of events, which `:streamRawPredict` sends anyway",
        direction: Direction::Request,
        routes: &[Route::VertexAi],
        is_noise: |change| is_query(change, "alt") && is_only(change, &json!("sse")),
    },
    NoiseRule {
        name: "metrics_of_bedrock",
        clause: "llm-gateway-protocol#api-formats",
        reason: "Bedrock adds its own metrics to the last event of a stream; no client of the Messages API reads them",
        direction: Direction::Reply,
        routes: &[Route::BedrockInvoke],
        is_noise: |change| {
            change.what.fate == Fate::Dropped
                && is_field(change, "message_stop.amazon-bedrock-invocationMetrics")
        },
    },
];

fn is_field(change: &Change, name: &str) -> bool {
    change.what.part == Part::Field && change.what.path == name
}

fn is_query(change: &Change, name: &str) -> bool {
    change.what.part == Part::Query && change.what.path == name
}

fn is_added_beta(change: &Change) -> bool {
    change.what.part == Part::Beta && change.what.fate == Fate::Added
}

/// Whether only one side has a value, and it is `value`.
fn is_only(change: &Change, value: &Value) -> bool {
    match (&change.what.before, &change.what.after) {
        (Some(one), None) | (None, Some(one)) => one == value,
        _ => false,
    }
}
