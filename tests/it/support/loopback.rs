//! An HTTP server on loopback with a test's replies; it records the requests.

use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::task::JoinHandle;

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    /// The number of earlier requests with the same target.
    pub before: usize,
}

pub type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Serves `router` until the test ends, and returns its address.
pub async fn serve(router: Router) -> String {
    start(router).await.0
}

async fn start(router: Router) -> (String, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, task)
}

/// A server that stops when it is dropped.
pub struct Server {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Calls `answer` with each request and the server's own address.
    pub async fn start(answer: impl Fn(Asked, String) -> Answer + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, answer) = (asked.clone(), Arc::new(answer));
        let router = Router::new().fallback(move |request: Request| {
            let target = request.uri().to_string();
            let asked = {
                let mut log = log.lock().unwrap();
                let before = log.iter().filter(|asked| asked.target == target).count();
                let asked = Asked {
                    target,
                    headers: request.headers().clone(),
                    before,
                };
                log.push(asked.clone());
                asked
            };
            let host = asked.headers["host"].to_str().unwrap();
            let own = format!("http://{host}");
            answer(asked, own)
        });
        let (address, task) = start(router).await;
        Self { address, asked, task }
    }

    /// The targets of all requests, in order.
    pub fn targets(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.target).collect()
    }

    /// All requests, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A port on which nothing listens. It was free a moment ago.
pub fn unused_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub fn ready(response: Response<Body>) -> Answer {
    Box::pin(std::future::ready(response))
}

/// A body with status 200.
pub fn ok(body: impl Into<Bytes>) -> Response<Body> {
    Response::new(Body::from(body.into()))
}

/// A body with the `content-encoding` `gzip`, compressed as that says.
pub fn compressed(status: u16, body: &str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-encoding", "gzip")
        .body(Body::from(gzipped(body.as_bytes())))
        .unwrap()
}

pub fn gzipped(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

/// A status with a short body.
pub fn status(status: u16) -> Response<Body> {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .body(Body::from(r#"{"message":"the double says no"}"#))
        .unwrap()
}

/// Announces the whole `body` and closes the connection after half of it.
pub fn cut(body: Vec<u8>) -> Response<Body> {
    let half = Bytes::copy_from_slice(&body[..body.len() / 2]);
    let parts = futures_util::stream::unfold(Some(half), |half| async {
        match half {
            Some(half) => Some((Ok(half), None)),
            // The first half is sent while the stream is not ready.
            None => {
                tokio::task::yield_now().await;
                Some((Err(std::io::Error::other("cut")), None))
            }
        }
    });
    Response::builder()
        .header("content-length", body.len())
        .body(Body::from_stream(parts))
        .unwrap()
}
