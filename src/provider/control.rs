//! The control routes of a standalone simulator, below `/__compat/`. [`super::RemoteSimulator`] is their client.
//!
//! Each one requires the control key as a bearer token. Bodies are JSON.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::server::Server;
use super::trials::ScriptedTrial;
use crate::ids::TrialKey;
use crate::wire::script::Script;

pub(super) const PREFIX: &str = "/__compat/";
pub(super) const SERVICE: &str = "compat provider simulator";

#[derive(Serialize, Deserialize)]
pub(super) struct Register {
    pub(super) key: TrialKey,
    pub(super) script: Script,
}

#[derive(Serialize, Deserialize)]
pub(super) struct NamedTrial {
    pub(super) key: TrialKey,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) key: TrialKey,
    pub(super) deltas: usize,
}

pub(super) fn is_control(path: &str) -> bool {
    path.starts_with(PREFIX)
}

pub(super) async fn handle(server: &Server, parts: &Parts, body: &[u8]) -> Response<Body> {
    if !is_allowed(server, parts) {
        return refusal(StatusCode::UNAUTHORIZED, "the control key is missing or wrong");
    }
    let command = parts.uri.path().trim_start_matches(PREFIX);
    match obey(server, command, body).await {
        Ok(Some(answer)) => reply(StatusCode::OK, answer),
        Ok(None) => refusal(StatusCode::NOT_FOUND, &format!("no control route `{command}`")),
        Err(error) => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn is_allowed(server: &Server, parts: &Parts) -> bool {
    let shown = parts
        .headers
        .get(AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    match (&server.options.control_key, shown) {
        (Some(key), Some(shown)) => verify_slices_are_equal(key.as_bytes(), shown).is_ok(),
        _ => false,
    }
}

async fn obey(server: &Server, command: &str, body: &[u8]) -> serde_json::Result<Option<Vec<u8>>> {
    let done = || serde_json::to_vec(&json!({}));
    let answer = match command {
        "hello" => serde_json::to_vec(&json!({
            "service": SERVICE,
            "version": env!("CARGO_PKG_VERSION"),
            "first_byte_delay_ms": server.options.first_byte_delay_ms,
        })),
        "register" => {
            let Register { key, script } = serde_json::from_slice(body)?;
            server.trials.insert(key, ScriptedTrial::new(script));
            done()
        }
        "shown" => {
            let Shown { key, deltas } = serde_json::from_slice(body)?;
            server.shown(key, deltas);
            done()
        }
        "take" => {
            let NamedTrial { key } = serde_json::from_slice(body)?;
            serde_json::to_vec(&server.take(key))
        }
        "orphans" => serde_json::to_vec(&server.orphans.exchanges()),
        _ => return Ok(None),
    };
    answer.map(Some)
}

fn refusal(status: StatusCode, why: &str) -> Response<Body> {
    reply(status, json!({ "error": why }).to_string().into_bytes())
}

fn reply(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
