//! Small evidence for the tests of expectations and causes.

use compat_matrix::cells::Test;
use compat_matrix::document::{Place, Query};
use compat_matrix::evidence::{Behind, DirectReply, Evidence, Exit, Killed};
use compat_matrix::expectation::{Check, Expectation, Matcher};
use compat_matrix::findings::{GatewayDescription, KnownFindings, KnownForRun, MatrixNames, Versions};
use compat_matrix::ids::{ProviderId, TierId, TrialName};
use compat_matrix::judge::Evaluation;
use compat_matrix::outcome::Verdict;
use compat_matrix::transcript::{Event, TimedEvent, Transcript};
use compat_matrix::wire::exchange::{
    Body, GatewayExchange, GatewayReply, Lockstep, Matched, ProviderExchange, ProviderReply, RecordedRequest,
};
use compat_matrix::wire::script::{Prompt, PromptBlock, Script};
use compat_matrix::wire::{Operation, Route, Usage, messages};
use serde_json::{Value, json};

/// A simulated run without output and requests that succeeded.
pub fn nothing() -> Evidence {
    Evidence {
        gateway: true,
        attached: false,
        other_claude: false,
        sent: Vec::new(),
        ambiguous: Vec::new(),
        behind: Behind::Simulated,
        transcript: Transcript::default(),
        exit: Exit {
            code: Some(0),
            signal: None,
            killed: None,
            duration_ms: 900,
        },
        stderr: String::new(),
        exchanges: Vec::new(),
        direct: None,
        counted: None,
        gateway_log: Vec::new(),
    }
}

/// Adds to evidence, in order.
pub trait Builder: Sized {
    fn live(self) -> Self;
    fn printed(self, event: Value) -> Self;
    fn printed_at(self, at_ms: u64, event: Event) -> Self;
    fn logged(self, text: &str) -> Self;
    fn answered(self, answer: Value) -> Self;
    fn ended(self, text: &str) -> Self;
    fn ended_with_error(self, status: Option<u16>, text: &str) -> Self;
    fn retried(self, status: Option<u16>, error: &str) -> Self;
    fn exited(self, code: i32) -> Self;
    fn killed(self, why: Killed) -> Self;
    fn reached(self, exchange: ProviderExchange) -> Self;
    fn direct(self, status: u16, body: Value) -> Self;
}

impl Builder for Evidence {
    fn live(mut self) -> Self {
        self.behind = Behind::Live;
        self
    }

    fn printed(self, event: Value) -> Self {
        let at_ms = self.transcript.events.len() as u64;
        self.printed_at(at_ms, Event::Json(event))
    }

    fn printed_at(mut self, at_ms: u64, event: Event) -> Self {
        self.transcript.events.push(TimedEvent { at_ms, event });
        self
    }

    /// A line of the debug log.
    fn logged(self, text: &str) -> Self {
        self.printed_at(0, Event::from_debug_log("ERROR", text))
    }

    /// A reply that is not streamed.
    fn answered(self, answer: Value) -> Self {
        self.printed(json!({ "type": "assistant", "message": answer, "parent_tool_use_id": null }))
    }

    fn ended(self, text: &str) -> Self {
        self.printed(
            json!({ "type": "result", "subtype": "success", "is_error": false, "result": text,
            "usage": { "input_tokens": 10, "output_tokens": 2 } }),
        )
    }

    fn ended_with_error(self, status: Option<u16>, text: &str) -> Self {
        self.printed(
            json!({ "type": "result", "subtype": "success", "is_error": true, "result": text,
            "api_error_status": status, "usage": {} }),
        )
        .exited(1)
    }

    fn retried(self, status: Option<u16>, error: &str) -> Self {
        self.printed(
            json!({ "type": "system", "subtype": "api_retry", "attempt": 1, "error_status": status,
            "error": error, "retry_delay_ms": 10 }),
        )
    }

    fn exited(mut self, code: i32) -> Self {
        self.exit.code = Some(code);
        self
    }

    fn killed(mut self, why: Killed) -> Self {
        self.exit.code = None;
        self.exit.signal = Some(9);
        self.exit.killed = Some(why);
        self
    }

    /// An exchange; its number and turn are set here.
    fn reached(mut self, mut exchange: ProviderExchange) -> Self {
        exchange.number = self.exchanges.len() + 1;
        let turns = self
            .exchanges
            .iter()
            .filter(|before| before.turn.is_some())
            .count();
        exchange.turn = exchange.turn.map(|_| turns + 1);
        self.exchanges.push(exchange);
        self
    }

    fn direct(mut self, status: u16, body: Value) -> Self {
        self.direct = Some(DirectReply { status, body });
        self
    }
}

/// A message with these blocks, as the provider sends it and `claude` prints it.
pub fn message(id: &str, content: Value, stop_reason: &str) -> Value {
    json!({ "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "id": id, "content": content,
        "stop_reason": stop_reason, "usage": { "input_tokens": 10, "output_tokens": 2 } })
}

/// A message with one text.
pub fn text_message(text: &str) -> Value {
    message("msg_1", json!([{ "type": "text", "text": text }]), "end_turn")
}

/// The events of a streamed message with one block.
pub fn message_events(
    message: Value,
    block: Value,
    deltas: impl IntoIterator<Item = Value>,
    stop_reason: &str,
    output_tokens: u64,
) -> Vec<Value> {
    let deltas = deltas
        .into_iter()
        .map(|delta| json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
    [
        json!({ "type": "message_start", "message": message }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
    ]
    .into_iter()
    .chain(deltas)
    .chain([
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": stop_reason },
            "usage": { "output_tokens": output_tokens } }),
        json!({ "type": "message_stop" }),
    ])
    .collect()
}

/// The events of a streamed message with a text in `parts`.
pub fn text_events(message: Value, parts: &[&str], output_tokens: u64) -> Vec<Value> {
    let block = json!({ "type": "text", "text": "" });
    let deltas = parts
        .iter()
        .map(|part| json!({ "type": "text_delta", "text": part }));
    message_events(message, block, deltas, "end_turn", output_tokens)
}

/// What `claude` prints of a streamed text in `parts`, `apart_ms` apart.
pub fn stream(parts: &[&str], apart_ms: u64) -> Vec<(u64, Event)> {
    let mut message = text_message("");
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    text_events(message, parts, 2)
        .into_iter()
        .enumerate()
        .map(|(index, event)| {
            let event = json!({ "type": "stream_event", "event": event, "parent_tool_use_id": null });
            (index as u64 * apart_ms, Event::Json(event))
        })
        .collect()
}

/// A Messages request with `body`, and the scripted reply `sent` with status 200.
pub fn exchange(body: Value, sent: Value) -> ProviderExchange {
    ProviderExchange {
        number: 0,
        turn: Some(0),
        route: Some(Route::Anthropic),
        operation: Operation::Messages,
        keyless: false,
        caller_credential: Vec::new(),
        wanted_place: Default::default(),
        message: messages::read(&body, None, &[]),
        request: RecordedRequest {
            at_ms: 0,
            method: "POST".into(),
            path: "/v1/messages".into(),
            query: String::new(),
            headers: vec![("anthropic-version".into(), "2023-06-01".into())],
            body: Body::Json(body),
        },
        matched: Matched::Script { reply: 1 },
        reply: ProviderReply {
            status: 200,
            headers: Vec::new(),
            stream: false,
            events: Vec::new(),
            message: Some(sent),
            usage: Usage {
                input_tokens: 10,
                output_tokens: 2,
                ..Usage::default()
            },
            lockstep: None,
            cut_off: false,
        },
    }
}

/// The exchange of Claude Code and the gateway that belongs to `exchange`.
pub fn gateway_exchange(exchange: &ProviderExchange, content_type: &str) -> GatewayExchange {
    GatewayExchange {
        number: exchange.number,
        turn: exchange.turn,
        operation: exchange.operation,
        request: RecordedRequest {
            at_ms: 0,
            ..exchange.request.clone()
        },
        reply: Some(GatewayReply {
            at_ms: 20,
            released_at_ms: None,
            status: exchange.reply.status,
            headers: vec![("content-type".into(), content_type.into())],
            stream: exchange.reply.stream,
            events: exchange.reply.events.clone(),
            cut_off: false,
            ended_at_ms: None,
            wrong_encoding: None,
            cpu_waits: Vec::new(),
        }),
    }
}

/// A request and a reply with one text each.
pub fn text_exchange() -> ProviderExchange {
    exchange(request("ping"), text_message("pong"))
}

/// The body of a request with one text.
pub fn request(text: &str) -> Value {
    json!({ "model": "claude-haiku-4-5", "max_tokens": 32000,
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": text }] }] })
}

/// A request that the provider answers with an error.
pub fn refused(status: u16, matched: Matched) -> ProviderExchange {
    let mut exchange = text_exchange();
    exchange.matched = matched;
    exchange.reply.status = status;
    exchange.reply.message = None;
    exchange.reply.usage = Usage::default();
    exchange
}

/// An error that the cell's script asks for.
pub fn scripted_error(status: u16) -> ProviderExchange {
    refused(status, Matched::Script { reply: 1 })
}

/// The request with which a client tests whether a model exists.
pub fn probe() -> ProviderExchange {
    ProviderExchange {
        turn: None,
        matched: Matched::BuiltIn,
        ..text_exchange()
    }
}

/// A lockstep reply of which the client showed `seen` of `deltas` in time.
pub fn in_lockstep(deltas: usize, seen: usize) -> ProviderExchange {
    let mut exchange = text_exchange();
    exchange.reply.stream = true;
    exchange.reply.lockstep = Some(Lockstep { deltas, seen });
    exchange
}

/// A test with one prompt and the expectation `check`.
pub fn test(check: Check) -> Test {
    Test {
        not_on: std::collections::BTreeMap::new(),
        prompts: vec![Prompt {
            blocks: vec![PromptBlock::Text("ping".into())],
        }],
        workspace: Default::default(),
        flags: Vec::new(),
        env: Default::default(),
        subscription: false,
        needs_script: None,
        direct: None,
        count_tokens: None,
        script: Script::default(),
        called_tools: Vec::new(),
        expectations: vec![expectation("check", check)],
        refusals: std::collections::BTreeMap::new(),
        timeout_seconds: 30,
    }
}

/// An expectation for every tier.
pub fn expectation(name: &str, check: Check) -> Expectation {
    Expectation {
        needs_gateway: false,
        name: name.into(),
        place: place(),
        tiers: None,
        clause: None,
        level: check.level(),
        check,
    }
}

fn place() -> Place {
    Place {
        file: "cells/feature/provider.yaml".into(),
        line: 4,
        column: 3,
    }
}

pub fn equals(value: impl Into<Value>) -> Matcher {
    Matcher {
        equals: Some(value.into()),
        ..Matcher::default()
    }
}

pub fn query(text: &str) -> Query {
    Query {
        text: text.into(),
        path: text.parse().expect("a JSONPath"),
    }
}

/// A run whose request and answer have one text each.
pub fn pong() -> Evidence {
    nothing()
        .reached(text_exchange())
        .answered(text_message("pong"))
        .ended("pong")
}

/// Judges `evidence` as `feature::provider::haiku`, of a gateway of which nothing is known.
pub fn judge(test: &Test, evidence: &Evidence) -> Evaluation {
    compat_matrix::judge::judge(test, &trial(), evidence, KnownForRun::NOTHING)
}

/// Judges `evidence` as `feature::provider::haiku`, of version 1.2.3 of a gateway that is known to break `subject`.
pub fn judge_known(test: &Test, evidence: &Evidence, subject: &str) -> Evaluation {
    let findings = known_finding(subject);
    let known = KnownForRun {
        findings: &findings,
        versions: Versions {
            gateway: Some("1.2.3"),
            ..compat_matrix::findings::Versions::default()
        },
    };
    compat_matrix::judge::judge(test, &trial(), evidence, known)
}

fn trial() -> TrialName {
    "feature::provider::haiku".parse().expect("a name")
}

/// The declaration that the versions 1.2.0 to 1.2.9 break `subject` on `haiku`.
pub fn known_finding(subject: &str) -> KnownFindings {
    let (providers, tiers) = ([ProviderId::new("provider")], ["haiku", "opus"].map(TierId::new));
    known_finding_of(subject, &providers, &tiers)
}

/// [`known_finding`] on the first of `providers` and the first of `tiers`.
pub fn known_finding_of(subject: &str, providers: &[ProviderId], tiers: &[TierId]) -> KnownFindings {
    let text = gateway_file(subject, providers[0].as_str(), tiers[0].as_str());
    let file = std::path::Path::new("gateways/example.yaml");
    let names = MatrixNames {
        providers,
        features: &[],
        tiers: &tiers.iter().cloned().collect(),
    };
    let parsed = GatewayDescription::parse(file, text.as_bytes(), names);
    parsed.expect("a valid file").known
}

/// A file of a gateway that is known to break `subject`.
pub fn gateway_file(subject: &str, provider: &str, tier: &str) -> String {
    include_str!("../../fixtures/gateway-with-one-finding.yaml")
        .replace("SUBJECT", subject)
        .replace("PROVIDER", provider)
        .replace("TIER", tier)
}

pub fn verdict_of(name: &str, evaluation: &Evaluation) -> Option<Verdict> {
    let judged = evaluation.judged.iter().find(|judged| judged.name == name)?;
    Some(judged.verdict)
}
