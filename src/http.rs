//! An HTTP client with a bounded number of retries.
//!
//! Failures that may pass (no connection, a timeout, a cut body, status 429 or 5xx) are retried with growing waits; every
//! other failure is returned at once. Certificates are checked against the platform's store; `SSL_CERT_FILE` and the proxy
//! variables apply. Credentials are sent in headers only, and no error shows them.

use std::fs::File;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use backon::{ExponentialBuilder, Retryable as _};
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_ENCODING, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder, Method, Request, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use crate::digest::{Hasher, Sha512};
use crate::text::one_line;
use crate::wire::encoding::ContentDecoder;

#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// How often a request is sent at most.
    pub attempts: u32,
    /// The wait before the first retry; it doubles with each further one.
    pub first_wait: Duration,
    /// How long a server may send nothing.
    pub read_timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_wait: Duration::from_millis(500),
            read_timeout: Duration::from_secs(30),
        }
    }
}

/// A server that asks for a longer wait (`Retry-After`) is not asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The settings that every HTTP client shares.
pub fn client_builder() -> ClientBuilder {
    reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT)
}

/// A client without retries, for gateways and simulators. It uses no proxy, whatever the environment says: its requests carry
/// keys.
pub fn client() -> reqwest::Client {
    client_builder()
        .no_proxy()
        .build()
        .expect("the TLS backend starts")
}

/// The body of `response`, decoded as its `content-encoding` says. A body that does not have that encoding stays as it is.
pub async fn body(response: Response) -> reqwest::Result<Vec<u8>> {
    let mut decoder = decoder(&response);
    Ok(decoder.push(&response.bytes().await?))
}

/// [`body`] as text.
pub async fn text(response: Response) -> reqwest::Result<String> {
    let body = body(response).await?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn decoder(response: &Response) -> ContentDecoder {
    let encoding = response.headers().get(CONTENT_ENCODING);
    ContentDecoder::new(encoding.and_then(|value| value.to_str().ok()))
}

#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    policy: RetryPolicy,
}

#[derive(Clone, Debug)]
pub struct HttpResponse {
    pub headers: HeaderMap,
    pub body: bytes::Bytes,
}

/// The failure of a request's last attempt.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch `{url}`{}: {reason}", tried(*attempts))]
pub struct FetchError {
    /// The address, without credentials and query.
    pub url: String,
    pub attempts: u32,
    pub reason: RequestError,
}

/// The failure of one attempt.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No network, no such host, a refused port, or a certificate that is not trusted.
    #[error("no connection: {0}")]
    Unreachable(String),
    #[error("the server did not answer in time")]
    TimedOut,
    /// The connection ended before the answer did.
    #[error("the connection broke off: {0}")]
    Cut(String),
    #[error("the server answered {status}{}", excerpt(body))]
    Status {
        status: StatusCode,
        headers: Box<HeaderMap>,
        body: String,
    },
    /// The body does not have the encoding that its head claims.
    #[error("{0}")]
    Encoding(String),
    /// The body could not be written to its file.
    #[error("cannot write the download: {0}")]
    Write(#[from] io::Error),
    /// The request is invalid, so it was not sent.
    #[error("{0}")]
    Request(String),
}

impl Client {
    /// A client that trusts the platform's certificate authorities and those in `extra_roots` (PEM).
    pub fn new(policy: RetryPolicy, extra_roots: Option<&[u8]>) -> anyhow::Result<Self> {
        Self::build(client_builder(), policy, extra_roots)
    }

    /// A client that follows no redirect, so that a credential never reaches another address.
    pub fn without_redirects(policy: RetryPolicy) -> anyhow::Result<Self> {
        Self::build(client_builder().redirect(Policy::none()), policy, None)
    }

    /// This client without retries, for requests that change something.
    pub fn once(&self) -> Self {
        let mut once = self.clone();
        once.policy.attempts = 1;
        once
    }

    fn build(
        builder: ClientBuilder,
        policy: RetryPolicy,
        extra_roots: Option<&[u8]>,
    ) -> anyhow::Result<Self> {
        let mut builder = builder
            .user_agent(concat!("compat-matrix/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(policy.read_timeout.min(CONNECT_TIMEOUT))
            .read_timeout(policy.read_timeout);
        if let Some(pem) = extra_roots {
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(pem)?);
        }
        let inner = builder.build().context("cannot create an HTTP client")?;
        Ok(Self { inner, policy })
    }

    pub fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        self.inner.request(method, url.clone())
    }

    /// Sends `request` and reads the response into memory. A request whose response is lost is sent again, so it must be
    /// harmless to send it twice.
    pub async fn send(&self, request: &Request) -> Result<HttpResponse, FetchError> {
        self.retry(request, async |mut response| {
            let mut decoder = decoder(&response);
            let headers = std::mem::take(response.headers_mut());
            let body = decoder.push(&response.bytes().await?).into();
            decoder
                .problem()
                .map_or(Ok(()), |why| Err(RequestError::Encoding(why)))?;
            Ok(HttpResponse { headers, body })
        })
        .await
    }

    /// Downloads a body into `file`, decoded, and returns its digest. `advance` gets the number of received bytes so far and, if
    /// the server says it, in total.
    pub async fn download(
        &self,
        request: &Request,
        file: &Path,
        advance: &(dyn Fn(u64, Option<u64>) + Sync),
    ) -> Result<Sha512, FetchError> {
        self.retry(request, async |mut response| {
            let total = response.content_length();
            let mut hasher = Hasher::default();
            let mut output = File::create(file)?;
            let mut done = 0;
            let mut decoder = decoder(&response);
            while let Some(chunk) = response.chunk().await? {
                let decoded = decoder.push(&chunk);
                hasher.update(&decoded);
                output.write_all(&decoded)?;
                done += chunk.len() as u64;
                advance(done, total);
            }
            decoder
                .problem()
                .map_or(Ok(()), |why| Err(RequestError::Encoding(why)))?;
            Ok(hasher.finish())
        })
        .await
    }

    async fn retry<T>(
        &self,
        request: &Request,
        read: impl AsyncFn(Response) -> Result<T, RequestError>,
    ) -> Result<T, FetchError> {
        let mut attempts = 1;
        let waits = ExponentialBuilder::new()
            .with_min_delay(self.policy.first_wait)
            .without_max_delay()
            .with_max_times(self.policy.attempts.saturating_sub(1) as usize);
        let result = (async || read(self.attempt(request).await?).await)
            .retry(waits)
            .adjust(RequestError::wait)
            .notify(|_, _| attempts += 1)
            .await;
        result.map_err(|reason| FetchError {
            url: redacted(request.url()),
            attempts,
            reason,
        })
    }

    async fn attempt(&self, request: &Request) -> Result<Response, RequestError> {
        let request = request.try_clone().expect("a body in memory can be copied");
        let response = self.inner.execute(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(RequestError::Status {
            status,
            headers: Box::new(response.headers().clone()),
            body: text(response).await.unwrap_or_default(),
        })
    }
}

impl HttpResponse {
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }
}

impl FetchError {
    pub fn status(&self) -> Option<StatusCode> {
        match &self.reason {
            RequestError::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl RequestError {
    /// The wait before the next attempt: `planned`, or longer if the server asks for it. `None` if there is no next
    /// attempt.
    fn wait(&self, planned: Option<Duration>) -> Option<Duration> {
        let asked = match self {
            Self::Unreachable(_) | Self::TimedOut | Self::Cut(_) => Duration::ZERO,
            Self::Status { status, headers, .. }
                if status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS =>
            {
                retry_after(headers).unwrap_or_default()
            }
            _ => return None,
        };
        planned
            .filter(|_| asked <= LONGEST_WAIT)
            .map(|planned| planned.max(asked))
    }
}

impl From<reqwest::Error> for RequestError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else if error.is_connect() {
            Self::Unreachable(causes(&error))
        } else if error.is_body() || error.is_decode() || error.is_request() {
            Self::Cut(causes(&error))
        } else {
            Self::Request(causes(&error))
        }
    }
}

/// The time of `retry-after`: seconds, or a date (<https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>).
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => {
            let until = DateTime::parse_from_rfc2822(value).ok()?;
            (until.to_utc() - Utc::now()).to_std().ok()
        }
    }
}

/// Parses an `http` or `https` URL.
pub fn parse_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// Whether a secret may be sent to `url`: over TLS, or without leaving this machine.
pub fn may_carry_secrets(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

/// The address without user, password, query and fragment: each may hold a secret.
pub fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    // These fail only for addresses that cannot hold a user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// The causes below the error's own text, which repeats the address with its query.
fn causes(error: &reqwest::Error) -> String {
    let causes = anyhow::Chain::new(error).skip(1);
    let mut causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.dedup();
    match causes.is_empty() {
        true => "the request is invalid".to_owned(),
        false => causes.join(": "),
    }
}

fn tried(attempts: u32) -> String {
    match attempts {
        1 => String::new(),
        attempts => format!(" ({attempts} attempts)"),
    }
}

/// The server's own words: the `message` of a JSON body, else the beginning of the body.
fn excerpt(body: &str) -> String {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    match one_line(json["message"].as_str().unwrap_or(body), 200) {
        line if line.is_empty() => line,
        line => format!(": {line}"),
    }
}
