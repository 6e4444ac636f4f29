//! Sends a reply: framed for its route, paced, in lockstep with the client if the script asks for it, and recorded.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::{AppendHeaders, IntoResponse as _};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::trials::ScriptedTrial;
use crate::clock::now_ms;
use crate::drift::RecordedReply;
use crate::ledger::OpenExchange;
use crate::wire::answer::ProviderAnswer;
use crate::wire::error_reply::{APIM_REQUEST_ID, message_of, stream_exception};
use crate::wire::event_stream::{self, FrameError};
use crate::wire::exchange::{Lockstep, ProviderExchange, ProviderReply, SentEvent};
use crate::wire::reply_fields::{ORGANIZATION, rate_limits};
use crate::wire::script::{LOCKSTEP_PATIENCE_MS, Pace, ReplyMessage, StreamError, StreamFraming};
use crate::wire::{Route, converse, reply_id, sse};

/// A reply to send.
pub(super) struct Outgoing {
    /// Its record, without events.
    pub(super) reply: ProviderReply,
    frames: Vec<Frame>,
    pace: Pace,
    piece_bytes: Option<usize>,
    /// Whether the connection is cut after the frames.
    is_cut: bool,
}

struct Frame {
    bytes: Bytes,
    /// Its content before framing, for the record.
    data: Value,
    is_content_delta: bool,
    /// The silence before it.
    wait: Duration,
}

impl Frame {
    fn new(bytes: Vec<u8>, data: Value, is_content_delta: bool) -> Self {
        Self {
            bytes: bytes.into(),
            data,
            is_content_delta,
            wait: Duration::ZERO,
        }
    }
}

type Headers = Vec<(&'static str, String)>;

impl Outgoing {
    pub(super) fn json(status: u16, headers: Headers, body: Value) -> Self {
        Self::body(status, headers, body.to_string(), body)
    }

    /// A JSON body of which the record contains only `recorded`.
    pub(super) fn secret_json(body: &Value, recorded: Value) -> Self {
        Self::body(200, Vec::new(), body.to_string(), recorded)
    }

    fn body(status: u16, headers: Headers, text: String, data: Value) -> Self {
        let frame = Frame::new(text.into(), data, false);
        Self::new(status, headers, "application/json", vec![frame])
    }

    fn new(status: u16, mut headers: Headers, content_type: &str, frames: Vec<Frame>) -> Self {
        headers.push(("content-type", content_type.to_owned()));
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value));
        Self {
            reply: ProviderReply {
                headers: headers.collect(),
                ..ProviderReply::unsent(status)
            },
            frames,
            pace: Pace::default(),
            piece_bytes: None,
            is_cut: false,
        }
    }

    /// Adds headers; one of the same name is replaced.
    pub(super) fn add_headers(&mut self, headers: &[(String, String)]) {
        let own = &mut self.reply.headers;
        own.retain(|(name, _)| headers.iter().all(|(other, _)| other != name));
        own.extend(headers.iter().cloned());
    }

    /// An answer as `route` sends it.
    pub(super) fn answer(
        answer: &ProviderAnswer,
        route: Route,
        is_stream: bool,
        scripted: &ReplyMessage,
    ) -> Result<Self, FrameError> {
        let headers = answer_headers(answer, route, is_stream);
        let mut outgoing = if is_stream {
            let content_type = match route {
                Route::BedrockInvoke | Route::BedrockConverse => event_stream::CONTENT_TYPE,
                Route::Anthropic | Route::VertexAi | Route::Azure | Route::BedrockMantle => {
                    "text/event-stream; charset=utf-8"
                }
            };
            Self::new(
                200,
                headers,
                content_type,
                scripted_frames(answer, route, scripted)?,
            )
        } else {
            let body = match route {
                Route::BedrockConverse => converse::reply(answer),
                _ => answer.message(),
            };
            Self::json(200, headers, body)
        };
        outgoing.add_headers(&scripted.headers);
        outgoing.reply.stream = is_stream;
        outgoing.pace = scripted.pace;
        outgoing.piece_bytes = scripted.framing.piece_bytes;
        if let Some(interrupt) = &scripted.interrupt {
            // A client never gets a whole message.
            outgoing.is_cut = interrupt.error.is_none();
        } else {
            outgoing.reply.message = Some(answer.message());
            outgoing.reply.usage = answer.usage;
        }
        Ok(outgoing)
    }

    /// A recorded reply, without its pauses.
    pub(super) fn recorded(recorded: &RecordedReply, route: Route) -> Result<Self, FrameError> {
        let mut outgoing = match (recorded.stream, recorded.events.first()) {
            (false, Some(SentEvent { data, .. })) => match data {
                Value::String(text) => Self::body(recorded.status, Vec::new(), text.clone(), data.clone()),
                data => Self::json(recorded.status, Vec::new(), data.clone()),
            },
            (false, None) => Self::new(recorded.status, Vec::new(), "application/json", Vec::new()),
            (true, _) => {
                let frames = recorded.events.iter();
                let frames = frames.map(|event| recorded_frame(&event.data, route));
                let frames = frames.collect::<Result<_, _>>()?;
                Self::new(recorded.status, Vec::new(), "text/event-stream", frames)
            }
        };
        let is_sent = |(name, _): &&(String, String)| !OF_THE_CONNECTION.contains(&name.as_str());
        let headers: Vec<_> = recorded.headers.iter().filter(is_sent).cloned().collect();
        outgoing.add_headers(&headers);
        outgoing.reply.stream = recorded.stream;
        outgoing.is_cut = recorded.cut_off;
        Ok(outgoing)
    }

    /// The message of an error, else empty.
    pub(super) fn error(&self) -> &str {
        let body = self.frames.first().filter(|_| self.reply.status >= 400);
        body.map_or("", |frame| message_of(&frame.data))
    }

    /// Sends it. If the client hangs up, the response is dropped and its record remains cut off.
    pub(super) async fn send(
        self,
        recording: OpenExchange<ProviderExchange>,
        trial: Option<Arc<ScriptedTrial>>,
    ) -> Response<Body> {
        if self.pace.first_byte_ms > 0 {
            sleep(Duration::from_millis(self.pace.first_byte_ms)).await;
        }
        let status = StatusCode::from_u16(self.reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = AppendHeaders(self.reply.headers.clone());
        let body = if self.reply.stream {
            stream_body(self, recording, trial)
        } else if self.is_cut {
            let all: Vec<u8> = self
                .frames
                .iter()
                .flat_map(|frame| frame.bytes.to_vec())
                .collect();
            let half = Bytes::copy_from_slice(&all[..all.len() / 2]);
            recording.send(String::from_utf8_lossy(&half).into());
            Body::from_stream(stream::once(async { Ok(half) }).chain(stream::once(async {
                sleep(BEFORE_A_CUT).await;
                Err(cut())
            })))
        } else {
            let mut all = Vec::new();
            for frame in self.frames {
                all.extend_from_slice(&frame.bytes);
                recording.send(frame.data);
            }
            recording.finish();
            Body::from(all)
        };
        (status, headers, body).into_response()
    }
}

/// Headers that belong to the connection or the encoding of a recorded reply.
const OF_THE_CONNECTION: [&str; 5] = [
    "connection",
    "content-encoding",
    "content-length",
    "keep-alive",
    "transfer-encoding",
];

/// A recorded event as `route` frames it.
fn recorded_frame(data: &Value, route: Route) -> Result<Frame, FrameError> {
    let bytes = match (route, data.as_object().and_then(|fields| fields.iter().next())) {
        (Route::BedrockInvoke, Some((name, payload))) if name.ends_with("Exception") => {
            event_stream::exception(name, payload)?
        }
        (Route::BedrockInvoke, _) => bedrock_event("chunk", invoke_chunk(data))?,
        (Route::BedrockConverse, Some((name, payload))) if name.ends_with("Exception") => {
            event_stream::exception(name, payload)?
        }
        (Route::BedrockConverse, Some((name, payload))) => bedrock_event(name, payload.clone())?,
        _ => match data {
            // Claude Code does not read this event, so its record is its text.
            Value::String(text) => format!("{text}\n\n").into_bytes(),
            data => sse::encode(data),
        },
    };
    Ok(Frame::new(bytes, data.clone(), false))
}

/// An event of Bedrock with its padding, which hides the length of the event's text. The padding is no part of the record.
///
/// Source: the recordings of Bedrock in `wire::reply_fields`
fn bedrock_event(name: &str, mut payload: Value) -> Result<Vec<u8>, FrameError> {
    const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let length = 2 + usize::from(Uuid::new_v4().as_bytes()[0]) % (PADDING.len() - 1);
    payload["p"] = json!(PADDING[..length]);
    event_stream::encode(name, &payload)
}

/// InvokeModel wraps each event of the Messages API.
fn invoke_chunk(data: &Value) -> Value {
    json!({"bytes": STANDARD.encode(data.to_string())})
}

/// The headers of every reply of `route`. `id` is the last part of an id. AWS's id of a request is a UUID, which shows that
/// the simulator made it, because a reply of Converse may have no other id.
pub(super) fn headers_of_reply(route: Route, id: &str) -> Headers {
    let (organization, name) = ORGANIZATION;
    match route {
        Route::Anthropic => vec![
            ("request-id", format!("req_{id}")),
            (organization, name.to_owned()),
        ],
        Route::BedrockMantle => vec![("request-id", format!("req_bdrk_{id}"))],
        Route::Azure => vec![
            ("request-id", format!("req_{id}")),
            (APIM_REQUEST_ID, reply_id::new(Uuid::new_v4).to_string()),
        ],
        Route::VertexAi => vec![("request-id", format!("req_vrtx_{id}"))],
        Route::BedrockConverse | Route::BedrockInvoke => {
            vec![("x-amzn-requestid", reply_id::new(Uuid::new_v4).to_string())]
        }
    }
}

fn answer_headers(answer: &ProviderAnswer, route: Route, is_stream: bool) -> Headers {
    let mut headers = headers_of_reply(route, answer.id.rsplit('_').next().unwrap_or_default());
    if answer.fields.limits {
        headers.extend(rate_limits(now_ms()));
    }
    match (route, is_stream) {
        (Route::BedrockInvoke, true) => {
            headers.push(("x-amzn-bedrock-content-type", "application/json".to_owned()));
        }
        // A stream has its counts at its end.
        (Route::BedrockInvoke, false) => headers.extend(counts(answer)),
        _ => {}
    }
    headers
}

/// The counts that a whole reply of `InvokeModel` has in its headers.
fn counts(answer: &ProviderAnswer) -> Headers {
    let usage = answer.usage;
    let mut counts = vec![
        ("x-amzn-bedrock-invocation-latency", answer.latency_ms),
        ("x-amzn-bedrock-input-token-count", usage.input_tokens),
        ("x-amzn-bedrock-output-token-count", usage.output_tokens),
    ];
    if usage.is_cached() {
        counts.push((
            "x-amzn-bedrock-cache-read-input-token-count",
            usage.cache_read_input_tokens,
        ));
        counts.push((
            "x-amzn-bedrock-cache-write-input-token-count",
            usage.cache_creation_input_tokens,
        ));
    }
    let counts = counts.into_iter();
    counts.map(|(name, count)| (name, count.to_string())).collect()
}

/// The frames of a stream with the silence and the interruption of its script.
fn scripted_frames(
    answer: &ProviderAnswer,
    route: Route,
    scripted: &ReplyMessage,
) -> Result<Vec<Frame>, FrameError> {
    let is_sse = !matches!(route, Route::BedrockInvoke | Route::BedrockConverse);
    let mut frames = frames(answer, route, scripted.framing)?;
    if let Some(interrupt) = &scripted.interrupt {
        frames.truncate(after_deltas(&frames, interrupt.after_deltas));
        if let Some(error) = &interrupt.error {
            frames.push(error_frame(error, route, scripted.framing)?);
        }
    }
    if let Some(silence) = scripted.pace.silence {
        let at = after_deltas(&frames, silence.after_deltas).min(frames.len().saturating_sub(1));
        let pings = if is_sse { silence.pings } else { 0 };
        let parts = u64::try_from(pings).unwrap_or_default() + 1;
        let wait = Duration::from_millis(silence.ms / parts);
        frames[at].wait = wait;
        for _ in 0..pings {
            let data = json!({"type": "ping"});
            let ping = Frame::new(sse::encode_as(&data, scripted.framing), data, false);
            frames.insert(at, Frame { wait, ..ping });
        }
    }
    if let Some(first) = frames
        .first_mut()
        .filter(|_| is_sse && scripted.framing.byte_order_mark)
    {
        first.bytes = [sse::BYTE_ORDER_MARK.as_bytes(), &first.bytes].concat().into();
    }
    Ok(frames)
}

/// The number of frames up to the content delta `count`. Without deltas they end before the first one.
fn after_deltas(frames: &[Frame], count: usize) -> usize {
    let deltas = frames
        .iter()
        .enumerate()
        .filter(|(_, frame)| frame.is_content_delta);
    let mut positions = deltas.map(|(index, _)| index);
    match count {
        0 => positions.next().unwrap_or(frames.len()),
        _ => positions
            .clone()
            .nth(count - 1)
            .or(positions.last())
            .map_or(frames.len(), |index| index + 1),
    }
}

/// An `error` event (<https://platform.claude.com/docs/en/build-with-claude/streaming>), or an exception of Bedrock.
fn error_frame(error: &StreamError, route: Route, framing: StreamFraming) -> Result<Frame, FrameError> {
    let StreamError { kind, message } = error;
    Ok(match route {
        Route::Anthropic | Route::VertexAi | Route::Azure | Route::BedrockMantle => {
            let data = json!({"type": "error", "error": {"type": kind, "message": message}});
            Frame::new(sse::encode_as(&data, framing), data, false)
        }
        Route::BedrockInvoke | Route::BedrockConverse => {
            let name = stream_exception(kind, route);
            let payload = json!({"message": message});
            Frame::new(
                event_stream::exception(name, &payload)?,
                json!({ name: payload }),
                false,
            )
        }
    })
}

fn frames(answer: &ProviderAnswer, route: Route, framing: StreamFraming) -> Result<Vec<Frame>, FrameError> {
    if route == Route::BedrockConverse {
        return converse::stream(answer)
            .into_iter()
            .map(|(name, payload, is_content_delta)| {
                let bytes = bedrock_event(name, payload.clone())?;
                Ok(Frame::new(bytes, json!({name: payload}), is_content_delta))
            })
            .collect();
    }
    answer
        .stream_on(route)
        .into_iter()
        .map(|event| {
            let bytes = if route == Route::BedrockInvoke {
                bedrock_event("chunk", invoke_chunk(&event.data))?
            } else {
                sse::encode_as(&event.data, framing)
            };
            Ok(Frame::new(bytes, event.data, event.is_content_delta))
        })
        .collect()
}

fn cut() -> io::Error {
    io::Error::other("the script cuts the connection")
}

/// A reply's record. It counts as cut off until [`OpenExchange::finish`].
impl OpenExchange<ProviderExchange> {
    fn send(&self, data: Value) {
        let at_ms = now_ms();
        self.update(|exchange| exchange.reply.events.push(SentEvent { at_ms, data }));
    }

    fn lockstep(&self, lockstep: Lockstep) {
        self.update(|exchange| exchange.reply.lockstep = Some(lockstep));
    }

    fn finish(&self) {
        self.update(|exchange| exchange.reply.cut_off = false);
    }
}

struct Playing {
    frames: std::vec::IntoIter<Frame>,
    recording: OpenExchange<ProviderExchange>,
    between: Duration,
    steps: Option<Steps>,
    has_sent_delta: bool,
    piece_bytes: Option<usize>,
    /// Bytes of earlier frames that make no whole piece.
    rest: Vec<u8>,
    is_cut: bool,
}

/// A stream in lockstep with its client.
struct Steps {
    trial: Arc<ScriptedTrial>,
    shown: watch::Receiver<usize>,
    counts: Lockstep,
    sent: usize,
    is_patient: bool,
}

fn stream_body(
    outgoing: Outgoing,
    recording: OpenExchange<ProviderExchange>,
    trial: Option<Arc<ScriptedTrial>>,
) -> Body {
    let deltas = outgoing.frames.iter().filter(|frame| frame.is_content_delta);
    let deltas = deltas.count();
    let steps = trial
        .filter(|_| outgoing.pace.lockstep)
        .map(|trial| Steps::begin(trial, deltas, &recording));
    let playing = Playing {
        frames: outgoing.frames.into_iter(),
        recording,
        between: Duration::from_millis(outgoing.pace.between_ms),
        steps,
        has_sent_delta: false,
        piece_bytes: outgoing.piece_bytes,
        rest: Vec::new(),
        is_cut: outgoing.is_cut,
    };
    Body::from_stream(stream::unfold(playing, |mut playing| async move {
        let bytes = match playing.piece_bytes {
            Some(size) => playing.next_piece(size).await,
            None => playing.next().await,
        };
        match bytes {
            Some(bytes) => Some((Ok(bytes), playing)),
            None if playing.is_cut => {
                playing.is_cut = false;
                // What was sent before leaves this process before the connection ends.
                sleep(BEFORE_A_CUT).await;
                Some((Err(cut()), playing))
            }
            None => None,
        }
    }))
}

/// The server sends what it has when a stream is not ready.
const BEFORE_A_CUT: Duration = Duration::from_millis(20);

impl Playing {
    /// The next piece of `size` bytes, or the rest.
    async fn next_piece(&mut self, size: usize) -> Option<Bytes> {
        while self.rest.len() < size {
            match self.next().await {
                Some(bytes) => self.rest.extend_from_slice(&bytes),
                None if self.rest.is_empty() => return None,
                None => break,
            }
        }
        // The server then writes each piece to the network alone.
        yield_now().await;
        let rest = self.rest.split_off(size.min(self.rest.len()));
        Some(std::mem::replace(&mut self.rest, rest).into())
    }

    async fn next(&mut self) -> Option<Bytes> {
        let frame = self.frames.next()?;
        if !frame.wait.is_zero() {
            sleep(frame.wait).await;
        }
        if frame.is_content_delta {
            if self.has_sent_delta && !self.between.is_zero() {
                sleep(self.between).await;
            }
            if let Some(steps) = &mut self.steps {
                steps.step(&self.recording).await;
            }
            self.has_sent_delta = true;
        }
        self.recording.send(frame.data);
        // Before the last frame is sent: the client may close the connection then, and nothing polls the stream again.
        if self.frames.len() == 0 && !self.is_cut {
            self.recording.finish();
        }
        Some(frame.bytes)
    }
}

impl Steps {
    fn begin(trial: Arc<ScriptedTrial>, deltas: usize, recording: &OpenExchange<ProviderExchange>) -> Self {
        let counts = Lockstep { deltas, seen: 0 };
        recording.lockstep(counts);
        Self {
            shown: trial.begin_stream(),
            trial,
            counts,
            sent: 0,
            is_patient: true,
        }
    }

    /// Waits until the client has shown every delta sent so far, then counts one more as sent.
    async fn step(&mut self, recording: &OpenExchange<ProviderExchange>) {
        if self.sent > 0 && self.is_patient {
            let sent = self.sent;
            let patience = Duration::from_millis(LOCKSTEP_PATIENCE_MS);
            let shown = timeout(patience, self.shown.wait_for(|shown| *shown >= sent)).await;
            // After one timeout the gateway counts as buffering, and further waits would only delay the trial.
            self.is_patient = matches!(shown, Ok(Ok(_)));
            if self.is_patient {
                self.counts.seen += 1;
                recording.lockstep(self.counts);
            }
        }
        self.sent += 1;
        self.trial.send_delta();
    }
}
