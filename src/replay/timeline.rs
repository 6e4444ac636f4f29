//! A trial as steps in time: Claude Code → gateway → provider, and back.

use crate::text::{clipped, counted, one_line};
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::evidence::{Evidence, Killed};
use crate::transcript::{Answer, AnswerBlock, ErrorSource};
use crate::wire::exchange::{Body, GatewayExchange, Matched, ProviderExchange, RecordedRequest, SentEvent};
use crate::wire::{Operation, messages};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Milliseconds since the first step.
    pub after_ms: u64,
    pub who: Who,
    pub what: String,
    /// More of it, a line each.
    pub details: Vec<String>,
    /// A file of the evidence folder and a line in it, from 1.
    pub evidence: Option<(String, usize)>,
}

/// Who does something, or from where to where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    Claude,
    /// A request from Claude Code (or the harness) to the gateway.
    ToGateway,
    /// A request from the gateway to the provider.
    ToProvider,
    /// A reply from the provider to the gateway.
    FromProvider,
    FromGateway,
}

impl Who {
    fn words(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::ToGateway => "claude   → gateway",
            Self::ToProvider => "gateway  → provider",
            Self::FromProvider => "provider → gateway",
            Self::FromGateway => "gateway  → claude",
        }
    }
}

/// The steps of a trial, in the order of their times.
pub fn steps(evidence: &Evidence) -> Vec<Step> {
    let mut timed: Vec<(u64, Step)> = Vec::new();
    let mut add = |at_ms: u64, who, what: String, details: Vec<String>, evidence: Option<(&str, usize)>| {
        let evidence = evidence.map(|(file, line)| (file.to_owned(), line));
        timed.push((
            at_ms,
            Step {
                after_ms: 0,
                who,
                what,
                details,
                evidence,
            },
        ));
    };
    for passage in &evidence.sent {
        let place = Some(("sent.jsonl", passage.number));
        let request = &passage.request;
        add(
            request.at_ms,
            Who::ToGateway,
            asks(request),
            of_request(passage),
            place,
        );
        match &passage.reply {
            Some(reply) => {
                let last = reply.events.last().map_or(reply.at_ms, |event| event.at_ms);
                let what = answer(
                    reply.status,
                    reply.stream,
                    &reply.events,
                    request.at_ms,
                    reply.cut_off,
                );
                add(last, Who::FromGateway, what, of_reply(&reply.events), place);
            }
            None => add(
                request.at_ms,
                Who::FromGateway,
                "nothing came back".into(),
                Vec::new(),
                place,
            ),
        }
    }
    for exchange in &evidence.exchanges {
        let place = Some(("exchanges.jsonl", exchange.number));
        let at_ms = exchange.request.at_ms;
        add(
            at_ms,
            Who::ToProvider,
            asks(&exchange.request),
            of_exchange(exchange),
            place,
        );
        let reply = &exchange.reply;
        let last = reply.events.last().map_or(at_ms, |event| event.at_ms);
        let what = answer(reply.status, reply.stream, &reply.events, at_ms, reply.cut_off);
        let mut details = of_reply(&reply.events);
        details.extend(decided(&exchange.matched));
        if let Some(lockstep) = reply.lockstep {
            details.push(format!(
                "in lockstep: {} of {} deltas showed at Claude Code before the next one was sent",
                lockstep.seen, lockstep.deltas
            ));
        }
        add(last, Who::FromProvider, what, details, place);
    }
    for (at_ms, what, line) in of_claude(evidence) {
        add(
            at_ms,
            Who::Claude,
            what,
            Vec::new(),
            Some(("transcript.jsonl", line)),
        );
    }
    let printed = evidence.transcript.events.iter().map(|event| event.at_ms).max();
    let end = printed
        .or(timed.iter().map(|(at_ms, _)| *at_ms).max())
        .unwrap_or(0);
    timed.push((
        end,
        Step {
            after_ms: 0,
            who: Who::Claude,
            what: ending(evidence),
            details: Vec::new(),
            evidence: Some(("exit.json".into(), 1)),
        },
    ));
    timed.sort_by_key(|(at_ms, step)| (*at_ms, rank(step.who)));
    let start = timed.first().map_or(0, |(at_ms, _)| *at_ms);
    timed
        .into_iter()
        .map(|(at_ms, step)| Step {
            after_ms: at_ms - start,
            ..step
        })
        .collect()
}

/// Of what the clock cannot tell apart, what comes first on the way.
fn rank(who: Who) -> u8 {
    match who {
        Who::ToGateway => 0,
        Who::ToProvider => 1,
        Who::FromProvider => 2,
        Who::FromGateway => 3,
        Who::Claude => 4,
    }
}

/// The steps for a reader. Ends with a newline.
pub fn text(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        let place = step
            .evidence
            .as_ref()
            .map_or_else(String::new, |(file, line)| format!("  [{file}:{line}]"));
        let _ = writeln!(
            out,
            "{:>9}  {:<20} {}{place}",
            format!("+{} ms", step.after_ms),
            step.who.words(),
            step.what.replace('\n', " ")
        );
        for detail in &step.details {
            let line = detail.split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = writeln!(out, "{:32}{line}", "");
        }
    }
    out
}

fn asks(request: &RecordedRequest) -> String {
    let query = match request.query.as_str() {
        "" => String::new(),
        query => format!("?{query}"),
    };
    format!(
        "{} {}{query}  {}",
        request.method,
        request.path,
        size_of(&request.body)
    )
}

fn size_of(body: &Body) -> String {
    match body {
        Body::Json(value) => size(value.to_string().len()),
        Body::Text(text) => size(text.len()),
        Body::Empty => "no body".to_owned(),
    }
}

/// A number of bytes for a reader.
pub fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

fn of_request(passage: &GatewayExchange) -> Vec<String> {
    let body = passage.request.body.json();
    let betas: Vec<&str> = passage.request.header("anthropic-beta").collect();
    let message = body.and_then(|body| messages::read(body, None, &betas));
    let mut details = Vec::new();
    if let Some(message) = &message {
        details.extend(of_message(message, body, passage.operation));
    }
    details
}

fn of_exchange(exchange: &ProviderExchange) -> Vec<String> {
    let mut details = Vec::new();
    if let Some(message) = &exchange.message {
        details.extend(of_message(
            message,
            exchange.request.body.json(),
            exchange.operation,
        ));
    }
    details
}

/// The fields of a request that gateways lose.
fn of_message(
    message: &crate::wire::message::MessageRequest,
    body: Option<&Value>,
    operation: Operation,
) -> Vec<String> {
    let mut facts = Vec::new();
    if operation == Operation::CountTokens {
        facts.push("counts tokens".to_owned());
    }
    facts.push(format!("model {}", message.model));
    if let Some(stream) = body.and_then(|body| body["stream"].as_bool()) {
        facts.push(format!("stream {stream}"));
    }
    facts.push(counted(message.messages.len(), "message"));
    facts.push(counted(message.tools.len(), "tool"));
    if let Some(thinking) = &message.thinking {
        let kind = thinking["type"].as_str().unwrap_or("?");
        let budget = thinking["budget_tokens"]
            .as_u64()
            .map(|budget| format!(" {budget}"));
        facts.push(format!("thinking {kind}{}", budget.unwrap_or_default()));
    }
    if let Some(most) = message.max_tokens {
        facts.push(format!("at most {most} tokens"));
    }
    let breakpoints = message
        .blocks()
        .into_iter()
        .chain(&message.system)
        .filter(|block| block.cache.is_some())
        .count()
        + message.tools.iter().filter(|tool| tool.cache.is_some()).count();
    if breakpoints > 0 {
        facts.push(counted(breakpoints, "cache breakpoint"));
    }
    let mut lines = vec![facts.join(", ")];
    if !message.betas.is_empty() {
        lines.push(format!("betas {}", message.betas.join(", ")));
    }
    if let Some(last) = message.messages.last() {
        let blocks: Vec<String> = last
            .content
            .iter()
            .rev()
            .take(3)
            .rev()
            .map(|block| block_in_short(&block.content))
            .collect();
        lines.push(format!("ends with {}: {}", last.role, blocks.join(" + ")));
    }
    lines
}

fn block_in_short(content: &crate::wire::message::Content) -> String {
    use crate::wire::message::{Content, text_of};
    match content {
        Content::Text(text) => quoted(text),
        Content::Image { media_type, data } => format!("{media_type} ({} in base64)", size(data.len())),
        Content::Document { media_type, data } => format!("{media_type} ({} in base64)", size(data.len())),
        Content::ToolUse { name, input, .. } => format!("call of {name} {}", short(&input.to_string())),
        Content::ToolResult {
            content, is_error, ..
        } => {
            let kind = if *is_error { "error" } else { "result" };
            format!("{kind} {}", quoted(&text_of(content)))
        }
        other => other.kind().to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("{:?}", short(text))
}

fn short(text: &str) -> String {
    one_line(text, 80)
}

fn answer(status: u16, stream: bool, events: &[SentEvent], asked_ms: u64, cut_off: bool) -> String {
    let bytes: usize = events.iter().map(|event| event.data.to_string().len()).sum();
    let how = match (stream, events) {
        (true, [first, .., last]) => format!(
            "a stream of {} events, {}, over {} ms",
            events.len(),
            size(bytes),
            last.at_ms.saturating_sub(first.at_ms)
        ),
        (true, events) => format!("a stream of {}", counted(events.len(), "event")),
        (false, []) => "no body".to_owned(),
        (false, _) => size(bytes),
    };
    let first = events.first().map_or(asked_ms, |event| event.at_ms);
    let wait = match first.saturating_sub(asked_ms) {
        0 => String::new(),
        wait => format!(", the first byte after {wait} ms"),
    };
    let cut_off = if cut_off { ", CUT OFF" } else { "" };
    format!("HTTP {status}, {how}{wait}{cut_off}")
}

/// What a reply says: its blocks, why it ends, its counts; of an error its message.
fn of_reply(events: &[SentEvent]) -> Vec<String> {
    let mut reply = Said::default();
    for event in events {
        reply.take(&event.data);
    }
    reply.lines()
}

/// A reply put together from events of the Messages API or of Converse, or from one body of either.
#[derive(Default)]
struct Said {
    texts: Vec<(u64, String)>,
    calls: Vec<String>,
    stop_reason: Option<String>,
    usage: Option<String>,
    error: Option<String>,
}

impl Said {
    fn take(&mut self, data: &Value) {
        let text = |pointer: &str| data.pointer(pointer).and_then(Value::as_str);
        for pointer in ["/delta/text", "/contentBlockDelta/delta/text"] {
            if let Some(piece) = text(pointer) {
                self.push(data, "text", piece);
            }
        }
        for pointer in [
            "/delta/thinking",
            "/contentBlockDelta/delta/reasoningContent/text",
        ] {
            if let Some(piece) = text(pointer) {
                self.push(data, "thinking", piece);
            }
        }
        for pointer in ["/delta/partial_json", "/contentBlockDelta/delta/toolUse/input"] {
            if let Some(piece) = text(pointer) {
                self.push(data, "arguments", piece);
            }
        }
        for pointer in ["/content_block/name", "/contentBlockStart/start/toolUse/name"] {
            self.calls.extend(text(pointer).map(str::to_owned));
        }
        for pointer in [
            "/delta/stop_reason",
            "/messageStop/stopReason",
            "/stop_reason",
            "/stopReason",
        ] {
            if let Some(reason) = text(pointer) {
                self.stop_reason = Some(reason.to_owned());
            }
        }
        for pointer in ["/usage", "/metadata/usage", "/message/usage"] {
            if let Some(usage) = data.pointer(pointer).and_then(Value::as_object) {
                let counts: Vec<String> = usage
                    .iter()
                    .filter_map(|(name, count)| Some(format!("{name} {}", count.as_u64()?)))
                    .collect();
                self.usage = Some(counts.join(", "));
            }
        }
        let content = data.get("content").or(data.pointer("/output/message/content"));
        for block in content.and_then(Value::as_array).into_iter().flatten() {
            match (block["text"].as_str(), block["name"].as_str()) {
                (Some(text), _) => self.push(&Value::Null, "text", text),
                (None, Some(name)) => self.calls.push(name.to_owned()),
                (None, None) => {}
            }
        }
        if let Some(error) = text("/error/message").or(text("/message")) {
            self.error = Some(error.to_owned());
        }
        if let Some(tokens) = data["input_tokens"].as_u64().or(data["inputTokens"].as_u64()) {
            self.usage = Some(format!("{tokens} tokens counted"));
        }
    }

    /// Pieces of one block are one text.
    fn push(&mut self, data: &Value, kind: &str, piece: &str) {
        let index = data["index"]
            .as_u64()
            .or(data
                .pointer("/contentBlockDelta/contentBlockIndex")
                .and_then(Value::as_u64))
            .unwrap_or(self.texts.len() as u64);
        match self.texts.iter_mut().find(|(known, _)| *known == index) {
            Some((_, text)) => text.push_str(piece),
            None => self.texts.push((index, format!("{kind} {piece}"))),
        }
    }

    fn lines(self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(error) = self.error {
            lines.push(format!("error {}", clipped(&error)));
        }
        let calls = self.calls.iter().map(|name| format!("call of {name}"));
        let texts = self.texts.iter().map(|(_, text)| match text.split_once(' ') {
            Some((kind, text)) => format!("{kind} {}", quoted(text)),
            None => text.clone(),
        });
        let said: Vec<String> = calls.chain(texts).collect();
        if !said.is_empty() {
            lines.push(said.join(" + "));
        }
        let ends = self.stop_reason.map(|reason| format!("stop reason {reason}"));
        let facts: Vec<String> = ends.into_iter().chain(self.usage).collect();
        if !facts.is_empty() {
            lines.push(facts.join(", "));
        }
        lines
    }
}

fn decided(matched: &Matched) -> Option<String> {
    match matched {
        Matched::Script { .. } | Matched::BuiltIn => None,
        Matched::Rejected { rule } => Some(format!("refused: it breaks the provider's rule `{rule}`")),
        Matched::Unmatched { why } => Some(format!("nothing answers this request: {why}")),
    }
}

/// What Claude Code printed and logged, where it is more than the stream of an answer.
fn of_claude(evidence: &Evidence) -> Vec<(u64, String, usize)> {
    let transcript = &evidence.transcript;
    let at = |line: usize| {
        let event = transcript.events.get(line.saturating_sub(1));
        event.map_or(0, |event| event.at_ms)
    };
    let mut told: Vec<(usize, String)> = Vec::new();
    if let (Some(init), Some(placed)) = (transcript.init(), transcript.placed().next()) {
        told.push((
            placed.line,
            format!(
                "Claude Code {} asks for {}, {} offered",
                init.version.unwrap_or_default(),
                init.model.unwrap_or_default(),
                counted(init.tools.len(), "tool")
            ),
        ));
    }
    told.extend(transcript.messages().iter().flat_map(calls));
    told.extend(transcript.tool_results().into_iter().map(|result| {
        let kind = if result.is_error { "failed" } else { "gave" };
        let name = result.name.unwrap_or_else(|| "a tool".into());
        (result.line, format!("{name} {kind} {}", quoted(&result.text)))
    }));
    told.extend(transcript.api_retries().into_iter().map(|retry| {
        let status = retry
            .status
            .map_or("no status".into(), |status| format!("HTTP {status}"));
        (
            retry.line,
            format!(
                "asks again after {status} ({}), in {} ms",
                retry.error, retry.delay_ms
            ),
        )
    }));
    told.extend(
        transcript
            .errors()
            .into_iter()
            .filter(|error| error.source != ErrorSource::Result)
            .map(|error| (error.line, format!("was refused: {}", clipped(&error.text)))),
    );
    told.extend(
        transcript
            .workarounds()
            .into_iter()
            .map(|(line, text)| (line, format!("works around it: {}", clipped(&text)))),
    );
    told.extend(
        transcript
            .unparsable()
            .map(|(line, text)| (line, format!("prints what is no event: {}", quoted(text)))),
    );
    told.extend(transcript.results().into_iter().map(|result| {
        let kind = if result.is_error { "an error" } else { "success" };
        let text = quoted(&result.text.unwrap_or_default());
        let cost = result
            .total_cost_usd
            .map_or_else(String::new, |cost| format!(", ${cost:.4}"));
        let turns = result.num_turns.unwrap_or(0);
        let turns = counted(usize::try_from(turns).unwrap_or(usize::MAX), "turn");
        (result.line, format!("ends with {kind}: {text} ({turns}{cost})"))
    }));
    told.into_iter()
        .map(|(line, what)| (at(line), what, line))
        .collect()
}

fn calls(answer: &Answer) -> Vec<(usize, String)> {
    let last = answer.deltas.last().map_or(answer.line, |delta| delta.line);
    answer
        .content
        .iter()
        .filter_map(|block| match block {
            AnswerBlock::ToolUse { name, input, .. } => Some((
                last,
                format!("is asked to run {name} {}", short(&input.to_string())),
            )),
            _ => None,
        })
        .collect()
}

fn ending(evidence: &Evidence) -> String {
    let exit = &evidence.exit;
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!("exits with status {code}"),
        (None, Some(signal)) => format!("is ended by signal {signal}"),
        (None, None) => "ends in no known way".into(),
    };
    let why = match exit.killed {
        Some(Killed::Deadline) => ", as its time was up",
        Some(Killed::PermanentError) => ", as no retry can mend the error",
        None => "",
    };
    format!("{how}{why}, {} ms after its start", exit.duration_ms)
}
