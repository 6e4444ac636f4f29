//! Reads request bodies of the Messages API, which Anthropic, Bedrock InvokeModel and Vertex AI receive with small
//! differences.
//!
//! Lenient: an unknown or malformed block becomes [`Content::Other`].

use serde_json::Value;

use super::message::{Block, CacheBreakpoint, Content, Message, MessageRequest, Tool};
use super::pointer::{flag, list, number, owned, texts};

/// Reads a body. Some providers have `model` in the path and not in the body. `header_betas` are the values of the
/// `anthropic-beta` headers. `None` if the body has no list of messages.
pub fn read(body: &Value, model: Option<&str>, header_betas: &[&str]) -> Option<MessageRequest> {
    let messages = body.get("messages")?.as_array()?;
    let mut messages: Vec<Message> = messages.iter().map(read_message).collect();
    mark_last_block(&mut messages, read_cache(body));
    Some(MessageRequest {
        model: model
            .or_else(|| body["model"].as_str())
            .unwrap_or_default()
            .to_owned(),
        system: body.get("system").map(read_blocks).unwrap_or_default(),
        messages,
        tools: list(body, "/tools").iter().map(read_tool).collect(),
        thinking: body.get("thinking").filter(|value| !value.is_null()).cloned(),
        max_tokens: number(body, "/max_tokens"),
        betas: betas(header_betas.iter().copied())
            .chain(texts(body, "/anthropic_beta"))
            .collect(),
    })
}

/// The beta flags in the values of `anthropic-beta` headers.
pub fn betas<'a>(headers: impl Iterator<Item = &'a str>) -> impl Iterator<Item = String> {
    let betas = headers.flat_map(|value| value.split(','));
    betas
        .map(|beta| beta.trim().to_owned())
        .filter(|beta| !beta.is_empty())
}

/// A `cache_control` of the whole request is a breakpoint at the last block that can be cached and has none:
/// <https://platform.claude.com/docs/en/build-with-claude/prompt-caching> (automatic caching).
fn mark_last_block(messages: &mut [Message], automatic: Option<CacheBreakpoint>) {
    let blocks = messages
        .iter_mut()
        .rev()
        .flat_map(|message| message.content.iter_mut().rev());
    let mut cacheable = blocks.filter(|block| !block.content.is_thinking());
    if let (Some(automatic), Some(last)) = (automatic, cacheable.next()) {
        last.cache.get_or_insert(automatic);
    }
}

fn read_message(message: &Value) -> Message {
    Message {
        role: owned(message, "/role").unwrap_or_default(),
        content: message.get("content").map(read_blocks).unwrap_or_default(),
    }
}

fn read_tool(tool: &Value) -> Tool {
    Tool {
        name: owned(tool, "/name").unwrap_or_default(),
        definition: tool.clone(),
        cache: read_cache(tool),
    }
}

fn read_cache(value: &Value) -> Option<CacheBreakpoint> {
    let cache_control = value.get("cache_control").filter(|value| value.is_object())?;
    Some(CacheBreakpoint {
        ttl: lifetime(cache_control),
    })
}

/// The `ttl` of a breakpoint. A value that is no text is shown as JSON, which names no lifetime.
pub(super) fn lifetime(breakpoint: &Value) -> String {
    match breakpoint.get("ttl") {
        None | Some(Value::Null) => "5m".to_owned(),
        Some(Value::String(ttl)) => ttl.clone(),
        Some(other) => other.to_string(),
    }
}

fn read_blocks(content: &Value) -> Vec<Block> {
    match content {
        Value::String(text) => vec![Block {
            content: Content::Text(text.clone()),
            cache: None,
        }],
        Value::Array(blocks) => blocks.iter().map(read_block).collect(),
        _ => Vec::new(),
    }
}

fn read_block(block: &Value) -> Block {
    Block {
        content: read_content(block).unwrap_or_else(|| Content::Other(block.clone())),
        cache: read_cache(block),
    }
}

fn read_content(block: &Value) -> Option<Content> {
    let text = |name: &str| block.get(name)?.as_str().map(str::to_owned);
    Some(match block["type"].as_str()? {
        "text" => Content::Text(text("text")?),
        "image" => {
            let (media_type, data) = read_base64_source(block)?;
            Content::Image { media_type, data }
        }
        "document" => {
            let (media_type, data) = read_base64_source(block)?;
            Content::Document { media_type, data }
        }
        "thinking" => Content::Thinking {
            thinking: text("thinking")?,
            signature: text("signature").unwrap_or_default(),
        },
        "redacted_thinking" => Content::RedactedThinking(text("data")?),
        "tool_use" => Content::ToolUse {
            id: text("id")?,
            name: text("name")?,
            input: block.get("input").cloned().unwrap_or_default(),
        },
        "tool_result" => Content::ToolResult {
            tool_use_id: text("tool_use_id")?,
            content: block.get("content").map(read_blocks).unwrap_or_default(),
            is_error: flag(block, "/is_error"),
        },
        _ => return None,
    })
}

fn read_base64_source(block: &Value) -> Option<(String, String)> {
    let source = block.get("source")?;
    if source["type"] != "base64" {
        return None;
    }
    Some((
        source["media_type"].as_str()?.to_owned(),
        source["data"].as_str()?.to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_part_of_a_request_is_read() {
        let request = read(
            &json!({
                "model": "claude-haiku-4-5",
                "max_tokens": 100,
                "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
                "tools": [{"name": "Bash", "input_schema": {}}],
                "thinking": {"type": "enabled", "budget_tokens": 50},
                "messages": [
                    {"role": "user", "content": "hello"},
                    {"role": "assistant", "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "s"},
                        {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "x"}},
                    ]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "out"},
                        {"type": "novelty", "x": 1},
                    ]},
                ],
                "anthropic_beta": ["c"],
            }),
            None,
            &["a, b"],
        )
        .unwrap();
        assert_eq!(request.betas, ["a", "b", "c"]);
        assert_eq!(request.system[0].cache.as_ref().unwrap().ttl, "1h");
        assert_eq!(request.messages.len(), 3);
        assert!(
            matches!(&request.messages[2].content[0].content, Content::ToolResult { content, .. } if content.len() == 1)
        );
        assert_eq!(
            request.messages[2].content[1].content,
            Content::Other(json!({"type": "novelty", "x": 1}))
        );
        assert_eq!(read(&json!({"prompt": "x"}), None, &[]), None);
    }
}
