//! Whether a mutant can change anything in a trial, told from what passed in the same trial without it.
//!
//! Where it cannot, running the trial again would only show that a relay passes things on.

use std::collections::HashMap;

use serde_json::Value;

use super::form::HeaderEdit;
use super::{Mutant, PassingRequest, RelayPosition, ReplyChange, SideChange, StreamChanger};
use crate::wire::Operation;
use crate::wire::exchange::{Body, GatewayExchange, ProviderExchange, RecordedRequest};
use crate::wire::framing::{FramedEvent, Framing};

impl Mutant {
    /// Whether it would change any request or reply of a trial that left this behind. In doubt, it would.
    pub fn can_touch(&self, sent: &[GatewayExchange], exchanges: &[ProviderExchange]) -> bool {
        self.sides.iter().any(|side| side.can_touch(sent, exchanges))
    }
}

impl SideChange {
    fn can_touch(&self, sent: &[GatewayExchange], exchanges: &[ProviderExchange]) -> bool {
        let mut turns: HashMap<Operation, usize> = HashMap::new();
        let mut next_turn = |operation| {
            let turn = turns.entry(operation).or_default();
            *turn += 1;
            *turn
        };
        match self.position {
            RelayPosition::Front => sent.iter().any(|passage| {
                let turn = next_turn(passage.operation);
                let stream = passage
                    .request
                    .body
                    .json()
                    .is_some_and(|body| body["stream"] == true);
                self.can_touch_one(passage.operation, turn, stream, &passage.request, || {
                    self.can_touch_reply(passage)
                })
            }),
            RelayPosition::Behind => exchanges.iter().any(|exchange| {
                let turn = next_turn(exchange.operation);
                let (operation, stream) = (exchange.operation, exchange.reply.stream);
                self.can_touch_one(operation, turn, stream, &exchange.request, || {
                    self.changes_reply(exchange.reply.status)
                })
            }),
        }
    }

    fn can_touch_one(
        &self,
        operation: Operation,
        turn: usize,
        stream: bool,
        request: &RecordedRequest,
        reply: impl FnOnce() -> bool,
    ) -> bool {
        self.applies_to(operation, turn, stream, request.body.json())
            && (self.change_request(&mut passing(request)) || self.changes_redacted(request) || reply())
    }

    /// Whether it changes the text of a header whose value is not in the record.
    fn changes_redacted(&self, request: &RecordedRequest) -> bool {
        let is_redacted = |name: &str| request.header(name).any(|value| value.starts_with("[redacted"));
        let edits = self.request.headers.iter();
        edits
            .filter_map(|edit| match edit {
                HeaderEdit::ReplaceText { name, .. } => Some(name.0.as_str()),
                _ => None,
            })
            .any(is_redacted)
    }

    /// A reply of which only the events are changed is played again.
    fn can_touch_reply(&self, passage: &GatewayExchange) -> bool {
        let Some(reply) = &passage.reply else { return true };
        let only_events = ReplyChange {
            events: self.reply.events.clone(),
            ..ReplyChange::default()
        };
        if !self.changes_reply(reply.status) || self.reply != only_events {
            return self.changes_reply(reply.status);
        }
        let framing = Framing::ServerSentEvents;
        let mut changer = StreamChanger::new(self, framing);
        for event in reply.events.iter().filter(|_| reply.stream) {
            let name = event.data["type"].as_str().unwrap_or_default().to_owned();
            changer.push(FramedEvent::new(framing, &name, event.data.clone()));
        }
        changer.changes() > 0
    }
}

/// A recorded request as it passed, but for its credentials.
fn passing(request: &RecordedRequest) -> PassingRequest {
    let query = match request.query.as_str() {
        "" => String::new(),
        query => format!("?{query}"),
    };
    PassingRequest {
        path: format!("{}{query}", request.path),
        headers: request
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
            .collect(),
        body: match &request.body {
            Body::Json(json) => json.to_string().into(),
            Body::Text(text) => Value::from(text.as_str()).to_string().into(),
            Body::Empty => Default::default(),
        },
    }
}
