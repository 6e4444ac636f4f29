//! Tells a webhook, whose address is a secret: it never shows in an error.

use reqwest::Url;
use serde_json::Value;

use crate::env::Secret;
use crate::http::{Client, HttpRequest, RequestError, RetryPolicy, may_carry_secrets};

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the webhook's address is no `https` URL")]
    Address,
    /// It could not be reached, or said no.
    #[error("the webhook was not told: {0}")]
    Refused(String),
}

pub async fn tell(address: &Secret, message: &Value, patience: RetryPolicy) -> Result<(), WebhookError> {
    let url = Url::parse(address.expose()).map_err(|_| WebhookError::Address)?;
    if !may_carry_secrets(&url) {
        return Err(WebhookError::Address);
    }
    let client = Client::new(patience, None).map_err(|error| WebhookError::Refused(error.to_string()))?;
    client
        .send(&reqwest::Method::POST, &HttpRequest::to(url), Some(message))
        .await
        .map(drop)
        .map_err(|error| WebhookError::Refused(in_words(&error.reason)))
}

/// Without what the server or the client says, which may repeat the address.
fn in_words(fault: &RequestError) -> String {
    match fault {
        RequestError::Status { status, .. } => format!("it answered {status}"),
        RequestError::TimedOut => "it did not answer in time".into(),
        _ => "there is no connection to it".into(),
    }
}
