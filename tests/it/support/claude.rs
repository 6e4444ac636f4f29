//! The double of `claude`, and what a run of `claude` needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use compat_matrix::claude::{Endpoint, Invocation};
use compat_matrix::env::{Environment, Secret};
use compat_matrix::ids::TrialKey;
use compat_matrix::process::RunId;
use compat_matrix::wire::script::{Prompt, PromptBlock};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use uuid::Uuid;

use super::evidence::text_events;
use super::loopback::serve;
use super::wait::PATIENCE;

/// The double of `claude`.
pub fn fake_claude() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_fake-claude"))
}

/// Writes a scenario for it into `folder`.
pub fn scenario(folder: &Path, steps: Value) -> PathBuf {
    let file = folder.join(format!("{}.json", Uuid::new_v4()));
    std::fs::write(&file, steps.to_string()).unwrap();
    file
}

/// Makes a `claude` that prints its version, and otherwise hangs.
pub fn hanging_claude(folder: &Path) -> String {
    let file = folder.join("hanging-claude");
    std::os::unix::fs::symlink(fake_claude(), &file).unwrap();
    file.to_str().unwrap().to_owned()
}

pub fn text_prompt(text: &str) -> Prompt {
    Prompt {
        blocks: vec![PromptBlock::Text(text.to_owned())],
    }
}

/// A run of the double that asks `base_url`.
pub fn invocation(folder: &TempDir, base_url: &str) -> Invocation {
    Invocation {
        program: fake_claude(),
        run: RunId::mint(),
        key: TrialKey(Uuid::new_v4()),
        model: "claude-haiku-4-5".to_owned(),
        prompts: vec![text_prompt("say hello")],
        workspace: Default::default(),
        mcp_program: fake_claude(),
        flags: Vec::new(),
        expects_failures: false,
        variables: BTreeMap::new(),
        endpoint: Endpoint::Gateway {
            base_url: base_url.to_owned(),
            token: Secret::new("sk-of-the-run"),
        },
        folder: folder.path().to_owned(),
        inherited: Environment::from_process().inherited(),
        deadline: PATIENCE,
        waits: Default::default(),
        cage: None,
    }
}

/// Server-sent events.
pub fn frames(events: &[Value]) -> String {
    let frame = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(frame).collect()
}

/// A streamed reply with these words.
pub fn sse(id: &str, words: &[&str]) -> String {
    let message = json!({ "id": id, "type": "message", "role": "assistant", "model": "claude-haiku-4-5",
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": { "input_tokens": 10, "cache_read_input_tokens": 3, "output_tokens": 1 } });
    frames(&text_events(message, words, 5))
}

/// A reply of [`Stub`].
#[derive(Clone)]
pub enum Reply {
    Sse(String),
    /// Each event is sent when this many deltas have shown.
    Lockstep(String),
    Error(u16, &'static str),
}

/// A gateway with scripted replies, of which it repeats the last. It records the requests: path, headers, body.
#[derive(Clone)]
pub struct Stub {
    replies: Arc<Mutex<Vec<Reply>>>,
    pub requests: Arc<Mutex<Vec<(String, HeaderMap, Value)>>>,
    /// The number of deltas that `claude` has shown.
    pub shown: watch::Sender<usize>,
}

impl Stub {
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> (Self, String) {
        let stub = Self {
            replies: Arc::new(Mutex::new(replies.into_iter().collect())),
            requests: Arc::default(),
            shown: watch::Sender::new(0),
        };
        let router = axum::Router::new()
            .fallback(Self::answer)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(stub.clone());
        (stub, serve(router).await)
    }

    async fn answer(State(stub): State<Self>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
        let body = serde_json::from_slice(&body).unwrap_or_default();
        stub.requests
            .lock()
            .unwrap()
            .push((uri.path().to_owned(), headers, body));
        let reply = {
            let mut replies = stub.replies.lock().unwrap();
            if replies.len() > 1 {
                replies.remove(0)
            } else {
                replies[0].clone()
            }
        };
        match reply {
            Reply::Sse(text) => ([("content-type", "text/event-stream")], text).into_response(),
            Reply::Lockstep(text) => {
                let body = Body::from_stream(lockstep(text, stub.shown.subscribe()));
                ([("content-type", "text/event-stream")], body).into_response()
            }
            Reply::Error(status, body) => {
                let status = StatusCode::from_u16(status).unwrap();
                let mut reply = (status, [("content-type", "application/json")], body).into_response();
                if status == StatusCode::FORBIDDEN {
                    // The double waits, so that a busy machine can end it meanwhile.
                    reply.headers_mut().insert("retry-after", 5.into());
                }
                reply
            }
        }
    }

    pub fn bodies(&self) -> Vec<Value> {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .map(|(.., body)| body.clone())
            .collect()
    }
}

/// Holds back each delta until the one before has shown.
fn lockstep(
    text: String,
    shown: watch::Receiver<usize>,
) -> impl tokio_stream::Stream<Item = Result<String, std::io::Error>> {
    let frames: Vec<String> = text.split_inclusive("\n\n").map(str::to_owned).collect();
    let start = (frames.into_iter(), shown, 0_usize);
    futures_util::stream::unfold(start, |(mut frames, mut shown, sent)| async move {
        let frame = frames.next()?;
        let is_delta = frame.contains("text_delta");
        if is_delta {
            shown.wait_for(|shown| *shown >= sent).await.ok()?;
        }
        Some((Ok(frame), (frames, shown, sent + usize::from(is_delta))))
    })
}
