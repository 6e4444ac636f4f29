//! The system under test: a LiteLLM proxy that is started here on loopback, or any gateway that already runs.
//!
//! It starts, watches and stops; it never looks into what passes through.

mod litellm;
mod log;

pub use litellm::{Litellm, LitellmOptions, StartError};
pub use log::Log;

use crate::env::Secret;

/// A gateway that answers.
#[derive(Debug)]
pub enum Gateway {
    /// Started by this run.
    Litellm(Box<Litellm>),
    /// None: `claude` talks to the provider simulator at this address itself.
    Absent {
        /// `http://host:port`, without a path.
        base_url: String,
        /// What clients show at the Messages route.
        key: Secret,
    },
    /// Started by somebody else.
    Attached {
        /// `http://host:port`, without a path.
        base_url: String,
        /// What clients show it.
        key: Secret,
    },
}

impl Gateway {
    /// `http://host:port`, without a path.
    pub fn base_url(&self) -> &str {
        match self {
            Self::Litellm(litellm) => litellm.base_url(),
            Self::Attached { base_url, .. } | Self::Absent { base_url, .. } => base_url,
        }
    }

    /// What clients show it.
    pub fn key(&self) -> &Secret {
        match self {
            Self::Litellm(litellm) => litellm.key(),
            Self::Attached { key, .. } | Self::Absent { key, .. } => key,
        }
    }

    /// The word used in results.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Litellm(_) => "litellm",
            Self::Attached { .. } => "attached",
            Self::Absent { .. } => "none",
        }
    }

    /// Where its log lines are, if they are seen here.
    pub fn log(&self) -> Option<&Log> {
        match self {
            Self::Litellm(litellm) => Some(litellm.log()),
            Self::Attached { .. } | Self::Absent { .. } => None,
        }
    }

    /// Stops what this run started.
    pub async fn stop(self) {
        if let Self::Litellm(litellm) = self {
            litellm.stop().await;
        }
    }
}

/// The gateway's version as it says itself, where it does. LiteLLM 1.106 does in the header `x-litellm-version`, of
/// answers on the Messages route only; older ones also in the body of `GET /health/readiness`.
pub async fn version_of(base_url: &str, key: &Secret) -> Option<String> {
    let client = reqwest::Client::new();
    let readiness = client.get(format!("{base_url}/health/readiness"));
    // For a model that no gateway has: it is refused, and costs nothing.
    let refused = client
        .post(format!("{base_url}/v1/messages"))
        .header("anthropic-version", "2023-06-01")
        .json(&serde_json::json!({
            "model": "compat-no-such-model",
            "max_tokens": 1,
            "messages": [{ "role": "user", "content": "version" }],
        }));
    for request in [readiness, refused] {
        let version = version_in(request.bearer_auth(key.expose())).await;
        if version.is_some() {
            return version;
        }
    }
    None
}

async fn version_in(request: reqwest::RequestBuilder) -> Option<String> {
    let reply = request
        .timeout(std::time::Duration::from_secs(5))
        .send()
        .await
        .ok()?;
    let header = reply
        .headers()
        .get("x-litellm-version")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let body: Option<serde_json::Value> = reply.json().await.ok();
    header.or_else(|| Some(body?["litellm_version"].as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_version_is_that_of_a_refusal_where_readiness_does_not_tell() {
        use axum::routing::{get, post};
        let refusal = || async {
            (
                axum::http::StatusCode::BAD_REQUEST,
                [("x-litellm-version", "1.106.2")],
                "{}",
            )
        };
        let routes = axum::Router::new()
            .route("/health/readiness", get(|| async { "{\"status\":\"healthy\"}" }))
            .route("/v1/messages", post(refusal));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let base_url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await });
        let version = version_of(&base_url, &Secret::new("key")).await;
        server.abort();
        assert_eq!(version.as_deref(), Some("1.106.2"));
    }
}
