//! The prompts of a cell, and the files that they attach.

use std::path::{Component, Path, PathBuf};

use super::raw::PromptBlockForm;
use super::resolve::{Resolver, WHERE};
use crate::document::KeyPath;
use crate::text::listed;
use crate::wire::script::{Prompt, PromptBlock};

/// Gives the bytes of a file in the feature's folder, or the reason why they cannot be read.
pub type Attachments<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>, String>;

struct MediaKind {
    endings: &'static [&'static str],
    media_type: &'static str,
    is: fn(&[u8]) -> bool,
}

const IMAGES: [MediaKind; 4] = [
    MediaKind {
        endings: &["png"],
        media_type: "image/png",
        is: |bytes| image::guess_format(bytes).ok() == Some(image::ImageFormat::Png),
    },
    MediaKind {
        endings: &["jpg", "jpeg"],
        media_type: "image/jpeg",
        is: |bytes| image::guess_format(bytes).ok() == Some(image::ImageFormat::Jpeg),
    },
    MediaKind {
        endings: &["gif"],
        media_type: "image/gif",
        is: |bytes| image::guess_format(bytes).ok() == Some(image::ImageFormat::Gif),
    },
    MediaKind {
        endings: &["webp"],
        media_type: "image/webp",
        is: |bytes| image::guess_format(bytes).ok() == Some(image::ImageFormat::WebP),
    },
];

const DOCUMENTS: [MediaKind; 1] = [MediaKind {
    endings: &["pdf"],
    media_type: "application/pdf",
    is: |bytes| bytes.starts_with(b"%PDF-"),
}];

impl Resolver<'_> {
    pub(super) fn prompts(&mut self) -> Vec<Prompt> {
        match (&self.form.prompt, &self.form.prompts) {
            (Some(_), Some(_)) => {
                let node = self.reader.node;
                let first = node.key_span_at(&KeyPath::of("prompt").0).place();
                let diagnostic = self
                    .reader
                    .at_key(
                        &KeyPath::of("prompts"),
                        "`prompt` and `prompts` contradict each other",
                    )
                    .related(first, "`prompt` stands here")
                    .hint("keep `prompt` for one message of text, `prompts` for anything else");
                self.report(diagnostic);
                Vec::new()
            }
            (None, None) => {
                if !self.damaged.has_key("prompt") && !self.damaged.has_key("prompts") {
                    let diagnostic = self
                        .missing("the cell has no prompt for Claude Code")
                        .allowed(format!("`prompt` (a text) or `prompts`, {WHERE}"));
                    self.report(diagnostic);
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
        if let Some(file) = &form.image {
            let (file, media_type, bytes) = self.attachment(&path.then("image"), file, &IMAGES)?;
            return Some(PromptBlock::Image {
                file,
                media_type,
                bytes,
            });
        }
        let file = form.document.as_ref()?;
        let (file, media_type, bytes) = self.attachment(&path.then("document"), file, &DOCUMENTS)?;
        Some(PromptBlock::Document {
            file,
            media_type,
            bytes,
        })
    }

    fn attachment(
        &mut self,
        path: &KeyPath,
        name: &str,
        kinds: &[MediaKind],
    ) -> Option<(PathBuf, String, Vec<u8>)> {
        let file = PathBuf::from(name);
        let diagnostic = match self.read_attachment(&file, name, kinds) {
            Ok((media_type, bytes)) => return Some((file, media_type, bytes)),
            Err(NotAttached {
                message,
                allowed,
                hint,
            }) => {
                let mut diagnostic = self.at(path, message);
                diagnostic.allowed = allowed;
                diagnostic.hint = hint.map(str::to_owned);
                diagnostic
            }
        };
        self.report(diagnostic);
        None
    }

    /// Media type and bytes of an attached file.
    fn read_attachment(
        &self,
        file: &Path,
        name: &str,
        kinds: &[MediaKind],
    ) -> Result<(String, Vec<u8>), NotAttached> {
        let mut components = file.components();
        let is_plain = components.all(|component| matches!(component, Component::Normal(_)));
        if !is_plain || !name.starts_with('_') {
            return Err(NotAttached {
                hint: Some("files beside the cells begin with `_`, so that they are never taken for cells"),
                ..NotAttached::new(format!(
                    "`{name}` is not a file of the feature's folder whose name begins with `_`"
                ))
            });
        }
        let ending = file.extension().and_then(|ending| ending.to_str());
        let ending = ending.unwrap_or_default().to_ascii_lowercase();
        let Some(kind) = kinds.iter().find(|kind| kind.endings.contains(&ending.as_str())) else {
            let endings = kinds.iter().flat_map(|kind| kind.endings.iter().copied());
            return Err(NotAttached {
                allowed: Some(listed(endings)),
                ..NotAttached::new(format!("`{name}` has an ending of no kind that is allowed here"))
            });
        };
        match (self.attachments)(file) {
            Err(reason) => Err(NotAttached::new(format!("`{name}` cannot be read: {reason}"))),
            Ok(bytes) if !(kind.is)(&bytes) => Err(NotAttached::new(format!(
                "`{name}` does not hold `{}`, as its ending says",
                kind.media_type
            ))),
            Ok(bytes) => Ok((kind.media_type.to_owned(), bytes)),
        }
    }
}

/// Why a file is not attached.
struct NotAttached {
    message: String,
    allowed: Option<String>,
    hint: Option<&'static str>,
}

impl NotAttached {
    fn new(message: String) -> Self {
        Self {
            message,
            allowed: None,
            hint: None,
        }
    }
}
