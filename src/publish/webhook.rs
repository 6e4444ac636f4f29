//! Tells a webhook, whose address is a secret: it never shows in an error.

use reqwest::Url;
use serde_json::Value;

use crate::env::Secret;
use crate::toolchain::http::{Client, Fault, Patience, Request, is_private};

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the webhook's address is no `https` URL")]
    Address,
    /// It could not be reached, or said no.
    #[error("the webhook was not told: {0}")]
    Refused(String),
}

pub async fn tell(address: &Secret, message: &Value, patience: Patience) -> Result<(), WebhookError> {
    let url = Url::parse(address.expose()).map_err(|_| WebhookError::Address)?;
    if !is_private(&url) {
        return Err(WebhookError::Address);
    }
    let client = Client::new(patience, &[]).map_err(|fault| WebhookError::Refused(in_words(&fault)))?;
    client
        .exchange(&reqwest::Method::POST, &Request::to(url), Some(message))
        .await
        .map(drop)
        .map_err(|error| WebhookError::Refused(in_words(&error.fault)))
}

/// Without what the server or the client says, which may repeat the address.
fn in_words(fault: &Fault) -> String {
    match fault {
        Fault::Status { status, .. } => format!("it answered {status}"),
        Fault::TimedOut => "it did not answer in time".into(),
        _ => "there is no connection to it".into(),
    }
}
