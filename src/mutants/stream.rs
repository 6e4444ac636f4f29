//! What a mutant does to the events of a stream.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::Value;

use super::{EventAction, EventChange, Mutant, edit};
use crate::wire::framing::{FramedEvent as Event, Framing};

/// What is to be done next with a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Send(Bytes),
    /// Wait so many milliseconds.
    Wait(u64),
    Cut,
    /// End the stream as if it were whole.
    End,
}

/// Changes a stream, event by event.
#[derive(Debug)]
pub struct StreamChanger {
    framing: Framing,
    stages: Vec<Stage>,
    changes: usize,
}

/// One change on its way through a stream.
#[derive(Debug)]
struct Stage {
    change: EventChange,
    seen: usize,
    held: Vec<Event>,
}

enum Item {
    Event(Event),
    Other(Step),
}

impl StreamChanger {
    /// The changer of a stream with this framing.
    pub fn new(mutant: &Mutant, framing: Framing) -> Self {
        Self {
            framing,
            stages: mutant
                .reply
                .events
                .iter()
                .map(|change| Stage {
                    change: change.clone(),
                    seen: 0,
                    held: Vec::new(),
                })
                .collect(),
            changes: 0,
        }
    }

    /// What becomes of the next event.
    pub fn push(&mut self, event: Event) -> Vec<Step> {
        self.run(0, vec![Item::Event(event)])
    }

    /// What is left at the end of the stream.
    pub fn finish(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for number in 0..self.stages.len() {
            let held = self.stages[number].release(self.framing);
            steps.extend(self.run(number + 1, held));
        }
        steps
    }

    /// How many events were changed so far.
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
        let other = |step| Item::Other(step);
        let made = |name: &str, data: &Value| Item::Event(Event::new(framing, name, data.clone()));
        match &self.change.action {
            EventAction::Drop => Vec::new(),
            EventAction::Duplicate => vec![Item::Event(event.clone()), Item::Event(event)],
            EventAction::Edit(edits) => {
                let mut data = event.data.clone();
                match edit::apply_all(edits, &mut data) {
                    true => vec![Item::Event(Event::new(framing, &event.name, data))],
                    false => {
                        *changes -= 1;
                        vec![Item::Event(event)]
                    }
                }
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
            EventAction::InsertBefore(name, data) => vec![made(name, data), Item::Event(event)],
            EventAction::InsertAfter(name, data) => vec![Item::Event(event), made(name, data)],
            EventAction::Delay(milliseconds) => vec![other(Step::Wait(*milliseconds)), Item::Event(event)],
            EventAction::CutBefore => vec![other(Step::Cut)],
            EventAction::CutAfter => vec![Item::Event(event), other(Step::Cut)],
            EventAction::EndBefore => vec![other(Step::End)],
            EventAction::EndAfter => vec![Item::Event(event), other(Step::End)],
        }
    }

    /// An event that is not selected; what is held may go now.
    fn pass(&mut self, event: Event, framing: Framing) -> Vec<Item> {
        match self.change.action {
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
        if !matches!(self.change.action, EventAction::Merge) {
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

/// Joins the texts of two events of one kind; their `type`s are the same.
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
            let bytes = format!("event: {}\ndata: {half}\n\n", event.name).into_bytes();
            Item::Event(Event {
                name: event.name.clone(),
                data: Value::from(half),
                bytes: bytes.into(),
            })
        })
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json_path::JsonPath;

    use super::*;
    use crate::document::Query;

    fn stages(actions: Vec<(&str, Option<usize>, EventAction)>) -> StreamChanger {
        StreamChanger {
            framing: Framing::ServerSentEvents,
            stages: actions
                .into_iter()
                .map(|(name, nth, action)| Stage {
                    change: EventChange {
                        name: Some(name.to_owned()),
                        filter: None,
                        nth,
                        action,
                    },
                    seen: 0,
                    held: Vec::new(),
                })
                .collect(),
            changes: 0,
        }
    }

    /// What the events `start`, `delta` "a", `delta` "b", `stop` become: the data of each that is sent.
    fn played(mut changer: StreamChanger) -> (Vec<String>, usize) {
        let event = |name: &str, text: &str| {
            Event::new(
                Framing::ServerSentEvents,
                name,
                json!({"type": name, "delta": {"text": text}}),
            )
        };
        let mut steps = Vec::new();
        for event in [
            event("start", ""),
            event("delta", "a"),
            event("delta", "b"),
            event("stop", ""),
        ] {
            steps.extend(changer.push(event));
        }
        steps.extend(changer.finish());
        let told = steps.iter().map(|step| match step {
            Step::Send(bytes) => {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                let (name, data) = crate::wire::sse::decode(&text).remove(0);
                match serde_json::from_str::<Value>(&data) {
                    Ok(data) => format!("{name}{}", data["delta"]["text"].as_str().unwrap_or("?")),
                    Err(_) => "broken".to_owned(),
                }
            }
            Step::Wait(milliseconds) => format!("wait {milliseconds}"),
            Step::Cut => "cut".to_owned(),
            Step::End => "end".to_owned(),
        });
        (told.collect(), changer.changes())
    }

    #[test]
    fn each_action_does_what_it_says() {
        let clean = ["start", "deltaa", "deltab", "stop"];
        let cases: [(EventAction, Option<usize>, &[&str], usize); 13] = [
            (EventAction::Drop, Some(2), &["start", "deltaa", "stop"], 1),
            (
                EventAction::Duplicate,
                Some(1),
                &["start", "deltaa", "deltaa", "deltab", "stop"],
                1,
            ),
            (
                EventAction::Rename("x".into()),
                None,
                &["start", "xa", "xb", "stop"],
                2,
            ),
            (
                EventAction::Split,
                Some(1),
                &["start", "broken", "broken", "deltab", "stop"],
                1,
            ),
            (EventAction::Merge, None, &["start", "deltaab", "stop"], 2),
            (EventAction::Hold, None, &clean, 2),
            (
                EventAction::SwapWithNext,
                Some(1),
                &["start", "deltab", "deltaa", "stop"],
                1,
            ),
            (
                EventAction::MoveToEnd,
                Some(1),
                &["start", "deltab", "stop", "deltaa"],
                1,
            ),
            (
                EventAction::InsertBefore("y".into(), json!({"delta": {"text": "1"}})),
                Some(2),
                &["start", "deltaa", "y1", "deltab", "stop"],
                1,
            ),
            (
                EventAction::InsertAfter("y".into(), json!({"delta": {"text": "1"}})),
                Some(2),
                &["start", "deltaa", "deltab", "y1", "stop"],
                1,
            ),
            (
                EventAction::Delay(5),
                Some(1),
                &["start", "wait 5", "deltaa", "deltab", "stop"],
                1,
            ),
            (
                EventAction::CutBefore,
                Some(2),
                &["start", "deltaa", "cut", "stop"],
                1,
            ),
            (
                EventAction::EndAfter,
                Some(2),
                &["start", "deltaa", "deltab", "end", "stop"],
                1,
            ),
        ];
        for (action, nth, expected, changes) in cases {
            let shown = format!("{action:?}");
            assert_eq!(
                played(stages(vec![("delta", nth, action)])),
                (expected.iter().map(|text| (*text).to_owned()).collect(), changes),
                "{shown}"
            );
        }
    }

    #[test]
    fn changes_follow_one_another_and_an_edit_that_finds_nothing_is_none() {
        let path = |text: &str| Query {
            text: text.to_owned(),
            path: JsonPath::parse(text).unwrap(),
        };
        let shout = EventAction::Edit(vec![crate::mutants::Edit::Set(path("$.delta.text"), json!("z"))]);
        let nothing = EventAction::Edit(vec![crate::mutants::Edit::Drop(path("$.none"))]);
        let (told, changes) = played(stages(vec![
            ("delta", Some(1), EventAction::Drop),
            ("delta", Some(1), shout),
            ("delta", None, nothing),
        ]));
        assert_eq!(told, ["start", "deltaz", "stop"]);
        assert_eq!(changes, 2);
    }
}
