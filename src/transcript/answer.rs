//! Builds the model's answers from stream events and `assistant` lines.

use serde_json::Value;

use super::{Placed, Transcript, usage};
use crate::wire::exchange::{GatewayReply, ProviderReply};
use crate::wire::pointer::{list, number, owned, text};
use crate::wire::{Usage, json};

/// One API reply as `claude` received it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The line in `transcript.jsonl` of its start, from 1.
    pub line: usize,
    pub id: Option<String>,
    pub model: Option<String>,
    /// The tool call of the subagent that requested it; `None` for the main conversation.
    pub parent_tool_use_id: Option<String>,
    pub content: Vec<AnswerBlock>,
    /// The counts of its start, overwritten by those of its end.
    pub usage: Option<Usage>,
    /// The merged counts as JSON.
    pub usage_fields: Value,
    pub stop_reason: Option<String>,
    /// The other fields of its end (`stop_details`, …), without empty ones.
    pub details: serde_json::Map<String, Value>,
    /// Whether it came as a stream.
    pub streamed: bool,
    /// Whether the stream had a stop reason and `message_stop`. For a broken stream `claude` prints its own
    /// `message_stop` (measured with 2.1.326).
    pub complete: bool,
    /// The content deltas of a stream, in order.
    pub deltas: Vec<Delta>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AnswerBlock {
    Text(String),
    Thinking {
        thinking: String,
        signature: String,
    },
    /// Thinking without its text.
    RedactedThinking(String),
    ToolUse {
        id: String,
        name: String,
        /// The arguments; a JSON string if the stream's text is not JSON.
        input: Value,
    },
    /// Any other block, unchanged.
    Other(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Its line in `transcript.jsonl`, from 1.
    pub line: usize,
    /// The time when it showed, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub kind: DeltaKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaKind {
    Text,
    Thinking,
    Input,
}

impl DeltaKind {
    /// `None` for a delta without content, such as `signature_delta` or an empty text.
    pub fn of(delta: &Value) -> Option<Self> {
        let (kind, content) = match delta["type"].as_str()? {
            "text_delta" => (Self::Text, "text"),
            "thinking_delta" => (Self::Thinking, "thinking"),
            "input_json_delta" => (Self::Input, "partial_json"),
            _ => return None,
        };
        (delta[content] != "").then_some(kind)
    }
}

impl Answer {
    /// The answer that the provider gave; `None` for an error.
    pub fn given(reply: &ProviderReply) -> Option<Self> {
        let message = reply.message.as_ref()?;
        Transcript::of_message(message).messages().pop()
    }

    /// The answer in the gateway's reply; of a stream that begins twice, the last one.
    pub fn received(reply: &GatewayReply) -> Option<Self> {
        let transcript = match reply.stream {
            true => Transcript::of_stream(&reply.events),
            false => Transcript::of_message(&reply.events.first()?.data),
        };
        transcript.messages().pop()
    }

    pub fn delta_count(&self, kind: DeltaKind) -> usize {
        self.deltas.iter().filter(|delta| delta.kind == kind).count()
    }

    pub fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|block| match block {
            AnswerBlock::Text(text) => Some(text.as_str()),
            AnswerBlock::Other(value) => value["text"].as_str(),
            _ => None,
        });
        texts.collect()
    }

    fn begin(placed: Placed<'_>, message: &Value) -> Self {
        let mut answer = Self {
            line: placed.line,
            id: owned(message, "/id"),
            model: owned(message, "/model"),
            parent_tool_use_id: owned(placed.event, "/parent_tool_use_id"),
            stop_reason: owned(message, "/stop_reason"),
            ..Self::default()
        };
        answer.merge_usage(message.pointer("/usage"));
        answer.add_details(Some(message));
        answer
    }

    fn add_details(&mut self, fields: Option<&Value>) {
        for name in ["stop_sequence", "stop_details", "safeguard_results"] {
            let value = fields.and_then(|fields| fields.get(name));
            if let Some(value) = value.filter(|value| !value.is_null()) {
                self.details.insert(name.to_owned(), value.clone());
            }
        }
    }

    fn merge_usage(&mut self, fields: Option<&Value>) {
        let Some(Value::Object(fields)) = fields else {
            return;
        };
        if !self.usage_fields.is_object() {
            self.usage_fields = Value::Object(serde_json::Map::new());
        }
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            self.usage_fields[name.as_str()] = value.clone();
        }
        self.usage = Some(usage(Some(&self.usage_fields)));
    }
}

/// A block while its stream runs.
#[derive(Default)]
struct OpenBlock {
    index: u64,
    start: Value,
    text: String,
    signature: String,
    input: String,
    citations: Vec<Value>,
}

impl OpenBlock {
    fn add(&mut self, delta: &Value) {
        let add = |to: &mut String, field: &str| to.push_str(text(delta, field).unwrap_or_default());
        match text(delta, "/type") {
            Some("text_delta") => add(&mut self.text, "/text"),
            Some("thinking_delta") => add(&mut self.text, "/thinking"),
            // The last one counts: Claude Code 2.1.327 does not join the parts of a signature.
            Some("signature_delta") => {
                let signature = text(delta, "/signature");
                self.signature = signature.unwrap_or_default().to_owned();
            }
            Some("input_json_delta") => add(&mut self.input, "/partial_json"),
            Some("citations_delta") => self.citations.extend(delta.get("citation").cloned()),
            _ => {}
        }
    }

    /// The block as Claude Code reads it: Claude Code 2.1.327 ignores text in the block's start, because a gateway may
    /// repeat that text in the first delta.
    fn close(mut self) -> AnswerBlock {
        match block(&self.start) {
            _ if !self.citations.is_empty() => AnswerBlock::Other(serde_json::json!({
                "type": "text",
                "text": json::joined(&self.text),
                "citations": self.citations,
            })),
            AnswerBlock::Text(_) => AnswerBlock::Text(json::joined(&self.text)),
            AnswerBlock::Thinking { signature, .. } => AnswerBlock::Thinking {
                thinking: json::joined(&self.text),
                signature: match self.signature.is_empty() {
                    true => signature,
                    false => self.signature,
                },
            },
            AnswerBlock::ToolUse { id, name, .. } if !self.input.is_empty() => AnswerBlock::ToolUse {
                id,
                name,
                input: json::parse(&self.input)
                    .unwrap_or_else(|_| Value::String(std::mem::take(&mut self.input))),
            },
            AnswerBlock::Other(mut value) if value["type"] == "server_tool_use" && !self.input.is_empty() => {
                value["input"] = json::parse(&self.input).unwrap_or(Value::String(self.input));
                AnswerBlock::Other(value)
            }
            other => other,
        }
    }
}

/// Text with citations is of another type than text.
fn block(value: &Value) -> AnswerBlock {
    let field = |pointer: &str| owned(value, pointer).unwrap_or_default();
    match text(value, "/type") {
        Some("text") if list(value, "/citations").is_empty() => AnswerBlock::Text(field("/text")),
        Some("thinking") => AnswerBlock::Thinking {
            thinking: field("/thinking"),
            signature: field("/signature"),
        },
        Some("redacted_thinking") => AnswerBlock::RedactedThinking(field("/data")),
        Some("tool_use") => AnswerBlock::ToolUse {
            id: field("/id"),
            name: field("/name"),
            input: value.pointer("/input").cloned().unwrap_or_default(),
        },
        _ => AnswerBlock::Other(value.clone()),
    }
}

/// The answers of a transcript. Stream events belong to the answer of the last `message_start`, whatever their id. An
/// `assistant` line repeats a block of the stream; without a stream it is a block of the answer.
pub(super) fn answers(transcript: &Transcript) -> Vec<Answer> {
    let mut collection = Collection::default();
    for placed in transcript.placed() {
        match text(placed.event, "/type") {
            Some("stream_event") => collection.stream_event(placed),
            Some("assistant") => collection.assistant_line(placed),
            _ => {}
        }
    }
    collection.finish()
}

/// Streams of subagents run at the same time; each has its own parent call.
#[derive(Default)]
struct Collection {
    answers: Vec<Answer>,
    open: Vec<OpenStream>,
}

struct OpenStream {
    parent: Option<String>,
    answer: usize,
    blocks: Vec<OpenBlock>,
}

impl Collection {
    fn stream_event(&mut self, placed: Placed<'_>) {
        let Some(event) = placed.event.pointer("/event") else {
            return;
        };
        let parent = text(placed.event, "/parent_tool_use_id");
        if text(event, "/type") == Some("message_start") {
            self.close(parent);
            let mut answer = Answer::begin(placed, event.pointer("/message").unwrap_or(&Value::Null));
            answer.streamed = true;
            self.open.push(OpenStream {
                parent: parent.map(str::to_owned),
                answer: self.answers.len(),
                blocks: Vec::new(),
            });
            self.answers.push(answer);
            return;
        }
        let is_its = |stream: &&mut OpenStream| stream.parent.as_deref() == parent;
        let Some(stream) = self.open.iter_mut().find(is_its) else {
            return;
        };
        let answer = &mut self.answers[stream.answer];
        let index = number(event, "/index").unwrap_or(0);
        match text(event, "/type") {
            Some("content_block_start") => stream.blocks.push(OpenBlock {
                index,
                start: event.pointer("/content_block").cloned().unwrap_or_default(),
                ..OpenBlock::default()
            }),
            Some("content_block_delta") => {
                let delta = event.pointer("/delta").unwrap_or(&Value::Null);
                if let Some(kind) = DeltaKind::of(delta) {
                    let (line, at_ms) = (placed.line, placed.at_ms);
                    answer.deltas.push(Delta { line, at_ms, kind });
                }
                if let Some(block) = stream.blocks.iter_mut().rfind(|block| block.index == index) {
                    block.add(delta);
                }
            }
            Some("message_delta") => {
                if let Some(stop_reason) = owned(event, "/delta/stop_reason") {
                    answer.stop_reason = Some(stop_reason);
                }
                answer.add_details(event.get("delta"));
                answer.merge_usage(event.pointer("/usage"));
            }
            Some("message_stop") => {
                answer.complete = answer.stop_reason.is_some();
                self.close(parent);
            }
            _ => {}
        }
    }

    fn close(&mut self, parent: Option<&str>) {
        let is_its = |stream: &OpenStream| stream.parent.as_deref() == parent;
        if let Some(at) = self.open.iter().position(is_its) {
            let stream = self.open.remove(at);
            self.answers[stream.answer].content = stream.blocks.into_iter().map(OpenBlock::close).collect();
        }
    }

    fn assistant_line(&mut self, placed: Placed<'_>) {
        let Some(message) = placed.event.pointer("/message") else {
            return;
        };
        if text(message, "/model") == Some("<synthetic>") {
            return;
        }
        let blocks = list(message, "/content").iter().map(block);
        // A gateway may give all answers one id.
        let is_its = |answer: &&mut Answer| {
            let key = (answer.id.as_deref(), answer.parent_tool_use_id.as_deref());
            key == (text(message, "/id"), text(placed.event, "/parent_tool_use_id"))
        };
        match self.answers.iter_mut().rfind(is_its) {
            Some(answer) if answer.streamed => {}
            Some(answer) => answer.content.extend(blocks),
            None => {
                let mut answer = Answer::begin(placed, message);
                answer.content = blocks.collect();
                self.answers.push(answer);
            }
        }
    }

    fn finish(mut self) -> Vec<Answer> {
        while let Some(parent) = self.open.first().map(|stream| stream.parent.clone()) {
            self.close(parent.as_deref());
        }
        self.answers
    }
}
