//! The provider-neutral view of a Messages request: what a model would see, whichever provider's framing
//! it came in.
//!
//! Pure. Blocks of a kind that is not known are kept as they came, never dropped.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A Messages request as a model sees it.
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `user`, `assistant` (or what else was sent).
    pub role: String,
    /// Its blocks, a plain string being one text block.
    pub content: Vec<Block>,
}

/// A tool that a request offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    pub name: String,
    /// Its definition as the provider received it.
    pub definition: Value,
    /// Whether a cache breakpoint follows it.
    pub cache: Option<CacheBreakpoint>,
}

/// A block of content and the cache breakpoint after it, if there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    pub content: Content,
    /// A `cache_control` on it, or a `cachePoint` after it.
    pub cache: Option<CacheBreakpoint>,
}

/// Where a prefix may be cached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheBreakpoint {
    /// How long, in the provider's words: `5m` when it is not said.
    pub ttl: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    Text(String),
    /// An image's media type and its bytes, in base64 as they came.
    Image {
        media_type: String,
        data: String,
    },
    /// A document's media type and its bytes, in base64 as they came.
    Document {
        media_type: String,
        data: String,
    },
    Thinking {
        /// Its text, which may be empty.
        thinking: String,
        signature: String,
    },
    /// A thinking block whose text the provider keeps to itself.
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
    /// A block of any other kind, as it came.
    Other(Value),
}

impl MessageRequest {
    /// The blocks of all messages, in order, those within tool results after the result itself.
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
    /// The kind of block, in the Messages API's words.
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

    /// Whether it is thinking, shown or redacted.
    pub fn is_thinking(&self) -> bool {
        matches!(self, Self::Thinking { .. } | Self::RedactedThinking(_))
    }
}
