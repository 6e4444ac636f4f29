//! `thinking`: a thinking block came back.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::claude_side::{blocks_sent, transcript_end};
use crate::expectation::{Checker, Deviation, Interest, Matcher, MatcherForm, Ruling, Scene, trace};
use crate::text::clipped;
use crate::transcript::AnswerBlock;
use crate::wire_diff::Part;

/// CLI side: a thinking block came back; simulated, with the text and the signature that the provider sent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("examples" = [{}, {"text": {"contains": "step"}}]))]
pub struct ThinkingForm {
    /// What its text must be.
    text: Option<MatcherForm>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ThinkingCheck {
    pub text: Option<Matcher>,
}

impl Kind for ThinkingCheck {
    type Form = ThinkingForm;
    const SIDE: JudgedSide = JudgedSide::Client;
    const LOSES: &str = "The model's thinking does not reach Claude Code as it should.";

    fn resolve(form: &ThinkingForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.something_thinks(path, None);
        let text = form.text.as_ref();
        Some(Self {
            text: text.map(|text| text.resolve(checker, &path.then("text"))),
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let messages = scene.evidence.transcript.messages();
        let blocks: Vec<(&str, &str)> = messages
            .iter()
            .flat_map(|message| &message.content)
            .filter_map(|block| match block {
                AnswerBlock::Thinking { thinking, signature } => {
                    Some((thinking.as_str(), signature.as_str()))
                }
                AnswerBlock::RedactedThinking(data) => Some((REDACTED, data.as_str())),
                _ => None,
            })
            .collect();
        let actual = in_words(&blocks);
        let deviation = |expected: String| Deviation {
            summary: "the thinking did not reach Claude Code as it should".into(),
            expected,
            actual: actual.clone(),
            evidence: transcript_end(scene.evidence),
        };
        let signed = blocks.iter().filter(|(_, signature)| !signature.is_empty());
        let signed: Vec<Value> = signed.map(|(text, _)| Value::from(*text)).collect();
        if signed.is_empty() {
            return Ruling::Judged(vec![deviation("a thinking block with its signature".into())]);
        }
        let matched = self
            .text
            .as_ref()
            .map(|text| text.check(&signed.iter().collect::<Vec<_>>()));
        if let Some(Err(error)) = matched {
            return Ruling::Judged(vec![deviation(format!("thinking that {}", error.expected))]);
        }
        let lost = blocks_sent(scene)
            .filter_map(thinking_of)
            .filter(|sent| !blocks.contains(sent));
        let as_sent = |sent| deviation(format!("{}, as the provider sent it", block_in_words(sent)));
        Ruling::Judged(lost.map(as_sent).collect())
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest::reply(
            &[Part::Signature, Part::Block, Part::Event],
            None,
        )]
    }

    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        trace::held_as_answered(self, scene)
    }
}

/// Stands for the text of thinking that only the provider can read.
pub(super) const REDACTED: &str = "(redacted)";

/// Text and signature of a thinking block; of a redacted one its data instead of the signature.
pub(super) fn thinking_of(block: &Value) -> Option<(&str, &str)> {
    let text = |key: &str| block[key].as_str().unwrap_or_default();
    match block["type"].as_str()? {
        "thinking" => Some((text("thinking"), text("signature"))),
        "redacted_thinking" => Some((REDACTED, text("data"))),
        _ => None,
    }
}

fn block_in_words((text, signature): (&str, &str)) -> String {
    format!("{:?} signed in {} bytes", clipped(text), signature.len())
}

fn in_words(blocks: &[(&str, &str)]) -> String {
    let blocks: Vec<String> = blocks.iter().map(|block| block_in_words(*block)).collect();
    match blocks.is_empty() {
        true => "no thinking block".into(),
        false => clipped(&blocks.join("; ")),
    }
}
