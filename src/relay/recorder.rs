//! Records one exchange that passes the relay.

use serde_json::Value;

use crate::clock::now_ms;
use crate::ledger::OpenExchange;
use crate::wire::encoding::ContentDecoder;
use crate::wire::exchange::{GatewayExchange, GatewayReply, SentEvent};
use crate::wire::framing::{Decoder, FramedEvent, Framing};
use crate::wire::json;

pub(super) struct ReplyRecorder {
    exchange: OpenExchange<GatewayExchange>,
    encoding: ContentDecoder,
    decoder: Option<Decoder>,
    body: Vec<u8>,
    /// The number of bytes that arrived, before decoding.
    received: usize,
    /// The length of the body, if its head states it. A client that knows it reads no further, so the end of the body
    /// does not show otherwise.
    length: Option<usize>,
}

impl ReplyRecorder {
    pub(super) fn new(exchange: OpenExchange<GatewayExchange>) -> Self {
        Self {
            exchange,
            encoding: ContentDecoder::new(None),
            decoder: None,
            body: Vec::new(),
            received: 0,
            length: None,
        }
    }

    /// The head of the reply arrived. The reply counts as cut off until [`ReplyRecorder::finish`], or until the last event
    /// of a stream.
    pub(super) fn head(&mut self, status: u16, headers: Vec<(String, String)>, framing: Option<Framing>) {
        self.decoder = framing.map(Decoder::new);
        let header = |wanted: &str| {
            let found = headers.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        self.length = header("content-length").and_then(|value| value.parse().ok());
        self.encoding = ContentDecoder::new(header("content-encoding"));
        self.exchange.update(|exchange| {
            exchange.reply = Some(GatewayReply {
                at_ms: now_ms(),
                released_at_ms: None,
                status,
                headers,
                stream: framing.is_some(),
                events: Vec::new(),
                cut_off: true,
                ended_at_ms: None,
                wrong_encoding: None,
                cpu_waits: Vec::new(),
            });
        });
    }

    /// The relay returns the reply from now on.
    pub(super) fn released(&self) {
        let now_ms = now_ms();
        self.update(|reply| reply.released_at_ms = Some(now_ms));
    }

    /// A part of the body arrived.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.received += bytes.len();
        let decoded = self.encoding.push(bytes);
        // A client hangs up at a body that it cannot decode, so its end may not come.
        self.check_encoding();
        match &mut self.decoder {
            Some(decoder) => {
                let events = decoder.push(&decoded);
                self.events(events);
            }
            None => {
                self.body.extend_from_slice(&decoded);
                if Some(self.received) == self.length {
                    self.finish();
                }
            }
        }
    }

    /// The body is complete.
    pub(super) fn finish(&mut self) {
        if let Some(decoder) = self.decoder.take() {
            // Empty lines after the last event say nothing.
            self.text(decoder.finish().trim_ascii());
        }
        let body = std::mem::take(&mut self.body);
        self.text(&body);
        self.check_encoding();
        self.update(|reply| reply.cut_off = false);
        self.ended();
    }

    fn ended(&self) {
        let now_ms = now_ms();
        self.update(|reply| {
            reply.ended_at_ms.get_or_insert(now_ms);
        });
    }

    fn check_encoding(&self) {
        let problem = || self.encoding.problem().or_else(|| self.encoding.unsaid());
        if let Some(problem) = (self.received > 0).then(problem).flatten() {
            self.update(|reply| reply.wrong_encoding = Some(problem));
        }
    }

    fn events(&self, events: Vec<FramedEvent>) {
        let at_ms = now_ms();
        self.update(|reply| {
            // A comment keeps the connection alive and says nothing.
            for event in events.into_iter().filter(|event| !event.data.is_null()) {
                // The connection may stay open after the last event.
                if event.name == "message_stop" && event.is_read {
                    reply.cut_off = false;
                }
                let data = event.into_read();
                reply.events.push(SentEvent { at_ms, data });
            }
        });
    }

    fn text(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        let data = json::parse(&text).unwrap_or_else(|_| Value::String(text.into_owned()));
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

impl Drop for ReplyRecorder {
    /// The client closed the connection, unless the reply was complete.
    fn drop(&mut self) {
        self.ended();
    }
}
