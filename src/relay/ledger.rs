//! What has passed for a trial, as it happens.

use parking_lot::Mutex;
use std::sync::Arc;

use serde_json::Value;

use super::now_ms;
use crate::wire::exchange::{GatewayExchange, GatewayReply, SentEvent};
use crate::wire::framing::{Decoder, Event, Framing};

/// A list of passages that grows.
#[derive(Clone, Default)]
pub(super) struct Ledger {
    passages: Arc<Mutex<Vec<GatewayExchange>>>,
}

/// One passage of a ledger, under way.
pub(super) struct Recording {
    ledger: Ledger,
    index: usize,
    decoder: Option<Decoder>,
    body: Vec<u8>,
    /// How long that body is to be, where its head says so: who knows it asks for no more once it has come.
    length: Option<usize>,
}

impl Ledger {
    /// Adds a passage; its number is given here.
    pub(super) fn begin(&self, mut passage: GatewayExchange) -> Recording {
        let mut passages = self.passages.lock();
        passage.number = passages.len() + 1;
        passages.push(passage);
        Recording {
            ledger: self.clone(),
            index: passages.len() - 1,
            decoder: None,
            body: Vec::new(),
            length: None,
        }
    }

    /// The passages so far, of which nothing more is recorded.
    pub(super) fn take(&self) -> Vec<GatewayExchange> {
        std::mem::take(&mut self.passages.lock())
    }
}

impl Recording {
    /// The head of the reply has come. It counts as cut off until [`Recording::finish`], a stream until its last event.
    pub(super) fn reply(&mut self, status: u16, headers: Vec<(String, String)>, framing: Option<Framing>) {
        self.decoder = framing.map(Decoder::new);
        self.length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .and_then(|(_, value)| value.parse().ok());
        self.update(|passage| {
            passage.reply = Some(GatewayReply {
                at_ms: now_ms(),
                status,
                headers,
                stream: framing.is_some(),
                events: Vec::new(),
                cut_off: true,
            });
        });
    }

    /// More of the body has come.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        match &mut self.decoder {
            Some(decoder) => {
                let events = decoder.push(bytes);
                self.events(events);
            }
            None => {
                self.body.extend_from_slice(bytes);
                if Some(self.body.len()) == self.length {
                    self.finish();
                }
            }
        }
    }

    pub(super) fn finish(&mut self) {
        if let Some(decoder) = self.decoder.take() {
            self.text(&decoder.finish());
        }
        let body = std::mem::take(&mut self.body);
        self.text(&body);
        self.update_reply(|reply| reply.cut_off = false);
    }

    fn events(&self, events: Vec<Event>) {
        let at_ms = now_ms();
        self.update_reply(|reply| {
            for event in events {
                // Connections are kept open after it.
                if event.name == "message_stop" {
                    reply.cut_off = false;
                }
                reply.events.push(SentEvent {
                    at_ms,
                    data: event.data,
                });
            }
        });
    }

    fn text(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let data = serde_json::from_slice(bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()));
        let at_ms = now_ms();
        self.update_reply(|reply| reply.events.push(SentEvent { at_ms, data }));
    }

    fn update_reply(&self, change: impl FnOnce(&mut GatewayReply)) {
        self.update(|passage| {
            if let Some(reply) = &mut passage.reply {
                change(reply);
            }
        });
    }

    fn update(&self, change: impl FnOnce(&mut GatewayExchange)) {
        if let Some(passage) = self.ledger.passages.lock().get_mut(self.index) {
            change(passage);
        }
    }
}
