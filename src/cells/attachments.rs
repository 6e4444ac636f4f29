//! The prompts of a cell, the files that they attach, and what else Claude Code finds.

use std::path::{Component, Path, PathBuf};

use serde_json::json;

use super::raw::{McpToolForm, PromptBlockForm, RepeatForm};
use super::resolve::{Resolver, WHERE};
use crate::document::{Diagnostic, KeyPath};
use crate::text::{listed, quotable};
use crate::wire::script::{McpTool, Prompt, PromptBlock, Workspace, placeholders_in};

/// Gives the bytes of a file in the feature's folder, or the reason why they cannot be read.
pub type Attachments<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>, String>;

/// The endings of a kind of file, each with its media type.
type Endings = [(&'static str, &'static str)];

const IMAGES: &Endings = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
];
/// A bound for `repeat`, so that a wrong number does not fill the memory.
const MOST_REPEATED_BYTES: usize = 16_000_000;
const PDF: &str = "application/pdf";
const DOCUMENTS: &Endings = &[("pdf", PDF)];

impl Resolver<'_> {
    pub(super) fn prompts(&mut self) -> Vec<Prompt> {
        match (&self.form.prompt, &self.form.prompts) {
            (Some(_), Some(_)) => {
                let first = self.reader.node.key_span_at(&KeyPath::of("prompt").0).place();
                let message = "`prompt` and `prompts` contradict each other";
                let error = self.reader.at_key(&KeyPath::of("prompts"), message);
                let error = error.related(first, "`prompt` is here");
                self.reader
                    .report(error.hint("keep `prompt` for one message of text, `prompts` for anything else"));
                Vec::new()
            }
            (None, None) => {
                if !self.damaged.has_key("prompt") && !self.damaged.has_key("prompts") {
                    let error = self.missing("the cell has no prompt for Claude Code");
                    self.reader
                        .report(error.allowed(format!("`prompt` (a text) or `prompts`, {WHERE}")));
                }
                Vec::new()
            }
            (Some(text), None) => {
                self.filled(&KeyPath::of("prompt"), text);
                let blocks = vec![PromptBlock::Text(text.clone())];
                vec![Prompt { blocks }]
            }
            (None, Some(prompts)) => {
                let path = KeyPath::of("prompts");
                prompts
                    .iter()
                    .enumerate()
                    .map(|(index, prompt)| self.prompt(&path.then(index), &prompt.0))
                    .collect()
            }
        }
    }

    fn prompt(&mut self, path: &KeyPath, forms: &[PromptBlockForm]) -> Prompt {
        let blocks = forms
            .iter()
            .enumerate()
            .filter_map(|(index, form)| self.prompt_block(&path.then(index), form))
            .collect();
        Prompt { blocks }
    }

    fn prompt_block(&mut self, path: &KeyPath, form: &PromptBlockForm) -> Option<PromptBlock> {
        if let Some(text) = &form.text {
            self.filled(&path.then("text"), text);
            return Some(PromptBlock::Text(text.clone()));
        }
        if let Some(repeat) = &form.repeat {
            return self.repeated(&path.then("repeat"), repeat).map(PromptBlock::Text);
        }
        match (&form.image, &form.document) {
            (Some(file), _) => self.attachment(&path.then("image"), file, &[IMAGES]),
            (None, file) => self.attachment(&path.then("document"), file.as_ref()?, &[DOCUMENTS]),
        }
    }

    /// The whole text.
    pub(super) fn repeated(&mut self, path: &KeyPath, repeat: &RepeatForm) -> Option<String> {
        self.filled(&path.then("text"), &repeat.text);
        let bytes = repeat.text.len().saturating_mul(repeat.times);
        if bytes > MOST_REPEATED_BYTES {
            let error = self
                .reader
                .at(&path.then("times"), format!("the whole text has {bytes} bytes"));
            self.reader
                .report(error.allowed(format!("at most {MOST_REPEATED_BYTES} bytes")));
            return None;
        }
        Some(repeat.text.repeat(repeat.times))
    }

    /// The files and the servers that Claude Code finds.
    pub(super) fn workspace(&mut self) -> Workspace {
        let path = KeyPath::of("files");
        let names = self.form.files.iter().flatten().enumerate();
        let files = names
            .filter_map(|(index, name)| self.attachment(&path.then(index), name, &[IMAGES, DOCUMENTS]))
            .collect();
        let path = KeyPath::of("mcp_servers");
        let servers = self.form.mcp_servers.iter().flatten();
        let mcp_servers = servers
            .map(|(server, tools)| {
                let path = path.then(server);
                let tools = tools.iter().enumerate();
                let tools = tools.map(|(index, form)| self.mcp_tool(&path.then(index), form));
                (server.clone(), tools.collect())
            })
            .collect();
        Workspace { files, mcp_servers }
    }

    /// Reports a placeholder of the result that is no argument.
    fn mcp_tool(&mut self, path: &KeyPath, form: &McpToolForm) -> McpTool {
        let schema = form.input_schema.clone().map(serde_json::Value::Object);
        let schema = schema.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        let arguments = schema["properties"].as_object();
        for placeholder in placeholders_in(&form.result) {
            let name = placeholder.trim_start_matches("${").trim_end_matches('}');
            if !arguments.is_some_and(|arguments| arguments.contains_key(name)) {
                let message = format!("the tool has no argument `{}`", quotable(name));
                let hint = "name it in the `properties` of `input_schema`";
                self.reader.hinted(&path.then("result"), message, hint);
            }
        }
        McpTool {
            name: form.name.clone(),
            description: form.description.clone(),
            input_schema: schema,
            result: form.result.clone(),
        }
    }

    /// The file `name`, which must have one of `endings`.
    fn attachment(&mut self, path: &KeyPath, name: &str, endings: &[&Endings]) -> Option<PromptBlock> {
        let file = PathBuf::from(name);
        match self.read_attachment(path, &file, name, &endings.concat()) {
            Ok((PDF, bytes)) => Some(PromptBlock::Document {
                file,
                media_type: PDF.to_owned(),
                bytes,
            }),
            Ok((media_type, bytes)) => Some(PromptBlock::Image {
                file,
                media_type: media_type.to_owned(),
                bytes,
            }),
            Err(error) => {
                self.reader.report(*error);
                None
            }
        }
    }

    fn read_attachment(
        &self,
        path: &KeyPath,
        file: &Path,
        name: &str,
        endings: &Endings,
    ) -> Result<(&'static str, Vec<u8>), Box<Diagnostic>> {
        let error = |message: String| Box::new(self.reader.at(path, message));
        let mut components = file.components();
        let is_plain = components.all(|component| matches!(component, Component::Normal(_)));
        if !is_plain || !name.starts_with('_') {
            let message =
                format!("`{name}` is not a file of the feature's folder whose name begins with `_`");
            let error = self.reader.at(path, message);
            return Err(Box::new(error.hint("the `_` marks the files that are not cells")));
        }
        let ending = file.extension().and_then(|ending| ending.to_str());
        let ending = ending.unwrap_or_default().to_ascii_lowercase();
        let Some((_, media_type)) = endings.iter().find(|(known, _)| *known == ending) else {
            let error = self
                .reader
                .at(path, format!("the ending of `{name}` is not allowed here"));
            return Err(Box::new(
                error.allowed(listed(endings.iter().map(|(known, _)| *known))),
            ));
        };
        let read = (self.attachments)(file);
        let bytes = read.map_err(|reason| error(format!("`{name}` cannot be read: {reason}")))?;
        let is_of_type = match *media_type {
            PDF => bytes.starts_with(b"%PDF-"),
            image => image::guess_format(&bytes).is_ok_and(|format| format.to_mime_type() == image),
        };
        match is_of_type {
            true => Ok((media_type, bytes)),
            false => Err(error(format!(
                "`{name}` does not contain `{media_type}`, although its ending says so"
            ))),
        }
    }
}
