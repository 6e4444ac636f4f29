//! A gateway that already runs: whether it answers, and its version.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::future::join_all;

use crate::env::{self, Secret};
use crate::http;

/// The paths where LiteLLM reports its version. 1.106 requires a key for the first; older versions have only the second.
const VERSION_PATHS: [&str; 2] = ["/health/readiness/details", "/health/readiness"];

/// The longest wait for any answer of a running gateway. Its own pages need no provider. It and the preflight's end within 10 s.
const ANSWER_PATIENCE: Duration = Duration::from_secs(3);

/// The longest wait for a version, which is asked for at the same time.
const VERSION_PATIENCE: Duration = Duration::from_secs(1);

/// The address in variable `name`, as a URL has it, without a `/` at its end. Fails if it is none of a server.
pub fn checked_address(name: &str, value: &str) -> anyhow::Result<String> {
    let address = value.trim().trim_end_matches('/');
    let parsed = reqwest::Url::parse(address).ok();
    let is_http = |url: &reqwest::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    if let Some(url) = parsed.filter(is_http) {
        // Not the user's text: the relay refuses an address that the parser would change.
        return Ok(url.as_str().trim_end_matches('/').to_owned());
    }
    // `localhost:4000` parses as a URL with the scheme `localhost`.
    let with_scheme = reqwest::Url::parse(&format!("http://{address}")).ok();
    let wanted = match with_scheme.filter(|_| !address.contains("://")) {
        Some(_) => format!("http://{address}"),
        None => "http://127.0.0.1:4000".to_owned(),
    };
    bail!("`{name}` is `{value}`, which is no address of a server: write `{name}={wanted}`")
}

/// Fails if no server answers at `base_url`, the value of `LITELLM_PROXY_BASE_URL`. Any HTTP status is an answer.
pub async fn ensure_answers(base_url: &str) -> anyhow::Result<()> {
    let name = env::LITELLM_PROXY_BASE_URL;
    let request = http::client().get(base_url).timeout(ANSWER_PATIENCE);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) => {
            ensure!(
                !error.is_timeout(),
                "the gateway at `{base_url}` does not answer within {} s: check that it runs, and correct `{name}`",
                ANSWER_PATIENCE.as_secs()
            );
            // What the TLS library says of an answer in plain HTTP.
            let is_plain = format!("{error:?}").contains("InvalidContentType");
            if let Some(rest) = base_url.strip_prefix("https://").filter(|_| is_plain) {
                bail!("the gateway at `{base_url}` does not speak TLS: write `{name}=http://{rest}`");
            }
            // An answer that is no HTTP, too: the port may be another program's.
            Err(error).with_context(|| {
                format!("cannot reach the gateway at `{base_url}`: start it, or correct `{name}`")
            })
        }
    }
}

/// The gateway's version: from LiteLLM's health reply, or from its header `x-litellm-version`. `None` if it reports none.
pub async fn version_of(base_url: &str, key: &Secret) -> Option<String> {
    let urls = VERSION_PATHS.map(|path| format!("{base_url}{path}"));
    let asked = join_all(urls.iter().map(|url| version_at(url, key))).await;
    asked.into_iter().flatten().next()
}

async fn version_at(url: &str, key: &Secret) -> Option<String> {
    let reply = http::client()
        .get(url)
        .bearer_auth(key.expose())
        .timeout(VERSION_PATIENCE)
        .send()
        .await
        .ok()?;
    let header = reply
        .headers()
        .get("x-litellm-version")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let body: serde_json::Value = serde_json::from_slice(&http::body(reply).await.ok()?).unwrap_or_default();
    header.or_else(|| Some(body["litellm_version"].as_str()?.to_owned()))
}
