//! A sign-in without a person: an OpenID Connect provider on loopback, and the browser that approves Claude Code's sign-in.
//!
//! Claude Code signs in to a gateway by the device flow (RFC 8628). Source: `protocol#flow` of the text that `claude gateway`
//! serves at `GET /protocol`. The provider knows one user and approves each request.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};

use super::process::new_key;
use crate::clock;
use crate::env::Secret;
use crate::http;
use crate::http_server::{BoundServer, HttpServer};
use crate::text::one_line;

const CLIENT_ID: &str = "compat-matrix";
const USER: &str = "matrix@example.com";
/// How long an ID token is valid, in seconds.
const LIFETIME_SECONDS: u64 = 300;
/// The longest time that the gateway may take for one step of the sign-in.
const PATIENCE: Duration = Duration::from_secs(10);

/// An OpenID Connect provider: <https://openid.net/specs/openid-connect-core-1_0.html>.
#[derive(Debug)]
pub(super) struct IdentityProvider {
    server: HttpServer,
    client_secret: Secret,
}

struct Issuer {
    base_url: String,
    key: EncodingKey,
    public_key: Jwk,
}

impl IdentityProvider {
    /// Starts it on a free port.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let key = key.map_err(|_| anyhow!("cannot make a key for the identity provider"))?;
        let key = EncodingKey::from_ec_der(key.as_ref());
        let public_key = Jwk::from_encoding_key(&key, Algorithm::ES256);
        let bound = BoundServer::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
        let bound = bound.context("cannot listen on loopback for the identity provider")?;
        let issuer = Issuer {
            base_url: bound.base_url().to_owned(),
            key,
            public_key: public_key.context("cannot publish the key of the identity provider")?,
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(Arc::new(issuer));
        Ok(Self {
            server: bound.serve(router),
            client_secret: new_key(),
        })
    }

    /// What a gateway's configuration needs, by name.
    pub(super) fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("issuer", self.server.base_url().to_owned()),
            ("client_id", CLIENT_ID.to_owned()),
            ("client_secret", self.client_secret.expose().to_owned()),
        ]
    }

    pub(super) async fn stop(self) {
        self.server.shutdown().await;
    }
}

fn json_reply(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

async fn configuration(State(issuer): State<Arc<Issuer>>) -> Response {
    let base = &issuer.base_url;
    json_reply(&json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn keys(State(issuer): State<Arc<Issuer>>) -> Response {
    json_reply(&json!({ "keys": [issuer.public_key] }))
}

/// Sends the browser back at once. The code is the nonce, which the ID token must contain.
async fn authorize(uri: Uri) -> Response {
    let query = form_values(uri.query().unwrap_or_default());
    let value = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let (Some(back), Some(state), Some(nonce)) = (value("redirect_uri"), value("state"), value("nonce"))
    else {
        return (
            StatusCode::BAD_REQUEST,
            "`redirect_uri`, `state` and `nonce` are needed",
        )
            .into_response();
    };
    let back = format!("{back}?{}", form(&[("code", &nonce), ("state", &state)]));
    (StatusCode::FOUND, [(header::LOCATION, back)]).into_response()
}

async fn token(State(issuer): State<Arc<Issuer>>, body: String) -> Response {
    let code = form_values(&body).into_iter().find(|(key, _)| key == "code");
    let Some((_, nonce)) = code else {
        return (StatusCode::BAD_REQUEST, "{\"error\":\"invalid_grant\"}").into_response();
    };
    let now = clock::now_ms() / 1000;
    let claims = json!({
        "iss": issuer.base_url,
        "aud": CLIENT_ID,
        "sub": USER,
        "email": USER,
        "email_verified": true,
        "nonce": nonce,
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
    });
    match jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &issuer.key) {
        Ok(id_token) => json_reply(&json!({
            "id_token": id_token,
            "access_token": nonce,
            "token_type": "Bearer",
            "expires_in": LIFETIME_SECONDS,
        })),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Signs in to the gateway at `base_url` and returns the token that it grants.
pub(super) async fn sign_in(base_url: &str) -> anyhow::Result<Secret> {
    let client = http::client_builder().no_proxy().redirect(Policy::none());
    let client = client
        .timeout(PATIENCE)
        .build()
        .context("cannot make an HTTP client for the sign-in")?;
    let post = |url: &str, values: &[(&str, &str)]| {
        let request = client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded");
        request.header("origin", base_url).body(form(values))
    };
    let metadata = format!("{base_url}/.well-known/oauth-authorization-server");
    let metadata = answer(client.get(metadata)).await?;
    let device = answer(post(text(&metadata, "device_authorization_endpoint")?, &[])).await?;
    let page = post(
        text(&device, "verification_uri")?,
        &[("user_code", text(&device, "user_code")?)],
    );
    let (provider, cookie) = redirect(page).await?;
    let (back, _) = redirect(client.get(provider)).await?;
    let approved = client.get(back).header("cookie", cookie).send().await;
    let approved = approved.context("the gateway did not answer to the approved sign-in")?;
    // It may lead on to a page.
    if !approved.status().is_redirection() {
        body_of(approved).await?;
    }
    let granted = post(
        text(&metadata, "token_endpoint")?,
        &[
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", text(&device, "device_code")?),
        ],
    );
    let granted = answer(granted).await?;
    Ok(Secret::new(text(&granted, "access_token")?))
}

/// The JSON with which `request` is answered.
async fn answer(request: RequestBuilder) -> anyhow::Result<Value> {
    let reply = request.send().await?;
    let url = reply.url().clone();
    let body = body_of(reply).await?;
    serde_json::from_str(&body).with_context(|| format!("`{url}` did not answer with JSON"))
}

/// The body of `reply`. An unsuccessful status is an error with its body.
async fn body_of(reply: reqwest::Response) -> anyhow::Result<String> {
    let (status, mut url) = (reply.status(), reply.url().clone());
    // The query may have a code.
    url.set_query(None);
    let body = http::text(reply).await?;
    ensure!(
        status.is_success(),
        "`{url}` answered with HTTP {status}: {}",
        one_line(&body, 200)
    );
    Ok(body)
}

/// Where `request` leads, and the cookie that it sets.
async fn redirect(request: RequestBuilder) -> anyhow::Result<(String, String)> {
    let reply = request.send().await?;
    let value = |name| reply.headers().get(name).and_then(|value| value.to_str().ok());
    let cookie = value(header::SET_COOKIE).and_then(|cookie| cookie.split(';').next());
    let cookie = cookie.unwrap_or_default().to_owned();
    if let Some(location) = value(header::LOCATION) {
        return Ok((location.to_owned(), cookie));
    }
    let (status, url) = (reply.status(), reply.url().clone());
    let body = http::text(reply).await?;
    Err(anyhow!(
        "`{url}` answered with HTTP {status} instead of a redirect: {}",
        one_line(&body, 200)
    ))
}

fn text<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    let text = value.get(name).and_then(Value::as_str);
    text.with_context(|| format!("the gateway's answer has no `{name}`"))
}

/// `values`, form-encoded.
fn form(values: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://form").expect("the address is valid");
    url.query_pairs_mut().extend_pairs(values);
    url.query().unwrap_or_default().to_owned()
}

/// The values of a form-encoded text.
fn form_values(text: &str) -> Vec<(String, String)> {
    let mut url = Url::parse("http://form").expect("the address is valid");
    url.set_query(Some(text));
    let pairs = url.query_pairs();
    pairs
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;

    /// A gateway with the device flow, as `claude gateway` has it.
    struct DeviceGateway {
        base_url: String,
        issuer: String,
        approval: StatusCode,
    }

    async fn metadata(State(gateway): State<Arc<DeviceGateway>>) -> Response {
        let base = &gateway.base_url;
        json_reply(&json!({
            "device_authorization_endpoint": format!("{base}/start"),
            "token_endpoint": format!("{base}/token"),
        }))
    }

    async fn start(State(gateway): State<Arc<DeviceGateway>>) -> Response {
        let page = format!("{}/device", gateway.base_url);
        json_reply(&json!({ "device_code": "d-1", "user_code": "U 1", "verification_uri": page }))
    }

    async fn device(State(gateway): State<Arc<DeviceGateway>>, body: String) -> Response {
        if body != "user_code=U+1" {
            return (StatusCode::BAD_REQUEST, "no such code").into_response();
        }
        let back = format!("{}/back", gateway.base_url);
        let query = form(&[("redirect_uri", &back), ("state", "s"), ("nonce", "n & 1")]);
        let to = format!("{}/authorize?{query}", gateway.issuer);
        let head = [
            (header::LOCATION, to),
            (header::SET_COOKIE, "device=7; Path=/".to_owned()),
        ];
        (StatusCode::FOUND, head).into_response()
    }

    async fn back(
        State(gateway): State<Arc<DeviceGateway>>,
        uri: Uri,
        headers: axum::http::HeaderMap,
    ) -> Response {
        assert_eq!(uri.query(), Some("code=n+%26+1&state=s"));
        assert_eq!(headers[header::COOKIE], "device=7");
        (gateway.approval, "what became of the approval").into_response()
    }

    async fn grant(body: String) -> Response {
        assert!(body.ends_with("&device_code=d-1"), "{body}");
        json_reply(&json!({ "access_token": "granted" }))
    }

    async fn gateway(issuer: String, approval: StatusCode) -> HttpServer {
        let bound = BoundServer::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
            .unwrap();
        let base_url = bound.base_url().to_owned();
        let router = Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/start", post(start))
            .route("/device", post(device))
            .route("/back", get(back))
            .route("/token", post(grant));
        bound.serve(router.with_state(Arc::new(DeviceGateway {
            base_url,
            issuer,
            approval,
        })))
    }

    #[tokio::test]
    async fn the_run_signs_in_by_the_device_flow() {
        let provider = IdentityProvider::start().await.unwrap();
        let issuer = provider.server.base_url();
        let signing = gateway(issuer.to_owned(), StatusCode::OK).await;
        let key = sign_in(signing.base_url()).await.unwrap();
        assert_eq!(key.expose(), "granted");
        let error = sign_in(provider.server.base_url()).await.unwrap_err().to_string();
        assert!(error.contains("answered with HTTP 404"), "{error}");
        let refusing = gateway(issuer.to_owned(), StatusCode::FORBIDDEN).await;
        let error = sign_in(refusing.base_url()).await.unwrap_err().to_string();
        let refused = "/back` answered with HTTP 403 Forbidden: what became of the approval";
        assert!(error.contains(refused), "{error}");
    }

    #[tokio::test]
    async fn an_id_token_has_the_nonce_and_a_valid_signature() {
        let provider = IdentityProvider::start().await.unwrap();
        let base = provider.server.base_url();
        let client = http::client();
        let keys: JwkSet =
            serde_json::from_value(answer(client.get(format!("{base}/keys"))).await.unwrap()).unwrap();
        let request = client
            .post(format!("{base}/token"))
            .body(form(&[("code", "n & 1")]));
        let granted = answer(request).await.unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[CLIENT_ID]);
        validation.set_issuer(&[base]);
        let key = DecodingKey::from_jwk(&keys.keys[0]).unwrap();
        let token =
            jsonwebtoken::decode::<Value>(text(&granted, "id_token").unwrap(), &key, &validation).unwrap();
        assert_eq!(token.claims["nonce"], "n & 1");
        let refused = client.post(format!("{base}/token")).body("code_is=missing");
        assert_eq!(refused.send().await.unwrap().status(), 400);
    }
}
