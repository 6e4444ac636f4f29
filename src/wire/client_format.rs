//! The API in which Claude Code calls a gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Route;
use crate::ids::ProviderId;

/// The API in which `claude` calls the gateway.
///
/// Source: <https://code.claude.com/docs/en/llm-gateway-protocol#api-formats>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientFormat {
    /// The Messages API: `ANTHROPIC_BASE_URL`.
    #[default]
    Messages,
    /// The gateway's pass-through to Anthropic, the Messages API below `/anthropic`.
    Passthrough,
    /// The provider's own API: `CLAUDE_CODE_USE_BEDROCK`, `_VERTEX`, `_FOUNDRY`, `_MANTLE`.
    Provider,
}

/// Where a gateway passes requests through to Anthropic. Source: <https://docs.litellm.ai/docs/pass_through/intro>.
pub const PASS_THROUGH: &str = "/anthropic";

/// The path below a gateway's pass-through to Anthropic; other paths as they are.
pub fn below_pass_through(path: &str) -> &str {
    let rest = path.strip_prefix(PASS_THROUGH);
    rest.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

impl ClientFormat {
    /// Whether it is the usual one.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// The formats by their names in flags and results.
    pub const NAMES: [(&str, Self); 3] = [
        ("messages", Self::Messages),
        ("passthrough", Self::Passthrough),
        ("provider", Self::Provider),
    ];

    /// The format called `name`; the Messages API for an unknown name.
    pub fn called(name: &str) -> Self {
        let known = Self::NAMES.into_iter().find(|(known, _)| *known == name);
        known.map_or(Self::Messages, |(_, format)| format)
    }

    pub fn name(self) -> &'static str {
        let known = Self::NAMES.into_iter().find(|(_, format)| *format == self);
        known.map_or("messages", |(name, _)| name)
    }

    /// Whether Claude Code names the gateway's alias for a model of `provider`. A pass-through to Anthropic or Vertex AI needs the
    /// provider's name. LiteLLM 1.106.2 looks up the model in a path of Bedrock among its aliases, and refuses all others
    /// (`route_llm_request.py`).
    pub fn has_alias(self, provider: &ProviderId) -> bool {
        match self {
            Self::Messages => true,
            Self::Passthrough => false,
            Self::Provider => Route::called(provider.as_str()) != Some(Route::VertexAi),
        }
    }

    /// Whether Claude Code's requests for `provider` have the form of the Messages API.
    pub fn is_messages_api(self, provider: &ProviderId) -> bool {
        self != Self::Provider || Route::called(provider.as_str()).is_some_and(Route::is_messages_api)
    }
}
