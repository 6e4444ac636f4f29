//! Renders an error in the provider's own form: status, headers and body.
//!
//! Sources: <https://platform.claude.com/docs/en/api/errors>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html> (errors),
//! <https://cloud.google.com/apis/design/errors>,
//! <https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry> (`apim-request-id`),
//! <https://github.com/posit-dev/positron/issues/12858> (the error object of Azure).

use serde_json::{Value, json};
use uuid::Uuid;

use super::Route;
use super::exchange::SentEvent;
use super::redaction;
use super::reply_fields::ORGANIZATION;
use crate::text::one_line;

/// Azure's own id of a request.
pub const APIM_REQUEST_ID: &str = "apim-request-id";

/// An error, named as in the Messages API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    /// The HTTP status that the Messages API would send.
    pub status: u16,
    pub kind: String,
    pub message: String,
    /// The provider's own error name (`UnrecognizedClientException`, `UNAUTHENTICATED`), if it is not the translation
    /// of `kind`.
    pub native: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RenderedError {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Value,
}

impl ErrorReply {
    /// An error with the error type of its status.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self::of_kind(status, kind_of(status), message)
    }

    /// An error with its own error type.
    pub fn of_kind(status: u16, kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: kind.into(),
            message: message.into(),
            native: None,
        }
    }

    /// The same refusal under the provider's own name for it.
    pub fn native(mut self, name: &'static str) -> Self {
        self.native = Some(name);
        self
    }

    /// The refusal as `route` sends it.
    pub fn render(&self, route: Route, request_id: Uuid) -> RenderedError {
        let digits = &request_id.simple().to_string()[..22];
        match route {
            Route::Anthropic => self.render_anthropic(format!("req_01{digits}")),
            Route::BedrockInvoke | Route::BedrockConverse => self.render_aws(request_id),
            Route::VertexAi if self.is_googles() => self.render_google(),
            Route::VertexAi => self.render_messages(format!("req_vrtx_01{digits}")),
            Route::BedrockMantle => self.render_messages(format!("req_bdrk_01{digits}")),
            Route::Azure => {
                let mut rendered = match self.native {
                    Some(code) => self.render_azure(code),
                    None => self.render_messages(format!("req_01{digits}")),
                };
                rendered.headers.push((APIM_REQUEST_ID, request_id.to_string()));
                rendered
            }
        }
    }

    /// Sources: <https://platform.claude.com/docs/en/api/overview#response-headers>; `x-should-retry`: the recordings of
    /// `wire::reply_fields`.
    fn render_anthropic(&self, request_id: String) -> RenderedError {
        let mut rendered = self.render_messages(request_id);
        // Without a valid credential nobody knows the organization.
        if self.status != 401 {
            let (name, organization) = ORGANIZATION;
            rendered.headers.push((name, organization.to_owned()));
        }
        if self.status == 429 {
            rendered.headers.push(("x-should-retry", "true".to_owned()));
        }
        rendered
    }

    fn render_messages(&self, request_id: String) -> RenderedError {
        RenderedError {
            status: self.status,
            body: json!({
                "type": "error",
                "error": {"type": self.kind, "message": self.message},
                "request_id": request_id,
            }),
            headers: vec![("request-id", request_id)],
        }
    }

    fn render_aws(&self, request_id: Uuid) -> RenderedError {
        let (status, name) = match (self.native, self.status) {
            (Some(name), status) => (status, name),
            (None, 401) => (403, "UnrecognizedClientException"),
            (None, 403) => (403, "AccessDeniedException"),
            (None, 404) => (404, "ResourceNotFoundException"),
            (None, 408) => (408, "ModelTimeoutException"),
            (None, 424) => (424, "ModelErrorException"),
            (None, 429) => (429, "ThrottlingException"),
            (None, 503 | 529) => (503, "ServiceUnavailableException"),
            (None, status @ 500..) => (status, "InternalServerException"),
            (None, _) => (400, "ValidationException"),
        };
        // AWS itself checks credentials: https://github.com/aws-beam/aws-erlang/issues/161.
        let namespace = match (self.native, status) {
            (Some(_), 403) => "com.amazon.coral.service",
            _ => "com.amazon.bedrock",
        };
        RenderedError {
            status,
            headers: vec![
                ("x-amzn-requestid", request_id.to_string()),
                (
                    "x-amzn-errortype",
                    format!("{name}:http://internal.amazon.com/coral/{namespace}/"),
                ),
            ],
            body: json!({"message": self.message}),
        }
    }

    /// A refusal by Azure's front end, before Anthropic's service sees the request.
    fn render_azure(&self, code: &str) -> RenderedError {
        RenderedError {
            status: self.status,
            headers: Vec::new(),
            body: json!({"error": {"code": code, "message": self.message}}),
        }
    }

    /// Whether Google's front end refuses the request before the model sees it.
    fn is_googles(&self) -> bool {
        self.native.is_some() || matches!(self.status, 401 | 403 | 404 | 429 | 503 | 504)
    }

    fn render_google(&self) -> RenderedError {
        let name = self.native.unwrap_or(match self.status {
            400 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            _ => "INTERNAL",
        });
        RenderedError {
            status: self.status,
            headers: Vec::new(),
            body: json!({"error": {"code": self.status, "message": self.message, "status": name}}),
        }
    }
}

/// The name of Bedrock's exception in a stream for an error type of the Messages API. The members of the stream are those of
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html> and
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html>.
pub fn stream_exception(kind: &str, route: Route) -> &'static str {
    match kind {
        "rate_limit_error" => "throttlingException",
        "overloaded_error" => "serviceUnavailableException",
        "invalid_request_error" => "validationException",
        "timeout_error" if route == Route::BedrockInvoke => "modelTimeoutException",
        "api_error" => "internalServerException",
        _ => "modelStreamErrorException",
    }
}

/// The status that goes with an error type of the Messages API.
pub fn status_of(kind: &str) -> u16 {
    const STATUSES: [u16; 8] = [400, 401, 402, 403, 404, 413, 429, 504];
    match kind {
        "overloaded_error" => 529,
        _ => STATUSES
            .into_iter()
            .find(|status| kind_of(*status) == kind)
            .unwrap_or(500),
    }
}

/// The message in an error's body: Anthropic and Google have it in `error`, AWS has it at the top. Empty if there is none.
pub fn message_of(body: &Value) -> &str {
    let message = body["error"]["message"].as_str().or(body["message"].as_str());
    message.or(body.as_str()).unwrap_or_default()
}

/// The message of a reply that is an error: its body is its first event. Empty if there is none.
pub fn message_in(events: &[SentEvent]) -> &str {
    events.first().map_or("", |event| message_of(&event.data))
}

/// [`message_in`] in one line, for a report. `None` if there is none.
pub fn words_in(events: &[SentEvent]) -> Option<String> {
    let words = redaction::of_text(message_in(events));
    (!words.trim().is_empty()).then(|| one_line(&words, SHOWN_WORDS))
}

const SHOWN_WORDS: usize = 160;

/// The statuses of a provider that is overloaded or limits requests.
pub const SLOW_DOWN: [u16; 3] = [429, 503, 529];

/// The error types of the Messages API.
pub const ERROR_TYPES: [&str; 10] = [
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
];

/// The Messages API's error type for a status.
pub fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_has_its_own_shape() {
        let error = ErrorReply::new(529, "Overloaded");
        let anthropic = error.render(Route::Anthropic, Uuid::nil());
        assert_eq!(anthropic.status, 529);
        assert_eq!(
            anthropic.body,
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": format!("req_01{}", "0".repeat(22))})
        );
        let aws = error.render(Route::BedrockConverse, Uuid::nil());
        assert_eq!((aws.status, aws.body), (503, json!({"message": "Overloaded"})));
        assert!(aws.headers[1].1.starts_with("ServiceUnavailableException:"));
        let azure = ErrorReply::new(404, "No such deployment").native("DeploymentNotFound");
        let azure = azure.render(Route::Azure, Uuid::nil());
        assert_eq!(
            azure.body,
            json!({"error": {"code": "DeploymentNotFound", "message": "No such deployment"}})
        );
        assert_eq!(azure.headers[0].0, APIM_REQUEST_ID);
        let anthropic = error.render(Route::Azure, Uuid::nil());
        assert_eq!(anthropic.body["error"]["type"], "overloaded_error");
        let headers: Vec<&str> = anthropic.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(headers, ["request-id", APIM_REQUEST_ID]);
        assert_eq!(
            error.render(Route::VertexAi, Uuid::nil()).body["error"]["type"],
            "overloaded_error"
        );
        assert_eq!(
            ErrorReply::new(429, "Quota exceeded")
                .render(Route::VertexAi, Uuid::nil())
                .body["error"]["status"],
            "RESOURCE_EXHAUSTED"
        );
    }
}
