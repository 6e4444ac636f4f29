//! `document_arrived`: the documents that the provider received are those of the cell.

use schemars::JsonSchema;
use serde::Deserialize;

use super::files::FileKind;
use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::provider_side::Turn;
use crate::expectation::{Checker, Interest, Ruling, Scene};
use crate::wire::message::Content;
use crate::wire::script::PromptBlock;
use crate::wire_diff::Part;

/// Provider's side: the documents that it received are those of the prompts and of `files`, byte for byte. Not judged in a live run.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"turn": 1}]))]
pub struct DocumentArrivedCheck {
    pub turn: Turn,
}

impl Kind for DocumentArrivedCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str = "The model does not read the document that the user gave it.";

    fn resolve(form: &Self, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.turn(path, form.turn);
        DOCUMENTS.is_attached(checker, path);
        Some(form.clone())
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        DOCUMENTS.judge(self.turn, scene)
    }

    fn interests(&self) -> Vec<Interest> {
        let blocks = Interest::request(&[Part::Block, Part::Request], self.turn.number());
        vec![blocks.likely(&["(document)", "\"application/pdf\""])]
    }
}

const DOCUMENTS: FileKind = FileKind {
    noun: ("a", "document"),
    of_prompt: |block| match block {
        PromptBlock::Document {
            media_type, bytes, ..
        } => Some((media_type, bytes)),
        _ => None,
    },
    of_request: |content| match content {
        Content::Document { media_type, data } => Some((media_type, data)),
        _ => None,
    },
};
