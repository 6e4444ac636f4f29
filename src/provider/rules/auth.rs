//! Credentials: keys, signatures and access tokens.

use chrono::{DateTime, NaiveDateTime, TimeDelta};

use super::models::resource;
use super::{Rule, Subject};
use crate::wire::error_reply::ErrorReply;
use crate::wire::sigv4::Authorization;
use crate::wire::{Operation, Route};

pub(super) const RULES: &[Rule] = rules![
    one_api_key,
    anthropic_api_key,
    azure_key,
    aws_signature_form,
    aws_access_key,
    aws_scope,
    aws_date,
    aws_signature,
    google_access_token,
    google_project,
];

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

/// Either the header `x-api-key` or a bearer token is enough. The token of a subscription needs its beta.
///
/// Source: https://platform.claude.com/docs/en/api/errors (401 authentication_error),
/// https://code.claude.com/docs/en/llm-gateway-protocol#request-headers (401 without the beta), wording:
/// https://github.com/anthropics/claude-code/issues/28091
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
        (None, Some(shown)) if shown == subject.credentials.oauth_token() => {
            let is_allowed = subject.has_beta("oauth-");
            (!is_allowed).then(|| ErrorReply::new(401, "OAuth authentication is currently not supported."))
        }
        (None, Some(_)) => refusal("Invalid bearer token"),
        (None, None) => refusal("x-api-key header is required"),
    }
}

fn bearer<'a>(subject: &'a Subject) -> Option<&'a str> {
    subject.incoming.header("authorization")?.strip_prefix("Bearer ")
}

/// Either of two headers has the resource's key, or a bearer token of Microsoft Entra replaces it.
///
/// Source: https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry (authentication); wording:
/// https://github.com/microsoft/semantic-kernel/issues/10337
fn azure_key(subject: &Subject) -> Option<ErrorReply> {
    if !is_on(subject, &[Route::Azure]) {
        return None;
    }
    let credentials = subject.credentials;
    let key = ["x-api-key", "api-key"]
        .into_iter()
        .find_map(|name| subject.incoming.header(name));
    let is_valid = match (key, bearer(subject)) {
        (Some(key), _) => key == credentials.azure_api_key,
        (None, Some(token)) => token == credentials.entra_token,
        (None, None) => false,
    };
    (!is_valid).then(|| {
        ErrorReply::new(
            401,
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an \
             active subscription and use a correct regional API endpoint for your resource.",
        )
        .native("401")
    })
}

/// The routes that AWS serves.
const AWS: [Route; 3] = [Route::BedrockInvoke, Route::BedrockConverse, Route::BedrockMantle];

/// The `authorization` header of a request to Bedrock, unless it is a Bedrock API key, which replaces a signature:
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html>.
fn signed(subject: &Subject) -> Option<Authorization> {
    let is_bedrock = is_on(subject, &AWS);
    Authorization::parse(subject.incoming.header("authorization").filter(|_| is_bedrock)?)
}

/// A refusal by AWS's front end, which names its errors in another namespace than Bedrock does:
/// <https://github.com/aws-beam/aws-erlang/issues/161>.
fn by_aws(name: &'static str, message: impl Into<String>) -> Option<ErrorReply> {
    Some(ErrorReply::new(403, message).native(name))
}

fn incomplete(message: &str) -> Option<ErrorReply> {
    by_aws("IncompleteSignatureException", message)
}

/// A well-formed signature for Bedrock is present, and covers the host and the date.
///
/// Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html,
/// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html
fn aws_signature_form(subject: &Subject) -> Option<ErrorReply> {
    if !is_on(subject, &AWS) {
        return None;
    }
    if subject.incoming.header("authorization").is_none() {
        return by_aws(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        );
    }
    if bearer(subject) == Some(&subject.credentials.bedrock_api_key) {
        return None;
    }
    let Some(signed) = signed(subject) else {
        return incomplete(
            "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters of an AWS4-HMAC-SHA256 signature for service 'bedrock'.",
        );
    };
    if subject.incoming.header("x-amz-date").is_none() {
        return incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        );
    }
    let covers = |name: &str| signed.signed_headers.iter().any(|signed| signed == name);
    if covers("host") && covers("x-amz-date") {
        return None;
    }
    incomplete("'Host' and 'X-Amz-Date' must be 'SignedHeaders' in the AWS Authorization header.")
}

/// The key exists. It is a user's own key, so no session token belongs to it.
///
/// Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html (UnrecognizedClientException),
/// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_use-resources.html (session tokens)
fn aws_access_key(subject: &Subject) -> Option<ErrorReply> {
    let is_known = signed(subject)?.access_key_id == subject.credentials.aws_access_key_id;
    if is_known && subject.incoming.header_count("x-amz-security-token") == 0 {
        return None;
    }
    by_aws(
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )
}

/// The signature is for this region and service, and for the day of its own date.
///
/// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html (credential scope). The client
/// `AnthropicBedrockMantle` signs for the service `bedrock-mantle`:
/// https://github.com/anthropics/anthropic-sdk-typescript/tree/main/packages/bedrock-sdk
fn aws_scope(subject: &Subject) -> Option<ErrorReply> {
    let signed = signed(subject)?;
    let refusal = |message: String| by_aws("InvalidSignatureException", message);
    if signed.region != subject.credentials.aws_region {
        return refusal(format!(
            "Credential should be scoped to a valid region, not '{}'. ",
            signed.region
        ));
    }
    let is_mantle = subject.route() == Route::BedrockMantle && signed.service == "bedrock-mantle";
    if signed.service != "bedrock" && !is_mantle {
        return refusal("Credential should be scoped to correct service: 'bedrock'. ".to_owned());
    }
    let sent = subject.incoming.header("x-amz-date")?;
    let day = sent.get(..8).unwrap_or(sent);
    (day != signed.date).then(|| {
        refusal(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{day}', from \
             '{sent}'.",
            signed.date
        ))
    })?
}

/// The clocks of client and provider differ by five minutes at most.
///
/// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html (timestamp); wordings:
/// https://github.com/aws/aws-sdk-php/issues/1780, https://github.com/basak/glacier-cli/issues/36
fn aws_date(subject: &Subject) -> Option<ErrorReply> {
    const FORM: &str = "%Y%m%dT%H%M%SZ";
    const WINDOW: TimeDelta = TimeDelta::minutes(5);
    signed(subject)?;
    let text = subject.incoming.header("x-amz-date")?;
    let Ok(signed_at) = NaiveDateTime::parse_from_str(text, FORM) else {
        return incomplete(
            "Date must be in ISO-8601 'basic format'. See http://en.wikipedia.org/wiki/ISO_8601",
        );
    };
    let now = DateTime::from_timestamp_millis(i64::try_from(subject.now_ms).ok()?)?.naive_utc();
    let show = |time: NaiveDateTime| time.format(FORM);
    let message = if signed_at < now - WINDOW {
        format!(
            "Signature expired: {text} is now earlier than {} ({} - 5 min.)",
            show(now - WINDOW),
            show(now)
        )
    } else if signed_at > now + WINDOW {
        format!(
            "Signature not yet current: {text} is still later than {} ({} + 5 min.)",
            show(now + WINDOW),
            show(now)
        )
    } else {
        return None;
    };
    by_aws("InvalidSignatureException", message)
}

/// The signature is the one of this request: of its path, query, signed headers and body.
///
/// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html; wording:
/// https://github.com/BerriAI/litellm/issues/14763, https://github.com/aws-beam/aws-erlang/issues/161
fn aws_signature(subject: &Subject) -> Option<ErrorReply> {
    let signed = signed(subject)?;
    let secret = &subject.credentials.aws_secret_access_key;
    let computed = signed.compute(secret, &subject.incoming.signed_parts());
    if computed.signature == signed.signature {
        return None;
    }
    by_aws(
        "InvalidSignatureException",
        format!(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
             and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request \
             should have been\n'{}'\n\nThe String-to-Sign should have been\n'{}'\n",
            computed.canonical_request, computed.string_to_sign
        ),
    )
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

/// Source: https://cloud.google.com/vertex-ai/generative-ai/docs/learn/access-control (aiplatform.endpoints.predict)
fn google_project(subject: &Subject) -> Option<ErrorReply> {
    if !is_on(subject, &[Route::VertexAi]) {
        return None;
    }
    let path = subject.incoming.recorded.path.strip_prefix("/v1/projects/")?;
    let (project, _) = path.split_once('/')?;
    (project != subject.credentials.vertex_project).then(|| {
        ErrorReply::new(
            403,
            format!(
                "Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/{}' \
                 (or it may not exist).",
                resource(path, subject.message().map_or("", |message| &message.model))
            ),
        )
    })
}
