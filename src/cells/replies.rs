//! The replies of a cell. Their number must fit its prompts.

use serde_json::Value;

use super::raw::{InterruptForm, ReplyBlockForm, ReplyErrorForm, ReplyForm};
use super::resolve::{Resolver, WHERE};
use crate::document::{Diagnostic, KeyPath};
use crate::expectation::context::STRUCTURED_OUTPUT;
use crate::text::{counted, is_slip_of, listed, quotable};
use crate::wire::Usage;
use crate::wire::answer::content_deltas;
use crate::wire::error_reply::ERROR_TYPES;
use crate::wire::header_names;
use crate::wire::message::STOP_REASONS;
use crate::wire::script::{
    DeltaSplit, Interrupt, PLACEHOLDERS, Pace, Prompt, Reply, ReplyBlock, ReplyError, ReplyMessage, Script,
    Silence, StopDetails, StreamError, StreamFraming, placeholders_in,
};

impl Resolver<'_> {
    pub(super) fn script(&mut self) -> Script {
        let Some(forms) = &self.form.replies else {
            if !self.damaged.has_key("replies") {
                let error = self.missing("the simulated provider has no reply");
                self.reader.report(error.allowed(format!("`replies`, {WHERE}")));
            }
            return Script::default();
        };
        let path = KeyPath::of("replies");
        let mut known = Placeholders {
            image: self.has_image(),
            tool_called: false,
            server_tool_called: false,
        };
        let mut replies = Vec::new();
        for (index, form) in forms.iter().enumerate() {
            replies.extend(self.reply(&path.then(index), form, known));
            known.tool_called |= form
                .content
                .iter()
                .flatten()
                .any(|block| block.tool_use.is_some())
                || self.damaged.has(&path.then(index));
        }
        Script { replies }
    }

    /// Whether a prompt names an image, readable or not, or Claude Code may read one.
    fn has_image(&self) -> bool {
        let mut blocks = self.form.prompts.iter().flatten().flat_map(|prompt| &prompt.0);
        let is_damaged = |key| self.damaged.has_key(key);
        self.form.files.is_some()
            || ["prompt", "prompts", "files"].into_iter().any(is_damaged)
            || blocks.any(|block| block.image.is_some())
    }

    fn reply(&mut self, path: &KeyPath, form: &ReplyForm, known: Placeholders) -> Option<Reply> {
        match (&form.content, &form.error) {
            (Some(content), None) => {
                let reply_path = path;
                let path = path.then("content");
                let mut known = known;
                let mut blocks = Vec::new();
                for (index, block) in content.iter().enumerate() {
                    let path = path.then(index);
                    blocks.extend(self.reply_block(&path, block, known));
                    known.server_tool_called |= block.server_tool_use.is_some() || self.damaged.has(&path);
                }
                let content = blocks;
                Some(Reply::Message(self.message(reply_path, form, content)))
            }
            // Its error of form is already among the errors.
            (None, None) if self.damaged.has(path) => {
                Some(Reply::Message(self.message(path, form, Vec::new())))
            }
            (None, Some(error)) => Some(self.reply_error(path, form, error)),
            (None, None) => {
                let error = self
                    .reader
                    .at(path, "the reply is neither a message nor an error");
                self.reader.report(error.allowed("`content` or `error`"));
                None
            }
            (Some(_), Some(_)) => {
                self.reader.hinted(
                    &path.then("error"),
                    "`error` and `content` contradict each other",
                    "make two replies of them",
                );
                None
            }
        }
    }

    fn reply_error(&mut self, path: &KeyPath, form: &ReplyForm, error: &ReplyErrorForm) -> Reply {
        for (key, given) in [
            ("stop_reason", form.stop_reason.is_some()),
            ("usage", form.usage.is_some()),
            ("pace", form.pace.is_some()),
            ("framing", form.framing.is_some()),
            ("interrupt", form.interrupt.is_some()),
            ("stop_sequence", form.stop_sequence.is_some()),
            ("stop_details", form.stop_details.is_some()),
            ("safeguard_results", form.safeguard_results.is_some()),
            ("applied_edits", form.applied_edits.is_some()),
        ] {
            if given {
                let message = format!("an error has no `{key}`");
                let hint = "remove it, or answer with `content`";
                self.reader.hinted(&path.then(key), message, hint);
            }
        }
        if let Some(kind) = &error.kind {
            self.error_type(&path.then("error").then("type"), kind);
        }
        self.no_placeholders(
            &path.then("error").then("message"),
            &Value::from(error.message.clone()),
        );
        Reply::Error(ReplyError {
            status: error.status,
            kind: error.kind.clone(),
            message: error.message.clone(),
            headers: self.reply_headers(path, form),
            asker: self.asker(path, form),
        })
    }

    /// Reports a mistyped error type. A provider may have types of its own, so an unlike name may be right.
    fn error_type(&mut self, path: &KeyPath, kind: &str) {
        let is_like = |name: &&str| is_slip_of(kind, name);
        if ERROR_TYPES.contains(&kind) || !ERROR_TYPES.iter().any(is_like) {
            return;
        }
        let message = format!("the Messages API has no error type `{}`", quotable(kind));
        let error = self.reader.at(path, message).allowed(listed(ERROR_TYPES));
        self.reader.report(error.did_you_mean(kind, ERROR_TYPES));
    }

    /// Reports a number of deltas that the reply does not have.
    fn deltas_exist(&mut self, path: &KeyPath, after: usize, content: &[ReplyBlock]) {
        let is_whole = !self.damaged.has(&KeyPath(path.0[..2].to_vec()));
        let most = content_deltas(content).filter(|most| is_whole && after > *most);
        if let Some(most) = most {
            let message = format!("the reply has {}", counted(most, "content delta"));
            let error = self.reader.at(path, message).found(after.to_string());
            self.reader.report(error.allowed(format!("at most {most}")));
        }
    }

    fn message(&mut self, path: &KeyPath, form: &ReplyForm, content: Vec<ReplyBlock>) -> ReplyMessage {
        if let Some(interrupt) = &form.interrupt {
            let interrupt_path = path.then("interrupt");
            self.deltas_exist(
                &interrupt_path.then("after_deltas"),
                interrupt.after_deltas,
                &content,
            );
            if let Some(error) = &interrupt.error {
                let error_path = interrupt_path.then("error");
                self.error_type(&error_path.then("type"), &error.kind);
                let message = Value::from(error.message.clone());
                self.no_placeholders(&error_path.then("message"), &message);
            }
        }
        if let Some(silence) = form.pace.as_ref().and_then(|pace| pace.silence.as_ref()) {
            let path = path.then("pace").then("silence").then("after_deltas");
            self.deltas_exist(&path, silence.after_deltas, &content);
        }
        let pace = form.pace.as_ref();
        let framing = form.framing.as_ref();
        let lockstep = pace.and_then(|pace| pace.lockstep).unwrap_or(false);
        if lockstep && framing.is_some_and(|framing| framing.piece_bytes.is_some()) {
            self.reader.hinted(
                &path.then("framing").then("piece_bytes"),
                "pieces and `lockstep` contradict each other: Claude Code cannot show half an event",
                "remove one of them",
            );
        }
        if form.stop_sequence.is_some()
            && form.stop_reason.as_deref() != Some("stop_sequence")
            && !self.damaged.has(&path.then("stop_reason"))
        {
            self.reader.hinted(
                &path.then("stop_sequence"),
                "only a message that ends for a stop sequence names one",
                "write `stop_reason: stop_sequence`",
            );
        }
        if let Some(reason) = form
            .stop_reason
            .as_deref()
            .filter(|reason| !STOP_REASONS.contains(reason))
        {
            let message = format!("there is no stop reason `{}`", quotable(reason));
            let error = self.reader.at(&path.then("stop_reason"), message);
            let error = error.allowed(listed(STOP_REASONS));
            self.reader.report(error.did_you_mean(reason, STOP_REASONS));
        }
        self.call_placeholders(path, form, &content);
        let sequence = form.stop_sequence.clone().map(Value::from);
        let details = form.stop_details.clone().map(Value::Object);
        let edits = form.applied_edits.clone().map(Value::Array);
        for (key, value) in [
            ("stop_sequence", &sequence),
            ("stop_details", &details),
            ("applied_edits", &edits),
        ] {
            self.no_placeholders(&path.then(key), value.as_ref().unwrap_or(&Value::Null));
        }
        ReplyMessage {
            content,
            stop_reason: form.stop_reason.clone(),
            split: DeltaSplit::default(),
            details: StopDetails {
                stop_sequence: form.stop_sequence.clone(),
                stop_details: details,
                safeguard_results: form.safeguard_results.clone().map(Value::Array),
                applied_edits: edits,
            },
            usage: form.usage.as_ref().map(|usage| Usage {
                input_tokens: usage.input_tokens.unwrap_or(0),
                cache_creation_input_tokens: usage.cache_creation_input_tokens.unwrap_or(0),
                cache_read_input_tokens: usage.cache_read_input_tokens.unwrap_or(0),
                output_tokens: usage.output_tokens.unwrap_or(0),
            }),
            pace: pace.map_or_else(Pace::default, |pace| Pace {
                first_byte_ms: pace.first_byte_ms.unwrap_or(0),
                between_ms: pace.between_ms.unwrap_or(0),
                lockstep,
                silence: pace.silence.as_ref().map(|silence| Silence {
                    after_deltas: silence.after_deltas,
                    ms: silence.ms,
                    pings: silence.pings,
                }),
            }),
            framing: framing.map_or_else(StreamFraming::default, |framing| StreamFraming {
                piece_bytes: framing.piece_bytes,
                line_end: framing.line_end,
                comments: framing.comments,
                split_data: framing.split_data,
                no_space: framing.no_space,
                ids: framing.ids,
                data_first: framing.data_first,
                byte_order_mark: framing.byte_order_mark,
            }),
            interrupt: form
                .interrupt
                .as_ref()
                .and_then(|form| self.interrupt(path, form)),
            headers: self.reply_headers(path, form),
            asker: self.asker(path, form),
        }
    }

    fn interrupt(&mut self, path: &KeyPath, form: &InterruptForm) -> Option<Interrupt> {
        let error = form.error.as_ref().map(|error| StreamError {
            kind: error.kind.clone(),
            message: error.message.clone(),
        });
        if self.damaged.has(&path.then("interrupt")) {
            return None;
        }
        if error.is_some() == (form.cut == Some(true)) {
            let error = self.reader.at(
                &path.then("interrupt"),
                "a reply is interrupted in exactly one way",
            );
            self.reader.report(error.allowed("`error`, or `cut: true`"));
            return None;
        }
        Some(Interrupt {
            after_deltas: form.after_deltas,
            error,
        })
    }

    /// Names and values that an HTTP server can send.
    fn reply_headers(&mut self, path: &KeyPath, form: &ReplyForm) -> Vec<(String, String)> {
        let headers = form.headers.iter().flatten();
        for (name, value) in headers.clone() {
            let path = path.then("headers").then(name);
            let is_name =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_name) {
                let error = self.reader.at_key(
                    &path,
                    format!("`{}` is not a header's name in lower case", quotable(name)),
                );
                self.reader
                    .report(error.allowed("lower-case letters, digits, `-`, `_` and `.`"));
            } else if header_names::is_of_the_connection(name) {
                let error = self
                    .reader
                    .at_key(&path, format!("the connection decides `{name}`"));
                self.reader.report(error.hint("remove it"));
            } else {
                self.reader
                    .misspelt(&path, "header", name, header_names::misspelt(name));
            }
            if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                self.reader.hinted(
                    &path,
                    "the value has characters that no header may have",
                    "use printable ASCII characters",
                );
            }
            self.no_placeholders(&path, &Value::from(value.clone()));
        }
        headers
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    fn reply_block(
        &mut self,
        path: &KeyPath,
        block: &ReplyBlockForm,
        known: Placeholders,
    ) -> Option<ReplyBlock> {
        if let Some(text) = &block.text {
            let path = path.then("text");
            self.filled(&path, text);
            self.placeholders(&path, text, known);
            return Some(ReplyBlock::Text(text.clone()));
        }
        if let Some(repeat) = &block.repeat {
            let path = path.then("repeat");
            self.placeholders(&path.then("text"), &repeat.text, known);
            let text = self.repeated(&path, repeat)?;
            return Some(ReplyBlock::Text(text));
        }
        if let Some(thinking) = &block.thinking {
            // It may be empty: a model that does not show its thinking still signs it.
            let path = path.then("thinking");
            if thinking.contains("${") {
                self.reader.hinted(
                    &path,
                    "a thinking block takes no placeholders",
                    "put them into a `text` block",
                );
            }
            return Some(ReplyBlock::Thinking(thinking.clone()));
        }
        if let Some(thinking) = &block.redacted_thinking {
            let path = path.then("redacted_thinking");
            self.filled(&path, thinking);
            self.no_placeholders(&path, &Value::from(thinking.clone()));
            return Some(ReplyBlock::RedactedThinking(thinking.clone()));
        }
        if let Some(cited) = &block.cited_text {
            let path = path.then("cited_text");
            let citations = cited.citations.iter().cloned().map(Value::Object).collect();
            self.no_placeholders(&path.then("citations"), &Value::Array(citations));
            let path = path.then("text");
            self.filled(&path, &cited.text);
            self.placeholders(&path, &cited.text, known);
            return Some(ReplyBlock::CitedText {
                text: cited.text.clone(),
                citations: cited.citations.iter().cloned().map(Value::Object).collect(),
            });
        }
        if let Some(result) = &block.server_tool_result {
            return Some(self.server_tool_result(path, result, known));
        }
        if let Some(call) = &block.server_tool_use {
            let input = path.then("server_tool_use").then("input");
            self.no_placeholders(&input, &Value::Object(call.input.clone()));
            return Some(ReplyBlock::ServerToolUse {
                name: call.name.clone(),
                input: Value::Object(call.input.clone()),
            });
        }
        let call = block.tool_use.as_ref()?;
        let path = path.then("tool_use");
        let place = self.reader.node.span_at(&path.then("name").0).place();
        self.called_tools.push((call.name.clone(), place));
        let input = Value::Object(call.input.clone());
        self.no_placeholders(&path.then("input"), &input);
        self.is_offered(&path.then("name"), &call.name);
        if call.name == STRUCTURED_OUTPUT {
            self.fits_schema(&path.then("input"), &input);
        }
        Some(ReplyBlock::ToolUse {
            name: call.name.clone(),
            input,
        })
    }

    fn server_tool_result(
        &mut self,
        path: &KeyPath,
        result: &serde_json::Map<String, Value>,
        known: Placeholders,
    ) -> ReplyBlock {
        let path = path.then("server_tool_result");
        let kind = result.get("type").and_then(Value::as_str);
        if !kind.is_some_and(|kind| kind.ends_with("_tool_result")) {
            let error = self
                .reader
                .at(&path, "the result has no `type` of a tool's result");
            self.reader.report(
                error.allowed("`web_search_tool_result`, or another type with `_tool_result` at its end"),
            );
        }
        if !known.server_tool_called {
            self.reader.hinted(
                &path,
                "no `server_tool_use` stands before this result",
                "add a `server_tool_use` block before it",
            );
        }
        if result.contains_key("tool_use_id") {
            let error = self
                .reader
                .at_key(&path.then("tool_use_id"), "the simulator sets `tool_use_id`");
            self.reader.report(error.hint("remove it"));
        }
        self.no_placeholders(&path, &Value::Object(result.clone()));
        ReplyBlock::ServerToolResult(Value::Object(result.clone()))
    }

    /// Reports a call that the schema of the cell's `--json-schema` refuses: Claude Code would ask again and again.
    fn fits_schema(&mut self, path: &KeyPath, input: &Value) {
        let flags = self.form.flags.clone().unwrap_or_default();
        let text = flags
            .iter()
            .enumerate()
            .find_map(|(index, flag)| match flag.as_str() {
                "--json-schema" => Some(flags.get(index + 1)?.as_str()),
                flag => flag.strip_prefix("--json-schema="),
            });
        // The check of the flags reports a broken schema.
        let schema = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
        let Some(validator) = schema.and_then(|schema| jsonschema::validator_for(&schema).ok()) else {
            return;
        };
        if let Err(error) = validator.validate(input) {
            let message = format!("the schema of `--json-schema` refuses this call: {error}");
            self.reader
                .hinted(path, message, "let the call and the schema agree");
        }
    }

    fn placeholders(&mut self, path: &KeyPath, text: &str, known: Placeholders) {
        for name in placeholders_in(text) {
            match name {
                "${tool_result}" if known.tool_called => {}
                // A tool's result may have an image.
                "${image_colour}" if known.image || known.tool_called => {}
                "${tool_result}" => self.reader.hinted(
                    path,
                    "`${tool_result}` has no value: no earlier reply calls a tool",
                    "add a `tool_use` block to an earlier reply",
                ),
                "${image_colour}" => self.reader.hinted(
                    path,
                    "`${image_colour}` has no value: no prompt has an image, and no earlier reply calls a tool",
                    "add an `image` block to `prompts`",
                ),
                _ => {
                    let message = format!("unknown placeholder `{}`", quotable(name));
                    let error = self.reader.at(path, message).allowed(listed(PLACEHOLDERS));
                    self.reader.report(error.did_you_mean(name, PLACEHOLDERS));
                }
            }
        }
    }

    /// Every prompt, except for local commands, and the direct request need one final reply each; the replies before it call
    /// tools.
    pub(super) fn balance(&mut self, prompts: &[Prompt], script: &Script, direct: bool) {
        // The number of requests of each asker is not known.
        let is_for_anyone = |reply: &Reply| reply.asker().is_anyone();
        if !script.replies.iter().all(is_for_anyone) {
            return;
        }
        let flags = self.form.flags.clone().unwrap_or_default();
        let ends: Option<Vec<End>> = script
            .replies
            .iter()
            .map(|reply| match reply {
                Reply::Message(message) if message.stop_reason.is_none() && message.interrupt.is_none() => {
                    Some(End::of(message, &flags))
                }
                _ => None,
            })
            .collect();
        let Some(ends) = ends else { return };
        let asking = prompts.iter().filter(|prompt| !prompt.is_local_command());
        let wanted = asking.count() + usize::from(direct);
        let is_final = |index: &usize| ends[*index] == End::Final;
        let finals: Vec<usize> = (0..ends.len()).filter(is_final).collect();
        let possible = ends.iter().filter(|end| **end != End::ToolCall).count();
        let path = KeyPath::of("replies");
        let diagnostic = if possible < wanted {
            let missing = too_few(finals.len(), wanted, direct);
            numbers(self.reader.at(&path, missing), finals.len(), wanted, direct)
                .hint("add a reply without `tool_use` for the request that brings a tool's result")
        } else if finals.len() > wanted {
            let unused = wanted.checked_sub(1).map_or(0, |last| finals[last] + 1);
            let path = path.then(unused);
            let diagnostic = self.reader.at(&path, "no request gets this reply");
            numbers(diagnostic, finals.len(), wanted, direct)
                .hint("remove it, or add a prompt that it answers")
        } else if ends.last() == Some(&End::ToolCall) {
            let path = path.then(script.replies.len() - 1);
            self.reader
                .at(
                    &path,
                    "the last reply calls a tool and nothing answers its result",
                )
                .hint("add a reply for the request that brings the tool's result")
        } else {
            return;
        };
        self.reader.report(diagnostic);
    }
}

/// Whether each placeholder of a reply has a value.
#[derive(Clone, Copy)]
struct Placeholders {
    image: bool,
    tool_called: bool,
    server_tool_called: bool,
}

fn too_few(finals: usize, wanted: usize, direct: bool) -> String {
    match (finals + 1 == wanted, direct, wanted) {
        (true, true, _) => "`direct` has no reply".to_owned(),
        (.., 1) => "every reply calls a tool, so the prompt never gets a final answer".to_owned(),
        _ => format!("{wanted} requests need a final reply, and {finals} of the replies are final"),
    }
}

fn numbers(diagnostic: Diagnostic, finals: usize, wanted: usize, direct: bool) -> Diagnostic {
    let found = match finals {
        0 => "no reply that calls no tool".to_owned(),
        1 => "1 reply that calls no tool".to_owned(),
        several => format!("{several} replies that call no tool"),
    };
    let of_direct = if direct { " and one for `direct`" } else { "" };
    diagnostic
        .found(found)
        .allowed(format!("{wanted}: one for each prompt{of_direct}"))
}

/// Whether Claude Code sends another request after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It does not: no tool was called.
    Final,
    /// A flag of the cell may end the run here.
    Perhaps,
    /// It sends the tool's result.
    ToolCall,
}

impl End {
    /// With `--json-schema` a correct call of `StructuredOutput` ends the run, with `--max-turns` any call may (both seen
    /// with Claude Code 2.1.327).
    fn of(message: &ReplyMessage, flags: &[String]) -> Self {
        let has = |name: &str| flags.iter().any(|flag| flag.split('=').next() == Some(name));
        let calls = message.content.iter().filter_map(|block| match block {
            ReplyBlock::ToolUse { name, .. } => Some(name.as_str()),
            _ => None,
        });
        match calls.collect::<Vec<_>>()[..] {
            [] => Self::Final,
            _ if has("--max-turns") => Self::Perhaps,
            ref called if has("--json-schema") && called.contains(&STRUCTURED_OUTPUT) => Self::Perhaps,
            _ => Self::ToolCall,
        }
    }
}
