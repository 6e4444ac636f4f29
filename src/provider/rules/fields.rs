//! Body fields that a provider does not know, or that need a beta flag.

use super::{Rule, Subject};
use crate::wire::Route;
use crate::wire::body_fields;
use crate::wire::error_reply::ErrorReply;

pub(super) const RULES: &[Rule] = rules![known_fields, beta_fields, structured_outputs,];

/// Fields that need a beta flag, and the prefixes of that flag.
const WITH_BETA: [(&str, &[&str]); 5] = [
    ("context_management", &["context-management-", "compact-"]),
    ("mcp_servers", &["mcp-client-"]),
    ("output_format", &["structured-outputs-"]),
    ("safeguards", &["dangerous-tool-use-"]),
    ("speed", &["fast-mode-"]),
];

/// The models that take `speed` without a beta.
const FAST_WITHOUT_BETA: [&str; 3] = ["claude-opus-5-5", "claude-fable-5-2", "claude-mythos-5-2"];

/// Fields that a Foundry deployment hosted on Azure lacks.
const NOT_HOSTED_ON_AZURE: [&str; 3] = ["mcp_servers", "container", "output_format"];

/// InvokeModel's field about a guardrail, and the header that names the guardrail.
const GUARDRAIL: &str = "amazon-bedrock-guardrailConfig";
const GUARDRAIL_HEADER: &str = "x-amzn-bedrock-guardrailidentifier";

/// InvokeModel takes a field about a guardrail only together with its header.
///
/// Source: https://platform.claude.com/docs/en/api/messages (body parameters),
/// https://github.com/anthropics/anthropic-sdk-python (`types/beta/message_create_params.py`); the message for an unknown one:
/// https://github.com/BerriAI/litellm/issues/27532, https://github.com/BerriAI/litellm/issues/26320; what clouds lack:
/// https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry,
/// https://platform.claude.com/docs/en/build-with-claude/claude-in-amazon-bedrock; the guardrail:
/// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html (guardrailIdentifier)
fn known_fields(subject: &Subject) -> Option<ErrorReply> {
    let mut names = subject.model_fields()?.as_object()?.keys();
    let unknown = names.find(|name| {
        !body_fields::is_known(subject.route(), subject.is_count(), name)
            || (subject.is_hosted_on_azure() && NOT_HOSTED_ON_AZURE.contains(&name.as_str()))
            || (*name == GUARDRAIL && subject.incoming.header(GUARDRAIL_HEADER).is_none())
    })?;
    refusal(subject, unknown)
}

/// Some models of Anthropic need the beta of `speed` for the value `standard` too, but the source does not name them.
///
/// Source: https://platform.claude.com/docs/en/build-with-claude/context-editing (beta header); without it:
/// https://github.com/BerriAI/litellm/issues/27532; `speed`: https://github.com/anthropics/anthropic-sdk-python
/// (`types/message_create_params.py`), https://platform.claude.com/docs/en/build-with-claude/fast-mode (which models need a beta)
fn beta_fields(subject: &Subject) -> Option<ErrorReply> {
    let fields = subject.model_fields()?;
    let is_free = |name, value| {
        let needs_none = value == "standard" || FAST_WITHOUT_BETA.contains(&subject.model());
        name == "speed" && needs_none && subject.route() == Route::Anthropic
    };
    let (name, _) = WITH_BETA.iter().find(|(name, betas)| {
        fields
            .get(name)
            .is_some_and(|value| !value.is_null() && !is_free(*name, value))
            && !betas.iter().any(|beta| subject.has_beta(beta))
    })?;
    refusal(subject, name)
}

/// Neither a Foundry deployment hosted on Azure nor Bedrock's Messages API forces a reply into a schema. (A forced tool is no
/// structured output.)
///
/// Source: https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry,
/// https://platform.claude.com/docs/en/build-with-claude/claude-in-amazon-bedrock (features not supported)
fn structured_outputs(subject: &Subject) -> Option<ErrorReply> {
    if !subject.is_hosted_on_azure() && subject.route() != Route::BedrockMantle {
        return None;
    }
    let format = subject.prompt()?.get("output_config")?.get("format")?;
    (!format.is_null()).then(|| refusal(subject, "output_config.format"))?
}

fn refusal(subject: &Subject, field: &str) -> Option<ErrorReply> {
    subject.invalid(format!("{field}: Extra inputs are not permitted"))
}
