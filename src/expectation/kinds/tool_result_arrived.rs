//! `tool_result_arrived`: a tool's result came back to the provider.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::provider_side::{Turn, at, blocks_before, messages, on_each_message, outline};
use crate::expectation::{Checker, Deviation, Interest, Matcher, MatcherForm, Ruling, Scene};
use crate::text::clipped;
use crate::wire::exchange::ProviderExchange;
use crate::wire::message::{Content, text_of};
use crate::wire_diff::Part;

/// Provider's side: a tool's result came back, answering the very call that it made. Not judged in a live run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"turn": 2, "name": "Bash", "text": {"contains": "pong"}}]))]
pub struct ToolResultArrivedForm {
    turn: Turn,
    /// The tool.
    #[schemars(length(min = 1))]
    name: String,
    /// Which call of the tool, from 1; all of them if not given.
    #[schemars(range(min = 1))]
    call: Option<usize>,
    /// What the result's text must be.
    text: Option<MatcherForm>,
    /// The types of its blocks, in order (`text`, `image`, `document`).
    #[schemars(length(min = 1), extend("examples" = [["image", "text"]]))]
    blocks: Option<Vec<String>>,
    /// Whether the result is an error; false if not given.
    #[serde(default)]
    is_error: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ToolResultArrivedCheck {
    pub turn: Turn,
    pub name: String,
    pub call: Option<usize>,
    pub text: Option<Matcher>,
    pub blocks: Option<Vec<String>>,
    pub is_error: bool,
}

/// A `tool_result` block of a request.
struct Arrived<'a> {
    id: &'a str,
    text: String,
    blocks: Vec<&'a str>,
    is_error: bool,
}

impl Kind for ToolResultArrivedCheck {
    type Form = ToolResultArrivedForm;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str = "The model does not get the tool's result as Claude Code sent it.";

    fn resolve(form: &ToolResultArrivedForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.turn(path, form.turn);
        checker.tool_is_called(path, &form.name, Some(form.turn));
        checker.call_exists(path, &form.name, form.call, Some(form.turn));
        let text = form.text.as_ref();
        Some(Self {
            turn: form.turn,
            name: form.name.clone(),
            call: form.call,
            text: text.map(|text| text.resolve(checker, &path.then("text"))),
            blocks: form.blocks.clone(),
            is_error: form.is_error,
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let exchanges = &scene.evidence.exchanges;
        on_each_message(self.turn, scene, |exchange| {
            let calls = self.calls_before(exchange, exchanges);
            if calls.is_empty() {
                return vec![Deviation {
                    summary: "there is no tool call that a result could answer".into(),
                    expected: format!("a reply before this request that calls `{}`", self.name),
                    actual: "none".into(),
                    evidence: Some(at(exchange)),
                }];
            }
            let results = results(exchange);
            let first = calls
                .iter()
                .find_map(|id| self.judge_call(id, &results, exchange));
            first.into_iter().collect()
        })
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest::request(
            &[Part::Block, Part::Request],
            self.turn.number(),
        )]
    }
}

impl ToolResultArrivedCheck {
    /// The ids that the provider gave to its calls of the tool before `exchange`.
    fn calls_before(&self, exchange: &ProviderExchange, exchanges: &[ProviderExchange]) -> Vec<String> {
        blocks_before(exchange, exchanges)
            .filter(|block| block["type"] == "tool_use" && block["name"] == *self.name)
            .filter_map(|block| block["id"].as_str().map(str::to_owned))
            .enumerate()
            .filter(|(index, _)| self.call.is_none_or(|call| call == index + 1))
            .map(|(_, id)| id)
            .collect()
    }

    fn judge_call(&self, id: &str, results: &[Arrived], exchange: &ProviderExchange) -> Option<Deviation> {
        let deviation = |summary: &str, expected: String, actual: String| Deviation {
            summary: summary.into(),
            expected,
            actual,
            evidence: Some(at(exchange)),
        };
        let Some(result) = results.iter().find(|result| result.id == id) else {
            return Some(deviation(
                "the provider did not get the tool's result under the id of its call",
                format!(
                    "a `tool_result` for `{id}`, the provider's call of `{}`",
                    self.name
                ),
                other_results(results, exchange),
            ));
        };
        if let Some(Err(error)) = self.text.as_ref().map(|matcher| matcher.check_text(&result.text)) {
            return Some(deviation(
                "the tool's result came back to the provider changed",
                error.expected,
                error.actual,
            ));
        }
        if let Some(blocks) = self.blocks.as_ref().filter(|blocks| **blocks != result.blocks) {
            return Some(deviation(
                "the tool's result came back to the provider with other blocks",
                blocks.join(", "),
                result.blocks.join(", "),
            ));
        }
        let kind = |is_error| if is_error { "an error" } else { "no error" };
        (result.is_error != self.is_error).then(|| {
            deviation(
                "the tool's result came back to the provider as the wrong kind",
                format!("a `tool_result` that is {}", kind(self.is_error)),
                format!(
                    "one that is {}: {:?}",
                    kind(result.is_error),
                    clipped(&result.text)
                ),
            )
        })
    }
}

fn results(exchange: &ProviderExchange) -> Vec<Arrived<'_>> {
    messages(exchange)
        .iter()
        .flat_map(|message| &message.content)
        .filter_map(|block| match &block.content {
            Content::ToolResult {
                tool_use_id,
                content,
                is_error,
            } => Some(Arrived {
                id: tool_use_id,
                text: text_of(content),
                blocks: content.iter().map(|block| block.content.kind()).collect(),
                is_error: *is_error,
            }),
            _ => None,
        })
        .collect()
}

fn other_results(results: &[Arrived], exchange: &ProviderExchange) -> String {
    let ids: Vec<&str> = results.iter().map(|result| result.id).collect();
    match ids.is_empty() {
        true => format!("no tool result; {}", outline(exchange)),
        false => format!("results for {}", ids.join(", ")),
    }
}
