//! Makes an answer from a scripted reply: it fills placeholders, signs thinking, gives ids to tool calls, and counts tokens.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};
use uuid::Uuid;

use super::cache::{Charge, PromptCache};
use super::colour;
use super::signature::Signer;
use crate::wire::answer::ProviderAnswer;
use crate::wire::message::{Content, MessageRequest, text_of};
use crate::wire::model::{Generation, find, reply_name};
use crate::wire::reply_fields::ReplyFields;
use crate::wire::script::{ReplyBlock, ReplyMessage, StopDetails};
use crate::wire::{Route, Usage, reply_id, tokens};

/// The request that a reply is made for.
pub(super) struct Stage<'a> {
    pub(super) route: Route,
    pub(super) request: &'a MessageRequest,
    pub(super) context_management: bool,
    /// Whether the request asks for safety checks of the tool calls.
    pub(super) has_safeguards: bool,
    /// The further fields of the reply.
    pub(super) fields: ReplyFields,
    pub(super) signer: &'a Signer,
    pub(super) now_ms: u64,
}

impl Stage<'_> {
    /// Makes the answer, and charges `cache` for the request.
    pub(super) fn play(&self, reply: &ReplyMessage, cache: &mut PromptCache) -> ProviderAnswer {
        let mut content: Vec<Value> = Vec::new();
        for block in &reply.content {
            let id_of_last_server_call = content
                .iter()
                .rfind(|block| block["type"] == "server_tool_use")
                .map(|block| block["id"].clone());
            content.extend(self.block(block, id_of_last_server_call));
        }
        if content.is_empty() {
            content.push(json!({"type": "text", "text": "I was not asked to think."}));
        }
        let charge = cache.charge(&self.request.model, &tokens::pieces(self.request), self.now_ms);
        ProviderAnswer {
            id: new_id("msg_", self.route, &reply_id::digits(reply_id::new(Uuid::new_v4))),
            model: reply_name(&self.request.model).to_owned(),
            stop_reason: reply.stop_reason.clone().unwrap_or_else(|| stop_reason(&content)),
            details: self.details(&reply.details, &content),
            fields: self.fields,
            usage: reply.usage.unwrap_or_else(|| usage(charge, &content)),
            created_for_1h: reply.usage.map_or(charge.created_1h, |_| 0),
            latency_ms: reply.pace.first_byte_ms.max(1),
            context_management: self.context_management,
            split: reply.split,
            content,
        }
    }

    fn details(&self, scripted: &StopDetails, content: &[Value]) -> StopDetails {
        let calls = content.iter().filter(|block| block["type"] == "tool_use");
        let results = scripted
            .safeguard_results
            .as_ref()
            .filter(|_| self.has_safeguards);
        let results = results.map(|results| {
            // The ids are letters, digits and `_`, so the text stays JSON.
            let text = calls
                .enumerate()
                .fold(results.to_string(), |text, (index, call)| {
                    let id = call["id"].as_str().unwrap_or_default();
                    text.replace(&format!("${{call_{}}}", index + 1), id)
                });
            serde_json::from_str(&text).unwrap_or_default()
        });
        StopDetails {
            safeguard_results: results,
            ..scripted.clone()
        }
    }

    fn block(&self, block: &ReplyBlock, server_call: Option<Value>) -> Option<Value> {
        match block {
            ReplyBlock::Text(text) => Some(json!({"type": "text", "text": self.filled(text)})),
            // A model thinks only if the request asks for it.
            ReplyBlock::Thinking(thinking) => self.request.thinks().then(|| {
                let thinking = if self.omits_thinking() {
                    ""
                } else {
                    thinking.as_str()
                };
                json!({
                    "type": "thinking",
                    "thinking": thinking,
                    "signature": self.signer.sign(&self.request.model, thinking),
                })
            }),
            ReplyBlock::RedactedThinking(thinking) => self.request.thinks().then(|| {
                let data = self.signer.redact(&self.request.model, thinking);
                json!({"type": "redacted_thinking", "data": data})
            }),
            ReplyBlock::CitedText { text, citations } => {
                Some(json!({"type": "text", "text": self.filled(text), "citations": citations}))
            }
            ReplyBlock::ToolUse { name, input } => Some(self.tool_use("tool_use", name, input)),
            ReplyBlock::ServerToolUse { name, input } => Some(self.tool_use("server_tool_use", name, input)),
            // Without its call there is no result.
            ReplyBlock::ServerToolResult(result) => server_call.map(|id| {
                let mut result = result.clone();
                result["tool_use_id"] = id;
                self.with_caller(result)
            }),
        }
    }

    /// Whether the reply has only the signature of its thinking. It is the default since Opus 4.7: the official SDK
    /// (`ThinkingConfigAdaptiveParam`), <https://github.com/anthropics/claude-code/issues/49268>.
    fn omits_thinking(&self) -> bool {
        let display = self
            .request
            .thinking
            .as_ref()
            .and_then(|thinking| thinking["display"].as_str());
        let is_default =
            || find(&self.request.model).is_some_and(|model| model.generation >= Generation::FourSeven);
        display.map_or_else(is_default, |display| display == "omitted")
    }

    /// A model cannot call a tool that the request does not offer.
    fn tool_use(&self, kind: &str, name: &str, input: &Value) -> Value {
        let is_offered = self.request.tools.iter().any(|tool| tool.name == name);
        let is_server_tool = kind == "server_tool_use";
        // Converse runs no tool of Anthropic's servers.
        if is_offered && !(is_server_tool && self.route == Route::BedrockConverse) {
            let prefix = if is_server_tool { "srvtoolu_" } else { "toolu_" };
            let id = new_id(prefix, self.route, &letters());
            self.with_caller(json!({"type": kind, "id": id, "name": name, "input": input}))
        } else {
            json!({"type": "text", "text": format!("I would call the tool `{name}`, but it was not offered.")})
        }
    }

    /// A call, or the result of a call, by the model itself: `ToolUseBlock` of `@anthropic-ai/sdk`.
    fn with_caller(&self, mut block: Value) -> Value {
        if self.fields.caller && block.get("caller").is_none() {
            block["caller"] = json!({"type": "direct"});
        }
        block
    }

    fn filled(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        if filled.contains("${tool_result}") {
            filled = filled.replace("${tool_result}", &self.last_tool_result());
        }
        if filled.contains("${image_colour}") {
            filled = filled.replace("${image_colour}", self.last_image_colour());
        }
        filled
    }

    fn last_tool_result(&self) -> String {
        let result = self.last(|content| match content {
            Content::ToolResult { content, .. } => Some(without_reminders(&text_of(content))),
            _ => None,
        });
        result.unwrap_or_else(|| "(no tool result)".to_owned())
    }

    fn last_image_colour(&self) -> &'static str {
        let colour = self.last(|content| match content {
            Content::Image { data, .. } => Some(colour::dominant(data).unwrap_or("(unreadable image)")),
            _ => None,
        });
        colour.unwrap_or("(no image)")
    }

    /// The value that `find` returns for the last block that has one.
    fn last<T>(&self, find: impl Fn(&Content) -> Option<T>) -> Option<T> {
        let blocks = self.request.blocks();
        blocks.iter().rev().find_map(|block| find(&block.content))
    }
}

/// Claude Code appends reminders to a tool's result; a model does not quote them.
pub(super) fn without_reminders(text: &str) -> String {
    static REMINDER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("(?s)<system-reminder>.*?</system-reminder>").expect("a constant expression")
    });
    REMINDER.replace_all(text, "").trim().to_owned()
}

fn stop_reason(content: &[Value]) -> String {
    let calls_a_tool = content.iter().any(|block| block["type"] == "tool_use");
    if calls_a_tool { "tool_use" } else { "end_turn" }.to_owned()
}

fn usage(charge: Charge, content: &[Value]) -> Usage {
    Usage {
        input_tokens: charge.input,
        cache_creation_input_tokens: charge.created_5m + charge.created_1h,
        cache_read_input_tokens: charge.read,
        output_tokens: tokens::of_answer(content),
    }
}

/// An id in the provider's format: `toolu_01…`, `toolu_bdrk_01…`, `toolu_vrtx_01…`.
fn new_id(prefix: &str, route: Route, digits: &str) -> String {
    let provider = match route {
        Route::Anthropic | Route::Azure => "",
        Route::BedrockInvoke | Route::BedrockConverse | Route::BedrockMantle => "bdrk_",
        Route::VertexAi => "vrtx_",
    };
    format!("{prefix}{provider}01{digits}")
}

/// 22 letters and digits, of which the last ones show that the simulator made the id (`reply_id`): a reply of Converse has no other id.
/// A provider's ids have capitals (`toolu_01A09q90qw90lq917835lq9`), and a gateway must keep them.
///
/// Source: <https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls>
fn letters() -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    loop {
        let number = Uuid::new_v4().as_u128();
        let digit = |place| DIGITS[(number / 62_u128.pow(place) % 62) as usize] as char;
        let id = reply_id::with_checksum((0..15).map(digit).chain(['A']).collect());
        if !reply_id::has_status(&id) {
            return id;
        }
    }
}
