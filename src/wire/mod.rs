//! HTTP traffic between Claude Code, gateway and provider, as values: routes, requests in each provider's form, the
//! provider-neutral form of a Messages request, and recorded exchanges.
#![warn(clippy::disallowed_methods)]

pub mod pointer;
pub mod message;
pub mod messages;
pub mod converse;
pub mod target;
pub mod client_format;
pub mod model;
pub mod betas;
pub mod request_types;
pub mod body_fields;
pub mod body_path;
pub mod header_names;
pub mod json;
pub mod encoding;
pub mod tokens;
pub mod script;
pub mod secrets;
pub mod refusal_rules;
pub mod reply_fields;
pub mod answer;
pub mod reply_id;
pub mod error_reply;
pub mod sse;
pub mod event_stream;
pub mod exchange;
pub mod place;
pub mod framing;
pub mod redaction;
pub mod sigv4;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A provider API that serves Claude models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Anthropic's Messages API, `POST /v1/messages`.
    Anthropic,
    /// Amazon Bedrock InvokeModel, `POST /model/{id}/invoke[-with-response-stream]`.
    BedrockInvoke,
    /// Amazon Bedrock Converse, `POST /model/{id}/converse[-stream]`.
    BedrockConverse,
    /// Vertex AI, `POST …/publishers/anthropic/models/{id}:[stream]RawPredict`.
    VertexAi,
    /// Microsoft Foundry, `POST /anthropic/v1/messages`.
    Azure,
    /// Amazon Bedrock's Messages API, `POST /anthropic/v1/messages` with an AWS signature or a Bedrock API key.
    BedrockMantle,
}

impl Route {
    /// In the order of the matrix.
    pub const ALL: [Self; 6] = [
        Self::Anthropic,
        Self::BedrockInvoke,
        Self::BedrockConverse,
        Self::VertexAi,
        Self::Azure,
        Self::BedrockMantle,
    ];

    /// Whether requests have the form of the Messages API: the model in the body, betas and version in headers.
    pub fn is_messages_api(self) -> bool {
        matches!(self, Self::Anthropic | Self::Azure | Self::BedrockMantle)
    }

    /// The route of the provider `name`, if it has one of its own.
    pub fn called(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.as_str() == name)
    }

    /// The name used in cells and results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::BedrockInvoke => "bedrock_invoke",
            Self::BedrockConverse => "bedrock_converse",
            Self::VertexAi => "vertex_ai",
            Self::Azure => "azure",
            Self::BedrockMantle => "bedrock_mantle",
        }
    }
}

/// The kind of a request to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A model's answer.
    Messages,
    /// The number of tokens a request would have.
    CountTokens,
    /// An OAuth access token (Vertex AI's service account flow).
    OauthToken,
    /// The models that Anthropic's API has, or one of them.
    ListModels,
    /// Anything else: no provider route has this path.
    Unknown,
}

impl Operation {
    /// Whether a gateway that answers with `status` says that it does not have this operation. Only token counts are optional
    /// (llm-gateway-protocol#optional-endpoints-and-startup-traffic).
    pub fn is_not_offered(self, status: u16) -> bool {
        self == Self::CountTokens && matches!(status, 404 | 501)
    }
}

/// Token counts of one answer, in the Messages API's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Prompt tokens that were neither written to nor read from the cache.
    pub input_tokens: u64,
    /// Prompt tokens written to the cache.
    #[serde(default)]
    pub cache_creation_input_tokens: u64,
    /// Prompt tokens read from the cache.
    #[serde(default)]
    pub cache_read_input_tokens: u64,
    /// Tokens of the answer.
    #[serde(default)]
    pub output_tokens: u64,
}

impl Usage {
    /// Whether the prompt cache was read or written. Bedrock reports its counts only then.
    pub fn is_cached(&self) -> bool {
        self.cache_creation_input_tokens + self.cache_read_input_tokens > 0
    }

    fn counts(self) -> [u64; 4] {
        [
            self.input_tokens,
            self.cache_creation_input_tokens,
            self.cache_read_input_tokens,
            self.output_tokens,
        ]
    }

    fn with(self, other: Self, choose: impl Fn(u64, u64) -> u64) -> Self {
        let (a, b) = (self.counts(), other.counts());
        let [
            input_tokens,
            cache_creation_input_tokens,
            cache_read_input_tokens,
            output_tokens,
        ] = std::array::from_fn(|at| choose(a[at], b[at]));
        Self {
            input_tokens,
            cache_creation_input_tokens,
            cache_read_input_tokens,
            output_tokens,
        }
    }

    /// The greater one of each count.
    pub fn max(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    /// Whether no count is greater than that of `other`.
    pub fn at_most(self, other: Self) -> bool {
        self.max(other) == other
    }
}

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        // Counts come from outside.
        usages.fold(Self::default(), |a, b| a.with(b, u64::saturating_add))
    }
}

/// A direction through the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From Claude Code to the provider.
    Request,
    /// From the provider to Claude Code.
    Reply,
}
