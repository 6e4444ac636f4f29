//! Requests to a CI service's API: the credential's rules, pages, and errors that say what to do.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, anyhow, bail, ensure};
use reqwest::header::{ACCEPT, LOCATION};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::AT_ONCE;
use crate::env::Secret;
use crate::http::{Client, FetchError, HttpResponse, RequestError, RetryPolicy, may_carry_secrets, redacted};

/// The longest log that is read, in bytes.
const LONGEST_LOG: usize = 64 << 20;

/// An API at one origin.
pub struct Api {
    name: &'static str,
    base: Url,
    token: Option<Secret>,
    /// Where a token comes from, for advice.
    variable: &'static str,
    client: Client,
    slots: Semaphore,
    requests: AtomicUsize,
}

impl Api {
    pub fn new(
        name: &'static str,
        base: Url,
        token: Option<Secret>,
        variable: &'static str,
        retry: RetryPolicy,
    ) -> anyhow::Result<Self> {
        ensure!(
            token.is_none() || may_carry_secrets(&base),
            "`{base}` is not an `https` URL: no token is sent there"
        );
        Ok(Self {
            name,
            base,
            token,
            variable,
            client: Client::without_redirects(retry)?,
            slots: Semaphore::new(AT_ONCE),
            requests: AtomicUsize::new(0),
        })
    }

    /// The number of requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    fn url(&self, path: &str) -> anyhow::Result<Url> {
        let base = self.base.as_str().trim_end_matches('/');
        Ok(Url::parse(&format!("{base}{path}"))?)
    }

    /// The JSON at `path`, which begins with a slash.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.authorized(Method::GET, &self.url(path)?);
        let response = self.send(&self.client, request).await?;
        self.json(&response, path)
    }

    /// Changes something; sent once.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.authorized(Method::POST, &self.url(path)?).json(body);
        let response = self.send(&self.client.once(), request).await?;
        match response.body.is_empty() {
            true => Ok(Value::Null),
            false => self.json(&response, path),
        }
    }

    /// The address that `path` redirects to.
    pub async fn redirect(&self, path: &str) -> anyhow::Result<Url> {
        let url = self.url(path)?;
        let request = self.authorized(Method::GET, &url).build()?;
        let _slot = self.slots.acquire().await?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let error = match self.client.send(&request).await {
            Ok(_) => bail!("{} sent `{}` nowhere", self.name, redacted(&url)),
            Err(error) => error,
        };
        let location = match &error.reason {
            RequestError::Status { status, headers, .. } if status.is_redirection() => {
                headers.get(LOCATION).cloned()
            }
            _ => None,
        };
        let Some(location) = location else {
            return Err(self.explain(error));
        };
        let location = location.to_str().context("the address of the log is not text")?;
        url.join(location).context("the address of the log is no URL")
    }

    /// A text outside the API, read without a credential.
    pub async fn text(&self, url: &Url) -> anyhow::Result<String> {
        let response = self
            .send(&self.client, self.client.request(Method::GET, url))
            .await;
        let response = response.map_err(|error| match error.downcast_ref::<FetchError>() {
            Some(error)
                if matches!(
                    error.status(),
                    Some(StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE)
                ) =>
            {
                anyhow!("the log has expired or was deleted")
            }
            _ => error,
        })?;
        let body = &response.body[..response.body.len().min(LONGEST_LOG)];
        Ok(String::from_utf8_lossy(body).into_owned())
    }

    fn authorized(&self, method: Method, url: &Url) -> RequestBuilder {
        let request = self
            .client
            .request(method, url)
            .header(ACCEPT, "application/json");
        match &self.token {
            Some(token) if url.origin() == self.base.origin() => request.bearer_auth(token.expose()),
            _ => request,
        }
    }

    async fn send(&self, client: &Client, request: RequestBuilder) -> anyhow::Result<HttpResponse> {
        let request = request
            .build()
            .context("the token has characters that a header cannot have")?;
        let _slot = self.slots.acquire().await?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = client.send(&request).await;
        let is_own = request.url().origin() == self.base.origin();
        sent.map_err(|error| if is_own { self.explain(error) } else { error.into() })
    }

    fn json(&self, response: &HttpResponse, path: &str) -> anyhow::Result<Value> {
        let path = path.split('?').next().unwrap_or_default();
        response
            .json()
            .with_context(|| format!("{}'s answer to `{path}` is not JSON", self.name))
    }

    fn explain(&self, error: FetchError) -> anyhow::Error {
        let variable = self.variable;
        let advice = match (error.status(), self.token.is_some()) {
            (Some(StatusCode::UNAUTHORIZED), true) => format!("the token was refused: renew `{variable}`"),
            (Some(StatusCode::NOT_FOUND), true) => {
                "it does not exist, or the token may not see it".to_owned()
            }
            (Some(StatusCode::FORBIDDEN), true) => {
                "the token may not read it, or a rate limit is used up".to_owned()
            }
            (Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND), false) => {
                format!("it does not exist or needs a token: set `{variable}`")
            }
            (Some(StatusCode::TOO_MANY_REQUESTS), _) => {
                "the rate limit is used up: try again later".to_owned()
            }
            _ => "try again later".to_owned(),
        };
        let name = self.name;
        anyhow!(error).context(format!("{name} did not answer ({advice})"))
    }
}

/// The items of a list. What is not as documented becomes a gap, which begins with `what`.
pub(super) fn read_items<T: DeserializeOwned>(
    items: impl IntoIterator<Item = Value>,
    what: &str,
    gaps: &mut Vec<String>,
) -> Vec<T> {
    let mut read = Vec::new();
    for item in items {
        match serde_json::from_value(item) {
            Ok(item) => read.push(item),
            Err(error) => gaps.push(format!("{what}: an item is not as documented: {error}")),
        }
    }
    read
}

/// `error` and its causes in one line.
pub(super) fn in_words(error: &anyhow::Error) -> String {
    format!("{error:#}")
}
