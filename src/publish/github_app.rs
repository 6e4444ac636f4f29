//! GitHub's REST API as a GitHub App uses it: a JWT signed with the App's key, for it a token for one repository.
//!
//! A token that may do more than it was asked for is never used.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::credentials::{CredentialError, Held, Minted};
use crate::env::{self, Secret};
use crate::http::{Client, FetchError, HttpRequest, RequestError, may_carry_secrets};
use crate::toolchain::ToolEnvironment;

/// GitHub's own API, where `GITHUB_API_URL` names no other.
const PUBLIC_API: &str = "https://api.github.com";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    pub owner: String,
    pub name: String,
}

impl Repository {
    /// Reads `owner/name`, or the end of a repository's address.
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

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

#[derive(Clone, Debug)]
pub struct Api {
    base: Url,
    client: Client,
}

#[derive(Debug, thiserror::Error)]
#[error("GitHub, asked to `{call}`: {said}")]
pub struct ApiError {
    /// What was asked: method and path.
    pub call: String,
    /// The status, if there was an answer.
    pub status: Option<StatusCode>,
    pub said: String,
}

impl Api {
    /// The API that the environment names.
    pub fn find(surroundings: &ToolEnvironment) -> Result<Self, AppError> {
        let address = surroundings
            .environment
            .get(env::GITHUB_API_URL)
            .unwrap_or(PUBLIC_API);
        let base = Url::parse(address)
            .ok()
            .filter(may_carry_secrets)
            .ok_or_else(|| AppError::Address(address.to_owned()))?;
        Ok(Self {
            base,
            client: Client::new(surroundings.retry, None).map_err(AppError::Client)?,
        })
    }

    /// Calls it; `path` begins with a slash and may have a query.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        bearer: &Secret,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let call = format!("{method} {path}");
        let failed = |status, said: String| ApiError {
            call: call.clone(),
            status,
            said,
        };
        let request = self.request(path, bearer).map_err(|said| failed(None, said))?;
        match self.client.send(&method, &request, body).await {
            Ok(response) if response.body.is_empty() => Ok(Value::Null),
            Ok(response) => response
                .json()
                .map_err(|error| failed(None, format!("its answer is no JSON ({error})"))),
            Err(error) => Err(failed(status(&error), said(&error))),
        }
    }

    fn request(&self, path: &str, bearer: &Secret) -> Result<HttpRequest, String> {
        let base = self.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}{path}")).map_err(|error| error.to_string())?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", bearer.expose()))
            .map_err(|_| "the credential is no text that a header can hold".to_owned())?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
            (AUTHORIZATION, authorization),
            (
                "x-github-api-version".parse().expect("it is a header's name"),
                HeaderValue::from_static("2022-11-28"),
            ),
        ]);
        Ok(HttpRequest { url, headers })
    }
}

fn status(error: &FetchError) -> Option<StatusCode> {
    match &error.reason {
        RequestError::Status { status, .. } => Some(*status),
        _ => None,
    }
}

/// GitHub's own words, where it sent some.
fn said(error: &FetchError) -> String {
    let RequestError::Status { status, body, .. } = &error.reason else {
        return error.reason.to_string();
    };
    let message = serde_json::from_str::<Value>(body)
        .ok()
        .and_then(|body| Some(body.get("message")?.as_str()?.to_owned()));
    match message {
        Some(message) => format!("{status}: {message}"),
        None => error.reason.to_string(),
    }
}

/// A GitHub App that is installed on the docs repository.
#[derive(Debug)]
pub struct App {
    /// Its id, or its client id.
    pub id: String,
    pub key: Held,
    /// Its installation, if that is known; else it is looked up.
    pub installation: Option<u64>,
    /// The one repository that tokens are for.
    pub repository: Repository,
    /// What tokens may do beside `contents: write`.
    pub pull_requests: bool,
    pub api: Api,
}

/// The App cannot get a token.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("`{variable}` is `{0}`, which is not an `https` URL", variable = env::GITHUB_API_URL)]
    Address(String),
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(anyhow::Error),
    #[error(transparent)]
    Credential(Box<CredentialError>),
    #[error("the App's private key is no RSA key in PEM: {0}")]
    Key(jsonwebtoken::errors::Error),
    #[error("{error}{advice}")]
    Api { error: ApiError, advice: &'static str },
    #[error("GitHub's answer to `{call}` is not what is documented: {reason}")]
    Malformed {
        call: &'static str,
        reason: serde_json::Error,
    },
    /// The token may do too much.
    #[error(
        "GitHub minted a token for {got}, but {wanted} was asked for: it is not used; install the App on the docs repository \
         alone"
    )]
    Broader { got: String, wanted: String },
}

#[derive(Serialize)]
struct Claims<'a> {
    iat: i64,
    exp: i64,
    iss: &'a str,
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
    permissions: serde_json::Map<String, Value>,
    #[serde(default)]
    repositories: Vec<NamedRepository>,
}

#[derive(Deserialize)]
struct NamedRepository {
    full_name: String,
}

impl App {
    /// Mints a token for the one repository.
    pub async fn mint(&self, now: DateTime<Utc>) -> Result<Minted, AppError> {
        let jwt = self.jwt(now)?;
        let installation = match self.installation {
            Some(id) => id,
            None => self.installation(&jwt).await?,
        };
        let body = json!({ "repositories": [self.repository.name], "permissions": self.permissions() });
        let path = format!("/app/installations/{installation}/access_tokens");
        let answer = self.api.call(Method::POST, &path, &jwt, Some(&body)).await;
        let answer = answer.map_err(explain)?;
        let minted: MintedToken = serde_json::from_value(answer).map_err(|reason| AppError::Malformed {
            call: "POST /app/installations/…/access_tokens",
            reason,
        })?;
        let scope = self.check(&minted)?;
        Ok(Minted {
            token: Secret::new(minted.token),
            expires_at: minted.expires_at,
            scope,
        })
    }

    fn permissions(&self) -> Value {
        let mut permissions = json!({ "contents": "write" });
        if self.pull_requests {
            permissions["pull_requests"] = json!("write");
        }
        permissions
    }

    /// A JWT of the App: issued a minute ago, as clocks differ, and good for nine, as GitHub takes ten at most.
    fn jwt(&self, now: DateTime<Utc>) -> Result<Secret, AppError> {
        let key = self
            .key
            .read("the App's private key")
            .map_err(|error| AppError::Credential(Box::new(error)))?;
        let key = EncodingKey::from_rsa_pem(key.expose().as_bytes()).map_err(AppError::Key)?;
        let claims = Claims {
            iat: (now - TimeDelta::minutes(1)).timestamp(),
            exp: (now + TimeDelta::minutes(8)).timestamp(),
            iss: &self.id,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key)
            .map(Secret::new)
            .map_err(AppError::Key)
    }

    async fn installation(&self, jwt: &Secret) -> Result<u64, AppError> {
        let path = format!("/repos/{}/installation", self.repository);
        let answer = self
            .api
            .call(Method::GET, &path, jwt, None)
            .await
            .map_err(explain)?;
        let installation: Installation =
            serde_json::from_value(answer).map_err(|reason| AppError::Malformed {
                call: "GET /repos/…/installation",
                reason,
            })?;
        Ok(installation.id)
    }

    /// What the token may do, in words, if that is what was asked for. GitHub adds `metadata: read` by itself.
    fn check(&self, minted: &MintedToken) -> Result<String, AppError> {
        let words = |permissions: &serde_json::Map<String, Value>| {
            let mut words: Vec<String> = permissions
                .iter()
                .filter(|(name, level)| !(*name == "metadata" && *level == "read"))
                .map(|(name, level)| format!("{name}: {}", level.as_str().unwrap_or("?")))
                .collect();
            words.sort();
            words.join(", ")
        };
        let repositories: Vec<&str> = minted
            .repositories
            .iter()
            .map(|repository| repository.full_name.as_str())
            .collect();
        let repositories = match repositories.is_empty() {
            true => "all repositories of the installation".to_owned(),
            false => repositories.join(", "),
        };
        let got = format!("{repositories}, {}", words(&minted.permissions));
        let asked = self.permissions();
        let wanted = format!(
            "{}, {}",
            self.repository,
            words(asked.as_object().unwrap_or(&serde_json::Map::new()))
        );
        if got.eq_ignore_ascii_case(&wanted) {
            Ok(got)
        } else {
            Err(AppError::Broader { got, wanted })
        }
    }
}

fn explain(error: ApiError) -> AppError {
    let advice = match error.status {
        Some(StatusCode::UNAUTHORIZED) => {
            "; is `--app-id` the App whose private key this is, and is this machine's clock right?"
        }
        Some(StatusCode::FORBIDDEN) => "; is the App's installation suspended?",
        Some(StatusCode::NOT_FOUND) => "; is the App installed on the docs repository?",
        Some(StatusCode::UNPROCESSABLE_ENTITY) => {
            "; does the App have `contents: write` (with `--via-pr` also `pull_requests: write`), and did the \
             repository's owner accept it?"
        }
        _ => "; try again later",
    };
    AppError::Api { error, advice }
}
