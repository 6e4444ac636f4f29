//! The scripted answer of the same form as a recorded reply: the same kinds of blocks, the same stop reason, the same error.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::RecordedReply;
use crate::transcript::{Answer, AnswerBlock, Transcript};
use crate::wire::error_reply::{ERROR_TYPES, message_of, stream_exception};
use crate::wire::exchange::SentEvent;
use crate::wire::pointer::{list, number, text};
use crate::wire::script::{Interrupt, Reply, ReplyBlock, ReplyError, ReplyMessage, StopDetails, StreamError};
use crate::wire::{Route, Usage};

/// The answers of the same form as `reply`: one, and another one for the error within a stream.
pub(super) fn same_form(route: Route, reply: &RecordedReply) -> Vec<Reply> {
    if reply.status >= 400 {
        return vec![Reply::Error(error(reply))];
    }
    let message = message(&answer(route, reply).unwrap_or_default(), reply);
    let error = reply
        .events
        .iter()
        .find_map(|event| stream_error(route, &event.data));
    let interrupted = error.map(|error| ReplyMessage {
        interrupt: Some(Interrupt {
            after_deltas: 0,
            error: Some(error),
        }),
        ..message.clone()
    });
    [Some(message), interrupted]
        .into_iter()
        .flatten()
        .map(Reply::Message)
        .collect()
}

/// Whether a reply ends before the end of its message.
pub(super) fn is_partial(route: Route, reply: &RecordedReply) -> bool {
    let mut events = reply.events.iter();
    reply.cut_off || events.any(|event| stream_error(route, &event.data).is_some())
}

/// Whether the recorded message has a block.
pub(super) fn has_content(route: Route, reply: &RecordedReply) -> bool {
    answer(route, reply).is_some_and(|answer| !answer.content.is_empty())
}

/// An answer for a request that the provider refused: any.
pub(super) fn any() -> Reply {
    Reply::Message(ReplyMessage {
        content: vec![ReplyBlock::Text("ok".to_owned())],
        ..ReplyMessage::default()
    })
}

fn error(reply: &RecordedReply) -> ReplyError {
    let body = reply.events.first().map(|event| &event.data);
    // Only some errors have this header, so it belongs to the form of this one.
    let wait = reply.header("retry-after");
    ReplyError {
        status: reply.status,
        message: body.map(message_of).unwrap_or_default().to_owned(),
        headers: wait
            .map(|wait| ("retry-after".to_owned(), wait.to_owned()))
            .into_iter()
            .collect(),
        ..ReplyError::default()
    }
}

/// The type of an error that no page has.
const UNKNOWN: &str = "unknown_error";

/// The error that `event` is: an `error` event, or an exception of Bedrock.
fn stream_error(route: Route, event: &Value) -> Option<StreamError> {
    const KINDS: [&str; 5] = [
        "rate_limit_error",
        "overloaded_error",
        "invalid_request_error",
        "timeout_error",
        "api_error",
    ];
    if event["type"] == "error" {
        let kind = text(event, "/error/type")?;
        return Some(StreamError {
            // The simulator must not repeat a type that no page has.
            kind: ERROR_TYPES
                .into_iter()
                .find(|known| *known == kind)
                .unwrap_or(UNKNOWN)
                .to_owned(),
            message: message_of(event).to_owned(),
        });
    }
    let (name, payload) = event.as_object()?.iter().next()?;
    let kind = KINDS
        .into_iter()
        .find(|kind| stream_exception(kind, route) == name);
    name.ends_with("Exception").then(|| StreamError {
        kind: kind.unwrap_or(UNKNOWN).to_owned(),
        message: message_of(payload).to_owned(),
    })
}

fn answer(route: Route, reply: &RecordedReply) -> Option<Answer> {
    let transcript = match (route, reply.stream) {
        (Route::BedrockConverse, true) => Transcript::of_message(&converse_stream(&reply.events)),
        (Route::BedrockConverse, false) => {
            Transcript::of_message(&converse_message(&reply.events.first()?.data))
        }
        (_, true) => Transcript::of_stream(&reply.events),
        (_, false) => Transcript::of_message(&reply.events.first()?.data),
    };
    transcript.messages().pop()
}

fn message(answer: &Answer, reply: &RecordedReply) -> ReplyMessage {
    let detail = |name: &str| answer.details.get(name).cloned();
    let mut bodies = reply.events.iter().map(|event| &event.data);
    ReplyMessage {
        content: answer.content.iter().filter_map(block).collect(),
        stop_reason: answer.stop_reason.clone(),
        details: StopDetails {
            stop_sequence: detail("stop_sequence").and_then(|value| value.as_str().map(str::to_owned)),
            stop_details: detail("stop_details"),
            safeguard_results: detail("safeguard_results"),
            applied_edits: bodies.find_map(|body| body.pointer("/context_management/applied_edits").cloned()),
        },
        usage: answer.usage,
        ..ReplyMessage::default()
    }
}

/// The block of a script; `None` for a kind that a script does not have.
fn block(block: &AnswerBlock) -> Option<ReplyBlock> {
    // A placeholder of a script has a dollar sign.
    let plain = |text: &str| text.replace("${", "{");
    Some(match block {
        AnswerBlock::Text(text) => ReplyBlock::Text(plain(text)),
        AnswerBlock::Thinking { thinking, .. } => ReplyBlock::Thinking(thinking.clone()),
        AnswerBlock::RedactedThinking(_) => ReplyBlock::RedactedThinking("redacted".to_owned()),
        AnswerBlock::ToolUse { name, input, .. } => ReplyBlock::ToolUse {
            name: name.clone(),
            input: input.clone(),
        },
        AnswerBlock::Other(value) => match value["type"].as_str()? {
            "text" => ReplyBlock::CitedText {
                text: plain(value["text"].as_str().unwrap_or_default()),
                citations: list(value, "/citations").to_vec(),
            },
            "server_tool_use" => ReplyBlock::ServerToolUse {
                name: text(value, "/name")?.to_owned(),
                input: value["input"].clone(),
            },
            kind if kind.ends_with("_tool_result") => ReplyBlock::ServerToolResult(value.clone()),
            _ => return None,
        },
    })
}

/// The message of the Messages API that the body of a Converse reply has.
fn converse_message(body: &Value) -> Value {
    let content = list(body, "/output/message/content");
    let content: Vec<Value> = content.iter().filter_map(converse_block).collect();
    json!({"content": content, "stop_reason": body["stopReason"], "usage": converse_usage(&body["usage"])})
}

fn converse_block(block: &Value) -> Option<Value> {
    let (kind, value) = block.as_object()?.iter().next()?;
    Some(match kind.as_str() {
        "text" => json!({"type": "text", "text": value}),
        "toolUse" => json!({"type": "tool_use", "id": "", "name": value["name"], "input": value["input"]}),
        "reasoningContent" => match value.get("redactedContent") {
            Some(data) => json!({"type": "redacted_thinking", "data": data}),
            None => {
                json!({"type": "thinking", "thinking": value["reasoningText"]["text"], "signature": "redacted"})
            }
        },
        "citationsContent" => {
            let citations = list(value, "/citations").iter().map(cited);
            let citations: Vec<Value> = citations.collect();
            let texts = list(value, "/content").iter();
            let text: String = texts.filter_map(|part| part["text"].as_str()).collect();
            json!({"type": "text", "text": text, "citations": citations})
        }
        _ => return None,
    })
}

/// The citation of the Messages API with the same kind of location.
fn cited(citation: &Value) -> Value {
    let kinds = [
        ("documentChar", "char_location"),
        ("documentPage", "page_location"),
        ("documentChunk", "content_block_location"),
    ];
    let location = &citation["location"];
    let kind = kinds.into_iter().find(|(name, _)| location.get(name).is_some());
    json!({
        "type": kind.map_or("web_search_result_location", |(_, kind)| kind),
        "cited_text": citation["sourceContent"][0]["text"],
        "document_title": citation["title"],
        "document_index": 0, "start_char_index": 0, "end_char_index": 1, "start_page_number": 1, "end_page_number": 2,
        "start_block_index": 0, "end_block_index": 1, "url": "redacted",
    })
}

fn converse_usage(usage: &Value) -> Value {
    let count = |name: &str| usage[name].as_u64().unwrap_or_default();
    json!(Usage {
        input_tokens: count("inputTokens"),
        cache_creation_input_tokens: count("cacheWriteInputTokens"),
        cache_read_input_tokens: count("cacheReadInputTokens"),
        output_tokens: count("outputTokens"),
    })
}

/// The message of the Messages API that a stream of Converse has.
fn converse_stream(events: &[SentEvent]) -> Value {
    let mut blocks: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    let (mut stop_reason, mut usage) = (Value::Null, Value::Null);
    for event in events
        .iter()
        .filter_map(|event| event.data.as_object()?.iter().next())
    {
        let (name, payload) = event;
        let index = number(payload, "/contentBlockIndex").unwrap_or_default();
        match name.as_str() {
            "contentBlockStart" => blocks.entry(index).or_default().push(&payload["start"]),
            "contentBlockDelta" => blocks.entry(index).or_default().push(&payload["delta"]),
            "messageStop" => stop_reason = payload["stopReason"].clone(),
            "metadata" => usage = converse_usage(&payload["usage"]),
            _ => {}
        }
    }
    let content: Vec<Value> = blocks
        .into_values()
        .filter_map(|parts| streamed_block(&parts))
        .collect();
    json!({"content": content, "stop_reason": stop_reason, "usage": usage})
}

/// The block whose start and deltas are `parts`.
fn streamed_block(parts: &[&Value]) -> Option<Value> {
    let joined = |pointer: &str| -> String { parts.iter().filter_map(|part| text(part, pointer)).collect() };
    let has = |pointer: &str| parts.iter().any(|part| part.pointer(pointer).is_some());
    if has("/toolUse") {
        let name = joined("/toolUse/name");
        let input = serde_json::from_str(&joined("/toolUse/input")).unwrap_or_else(|_| json!({}));
        return Some(json!({"type": "tool_use", "id": "", "name": name, "input": input}));
    }
    if has("/reasoningContent/redactedContent") {
        return Some(json!({"type": "redacted_thinking", "data": "redacted"}));
    }
    if has("/reasoningContent") {
        let thinking = joined("/reasoningContent/text");
        return Some(json!({"type": "thinking", "thinking": thinking, "signature": "redacted"}));
    }
    let citations: Vec<Value> = parts
        .iter()
        .filter_map(|part| part.get("citation"))
        .map(cited)
        .collect();
    let text = joined("/text");
    match (citations.is_empty(), has("/text")) {
        (true, false) => None,
        (true, true) => Some(json!({"type": "text", "text": text})),
        (false, _) => Some(json!({"type": "text", "text": text, "citations": citations})),
    }
}
