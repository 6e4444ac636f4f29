//! A client for GitHub's REST API.
//!
//! A credential is sent only to the API's own host, over TLS or on this machine, and never shown.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, ensure};
use reqwest::header::ACCEPT;
use reqwest::{Method, Url};
use serde_json::Value;

use crate::env::{self, Environment, Secret};
use crate::http::{Client, HttpResponse, RetryPolicy, may_carry_secrets, parse_url};

/// The default of `GITHUB_API_URL`.
const PUBLIC_API: &str = "https://api.github.com";

#[derive(Clone, Debug)]
pub struct GitHub {
    base: Url,
    client: Client,
}

impl GitHub {
    /// The API at `GITHUB_API_URL`, by default GitHub's own.
    pub fn find(environment: &Environment, retry: RetryPolicy) -> anyhow::Result<Self> {
        let variable = env::GITHUB_API_URL;
        let address = environment.get(variable).unwrap_or(PUBLIC_API);
        let base = parse_url(address)
            .with_context(|| format!("`{variable}` is `{address}`, which is not an `http` or `https` URL"))?;
        Ok(Self {
            base,
            client: Client::new(retry, None)?,
        })
    }

    /// Refuses an API that no credential may be sent to.
    pub fn for_credentials(self) -> anyhow::Result<Self> {
        ensure!(
            may_carry_secrets(&self.base),
            "`{}` is `{}`, which is not an `https` URL: no credential is sent there",
            env::GITHUB_API_URL,
            self.base
        );
        Ok(self)
    }

    /// The address of `path`, which begins with a slash and may have a query.
    pub fn url(&self, path: &str) -> anyhow::Result<Url> {
        let base = self.base.as_str().trim_end_matches('/');
        Ok(Url::parse(&format!("{base}{path}"))?)
    }

    /// Sends a request; `bearer` is left out if `url` is at another host.
    pub async fn send(
        &self,
        method: Method,
        url: &Url,
        bearer: Option<&Secret>,
        body: Option<&Value>,
    ) -> anyhow::Result<HttpResponse> {
        let mut request = self
            .client
            .request(method, url)
            .header(ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        let may_have_it = url.origin() == self.base.origin() && may_carry_secrets(url);
        if let Some(bearer) = bearer.filter(|_| may_have_it) {
            request = request.bearer_auth(bearer.expose());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let request = request
            .build()
            .context("the credential has characters that a header cannot have")?;
        Ok(self.client.send(&request).await?)
    }

    /// Calls the API at `path` and returns the JSON of its response, null if the response is empty.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: &Secret,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let call = async {
            let response = self
                .send(method.clone(), &self.url(path)?, Some(bearer), body)
                .await?;
            match response.body.is_empty() {
                true => Ok(Value::Null),
                false => response.json().context("the response is not JSON"),
            }
        };
        call.await
            .with_context(|| format!("GitHub's API failed at `{method} {path}`"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    pub owner: String,
    pub name: String,
}

/// Parses `owner/name`, or the end of a repository's address.
impl FromStr for Repository {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_end_matches('/');
        let mut parts = text.strip_suffix(".git").unwrap_or(text).rsplit('/');
        match (parts.next(), parts.next()) {
            (Some(name), Some(owner)) if !name.is_empty() && !owner.is_empty() => Ok(Self {
                owner: owner.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err("expected `owner/name`"),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}
