//! The size of a request.

use super::{Rule, Subject};
use crate::wire::Route;
use crate::wire::error_reply::ErrorReply;

pub(super) const RULES: &[Rule] = rules![request_size,];

/// The largest body of a route, in bytes.
pub(in crate::provider) fn limit(route: Route) -> usize {
    match route {
        Route::Anthropic => 32 << 20,
        Route::VertexAi => 30 << 20,
        Route::BedrockInvoke | Route::BedrockConverse => 25_000_000,
    }
}

/// Source: https://platform.claude.com/docs/en/api/errors (413),
/// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html (body, 25,000,000 bytes),
/// https://code.claude.com/docs/en/llm-gateway-protocol (errors of Bedrock and Vertex AI, which Claude Code 2.1.327 looks for)
fn request_size(subject: &Subject) -> Option<ErrorReply> {
    let size = subject.incoming.size;
    if size <= limit(subject.route()) {
        return None;
    }
    Some(match subject.route() {
        Route::Anthropic => ErrorReply::new(413, "Request exceeds the maximum size"),
        Route::BedrockInvoke | Route::BedrockConverse => ErrorReply::new(400, "Input is too long."),
        Route::VertexAi => ErrorReply::new(
            400,
            format!("The request size ({size} bytes) exceeds 30.000MB limit."),
        )
        .native("INVALID_ARGUMENT"),
    })
}
