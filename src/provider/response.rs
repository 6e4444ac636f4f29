//! Sends a reply: framed for its route, paced, in lockstep with the client if the script asks for it, and recorded.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::trials::ScriptedTrial;
use crate::clock::now_ms;
use crate::ledger::OpenExchange;
use crate::wire::answer::ProviderAnswer;
use crate::wire::event_stream::{self, FrameError};
use crate::wire::exchange::{Lockstep, ProviderExchange, SentEvent};
use crate::wire::script::{LOCKSTEP_PATIENCE_MS, Pace};
use crate::wire::{Route, converse, sse};

pub(super) struct Outgoing {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) is_stream: bool,
    pub(super) frames: Vec<Frame>,
    pub(super) pace: Pace,
}

pub(super) struct Frame {
    bytes: Bytes,
    /// Its content before framing, for the record.
    data: Value,
    is_content_delta: bool,
}

impl Outgoing {
    /// Its headers, for the record.
    pub(super) fn recorded_headers(&self) -> Vec<(String, String)> {
        let headers = self.headers.iter();
        headers
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }

    pub(super) fn json(status: u16, headers: Vec<(&'static str, String)>, body: Value) -> Self {
        let bytes = Bytes::from(body.to_string());
        Self::body(status, headers, bytes, body)
    }

    /// A JSON body of which the record contains only `recorded`.
    pub(super) fn secret_json(status: u16, body: &Value, recorded: Value) -> Self {
        Self::body(status, Vec::new(), Bytes::from(body.to_string()), recorded)
    }

    fn body(status: u16, mut headers: Vec<(&'static str, String)>, bytes: Bytes, data: Value) -> Self {
        headers.push(("content-type", "application/json".to_owned()));
        let frame = Frame {
            bytes,
            data,
            is_content_delta: false,
        };
        Self {
            status,
            headers,
            is_stream: false,
            frames: vec![frame],
            pace: Pace::default(),
        }
    }

    /// An answer as `route` sends it.
    pub(super) fn answer(
        answer: &ProviderAnswer,
        route: Route,
        is_stream: bool,
        pace: Pace,
    ) -> Result<Self, FrameError> {
        let headers = answer_headers(answer, route);
        if !is_stream {
            let body = match route {
                Route::BedrockConverse => converse::reply(answer),
                _ => answer.message(),
            };
            return Ok(Self {
                pace,
                ..Self::json(200, headers, body)
            });
        }
        let (content_type, frames) = match route {
            Route::BedrockConverse => (event_stream::CONTENT_TYPE, converse_frames(answer)?),
            Route::BedrockInvoke => (event_stream::CONTENT_TYPE, chunk_frames(answer)?),
            Route::Anthropic | Route::VertexAi => {
                ("text/event-stream; charset=utf-8", sse_frames(answer, route))
            }
        };
        let mut headers = headers;
        headers.push(("content-type", content_type.to_owned()));
        if route == Route::BedrockInvoke {
            headers.push(("x-amzn-bedrock-content-type", "application/json".to_owned()));
        }
        Ok(Self {
            status: 200,
            headers,
            is_stream: true,
            frames,
            pace,
        })
    }

    /// The content deltas of a stream.
    pub(super) fn deltas(&self) -> usize {
        self.frames.iter().filter(|frame| frame.is_content_delta).count()
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
        let (status, headers) = (self.status, self.headers.clone());
        let body = if self.is_stream {
            stream_body(self, recording, trial)
        } else {
            let mut all = Vec::new();
            for frame in self.frames {
                all.extend_from_slice(&frame.bytes);
                recording.send(frame.data);
            }
            recording.finish();
            Body::from(all)
        };
        response(status, &headers, body)
    }
}

fn response(status: u16, headers: &[(&'static str, String)], body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn answer_headers(answer: &ProviderAnswer, route: Route) -> Vec<(&'static str, String)> {
    let id = answer.id.rsplit('_').next().unwrap_or_default().to_owned();
    match route {
        Route::Anthropic => vec![("request-id", format!("req_{id}"))],
        Route::VertexAi => vec![("request-id", format!("req_vrtx_{id}"))],
        Route::BedrockConverse => vec![("x-amzn-requestid", id)],
        Route::BedrockInvoke => vec![
            ("x-amzn-requestid", id),
            ("x-amzn-bedrock-invocation-latency", answer.latency_ms.to_string()),
            (
                "x-amzn-bedrock-input-token-count",
                answer.usage.input_tokens.to_string(),
            ),
            (
                "x-amzn-bedrock-output-token-count",
                answer.usage.output_tokens.to_string(),
            ),
            (
                "x-amzn-bedrock-cache-read-input-token-count",
                answer.usage.cache_read_input_tokens.to_string(),
            ),
            (
                "x-amzn-bedrock-cache-write-input-token-count",
                answer.usage.cache_creation_input_tokens.to_string(),
            ),
        ],
    }
}

fn sse_frames(answer: &ProviderAnswer, route: Route) -> Vec<Frame> {
    answer
        .stream_on(route)
        .into_iter()
        .map(|event| Frame {
            bytes: sse::encode(&event.data).into(),
            data: event.data,
            is_content_delta: event.is_content_delta,
        })
        .collect()
}

fn chunk_frames(answer: &ProviderAnswer) -> Result<Vec<Frame>, FrameError> {
    answer
        .stream_on(Route::BedrockInvoke)
        .into_iter()
        .map(|event| {
            let payload = json!({"bytes": STANDARD.encode(event.data.to_string())});
            Ok(Frame {
                bytes: event_stream::encode("chunk", &payload)?.into(),
                data: event.data,
                is_content_delta: event.is_content_delta,
            })
        })
        .collect()
}

fn converse_frames(answer: &ProviderAnswer) -> Result<Vec<Frame>, FrameError> {
    converse::stream(answer)
        .into_iter()
        .map(|(name, payload, is_content_delta)| {
            Ok(Frame {
                bytes: event_stream::encode(name, &payload)?.into(),
                data: json!({name: payload}),
                is_content_delta,
            })
        })
        .collect()
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
    let deltas = outgoing.deltas();
    let steps = trial
        .filter(|_| outgoing.pace.lockstep)
        .map(|trial| Steps::begin(trial, deltas, &recording));
    let playing = Playing {
        frames: outgoing.frames.into_iter(),
        recording,
        between: Duration::from_millis(outgoing.pace.between_ms),
        steps,
        has_sent_delta: false,
    };
    Body::from_stream(stream::unfold(playing, |mut playing| async move {
        let bytes = playing.next().await?;
        Some((Ok::<_, Infallible>(bytes), playing))
    }))
}

impl Playing {
    async fn next(&mut self) -> Option<Bytes> {
        let frame = self.frames.next()?;
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
        if self.frames.len() == 0 {
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
