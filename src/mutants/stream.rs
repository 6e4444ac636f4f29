//! Applies a mutant to the events of a stream.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::Value;

use super::event_form::{EventAction, EventChange, EventEdge};
use super::form::TextEdit;
use super::{SideChange, edit};
use crate::wire::framing::{FramedEvent as Event, Framing};
use crate::wire::sse;

/// The next step in sending a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Send(Bytes),
    /// Wait this number of milliseconds.
    Wait(u64),
    Cut,
    /// End the stream as if it were complete.
    End,
}

/// Changes a stream, event by event.
#[derive(Debug)]
pub struct StreamChanger {
    framing: Framing,
    stages: Vec<Stage>,
    changes: usize,
}

/// The state of one change.
#[derive(Debug)]
struct Stage {
    change: EventChange,
    action: EventAction,
    seen: usize,
    held: Vec<Event>,
}

enum Item {
    Event(Event),
    Other(Step),
}

impl StreamChanger {
    pub fn new(side: &SideChange, framing: Framing) -> Self {
        Self::of_changes(&side.reply.events, framing)
    }

    fn of_changes(changes: &[EventChange], framing: Framing) -> Self {
        let stage = |change: &EventChange| {
            Some(Stage {
                change: change.clone(),
                action: change.actions().pop()?,
                seen: 0,
                held: Vec::new(),
            })
        };
        Self {
            framing,
            stages: changes.iter().filter_map(stage).collect(),
            changes: 0,
        }
    }

    /// The steps for the next event.
    pub fn push(&mut self, event: Event) -> Vec<Step> {
        self.run(0, vec![Item::Event(event)])
    }

    /// The steps at the end of the stream.
    pub fn finish(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for number in 0..self.stages.len() {
            let held = self.stages[number].release(self.framing);
            steps.extend(self.run(number + 1, held));
        }
        steps
    }

    /// The number of events changed so far.
    pub fn changes(&self) -> usize {
        self.changes
    }

    /// Sends items through the stages from `first` on.
    fn run(&mut self, first: usize, items: Vec<Item>) -> Vec<Step> {
        let mut queue: VecDeque<Item> = items.into();
        for stage in self.stages.iter_mut().skip(first) {
            let mut next = VecDeque::new();
            for item in queue {
                match item {
                    Item::Event(event) => next.extend(stage.take(event, self.framing, &mut self.changes)),
                    other => next.push_back(other),
                }
            }
            queue = next;
        }
        queue
            .into_iter()
            .map(|item| match item {
                Item::Event(event) => Step::Send(event.bytes),
                Item::Other(step) => step,
            })
            .collect()
    }
}

impl Stage {
    fn selects(&mut self, event: &Event) -> bool {
        let change = &self.change;
        let fits = change.name.as_ref().is_none_or(|name| *name == event.name)
            && change
                .filter
                .as_ref()
                .is_none_or(|filter| !filter.path.query(&event.data).is_empty());
        if fits {
            self.seen += 1;
        }
        fits && change.nth.is_none_or(|nth| nth == self.seen)
    }

    fn take(&mut self, event: Event, framing: Framing, changes: &mut usize) -> Vec<Item> {
        if !self.selects(&event) {
            return self.pass(event, framing);
        }
        *changes += 1;
        let made = |name: &str, data: &Value| Item::Event(Event::new(framing, name, data.clone()));
        match &self.action {
            EventAction::Drop => Vec::new(),
            EventAction::Duplicate => vec![Item::Event(event.clone()), Item::Event(event)],
            EventAction::Edit(edits) => {
                let mut data = event.data.clone();
                if edit::apply_all(edits, &mut data) {
                    return vec![Item::Event(Event::new(framing, &event.name, data))];
                }
                *changes -= 1;
                vec![Item::Event(event)]
            }
            EventAction::Raw(text) => {
                let (bytes, changed) = raw(&event, text, framing);
                *changes -= usize::from(!changed);
                vec![Item::Event(Event { bytes, ..event })]
            }
            EventAction::Rename(name) => {
                let mut data = event.data;
                if let Some(kind) = data.get_mut("type") {
                    *kind = Value::from(name.as_str());
                }
                vec![made(name, &data)]
            }
            EventAction::Split => split(&event, framing),
            EventAction::Merge | EventAction::Hold | EventAction::SwapWithNext | EventAction::MoveToEnd => {
                self.held.push(event);
                Vec::new()
            }
            EventAction::Insert(side, inserted) => {
                let inserted = match &inserted.text {
                    Some(text) => Item::Other(Step::Send(text.clone().into())),
                    None => made(
                        inserted.name.as_deref().unwrap_or_default(),
                        inserted.data.as_ref().unwrap_or(&Value::Null),
                    ),
                };
                match side {
                    EventEdge::Before => vec![inserted, Item::Event(event)],
                    EventEdge::After => vec![Item::Event(event), inserted],
                }
            }
            EventAction::Delay(milliseconds) => {
                vec![Item::Other(Step::Wait(*milliseconds)), Item::Event(event)]
            }
            EventAction::Cut(side) => stopped(*side, event, Step::Cut),
            EventAction::End(side) => stopped(*side, event, Step::End),
        }
    }

    /// Passes on an event that is not selected, and the held events that may follow or precede it.
    fn pass(&mut self, event: Event, framing: Framing) -> Vec<Item> {
        match self.action {
            EventAction::SwapWithNext => {
                let mut items = vec![Item::Event(event)];
                items.extend(self.release(framing));
                items
            }
            EventAction::Merge | EventAction::Hold => {
                let mut items = self.release(framing);
                items.push(Item::Event(event));
                items
            }
            _ => vec![Item::Event(event)],
        }
    }

    fn release(&mut self, framing: Framing) -> Vec<Item> {
        let held = std::mem::take(&mut self.held);
        if !matches!(self.action, EventAction::Merge) {
            return held.into_iter().map(Item::Event).collect();
        }
        let merged = held.into_iter().reduce(|first, second| {
            let mut data = first.data;
            join_texts(&mut data, &second.data);
            Event::new(framing, &first.name, data)
        });
        merged.map(Item::Event).into_iter().collect()
    }
}

/// The stream stops before or after `event`.
fn stopped(side: EventEdge, event: Event, step: Step) -> Vec<Item> {
    match side {
        EventEdge::Before => vec![Item::Other(step)],
        EventEdge::After => vec![Item::Event(event), Item::Other(step)],
    }
}

/// Joins the texts of two events with the same `type`.
fn join_texts(first: &mut Value, second: &Value) {
    match (first, second) {
        (Value::Object(first), Value::Object(second)) => {
            for (key, value) in second {
                match first.get_mut(key) {
                    Some(_) if key == "type" => {}
                    Some(old) => join_texts(old, value),
                    None => {
                        first.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (Value::String(first), Value::String(second)) => first.push_str(second),
        _ => {}
    }
}

/// The changed bytes of an event, and whether they are different now. The binary frames of Amazon's stream are no text.
fn raw(event: &Event, change: &TextEdit, framing: Framing) -> (Bytes, bool) {
    let text = String::from_utf8_lossy(&event.bytes);
    let new = change.find.0.replace_all(&text, &change.with);
    let changed = framing == Framing::ServerSentEvents && new != text;
    match changed {
        true => (new.into_owned().into(), true),
        false => (event.bytes.clone(), false),
    }
}

fn split(event: &Event, framing: Framing) -> Vec<Item> {
    if framing == Framing::EventStream {
        return vec![Item::Event(event.clone())];
    }
    let text = event.data.to_string();
    let mut middle = text.len() / 2;
    while !text.is_char_boundary(middle) {
        middle += 1;
    }
    let (first, second) = text.split_at(middle);
    [first, second]
        .map(|half| {
            Item::Event(Event {
                name: event.name.clone(),
                data: Value::from(half),
                bytes: sse::frame(&event.name, half).into(),
                is_read: true,
            })
        })
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Sends `start`, `delta` "a", `delta` "b" and `stop` through the changes. Returns the steps in short, and the number of
    /// changes.
    fn played(changes: Value) -> (String, usize) {
        let changes: Vec<EventChange> = serde_json::from_value(changes).unwrap();
        let mut changer = StreamChanger::of_changes(&changes, Framing::ServerSentEvents);
        let mut steps = Vec::new();
        for (name, text) in [("start", ""), ("delta", "a"), ("delta", "b"), ("stop", "")] {
            let data = json!({"type": name, "delta": {"text": text}});
            steps.extend(changer.push(Event::new(Framing::ServerSentEvents, name, data)));
        }
        steps.extend(changer.finish());
        let shown = steps.iter().map(|step| match step {
            Step::Send(bytes) => {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                let Some((name, data)) = sse::decode(&text).pop() else {
                    return text.trim().to_owned();
                };
                match serde_json::from_str::<Value>(&data) {
                    Ok(data) => format!("{name}{}", data["delta"]["text"].as_str().unwrap_or("?")),
                    Err(_) => "broken".to_owned(),
                }
            }
            Step::Wait(milliseconds) => format!("wait{milliseconds}"),
            Step::Cut => "cut".to_owned(),
            Step::End => "end".to_owned(),
        });
        (shown.collect::<Vec<_>>().join(" "), changer.changes())
    }

    #[test]
    fn each_action_changes_the_selected_events() {
        let comment = json!({"text": ": hi\n\n"});
        let event = json!({"name": "y", "data": {"delta": {"text": "1"}}});
        let cases = [
            (json!({"drop": true, "nth": 2}), "start deltaa stop", 1),
            (
                json!({"duplicate": true, "nth": 1}),
                "start deltaa deltaa deltab stop",
                1,
            ),
            (json!({"rename": "x"}), "start xa xb stop", 2),
            (
                json!({"split": true, "nth": 1}),
                "start broken broken deltab stop",
                1,
            ),
            (json!({"merge": true}), "start deltaab stop", 2),
            (json!({"hold": true}), "start deltaa deltab stop", 2),
            (
                json!({"swap_with_next": true, "nth": 1}),
                "start deltab deltaa stop",
                1,
            ),
            (
                json!({"move_to_end": true, "nth": 1}),
                "start deltab stop deltaa",
                1,
            ),
            (
                json!({"insert_before": event, "nth": 2}),
                "start deltaa y1 deltab stop",
                1,
            ),
            (
                json!({"insert_after": event, "nth": 2}),
                "start deltaa deltab y1 stop",
                1,
            ),
            (
                json!({"insert_before": comment, "nth": 1}),
                "start : hi deltaa deltab stop",
                1,
            ),
            (
                json!({"raw": {"find": "^event:.*\n", "with": ""}}),
                "start a b stop",
                2,
            ),
            (
                json!({"raw": {"find": "none", "with": ""}}),
                "start deltaa deltab stop",
                0,
            ),
            (
                json!({"delay_ms": 5, "nth": 1}),
                "start wait5 deltaa deltab stop",
                1,
            ),
            (json!({"delay_ms": 5}), "start wait5 deltaa wait5 deltab stop", 2),
            (json!({"cut": "before", "nth": 2}), "start deltaa cut stop", 1),
            (
                json!({"end": "after", "nth": 2}),
                "start deltaa deltab end stop",
                1,
            ),
        ];
        for (mut change, expected, changes) in cases {
            change["name"] = "delta".into();
            let shown = change.to_string();
            assert_eq!(played(json!([change])), (expected.to_owned(), changes), "{shown}");
        }
    }

    #[test]
    fn changes_apply_in_order_and_a_vain_edit_is_no_change() {
        let changes = json!([
            {"name": "delta", "nth": 1, "drop": true},
            {"name": "delta", "nth": 1, "edit": [{"set": {"path": "$.delta.text", "value": "z"}}]},
            {"name": "delta", "edit": [{"drop": "$.none"}]},
        ]);
        assert_eq!(played(changes), ("start deltaz stop".to_owned(), 2));
    }
}
