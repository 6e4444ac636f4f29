//! A script that reproduces a gateway's fault without this project and without keys.
//!
//! The script is one file for Python's standard library: Claude Code's request, a stand-in that answers like the provider,
//! and the recorded differences. The gateway under test uses the stand-in as its provider. The script prints whether each
//! difference shows again, and its exit status says so too.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::messages::LEFT_OUT;
use crate::evidence::Evidence;
use crate::wire::answer::ProviderAnswer;
use crate::wire::exchange::{GatewayExchange, ProviderExchange, ProviderReply, SentEvent};
use crate::wire::reply_fields::ReplyFields;
use crate::wire::script::{DeltaSplit, StopDetails};
use crate::wire::{Route, converse, redaction};
use crate::wire_diff::{self, Change};

/// The same in every script.
const PROGRAM: &str = include_str!("repro.py");

#[derive(Clone, Copy, Debug)]
pub struct Repro<'a> {
    /// One line.
    pub title: &'a str,
    pub report: &'a str,
    pub evidence: &'a Evidence,
    /// The gateway's changes to show.
    pub changes: &'a [&'a Change],
}

/// `None` if no request that was recorded on both sides has one of the changes.
pub fn script(repro: &Repro<'_>) -> Option<String> {
    let mut turns: Vec<(usize, Value)> = Vec::new();
    let mut witnesses = Vec::new();
    let mut first: Option<&ProviderExchange> = None;
    let mut alias = "";
    for change in repro.changes {
        let mut sent = repro.evidence.sent.iter();
        let Some(passage) = sent.find(|passage| passage.number == change.sent) else {
            continue;
        };
        let exchanges = wire_diff::forwarded(passage, &repro.evidence.sent, &repro.evidence.exchanges);
        first = first.or(exchanges.first().copied());
        let body = passage.request.body.json();
        alias = body.and_then(|body| body["model"].as_str()).unwrap_or(alias);
        let known = turns.iter().position(|(number, _)| *number == passage.number);
        let index = known.unwrap_or_else(|| {
            turns.push((passage.number, turn(passage, &exchanges)));
            turns.len() - 1
        });
        witnesses.push(json!({
            "turn": index,
            "direction": change.direction,
            "part": change.what.part,
            "fate": change.what.fate,
            "path": change.what.path,
            "before": change.what.before.as_ref().map(redaction::of_value),
            "line": redaction::of_text(&change.line()),
        }));
    }
    let exchange = first.or(repro.evidence.exchanges.first())?;
    if witnesses.is_empty() {
        return None;
    }
    let turns: Vec<Value> = turns.into_iter().map(|(_, turn)| turn).collect();
    let data = json!({
        "route": exchange.route?,
        "alias": alias,
        "provider_model": exchange.message.as_ref().map_or("", |message| message.model.as_str()),
        "witnesses": witnesses,
        "turns": turns,
    });
    Some(format!("{}{}{PROGRAM}", head(repro), literal(&data)))
}

fn turn(passage: &GatewayExchange, exchanges: &[&ProviderExchange]) -> Value {
    let request = &passage.request;
    let arrived: Vec<Value> = exchanges
        .iter()
        .map(|exchange| {
            let body = exchange.request.body.json().map(redaction::of_value);
            json!({ "headers": headers(&exchange.request.headers), "body": body })
        })
        .collect();
    let replies: Vec<Value> = exchanges
        .iter()
        .map(|exchange| {
            let reply = &exchange.reply;
            json!({
                "status": reply.status,
                "headers": headers(&reply.headers),
                "stream": reply.stream,
                "cut": is_cut(reply),
                "events": whole(exchange),
            })
        })
        .collect();
    let message = exchanges.last().and_then(|exchange| message(&exchange.reply));
    let came_back = passage.reply.as_ref().map(|reply| {
        json!({
            "status": reply.status,
            "headers": headers(&reply.headers),
            "events": events(&reply.events),
            "cut": reply.cut_off,
        })
    });
    json!({
        "path": request.target(),
        "headers": headers(&request.headers),
        "body": request.body.json().map(redaction::of_value),
        "arrived": arrived,
        "replies": replies,
        "message": message,
        "came_back": came_back,
    })
}

/// Whether the provider itself breaks the stream, without an error.
fn is_cut(reply: &ProviderReply) -> bool {
    reply.stream && reply.message.is_none() && wire_diff::error_within(reply).is_empty()
}

/// The events of the provider's answer, including the rest that it could not send after the gateway closed the connection.
fn whole(exchange: &ProviderExchange) -> Vec<Value> {
    let reply = &exchange.reply;
    let (true, true, Some(message), Some(route)) =
        (reply.cut_off, reply.stream, &reply.message, exchange.route)
    else {
        return events(&reply.events);
    };
    let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
    let answer = ProviderAnswer {
        id: text("id"),
        model: text("model"),
        content: message["content"].as_array().cloned().unwrap_or_default(),
        stop_reason: text("stop_reason"),
        details: StopDetails {
            stop_sequence: message["stop_sequence"].as_str().map(str::to_owned),
            stop_details: message.get("stop_details").cloned(),
            safeguard_results: message.get("safeguard_results").cloned(),
            applied_edits: message.pointer("/context_management/applied_edits").cloned(),
        },
        fields: ReplyFields::of(route, message["model"].as_str().unwrap_or_default(), false)
            .asked_by(exchange.request.body.json()),
        usage: reply.usage,
        split: DeltaSplit::default(),
        created_for_1h: 0,
        latency_ms: 0,
        context_management: message.get("context_management").is_some(),
    };
    let rendered: Vec<Value> = match route {
        Route::BedrockConverse => {
            let events = converse::stream(&answer).into_iter();
            events
                .map(|(name, payload, _)| json!({ name: payload }))
                .collect()
        }
        route => answer
            .stream_on(route)
            .into_iter()
            .map(|event| event.data)
            .collect(),
    };
    rendered.iter().map(redaction::of_value).collect()
}

/// The provider's message in the form of the Messages API, whatever the route.
fn message(reply: &ProviderReply) -> Option<Value> {
    let mut message = redaction::of_value(reply.message.as_ref()?);
    message["type"] = "message".into();
    for (name, count) in json!(reply.usage).as_object().into_iter().flatten() {
        message["usage"][name] = count.clone();
    }
    Some(message)
}

fn headers(headers: &[(String, String)]) -> Map<String, Value> {
    headers
        .iter()
        .filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), redaction::of_text(value).into()))
        .collect()
}

fn events(events: &[SentEvent]) -> Vec<Value> {
    let data = events.iter().map(|event| &event.data);
    data.map(redaction::of_value).collect()
}

fn head(repro: &Repro<'_>) -> String {
    let mut out = String::from("#!/usr/bin/env python3\n");
    let safe = |text: &str| redaction::of_text(text).replace("\"\"\"", "'''");
    let _ = writeln!(out, "r\"\"\"{}\n", safe(repro.title));
    let _ = writeln!(out, "{}\n", safe(repro.report.trim()));
    out.push_str(
        "This script sends Claude Code's requests to a gateway, answers in place of the provider behind it, and prints for\n\
         each recorded difference whether it shows again. It needs Python 3.8 and no key of a provider:\n\n\
         \x20   python3 THIS_FILE --print-config > config.json\n\
         \x20   litellm --config config.json --host 127.0.0.1 --port 4000\n\
         \x20   python3 THIS_FILE\n\n\
         The exit status is 1 if the fault shows, 0 if it does not, 2 if the script cannot decide.\n\"\"\"\n",
    );
    out
}

/// `data` as a Python expression. The quotes are escaped, so none can end the literal.
fn literal(data: &Value) -> String {
    let text = data.to_string().replace('\'', "\\u0027");
    format!("DATA = __import__(\"json\").loads(r'''{text}''')\n\n")
}
