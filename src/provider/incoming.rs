//! A parsed HTTP request: its target, its content, and the part that may be recorded.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use futures_util::StreamExt as _;
use serde_json::Value;

use super::rules::size_limit;
use crate::wire::exchange::{BROKEN_OFF, Body, RecordedRequest, TOO_LARGE};
use crate::wire::message::MessageRequest;
use crate::wire::sigv4::SignedParts;
use crate::wire::target::{RequestTarget, prompt};
use crate::wire::{Operation, Route, converse, messages, redaction};

/// The largest body that is read, in bytes: above every provider's limit, so that a refused request still names its trial.
const READ_LIMIT: usize = 64 << 20;

/// The body of a request, as far as it came.
pub(super) enum ReceivedBody {
    Whole(Vec<u8>),
    /// It has more bytes than are read.
    TooLarge,
    /// It ended before its end.
    BrokenOff,
}

impl ReceivedBody {
    pub(super) async fn read(body: axum::body::Body) -> Self {
        let mut bytes = Vec::new();
        let mut parts = body.into_data_stream();
        while let Some(part) = parts.next().await {
            match part {
                Ok(part) if bytes.len() + part.len() <= READ_LIMIT => bytes.extend_from_slice(&part),
                Ok(_) => return Self::TooLarge,
                Err(_) => return Self::BrokenOff,
            }
        }
        Self::Whole(bytes)
    }

    /// The bytes of a whole body; else none.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Whole(bytes) => bytes,
            Self::TooLarge | Self::BrokenOff => Vec::new(),
        }
    }
}

pub(super) struct Incoming {
    pub(super) target: RequestTarget,
    /// The headers with credentials: never recorded.
    pub(super) headers: HeaderMap,
    /// The body as it arrived: not recorded if it contains a credential.
    pub(super) bytes: Vec<u8>,
    /// The size of the body in bytes. Of one that is too large to read, as its header says; more than any limit.
    pub(super) size: usize,
    pub(super) is_broken_off: bool,
    /// The query as it arrived: a signature covers it. The recorded one has no credentials.
    pub(super) query: String,
    pub(super) recorded: RecordedRequest,
    /// The request to the model: the body itself, or the body within a token count.
    pub(super) prompt: Option<Value>,
    /// The prompt as a model sees it.
    pub(super) message: Option<MessageRequest>,
}

impl Incoming {
    /// Parses a request whose body ended at `now_ms`. A body over the provider's limit is neither parsed nor recorded.
    pub(super) fn read(parts: &Parts, received: ReceivedBody, now_ms: u64) -> Self {
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let mut target = RequestTarget::of(parts.method.as_str(), &path);
        let is_broken_off = matches!(received, ReceivedBody::BrokenOff);
        let size = match &received {
            ReceivedBody::Whole(bytes) => bytes.len(),
            ReceivedBody::TooLarge => announced_size(&parts.headers).max(READ_LIMIT + 1),
            ReceivedBody::BrokenOff => announced_size(&parts.headers),
        };
        let is_small = size <= size_limit(target.route.unwrap_or(Route::Anthropic));
        let body = match &received {
            ReceivedBody::BrokenOff => Body::Text(BROKEN_OFF.to_owned()),
            ReceivedBody::Whole(bytes) if is_small => read_body(&target, bytes),
            ReceivedBody::Whole(_) | ReceivedBody::TooLarge => Body::Text(TOO_LARGE.to_owned()),
        };
        let is_converse = is_converse(&target, body.json());
        let prompt = body
            .json()
            .and_then(|json| prompt(target.operation, target.route, json));
        if is_converse {
            target.route = Some(Route::BedrockConverse);
        }
        if target.route == Some(Route::Azure) && is_for_aws(&parts.headers, body.json()) {
            target.route = Some(Route::BedrockMantle);
        }
        if target.stream.is_none() {
            target.stream = Some(body.json().is_some_and(|json| json["stream"] == true));
        }
        let betas = header_betas(&target, &parts.headers);
        let message = prompt.as_ref().and_then(|prompt| {
            if is_converse {
                converse::read(prompt, target.model.as_deref().unwrap_or_default())
            } else {
                messages::read(prompt, target.model.as_deref(), &betas)
            }
        });
        Self {
            recorded: RecordedRequest {
                at_ms: now_ms,
                method: parts.method.to_string(),
                path,
                query: redaction::of_query(&query),
                headers: recorded_headers(&parts.headers),
                body,
            },
            target,
            headers: parts.headers.clone(),
            bytes: received.into_bytes(),
            size,
            is_broken_off,
            query,
            prompt,
            message,
        }
    }

    /// The route of the reply; Anthropic's for unknown paths.
    pub(super) fn route(&self) -> Route {
        self.target.route.unwrap_or(Route::Anthropic)
    }

    /// Whether the reply is a stream.
    pub(super) fn stream(&self) -> bool {
        self.target.stream == Some(true)
    }

    /// The value of header `name`, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The parts that an AWS signature may cover.
    pub(super) fn signed_parts(&self) -> SignedParts<'_> {
        let headers = self.headers.iter();
        SignedParts {
            method: &self.recorded.method,
            path: &self.recorded.path,
            query: &self.query,
            headers: headers
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
                .collect(),
            body: &self.bytes,
        }
    }

    /// The number of headers `name`.
    pub(super) fn header_count(&self, name: &str) -> usize {
        self.headers.get_all(name).iter().count()
    }
}

/// The value of `content-length`; 0 without it.
fn announced_size(headers: &HeaderMap) -> usize {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or_default()
}

/// Bedrock reads betas from the body only:
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html>.
fn header_betas<'a>(target: &RequestTarget, headers: &'a HeaderMap) -> Vec<&'a str> {
    if target.route == Some(Route::BedrockInvoke) {
        return Vec::new();
    }
    headers
        .get_all("anthropic-beta")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect()
}

/// The body of a token request is a credential, so it is redacted.
fn read_body(target: &RequestTarget, bytes: &[u8]) -> Body {
    if bytes.is_empty() {
        Body::Empty
    } else if target.operation == Operation::OauthToken {
        Body::Text(redaction::placeholder(bytes.len()))
    } else {
        match serde_json::from_slice(bytes) {
            Ok(json) => Body::Json(json),
            Err(_) => Body::Text(String::from_utf8_lossy(bytes).into_owned()),
        }
    }
}

fn is_converse(target: &RequestTarget, body: Option<&Value>) -> bool {
    match target.operation {
        Operation::CountTokens => body.is_some_and(|body| body["input"].get("converse").is_some()),
        _ => target.route == Some(Route::BedrockConverse),
    }
}

/// Whether a request is for Amazon Bedrock and not for Microsoft Foundry. Both have the same path, on hosts of their own. Here
/// the host is the same, so an AWS credential or a model in Bedrock's spelling decides.
fn is_for_aws(headers: &HeaderMap, body: Option<&Value>) -> bool {
    let authorization = headers
        .get("authorization")
        .map_or(&b""[..], |value| value.as_bytes());
    let has_aws_credential = [&b"AWS4-HMAC-SHA256 "[..], b"Bearer ABSK"]
        .iter()
        .any(|start| authorization.starts_with(start));
    let model = body.and_then(|body| body["model"].as_str());
    has_aws_credential || model.is_some_and(|model| model.contains("anthropic.claude-"))
}

fn recorded_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = redaction::header_value(name.as_str(), value.as_bytes());
            (name.as_str().to_owned(), value)
        })
        .collect()
}
