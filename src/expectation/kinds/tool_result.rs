//! `tool_result`: Claude Code ran a tool.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::claude_side::{arguments_fit, line_of_transcript, transcript_end};
use crate::expectation::interest::{ANSWER, Interest};
use crate::expectation::{Checker, Deviation, Matcher, MatcherForm, Ruling, Scene};
use crate::text::clipped;
use crate::transcript::AnswerBlock;

/// CLI side: Claude Code ran a tool and got a result.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"name": "Bash", "text": {"contains": "pong"}, "is_error": false}]))]
pub struct ToolResultForm {
    /// The tool.
    #[schemars(length(min = 1))]
    name: String,
    /// Which call of the tool, from 1; any of them if not given.
    #[schemars(range(min = 1))]
    call: Option<usize>,
    /// What the arguments of its call must be, by name: a model makes parallel calls in any order.
    #[serde(default)]
    input: IndexMap<String, MatcherForm>,
    /// What the result's text must be.
    text: Option<MatcherForm>,
    /// Whether the result is an error.
    is_error: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ToolResultCheck {
    pub name: String,
    pub call: Option<usize>,
    /// Matchers for the arguments of its call, by name.
    pub input: Vec<(String, Matcher)>,
    pub text: Option<Matcher>,
    pub is_error: Option<bool>,
}

impl Kind for ToolResultCheck {
    type Form = ToolResultForm;
    const SIDE: JudgedSide = JudgedSide::Client;
    const LOSES: &str = "Claude Code does not run a tool as it should.";

    fn resolve(form: &ToolResultForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.tool_is_called(path, &form.name, None);
        checker.call_exists(path, &form.name, form.call, None);
        let text = form.text.as_ref();
        Some(Self {
            name: form.name.clone(),
            call: form.call,
            input: checker.named(&path.then("input"), &form.input),
            text: text.map(|text| text.resolve(checker, &path.then("text"))),
            is_error: form.is_error,
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let results = scene.evidence.transcript.tool_results();
        // Parallel calls end in any order.
        let calls = self.calls(scene);
        let mut of_tool = results
            .iter()
            .filter(|result| result.name.as_ref() == Some(&self.name));
        let fits = of_tool.any(|result| {
            self.call.is_none_or(|call| {
                calls
                    .get(call - 1)
                    .is_some_and(|(id, _)| *id == result.tool_use_id)
            }) && (self.input.is_empty() || calls.iter().any(|call| self.is_of(call, &result.tool_use_id)))
                && self.is_error.is_none_or(|wanted| wanted == result.is_error)
                && self
                    .text
                    .as_ref()
                    .is_none_or(|matcher| matcher.check_text(&result.text).is_ok())
        });
        if fits {
            return Ruling::Judged(Vec::new());
        }
        let found: Vec<String> = results
            .iter()
            .map(|result| {
                let kind = if result.is_error { "error" } else { "result" };
                let name = result.name.as_deref().unwrap_or("an unknown tool");
                format!("{kind} of {name}: {:?}", result.text)
            })
            .collect();
        Ruling::Judged(vec![Deviation {
            summary: format!("Claude Code did not run `{}` as it should", self.name),
            expected: self.in_words(),
            actual: match found.is_empty() {
                true => "no tool result".into(),
                false => clipped(&found.join("; ")),
            },
            evidence: results
                .first()
                .map(|result| line_of_transcript(result.line))
                .or_else(|| transcript_end(scene.evidence)),
        }])
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest::reply(ANSWER, None)]
    }
}

impl ToolResultCheck {
    /// The ids and the arguments of the model's calls of the tool, in order.
    fn calls(&self, scene: &Scene<'_>) -> Vec<(String, Value)> {
        let answers = scene.evidence.transcript.messages();
        let blocks = answers.into_iter().flat_map(|answer| answer.content);
        blocks
            .filter_map(|block| match block {
                AnswerBlock::ToolUse { id, name, input } if name == self.name => Some((id, input)),
                _ => None,
            })
            .collect()
    }

    /// Whether the result `id` is of this call, and its arguments are as wanted.
    fn is_of(&self, (call, arguments): &(String, Value), id: &str) -> bool {
        call == id && arguments_fit(&self.input, arguments)
    }

    fn in_words(&self) -> String {
        let mut wanted = vec![match self.call {
            Some(call) => format!("result {call} of `{}`", self.name),
            None => format!("a result of `{}`", self.name),
        }];
        let arguments = self.input.iter();
        wanted.extend(arguments.map(|(key, matcher)| format!("its argument `{key}`: {matcher}")));
        match self.is_error {
            Some(true) => wanted.push("an error".into()),
            Some(false) => wanted.push("no error".into()),
            None => {}
        }
        wanted.extend(self.text.as_ref().map(|matcher| format!("its text: {matcher}")));
        wanted.join(", ")
    }
}
