//! `image_arrived`: the images that the provider received are those of the cell.

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

/// Provider's side: the images that it decoded are those of the prompts and of `files`, byte for byte. Not judged in a live run.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"turn": 1}]))]
pub struct ImageArrivedCheck {
    pub turn: Turn,
}

impl Kind for ImageArrivedCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str = "The model does not see the image that the user gave it.";

    fn resolve(form: &Self, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.turn(path, form.turn);
        IMAGES.is_attached(checker, path);
        Some(form.clone())
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        IMAGES.judge(self.turn, scene)
    }

    fn interests(&self) -> Vec<Interest> {
        let blocks = Interest::request(&[Part::Block, Part::Request], self.turn.number());
        vec![blocks.likely(&["(image)", "\"image/"])]
    }
}

const IMAGES: FileKind = FileKind {
    noun: ("an", "image"),
    of_prompt: |block| match block {
        PromptBlock::Image {
            media_type, bytes, ..
        } => Some((media_type, bytes)),
        _ => None,
    },
    of_request: |content| match content {
        Content::Image { media_type, data } => Some((media_type, data)),
        _ => None,
    },
};
