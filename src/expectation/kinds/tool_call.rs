//! `tool_call`: Claude Code was asked to run a tool.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::claude_side::{arguments_fit, line_of_transcript, transcript_end};
use crate::expectation::interest::{ANSWER, Interest};
use crate::expectation::{Checker, Deviation, Matcher, MatcherForm, Ruling, Scene, trace};
use crate::text::clipped;
use crate::transcript::AnswerBlock;

/// CLI side: Claude Code was asked for a tool, with these arguments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"name": "Bash", "input": {"command": {"equals": "echo pong"}}}]))]
pub struct ToolCallForm {
    /// The tool.
    #[schemars(length(min = 1))]
    name: String,
    /// Which call of the tool, from 1, in the order of the model's answers; any of them if not given.
    #[schemars(range(min = 1))]
    call: Option<usize>,
    /// What its arguments must be, by name.
    #[serde(default)]
    input: IndexMap<String, MatcherForm>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ToolCallCheck {
    pub name: String,
    pub call: Option<usize>,
    /// Matchers for its arguments, by name.
    pub input: Vec<(String, Matcher)>,
}

impl Kind for ToolCallCheck {
    type Form = ToolCallForm;
    const SIDE: JudgedSide = JudgedSide::Client;
    const LOSES: &str = "Claude Code is not asked to run the tool that the row expects.";

    fn resolve(form: &ToolCallForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.tool_is_called(path, &form.name, None);
        checker.call_exists(path, &form.name, form.call, None);
        let input = checker.named(&path.then("input"), &form.input);
        checker.arguments_exist(&path.then("input"), &form.name, form.call, &input);
        Some(Self {
            name: form.name.clone(),
            call: form.call,
            input,
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let evidence = scene.evidence;
        let messages = evidence.transcript.messages();
        let mut calls: Vec<(&str, &Value)> = Vec::new();
        let mut first_line = None;
        for message in &messages {
            for block in &message.content {
                if let AnswerBlock::ToolUse { name, input, .. } = block {
                    calls.push((name, input));
                    first_line.get_or_insert(message.line);
                }
            }
        }
        let of_tool = calls.iter().filter(|(called, _)| *called == self.name);
        let fits: Vec<bool> = of_tool
            .map(|(_, arguments)| arguments_fit(&self.input, arguments))
            .collect();
        let is_there = match self.call {
            Some(call) => fits.get(call - 1) == Some(&true),
            None => fits.contains(&true),
        };
        if is_there {
            return Ruling::Judged(Vec::new());
        }
        let found: Vec<String> = calls
            .iter()
            .map(|(called, arguments)| format!("{called} {arguments}"))
            .collect();
        Ruling::Judged(vec![Deviation {
            summary: format!("Claude Code was not asked to run `{}` as it should", self.name),
            expected: self.in_words(),
            actual: match found.is_empty() {
                true => "no tool call".into(),
                false => clipped(&found.join("; ")),
            },
            evidence: first_line
                .map(line_of_transcript)
                .or_else(|| transcript_end(evidence)),
        }])
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest::reply(ANSWER, None)]
    }

    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        trace::held_as_answered(self, scene)
    }
}

impl ToolCallCheck {
    fn in_words(&self) -> String {
        let name = &self.name;
        let which = match self.call {
            Some(call) => format!("call {call} of `{name}`"),
            None => format!("a call of `{name}`"),
        };
        let wanted: Vec<String> = self
            .input
            .iter()
            .map(|(key, matcher)| format!("`{key}` {matcher}"))
            .collect();
        match wanted.is_empty() {
            true => which,
            false => format!("{which} with {}", wanted.join(" and ")),
        }
    }
}
