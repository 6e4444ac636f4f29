//! Fetching over HTTP with bounded patience.
//!
//! What may pass (no connection, a timeout, a body cut short, 429, 5xx) is tried again a few times with growing waits;
//! what will not is an error at once. Certificates are verified against the platform's store, `SSL_CERT_FILE` and
//! proxies from the environment count. Credentials go into headers and never into an error's text.

use crate::text::one_line;
use std::error::Error as _;
use std::fs::File;
use std::future::Future;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Method, StatusCode, Url};

use super::integrity::{Hasher, Sha512};

#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often a request is sent at most.
    pub attempts: u32,
    /// The wait after the first attempt; it doubles each time.
    pub first_wait: Duration,
    /// How long a server may say nothing.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_wait: Duration::from_millis(500),
            silence: Duration::from_secs(30),
        }
    }
}

/// The longest wait that a server's `Retry-After` gets.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    patience: Patience,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub url: Url,
    /// With which headers beside the client's own.
    pub headers: HeaderMap,
}

#[derive(Clone, Debug)]
pub struct Response {
    pub headers: HeaderMap,
    pub body: bytes::Bytes,
}

/// A fetch that failed for good.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch `{url}`{}: {fault}", tried(*attempts))]
pub struct FetchError {
    /// The address, without credentials and query.
    pub url: String,
    pub attempts: u32,
    pub fault: Fault,
}

/// What went wrong with one request.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No connection: no network, no such host, a refused port, a certificate that is not trusted.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The server was silent for too long.
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
    /// What came could not be kept.
    #[error("cannot write what came: {0}")]
    Write(io::Error),
    /// The request could not even be made.
    #[error("{0}")]
    Request(String),
}

impl Client {
    /// A client that trusts the certificate authorities in `extra_roots` (PEM) beside the platform's.
    pub fn new(patience: Patience, extra_roots: &[Vec<u8>]) -> Result<Self, Fault> {
        let mut certificates = Vec::new();
        for pem in extra_roots {
            certificates
                .extend(Certificate::from_pem_bundle(pem).map_err(|error| Fault::Request(chain(&error)))?);
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("compat-matrix/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience.silence.min(Duration::from_secs(15)))
            .read_timeout(patience.silence);
        if !certificates.is_empty() {
            builder = builder.tls_certs_merge(certificates);
        }
        let inner = builder.build().map_err(|error| Fault::Request(chain(&error)))?;
        Ok(Self { inner, patience })
    }

    pub async fn get(&self, request: &Request) -> Result<Response, FetchError> {
        self.persist(request, async || {
            let mut response = self.send(request).await?;
            let headers = std::mem::take(response.headers_mut());
            let body = response.bytes().await.map_err(|error| fault(&error))?;
            Ok(Response { headers, body })
        })
        .await
    }

    /// Sends `body` as JSON and fetches the answer into memory. What may be sent twice without harm only: an answer that
    /// was lost on its way is asked for again.
    pub async fn exchange(
        &self,
        method: &Method,
        request: &Request,
        body: Option<&serde_json::Value>,
    ) -> Result<Response, FetchError> {
        self.persist(request, async || {
            let builder = self.inner.request(method.clone(), request.url.clone());
            let mut response = self.answer(request, builder, body).await?;
            let headers = std::mem::take(response.headers_mut());
            let body = response.bytes().await.map_err(|error| fault(&error))?;
            Ok(Response { headers, body })
        })
        .await
    }

    /// Fetches a body into `file` and says its digest; `told` hears the bytes so far and, if known, in all.
    pub async fn download(
        &self,
        request: &Request,
        file: &Path,
        told: &(dyn Fn(u64, Option<u64>) + Sync),
    ) -> Result<Sha512, FetchError> {
        self.persist(request, async || {
            let mut response = self.send(request).await?;
            let total = response.content_length();
            let mut hasher = Hasher::default();
            let mut output = File::create(file).map_err(Fault::Write)?;
            let mut done = 0;
            while let Some(chunk) = response.chunk().await.map_err(|error| fault(&error))? {
                hasher.update(&chunk);
                output.write_all(&chunk).map_err(Fault::Write)?;
                done += chunk.len() as u64;
                told(done, total);
            }
            Ok(hasher.finish())
        })
        .await
    }

    async fn send(&self, request: &Request) -> Result<reqwest::Response, Fault> {
        let builder = self.inner.get(request.url.clone());
        self.answer(request, builder, None).await
    }

    async fn answer(
        &self,
        request: &Request,
        builder: reqwest::RequestBuilder,
        body: Option<&serde_json::Value>,
    ) -> Result<reqwest::Response, Fault> {
        let builder = builder.headers(request.headers.clone());
        let builder = match body {
            Some(body) => builder.json(body),
            None => builder,
        };
        let response = builder.send().await.map_err(|error| fault(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let headers = Box::new(response.headers().clone());
        let body = response.text().await.unwrap_or_default();
        Err(Fault::Status {
            status,
            headers,
            body,
        })
    }

    async fn persist<T, F>(&self, request: &Request, attempt: impl Fn() -> F) -> Result<T, FetchError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let mut attempts = 1;
        loop {
            let fault = match attempt().await {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            match fault.wait(self.patience.first_wait * 2u32.saturating_pow(attempts - 1)) {
                Some(wait) if attempts < self.patience.attempts => tokio::time::sleep(wait).await,
                _ => {
                    return Err(FetchError {
                        url: redacted(&request.url),
                        attempts,
                        fault,
                    });
                }
            }
            attempts += 1;
        }
    }
}

impl Request {
    pub fn to(url: Url) -> Self {
        Self {
            url,
            headers: HeaderMap::new(),
        }
    }
}

impl Response {
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }
}

impl FetchError {
    /// Whether the server answered that it will not give this (a status 4xx).
    pub fn is_refusal(&self) -> bool {
        matches!(&self.fault, Fault::Status { status, .. } if status.is_client_error())
    }
}

impl Fault {
    /// How long to wait before the next attempt, `usual` if the server does not say; nothing if another
    /// attempt is in vain.
    fn wait(&self, usual: Duration) -> Option<Duration> {
        match self {
            Self::Unreachable(_) | Self::TimedOut | Self::Cut(_) => Some(usual),
            Self::Status { status, headers, .. }
                if status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS =>
            {
                let asked = headers
                    .get(RETRY_AFTER)
                    .and_then(|value| value.to_str().ok()?.trim().parse().ok())
                    .map(Duration::from_secs);
                match asked {
                    Some(asked) if asked > LONGEST_WAIT => None,
                    Some(asked) => Some(asked.max(usual)),
                    None => Some(usual),
                }
            }
            _ => None,
        }
    }
}

/// Whether a secret may be sent to `url`: over TLS, or without leaving this machine.
pub fn is_private(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

/// The address without user, password and query, each of which may be a secret.
pub fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    // An address that cannot have a user has none to take away.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn fault(error: &reqwest::Error) -> Fault {
    if error.is_timeout() {
        Fault::TimedOut
    } else if error.is_body() || error.is_decode() {
        Fault::Cut(chain(error))
    } else if error.is_connect() {
        Fault::Unreachable(chain(error))
    } else if error.is_request() {
        Fault::Cut(chain(error))
    } else {
        Fault::Request(chain(error))
    }
}

/// The causes of an error below its own text, which repeats the address with its query.
fn chain(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    if causes.is_empty() {
        "the request cannot be made".to_owned()
    } else {
        causes.dedup();
        causes.join(": ")
    }
}

fn tried(attempts: u32) -> String {
    match attempts {
        1 => String::new(),
        attempts => format!(" ({attempts} attempts)"),
    }
}

fn excerpt(body: &str) -> String {
    match one_line(body, 200) {
        line if line.is_empty() => line,
        line => format!(": {line}"),
    }
}
