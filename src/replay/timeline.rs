//! A trial as steps in time: Claude Code → gateway → provider, and back.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::evidence::{Evidence, Killed};
use crate::text::{clipped, counted, one_line};
use crate::transcript::{Answer, AnswerBlock, ErrorSource};
use crate::wire::exchange::{Body, GatewayExchange, Matched, ProviderExchange, RecordedRequest, SentEvent};
use crate::wire::message::{Content, MessageRequest, text_of};
use crate::wire::pointer::{list, number, text as text_at};
use crate::wire::{Operation, messages};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimelineStep {
    /// Milliseconds since the first step.
    pub after_ms: u64,
    pub who: Who,
    pub what: String,
    /// More lines about it.
    pub details: Vec<String>,
    /// A file of the evidence folder and a line in it, from 1.
    pub evidence: Option<(String, usize)>,
}

/// The direction or actor of a step. Steps with the same time are sorted in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// A request from Claude Code (or the harness) to the gateway.
    ToGateway,
    /// A request from the gateway to the provider.
    ToProvider,
    /// A reply from the provider to the gateway.
    FromProvider,
    FromGateway,
    Claude,
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
pub fn steps(evidence: &Evidence) -> Vec<TimelineStep> {
    let mut steps: Vec<TimelineStep> = evidence.sent.iter().flat_map(at_gateway).collect();
    steps.extend(evidence.exchanges.iter().flat_map(at_provider));
    steps.extend(of_claude(evidence));
    let printed = evidence.transcript.events.iter().map(|event| event.at_ms).max();
    let end = printed.or(steps.iter().map(|step| step.after_ms).max());
    steps.push(step(
        end.unwrap_or(0),
        Who::Claude,
        ending(evidence),
        "exit.json",
        1,
    ));
    steps.sort_by_key(|step| (step.after_ms, step.who));
    let start = steps.first().map_or(0, |step| step.after_ms);
    for step in &mut steps {
        step.after_ms -= start;
    }
    steps
}

/// A step at a time since the Unix epoch, without details.
fn step(at_ms: u64, who: Who, what: String, file: &str, line: usize) -> TimelineStep {
    TimelineStep {
        after_ms: at_ms,
        who,
        what,
        details: Vec::new(),
        evidence: Some((file.to_owned(), line)),
    }
}

fn at_gateway(passage: &GatewayExchange) -> [TimelineStep; 2] {
    let step = |at_ms, who, what| step(at_ms, who, what, "sent.jsonl", passage.number);
    let request = &passage.request;
    let body = request.body.json();
    let betas: Vec<&str> = request.header("anthropic-beta").collect();
    let message = body.and_then(|body| messages::read(body, None, &betas));
    let asks = TimelineStep {
        details: message.map_or_else(Vec::new, |message| of_message(&message, body, passage.operation)),
        ..step(request.at_ms, Who::ToGateway, asks(request))
    };
    let Some(reply) = &passage.reply else {
        let nothing = step(request.at_ms, Who::FromGateway, "nothing came back".into());
        return [asks, nothing];
    };
    let last = reply.events.last().map_or(reply.at_ms, |event| event.at_ms);
    let what = answer(
        reply.status,
        reply.stream,
        &reply.events,
        request.at_ms,
        reply.cut_off,
    );
    let answers = TimelineStep {
        details: of_reply(&reply.events),
        ..step(last, Who::FromGateway, what)
    };
    [asks, answers]
}

fn at_provider(exchange: &ProviderExchange) -> [TimelineStep; 2] {
    let step = |at_ms, who, what| step(at_ms, who, what, "exchanges.jsonl", exchange.number);
    let (request, reply) = (&exchange.request, &exchange.reply);
    let message = exchange.message.as_ref();
    let asks = TimelineStep {
        details: message.map_or_else(Vec::new, |message| {
            of_message(message, request.body.json(), exchange.operation)
        }),
        ..step(request.at_ms, Who::ToProvider, asks(request))
    };
    let mut details = of_reply(&reply.events);
    details.extend(decided(&exchange.matched));
    details.extend(reply.lockstep.map(|lockstep| {
        format!(
            "in lockstep: {} of {} deltas showed at Claude Code before the next one was sent",
            lockstep.seen, lockstep.deltas
        )
    }));
    let last = reply.events.last().map_or(request.at_ms, |event| event.at_ms);
    let what = answer(
        reply.status,
        reply.stream,
        &reply.events,
        request.at_ms,
        reply.cut_off,
    );
    let answers = TimelineStep {
        details,
        ..step(last, Who::FromProvider, what)
    };
    [asks, answers]
}

/// The steps for a reader. Ends with a newline.
pub fn text(steps: &[TimelineStep]) -> String {
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
    let size = match &request.body {
        Body::Json(value) => size(value.to_string().len()),
        Body::Text(text) => size(text.len()),
        Body::Empty => "no body".to_owned(),
    };
    format!("{} {}  {size}", request.method, request.target())
}

/// A number of bytes for a reader.
pub fn size(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// The fields of a request that gateways lose.
fn of_message(message: &MessageRequest, body: Option<&Value>, operation: Operation) -> Vec<String> {
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
        let kind = text_at(thinking, "/type").unwrap_or("?");
        let budget = number(thinking, "/budget_tokens");
        let budget = budget.map_or_else(String::new, |budget| format!(" {budget}"));
        facts.push(format!("thinking {kind}{budget}"));
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
        let last_three = &last.content[last.content.len().saturating_sub(3)..];
        let blocks: Vec<String> = last_three
            .iter()
            .map(|block| block_in_short(&block.content))
            .collect();
        lines.push(format!("ends with {}: {}", last.role, blocks.join(" + ")));
    }
    lines
}

fn block_in_short(content: &Content) -> String {
    match content {
        Content::Text(text) => quoted(text),
        Content::Image { media_type, data } | Content::Document { media_type, data } => {
            format!("{media_type} ({} in base64)", size(data.len()))
        }
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

/// The content of a reply: blocks, stop reason and counts, or the message of an error.
fn of_reply(events: &[SentEvent]) -> Vec<String> {
    let mut reply = Said::default();
    for event in events {
        reply.take(&event.data);
    }
    reply.lines()
}

/// A reply, built from events of the Messages API or of Converse, or from one body of either.
#[derive(Default)]
struct Said {
    /// The index, the kind and the text of each block.
    texts: Vec<(u64, &'static str, String)>,
    calls: Vec<String>,
    stop_reason: Option<String>,
    usage: Option<String>,
    error: Option<String>,
}

/// Where events carry pieces of a block, and of which kind.
const PIECES: [(&str, &str); 6] = [
    ("/delta/text", "text"),
    ("/contentBlockDelta/delta/text", "text"),
    ("/delta/thinking", "thinking"),
    ("/contentBlockDelta/delta/reasoningContent/text", "thinking"),
    ("/delta/partial_json", "arguments"),
    ("/contentBlockDelta/delta/toolUse/input", "arguments"),
];
const CALLS: [&str; 2] = ["/content_block/name", "/contentBlockStart/start/toolUse/name"];
const STOP_REASONS: [&str; 4] = [
    "/delta/stop_reason",
    "/messageStop/stopReason",
    "/stop_reason",
    "/stopReason",
];
const USAGES: [&str; 3] = ["/usage", "/metadata/usage", "/message/usage"];
const ERRORS: [&str; 2] = ["/error/message", "/message"];
const COUNTS: [&str; 2] = ["/input_tokens", "/inputTokens"];

impl Said {
    fn take(&mut self, data: &Value) {
        let first = |pointers: &[&str]| pointers.iter().find_map(|pointer| text_at(data, pointer));
        for (pointer, kind) in PIECES {
            if let Some(piece) = text_at(data, pointer) {
                self.push(data, kind, piece);
            }
        }
        self.calls.extend(first(&CALLS).map(str::to_owned));
        for block in ["/content", "/output/message/content"]
            .into_iter()
            .flat_map(|pointer| list(data, pointer))
        {
            match (text_at(block, "/text"), text_at(block, "/name")) {
                (Some(text), _) => self.push(&Value::Null, "text", text),
                (None, Some(name)) => self.calls.push(name.to_owned()),
                (None, None) => {}
            }
        }
        if let Some(reason) = first(&STOP_REASONS) {
            self.stop_reason = Some(reason.to_owned());
        }
        for usage in USAGES.iter().filter_map(|pointer| data.pointer(pointer)) {
            let counts = usage.as_object().into_iter().flatten();
            let counts = counts.filter_map(|(name, count)| Some(format!("{name} {}", count.as_u64()?)));
            self.usage = Some(counts.collect::<Vec<_>>().join(", "));
        }
        if let Some(error) = first(&ERRORS) {
            self.error = Some(error.to_owned());
        }
        if let Some(tokens) = COUNTS.iter().find_map(|pointer| number(data, pointer)) {
            self.usage = Some(format!("{tokens} tokens counted"));
        }
    }

    /// Joins the pieces of one block.
    fn push(&mut self, data: &Value, kind: &'static str, piece: &str) {
        let index = number(data, "/index")
            .or(number(data, "/contentBlockDelta/contentBlockIndex"))
            .unwrap_or(self.texts.len() as u64);
        match self.texts.iter_mut().find(|(known, ..)| *known == index) {
            Some((.., text)) => text.push_str(piece),
            None => self.texts.push((index, kind, piece.to_owned())),
        }
    }

    fn lines(self) -> Vec<String> {
        let calls = self.calls.iter().map(|name| format!("call of {name}"));
        let texts = self
            .texts
            .iter()
            .map(|(_, kind, text)| format!("{kind} {}", quoted(text)));
        let blocks: Vec<String> = calls.chain(texts).collect();
        let ends = self.stop_reason.map(|reason| format!("stop reason {reason}"));
        let facts: Vec<String> = ends.into_iter().chain(self.usage).collect();
        let error = self.error.map(|error| format!("error {}", clipped(&error)));
        let lines = error.into_iter().chain([blocks.join(" + "), facts.join(", ")]);
        lines.filter(|line| !line.is_empty()).collect()
    }
}

fn decided(matched: &Matched) -> Option<String> {
    match matched {
        Matched::Script { .. } | Matched::BuiltIn => None,
        Matched::Rejected { rule } => Some(format!("refused by the provider's rule `{rule}`")),
        Matched::Unmatched { why } => Some(format!("nothing answers this request: {why}")),
    }
}

/// The output and log of Claude Code, without the stream of an answer.
fn of_claude(evidence: &Evidence) -> Vec<TimelineStep> {
    let transcript = &evidence.transcript;
    let mut lines: Vec<(usize, String)> = Vec::new();
    if let (Some(init), Some(placed)) = (transcript.init(), transcript.placed().next()) {
        let version = init.version.unwrap_or_default();
        let model = init.model.unwrap_or_default();
        let tools = counted(init.tools.len(), "tool");
        let what = format!("Claude Code {version} asks for {model}, {tools} offered");
        lines.push((placed.line, what));
    }
    lines.extend(transcript.messages().iter().flat_map(calls));
    lines.extend(transcript.tool_results().into_iter().map(|result| {
        let kind = if result.is_error { "failed" } else { "gave" };
        let name = result.name.unwrap_or_else(|| "a tool".into());
        (result.line, format!("{name} {kind} {}", quoted(&result.text)))
    }));
    lines.extend(transcript.api_retries().into_iter().map(|retry| {
        let status = retry
            .status
            .map_or("no status".into(), |status| format!("HTTP {status}"));
        let (error, delay_ms) = (retry.error, retry.delay_ms);
        let what = format!("asks again after {status} ({error}), in {delay_ms} ms");
        (retry.line, what)
    }));
    let mut errors = transcript.errors();
    errors.retain(|error| error.source != ErrorSource::Result);
    lines.extend(
        errors
            .into_iter()
            .map(|error| (error.line, format!("was refused: {}", clipped(&error.text)))),
    );
    let workarounds = transcript.workarounds().into_iter();
    lines.extend(workarounds.map(|(line, text)| (line, format!("works around it: {}", clipped(&text)))));
    let unparsable = transcript.unparsable();
    lines.extend(unparsable.map(|(line, text)| (line, format!("prints no event: {}", quoted(text)))));
    lines.extend(transcript.results().into_iter().map(|result| {
        let kind = if result.is_error { "an error" } else { "success" };
        let text = quoted(&result.text.unwrap_or_default());
        let cost = result
            .total_cost_usd
            .map_or_else(String::new, |cost| format!(", ${cost:.4}"));
        let turns = usize::try_from(result.num_turns.unwrap_or(0)).unwrap_or(usize::MAX);
        let turns = counted(turns, "turn");
        (result.line, format!("ends with {kind}: {text} ({turns}{cost})"))
    }));
    let at_ms = |line: usize| {
        let event = transcript.events.get(line.saturating_sub(1));
        event.map_or(0, |event| event.at_ms)
    };
    lines
        .into_iter()
        .map(|(line, what)| step(at_ms(line), Who::Claude, what, "transcript.jsonl", line))
        .collect()
}

fn calls(answer: &Answer) -> impl Iterator<Item = (usize, String)> {
    let last = answer.deltas.last().map_or(answer.line, |delta| delta.line);
    answer.content.iter().filter_map(move |block| match block {
        AnswerBlock::ToolUse { name, input, .. } => {
            let input = short(&input.to_string());
            Some((last, format!("is asked to run {name} {input}")))
        }
        _ => None,
    })
}

fn ending(evidence: &Evidence) -> String {
    let exit = &evidence.exit;
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!("exits with status {code}"),
        (None, Some(signal)) => format!("is ended by signal {signal}"),
        (None, None) => "ends in an unknown way".into(),
    };
    let why = match exit.killed {
        Some(Killed::Deadline) => ", because the trial timed out",
        Some(Killed::PermanentError) => ", because a retry cannot succeed",
        None => "",
    };
    format!("{how}{why}, {} ms after its start", exit.duration_ms)
}
