//! The relay's request handler: it reads a request, finds its trial, forwards it, and returns the reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::guard::{Guard, without_pass_through};
use super::passing::{PassingBody, ReceivedBody};
use super::recorder::ReplyRecorder;
use super::{RelayedTrial, ReplyHold, RequestPermit, SideMutation, TRIAL_PREFIX};
use crate::clock::now_ms;
use crate::env::Secret;
use crate::http;
use crate::ledger::TrialMap;
use crate::mutants::{Headers, MadeUpReply, PassingRequest, RelayPosition, ReplyHead};
use crate::wire::encoding::ContentDecoder;
use crate::wire::exchange::{Body, GatewayExchange, RecordedRequest};
use crate::wire::framing::Framing;
use crate::wire::header_names::HOP_BY_HOP;
use crate::wire::sigv4::{Authorization, SignedParts};
use crate::wire::target::RequestTarget;
use crate::wire::{Operation, json, redaction, reply_id};

/// The largest forwarded body, in bytes: twice the limit of Anthropic's API, so that the provider refuses it, not the relay.
const BODY_LIMIT: usize = 64 << 20;

pub(super) struct RelayState {
    pub(super) position: RelayPosition,
    upstream: String,
    aws_secret: Option<Secret>,
    client: reqwest::Client,
    /// It writes the names of headers in title case.
    title_case_client: reqwest::Client,
    pub(super) trials: TrialMap<RelayedTrial>,
    pub(super) guard: Option<Guard>,
    /// The number of connections that the server behind the relay refused.
    pub(super) refused: AtomicUsize,
    /// Whether a reply had an id that only the simulator makes.
    pub(super) met_simulator: AtomicBool,
}

struct Arrived {
    /// The part of the path that named the trial.
    prefix: String,
    method: reqwest::Method,
    request: PassingRequest,
    json: Option<Value>,
    operation: Operation,
    stream: bool,
    /// Whether to write the names of its headers in title case.
    title_case: bool,
}

/// How the reply to a request is returned.
struct Return<'a> {
    /// The trial's mutant, if it applies to this request.
    mutation: Option<&'a SideMutation>,
    recorder: Option<ReplyRecorder>,
    hold: Option<ReplyHold>,
    permit: Option<Box<dyn RequestPermit>>,
}

pub(super) async fn handle(
    State(shared): State<Arc<RelayState>>,
    request: Request<HttpBody>,
) -> Response<HttpBody> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request is too large or incomplete",
        );
    };
    let arrived = Arrived::read(&parts, body);
    shared.pass(arrived).await
}

impl RelayState {
    pub(super) fn new(
        position: RelayPosition,
        upstream: &str,
        aws_secret: Option<Secret>,
        guard: Option<Guard>,
    ) -> reqwest::Result<Self> {
        let builder = || {
            http::client_builder()
                .no_proxy()
                // The client itself must see a redirect.
                .redirect(reqwest::redirect::Policy::none())
                // A server may close a kept connection at the moment of its next use.
                .pool_max_idle_per_host(0)
        };
        Ok(Self {
            position,
            upstream: upstream.trim_end_matches('/').to_owned(),
            aws_secret,
            client: builder().build()?,
            title_case_client: builder().http1_title_case_headers().build()?,
            trials: TrialMap::default(),
            guard,
            refused: AtomicUsize::new(0),
            met_simulator: AtomicBool::new(false),
        })
    }

    async fn pass(&self, mut arrived: Arrived) -> Response<HttpBody> {
        let mut refused = None;
        let admitted = self.guard.as_ref().map(|guard| {
            match guard.exchange(arrived.method.as_str(), arrived.operation, &mut arrived.request) {
                Ok(key) => Some(key),
                Err((key, refusal)) => {
                    refused = Some(refusal);
                    key
                }
            }
        });
        let trial = match admitted {
            Some(key) => key.and_then(|key| self.trials.get(key)),
            None => self.owner(&arrived),
        };
        let turn = trial
            .as_ref()
            .map_or(0, |trial| trial.next_turn(arrived.operation));
        let mut reply = Return {
            recorder: trial
                .as_ref()
                .filter(|trial| self.position == RelayPosition::Front && !trial.only_passes)
                // Before the mutant changes the request: the record is Claude Code's own request.
                .map(|trial| ReplyRecorder::new(trial.ledger.begin(|number| arrived.exchange(number, turn)))),
            mutation: trial
                .as_ref()
                .and_then(|trial| trial.mutation.as_ref())
                .filter(|mutation| {
                    mutation
                        .change
                        .applies_to(arrived.operation, turn, arrived.stream, arrived.json.as_ref())
                }),
            hold: trial.as_ref().and_then(|trial| trial.hold.clone()),
            permit: None,
        };
        if let Some((status, kind, why)) = refused {
            let content_type = ("content-type".to_owned(), b"application/json".to_vec());
            let head = ReplyHead::new(status.as_u16(), vec![content_type]);
            return reply.whole(&head, error_body(kind, why).into()).await;
        }
        let mut is_sent_twice = false;
        if let Some(mutation) = reply.mutation {
            let signed = self.valid_signature(&arrived);
            let change = &mutation.change.request;
            let changed = mutation.change.change_request(&mut arrived.request);
            if let Some(signed) = signed.filter(|_| !change.keep_signature) {
                self.sign(&mut arrived, &signed);
            }
            mutation.count(usize::from(changed));
            if change.delay_ms > 0 {
                sleep(Duration::from_millis(change.delay_ms)).await;
            }
            if let Some(answer) = &change.answer {
                return reply.made_up(answer).await;
            }
            is_sent_twice = change.send_twice;
            arrived.title_case = change.title_case_headers;
        }
        let pace = trial.as_ref().and_then(|trial| trial.pace.as_ref());
        if let Some(pace) = pace.filter(|_| arrived.operation == Operation::Messages) {
            reply.permit = Some(pace(arrived.request.body.len()).await);
        }
        let received = match self.send(&arrived).await {
            Ok(received) => received,
            Err(Some(why)) => return refusal(StatusCode::BAD_GATEWAY, &why),
            Err(None) => return hang_up(),
        };
        if has_simulated_id(received.headers()) {
            self.met_simulator.store(true, Ordering::Relaxed);
        }
        if is_sent_twice {
            // The second reply is discarded.
            drop(self.send(&arrived).await);
        }
        reply.pass_back(received).await
    }

    /// The trial whose key the request carries.
    fn owner(&self, arrived: &Arrived) -> Option<Arc<RelayedTrial>> {
        let request = &arrived.request;
        let headers = request.headers.iter().map(|(_, value)| value.as_slice());
        let texts = [arrived.prefix.as_bytes(), request.path.as_bytes(), &request.body];
        self.trials.owner(headers.chain(texts))
    }

    /// The AWS signature of a request, if it is valid.
    fn valid_signature(&self, arrived: &Arrived) -> Option<Authorization> {
        let secret = self.aws_secret.as_ref()?.expose();
        let parts = arrived.signed_parts();
        let signed = Authorization::parse(parts.header("authorization")?)?;
        signed.verifies(secret, &parts).then_some(signed)
    }

    /// Signs a changed request, unless its signature itself was changed.
    fn sign(&self, arrived: &mut Arrived, before: &Authorization) {
        let parts = arrived.signed_parts();
        let now = parts.header("authorization").and_then(Authorization::parse);
        if let (Some(secret), Some(signed)) = (&self.aws_secret, now.filter(|now| now == before)) {
            let signature = signed.compute(secret.expose(), &parts).signature;
            let header = signed.header(&signature).into_bytes();
            let headers = arrived.request.headers.iter_mut();
            for (_, value) in headers.filter(|(name, _)| name == "authorization") {
                value.clone_from(&header);
            }
        }
    }

    /// Forwards a request. An error is the reason why it cannot be forwarded unchanged, or `None` if there was no reply: the
    /// client then sees a closed connection, as it would without a relay.
    async fn send(&self, arrived: &Arrived) -> Result<reqwest::Response, Option<String>> {
        let request = &arrived.request;
        let whole = format!("{}{}", self.upstream, request.path);
        let refused = |why: String| Some(format!("cannot forward `{whole}`: {why}"));
        let url = Url::parse(&whole).map_err(|error| refused(error.to_string()))?;
        // The URL parser normalizes paths, but a relay must not change a request.
        if url.as_str() != whole {
            return Err(refused(format!("it would become `{url}`")));
        }
        let client = match arrived.title_case {
            true => &self.title_case_client,
            false => &self.client,
        };
        client
            .request(arrived.method.clone(), url)
            .headers(header_map(&with_length(&request.headers, request.body.len())))
            .body(request.body.clone())
            .send()
            .await
            .map_err(|error| {
                self.refused
                    .fetch_add(usize::from(error.is_connect()), Ordering::Relaxed);
                None
            })
    }
}

impl Return<'_> {
    async fn pass_back(mut self, reply: reqwest::Response) -> Response<HttpBody> {
        if let Some(permit) = &mut self.permit {
            permit.replied(reply.status().as_u16(), http::retry_after(reply.headers()));
        }
        let framing = framing(reply.headers());
        let mut head = ReplyHead::new(reply.status().as_u16(), passed_headers(reply.headers()));
        let Some(mutation) = self
            .mutation
            .filter(|mutation| mutation.change.changes_reply(head.status))
        else {
            let incoming = Box::pin(reply.bytes_stream());
            let body = |recorder| PassingBody::new(incoming, recorder);
            return self.answer(&head, framing, body).await;
        };
        let change = &mutation.change;
        if let Some(answer) = &change.reply.answer {
            mutation.count(1);
            return self.made_up(answer).await;
        }
        let mut decoder = match change.reply.edits_content() {
            true => ContentDecoder::new(head.take_encoding().as_deref()),
            false => ContentDecoder::new(None),
        };
        if change.change_reply_head(&mut head) {
            mutation.count(1);
        }
        if change.reply.delay_ms > 0 {
            mutation.count(1);
            sleep(Duration::from_millis(change.reply.delay_ms)).await;
        }
        // The length of the changed body is unknown.
        head.headers.retain(|(name, _)| name != "content-length");
        let incoming: ReceivedBody = if framing.is_none() && !change.reply.body.is_empty() {
            let Ok(body) = reply.bytes().await else {
                return hang_up();
            };
            let body = Bytes::from(decoder.push(&body));
            let changed = change.change_reply_body(&body);
            mutation.count(usize::from(changed.is_some()));
            Box::pin(stream::iter([Ok(changed.unwrap_or(body))]))
        } else {
            let decoded = move |part: Bytes| decoder.push(&part).into();
            Box::pin(reply.bytes_stream().map_ok(decoded))
        };
        let (mutation, compress) = (mutation.clone(), head.compress);
        self.answer(&head, framing, |recorder| {
            PassingBody::new(incoming, recorder).under(&mutation, framing, compress)
        })
        .await
    }

    async fn made_up(self, answer: &MadeUpReply) -> Response<HttpBody> {
        let content_type = answer.content_type().as_bytes().to_vec();
        let head = ReplyHead::new(answer.status, vec![("content-type".to_owned(), content_type)]);
        self.whole(&head, answer.body()).await
    }

    async fn whole(self, head: &ReplyHead, body: Bytes) -> Response<HttpBody> {
        let framing = framing(&header_map(&head.headers));
        self.answer(head, framing, |recorder| {
            PassingBody::new(Box::pin(stream::iter([Ok(body)])), recorder)
        })
        .await
    }

    async fn answer(
        self,
        head: &ReplyHead,
        framing: Option<Framing>,
        body: impl FnOnce(Option<ReplyRecorder>) -> PassingBody,
    ) -> Response<HttpBody> {
        let recorder = self.recorder.map(|mut recorder| {
            recorder.head(head.status, recorded_headers(&head.headers), framing);
            recorder
        });
        // After the head is recorded: the recorded time must not include the wait for a slot.
        if let Some(hold) = &self.hold {
            hold().await;
            recorder.iter().for_each(ReplyRecorder::released);
        }
        let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let body = body(recorder).with(self.permit);
        (status, header_map(&head.headers), body.into_body()).into_response()
    }
}

impl Arrived {
    fn read(parts: &Parts, body: Bytes) -> Self {
        let json: Option<Value> = json::parse(&String::from_utf8_lossy(&body)).ok();
        let whole = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let (prefix, path) = split_prefix(whole);
        let bare = path.split('?').next().unwrap_or_default();
        let target = RequestTarget::of(parts.method.as_str(), without_pass_through(bare));
        let asks_for_stream = || json.as_ref().is_some_and(|json| json["stream"] == true);
        Self {
            prefix: prefix.to_owned(),
            method: parts.method.clone(),
            operation: target.operation,
            stream: target.stream.unwrap_or_else(asks_for_stream),
            title_case: false,
            request: PassingRequest {
                path,
                headers: passed_headers(&parts.headers),
                body,
            },
            json,
        }
    }

    fn signed_parts(&self) -> SignedParts<'_> {
        let (path, query) = self
            .request
            .path
            .split_once('?')
            .unwrap_or((&self.request.path, ""));
        let headers = self.request.headers.iter();
        SignedParts {
            method: self.method.as_str(),
            path,
            query,
            headers: headers
                .map(|(name, value)| (name.as_str(), value.as_slice()))
                .collect(),
            body: &self.request.body,
        }
    }

    fn exchange(&self, number: usize, turn: usize) -> GatewayExchange {
        let (path, query) = self
            .request
            .path
            .split_once('?')
            .unwrap_or((&self.request.path, ""));
        let body = match &self.json {
            Some(json) => Body::Json(json.clone()),
            None if self.request.body.is_empty() => Body::Empty,
            None => Body::Text(String::from_utf8_lossy(&self.request.body).into_owned()),
        };
        GatewayExchange {
            number,
            turn: (self.operation == Operation::Messages).then_some(turn),
            operation: self.operation,
            request: RecordedRequest {
                at_ms: now_ms(),
                method: self.method.to_string(),
                path: path.to_owned(),
                query: redaction::of_query(query),
                headers: recorded_headers(&self.request.headers),
                body,
            },
            reply: None,
        }
    }
}

/// The part of `path` that names a trial, and the rest.
fn split_prefix(path: &str) -> (&str, String) {
    let Some(rest) = path.strip_prefix(TRIAL_PREFIX) else {
        return ("", path.to_owned());
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (prefix, rest) = path.split_at(TRIAL_PREFIX.len() + end);
    // The check of a connection asks for the base URL itself.
    let slash = if rest.starts_with('/') { "" } else { "/" };
    (prefix, format!("{slash}{rest}"))
}

/// The headers of a message, without the headers of its connection.
fn passed_headers(headers: &HeaderMap) -> Headers {
    let named_by_connection: Vec<String> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .filter(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()) && !named_by_connection.contains(name))
        .collect()
}

/// The same headers, with `length` as the content length if they state one: a mutant may have changed the body.
fn with_length(headers: &Headers, length: usize) -> Headers {
    let mut headers = headers.clone();
    for (_, value) in headers.iter_mut().filter(|(name, _)| name == "content-length") {
        *value = length.to_string().into_bytes();
    }
    headers
}

fn header_map(headers: &Headers) -> HeaderMap {
    let headers = headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value).ok()?))
    });
    headers.collect()
}

fn recorded_headers(headers: &Headers) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.clone(), redaction::header_value(name, value)))
        .collect()
}

/// Whether an id of the request shows that the simulator made the reply. A gateway may give the header another name.
fn has_simulated_id(headers: &HeaderMap) -> bool {
    let ids = headers
        .iter()
        .filter(|(name, _)| name.as_str().ends_with("request-id") || name.as_str().ends_with("requestid"));
    let mut ids = ids.filter_map(|(_, value)| value.to_str().ok());
    ids.any(reply_id::is_of_simulator)
}

fn framing(headers: &HeaderMap) -> Option<Framing> {
    Framing::of(headers.get("content-type")?.to_str().ok()?)
}

/// Closes the connection without a reply: a body that fails before its first byte does so.
fn hang_up() -> Response<HttpBody> {
    let gone = std::io::Error::other("the server behind the relay does not answer");
    Response::new(HttpBody::from_stream(stream::iter([Err::<Bytes, _>(gone)])))
}

/// An error reply of the relay itself.
fn refusal(status: StatusCode, why: &str) -> Response<HttpBody> {
    (
        status,
        [(CONTENT_TYPE, "application/json")],
        error_body("api_error", why),
    )
        .into_response()
}

fn error_body(kind: &str, why: &str) -> String {
    json!({"type": "error", "error": {"type": kind, "message": format!("relay: {why}")}}).to_string()
}
