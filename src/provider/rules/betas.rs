//! Beta flags that a provider does not know.

use super::{Rule, Subject};
use crate::wire::Route;
use crate::wire::betas::unknown_betas;
use crate::wire::error_reply::ErrorReply;

pub(super) const RULES: &[Rule] = rules![known_betas,];

/// Source: https://github.com/BerriAI/litellm/issues/20021 (Bedrock), https://github.com/BerriAI/litellm/issues/18145
/// (Vertex AI): their replies to an unknown flag
fn known_betas(subject: &Subject) -> Option<ErrorReply> {
    let route = subject.route();
    let unknown = unknown_betas(route, &subject.message()?.betas);
    if unknown.is_empty() {
        return None;
    }
    match route {
        Route::BedrockInvoke | Route::BedrockConverse | Route::BedrockMantle => {
            subject.invalid("invalid beta flag")
        }
        Route::Anthropic | Route::VertexAi | Route::Azure => subject.invalid(format!(
            "Unexpected value(s) {} for the `anthropic-beta` header. Please consult our documentation at docs.claude.com \
             or try again without the header.",
            unknown.join(", ")
        )),
    }
}
