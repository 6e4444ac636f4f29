//! The releases of a repository on GitHub, from all pages.

use anyhow::{Context as _, anyhow, bail};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{HeaderMap, LINK, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};

use super::age::Age;
use super::litellm::Release;
use crate::env::{self, Environment, Secret};
use crate::github::GitHub;
use crate::http::{FetchError, RequestError, redacted};
use crate::results::json::timestamp::to_text as time_text;
use crate::toolchain::ToolEnvironment;

/// GitHub lists at most 10,000 releases, 100 a page.
const MOST_PAGES: usize = 101;

/// A token and the variable that holds it.
type Token = (&'static str, Secret);

/// All releases of `repository` (`owner/name`), in GitHub's order. The error for a rate limit says how long it lasts from
/// `now` on.
pub async fn releases(
    tools: &ToolEnvironment,
    repository: &str,
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<Release>> {
    let github = GitHub::find(&tools.environment, tools.retry)?;
    let token = token(&tools.environment);
    let bearer = token.as_ref().map(|(_, token)| token);
    let mut releases = Vec::new();
    let mut next = Some(github.url(&format!("/repos/{repository}/releases?per_page=100"))?);
    for _ in 0..MOST_PAGES {
        let Some(url) = next else {
            return Ok(releases);
        };
        let response = github
            .send(Method::GET, &url, bearer, None)
            .await
            .map_err(|error| explain(error, repository, token.as_ref(), now))?;
        let page: Vec<Release> = response.json().with_context(|| {
            let (url, variable) = (redacted(&url), env::GITHUB_API_URL);
            format!("the response of `{url}` is not a list of releases: check `{variable}`")
        })?;
        releases.extend(page);
        next = next_page(&url, &response.headers);
    }
    bail!("`{repository}` has more pages than GitHub ever lists")
}

fn token(environment: &Environment) -> Option<Token> {
    env::GITHUB_TOKENS.into_iter().find_map(|variable| {
        let token = environment.get(variable)?.trim();
        Some((variable, Secret::new(token)))
    })
}

fn explain(
    error: anyhow::Error,
    repository: &str,
    token: Option<&Token>,
    now: DateTime<Utc>,
) -> anyhow::Error {
    let failure = error.downcast_ref().map(|failure: &FetchError| &failure.reason);
    let Some(RequestError::Status { status, headers, .. }) = failure else {
        return with_advice(error);
    };
    let is_used_up = number(headers, "x-ratelimit-remaining") == Some(0) || headers.contains_key(RETRY_AFTER);
    match (*status, token) {
        (StatusCode::TOO_MANY_REQUESTS, _) => rate_limit(headers, token, now),
        (StatusCode::FORBIDDEN, _) if is_used_up => rate_limit(headers, token, now),
        (StatusCode::UNAUTHORIZED, Some((variable, _))) => anyhow!(
            "GitHub refused the token in `{variable}`: renew it, or unset it (public releases need none)"
        ),
        (StatusCode::NOT_FOUND, _) => {
            anyhow!("GitHub has no repository `{repository}`, or the token may not see it")
        }
        _ => with_advice(error),
    }
}

fn with_advice(error: anyhow::Error) -> anyhow::Error {
    anyhow!(
        "{error:#}; try again later, or set `{}` to another server of the same API",
        env::GITHUB_API_URL
    )
}

fn rate_limit(headers: &HeaderMap, token: Option<&Token>, now: DateTime<Utc>) -> anyhow::Error {
    let until = match reset(headers, now) {
        Some(reset) if reset > now => {
            format!(" until {} (for another {})", time_text(&reset), Age(reset - now))
        }
        _ => String::new(),
    };
    let advice = match token {
        Some(_) => "",
        None => ", or set `GITHUB_TOKEN` to a token, which has a higher limit",
    };
    anyhow!("GitHub's rate limit is used up{until}: wait until then{advice}")
}

/// When GitHub answers again: `x-ratelimit-reset` is a time in seconds since 1970, `retry-after` a number of seconds.
fn reset(headers: &HeaderMap, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match number(headers, RETRY_AFTER.as_str()) {
        Some(seconds) => now.checked_add_signed(TimeDelta::try_seconds(seconds)?),
        None => DateTime::from_timestamp(number(headers, "x-ratelimit-reset")?, 0),
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
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
            let mut parameters = parameters.split(';');
            parameters.any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"))
        })
        .and_then(|(address, _)| current.join(address).ok())
}
