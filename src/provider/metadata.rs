//! Google's metadata server, which gives access tokens to the programs on a machine of Google's.
//!
//! Google's library for Node takes tokens for a service account from Google alone, whatever `token_uri` is. It asks the server
//! that `GCE_METADATA_HOST` names, if there is no service account. Source of paths and headers:
//! <https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys>.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode};
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

use super::Notice;
use super::server::Server;
use crate::clock::now_ms;

const PREFIX: &str = "/computeMetadata/v1";
/// The path of an access token.
pub const TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// A request without this header may come from a browser, and gets nothing.
const FLAVOR: (&str, &str) = ("metadata-flavor", "Google");

/// Whether the request is for the metadata server.
pub(super) fn is_asked(server: &Server, parts: &Parts) -> bool {
    let path = parts.uri.path();
    server.options.metadata_server
        && parts.method == Method::GET
        && (path.starts_with(PREFIX) || (path == "/" && has_flavor(parts)))
}

fn has_flavor(parts: &Parts) -> bool {
    parts.headers.get(FLAVOR.0).is_some_and(|value| value == FLAVOR.1)
}

pub(super) fn handle(server: &Server, parts: &Parts) -> Response<Body> {
    let path = parts.uri.path();
    let found = has_flavor(parts).then(|| value(server, path)).flatten();
    let (status, kind, body) = match found {
        Some(Value::String(text)) => (StatusCode::OK, "application/text", text),
        Some(value) => (StatusCode::OK, "application/json", value.to_string()),
        None if has_flavor(parts) => (StatusCode::NOT_FOUND, "text/html", String::new()),
        None => (StatusCode::FORBIDDEN, "text/html", String::new()),
    };
    if let Some(observe) = &server.options.observe {
        let status = status.as_u16();
        observe(&server.secrets, Notice::Metadata { path, status });
    }
    (status, [FLAVOR, (CONTENT_TYPE.as_str(), kind)], body).into_response()
}

fn value(server: &Server, path: &str) -> Option<Value> {
    let credentials = &server.credentials;
    let account = "/instance/service-accounts/default";
    let path = path.strip_prefix(PREFIX).unwrap_or(path).trim_end_matches('/');
    let path = path.replace(
        &format!("service-accounts/{}", credentials.vertex_client_email),
        "service-accounts/default",
    );
    Some(match path.as_str() {
        "" | "/instance" => json!("instance/\nproject/\nuniverse/\n"),
        "/project/project-id" => json!(credentials.vertex_project),
        "/universe/universe-domain" | "/universe/universe_domain" => json!("googleapis.com"),
        "/instance/service-accounts" => json!("default/\n"),
        _ if path == account => json!({
            "aliases": ["default"],
            "email": credentials.vertex_client_email,
            "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        }),
        _ if path == format!("{account}/email") => json!(credentials.vertex_client_email),
        _ if path == format!("{account}/scopes") => json!("https://www.googleapis.com/auth/cloud-platform\n"),
        _ if path == format!("{account}/token") => server.access_tokens.grant(now_ms()),
        _ => return None,
    })
}
