//! A client for GitHub's REST API.
//!
//! A credential is sent only to the API's own host, over TLS or on this machine, and never shown.

use std::fmt;

use anyhow::{Context as _, ensure};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;

use crate::env::{self, Secret};
use crate::http::{Client, HttpRequest, HttpResponse, may_carry_secrets};
use crate::toolchain::ToolEnvironment;

/// The default of `GITHUB_API_URL`.
const PUBLIC_API: &str = "https://api.github.com";

#[derive(Clone, Debug)]
pub struct GitHub {
    base: Url,
    client: Client,
}

impl GitHub {
    /// The API at `GITHUB_API_URL`, by default GitHub's own.
    pub fn find(tools: &ToolEnvironment) -> anyhow::Result<Self> {
        let variable = env::GITHUB_API_URL;
        let address = tools.environment.get(variable).unwrap_or(PUBLIC_API);
        let base = Url::parse(address)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .with_context(|| format!("`{variable}` is `{address}`, which is not an `http` or `https` URL"))?;
        Ok(Self {
            base,
            client: Client::new(tools.retry, None)?,
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
        method: &Method,
        url: &Url,
        bearer: Option<&Secret>,
        body: Option<&Value>,
    ) -> anyhow::Result<HttpResponse> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        headers.insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
        if let Some(bearer) = bearer
            && url.origin() == self.base.origin()
            && may_carry_secrets(url)
        {
            let mut value = HeaderValue::try_from(format!("Bearer {}", bearer.expose()))
                .ok()
                .context("the credential has characters that a header cannot have")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let url = url.clone();
        Ok(self
            .client
            .send(method, &HttpRequest { url, headers }, body)
            .await?)
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
            let response = self.send(&method, &self.url(path)?, Some(bearer), body).await?;
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

impl Repository {
    /// Parses `owner/name`, or the end of a repository's address.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('/');
        let mut parts = text.strip_suffix(".git").unwrap_or(text).rsplit('/');
        let (name, owner) = (parts.next()?, parts.next()?);
        (!name.is_empty() && !owner.is_empty()).then(|| Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}
