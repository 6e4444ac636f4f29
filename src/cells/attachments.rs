//! The prompts of a cell, and the files that they attach.

use std::path::{Component, Path, PathBuf};

use super::raw::PromptBlockForm;
use super::resolve::{Resolver, WHERE};
use crate::document::{Diagnostic, KeyPath};
use crate::text::listed;
use crate::wire::script::{Prompt, PromptBlock};

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
            let path = path.then("repeat");
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
            return Some(PromptBlock::Text(repeat.text.repeat(repeat.times)));
        }
        if let Some(file) = &form.image {
            let (file, media_type, bytes) = self.attachment(&path.then("image"), file, IMAGES)?;
            return Some(PromptBlock::Image {
                file,
                media_type,
                bytes,
            });
        }
        let file = form.document.as_ref()?;
        let (file, media_type, bytes) = self.attachment(&path.then("document"), file, DOCUMENTS)?;
        Some(PromptBlock::Document {
            file,
            media_type,
            bytes,
        })
    }

    /// Path, media type and bytes of the file `name`, which must have one of `endings`.
    fn attachment(
        &mut self,
        path: &KeyPath,
        name: &str,
        endings: &Endings,
    ) -> Option<(PathBuf, String, Vec<u8>)> {
        let file = PathBuf::from(name);
        match self.read_attachment(path, &file, name, endings) {
            Ok((media_type, bytes)) => Some((file, media_type.to_owned(), bytes)),
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
