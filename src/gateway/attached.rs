//! A gateway that already runs: it is asked for its version.

use std::time::Duration;

use crate::env::Secret;
use crate::http;

/// The paths where LiteLLM reports its version. 1.106 requires a key for the first; older versions have only the second.
const VERSION_PATHS: [&str; 2] = ["/health/readiness/details", "/health/readiness"];

/// The gateway's version: from LiteLLM's health reply, or from its header `x-litellm-version`. `None` if it reports none.
pub async fn version_of(base_url: &str, key: &Secret) -> Option<String> {
    for path in VERSION_PATHS {
        if let Some(version) = version_at(&format!("{base_url}{path}"), key).await {
            return Some(version);
        }
    }
    None
}

async fn version_at(url: &str, key: &Secret) -> Option<String> {
    let reply = http::client()
        .get(url)
        .bearer_auth(key.expose())
        .timeout(Duration::from_secs(5))
        .send()
        .await
        .ok()?;
    let header = reply
        .headers()
        .get("x-litellm-version")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let body: Option<serde_json::Value> = reply.json().await.ok();
    header.or_else(|| Some(body?["litellm_version"].as_str()?.to_owned()))
}
