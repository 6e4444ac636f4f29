//! The releases of a repository, from GitHub's REST API, all pages of them.
//!
//! A token, if the environment has one, goes to the API's own host alone and is never shown.

use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LINK, RETRY_AFTER};
use reqwest::{StatusCode, Url};

use super::age::Age;
use super::litellm::Release;
use crate::env::{self, Environment};
use crate::toolchain::Surroundings;
use crate::toolchain::http::{Client, Fault, FetchError, Request, redacted};

/// GitHub's own API, where `GITHUB_API_URL` names no other.
const PUBLIC_API: &str = "https://api.github.com";
/// More pages than any repository has: GitHub lists at most 10,000 releases, 100 a page.
const MOST_PAGES: usize = 101;

#[derive(Debug)]
pub struct GitHub {
    base: Url,
    token: Option<Token>,
    client: Client,
}

#[derive(Debug)]
struct Token {
    variable: &'static str,
    header: HeaderValue,
}

#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    #[error("`{variable}` is `{0}`, which is not an `http` or `https` URL", variable = env::GITHUB_API_URL)]
    Address(String),
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(Fault),
    #[error("GitHub's rate limit is used up{}{}", until(*.reset, *.now), advice(*.with_token))]
    RateLimit {
        reset: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        with_token: bool,
    },
    #[error("GitHub refused the token in `{variable}`: renew it, or unset it (public releases need none)")]
    Token { variable: &'static str },
    #[error("GitHub knows no repository `{0}`, or the token may not see it")]
    NoRepository(String),
    #[error("{0}; try again later, or set `{variable}` to another server of the same API", variable = env::GITHUB_API_URL)]
    Fetch(FetchError),
    /// The answer is not a list of releases.
    #[error(
        "`{url}` answered something that is not a list of releases ({reason}): is `{}` right?",
        env::GITHUB_API_URL
    )]
    Malformed { url: String, reason: serde_json::Error },
    #[error("`{0}` has more pages than GitHub ever lists")]
    Endless(String),
}

impl GitHub {
    /// The API that the environment names, with the token that it holds.
    pub fn find(surroundings: &Surroundings) -> Result<Self, GitHubError> {
        let environment = &surroundings.environment;
        let address = environment.get(env::GITHUB_API_URL).unwrap_or(PUBLIC_API);
        let base = Url::parse(address)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| GitHubError::Address(address.to_owned()))?;
        Ok(Self {
            base,
            token: Token::find(environment),
            client: Client::new(surroundings.patience, &[]).map_err(GitHubError::Client)?,
        })
    }

    /// All releases of `repository` (`owner/name`), in GitHub's order; `now` is for the wording of a rate limit.
    pub async fn releases(&self, repository: &str, now: DateTime<Utc>) -> Result<Vec<Release>, GitHubError> {
        let mut releases = Vec::new();
        let mut next = Some(self.first_page(repository));
        for _ in 0..MOST_PAGES {
            let Some(url) = next else {
                return Ok(releases);
            };
            let response = self
                .client
                .get(&self.request(&url))
                .await
                .map_err(|error| self.explain(error, repository, now))?;
            let page: Vec<Release> = response.json().map_err(|reason| GitHubError::Malformed {
                url: redacted(&url),
                reason,
            })?;
            releases.extend(page);
            next = next_page(&url, &response.headers);
        }
        Err(GitHubError::Endless(repository.to_owned()))
    }

    fn first_page(&self, repository: &str) -> Url {
        let mut url = self.base.clone();
        let path = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{path}/repos/{repository}/releases"));
        url.set_query(Some("per_page=100"));
        url
    }

    fn request(&self, url: &Url) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        headers.insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
        if let Some(token) = &self.token
            && url.origin() == self.base.origin()
        {
            headers.insert(AUTHORIZATION, token.header.clone());
        }
        Request {
            url: url.clone(),
            headers,
        }
    }

    fn explain(&self, error: FetchError, repository: &str, now: DateTime<Utc>) -> GitHubError {
        let Fault::Status { status, headers, .. } = &error.fault else {
            return GitHubError::Fetch(error);
        };
        let is_limit = matches!(*status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS)
            && (number(headers, "x-ratelimit-remaining") == Some(0) || headers.contains_key(RETRY_AFTER))
            || *status == StatusCode::TOO_MANY_REQUESTS;
        match &self.token {
            _ if is_limit => GitHubError::RateLimit {
                reset: reset(headers, now),
                now,
                with_token: self.token.is_some(),
            },
            Some(token) if *status == StatusCode::UNAUTHORIZED => GitHubError::Token {
                variable: token.variable,
            },
            _ if *status == StatusCode::NOT_FOUND => GitHubError::NoRepository(repository.to_owned()),
            _ => GitHubError::Fetch(error),
        }
    }
}

impl Token {
    fn find(environment: &Environment) -> Option<Self> {
        env::GITHUB_TOKENS.into_iter().find_map(|variable| {
            let token = environment.get(variable)?.trim();
            let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
            header.set_sensitive(true);
            Some(Self { variable, header })
        })
    }
}

/// The address with `rel="next"` in the `Link` header (RFC 8288).
fn next_page(current: &Url, headers: &HeaderMap) -> Option<Url> {
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|link| link.trim().strip_prefix('<')?.split_once('>'))
        .find(|(_, parameters)| {
            parameters
                .split(';')
                .any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"))
        })
        .and_then(|(address, _)| current.join(address).ok())
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// When GitHub answers again: `x-ratelimit-reset` is a time in seconds since 1970, `retry-after` a number of seconds.
fn reset(headers: &HeaderMap, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match number(headers, RETRY_AFTER.as_str()) {
        Some(seconds) => now.checked_add_signed(chrono::TimeDelta::try_seconds(seconds)?),
        None => DateTime::from_timestamp(number(headers, "x-ratelimit-reset")?, 0),
    }
}

fn until(reset: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    match reset {
        Some(reset) if reset > now => format!(
            " until {} (for another {})",
            reset.format("%Y-%m-%dT%H:%M:%SZ"),
            Age(reset - now)
        ),
        _ => String::new(),
    }
}

fn advice(with_token: bool) -> &'static str {
    if with_token {
        ": wait until then"
    } else {
        ": wait until then, or set `GITHUB_TOKEN` to a token, which has a higher limit"
    }
}
