//! The provider-neutral form of a Messages request.
//!
//! Keeps blocks of an unknown type unchanged.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A Messages request in the form that a model sees, whatever the provider's form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MessageRequest {
    /// The model named by the request (on Bedrock and Vertex AI: in the path).
    pub model: String,
    pub system: Vec<Block>,
    pub messages: Vec<Message>,
    /// The tools offered, each with its definition.
    pub tools: Vec<Tool>,
    /// The thinking parameter, in the Messages API's form.
    pub thinking: Option<Value>,
    /// The upper bound of the answer, in tokens.
    pub max_tokens: Option<u64>,
    /// Beta flags, from the header or the body, in order.
    pub betas: Vec<String>,
}

impl MessageRequest {
    /// Whether it only tests whether a model exists, and counts as no turn. `claude` sends one on Bedrock before its first real
    /// request.
    pub fn is_probe(&self) -> bool {
        self.max_tokens == Some(1)
    }

    /// Whether it asks for thinking.
    pub fn thinks(&self) -> bool {
        let thinking = self.thinking.as_ref();
        thinking.is_some_and(|thinking| thinking["type"] == "enabled" || thinking["type"] == "adaptive")
    }
}

/// Why an answer ends (platform.claude.com, "Handling stop reasons").
pub const STOP_REASONS: [&str; 7] = [
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `user`, `assistant` or any other text.
    pub role: String,
    /// Its blocks; a plain string becomes one text block.
    pub content: Vec<Block>,
}

/// A tool that a request offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    pub name: String,
    /// The definition in the provider's form.
    pub definition: Value,
    /// Whether a cache breakpoint follows it.
    pub cache: Option<CacheBreakpoint>,
}

impl Tool {
    /// Name, description and schema of the arguments, from a definition of the Messages API or of Converse.
    pub fn parts(&self) -> [&Value; 3] {
        match self.definition.get("toolSpec") {
            Some(spec) => [&spec["name"], &spec["description"], &spec["inputSchema"]["json"]],
            None => ["name", "description", "input_schema"].map(|key| &self.definition[key]),
        }
    }
}

/// `value` without its `cache_control`.
pub fn without_breakpoint(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("cache_control");
    }
    value
}

/// The text of a block as the key of a cache has it: without the value of `cch` in the billing line of Claude Code. It differs
/// from request to request, and Anthropic's API leaves it out when it looks for a cached prefix.
///
/// Source of the line: <https://code.claude.com/docs/en/llm-gateway-protocol#system-prompt-attribution-block>
pub fn as_cached(text: &str) -> Cow<'_, str> {
    static CCH: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\bcch=[^;]*;\s*").expect("the pattern is valid"));
    match text.starts_with(BILLING_LINE) {
        true => CCH.replace_all(text, ""),
        false => text.into(),
    }
}

/// The begin of the block of the system prompt with which Claude Code names itself.
pub const BILLING_LINE: &str = "x-anthropic-billing-header:";

/// A block of content and its optional cache breakpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    pub content: Content,
    /// A `cache_control` on it, or a `cachePoint` after it.
    pub cache: Option<CacheBreakpoint>,
}

/// Where a prefix may be cached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheBreakpoint {
    /// The lifetime as the provider writes it; `5m` if absent.
    pub ttl: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    Text(String),
    /// `data` is in base64.
    Image {
        media_type: String,
        data: String,
    },
    /// `data` is in base64.
    Document {
        media_type: String,
        data: String,
    },
    Thinking {
        /// Its text, which may be empty.
        thinking: String,
        signature: String,
    },
    /// Thinking without its text.
    RedactedThinking(String),
    ToolUse {
        id: String,
        name: String,
        input: Value,
    },
    ToolResult {
        /// The id of the call it answers.
        tool_use_id: String,
        content: Vec<Block>,
        is_error: bool,
    },
    /// A block of another type, unchanged.
    Other(Value),
}

impl MessageRequest {
    /// The blocks of all messages, in order; the blocks in a tool result follow the result.
    pub fn blocks(&self) -> Vec<&Block> {
        fn walk<'a>(blocks: &'a [Block], found: &mut Vec<&'a Block>) {
            for block in blocks {
                found.push(block);
                if let Content::ToolResult { content, .. } = &block.content {
                    walk(content, found);
                }
            }
        }
        let mut found = Vec::new();
        for message in &self.messages {
            walk(&message.content, &mut found);
        }
        found
    }
}

pub fn text_of(blocks: &[Block]) -> String {
    blocks
        .iter()
        .filter_map(|block| match &block.content {
            Content::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

impl Content {
    /// The block's type in the Messages API.
    pub fn kind(&self) -> &str {
        match self {
            Self::Text(_) => "text",
            Self::Image { .. } => "image",
            Self::Document { .. } => "document",
            Self::Thinking { .. } => "thinking",
            Self::RedactedThinking(_) => "redacted_thinking",
            Self::ToolUse { .. } => "tool_use",
            Self::ToolResult { .. } => "tool_result",
            Self::Other(value) => value["type"].as_str().unwrap_or("unknown"),
        }
    }

    pub fn is_thinking(&self) -> bool {
        matches!(self, Self::Thinking { .. } | Self::RedactedThinking(_))
    }
}
