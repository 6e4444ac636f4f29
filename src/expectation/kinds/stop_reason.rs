//! `stop_reason`: why an answer ended.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::claude_side::{deviations, transcript_end};
use crate::expectation::{Checker, Interest, Matcher, MatcherForm, Ruling, Scene, trace};
use crate::wire::message::STOP_REASONS;
use crate::wire_diff::Part;

/// CLI side: why an answer ended.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"value": {"equals": "end_turn"}}]))]
pub struct StopReasonForm {
    /// Of which answer, from 1; of the last if not given.
    #[schemars(range(min = 1))]
    turn: Option<usize>,
    /// What the stop reason must be.
    value: MatcherForm,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StopReasonCheck {
    /// Of which answer, from 1; `None` for the last.
    pub turn: Option<usize>,
    pub value: Matcher,
}

impl Kind for StopReasonCheck {
    type Form = StopReasonForm;
    const SIDE: JudgedSide = JudgedSide::Client;
    const LOSES: &str = "Claude Code does not learn why the reply ended.";

    fn resolve(form: &StopReasonForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.answer_exists(&path.then("turn"), form.turn);
        checker.closed_list(&path.then("value"), &form.value, "stop reason", &STOP_REASONS);
        Some(Self {
            turn: form.turn,
            value: form.value.resolve(checker, &path.then("value")),
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let messages = scene.evidence.transcript.messages();
        let message = match self.turn {
            Some(turn) => messages.get(turn - 1),
            None => messages.last(),
        };
        let found = message
            .and_then(|message| message.stop_reason.clone())
            .map(Value::from);
        Ruling::Judged(deviations(
            self.value.check(found.as_ref().as_slice()),
            "the stop reason does not match",
            transcript_end(scene.evidence),
        ))
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest::reply(&[Part::StopReason], self.turn)]
    }

    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        trace::held_as_answered(self, scene)
    }
}
