//! The output of one `claude` run with `--output-format stream-json`, as typed events.
//!
//! Keeps events of an unknown type and lines that are not JSON. Source of the forms: Claude Code 2.1.326.
#![warn(clippy::disallowed_methods)]

mod answer;
mod fields;
mod stream;

use serde_json::{Value, json};

pub use answer::{Answer, AnswerBlock, Delta, DeltaKind};
pub use fields::{misspelt, misspelt_type};
pub use stream::StreamProblem;

use crate::wire::Usage;
use crate::wire::exchange::SentEvent;
use crate::wire::pointer::{flag, list, number, owned, text, texts};

/// The events of a run, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    pub events: Vec<TimedEvent>,
}

/// A line and when it came.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedEvent {
    /// Milliseconds since the Unix epoch at which the line was complete.
    pub at_ms: u64,
    pub event: Event,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Json(Value),
    /// A line that is not a JSON object, as it came.
    Unparsable(String),
}

impl Event {
    pub fn from_line(line: &str) -> Self {
        match crate::wire::json::parse(line) {
            Ok(value @ Value::Object(_)) => Self::Json(value),
            _ => Self::Unparsable(line.to_owned()),
        }
    }

    /// A line of the debug log of `claude` (level `WARN` or `ERROR`), as an event. The debug log has the gateway's own
    /// words; on standard output `claude` replaces them, for a 401 by `Not logged in · Please run /login`, for a 404 by
    /// `There's an issue with the selected model …`.
    pub fn from_debug_log(level: &str, text: &str) -> Self {
        Self::Json(json!({ "type": DEBUG_LOG, "level": level, "text": text }))
    }

    /// The JSON object, if it is one.
    pub fn json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            Self::Unparsable(_) => None,
        }
    }
}

/// The `type` of events that come from the debug log and not from standard output.
pub const DEBUG_LOG: &str = "debug_log";

/// The words of the debug log for a request that is repeated unchanged, because its stream broke off.
pub const STREAM_REPEATED: &str = "retrying streaming";

/// Words of the debug log (level `WARN` or `ERROR`) when `claude` works around a failure.
const WORKAROUNDS: [&str; 4] = [
    STREAM_REPEATED,
    "sending the request again without",
    "falling back to non-streaming",
    "finalizing partial response",
];

/// A JSON event with its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed<'a> {
    /// Its line in `transcript.jsonl`, from 1.
    pub line: usize,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub event: &'a Value,
}

impl<'a> Placed<'a> {
    /// Whether the event has this `type`.
    pub fn is(self, kind: &str) -> bool {
        text(self.event, "/type") == Some(kind)
    }

    fn is_system(self, subtype: &str) -> bool {
        self.is("system") && text(self.event, "/subtype") == Some(subtype)
    }
}

/// The first event of a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Init {
    pub model: Option<String>,
    pub version: Option<String>,
    pub session_id: Option<String>,
    pub tools: Vec<String>,
}

/// The last event of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptResult {
    /// Its line in `transcript.jsonl`, from 1.
    pub line: usize,
    /// `success`, `error_max_turns`, …; `success` even if the API refused.
    pub subtype: Option<String>,
    pub is_error: bool,
    /// The final text; for a failed prompt the text of `claude` about the failure.
    pub text: Option<String>,
    /// The HTTP status of the API's refusal.
    pub api_error_status: Option<u16>,
    /// The number of the model's answers.
    pub num_turns: Option<u64>,
    /// The sum over this prompt's answers, without those of subagents, compaction and web searches.
    pub usage: Usage,
    /// The sum over all requests of the process so far, as `modelUsage` has it for each model. A result may lack it.
    pub so_far: Option<Usage>,
    /// The cost in US dollars of this prompt and all before it.
    pub total_cost_usd: Option<f64>,
}

/// A tool's result that `claude` sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    /// Its line in `transcript.jsonl`, from 1.
    pub line: usize,
    pub tool_use_id: String,
    /// The tool's name, if the transcript has the call.
    pub name: Option<String>,
    pub text: String,
    pub is_error: bool,
}

/// A failed request that `claude` repeats next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRetry {
    /// Its line in `transcript.jsonl`, from 1.
    pub line: usize,
    /// The number of the retry, from 1.
    pub attempt: u64,
    /// The HTTP status; `None` without a reply.
    pub status: Option<u16>,
    /// The class in Claude Code's words: `server_error`, `rate_limit`, `overloaded`, `authentication_failed`, …
    pub error: String,
    /// The wait before the retry, in milliseconds.
    pub delay_ms: u64,
}

/// A failed request, from the output or the debug log of `claude`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRequest {
    /// Its line in `transcript.jsonl`, from 1.
    pub line: usize,
    pub source: ErrorSource,
    pub status: Option<u16>,
    /// The text; from [`ErrorSource::DebugLog`] the gateway's body.
    pub text: String,
}

/// Where `claude` reported a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorSource {
    /// The debug log, with the gateway's own body.
    DebugLog,
    /// An `error` event within a stream.
    Stream,
    /// The final result, in Claude Code's words.
    Result,
}

impl ApiRetry {
    /// Reads the event at `line`, if it announces a retry.
    pub fn from_event(line: usize, event: &Value) -> Option<Self> {
        let announces =
            text(event, "/type") == Some("system") && text(event, "/subtype") == Some("api_retry");
        announces.then(|| Self {
            line,
            attempt: number(event, "/attempt").unwrap_or(0),
            status: status(event, "/error_status"),
            error: owned(event, "/error").unwrap_or_default(),
            delay_ms: event["retry_delay_ms"].as_f64().unwrap_or(0.0) as u64,
        })
    }
}

impl Transcript {
    /// The transcript of a client that received this message as a whole.
    pub fn of_message(message: &Value) -> Self {
        let event = Event::Json(json!({"type": "assistant", "message": message}));
        Self {
            events: vec![TimedEvent { at_ms: 0, event }],
        }
    }

    /// The transcript of a client that received this stream.
    pub fn of_stream(events: &[SentEvent]) -> Self {
        let timed = |event: &SentEvent| TimedEvent {
            at_ms: event.at_ms,
            event: Event::Json(json!({"type": "stream_event", "event": event.data})),
        };
        Self {
            events: events.iter().map(timed).collect(),
        }
    }

    /// The JSON events with their places.
    pub fn placed(&self) -> impl Iterator<Item = Placed<'_>> {
        self.events.iter().enumerate().filter_map(|(index, timed)| {
            Some(Placed {
                line: index + 1,
                at_ms: timed.at_ms,
                event: timed.event.json()?,
            })
        })
    }

    /// The lines that are not JSON objects, with their line numbers from 1.
    pub fn unparsable(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.events.iter().enumerate();
        numbered.filter_map(|(index, timed)| match &timed.event {
            Event::Unparsable(line) => Some((index + 1, line.as_str())),
            Event::Json(_) => None,
        })
    }

    /// The first `init` event; `claude` repeats it for each prompt.
    pub fn init(&self) -> Option<Init> {
        let placed = self.placed().find(|placed| placed.is_system("init"))?;
        Some(Init {
            model: owned(placed.event, "/model"),
            version: owned(placed.event, "/claude_code_version"),
            session_id: owned(placed.event, "/session_id"),
            tools: texts(placed.event, "/tools"),
        })
    }

    pub fn results(&self) -> Vec<PromptResult> {
        let results = self.placed().filter(|placed| placed.is("result"));
        results.map(prompt_result).collect()
    }

    /// The final text of the last prompt that has ended.
    pub fn final_text(&self) -> Option<String> {
        self.results().pop()?.text
    }

    /// The model's answers, one per API reply, in the order of their starts. In a failed run `claude` also writes its own
    /// answers (model `<synthetic>`), which are left out.
    pub fn messages(&self) -> Vec<Answer> {
        answer::answers(self)
    }
    pub fn tool_results(&self) -> Vec<ToolResult> {
        let calls = self.messages();
        let name = |id: &str| {
            calls
                .iter()
                .flat_map(|answer| &answer.content)
                .find_map(|block| match block {
                    AnswerBlock::ToolUse { id: call, name, .. } if call == id => Some(name.clone()),
                    _ => None,
                })
        };
        self.placed()
            .filter(|placed| placed.is("user"))
            .flat_map(|placed| {
                let blocks = list(placed.event, "/message/content").iter();
                blocks.map(move |block| (placed.line, block))
            })
            .filter(|(_, block)| text(block, "/type") == Some("tool_result"))
            .map(|(line, block)| {
                let tool_use_id = owned(block, "/tool_use_id").unwrap_or_default();
                ToolResult {
                    line,
                    name: name(&tool_use_id),
                    tool_use_id,
                    text: text_of(block.pointer("/content")),
                    is_error: flag(block, "/is_error"),
                }
            })
            .collect()
    }
    pub fn api_retries(&self) -> Vec<ApiRetry> {
        self.placed()
            .filter_map(|placed| ApiRetry::from_event(placed.line, placed.event))
            .collect()
    }

    /// The failed requests, in order. The debug log has each one with the gateway's own body; standard output has only
    /// the last one, for some statuses without the body.
    pub fn errors(&self) -> Vec<FailedRequest> {
        self.placed().filter_map(failed_request).collect()
    }

    /// The lines where `claude` worked around a failure: it repeated a request without a beta or without streaming, or
    /// continued a broken stream. Such a run ends as a success, and `claude` prints the missing `content_block_stop` and
    /// `message_stop` of a broken stream itself. Only the debug log shows it (measured with 2.1.326).
    pub fn workarounds(&self) -> Vec<(usize, String)> {
        self.placed()
            .filter(|placed| placed.is(DEBUG_LOG))
            .filter_map(|placed| Some((placed.line, owned(placed.event, "/text")?)))
            .filter(|(_, text)| WORKAROUNDS.iter().any(|words| text.contains(words)))
            .collect()
    }

    /// The counts of all prompts from the results; without a result, of all answers.
    pub fn total_usage(&self) -> Usage {
        match self.results().as_slice() {
            [] => self.messages().iter().filter_map(|answer| answer.usage).sum(),
            results => results.iter().map(|result| result.usage).sum(),
        }
    }

    /// The counts of all requests, also those of subagents, compaction and web searches. Only `modelUsage` of the results has
    /// them; without it, it is [`Transcript::total_usage`].
    pub fn spent_usage(&self) -> Usage {
        let results = self.results();
        let so_far = results.iter().filter_map(|result| result.so_far);
        // It grows with each result. A new process starts again.
        let (ended, last) = so_far.fold(
            (Usage::default(), Usage::default()),
            |(ended, last), now| match last.at_most(now) {
                true => (ended, now),
                false => ([ended, last].into_iter().sum(), now),
            },
        );
        // What one of them lacks, the other may have.
        [ended, last].into_iter().sum::<Usage>().max(self.total_usage())
    }

    /// The cost of all prompts in US dollars, from the last result.
    pub fn total_cost_usd(&self) -> f64 {
        let results = self.results();
        let cost = results.iter().rev().find_map(|result| result.total_cost_usd);
        cost.unwrap_or(0.0)
    }

    pub fn stream_problems(&self) -> Vec<StreamProblem> {
        stream::problems(self)
    }

    /// The text of `transcript.jsonl`, one event per line: `{"at_ms": …, "event": {…}}` or
    /// `{"at_ms": …, "unparsable": "…"}`.
    pub fn to_jsonl(&self) -> String {
        let lines = self.events.iter().map(|timed| match &timed.event {
            Event::Json(value) => json!({ "at_ms": timed.at_ms, "event": value }),
            Event::Unparsable(line) => json!({ "at_ms": timed.at_ms, "unparsable": line }),
        });
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// Reads the text of [`Transcript::to_jsonl`]. Any other line becomes an unparsable event.
    pub fn from_jsonl(text: &str) -> Self {
        Self {
            events: text.lines().map(read_line).collect(),
        }
    }
}

fn read_line(line: &str) -> TimedEvent {
    let mut value: Value = serde_json::from_str(line).unwrap_or_default();
    let event = match (
        value.pointer_mut("/event").map(Value::take),
        owned(&value, "/unparsable"),
    ) {
        (Some(event @ Value::Object(_)), _) => Event::Json(event),
        (_, Some(unparsable)) => Event::Unparsable(unparsable),
        _ => Event::Unparsable(line.to_owned()),
    };
    TimedEvent {
        at_ms: number(&value, "/at_ms").unwrap_or(0),
        event,
    }
}

fn prompt_result(placed: Placed<'_>) -> PromptResult {
    let event = placed.event;
    PromptResult {
        line: placed.line,
        subtype: owned(event, "/subtype"),
        is_error: flag(event, "/is_error"),
        text: owned(event, "/result"),
        api_error_status: status(event, "/api_error_status"),
        num_turns: number(event, "/num_turns"),
        usage: usage(event.pointer("/usage")),
        so_far: event["modelUsage"]
            .as_object()
            .map(|models| models.values().map(model_usage).sum()),
        total_cost_usd: event["total_cost_usd"].as_f64(),
    }
}

fn failed_request(placed: Placed<'_>) -> Option<FailedRequest> {
    let event = placed.event;
    let (source, status, text) = match text(event, "/type")? {
        DEBUG_LOG => {
            let (status, body) = refused_request(text(event, "/text")?)?;
            (ErrorSource::DebugLog, status, body.to_owned())
        }
        "stream_event" if text(event, "/event/type") == Some("error") => (
            ErrorSource::Stream,
            None,
            event.pointer("/event/error")?.to_string(),
        ),
        "result" if flag(event, "/is_error") => (
            ErrorSource::Result,
            status(event, "/api_error_status"),
            owned(event, "/result").unwrap_or_default(),
        ),
        _ => return None,
    };
    Some(FailedRequest {
        line: placed.line,
        source,
        status,
        text,
    })
}

/// Reads `API error (attempt 1/3): 401 401 {"type":"error",…}`; without an answer the status is missing.
fn refused_request(text: &str) -> Option<(Option<u16>, &str)> {
    let (_, reply) = text.strip_prefix("API error (attempt ")?.split_once("): ")?;
    let mut words = reply.splitn(3, ' ');
    let status: Option<u16> = words.next().and_then(|word| word.parse().ok());
    match (status, words.next(), words.next()) {
        (Some(status), Some(again), Some(body)) if again == status.to_string() => Some((Some(status), body)),
        (Some(_), ..) => Some((status, reply.split_once(' ').map_or("", |(_, body)| body))),
        (None, ..) => Some((None, reply.strip_prefix("undefined ").unwrap_or(reply))),
    }
}

/// Reads the counts of a Messages API `usage` object.
fn usage(value: Option<&Value>) -> Usage {
    let count = |pointer: &str| value.and_then(|value| number(value, pointer)).unwrap_or(0);
    Usage {
        input_tokens: count("/input_tokens"),
        cache_creation_input_tokens: count("/cache_creation_input_tokens"),
        cache_read_input_tokens: count("/cache_read_input_tokens"),
        output_tokens: count("/output_tokens"),
    }
}

/// Reads the counts of a model in `modelUsage`.
fn model_usage(value: &Value) -> Usage {
    let count = |pointer: &str| number(value, pointer).unwrap_or(0);
    Usage {
        input_tokens: count("/inputTokens"),
        cache_creation_input_tokens: count("/cacheCreationInputTokens"),
        cache_read_input_tokens: count("/cacheReadInputTokens"),
        output_tokens: count("/outputTokens"),
    }
}

/// The text of a string or of the text blocks of an array.
fn text_of(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(blocks)) => blocks.iter().filter_map(|block| text(block, "/text")).collect(),
        _ => String::new(),
    }
}

fn status(value: &Value, pointer: &str) -> Option<u16> {
    number(value, pointer)?.try_into().ok()
}
