//! The wire diff: what a gateway changed between Claude Code and the provider.

mod borders;
mod broken_streams;
mod causes;
mod delays;
mod headlines;
mod lost_parts;
mod noise;
mod replies;
mod reply_headers;
mod requests;
mod routes;
mod token_counts;
mod starts;
mod subjects;
mod wording;

use compat_matrix::findings::{Subject, SubjectPattern};
use compat_matrix::wire::answer::ProviderAnswer;
use compat_matrix::wire::exchange::{Body, GatewayExchange, Lockstep, ProviderExchange, SentEvent};
use compat_matrix::wire::reply_fields::ReplyFields;
use compat_matrix::wire::script::{DeltaSplit, StopDetails};
use compat_matrix::wire::{Direction, Usage, messages};
use compat_matrix::wire_diff::{Change, Fate, Part, compare};
use serde_json::{Value, json};

use crate::support::evidence::{exchange, gateway_exchange};

/// Requests and replies as both sides of the gateway see them: equal until a test changes one side.
struct Wire {
    sent: Vec<GatewayExchange>,
    exchanges: Vec<ProviderExchange>,
}

impl Wire {
    /// Each request with its answer's blocks, streamed.
    fn of(turns: &[(Value, Value)]) -> Self {
        let pairs = turns.iter().enumerate().map(|(index, (body, blocks))| {
            let exchange = arrived(index, body, blocks);
            (passage(index, &exchange), exchange)
        });
        let (sent, exchanges) = pairs.unzip();
        Self { sent, exchanges }
    }

    fn one() -> Self {
        Self::of(&[(body(), json!([{"type": "text", "text": "a b c"}]))])
    }

    /// The differences. A known finding can name each of them.
    fn compared(&self) -> Vec<Change> {
        let changes = compare(&self.sent, &self.exchanges).changes;
        for change in &changes {
            let subject = Subject::of_change(change).to_string();
            if let Err(error) = subject.parse::<SubjectPattern>() {
                panic!("{subject}: {error}");
            }
        }
        changes
    }

    /// The text of each difference.
    fn changes(&self) -> Vec<String> {
        self.compared().iter().map(Change::line).collect()
    }

    fn kinds(&self) -> Vec<(Direction, Part, Fate)> {
        let changes = self.compared();
        changes
            .iter()
            .map(|change| (change.direction, change.what.part, change.what.fate))
            .collect()
    }

    /// Changes the body that arrived.
    fn arrives(mut self, change: impl FnOnce(&mut Value)) -> Self {
        let exchange = self.exchanges.last_mut().unwrap();
        if let Body::Json(body) = &mut exchange.request.body {
            change(body);
            exchange.message = messages::read(body, None, &[]);
        }
        self
    }

    /// A reply in lockstep whose first delta Claude Code did not show, so that the provider stopped waiting. The delta came back
    /// at `came_ms`; the provider sent it at 100 ms, and the next one at 10,100 ms.
    fn shown_late(came_ms: u64) -> Self {
        let set = |events: &mut [SentEvent], first_ms: u64, rest_ms: u64| {
            let mut deltas = 0;
            for event in events {
                deltas += usize::from(event.data["type"] == "content_block_delta");
                event.at_ms = if deltas <= 1 { first_ms } else { rest_ms };
            }
        };
        let mut wire = Self::one();
        let reply = &mut wire.exchanges[0].reply;
        reply.lockstep = Some(Lockstep { deltas: 3, seen: 0 });
        set(&mut reply.events, 100, 10_100);
        wire.comes_back(|events| set(events, came_ms, 10_150))
    }

    /// Changes the events that came back.
    fn comes_back(mut self, change: impl FnOnce(&mut Vec<SentEvent>)) -> Self {
        change(&mut self.sent.last_mut().unwrap().reply.as_mut().unwrap().events);
        self
    }
}

fn body() -> Value {
    json!({
        "model": "alias", "max_tokens": 100, "stream": true, "metadata": {"user_id": "u"},
        "thinking": {"type": "enabled", "budget_tokens": 50},
        "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "Bash", "description": "runs", "input_schema": {"type": "object"}}, {"name": "Read", "input_schema": {}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "first"}, {"type": "text", "text": "second"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "signed"},
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "x"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "out"}]},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="},
                    "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ]},
        ],
    })
}

fn answer(blocks: &Value) -> ProviderAnswer {
    ProviderAnswer {
        id: "msg_1".into(),
        model: "m".into(),
        content: blocks.as_array().unwrap().clone(),
        stop_reason: "end_turn".into(),
        details: StopDetails::default(),
        fields: ReplyFields::default(),
        usage: Usage {
            input_tokens: 10,
            output_tokens: 2,
            ..Usage::default()
        },
        created_for_1h: 0,
        latency_ms: 1,
        context_management: false,
        split: DeltaSplit::default(),
    }
}

/// Turns are a second apart, the provider is 10 ms behind the gateway, and a reply takes a millisecond an event.
fn timed(index: usize, events: impl IntoIterator<Item = Value>) -> Vec<SentEvent> {
    let start = index as u64 * 1000 + 20;
    let events = events.into_iter().zip(start..);
    events.map(|(data, at_ms)| SentEvent { at_ms, data }).collect()
}

fn arrived(index: usize, body: &Value, blocks: &Value) -> ProviderExchange {
    let answer = answer(blocks);
    let mut exchange = exchange(body.clone(), answer.message());
    exchange.number = index + 1;
    exchange.turn = Some(index + 1);
    exchange.request.at_ms = index as u64 * 1000 + 10;
    exchange.reply.stream = true;
    exchange.reply.events = timed(index, answer.stream().into_iter().map(|event| event.data));
    exchange
}

fn list<'a>(body: &'a mut Value, path: &str) -> &'a mut Vec<Value> {
    body.pointer_mut(path).unwrap().as_array_mut().unwrap()
}

fn remove(body: &mut Value, path: &str, key: &str) -> Option<Value> {
    let fields = body.pointer_mut(path)?.as_object_mut()?;
    fields.shift_remove(key)
}

fn passage(index: usize, exchange: &ProviderExchange) -> GatewayExchange {
    let mut passage = gateway_exchange(exchange, "text/event-stream; charset=utf-8");
    passage.request.at_ms = index as u64 * 1000;
    passage.reply.as_mut().unwrap().at_ms += index as u64 * 1000;
    passage
}
