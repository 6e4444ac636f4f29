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
use crate::wire_diff::Part;

/// CLI side: any event that Claude Code printed (`stream-json`), by a JSONPath into the array of all events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"path": "$[?@.type == 'result'].subtype", "value": {"equals": "success"}}]))]
pub struct EventForm {
    /// A JSONPath (RFC 9535) into the array of all events.
    #[schemars(extend("examples" = ["$[?@.type == 'result'].subtype"]))]
    path: String,
    /// What a value found must be.
    value: MatcherForm,
}

#[derive(Clone, Debug, PartialEq)]
pub struct EventCheck {
    pub path: Query,
    pub value: Matcher,
}

impl Kind for EventCheck {
    type Form = EventForm;
    const SIDE: JudgedSide = JudgedSide::Client;

    fn resolve(form: &EventForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        let query = checker.reader.query(&path.then("path"), &form.path);
        let value = form.value.resolve(checker, &path.then("value"));
        Some(Self { path: query?, value })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let (lines, events): (Vec<usize>, Vec<Value>) = scene
            .evidence
            .transcript
            .placed()
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
        let parts = &[Part::Block, Part::Event, Part::Status, Part::Error, Part::Usage];
        vec![Interest::reply(parts, None)]
    }
}
