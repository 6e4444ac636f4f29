//! Credentials: keys, signatures and access tokens.

use std::sync::LazyLock;

use regex::Regex;

use super::{Rule, Subject};
use crate::wire::error_reply::ErrorReply;
use crate::wire::{Operation, Route};

pub(super) const RULES: &[Rule] = rules![one_api_key, anthropic_api_key, aws_signature, google_access_token,];

/// Whether the request is for one of `routes` and needs credentials.
fn is_on(subject: &Subject, routes: &[Route]) -> bool {
    subject.incoming.target.operation != Operation::OauthToken
        && subject
            .incoming
            .target
            .route
            .is_some_and(|route| routes.contains(&route))
}

/// Source: https://github.com/Podden/openwebui_anthropic_api_manifold_pipe/pull/38 (401 for the right key sent twice)
fn one_api_key(subject: &Subject) -> Option<ErrorReply> {
    (is_on(subject, &[Route::Anthropic]) && subject.incoming.header_count("x-api-key") > 1)
        .then(|| ErrorReply::new(401, "API key is invalid."))
}

/// Either the header `x-api-key` or a bearer token is enough.
///
/// Source: https://platform.claude.com/docs/en/api/errors (401 authentication_error)
fn anthropic_api_key(subject: &Subject) -> Option<ErrorReply> {
    if !is_on(subject, &[Route::Anthropic]) {
        return None;
    }
    let key = &subject.credentials.anthropic_api_key;
    let refusal = |message: &str| Some(ErrorReply::new(401, message));
    match (subject.incoming.header("x-api-key"), bearer(subject)) {
        (Some(shown), _) if shown == key => None,
        (Some(_), _) => refusal("invalid x-api-key"),
        (None, Some(shown)) if shown == key => None,
        (None, Some(_)) => refusal("Invalid bearer token"),
        (None, None) => refusal("x-api-key header is required"),
    }
}

fn bearer<'a>(subject: &'a Subject) -> Option<&'a str> {
    subject.incoming.header("authorization")?.strip_prefix("Bearer ")
}

/// Checks that a signature of version 4 is present and well-formed:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html>.
///
/// Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html
fn aws_signature(subject: &Subject) -> Option<ErrorReply> {
    if !is_on(subject, &[Route::BedrockInvoke, Route::BedrockConverse]) {
        return None;
    }
    static FORM: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            "^AWS4-HMAC-SHA256 Credential=(?<id>[A-Z0-9]+)/(?<date>[0-9]{8})/(?<region>[a-z0-9-]+)/bedrock/aws4_request, ?",
            "SignedHeaders=(?<signed>[a-z0-9;_-]+), ?Signature=[0-9a-f]{64}$",
        ))
        .expect("a constant expression")
    });
    let refusal = |name, message: &str| Some(ErrorReply::new(403, message).native(name));
    let incomplete = |message: &str| refusal("IncompleteSignatureException", message);
    let Some(authorization) = subject.incoming.header("authorization") else {
        return refusal(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        );
    };
    // A Bedrock API key replaces a signature:
    // https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html
    if bearer(subject) == Some(&subject.credentials.bedrock_api_key) {
        return None;
    }
    let Some(parts) = FORM.captures(authorization) else {
        return incomplete(
            "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters of an AWS4-HMAC-SHA256 signature for service 'bedrock'.",
        );
    };
    if parts["id"] != *subject.credentials.aws_access_key_id {
        return refusal(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        );
    }
    if parts["region"] != *subject.credentials.aws_region {
        return refusal(
            "InvalidSignatureException",
            &format!(
                "Credential should be scoped to a valid region, not '{}'.",
                &parts["region"]
            ),
        );
    }
    let Some(date) = subject.incoming.header("x-amz-date") else {
        return incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        );
    };
    if !date.starts_with(&parts["date"]) {
        return refusal(
            "InvalidSignatureException",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
        );
    }
    let is_signed = |name: &str| parts["signed"].split(';').any(|signed| signed == name);
    if !is_signed("host") || !is_signed("x-amz-date") {
        return incomplete(
            "'Host' and 'X-Amz-Date' must be 'SignedHeaders' in the AWS Authorization header.",
        );
    }
    None
}

/// Source: https://cloud.google.com/apis/design/errors (401 UNAUTHENTICATED)
fn google_access_token(subject: &Subject) -> Option<ErrorReply> {
    if !is_on(subject, &[Route::VertexAi]) {
        return None;
    }
    let is_known = bearer(subject).is_some_and(|token| subject.access_tokens.knows(token, subject.now_ms));
    (!is_known).then(|| {
        ErrorReply::new(
            401,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other \
             valid authentication credential.",
        )
    })
}
