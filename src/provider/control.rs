//! The control routes of a standalone simulator, below `/__compat/`. [`super::RemoteSimulator`] is their client.
//!
//! Each one requires the control key as a bearer token. A request's body is a trial's key in JSON, a pair of the key and
//! another value, or the number of an orphan. `docs/architecture.md` describes them, and
//! `schema/control-script.schema.json` the script of `register`.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use serde_json::{Value, from_slice, json, to_value};

use super::server::Server;
use crate::clock::now_ms;

pub(super) const PREFIX: &str = "/__compat/";
pub(super) const SERVICE: &str = "compat provider simulator";

pub(super) fn handle(server: &Server, parts: &Parts, body: &[u8]) -> Response<Body> {
    let command = parts.uri.path().trim_start_matches(PREFIX);
    let refused = |status, why: String| (status, json!({ "error": why }));
    let (status, reply) = if is_allowed(server, parts) {
        match obey(server, command, body) {
            Ok(Some(reply)) => (StatusCode::OK, reply),
            Ok(None) => refused(StatusCode::NOT_FOUND, format!("no control route `{command}`")),
            Err(error) => refused(StatusCode::BAD_REQUEST, error.to_string()),
        }
    } else {
        let why = "the control key is missing or wrong";
        refused(StatusCode::UNAUTHORIZED, why.to_owned())
    };
    (status, [(CONTENT_TYPE, "application/json")], reply.to_string()).into_response()
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

/// The reply to `command`; `None` if there is no such route.
fn obey(server: &Server, command: &str, body: &[u8]) -> serde_json::Result<Option<Value>> {
    let reply = match command {
        "hello" => json!({
            "service": SERVICE,
            "version": env!("CARGO_PKG_VERSION"),
            "first_byte_delay_ms": server.options.first_byte_delay_ms,
            "now_ms": now_ms(),
            // They are valid here alone. The client keeps them out of its files.
            "secrets": server.secret_values,
            "place": server.credentials.place(),
        }),
        "register" => {
            let (key, script) = from_slice(body)?;
            server.register(key, script);
            json!({})
        }
        "watch" => {
            server.watch(from_slice(body)?);
            json!({})
        }
        "shown" => {
            let (key, deltas) = from_slice(body)?;
            server.shown(key, deltas);
            json!({})
        }
        "take" => to_value(server.take(from_slice(body)?))?,
        "exchanges" => to_value(server.exchanges(from_slice(body)?))?,
        "orphans" => to_value(server.orphans())?,
        "claim" => json!(server.claim(from_slice(body)?)),
        _ => return Ok(None),
    };
    Ok(Some(reply))
}
