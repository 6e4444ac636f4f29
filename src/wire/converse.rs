//! Reads Bedrock Converse requests and writes Converse replies and stream events.
//!
//! Lenient, like [`super::messages`]. Source of the form:
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html>.

use serde_json::{Value, json};

use super::answer::{ProviderAnswer, StreamEvent};
use super::message::{Block, CacheBreakpoint, Content, Message, MessageRequest, Tool};
use super::messages::lifetime;
use super::pointer::{list, number, owned, texts};

/// Reads the body of a `converse` request for `model`. `None` if it has no list of messages.
pub fn read(body: &Value, model: &str) -> Option<MessageRequest> {
    let messages = body.get("messages")?.as_array()?;
    let extra = &body["additionalModelRequestFields"];
    Some(MessageRequest {
        model: model.to_owned(),
        system: read_blocks(&body["system"]),
        messages: messages.iter().map(read_message).collect(),
        tools: read_tools(&body["toolConfig"]["tools"]),
        thinking: extra.get("thinking").filter(|value| !value.is_null()).cloned(),
        max_tokens: number(body, "/inferenceConfig/maxTokens"),
        betas: texts(extra, "/anthropic_beta"),
    })
}

/// Whether the body of a request is one of Converse: its blocks have no `type`, and it has no `max_tokens`. In the Messages API all
/// blocks have one, and all requests. `None` if the body is of both forms, or of neither.
pub fn has_its_form(body: &Value) -> Option<bool> {
    let messages = list(body, "/messages").iter();
    let blocks = messages.flat_map(|message| list(message, "/content"));
    let mut forms = blocks
        .filter(|block| block.is_object())
        .map(|block| block["type"].is_null());
    let first = forms.next()?;
    let is_whole = forms.all(|form| form == first) && body["max_tokens"].is_null() == first;
    is_whole.then_some(first)
}

fn read_message(message: &Value) -> Message {
    Message {
        role: owned(message, "/role").unwrap_or_default(),
        content: read_blocks(&message["content"]),
    }
}

/// The longest name of a tool
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolSpecification.html>).
pub const LONGEST_NAME: usize = 64;

fn cache_point(value: &Value) -> Option<CacheBreakpoint> {
    let point = value.get("cachePoint").filter(|point| !point.is_null())?;
    Some(CacheBreakpoint { ttl: lifetime(point) })
}

/// A `cachePoint` is a separate entry after the one that it marks.
fn read_tools(tools: &Value) -> Vec<Tool> {
    let mut found: Vec<Tool> = Vec::new();
    for tool in list(tools, "") {
        match (cache_point(tool), found.last_mut()) {
            (Some(point), Some(last)) => last.cache = Some(point),
            (Some(_), None) => {}
            (None, _) => found.push(Tool {
                name: owned(tool, "/toolSpec/name").unwrap_or_default(),
                definition: tool.clone(),
                cache: None,
            }),
        }
    }
    found
}

fn read_blocks(content: &Value) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    for block in list(content, "") {
        match (cache_point(block), found.last_mut()) {
            (Some(point), Some(last)) => last.cache = Some(point),
            (Some(_), None) => {}
            (None, _) => found.push(Block {
                content: read_content(block).unwrap_or_else(|| Content::Other(block.clone())),
                cache: None,
            }),
        }
    }
    found
}

fn read_content(block: &Value) -> Option<Content> {
    let members = block.as_object()?;
    members.iter().find_map(|(kind, value)| content_of(kind, value))
}

fn content_of(kind: &str, value: &Value) -> Option<Content> {
    let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
    Some(match kind {
        "text" => Content::Text(value.as_str()?.to_owned()),
        "image" => Content::Image {
            media_type: format!("image/{}", text("format")?),
            data: owned(value, "/source/bytes")?,
        },
        "document" => Content::Document {
            media_type: format!("application/{}", text("format")?),
            data: owned(value, "/source/bytes")?,
        },
        "reasoningContent" => match value.get("redactedContent").and_then(Value::as_str) {
            Some(data) => Content::RedactedThinking(data.to_owned()),
            None => Content::Thinking {
                thinking: owned(value, "/reasoningText/text")?,
                signature: owned(value, "/reasoningText/signature").unwrap_or_default(),
            },
        },
        "toolUse" => Content::ToolUse {
            id: text("toolUseId")?,
            name: text("name")?,
            input: value["input"].clone(),
        },
        "toolResult" => Content::ToolResult {
            tool_use_id: text("toolUseId")?,
            content: read_result_blocks(&value["content"]),
            is_error: value["status"] == "error",
        },
        _ => return None,
    })
}

/// For the model, JSON in a result is text.
fn read_result_blocks(content: &Value) -> Vec<Block> {
    let mut blocks = read_blocks(content);
    for block in &mut blocks {
        if let Content::Other(other) = &block.content
            && let Some(json) = other.get("json")
        {
            block.content = Content::Text(json.to_string());
        }
    }
    blocks
}

/// Converse has a word of its own for a refusal.
///
/// Source: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html> (stopReason),
/// <https://github.com/danny-avila/LibreChat/pull/15647>
fn stop_reason(answer: &ProviderAnswer) -> &str {
    match answer.stop_reason.as_str() {
        "refusal" => "content_filtered",
        other => other,
    }
}

/// The body of a `converse` reply.
pub fn reply(answer: &ProviderAnswer) -> Value {
    json!({
        "metrics": {"latencyMs": answer.latency_ms},
        "output": {"message": {
            "role": "assistant",
            "content": answer.content.iter().map(reply_block).collect::<Vec<_>>(),
        }},
        "stopReason": stop_reason(answer),
        "usage": usage(answer),
    })
}

fn reply_block(block: &Value) -> Value {
    match block["type"].as_str() {
        Some("thinking") => json!({"reasoningContent": {"reasoningText": {
            "text": block["thinking"],
            "signature": block["signature"],
        }}}),
        Some("redacted_thinking") => json!({"reasoningContent": {"redactedContent": block["data"]}}),
        Some("tool_use") => json!({"toolUse": {
            "toolUseId": block["id"],
            "name": block["name"],
            "input": block["input"],
        }}),
        _ => match block["citations"].as_array() {
            Some(citations) => json!({"citationsContent": {
                "content": [{"text": block["text"]}],
                "citations": citations.iter().map(citation).collect::<Vec<_>>(),
            }}),
            None => json!({"text": block["text"]}),
        },
    }
}

/// A citation in Converse's form
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Citation.html>).
fn citation(citation: &Value) -> Value {
    let document = |kind: &str, from: &str, to: &str| {
        json!({ kind: {
            "documentIndex": citation["document_index"],
            "start": citation[from],
            "end": citation[to],
        }})
    };
    let location = match citation["type"].as_str() {
        Some("char_location") => document("documentChar", "start_char_index", "end_char_index"),
        Some("page_location") => document("documentPage", "start_page_number", "end_page_number"),
        Some("content_block_location") => document("documentChunk", "start_block_index", "end_block_index"),
        _ => json!({"web": {"url": citation["url"]}}),
    };
    let title = citation["document_title"].as_str().or(citation["title"].as_str());
    json!({
        "title": title.unwrap_or_default(),
        "sourceContent": [{"text": citation["cited_text"]}],
        "location": location,
    })
}

/// Source of `cacheDetails`: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html>.
fn usage(answer: &ProviderAnswer) -> Value {
    let usage = &answer.usage;
    let total = usage.input_tokens
        + usage.cache_creation_input_tokens
        + usage.cache_read_input_tokens
        + usage.output_tokens;
    let mut counts = json!({
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": total,
    });
    if usage.is_cached() {
        counts["cacheReadInputTokens"] = json!(usage.cache_read_input_tokens);
        counts["cacheReadInputTokenCount"] = json!(usage.cache_read_input_tokens);
        counts["cacheWriteInputTokens"] = json!(usage.cache_creation_input_tokens);
        counts["cacheWriteInputTokenCount"] = json!(usage.cache_creation_input_tokens);
    }
    let for_5m = usage
        .cache_creation_input_tokens
        .saturating_sub(answer.created_for_1h);
    let details: Vec<Value> = [("1h", answer.created_for_1h), ("5m", for_5m)]
        .into_iter()
        .filter(|(_, tokens)| *tokens > 0)
        .map(|(ttl, tokens)| json!({"ttl": ttl, "inputTokens": tokens}))
        .collect();
    if !details.is_empty() {
        counts["cacheDetails"] = Value::Array(details);
    }
    counts
}

/// The events of a `converse-stream` reply: the name and payload of each, and whether it is a content delta.
pub fn stream(answer: &ProviderAnswer) -> Vec<(&'static str, Value, bool)> {
    let mut events: Vec<_> = answer
        .stream()
        .iter()
        .filter_map(|event| stream_event(event, answer))
        .collect();
    events.push((
        "metadata",
        json!({"usage": usage(answer), "metrics": {"latencyMs": answer.latency_ms}}),
        false,
    ));
    events
}

/// Converse sends no start for blocks of text and thinking.
fn stream_event(event: &StreamEvent, answer: &ProviderAnswer) -> Option<(&'static str, Value, bool)> {
    let data = &event.data;
    let index = &data["index"];
    let (name, payload) = match data["type"].as_str()? {
        "message_start" => ("messageStart", json!({"role": "assistant"})),
        "content_block_start" if data["content_block"]["type"] == "tool_use" => (
            "contentBlockStart",
            json!({
                "contentBlockIndex": index,
                "start": {"toolUse": {
                    "toolUseId": data["content_block"]["id"],
                    "name": data["content_block"]["name"],
                }},
            }),
        ),
        "content_block_start" if data["content_block"]["type"] == "redacted_thinking" => (
            "contentBlockDelta",
            json!({
                "contentBlockIndex": index,
                "delta": {"reasoningContent": {"redactedContent": data["content_block"]["data"]}},
            }),
        ),
        "content_block_delta" => (
            "contentBlockDelta",
            json!({"contentBlockIndex": index, "delta": stream_delta(&data["delta"])}),
        ),
        "content_block_stop" => ("contentBlockStop", json!({"contentBlockIndex": index})),
        "message_stop" => ("messageStop", json!({"stopReason": stop_reason(answer)})),
        _ => return None,
    };
    Some((name, payload, event.is_content_delta))
}

fn stream_delta(delta: &Value) -> Value {
    match delta["type"].as_str() {
        Some("thinking_delta") => json!({"reasoningContent": {"text": delta["thinking"]}}),
        Some("signature_delta") => json!({"reasoningContent": {"signature": delta["signature"]}}),
        Some("input_json_delta") => json!({"toolUse": {"input": delta["partial_json"]}}),
        Some("citations_delta") => json!({"citation": citation(&delta["citation"])}),
        _ => json!({"text": delta["text"]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_request_is_read() {
        let request = read(
            &json!({
                "system": [{"text": "be brief"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
                "messages": [
                    {"role": "user", "content": [
                        {"image": {"format": "png", "source": {"bytes": "AA=="}}},
                        {"text": "hello"},
                        {"cachePoint": {"type": "default"}},
                    ]},
                    {"role": "assistant", "content": [
                        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                        {"toolUse": {"toolUseId": "t", "name": "Bash", "input": {}}},
                    ]},
                    {"role": "user", "content": [
                        {"toolResult": {"toolUseId": "t", "content": [{"json": {"a": 1}}], "status": "error"}},
                    ]},
                ],
                "toolConfig": {"tools": [{"toolSpec": {"name": "Bash"}}, {"cachePoint": {"type": "default"}}]},
                "inferenceConfig": {"maxTokens": 7},
                "additionalModelRequestFields": {"thinking": {"type": "adaptive"}, "anthropic_beta": ["b"]},
            }),
            "m",
        )
        .unwrap();
        assert_eq!(request.system.len(), 1);
        assert_eq!(request.system[0].cache.as_ref().unwrap().ttl, "1h");
        assert_eq!(request.messages[0].content[1].cache.as_ref().unwrap().ttl, "5m");
        assert_eq!(request.tools.len(), 1);
        assert!(request.tools[0].cache.is_some());
        assert_eq!(
            (request.max_tokens, request.betas),
            (Some(7), vec!["b".to_owned()])
        );
        assert!(matches!(
            &request.messages[2].content[0].content,
            Content::ToolResult { is_error: true, content, .. } if content[0].content == Content::Text("{\"a\":1}".to_owned())
        ));
    }
}
