//! The form of a request: the parts that every request of its kind needs.

use super::{Rule, Subject};
use crate::wire::error_reply::ErrorReply;
use crate::wire::exchange::Body;
use crate::wire::model::Generation;
use crate::wire::pointer::list;
use crate::wire::{Operation, Route};

pub(super) const RULES: &[Rule] = rules![known_operation, json_body,];

/// Rules that a provider checks after the model in the path.
pub(super) const BODY_RULES: &[Rule] = rules![
    anthropic_version,
    sampling_parameters,
    version_content,
    messages,
    max_tokens_required,
];

/// Source: https://platform.claude.com/docs/en/api/errors (404 not_found_error)
fn known_operation(subject: &Subject) -> Option<ErrorReply> {
    if subject.incoming.target.operation != Operation::Unknown {
        return None;
    }
    Some(match subject.route() {
        Route::BedrockInvoke | Route::BedrockConverse => {
            ErrorReply::new(404, "").native("UnknownOperationException")
        }
        Route::Anthropic | Route::VertexAi | Route::BedrockMantle => ErrorReply::new(404, "Not Found"),
        Route::Azure => ErrorReply::new(404, "Resource not found").native("404"),
    })
}

/// Source: https://platform.claude.com/docs/en/api/errors (400 invalid_request_error)
fn json_body(subject: &Subject) -> Option<ErrorReply> {
    let is_json = matches!(subject.incoming.recorded.body, Body::Json(_));
    let has_none = [Operation::OauthToken, Operation::ListModels];
    (!is_json && !has_none.contains(&subject.incoming.target.operation))
        .then(|| ErrorReply::new(400, "The request body is not valid JSON"))
}

/// The version of the API that the official SDKs send since October 2026.
const NEW_VERSION: &str = "2026-10-21";

/// Whether the request asks for the new version.
fn is_new_version(subject: &Subject) -> bool {
    let version = match subject.route() {
        Route::Anthropic | Route::Azure | Route::BedrockMantle => {
            subject.incoming.header("anthropic-version")
        }
        Route::BedrockInvoke | Route::VertexAi => subject
            .prompt()
            .and_then(|prompt| prompt["anthropic_version"].as_str()),
        Route::BedrockConverse => None,
    };
    version == Some(NEW_VERSION)
}

/// Anthropic has it in a header, InvokeModel and Vertex AI in the body (except for Vertex AI's token count). Converse has
/// none. Older models of InvokeModel may refuse the new version, so the simulator does.
///
/// Source: https://platform.claude.com/docs/en/api/versioning, https://platform.claude.com/docs/en/api/migration-2026-10-21,
/// https://platform.claude.com/docs/en/build-with-claude/claude-on-amazon-bedrock-legacy;
/// https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html;
/// https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai
fn anthropic_version(subject: &Subject) -> Option<ErrorReply> {
    let prompt = subject.prompt()?;
    let expected = match subject.route() {
        Route::Anthropic | Route::Azure | Route::BedrockMantle => return version_header(subject),
        Route::BedrockInvoke => "bedrock-2023-05-31",
        Route::VertexAi if !subject.is_count() => "vertex-2023-10-16",
        Route::VertexAi | Route::BedrockConverse => return None,
    };
    let takes_new = subject.route() == Route::VertexAi || subject.may_be_since(Generation::FourSeven);
    match prompt.get("anthropic_version") {
        Some(version) if version == expected => None,
        Some(version) if version == NEW_VERSION && takes_new => None,
        Some(_) => subject.invalid(format!("anthropic_version: Input should be '{expected}'")),
        None => subject.invalid("anthropic_version: Field required"),
    }
}

fn version_header(subject: &Subject) -> Option<ErrorReply> {
    match subject.incoming.header("anthropic-version") {
        Some("2023-06-01" | "2023-01-01" | NEW_VERSION) => None,
        Some(version) => subject.invalid(format!("anthropic-version: \"{version}\" is not a valid version")),
        None => subject.invalid("anthropic-version: header is required"),
    }
}

/// The new version has no sampling parameters.
///
/// Source: https://platform.claude.com/docs/en/api/migration-2026-10-21
fn sampling_parameters(subject: &Subject) -> Option<ErrorReply> {
    if !is_new_version(subject) {
        return None;
    }
    let prompt = subject.prompt()?;
    let names = ["temperature", "top_p", "top_k"];
    let name = names.into_iter().find(|name| prompt.get(name).is_some())?;
    subject.invalid(format!("{name}: Extra inputs are not permitted"))
}

/// With the new version, an assistant's message has no document of its own, and a user's text has no citations. The wording
/// is ours.
///
/// Source: https://platform.claude.com/docs/en/api/migration-2026-10-21
fn version_content(subject: &Subject) -> Option<ErrorReply> {
    if !is_new_version(subject) {
        return None;
    }
    for (index, message) in list(subject.prompt()?, "/messages").iter().enumerate() {
        for (position, block) in list(message, "/content").iter().enumerate() {
            let place = format!("messages.{index}.content.{position}");
            if message["role"] == "assistant" && block["type"] == "document" {
                return subject.invalid(format!(
                    "{place}: Input tag 'document' found using 'type' is not permitted"
                ));
            }
            if message["role"] == "user" && !list(block, "/citations").is_empty() {
                return subject.invalid(format!("{place}.text.citations: Extra inputs are not permitted"));
            }
        }
    }
    None
}

/// Source: https://platform.claude.com/docs/en/api/messages (messages)
fn messages(subject: &Subject) -> Option<ErrorReply> {
    let operation = subject.incoming.target.operation;
    if !matches!(operation, Operation::Messages | Operation::CountTokens) {
        return None;
    }
    match subject.message() {
        None => subject.invalid("messages: Field required"),
        Some(message) if message.messages.is_empty() => {
            subject.invalid("messages: at least one message is required")
        }
        Some(_) => None,
    }
}

/// Optional for Converse, which has a default, and for token counts. With 0, the prompt only fills the cache.
///
/// Source: https://platform.claude.com/docs/en/api/messages (max_tokens),
/// https://github.com/anthropics/anthropic-sdk-python (`types/message_create_params.py`, 0)
fn max_tokens_required(subject: &Subject) -> Option<ErrorReply> {
    let prompt = subject.prompt()?;
    let is_optional = match subject.route() {
        Route::BedrockConverse => true,
        Route::BedrockInvoke => false,
        Route::Anthropic | Route::VertexAi | Route::Azure | Route::BedrockMantle => subject.is_count(),
    };
    match prompt.get("max_tokens") {
        None if is_optional => None,
        None => subject.invalid("max_tokens: Field required"),
        Some(value) if value.as_u64().is_none() => {
            subject.invalid("max_tokens: Input should be greater than or equal to 0")
        }
        Some(_) => None,
    }
}
