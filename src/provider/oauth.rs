//! Google's token exchange for service accounts: a client sends a signed assertion and gets an access token.
//!
//! The flow is documented at <https://developers.google.com/identity/protocols/oauth2/service-account>. Errors have the form
//! that Google's token endpoint uses.

use std::collections::HashMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use super::credentials::Credentials;

/// The audience that Google's client libraries use, whatever `token_uri` is.
const GOOGLE_TOKEN_ENDPOINT: &str = "https://oauth2.googleapis.com/token";

/// The lifetime of an access token, in seconds.
const LIFETIME_SECONDS: u64 = 3599;

const PREFIX: &str = "ya29.c.";

/// Access tokens, each with its expiry and a signature of the simulator. So they survive a restart with the same credentials.
pub(super) struct AccessTokens {
    key: hmac::Key,
    /// The beginning of every token: with it, each of them can be found in a text.
    stem: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
}

impl AccessTokens {
    pub(super) fn new(secret: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self {
            stem: format!("{PREFIX}{}.", signature_of(&key, "stem")),
            key,
        }
    }

    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    /// The body of the reply to a token request with the form-encoded `body`, or of its refusal.
    pub(super) fn exchange(
        &self,
        credentials: &Credentials,
        body: &str,
        now_ms: u64,
    ) -> Result<Value, Value> {
        match verify(credentials, body) {
            Ok(()) => Ok(self.grant(now_ms)),
            Err((error, description)) => Err(json!({"error": error, "error_description": description})),
        }
    }

    /// The body of a reply with a new token.
    pub(super) fn grant(&self, now_ms: u64) -> Value {
        let token = self.mint(now_ms);
        json!({"access_token": token, "expires_in": LIFETIME_SECONDS, "token_type": "Bearer"})
    }

    pub(super) fn mint(&self, now_ms: u64) -> String {
        let expiry = (now_ms + LIFETIME_SECONDS * 1000).to_string();
        format!("{}{expiry}.{}", self.stem, signature_of(&self.key, &expiry))
    }

    /// Whether `token` was issued and has not expired.
    pub(super) fn knows(&self, token: &str, now_ms: u64) -> bool {
        let parts = token
            .strip_prefix(&self.stem)
            .and_then(|rest| rest.split_once('.'));
        let Some((expiry, signature)) = parts else {
            return false;
        };
        let ours = signature_of(&self.key, expiry);
        let is_ours = verify_slices_are_equal(ours.as_bytes(), signature.as_bytes()).is_ok();
        is_ours && expiry.parse().is_ok_and(|expiry: u64| now_ms < expiry)
    }
}

fn signature_of(key: &hmac::Key, content: &str) -> String {
    URL_SAFE_NO_PAD.encode(hmac::sign(key, format!("token {content}").as_bytes()))
}

fn verify(credentials: &Credentials, body: &str) -> Result<(), (&'static str, String)> {
    let form: HashMap<String, String> = form_fields(body).collect();
    if form.get("grant_type").map(String::as_str) != Some("urn:ietf:params:oauth:grant-type:jwt-bearer") {
        return Err(("unsupported_grant_type", "Invalid grant_type".to_owned()));
    }
    let invalid = |description: &str| ("invalid_grant", description.to_owned());
    let assertion = form.get("assertion").ok_or_else(|| {
        (
            "invalid_request",
            "Missing required parameter: assertion".to_owned(),
        )
    })?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[GOOGLE_TOKEN_ENDPOINT, &credentials.vertex_token_uri]);
    validation.set_required_spec_claims(&["exp", "aud", "iss"]);
    let key = DecodingKey::from_rsa_der(&credentials.vertex_public_key);
    let token = decode::<Claims>(assertion, &key, &validation).map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => invalid("Invalid JWT Signature."),
        ErrorKind::ExpiredSignature => invalid(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
        ),
        ErrorKind::InvalidAudience => invalid("Invalid JWT: aud is not the token endpoint."),
        other => invalid(&format!("Invalid JWT: {other:?}")),
    })?;
    if token.claims.iss != credentials.vertex_client_email {
        return Err(invalid("Invalid grant: account not found"));
    }
    Ok(())
}

/// The fields of a form or a query, decoded.
pub(super) fn form_fields(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (form_decoded(name), form_decoded(value)))
}

fn form_decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}
