//! `prefix_stable`: each request begins with the whole request before it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::provider_side::{at, of_operation};
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene};
use crate::text::clipped;
use crate::wire::Operation;
use crate::wire::exchange::ProviderExchange;
use crate::wire::message::{Block, Content, MessageRequest, as_cached, without_breakpoint};
use crate::wire_diff::Part;

/// Provider's side: each request begins with the tools, the system prompt and the messages of the request before it. A prompt
/// cache finds only such a prefix. Breakpoints may move. Not judged in a live run.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("examples" = [{}, {"from": 2}]))]
pub struct PrefixStableCheck {
    /// The first request, from 1; 1 if not given.
    #[schemars(range(min = 1))]
    pub from: usize,
}

impl Default for PrefixStableCheck {
    fn default() -> Self {
        Self { from: 1 }
    }
}

impl Kind for PrefixStableCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str = "The provider caches less, so requests are slower and cost more.";

    fn resolve(form: &Self, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        let replies = checker.context.script.replies.len();
        if checker.context.whole && form.from >= replies {
            checker.reader.hinted(
                path,
                format!(
                    "there is no request after request {}, so this could never fail",
                    form.from
                ),
                "add a prompt or a tool call, with its reply",
            );
        }
        Some(form.clone())
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let exchanges = of_operation(Operation::Messages, &scene.evidence.exchanges);
        let answered = exchanges.filter(|exchange| exchange.reply.status < 400);
        let requests: Vec<(&ProviderExchange, &MessageRequest)> = answered
            .filter_map(|exchange| Some((exchange, exchange.message.as_ref()?)))
            .skip(self.from - 1)
            .collect();
        if requests.len() < 2 {
            return Ruling::Judged(vec![Deviation {
                summary: "there are no two requests to compare".into(),
                expected: format!("at least 2 answered Messages requests from request {}", self.from),
                actual: requests.len().to_string(),
                evidence: None,
            }]);
        }
        let pairs = requests.windows(2);
        Ruling::Judged(
            pairs
                .filter_map(|pair| {
                    let [(_, before), (exchange, after)] = pair else {
                        return None;
                    };
                    let place = first_difference(before, after)?;
                    Some(Deviation {
                        summary: "the request does not begin with the request before it".into(),
                        expected: "the same tools, system prompt and earlier messages".into(),
                        actual: place,
                        evidence: Some(at(exchange)),
                    })
                })
                .collect(),
        )
    }

    fn interests(&self) -> Vec<Interest> {
        let parts = &[Part::Block, Part::Tool, Part::Field, Part::Request];
        vec![Interest::request(parts, None)]
    }
}

/// The place of the first thing in `before` that is not in `after`.
fn first_difference(before: &MessageRequest, after: &MessageRequest) -> Option<String> {
    let tools = before.tools.iter().zip(&after.tools);
    let changed = tools
        .clone()
        .position(|(old, new)| without_breakpoint(&old.definition) != without_breakpoint(&new.definition));
    if let Some(index) = changed {
        return Some(format!("the tool `{}` changed", before.tools[index].name));
    }
    if before.tools.len() != after.tools.len() {
        return Some(format!(
            "{} tools became {}",
            before.tools.len(),
            after.tools.len()
        ));
    }
    if let Some(place) = of_blocks("system", &before.system, &after.system, true) {
        return Some(place);
    }
    let last = before.messages.len().saturating_sub(1);
    before.messages.iter().enumerate().find_map(|(index, old)| {
        let path = format!("messages[{index}]");
        let Some(new) = after.messages.get(index) else {
            return Some(format!("`{path}` is not there any more"));
        };
        if old.role != new.role {
            return Some(format!(
                "the role of `{path}` changed from `{}` to `{}`",
                old.role, new.role
            ));
        }
        // The last message may grow: a client may join two messages of one role.
        of_blocks(
            &format!("{path}.content"),
            &old.content,
            &new.content,
            index < last,
        )
    })
}

fn of_blocks(path: &str, before: &[Block], after: &[Block], is_whole: bool) -> Option<String> {
    for (index, old) in before.iter().enumerate() {
        let Some(new) = after.get(index) else {
            return Some(format!("`{path}[{index}]` is not there any more"));
        };
        if bare(&old.content) != bare(&new.content) {
            return Some(clipped(&format!(
                "`{path}[{index}]` changed from {:?} to {:?}",
                old.content, new.content
            )));
        }
    }
    (is_whole && before.len() < after.len())
        .then(|| format!("`{path}` has {} blocks instead of {}", after.len(), before.len()))
}

/// The content as the key of a cache has it, without the breakpoints within a tool's result.
fn bare(content: &Content) -> Content {
    match content {
        Content::ToolResult {
            tool_use_id,
            content: blocks,
            is_error,
        } => Content::ToolResult {
            tool_use_id: tool_use_id.clone(),
            is_error: *is_error,
            content: blocks
                .iter()
                .map(|block| Block {
                    content: bare(&block.content),
                    cache: None,
                })
                .collect(),
        },
        Content::Other(value) => Content::Other(without_breakpoint(value)),
        Content::Text(text) => Content::Text(as_cached(text).into_owned()),
        other => other.clone(),
    }
}
