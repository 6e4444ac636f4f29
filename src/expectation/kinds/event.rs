//! `event`: any event that Claude Code printed.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{JudgedSide, Kind};
use crate::document::{KeyPath, Query};
use crate::expectation::claude_side::{deviations, line_of_transcript};
use crate::expectation::interest::Interest;
use crate::expectation::matcher::MatchError;
use crate::expectation::{Checker, Matcher, MatcherForm, Ruling, Scene, value_tree};
use crate::wire::script::Prompt;
use crate::wire_diff::Part;

/// CLI side: any event that Claude Code printed (`stream-json`), by a JSONPath into the array of all events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"path": "$[?@.type == 'result'].subtype", "value": {"equals": "success"}}]))]
pub struct EventForm {
    /// A JSONPath (RFC 9535) into the array of all events.
    #[schemars(extend("examples" = ["$[?@.type == 'result'].subtype"]))]
    path: String,
    /// Of which prompt's events, from 1: those up to its result. The array has these only. All events if not given.
    #[schemars(range(min = 1))]
    prompt: Option<usize>,
    /// What a value found must be.
    value: MatcherForm,
}

#[derive(Clone, Debug, PartialEq)]
pub struct EventCheck {
    pub path: Query,
    /// From 1; `None` for the events of all prompts.
    pub prompt: Option<usize>,
    /// The first request that can belong to the prompt, from 1.
    pub first_turn: usize,
    pub value: Matcher,
}

impl Kind for EventCheck {
    type Form = EventForm;
    const SIDE: JudgedSide = JudgedSide::Client;

    fn resolve(form: &EventForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        let query = checker.reader.query(&path.then("path"), &form.path);
        let value = form.value.resolve(checker, &path.then("value"));
        checker.prompt_exists(&path.then("prompt"), form.prompt);
        Some(Self {
            path: query?,
            prompt: form.prompt,
            first_turn: 1 + requests_before(form.prompt, checker.context.prompts),
            value,
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let mut ended = 0;
        let of_prompt = scene.evidence.transcript.placed().filter(|placed| {
            let prompt = ended + 1;
            ended += usize::from(placed.is("result"));
            self.prompt.is_none_or(|wanted| wanted == prompt)
        });
        let (lines, events): (Vec<usize>, Vec<Value>) = of_prompt
            .map(|placed| (placed.line, placed.event.clone()))
            .unzip();
        let events = Value::Array(events);
        let first = value_tree::first_index(&self.path, &events).and_then(|index| lines.get(index));
        let at_path = |error: MatchError| MatchError {
            expected: format!("{} at `{}`", error.expected, self.path.text),
            ..error
        };
        Ruling::Judged(deviations(
            value_tree::check(&self.path, &self.value, &events).map_err(at_path),
            "what Claude Code printed does not match",
            first.copied().map(line_of_transcript),
        ))
    }

    fn interests(&self) -> Vec<Interest> {
        let parts: &[Part] = &[Part::Block, Part::Event, Part::Status, Part::Error, Part::Usage];
        let of_replies = |parts| Interest {
            first_turn: self.first_turn,
            ..Interest::reply(parts, None)
        };
        let of_answer = of_replies(parts);
        // Claude Code makes these events of the reply's headers.
        let is_of_headers = self.path.text.contains("rate_limit");
        let of_headers = is_of_headers.then(|| of_replies(&[Part::Header]));
        std::iter::once(of_answer).chain(of_headers).collect()
    }
}

/// The fewest requests that Claude Code sends for the prompts before `prompt`. It may answer a command (`/effort`) itself.
fn requests_before(prompt: Option<usize>, prompts: &[Prompt]) -> usize {
    let before = prompts.iter().take(prompt.unwrap_or(1).saturating_sub(1));
    before.filter(|prompt| !prompt.is_local_command()).count()
}
