//! The reference gateway: it forwards everything as it is. Only the credential, the path of the API and the name of the model
//! are the provider's. Every trial through it must be clean.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use serde_json::{Value, json};

use crate::catalogue::template::NeutralList;
use crate::http;
use crate::http_server::{BoundServer, HttpServer};
use crate::wire::header_names::HOP_BY_HOP;

/// The largest forwarded body, in bytes: twice the limit of Anthropic's API.
const BODY_LIMIT: usize = 64 << 20;

/// The header with the gateway's key, if `Authorization` has a credential of the provider.
const OWN_KEY: &str = "x-litellm-api-key";

struct Transparent {
    list: NeutralList,
    client: reqwest::Client,
}

/// Starts it on a free port.
pub(super) async fn start(list: &NeutralList) -> anyhow::Result<HttpServer> {
    let client = http::client_builder().no_proxy().build();
    let gateway = Transparent {
        list: list.clone(),
        client: client.context("cannot make the HTTP client of the gateway")?,
    };
    let bound = BoundServer::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
    let bound = bound.context("cannot listen on loopback for the gateway")?;
    let router = Router::new().fallback(handle).with_state(Arc::new(gateway));
    Ok(bound.serve(router))
}

async fn handle(State(gateway): State<Arc<Transparent>>, request: Request<Body>) -> Response<Body> {
    let forwarded = gateway.forward(request).await;
    forwarded.unwrap_or_else(|(status, why)| {
        let error = json!({ "type": "error", "error": { "type": "api_error", "message": why } });
        json_response(status, &error)
    })
}

fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}

impl Transparent {
    fn models(&self) -> Value {
        let models = self.list.models.iter();
        let entries =
            models.map(|model| json!({ "type": "model", "id": model.alias, "display_name": model.alias }));
        json!({ "data": entries.collect::<Vec<_>>(), "has_more": false })
    }

    async fn forward(&self, request: Request<Body>) -> Result<Response<Body>, (StatusCode, String)> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, BODY_LIMIT).await;
        let mut body = body
            .map_err(|error| (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?
            .to_vec();
        let bearer = format!("Bearer {}", self.list.key);
        let has = |name: &str, key: &str| {
            let value = parts.headers.get(name);
            value.is_some_and(|value| value.as_bytes() == key.as_bytes())
        };
        // In the API of Microsoft Foundry, Claude Code sends its key as Anthropic's own clients do.
        let is_own = has("authorization", &bearer) || has("x-api-key", &self.list.key);
        if !is_own && !has(OWN_KEY, &bearer) {
            let why = "the request has no valid key of this gateway".to_owned();
            return Err((StatusCode::UNAUTHORIZED, why));
        }
        // It has names of its own for the models.
        if parts.uri.path() == "/v1/models" {
            return Ok(json_response(StatusCode::OK, &self.models()));
        }
        let model = self
            .list
            .models
            .iter()
            .find_map(|model| Some((model, position(&body, &model.alias)?)));
        if let Some((model, at)) = model {
            body.splice(at..at + model.alias.len(), model.model.bytes());
        }
        let column = model.map_or("anthropic", |(model, _)| model.provider.as_str());
        let provider = self.list.providers.get(column).cloned().unwrap_or_default();
        let text = |name: &str| provider.get(name).cloned().unwrap_or_default();
        let prefix = if column == "azure" { "/anthropic" } else { "" };
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers.clone();
        let own = HOP_BY_HOP.iter().chain(&["host", "content-length", OWN_KEY]);
        own.for_each(|name| drop(headers.remove(*name)));
        if is_own {
            headers.remove("authorization");
            let value = HeaderValue::try_from(text("key")).unwrap_or(HeaderValue::from_static(""));
            headers.insert("x-api-key", value);
        }
        let sent = self
            .client
            .request(parts.method, format!("{}{prefix}{path}", text("base")))
            .headers(headers)
            .body(body)
            .send()
            .await;
        let reply = sent.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = reply.status();
        let mut headers: HeaderMap = reply.headers().clone();
        let own = HOP_BY_HOP.iter().chain(&["content-length"]);
        own.for_each(|name| drop(headers.remove(*name)));
        *response.headers_mut() = headers;
        *response.body_mut() = Body::from_stream(reply.bytes_stream());
        Ok(response)
    }
}

/// Where `body` names the model `alias`: its first key `model` has this value.
fn position(body: &[u8], alias: &str) -> Option<usize> {
    let is_here =
        |at: &usize| body[*at..].starts_with(alias.as_bytes()) && body.get(at + alias.len()) == Some(&b'"');
    let starts = [&b"\"model\":\""[..], b"\"model\": \""];
    let found = starts.iter().filter_map(|start| {
        let at = body.windows(start.len()).position(|window| window == *start)?;
        Some(at + start.len())
    });
    found.min().filter(is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_name_of_the_model_is_replaced() {
        let body = br#"{"model":"a-b","messages":"model a-b"}"#;
        assert_eq!(position(body, "a-b"), Some(10));
        assert_eq!(position(body, "a"), None);
        assert_eq!(position(br#"{"model": "a"}"#, "a"), Some(11));
        assert_eq!(position(b"", "a"), None);
    }
}
