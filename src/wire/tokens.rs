//! Estimates the tokens of requests and answers, with the same result on every run.
//!
//! Four characters per token, as Anthropic's glossary says for English text, and the documented formula for images
//! (<https://platform.claude.com/docs/en/build-with-claude/vision>).

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::ImageReader;
use serde_json::Value;

use super::message::{Block, Content, MessageRequest, Tool, as_cached, without_breakpoint};

const CHARACTERS_A_TOKEN: u64 = 4;
/// Per message.
const MESSAGE_OVERHEAD: u64 = 4;
/// Per tool.
const TOOL_OVERHEAD: u64 = 8;
/// Per answer.
const ANSWER_OVERHEAD: u64 = 3;
const PIXELS_A_TOKEN: u64 = 750;
/// An unreadable image counts as the largest that providers do not scale down.
const LARGEST_IMAGE: u64 = 1600;

/// One piece of a prompt, the unit of caching and counting.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Equal for the same piece in another request, whatever its cache breakpoint.
    pub identity: String,
    pub tokens: u64,
    /// The lifetime of the breakpoint after it, as the provider writes it.
    pub breakpoint: Option<String>,
}

/// The pieces of a prompt: tools, then system, then messages.
pub fn pieces(request: &MessageRequest) -> Vec<Piece> {
    let tools = request.tools.iter().map(tool_piece);
    tools.chain(pieces_after_tools(request)).collect()
}

/// The pieces of a prompt without its tools, which are most of its text.
pub fn pieces_after_tools(request: &MessageRequest) -> Vec<Piece> {
    let system = request.system.iter().map(|block| block_piece("system", block, 0));
    // The thinking parameter is a part of the cache key of messages, but not of tools and system:
    // https://platform.claude.com/docs/en/build-with-claude/prompt-caching#what-invalidates-the-cache
    let thinking = request
        .thinking
        .as_ref()
        .map(Value::to_string)
        .unwrap_or_default();
    let messages = request.messages.iter().flat_map(|message| {
        let scope = format!("{} {thinking}", message.role);
        message.content.iter().enumerate().map(move |(index, block)| {
            block_piece(&scope, block, if index == 0 { MESSAGE_OVERHEAD } else { 0 })
        })
    });
    let messages: Vec<Piece> = messages.collect();
    system.chain(messages).chain([answer_piece()]).collect()
}

/// The provider's own part of a prompt. It is never cached, so no prompt has 0 uncached tokens.
fn answer_piece() -> Piece {
    Piece {
        identity: "answer".to_owned(),
        tokens: ANSWER_OVERHEAD,
        breakpoint: None,
    }
}

/// The tokens of a whole prompt.
pub fn of_request(request: &MessageRequest) -> u64 {
    pieces(request).iter().map(|piece| piece.tokens).sum()
}

/// The tokens of answer blocks in the Messages API's form.
pub fn of_answer(content: &[Value]) -> u64 {
    content
        .iter()
        .map(|block| match block["type"].as_str() {
            Some("thinking") => of_text(block["thinking"].as_str().unwrap_or_default()),
            Some("tool_use") => of_text(&format!("{}{}", block["name"], block["input"])),
            _ => of_text(block["text"].as_str().unwrap_or_default()),
        })
        .sum::<u64>()
        .max(1)
}

fn of_text(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(CHARACTERS_A_TOKEN)
}

fn tool_piece(tool: &Tool) -> Piece {
    Piece {
        tokens: TOOL_OVERHEAD + tool.parts().into_iter().map(of_value).sum::<u64>(),
        identity: without_breakpoint(&tool.definition).to_string(),
        breakpoint: tool.cache.as_ref().map(|cache| cache.ttl.clone()),
    }
}

/// The provider's form of a value does not count, because the model does not see it.
fn of_value(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::String(text) => of_text(text),
        other => of_text(&other.to_string()),
    }
}

fn block_piece(scope: &str, block: &Block, overhead: u64) -> Piece {
    Piece {
        identity: format!("{scope} {}", identity(&block.content)),
        tokens: overhead + of_content(&block.content),
        breakpoint: block.cache.as_ref().map(|cache| cache.ttl.clone()),
    }
}

/// Breakpoints in a tool result do not belong to its identity.
fn identity(content: &Content) -> String {
    match content {
        Content::ToolResult {
            tool_use_id,
            content,
            is_error,
        } => {
            let inner: Vec<String> = content.iter().map(|block| identity(&block.content)).collect();
            format!("tool_result {tool_use_id} {is_error} {}", inner.join("\n"))
        }
        Content::Other(value) => without_breakpoint(value).to_string(),
        Content::Text(text) => format!("Text({:?})", as_cached(text)),
        other => format!("{other:?}"),
    }
}

fn of_content(content: &Content) -> u64 {
    match content {
        Content::Text(text) => of_text(text),
        Content::Image { data, .. } => of_image(data),
        Content::Document { data, .. } => (data.len() as u64).div_ceil(CHARACTERS_A_TOKEN),
        Content::Thinking { thinking, .. } => of_text(thinking),
        Content::RedactedThinking(data) => of_text(data),
        Content::ToolUse { name, input, .. } => of_text(name) + of_text(&input.to_string()),
        Content::ToolResult { content, .. } => {
            MESSAGE_OVERHEAD
                + content
                    .iter()
                    .map(|block| of_content(&block.content))
                    .sum::<u64>()
        }
        Content::Other(value) => of_text(&value.to_string()),
    }
}

fn of_image(data: &str) -> u64 {
    dimensions(data).map_or(LARGEST_IMAGE, |(width, height)| {
        (u64::from(width) * u64::from(height))
            .div_ceil(PIXELS_A_TOKEN)
            .clamp(1, LARGEST_IMAGE)
    })
}

fn dimensions(data: &str) -> Option<(u32, u32)> {
    let bytes = STANDARD.decode(data).ok()?;
    ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .ok()?
        .into_dimensions()
        .ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::messages;

    #[test]
    fn the_cch_of_the_billing_line_is_no_part_of_the_prefix() {
        let with = |system: &str| {
            let body = json!({
                "system": [{"type": "text", "text": system}],
                "messages": [{"role": "user", "content": "hello"}],
            });
            let pieces = pieces(&messages::read(&body, Some("m"), &[]).unwrap());
            pieces.into_iter().map(|piece| piece.identity).collect::<Vec<_>>()
        };
        let line = "x-anthropic-billing-header: cc_version=2.1.228.a1b; cc_entrypoint=sdk-cli; cch=0f3a2;";
        assert_eq!(with(line), with(&line.replace("0f3a2", "77bc1")));
        assert_eq!(with(line), with(&line.replace(" cch=0f3a2;", " ")));
        assert_ne!(with(line), with(&line.replace("a1b", "a1c")));
        assert_ne!(with("set cch=1; now"), with("set cch=2; now"));
    }

    #[test]
    fn a_breakpoint_changes_neither_identity_nor_tokens() {
        let with = |extra: Value| {
            let mut block = json!({"type": "text", "text": "hello"});
            block
                .as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            let body = json!({
                "tools": [{"name": "Bash", "cache_control": {"type": "ephemeral"}}],
                "messages": [{"role": "user", "content": [block]}],
            });
            pieces(&messages::read(&body, Some("m"), &[]).unwrap())
        };
        let plain = with(json!({}));
        let marked = with(json!({"cache_control": {"type": "ephemeral"}}));
        assert_eq!(plain[1].identity, marked[1].identity);
        assert_eq!(plain[1].tokens, marked[1].tokens);
        assert_eq!(marked[1].breakpoint.as_deref(), Some("5m"));
        assert!(!plain[0].identity.contains("cache_control"));
    }
}
