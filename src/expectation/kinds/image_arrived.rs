//! `image_arrived`: the images that the provider received are those of the prompt.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Side, files};
use crate::document::KeyPath;
use crate::expectation::provider_side::{Turn, TurnForm, on_each};
use crate::expectation::{Checker, Interest, Ruling, Scene, trace};
use crate::wire::Operation;
use crate::wire::message::Content;
use crate::wire::script::PromptBlock;
use crate::wire_diff::Part;

/// Provider's side: the images that it decoded are those of the prompt, byte for byte. Not judged in a live run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"turn": 1}]))]
pub struct ImageArrivedForm {
    /// Which request of the trial: a number from 1, `every` or `last`.
    turn: TurnForm,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ImageArrivedCheck {
    pub turn: Turn,
}

impl Kind for ImageArrivedCheck {
    type Form = ImageArrivedForm;
    const SIDE: Side = Side::Provider;

    fn resolve(form: &ImageArrivedForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        let turn = checker.turn(path, form.turn.0, Operation::Messages);
        let mut blocks = checker.context.prompts.iter().flat_map(|prompt| &prompt.blocks);
        let is_there = blocks.any(|block| of_prompt(block).is_some());
        if checker.context.whole && !is_there {
            checker.hinted(
                path,
                "no prompt has an image, so this could never be judged",
                "add an `image` block to `prompts`",
            );
        }
        Some(Self { turn })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        on_each(self.turn, Operation::Messages, &scene.evidence.exchanges, |exchange| {
            files::missing("image", of_prompt, of_request, scene.prompts, exchange)
        })
    }

    fn interest(&self) -> Interest {
        Interest::request(&[Part::Block, Part::Request], self.turn.number())
    }

    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        trace::held_as_sent(self, scene)
    }
}

fn of_prompt(block: &PromptBlock) -> Option<(&str, &[u8])> {
    match block {
        PromptBlock::Image {
            media_type, bytes, ..
        } => Some((media_type, bytes)),
        _ => None,
    }
}

fn of_request(content: &Content) -> Option<(&str, &str)> {
    match content {
        Content::Image { media_type, data } => Some((media_type, data)),
        _ => None,
    }
}
