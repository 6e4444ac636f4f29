//! Google's token exchange for service accounts: a client sends a signed assertion and gets an access token.
//!
//! The flow is documented at <https://developers.google.com/identity/protocols/oauth2/service-account>. Errors have the form
//! that Google's token endpoint uses.

use std::collections::HashMap;

use aws_lc_rs::error::Unspecified;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use super::credentials::{Credentials, random_text};

/// The audience that Google's client libraries use, whatever `token_uri` is.
const GOOGLE_TOKEN_ENDPOINT: &str = "https://oauth2.googleapis.com/token";

/// The lifetime of an access token, in seconds.
const LIFETIME_SECONDS: u64 = 3599;

pub(super) struct AccessTokens {
    /// The beginning of every token: with it, each of them can be found in a text.
    stem: String,
    /// Each token's expiry, in milliseconds since the Unix epoch.
    expiries: Mutex<HashMap<String, u64>>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
}

impl AccessTokens {
    pub(super) fn new() -> Result<Self, Unspecified> {
        Ok(Self {
            stem: format!("ya29.c.{}", random_text(60)?),
            expiries: Mutex::default(),
        })
    }

    pub(super) fn stem(&self) -> &str {
        &self.stem
    }

    /// The status and body of the reply to a token request with the form-encoded `body`.
    pub(super) fn exchange(&self, credentials: &Credentials, body: &str, now_ms: u64) -> (u16, Value) {
        match verify(credentials, body) {
            Ok(()) => self.grant(now_ms),
            Err((error, description)) => (400, json!({"error": error, "error_description": description})),
        }
    }

    fn grant(&self, now_ms: u64) -> (u16, Value) {
        let token = self.mint(now_ms);
        (
            200,
            json!({"access_token": token, "expires_in": LIFETIME_SECONDS, "token_type": "Bearer"}),
        )
    }

    pub(super) fn mint(&self, now_ms: u64) -> String {
        let mut expiries = self.expiries.lock();
        let token = format!("{}{}", self.stem, expiries.len());
        expiries.insert(token.clone(), now_ms + LIFETIME_SECONDS * 1000);
        token
    }

    /// Whether `token` was issued and has not expired.
    pub(super) fn knows(&self, token: &str, now_ms: u64) -> bool {
        self.expiries
            .lock()
            .get(token)
            .is_some_and(|expiry| now_ms < *expiry)
    }
}

fn verify(credentials: &Credentials, body: &str) -> Result<(), (&'static str, String)> {
    let form: HashMap<String, String> = body
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (form_decoded(name), form_decoded(value)))
        .collect();
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

fn form_decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}
