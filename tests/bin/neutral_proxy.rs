//! A gateway that changes nothing but the credential: what it does is free by the contract, so every trial through it must be
//! clean. Each option adds a change that the contract leaves free.
//!
//! `neutral-proxy UPSTREAM [gzip] [comments] [headers]` listens on a free port and prints its address. With
//! `NEUTRAL_PROXY_KEY` it replaces the client's credential by this key, in `x-api-key`.

use std::io::Write as _;
use std::net::Ipv4Addr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;

/// The variable with the key of the upstream.
const KEY: &str = "NEUTRAL_PROXY_KEY";

/// Headers of one connection (RFC 9110, section 7.6.1), and those that describe the body on it.
const OF_A_CONNECTION: [&str; 6] = [
    "host",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "accept-encoding",
];

/// Headers that proxies and tracing tools add to requests.
const ADDED: [(&str, &str); 8] = [
    ("baggage", "user=1"),
    ("x-b3-traceid", "463ac35c9f6413ad48485a3953bb6124"),
    ("x-datadog-trace-id", "1234567890"),
    ("x-amzn-trace-id", "Root=1-67891233-abcdef012345678912345678"),
    ("x-cloud-trace-context", "105445aa7843bc8bf206b12000100000/1;o=1"),
    ("x-correlation-id", "a-correlation"),
    ("x-real-ip", "192.0.2.1"),
    ("x-forwarded-for", "192.0.2.1"),
];

struct Proxy {
    upstream: String,
    key: Option<String>,
    client: reqwest::Client,
    gzip: bool,
    comments: bool,
    headers: bool,
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let upstream = arguments.next().expect("the address of the upstream");
    let options: Vec<String> = arguments.collect();
    let has = |name: &str| options.iter().any(|option| option == name);
    let proxy = Proxy {
        upstream: upstream.trim_end_matches('/').to_owned(),
        key: std::env::var(KEY).ok(),
        client: compat_matrix::http::client(),
        gzip: has("gzip"),
        comments: has("comments"),
        headers: has("headers"),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    println!("http://{}", listener.local_addr().expect("an address"));
    std::io::stdout().flush().expect("standard output is open");
    let app = Router::new()
        .fallback(pass_on)
        .with_state(std::sync::Arc::new(proxy));
    axum::serve(listener, app).await.expect("the server runs");
}

async fn pass_on(State(proxy): State<std::sync::Arc<Proxy>>, request: Request<Body>) -> Response<Body> {
    match proxy.pass_on(request).await {
        Ok(response) => response,
        Err(error) => Response::builder()
            .status(StatusCode::BAD_GATEWAY)
            .body(Body::from(error))
            .expect("a response"),
    }
}

impl Proxy {
    async fn pass_on(&self, request: Request<Body>) -> Result<Response<Body>, String> {
        let (parts, body) = request.into_parts();
        let accepts_gzip = parts
            .headers
            .get("accept-encoding")
            .is_some_and(|value| value.to_str().is_ok_and(|value| value.contains("gzip")));
        let body = to_bytes(body, usize::MAX)
            .await
            .map_err(|error| error.to_string())?;
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let reply = self
            .client
            .request(parts.method.clone(), format!("{}{target}", self.upstream))
            .headers(self.request_headers(&parts.headers))
            .body(body)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        let mut headers = without_connection(reply.headers());
        let mut response = Response::new(Body::empty());
        *response.status_mut() = reply.status();
        let is_stream = reply
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let mut encoder =
            (self.gzip && accepts_gzip).then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        if encoder.is_some() {
            headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        }
        let comments = self.comments && is_stream;
        let chunks = reply
            .bytes_stream()
            .map(Some)
            .chain(futures_util::stream::iter([None]));
        let chunks = chunks.map(move |chunk| -> Result<Bytes, std::io::Error> {
            let Some(chunk) = chunk else {
                return Ok(encoder
                    .take()
                    .map_or_else(Bytes::new, |encoder| encoder.finish().unwrap_or_default().into()));
            };
            let mut chunk = chunk.map_err(std::io::Error::other)?.to_vec();
            if comments {
                chunk = with_comments(&chunk);
            }
            match &mut encoder {
                None => Ok(chunk.into()),
                Some(encoder) => {
                    encoder.write_all(&chunk)?;
                    // Each event must be readable at once.
                    encoder.flush()?;
                    Ok(std::mem::take(encoder.get_mut()).into())
                }
            }
        });
        *response.headers_mut() = headers;
        *response.body_mut() = Body::from_stream(chunks);
        Ok(response)
    }

    fn request_headers(&self, sent: &HeaderMap) -> HeaderMap {
        let mut headers = without_connection(sent);
        if let Some(key) = &self.key {
            headers.remove("authorization");
            headers.insert("x-api-key", HeaderValue::from_str(key).expect("a key"));
        }
        if self.headers {
            for (name, value) in ADDED {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
        }
        headers
    }
}

fn without_connection(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for name in OF_A_CONNECTION {
        kept.remove(name);
    }
    kept
}

/// `chunk` with a comment after each event that ends in it.
fn with_comments(chunk: &[u8]) -> Vec<u8> {
    let mut commented = Vec::with_capacity(chunk.len());
    for (index, byte) in chunk.iter().enumerate() {
        commented.push(*byte);
        if *byte == b'\n' && index > 0 && chunk[index - 1] == b'\n' {
            commented.extend_from_slice(b": keep-alive\n\n");
        }
    }
    commented
}
