//! Tokens for the docs repository: given, or minted by a GitHub App.
//!
//! The App signs a JWT with its key, and GitHub returns a token for one repository. A token with more permissions than
//! requested is never used.

use anyhow::{Context as _, anyhow, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::credentials::SecretSource;
use crate::env::Secret;
use crate::github::{GitHub, Repository};
use crate::http::FetchError;

/// A token is not used in its last minutes, because a push takes some time.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

#[derive(Debug)]
pub enum TokenSource {
    /// The repository needs no token.
    None,
    Given(SecretSource),
    App(Box<App>),
}

/// Provides a valid token, and mints a new one when it expires.
#[derive(Debug)]
pub struct Tokens {
    source: TokenSource,
    minted: Option<Minted>,
}

#[derive(Clone, Debug)]
struct Minted {
    token: Secret,
    expires_at: DateTime<Utc>,
    /// Its repository and permissions, in words.
    scope: String,
}

impl Tokens {
    pub fn new(source: TokenSource) -> Self {
        Self { source, minted: None }
    }

    /// A token that is valid at `now`; `None` if the repository needs none.
    pub async fn get(&mut self, now: DateTime<Utc>) -> anyhow::Result<Option<Secret>> {
        match &self.source {
            TokenSource::None => Ok(None),
            TokenSource::Given(token) => token.read("the token").map(Some),
            TokenSource::App(app) => {
                let is_valid = |minted: &Minted| minted.expires_at - MARGIN > now;
                if !self.minted.as_ref().is_some_and(is_valid) {
                    self.minted = Some(app.mint(now).await?);
                }
                Ok(self.minted.as_ref().map(|minted| minted.token.clone()))
            }
        }
    }

    /// The repository and the permissions of the minted token.
    pub fn scope(&self) -> Option<&str> {
        self.minted.as_ref().map(|minted| minted.scope.as_str())
    }

    /// Drops a refused token. Returns whether another one can be minted.
    pub fn forget(&mut self) -> bool {
        self.minted.take().is_some()
    }
}

/// A GitHub App that is installed on the docs repository.
#[derive(Debug)]
pub struct App {
    /// Its id, or its client id.
    pub id: String,
    pub key: SecretSource,
    /// Its installation; looked up if unknown.
    pub installation: Option<u64>,
    /// The only repository that tokens are for.
    pub repository: Repository,
    /// Whether tokens need `pull_requests: write` beside `contents: write`.
    pub pull_requests: bool,
    pub github: GitHub,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Deserialize)]
struct MintedToken {
    token: String,
    expires_at: DateTime<Utc>,
    #[serde(default)]
    permissions: Map<String, Value>,
    #[serde(default)]
    repositories: Vec<NamedRepository>,
}

#[derive(Deserialize)]
struct NamedRepository {
    full_name: String,
}

impl App {
    async fn mint(&self, now: DateTime<Utc>) -> anyhow::Result<Minted> {
        let jwt = self.jwt(now)?;
        let installation = match self.installation {
            Some(id) => id,
            None => {
                let path = format!("/repos/{}/installation", self.repository);
                self.call::<Installation>(Method::GET, &path, &jwt, None)
                    .await?
                    .id
            }
        };
        let permissions = self.permissions();
        let body = json!({ "repositories": [self.repository.name], "permissions": permissions });
        let path = format!("/app/installations/{installation}/access_tokens");
        let minted: MintedToken = self.call(Method::POST, &path, &jwt, Some(&body)).await?;
        let wanted = format!("{}, {}", self.repository, in_words(&permissions));
        let scope = minted.scope();
        ensure!(
            scope.eq_ignore_ascii_case(&wanted),
            "GitHub minted a token for {scope} instead of {wanted}, so it is not used: install the App on the docs repository only"
        );
        Ok(Minted {
            token: Secret::new(minted.token),
            expires_at: minted.expires_at,
            scope,
        })
    }

    fn permissions(&self) -> Map<String, Value> {
        let pull_requests = self.pull_requests.then_some("pull_requests");
        let names = std::iter::once("contents").chain(pull_requests);
        names.map(|name| (name.to_owned(), json!("write"))).collect()
    }

    fn jwt(&self, now: DateTime<Utc>) -> anyhow::Result<Secret> {
        let key = self.key.read("the App's private key")?;
        // Clocks differ, so it counts from a minute ago; GitHub accepts ten minutes at most.
        let (issued, expires) = (now - TimeDelta::minutes(1), now + TimeDelta::minutes(8));
        let claims = json!({ "iat": issued.timestamp(), "exp": expires.timestamp(), "iss": self.id });
        EncodingKey::from_rsa_pem(key.expose().as_bytes())
            .and_then(|key| jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key))
            .map(Secret::new)
            .context("the App's private key is no RSA key in PEM")
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        jwt: &Secret,
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let answer = self.github.call(method, path, jwt, body).await;
        let answer = answer.map_err(|error| anyhow!("{error:#}{}", advice(&error)))?;
        serde_json::from_value(answer)
            .with_context(|| format!("GitHub's answer to `{path}` is not as documented"))
    }
}

impl MintedToken {
    fn scope(&self) -> String {
        let names = self.repositories.iter().map(|repository| &*repository.full_name);
        let repositories = match names.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => "all repositories of the installation".to_owned(),
            names => names,
        };
        format!("{repositories}, {}", in_words(&self.permissions))
    }
}

/// `contents: write, pull_requests: write`, without `metadata: read`, which GitHub always adds.
fn in_words(permissions: &Map<String, Value>) -> String {
    let mut words: Vec<String> = permissions
        .iter()
        .filter(|(name, level)| !(*name == "metadata" && *level == "read"))
        .map(|(name, level)| format!("{name}: {}", level.as_str().unwrap_or("?")))
        .collect();
    words.sort();
    words.join(", ")
}

fn advice(error: &anyhow::Error) -> &'static str {
    match error.downcast_ref().and_then(FetchError::status) {
        Some(StatusCode::UNAUTHORIZED) => {
            "; does the private key belong to the App of `--app-id`, and is this machine's clock right?"
        }
        Some(StatusCode::FORBIDDEN) => "; is the App's installation suspended?",
        Some(StatusCode::NOT_FOUND) => "; is the App installed on the docs repository?",
        Some(StatusCode::UNPROCESSABLE_ENTITY) => {
            "; does the App have `contents: write` (with `--via-pr` also `pull_requests: write`), and did the repository's \
             owner accept it?"
        }
        _ => "; try again later",
    }
}
