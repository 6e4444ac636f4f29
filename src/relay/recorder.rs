//! Records one exchange that passes the relay.

use serde_json::Value;

use crate::clock::now_ms;
use crate::ledger::OpenExchange;
use crate::wire::exchange::{GatewayExchange, GatewayReply, SentEvent};
use crate::wire::framing::{Decoder, FramedEvent, Framing};

pub(super) struct ReplyRecorder {
    exchange: OpenExchange<GatewayExchange>,
    decoder: Option<Decoder>,
    body: Vec<u8>,
    /// The length of the body, if its head states it. A client that knows it reads no further, so the end of the body
    /// does not show otherwise.
    length: Option<usize>,
}

impl ReplyRecorder {
    pub(super) fn new(exchange: OpenExchange<GatewayExchange>) -> Self {
        Self {
            exchange,
            decoder: None,
            body: Vec::new(),
            length: None,
        }
    }

    /// The head of the reply arrived. The reply counts as cut off until [`ReplyRecorder::finish`], or until the last event
    /// of a stream.
    pub(super) fn head(&mut self, status: u16, headers: Vec<(String, String)>, framing: Option<Framing>) {
        self.decoder = framing.map(Decoder::new);
        self.length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .and_then(|(_, value)| value.parse().ok());
        self.exchange.update(|exchange| {
            exchange.reply = Some(GatewayReply {
                at_ms: now_ms(),
                status,
                headers,
                stream: framing.is_some(),
                events: Vec::new(),
                cut_off: true,
            });
        });
    }

    /// A part of the body arrived.
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

    /// The body is complete.
    pub(super) fn finish(&mut self) {
        if let Some(decoder) = self.decoder.take() {
            self.text(&decoder.finish());
        }
        let body = std::mem::take(&mut self.body);
        self.text(&body);
        self.update(|reply| reply.cut_off = false);
    }

    fn events(&self, events: Vec<FramedEvent>) {
        let at_ms = now_ms();
        self.update(|reply| {
            for event in events {
                // The connection may stay open after the last event.
                if event.name == "message_stop" {
                    reply.cut_off = false;
                }
                let data = event.data;
                reply.events.push(SentEvent { at_ms, data });
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
        self.update(|reply| reply.events.push(SentEvent { at_ms, data }));
    }

    fn update(&self, change: impl FnOnce(&mut GatewayReply)) {
        self.exchange.update(|exchange| {
            if let Some(reply) = &mut exchange.reply {
                change(reply);
            }
        });
    }
}
