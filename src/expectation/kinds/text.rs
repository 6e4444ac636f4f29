//! `text`: the final text that Claude Code printed.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::evidence::Evidence;
use crate::expectation::claude_side::{claude_exchanges, deviations, transcript_end};
use crate::expectation::interest::{ANSWER, Interest};
use crate::expectation::{Checker, Deviation, Matcher, MatcherForm, Ruling, Scene, trace};
use crate::text::clipped;

/// CLI side: the final text that Claude Code printed, of the last prompt. Simulated, it must also be the text that the
/// provider sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("examples" = [{"contains": "pong"}]))]
pub struct TextForm(MatcherForm);

#[derive(Clone, Debug, PartialEq)]
pub struct TextCheck(pub Matcher);

impl Kind for TextCheck {
    type Form = TextForm;
    const SIDE: JudgedSide = JudgedSide::Client;
    const LOSES: &str = "The user does not read the reply that the row expects.";

    fn resolve(form: &TextForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        Some(Self(form.0.resolve(checker, path)))
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let evidence = scene.evidence;
        let text = evidence.transcript.final_text();
        let mut found = deviations(
            self.0.check(text.clone().map(Value::from).as_ref().as_slice()),
            "Claude Code's final text does not match",
            transcript_end(evidence),
        );
        if let (Some(printed), Some(sent)) = (text, last_text_sent(evidence))
            && found.is_empty()
            && !sent.trim().ends_with(printed.trim())
        {
            found.push(Deviation {
                summary: "Claude Code's final text is not the one that the provider sent".into(),
                expected: format!("{:?}", clipped(&sent)),
                actual: format!("{:?}", clipped(&printed)),
                evidence: transcript_end(evidence),
            });
        }
        Ruling::Judged(found)
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest::reply(ANSWER, None)]
    }

    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        trace::held_as_answered(self, scene)
    }
}

/// The text of the provider's last reply to `claude`. Claude Code prints the last of its text blocks.
fn last_text_sent(evidence: &Evidence) -> Option<String> {
    let last = claude_exchanges(evidence)
        .filter_map(|exchange| exchange.reply.message.as_ref()?["content"].as_array())
        .last()?;
    Some(last.iter().filter_map(|block| block["text"].as_str()).collect())
}
