//! The files of the prompts and of the working directory, compared with those that the provider received.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::document::KeyPath;
use crate::expectation::provider_side::{Turn, at, on_each_message, outline};
use crate::expectation::{Checker, Deviation, Ruling, Scene};
use crate::wire::exchange::ProviderExchange;
use crate::wire::message::Content;
use crate::wire::script::PromptBlock;

/// The media type and the bytes of a file.
type FileOf<'a> = (&'a str, &'a [u8]);

/// A kind of file that a prompt can attach.
pub(super) struct FileKind {
    /// The noun with its article.
    pub(super) noun: (&'static str, &'static str),
    /// The file in a prompt's block of the kind.
    pub(super) of_prompt: fn(&PromptBlock) -> Option<FileOf<'_>>,
    /// Media type and base64 of a request's block of the kind.
    pub(super) of_request: fn(&Content) -> Option<(&str, &str)>,
}

impl FileKind {
    /// Reports that no prompt attaches such a file.
    pub(super) fn is_attached(&self, checker: &mut Checker<'_>, path: &KeyPath) {
        let (article, noun) = self.noun;
        let mut blocks = checker.context.workspace.blocks(checker.context.prompts);
        let is_attached = blocks.any(|block| (self.of_prompt)(block).is_some());
        if checker.context.whole && !is_attached {
            let message =
                format!("neither `prompts` nor `files` has {article} {noun}, so this could never be judged");
            let hint = format!("add {article} `{noun}` block to `prompts`, or {article} {noun} to `files`");
            let error = checker.reader.at(path, message).hint(hint);
            let key = match checker.reader.node.get("prompt") {
                Some(_) => "prompt",
                None => "prompts",
            };
            checker.report_against(key, error);
        }
    }

    /// Every such file of the cell must arrive byte for byte in each request that `turn` selects.
    pub(super) fn judge(&self, turn: Turn, scene: &Scene<'_>) -> Ruling {
        on_each_message(turn, scene, |exchange| self.missing(scene, exchange))
    }

    fn missing(&self, scene: &Scene<'_>, exchange: &ProviderExchange) -> Vec<Deviation> {
        let noun = self.noun.1;
        let message = exchange.message.iter();
        let blocks = message.flat_map(|message| message.blocks());
        let arrived: Vec<(&str, Option<Vec<u8>>)> = blocks
            .filter_map(|block| (self.of_request)(&block.content))
            .map(|(media_type, data)| (media_type, STANDARD.decode(data).ok()))
            .collect();
        let sent = scene.workspace.blocks(scene.prompts).filter_map(self.of_prompt);
        let lost = sent.filter(|(media_type, bytes)| {
            let is_it = |(kind, data): &(&str, Option<Vec<u8>>)| {
                kind == media_type && data.as_deref() == Some(*bytes)
            };
            !arrived.iter().any(is_it)
        });
        lost.map(|(media_type, bytes)| Deviation {
            summary: format!("the {noun} did not reach the provider as it was sent"),
            expected: format!("an `{media_type}` block of these {} bytes", bytes.len()),
            actual: in_words(&arrived).unwrap_or_else(|| format!("no {noun} block; {}", outline(exchange))),
            evidence: Some(at(exchange)),
        })
        .collect()
    }
}

fn in_words(arrived: &[(&str, Option<Vec<u8>>)]) -> Option<String> {
    let blocks: Vec<String> = arrived
        .iter()
        .map(|(kind, data)| match data {
            Some(data) => format!("an `{kind}` block of {} bytes, not the same", data.len()),
            None => format!("an `{kind}` block whose base64 cannot be decoded"),
        })
        .collect();
    (!blocks.is_empty()).then(|| blocks.join(", "))
}
