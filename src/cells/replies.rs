//! The replies of a cell. Their number must fit its prompts.

use serde_json::Value;

use super::raw::{ReplyBlockForm, ReplyErrorForm, ReplyForm};
use super::resolve::{Resolver, WHERE};
use crate::document::{Diagnostic, KeyPath};
use crate::text::{listed, quotable};
use crate::wire::Usage;
use crate::wire::script::{
    PLACEHOLDERS, Pace, Prompt, Reply, ReplyBlock, ReplyError, ReplyMessage, Script, placeholders_in,
};

/// The tool by which Claude Code gets an answer in the form of `--json-schema`.
const STRUCTURED_OUTPUT: &str = "StructuredOutput";

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
        };
        let mut replies = Vec::new();
        for (index, form) in forms.iter().enumerate() {
            replies.extend(self.reply(&path.then(index), form, known));
            known.tool_called |= form
                .content
                .iter()
                .flatten()
                .any(|block| block.tool_use.is_some());
        }
        Script { replies }
    }

    /// Whether a prompt names an image, readable or not.
    fn has_image(&self) -> bool {
        let mut blocks = self.form.prompts.iter().flatten().flat_map(|prompt| &prompt.0);
        self.damaged.has_key("prompt")
            || self.damaged.has_key("prompts")
            || blocks.any(|block| block.image.is_some())
    }

    fn reply(&mut self, path: &KeyPath, form: &ReplyForm, known: Placeholders) -> Option<Reply> {
        match (&form.content, &form.error) {
            (Some(content), None) => {
                let path = path.then("content");
                let content = content
                    .iter()
                    .enumerate()
                    .filter_map(|(index, block)| self.reply_block(&path.then(index), block, known))
                    .collect();
                Some(Reply::Message(message(form, content)))
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
        ] {
            if given {
                let message = format!("an error has no `{key}`");
                let hint = "remove it, or answer with `content`";
                self.reader.hinted(&path.then(key), message, hint);
            }
        }
        Reply::Error(ReplyError {
            status: error.status,
            kind: error.kind.clone(),
            message: error.message.clone(),
        })
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
        if let Some(thinking) = &block.thinking {
            let path = path.then("thinking");
            self.filled(&path, thinking);
            if thinking.contains("${") {
                self.reader.hinted(
                    &path,
                    "a thinking block takes no placeholders",
                    "put them into a `text` block",
                );
            }
            return Some(ReplyBlock::Thinking(thinking.clone()));
        }
        let call = block.tool_use.as_ref()?;
        let path = path.then("tool_use");
        let place = self.reader.node.span_at(&path.then("name").0).place();
        self.called_tools.push((call.name.clone(), place));
        let input = Value::Object(call.input.clone());
        if call.name == STRUCTURED_OUTPUT {
            self.fits_schema(&path.then("input"), &input);
        }
        Some(ReplyBlock::ToolUse {
            name: call.name.clone(),
            input,
        })
    }

    /// Reports a call that the schema of the cell's `--json-schema` refuses: Claude Code would ask again and again.
    fn fits_schema(&mut self, path: &KeyPath, input: &Value) {
        let flags = self.form.flags.clone().unwrap_or_default();
        let text = flags
            .iter()
            .enumerate()
            .find_map(|(index, flag)| match flag.as_str() {
                "--json-schema" => Some((index + 1, flags.get(index + 1)?.as_str())),
                flag => Some((index, flag.strip_prefix("--json-schema=")?)),
            });
        let Some((index, text)) = text else { return };
        let schema = serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
        let validator =
            schema.and_then(|schema| jsonschema::validator_for(&schema).map_err(|error| error.to_string()));
        match validator {
            Ok(validator) => {
                if let Err(error) = validator.validate(input) {
                    let message = format!("the schema of `--json-schema` refuses this call: {error}");
                    self.reader
                        .hinted(path, message, "let the call and the schema agree");
                }
            }
            Err(error) => {
                let path = KeyPath::of("flags").then(index);
                self.reader
                    .error(&path, format!("this is no JSON Schema: {error}"));
            }
        }
    }

    fn placeholders(&mut self, path: &KeyPath, text: &str, known: Placeholders) {
        for name in placeholders_in(text) {
            match name {
                "${tool_result}" if known.tool_called => {}
                "${image_colour}" if known.image => {}
                "${tool_result}" => self.reader.hinted(
                    path,
                    "`${tool_result}` has no value: no earlier reply calls a tool",
                    "add a `tool_use` block to an earlier reply",
                ),
                "${image_colour}" => self.reader.hinted(
                    path,
                    "`${image_colour}` has no value: no prompt has an image",
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

    /// Every prompt and the direct request need one final reply each; the replies before it call tools.
    pub(super) fn balance(&mut self, prompts: &[Prompt], script: &Script, direct: bool) {
        let flags = self.form.flags.clone().unwrap_or_default();
        let ends: Option<Vec<End>> = script
            .replies
            .iter()
            .map(|reply| match reply {
                Reply::Message(message) if message.stop_reason.is_none() => Some(End::of(message, &flags)),
                _ => None,
            })
            .collect();
        let Some(ends) = ends else { return };
        let wanted = prompts.len() + usize::from(direct);
        let is_final = |index: &usize| ends[*index] == End::Final;
        let finals: Vec<usize> = (0..ends.len()).filter(is_final).collect();
        let possible = ends.iter().filter(|end| **end != End::ToolCall).count();
        let path = KeyPath::of("replies");
        let diagnostic = if possible < wanted {
            let missing = too_few(finals.len(), wanted, direct);
            numbers(self.reader.at(&path, missing), finals.len(), wanted, direct)
                .hint("add a reply without `tool_use` for the request that brings a tool's result")
        } else if finals.len() > wanted {
            let path = path.then(finals[wanted - 1] + 1);
            let diagnostic = self.reader.at(&path, "no request gets this reply");
            numbers(diagnostic, finals.len(), wanted, direct)
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
}

fn message(form: &ReplyForm, content: Vec<ReplyBlock>) -> ReplyMessage {
    let pace = form.pace.as_ref();
    ReplyMessage {
        content,
        stop_reason: form.stop_reason.clone(),
        usage: form.usage.as_ref().map(|usage| Usage {
            input_tokens: usage.input_tokens.unwrap_or(0),
            cache_creation_input_tokens: usage.cache_creation_input_tokens.unwrap_or(0),
            cache_read_input_tokens: usage.cache_read_input_tokens.unwrap_or(0),
            output_tokens: usage.output_tokens.unwrap_or(0),
        }),
        pace: pace.map_or_else(Pace::default, |pace| Pace {
            first_byte_ms: pace.first_byte_ms.unwrap_or(0),
            between_ms: pace.between_ms.unwrap_or(0),
            lockstep: pace.lockstep.unwrap_or(false),
        }),
    }
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
