//! Sends a message to a webhook. Its address is a secret, so no error shows it.

use anyhow::{Context as _, bail};
use reqwest::{Method, Url};
use serde_json::Value;

use crate::env::Secret;
use crate::http::{Client, RequestError, RetryPolicy, may_carry_secrets};

pub async fn send(address: &Secret, message: &Value, retry: RetryPolicy) -> anyhow::Result<()> {
    let url = Url::parse(address.expose()).ok().filter(may_carry_secrets);
    let url = url.context("the webhook's address is no `https` URL")?;
    let client = Client::new(retry, None)?;
    let request = client.request(Method::POST, &url).json(message).build()?;
    let Err(error) = client.send(&request).await else {
        return Ok(());
    };
    // The texts of the server and the client may repeat the address.
    match error.reason {
        RequestError::Status { status, .. } => bail!("the webhook failed: it answered {status}"),
        RequestError::TimedOut => bail!("the webhook failed: it did not answer in time"),
        _ => bail!("the webhook failed: there is no connection to it"),
    }
}
