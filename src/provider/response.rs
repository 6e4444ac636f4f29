//! Sends a reply: framed for its route, paced, in lockstep with the client if the script asks for it, and recorded.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::{AppendHeaders, IntoResponse as _};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::trials::ScriptedTrial;
use crate::clock::now_ms;
use crate::ledger::OpenExchange;
use crate::wire::answer::ProviderAnswer;
use crate::wire::error_reply::message_of;
use crate::wire::event_stream::{self, FrameError};
use crate::wire::exchange::{Lockstep, ProviderExchange, ProviderReply, SentEvent};
use crate::wire::script::{LOCKSTEP_PATIENCE_MS, Pace};
use crate::wire::{Route, converse, sse};

/// A reply to send.
pub(super) struct Outgoing {
    /// Its record, without events.
    pub(super) reply: ProviderReply,
    frames: Vec<Frame>,
    pace: Pace,
}

struct Frame {
    bytes: Bytes,
    /// Its content before framing, for the record.
    data: Value,
    is_content_delta: bool,
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
        let frame = Frame {
            bytes: text.into(),
            data,
            is_content_delta: false,
        };
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
        }
    }

    /// An answer as `route` sends it.
    pub(super) fn answer(
        answer: &ProviderAnswer,
        route: Route,
        is_stream: bool,
        pace: Pace,
    ) -> Result<Self, FrameError> {
        let mut headers = answer_headers(answer, route);
        let mut outgoing = if is_stream {
            if route == Route::BedrockInvoke {
                headers.push(("x-amzn-bedrock-content-type", "application/json".to_owned()));
            }
            let content_type = match route {
                Route::BedrockInvoke | Route::BedrockConverse => event_stream::CONTENT_TYPE,
                Route::Anthropic | Route::VertexAi => "text/event-stream; charset=utf-8",
            };
            Self::new(200, headers, content_type, frames(answer, route)?)
        } else {
            let body = match route {
                Route::BedrockConverse => converse::reply(answer),
                _ => answer.message(),
            };
            Self::json(200, headers, body)
        };
        outgoing.reply.stream = is_stream;
        outgoing.reply.message = Some(answer.message());
        outgoing.reply.usage = answer.usage;
        outgoing.pace = pace;
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

fn answer_headers(answer: &ProviderAnswer, route: Route) -> Headers {
    let id = answer.id.rsplit('_').next().unwrap_or_default().to_owned();
    let usage = answer.usage;
    match route {
        Route::Anthropic => vec![("request-id", format!("req_{id}"))],
        Route::VertexAi => vec![("request-id", format!("req_vrtx_{id}"))],
        Route::BedrockConverse => vec![("x-amzn-requestid", Uuid::new_v4().to_string())],
        Route::BedrockInvoke => {
            let counts = [
                ("x-amzn-bedrock-invocation-latency", answer.latency_ms),
                ("x-amzn-bedrock-input-token-count", usage.input_tokens),
                ("x-amzn-bedrock-output-token-count", usage.output_tokens),
                (
                    "x-amzn-bedrock-cache-read-input-token-count",
                    usage.cache_read_input_tokens,
                ),
                (
                    "x-amzn-bedrock-cache-write-input-token-count",
                    usage.cache_creation_input_tokens,
                ),
            ];
            let counts = counts.map(|(name, count)| (name, count.to_string()));
            let id = ("x-amzn-requestid", Uuid::new_v4().to_string());
            std::iter::once(id).chain(counts).collect()
        }
    }
}

fn frames(answer: &ProviderAnswer, route: Route) -> Result<Vec<Frame>, FrameError> {
    if route == Route::BedrockConverse {
        return converse::stream(answer)
            .into_iter()
            .map(|(name, payload, is_content_delta)| {
                Ok(Frame {
                    bytes: event_stream::encode(name, &payload)?.into(),
                    data: json!({name: payload}),
                    is_content_delta,
                })
            })
            .collect();
    }
    answer
        .stream_on(route)
        .into_iter()
        .map(|event| {
            let bytes = if route == Route::BedrockInvoke {
                let payload = json!({"bytes": STANDARD.encode(event.data.to_string())});
                event_stream::encode("chunk", &payload)?
            } else {
                sse::encode(&event.data)
            };
            Ok(Frame {
                bytes: bytes.into(),
                data: event.data,
                is_content_delta: event.is_content_delta,
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
        // Before the last frame is sent: the client may close the connection then, and nothing polls the stream again.
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
