//! The part of a mutant's file that changes the events of a stream.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::form::{Edit, TextEdit, any_value};
use crate::document::Query;

/// The events of a stream to change (`name`, `where`, `nth`), and exactly one action.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventChange {
    /// Their name, which is the `type` of a Messages API event. Default: any.
    #[schemars(length(min = 1), extend("examples" = ["content_block_delta"]))]
    pub name: Option<String>,
    /// A JSONPath (RFC 9535) that finds something in their data.
    #[serde(rename = "where")]
    #[schemars(extend("examples" = ["$.delta[?@ == 'signature_delta']"]))]
    pub filter: Option<Query>,
    /// The number of the event among those, from 1. Default: each.
    #[schemars(range(min = 1))]
    pub nth: Option<usize>,
    /// Do not forward them.
    pub drop: bool,
    /// Send them twice.
    pub duplicate: bool,
    /// Change their data.
    #[schemars(length(min = 1))]
    pub edit: Vec<Edit>,
    /// Change their bytes, with the `event:` and `data:` lines and the empty line at their end (server-sent events only). The
    /// relay does not read the result again, so this is the last change of an event.
    #[schemars(extend("examples" = [{"find": "^event:.*\n", "with": ""}]))]
    pub raw: Option<TextEdit>,
    /// Give them another name and `type`.
    #[schemars(length(min = 1))]
    pub rename: Option<String>,
    /// Send each as two halves, as if these were events (server-sent events only).
    pub split: bool,
    /// Join consecutive ones to one event, with their texts joined.
    pub merge: bool,
    /// Hold consecutive ones back until another event comes.
    pub hold: bool,
    /// Send them after the event that follows.
    pub swap_with_next: bool,
    /// Send them at the end of the stream.
    pub move_to_end: bool,
    /// Send another event before them.
    pub insert_before: Option<InsertedEvent>,
    /// Send another event after them.
    pub insert_after: Option<InsertedEvent>,
    /// Delay each of them, and so all later events, by this number of milliseconds.
    #[schemars(range(min = 1, max = 60_000))]
    pub delay_ms: Option<u64>,
    /// Break the connection before or after them.
    pub cut: Option<EventEdge>,
    /// End the stream properly, before or after them.
    pub end: Option<EventEdge>,
}

/// A side of an event in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventEdge {
    Before,
    After,
}

/// An event that no provider sent: with `name` and `data`, or with `text`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InsertedEvent {
    /// Its name.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub name: Option<String>,
    /// Its data.
    #[serde(default, deserialize_with = "any_value")]
    pub data: Option<Value>,
    /// Its bytes, with the empty line at its end (server-sent events only).
    #[serde(default)]
    #[schemars(extend("examples" = [": keep-alive\n\n"]))]
    pub text: Option<String>,
}

/// The action of an [`EventChange`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum EventAction {
    Drop,
    Duplicate,
    Edit(Vec<Edit>),
    Raw(TextEdit),
    Rename(String),
    Split,
    Merge,
    Hold,
    SwapWithNext,
    MoveToEnd,
    Insert(EventEdge, InsertedEvent),
    /// In milliseconds.
    Delay(u64),
    Cut(EventEdge),
    End(EventEdge),
}

impl EventChange {
    /// The actions that are given; `resolve` accepts only changes with exactly one.
    pub(super) fn actions(&self) -> Vec<EventAction> {
        use EventAction::*;
        let insert = |side, event: &Option<InsertedEvent>| event.clone().map(|event| Insert(side, event));
        let actions = [
            self.drop.then_some(Drop),
            self.duplicate.then_some(Duplicate),
            (!self.edit.is_empty()).then(|| Edit(self.edit.clone())),
            self.raw.clone().map(Raw),
            self.rename.clone().map(Rename),
            self.split.then_some(Split),
            self.merge.then_some(Merge),
            self.hold.then_some(Hold),
            self.swap_with_next.then_some(SwapWithNext),
            self.move_to_end.then_some(MoveToEnd),
            insert(EventEdge::Before, &self.insert_before),
            insert(EventEdge::After, &self.insert_after),
            self.delay_ms.map(Delay),
            self.cut.map(Cut),
            self.end.map(End),
        ];
        actions.into_iter().flatten().collect()
    }
}
