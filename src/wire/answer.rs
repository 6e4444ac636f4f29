//! Renders the simulator's answer as a Messages API reply or stream, with the variations of Bedrock InvokeModel and Vertex
//! AI. [`super::converse`] has the Converse form.
//!
//! Source of the events' order and fields: <https://platform.claude.com/docs/en/build-with-claude/streaming>.

use serde_json::{Value, json};

use super::reply_fields::ReplyFields;
use super::script::{DeltaSplit, ReplyBlock, StopDetails, placeholders_in};
use super::{Route, Usage};

#[derive(Clone, Debug, PartialEq)]
pub struct ProviderAnswer {
    pub id: String,
    /// The model's name in replies.
    pub model: String,
    /// Finished blocks in the Messages API's form; thinking is signed, tool calls have ids.
    pub content: Vec<Value>,
    pub stop_reason: String,
    pub details: StopDetails,
    pub fields: ReplyFields,
    pub usage: Usage,
    /// The tokens written to the cache for an hour; the others are cached for 5 minutes.
    pub created_for_1h: u64,
    /// The reported latency, in milliseconds.
    pub latency_ms: u64,
    /// Whether the request asked for context management; the reply then has a field for it.
    pub context_management: bool,
    pub split: DeltaSplit,
}
#[derive(Clone, Debug, PartialEq)]
pub struct StreamEvent {
    pub data: Value,
    /// Whether it has text, thinking or tool arguments. Lockstep and pace count these.
    pub is_content_delta: bool,
}

impl ProviderAnswer {
    /// The whole message, in the Messages API's form.
    pub fn message(&self) -> Value {
        let stop_reason = Some(self.stop_reason.as_str());
        let mut message = self.message_with(&self.content, stop_reason, self.usage.output_tokens);
        self.add_details(&mut message);
        self.add_server_tools(&mut message["usage"]);
        self.with_context_management(message)
    }

    /// Adds the fields of the answer's end to a message, or to the `delta` of `message_delta`. A reply has
    /// `safeguard_results` at the same places as `stop_reason` (<https://github.com/vercel/ai/pull/21247>,
    /// <https://github.com/pleaseai/shunt/pull/622>).
    fn add_details(&self, fields: &mut Value) {
        let StopDetails {
            stop_sequence,
            stop_details,
            safeguard_results,
            applied_edits: _,
        } = &self.details;
        fields["stop_sequence"] = json!(stop_sequence);
        if self.fields.stop_details || stop_details.is_some() {
            fields["stop_details"] = json!(stop_details);
        }
        if let Some(results) = safeguard_results {
            fields["safeguard_results"] = results.clone();
        }
    }

    fn message_with(&self, content: &[Value], stop_reason: Option<&str>, output_tokens: u64) -> Value {
        let mut message = json!({
            "model": self.model,
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": null,
            "usage": self.full_usage(output_tokens),
        });
        if self.fields.stop_details {
            message["stop_details"] = Value::Null;
        }
        message
    }

    fn with_context_management(&self, mut value: Value) -> Value {
        if self.context_management {
            let edits = self.details.applied_edits.clone();
            value["context_management"] = json!({"applied_edits": edits.unwrap_or_else(|| json!([]))});
        }
        value
    }

    /// The usage of `message_start` and of whole messages, with cache writes by lifetime.
    fn full_usage(&self, output_tokens: u64) -> Value {
        let mut usage = json!({
            "input_tokens": self.usage.input_tokens,
            "cache_creation_input_tokens": self.usage.cache_creation_input_tokens,
            "cache_read_input_tokens": self.usage.cache_read_input_tokens,
            "cache_creation": {
                "ephemeral_5m_input_tokens":
                    self.usage.cache_creation_input_tokens.saturating_sub(self.created_for_1h),
                "ephemeral_1h_input_tokens": self.created_for_1h,
            },
            "output_tokens": output_tokens,
        });
        if self.fields.service_tier {
            usage["service_tier"] = json!("standard");
        }
        if let Some(geography) = self.fields.inference_geo {
            usage["inference_geo"] = json!(geography);
        }
        if self.fields.is_fast {
            usage["speed"] = json!("fast");
        }
        usage
    }

    /// Adds the requests of the tools that the provider itself ran, if there are any. A stream has them at its end.
    ///
    /// Source: <https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool#usage-and-pricing>; both members:
    /// `types/server_tool_usage.py` of the official SDK.
    fn add_server_tools(&self, usage: &mut Value) {
        let is_of = |name: &str| {
            let blocks = self.content.iter();
            blocks
                .filter(|block| block["type"] == "server_tool_use" && block["name"] == name)
                .count()
        };
        if self
            .content
            .iter()
            .any(|block| block["type"] == "server_tool_use")
        {
            usage["server_tool_use"] = json!({
                "web_search_requests": is_of("web_search"),
                "web_fetch_requests": is_of("web_fetch"),
            });
        }
    }

    /// The stream, in the Messages API's form.
    pub fn stream(&self) -> Vec<StreamEvent> {
        let message = self.message_with(&[], None, self.usage.output_tokens.min(1));
        let mut events = vec![plain(json!({"type": "message_start", "message": message}))];
        for (index, block) in self.content.iter().enumerate() {
            events.extend(block_events(index, block, self.split));
            if index == 0 {
                events.insert(2, plain(json!({"type": "ping"})));
            }
        }
        events.push(plain(self.message_delta()));
        events.push(plain(json!({"type": "message_stop"})));
        events
    }

    fn message_delta(&self) -> Value {
        let mut delta = json!({"stop_reason": self.stop_reason});
        self.add_details(&mut delta);
        let mut usage = json!(self.usage);
        self.add_server_tools(&mut usage);
        self.with_context_management(json!({"type": "message_delta", "delta": delta, "usage": usage}))
    }

    /// The stream as Bedrock InvokeModel and Vertex AI send it; for Converse see [`super::converse::stream`].
    pub fn stream_on(&self, route: Route) -> Vec<StreamEvent> {
        let mut events = self.stream();
        if route != Route::BedrockInvoke {
            return events;
        }
        // Source: https://code.claude.com/docs/en/llm-gateway-protocol (proxying to Bedrock).
        events.retain(|event| event.data["type"] != "ping");
        if let Some(last) = events.last_mut() {
            let mut metrics = json!({
                "inputTokenCount": self.usage.input_tokens,
                "outputTokenCount": self.usage.output_tokens,
                "invocationLatency": self.latency_ms,
                "firstByteLatency": self.latency_ms / 2,
            });
            if self.usage.is_cached() {
                metrics["cacheReadInputTokenCount"] = json!(self.usage.cache_read_input_tokens);
                metrics["cacheWriteInputTokenCount"] = json!(self.usage.cache_creation_input_tokens);
            }
            last.data["amazon-bedrock-invocationMetrics"] = metrics;
        }
        events
    }
}

fn plain(data: Value) -> StreamEvent {
    StreamEvent {
        data,
        is_content_delta: false,
    }
}

fn block_events(index: usize, block: &Value, split: DeltaSplit) -> Vec<StreamEvent> {
    let text = |name: &str| block[name].as_str().unwrap_or_default();
    let delta = |kind: &str, field: &str, part: &str| json!({"type": "content_block_delta", "index": index, "delta": {"type": kind, field: part}});
    let content = |data| StreamEvent {
        data,
        is_content_delta: true,
    };
    let (empty, deltas): (Value, Vec<StreamEvent>) = match block["type"].as_str() {
        Some("thinking") => (
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            words(text("thinking"), split.words)
                .into_iter()
                .map(|word| content(delta("thinking_delta", "thinking", word)))
                .chain([plain(delta("signature_delta", "signature", text("signature")))])
                .collect(),
        ),
        Some("tool_use" | "server_tool_use") => {
            let input = block["input"].to_string();
            let mut empty = block.clone();
            empty["input"] = json!({});
            let deltas = parts(&input, split.arguments)
                .into_iter()
                .map(|part| content(delta("input_json_delta", "partial_json", part)))
                .collect();
            (empty, deltas)
        }
        Some("text") => {
            let citations = block["citations"].as_array();
            let mut empty = json!({"type": "text", "text": ""});
            if citations.is_some() {
                empty["citations"] = json!([]);
            }
            let cited = citations.into_iter().flatten().map(|citation| {
                let delta = json!({"type": "citations_delta", "citation": citation});
                plain(json!({"type": "content_block_delta", "index": index, "delta": delta}))
            });
            let words = words(text("text"), split.words).into_iter();
            let words = words.map(|word| content(delta("text_delta", "text", word)));
            (empty, cited.chain(words).collect())
        }
        // Redacted thinking and the results of server tools arrive whole:
        // https://platform.claude.com/docs/en/build-with-claude/extended-thinking#thinking-redaction
        _ => (block.clone(), Vec::new()),
    };
    let start = json!({"type": "content_block_start", "index": index, "content_block": empty});
    let stop = json!({"type": "content_block_stop", "index": index});
    [vec![plain(start)], deltas, vec![plain(stop)]].concat()
}

/// The most content deltas of a reply with the usual split. `None` if a text has a placeholder.
pub fn content_deltas(content: &[ReplyBlock]) -> Option<usize> {
    let split = DeltaSplit::default();
    let of_block = |block: &ReplyBlock| match block {
        ReplyBlock::Text(text) | ReplyBlock::Thinking(text) | ReplyBlock::CitedText { text, .. } => {
            let is_known = placeholders_in(text).next().is_none();
            is_known.then(|| words(text, split.words).len())
        }
        ReplyBlock::ToolUse { input, .. } | ReplyBlock::ServerToolUse { input, .. } => {
            Some(parts(&input.to_string(), split.arguments).len())
        }
        ReplyBlock::RedactedThinking(_) | ReplyBlock::ServerToolResult(_) => Some(0),
    };
    content.iter().map(of_block).sum()
}

/// The words of a text, each with the white space before it; `count` of them together.
fn words(text: &str, count: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut in_word = false;
    let mut whole = 0;
    for (position, character) in text.char_indices() {
        if character.is_whitespace() && in_word {
            whole += 1;
            if whole >= count {
                words.push(&text[start..position]);
                start = position;
                whole = 0;
            }
        }
        in_word = !character.is_whitespace();
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}

/// `text` in at most `count` pieces of about the same length.
fn parts(text: &str, count: usize) -> Vec<&str> {
    let size = text.len().div_ceil(count.max(1)).max(1);
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut cut = size.min(rest.len());
        while !rest.is_char_boundary(cut) {
            cut += 1;
        }
        let (part, tail) = rest.split_at(cut);
        parts.push(part);
        rest = tail;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(content: Vec<Value>) -> ProviderAnswer {
        ProviderAnswer {
            id: "msg_1".into(),
            model: "claude-haiku-4-5-20251001".into(),
            content,
            stop_reason: "end_turn".into(),
            details: StopDetails::default(),
            fields: ReplyFields::of(Route::Anthropic, "claude-haiku-4-5", false),
            usage: Usage {
                input_tokens: 3,
                cache_creation_input_tokens: 20,
                cache_read_input_tokens: 5,
                output_tokens: 9,
            },
            created_for_1h: 8,
            latency_ms: 10,
            context_management: false,
            split: DeltaSplit::default(),
        }
    }

    #[test]
    fn a_stream_has_the_providers_order() {
        let events = answer(vec![
            json!({"type": "thinking", "thinking": "let me see", "signature": "s"}),
            json!({"type": "text", "text": "a  b"}),
        ])
        .stream();
        let types: Vec<_> = events
            .iter()
            .map(|event| {
                event.data["delta"]["type"]
                    .as_str()
                    .unwrap_or(event.data["type"].as_str().unwrap())
            })
            .collect();
        assert_eq!(
            types,
            [
                "message_start",
                "content_block_start",
                "ping",
                "thinking_delta",
                "thinking_delta",
                "thinking_delta",
                "signature_delta",
                "content_block_stop",
                "content_block_start",
                "text_delta",
                "text_delta",
                "content_block_stop",
                "message_delta",
                "message_stop",
            ]
        );
        assert_eq!(
            events[0].data["message"]["usage"]["cache_creation"]["ephemeral_5m_input_tokens"],
            12
        );
        assert_eq!(events.iter().filter(|event| event.is_content_delta).count(), 5);
    }

    #[test]
    fn pieces_add_up_to_the_text() {
        for text in [
            "",
            "x",
            " lead and trail \n",
            "żółć gęślą jaźń",
            "{\"command\":\"echo pong\"}",
        ] {
            for count in [1, 3] {
                assert_eq!(words(text, count).concat(), text);
                assert_eq!(parts(text, count).concat(), text);
                assert!(parts(text, count).len() <= count);
            }
        }
        assert_eq!(words("a  b", 1), ["a", "  b"]);
        assert_eq!(words(" a b c", 2), [" a b", " c"]);
    }
}
