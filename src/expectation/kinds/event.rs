//! `event`: any event that Claude Code printed.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{JudgedSide, Kind, TextCheck, UsageCheck};
use crate::document::{KeyPath, Query};
use crate::expectation::claude_side::{deviations, line_of_transcript};
use crate::expectation::interest::Interest;
use crate::expectation::matcher::MatchError;
use crate::expectation::{Checker, Deviation, Matcher, MatcherForm, Ruling, Scene, value_tree};
use crate::transcript::{misspelt, misspelt_type};
use crate::wire::script::Prompt;
use crate::wire_diff::Part;

/// CLI side: any event that Claude Code printed (`stream-json`), by a JSONPath into the array of all events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"path": "$[?@.type == 'result'].subtype", "value": {"equals": "success"}}]))]
pub struct EventForm {
    /// A JSONPath (RFC 9535) into the array of all events. A misspelt field of an event is refused, unless it stands in
    /// quotes: `['name']`.
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
    const LOSES: &str = "Claude Code's output does not tell the user, or a program, what it should.";

    fn resolve(form: &EventForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        let query = checker.reader.query(&path.then("path"), &form.path);
        if let Some((name, right)) = misspelt(&form.path) {
            let message = format!("Claude Code prints no field `{name}`");
            let hint =
                format!("did you mean `{right}`? If it is a field of another version, write `['{name}']`");
            checker.reader.hinted(&path.then("path"), message, hint);
        }
        if let Some((name, right)) = misspelt_type(&form.path) {
            let message = format!("Claude Code prints nothing of the type `{name}`");
            let hint = format!(
                "did you mean `{right}`? If it is a type of another version, write it in double quotes"
            );
            checker.reader.hinted(&path.then("path"), message, hint);
        }
        checker.answer_has(&path.then("path"), &form.path, &form.value);
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

    fn loses(&self, _: &Deviation) -> &'static str {
        let sentences = [
            (
                "rate_limit",
                "Claude Code does not know how much of a limit is used.",
            ),
            (
                "api_retry",
                "Claude Code does not show that it repeats a request, or why.",
            ),
            ("usage", UsageCheck::LOSES),
            (
                "permission_denials",
                "Claude Code refuses a tool that it should run, or runs one that it should refuse.",
            ),
            (
                "structured_output",
                "A program does not get the answer in the form that it asked for.",
            ),
            ("fast_mode", "Fast mode is not on as the user wants it."),
            (
                "is_error",
                "The user does not read the answer, or the error, that the row expects.",
            ),
            (".result", TextCheck::LOSES),
        ];
        let of_path = sentences.iter().find(|(part, _)| self.path.text.contains(part));
        of_path.map_or(Self::LOSES, |(_, sentence)| sentence)
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
