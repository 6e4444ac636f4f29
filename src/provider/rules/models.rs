//! Known models and their limits.

use serde_json::Value;

use super::{Rule, Subject};
use crate::wire::Route;
use crate::wire::error_reply::ErrorReply;
use crate::wire::model::{find, is_offered, reply_name};

pub(super) const RULES: &[Rule] = rules![model_required, known_model, inference_profile, max_tokens_limit,];

/// The sources have the rule for Anthropic alone.
///
/// Source: https://platform.claude.com/docs/en/api/messages (model); wordings:
/// https://github.com/kangminlee-maker/local-OAuth-CLI-API-adapter (`docs/conformance-matrix.md`)
fn model_required(subject: &Subject) -> Option<ErrorReply> {
    if subject.route() != Route::Anthropic {
        return None;
    }
    subject.invalid(match subject.prompt()?.get("model") {
        None => "model: Field required",
        Some(Value::String(model)) if model.is_empty() => "model: String should have at least 1 character",
        Some(Value::String(_)) => return None,
        Some(_) => "model: Input should be a valid string",
    })
}

/// The name must be a Claude model's in the provider's own spelling.
///
/// Source: https://platform.claude.com/docs/en/about-claude/models/overview; wordings:
/// https://github.com/truefoundry/models/issues/946 (Vertex AI),
/// https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html,
/// https://github.com/earendil-works/pi/issues/8573 (Bedrock's Messages API),
/// https://github.com/posit-dev/positron/issues/12858 (Azure)
fn known_model(subject: &Subject) -> Option<ErrorReply> {
    let model = &subject.message()?.model;
    let is_known = is_offered(subject.route(), model, subject.tiers);
    (!is_known).then(|| match subject.route() {
        Route::Anthropic => ErrorReply::new(404, format!("model: {model}")),
        Route::VertexAi => ErrorReply::new(
            404,
            format!(
                "Publisher Model `{}` was not found or your project does not have access to it. Please ensure you \
                 are using a valid model version.",
                resource(&subject.incoming.recorded.path, model)
            ),
        ),
        Route::BedrockInvoke | Route::BedrockConverse => {
            ErrorReply::new(400, "The provided model identifier is invalid.")
        }
        Route::BedrockMantle => ErrorReply::new(404, format!("The model '{model}' does not exist")),
        Route::Azure => ErrorReply::new(
            404,
            "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, \
             please wait a moment and try again.",
        )
        .native("DeploymentNotFound"),
    })
}

/// The models of the three tiers need an inference profile (`us.anthropic…`), except for a token count. The ARN of a model stands
/// for its id.
///
/// Source: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html,
/// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html (modelId); wording:
/// https://github.com/FlowiseAI/Flowise/issues/4253
fn inference_profile(subject: &Subject) -> Option<ErrorReply> {
    if !subject.is_on(&[Route::BedrockInvoke, Route::BedrockConverse]) || subject.is_count() {
        return None;
    }
    let model = &subject.message()?.model;
    let id = model
        .rsplit_once(":foundation-model/")
        .map_or(model.as_str(), |(_, id)| id);
    id.starts_with("anthropic.").then(|| {
        ErrorReply::new(
            400,
            format!(
                "Invocation of model ID {model} with on-demand throughput isn\u{2019}t supported. Retry your request with \
                 the ID or ARN of an inference profile that contains this model."
            ),
        )
    })
}

/// Source: https://platform.claude.com/docs/en/about-claude/models/overview (max output)
fn max_tokens_limit(subject: &Subject) -> Option<ErrorReply> {
    let limit = find(subject.model())?.max_output_tokens;
    let asked = subject.message()?.max_tokens?;
    if asked <= limit {
        return None;
    }
    subject.invalid(format!(
        "max_tokens: {asked} > {limit}, which is the maximum allowed number of output tokens for {}",
        reply_name(&subject.message()?.model)
    ))
}

/// The name of `model` on Vertex AI: the path without its version and its method, such as `:rawPredict`. The path of a token
/// count has no model.
pub(super) fn resource(path: &str, model: &str) -> String {
    let name = path.trim_start_matches("/v1/");
    let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
    match name.strip_suffix("/count-tokens") {
        Some(models) => format!("{models}/{model}"),
        None => name.to_owned(),
    }
}
