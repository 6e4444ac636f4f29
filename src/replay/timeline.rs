//! A trial as steps in time: Claude Code → gateway → provider, and back.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::evidence::{Evidence, Killed, file};
use crate::text::{clipped, counted, one_line};
use crate::transcript::{Answer, AnswerBlock, ErrorSource};
use crate::wire::exchange::{Body, GatewayExchange, Matched, ProviderExchange, RecordedRequest, SentEvent};
use crate::wire::message::{Content, MessageRequest, text_of};
use crate::wire::pointer::{number, text as text_at};
use crate::wire::{Operation, error_reply, messages};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimelineStep {
    /// Milliseconds since the first step.
    pub after_ms: u64,
    pub who: Who,
    pub what: String,
    /// Further lines.
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
    let end = printed
        .or(steps.iter().map(|step| step.after_ms).max())
        .unwrap_or(0);
    steps.push(step(end, Who::Claude, ending(evidence), file::EXIT, 1));
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
    let step = |at_ms, who, what| step(at_ms, who, what, file::GATEWAY_EXCHANGES, passage.number);
    let request = &passage.request;
    let body = request.body.json();
    let betas: Vec<&str> = request.header("anthropic-beta").collect();
    let message = body.and_then(|body| messages::read(body, None, &betas));
    let asks = TimelineStep {
        details: message.map_or_else(Vec::new, |message| of_message(&message, body, passage.operation)),
        ..step(request.at_ms, Who::ToGateway, asks(request))
    };
    let Some(reply) = &passage.reply else {
        let nothing = step(request.at_ms, Who::FromGateway, "no reply".into());
        return [asks, nothing];
    };
    let events = &reply.events;
    let last = events.last().map_or(reply.at_ms, |event| event.at_ms);
    let what = reply_in_short(reply.status, reply.stream, events, request.at_ms, reply.cut_off);
    let answers = TimelineStep {
        details: of_reply(Answer::received(reply).as_ref(), events),
        ..step(last, Who::FromGateway, what)
    };
    [asks, answers]
}

fn at_provider(exchange: &ProviderExchange) -> [TimelineStep; 2] {
    let step = |at_ms, who, what| step(at_ms, who, what, file::PROVIDER_EXCHANGES, exchange.number);
    let (request, reply) = (&exchange.request, &exchange.reply);
    let message = exchange.message.as_ref();
    let asks = TimelineStep {
        details: message.map_or_else(Vec::new, |message| {
            of_message(message, request.body.json(), exchange.operation)
        }),
        ..step(request.at_ms, Who::ToProvider, asks(request))
    };
    let events = &reply.events;
    let mut details = of_reply(Answer::given(reply).as_ref(), events);
    details.extend(decided(&exchange.matched));
    details.extend(reply.lockstep.map(|lockstep| {
        format!(
            "in lockstep: Claude Code showed {} of {} deltas before the next one was sent",
            lockstep.seen, lockstep.deltas
        )
    }));
    let last = events.last().map_or(request.at_ms, |event| event.at_ms);
    let what = reply_in_short(reply.status, reply.stream, events, request.at_ms, reply.cut_off);
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
        let evidence = step.evidence.as_ref();
        let place = evidence.map_or_else(String::new, |(file, line)| format!("  [{file}:{line}]"));
        let (time, who) = (format!("+{} ms", step.after_ms), step.who.words());
        let what = step.what.replace('\n', " ");
        let _ = writeln!(out, "{time:>9}  {who:<20} {what}{place}");
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
    let blocks = message.blocks().into_iter().chain(&message.system);
    let breakpoints = blocks.filter(|block| block.cache.is_some()).count()
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
        let blocks = last_three.iter().map(|block| block_in_short(&block.content));
        let blocks: Vec<String> = blocks.collect();
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
        Content::ToolUse { name, input, .. } => call(name, input),
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

fn reply_in_short(status: u16, stream: bool, events: &[SentEvent], asked_ms: u64, cut_off: bool) -> String {
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
fn of_reply(answer: Option<&Answer>, events: &[SentEvent]) -> Vec<String> {
    let bodies = || events.iter().map(|event| &event.data);
    let objects = bodies().filter(|body| body.is_object());
    let errors = objects
        .map(error_reply::message_of)
        .find(|error| !error.is_empty());
    let counted = bodies().find_map(|body| number(body, "/input_tokens").or(number(body, "/inputTokens")));
    let mut lines: Vec<String> = errors
        .map(|error| format!("error {}", clipped(error)))
        .into_iter()
        .collect();
    lines.extend(counted.map(|tokens| format!("{tokens} tokens counted")));
    let Some(answer) = answer else { return lines };
    let blocks: Vec<String> = answer.content.iter().map(answer_block_in_short).collect();
    let stop_reason = answer.stop_reason.iter();
    let stop_reason = stop_reason.map(|reason| format!("stop reason {reason}"));
    let counts = answer.usage_fields.as_object().into_iter().flatten();
    let counts = counts.filter_map(|(name, count)| Some(format!("{name} {}", count.as_u64()?)));
    let facts: Vec<String> = stop_reason.chain(counts).collect();
    lines.extend([blocks.join(" + "), facts.join(", ")]);
    lines.retain(|line| !line.is_empty());
    lines
}

fn answer_block_in_short(block: &AnswerBlock) -> String {
    match block {
        AnswerBlock::Text(text) => format!("text {}", quoted(text)),
        AnswerBlock::Thinking { thinking, .. } => format!("thinking {}", quoted(thinking)),
        AnswerBlock::RedactedThinking(_) => "redacted_thinking".to_owned(),
        AnswerBlock::ToolUse { name, input, .. } => call(name, input),
        AnswerBlock::Other(block) => text_at(block, "/type").unwrap_or("unknown").to_owned(),
    }
}

fn call(name: &str, input: &Value) -> String {
    format!("call of {name} {}", short(&input.to_string()))
}

fn decided(matched: &Matched) -> Option<String> {
    match matched {
        Matched::Script { .. } | Matched::BuiltIn => None,
        Matched::Rejected { rule } => Some(format!("refused by the provider's rule `{rule}`")),
        Matched::Unmatched { why } => Some(format!("no reply matches this request: {why}")),
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
        let kind = if result.is_error { "failed:" } else { "returned" };
        let name = result.name.unwrap_or_else(|| "a tool".into());
        (result.line, format!("{name} {kind} {}", quoted(&result.text)))
    }));
    lines.extend(transcript.api_retries().into_iter().map(|retry| {
        let status = retry
            .status
            .map_or("no status".into(), |status| format!("HTTP {status}"));
        let (error, delay_ms) = (retry.error, retry.delay_ms);
        let what = format!("retries after {status} ({error}), in {delay_ms} ms");
        (retry.line, what)
    }));
    let mut errors = transcript.errors();
    errors.retain(|error| error.source != ErrorSource::Result);
    let errors = errors.iter();
    lines.extend(errors.map(|error| (error.line, format!("gets an error: {}", clipped(&error.text)))));
    let workarounds = transcript.workarounds().into_iter();
    lines.extend(workarounds.map(|(line, text)| (line, format!("works around it: {}", clipped(&text)))));
    let unparsable = transcript.unparsable();
    lines.extend(
        unparsable.map(|(line, text)| (line, format!("prints a line that is no event: {}", quoted(text)))),
    );
    lines.extend(transcript.results().into_iter().map(|result| {
        let kind = if result.is_error { "an error" } else { "success" };
        let text = quoted(&result.text.unwrap_or_default());
        let cost = result.total_cost_usd;
        let cost = cost.map_or_else(String::new, |cost| format!(", ${cost:.4}"));
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
        .map(|(line, what)| step(at_ms(line), Who::Claude, what, file::TRANSCRIPT, line))
        .collect()
}

fn calls(answer: &Answer) -> impl Iterator<Item = (usize, String)> {
    let last = answer.deltas.last().map_or(answer.line, |delta| delta.line);
    answer.content.iter().filter_map(move |block| match block {
        AnswerBlock::ToolUse { name, input, .. } => {
            let input = short(&input.to_string());
            Some((last, format!("runs {name} {input}")))
        }
        _ => None,
    })
}

fn ending(evidence: &Evidence) -> String {
    let exit = &evidence.exit;
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!("exits with status {code}"),
        (None, Some(signal)) => format!("ends by signal {signal}"),
        (None, None) => "ends in an unknown way".into(),
    };
    let why = match exit.killed {
        Some(Killed::Deadline) => ", because the trial timed out",
        Some(Killed::PermanentError) => ", because a retry cannot succeed",
        None => "",
    };
    format!("{how}{why}, {} ms after its start", exit.duration_ms)
}
