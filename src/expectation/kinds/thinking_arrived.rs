//! `thinking_arrived`: the provider's thinking blocks came back to it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::thinking::{REDACTED, thinking_of};
use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::provider_side::{Turn, at, blocks_before, messages, on_each_message, outline};
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene};
use crate::text::clipped;
use crate::wire::exchange::ProviderExchange;
use crate::wire::message::{Content, Message};
use crate::wire_diff::Part;

/// Provider's side: the thinking blocks that it sent, redacted ones too, came back unmodified, at the head of their message.
/// Not judged in a live run.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"turn": 2}]))]
pub struct ThinkingArrivedCheck {
    pub turn: Turn,
}

impl Kind for ThinkingArrivedCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str =
        "The model continues without what it has thought, or the provider refuses the conversation.";

    fn resolve(form: &Self, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.turn(path, form.turn);
        checker.something_thinks(path, Some(form.turn));
        Some(form.clone())
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let exchanges = &scene.evidence.exchanges;
        on_each_message(self.turn, scene, |exchange| {
            let sent: Vec<(&str, &str)> = blocks_before(exchange, exchanges)
                .filter_map(thinking_of)
                .collect();
            if sent.is_empty() {
                return vec![Deviation {
                    summary: "the provider sent no thinking block that could come back".into(),
                    expected: "a reply before this request with a thinking block".into(),
                    actual: "none".into(),
                    evidence: Some(at(exchange)),
                }];
            }
            let returned = returned(exchange);
            let lost = sent.iter().filter(|block| !returned.contains(block));
            let lost = lost.map(|block| altered(*block, &returned, exchange));
            lost.chain(displaced(exchange)).collect()
        })
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest::request(
            &[Part::Signature, Part::Block, Part::Request],
            self.turn.number(),
        )]
    }
}

fn assistant(exchange: &ProviderExchange) -> impl Iterator<Item = &Message> {
    messages(exchange)
        .iter()
        .filter(|message| message.role == "assistant")
}

/// Text and signature of the thinking blocks in the request.
fn returned(exchange: &ProviderExchange) -> Vec<(&str, &str)> {
    assistant(exchange)
        .flat_map(|message| &message.content)
        .filter_map(|block| match &block.content {
            Content::Thinking { thinking, signature } => Some((thinking.as_str(), signature.as_str())),
            Content::RedactedThinking(data) => Some((REDACTED, data.as_str())),
            _ => None,
        })
        .collect()
}

fn altered(
    (thinking, signature): (&str, &str),
    returned: &[(&str, &str)],
    exchange: &ProviderExchange,
) -> Deviation {
    let alike = returned
        .iter()
        .find(|(text, sign)| (*text == thinking && *text != REDACTED) || *sign == signature);
    let actual = match alike {
        None => format!("no such thinking block; {}", outline(exchange)),
        Some((text, sign)) if *text != thinking => format!(
            "thinking {:?} with that signature: text changed (signature {} bytes)",
            clipped(text),
            sign.len()
        ),
        Some((_, sign)) => format!("that text with another signature ({} bytes)", sign.len()),
    };
    Deviation {
        summary: "the thinking block did not come back to the provider as it was sent".into(),
        expected: format!(
            "thinking {:?} with its signature of {} bytes",
            clipped(thinking),
            signature.len()
        ),
        actual,
        evidence: Some(at(exchange)),
    }
}

/// A message with thinking that does not stand first.
fn displaced(exchange: &ProviderExchange) -> Option<Deviation> {
    let is_displaced = |message: &Message| {
        let mut blocks = message.content.iter().map(|block| block.content.is_thinking());
        blocks.next() == Some(false) && blocks.any(|thinks| thinks)
    };
    assistant(exchange).any(is_displaced).then(|| Deviation {
        summary: "the thinking block came back in another place".into(),
        expected: "thinking at the head of its message".into(),
        actual: outline(exchange),
        evidence: Some(at(exchange)),
    })
}
