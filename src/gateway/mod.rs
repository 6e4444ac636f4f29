//! The system under test: a LiteLLM proxy that is started here on loopback or kept warm, or any gateway that already runs.
//!
//! It starts, watches and stops; it never looks into what passes through.

mod litellm;
mod log;

pub use litellm::{Litellm, LitellmOptions, StartError};
pub use log::Log;

use crate::env::Secret;

#[derive(Debug)]
pub enum Gateway {
    Litellm(Box<Litellm>),
    /// None: `claude` talks to the provider simulator at this address itself.
    Absent {
        /// `http://host:port`, without a path.
        base_url: String,
        /// What clients show at the Messages route.
        key: Secret,
    },
    /// A LiteLLM proxy that another process of this project keeps warm.
    Warm {
        /// `http://127.0.0.1:PORT`.
        base_url: String,
        key: Secret,
        version: String,
        log: Log,
    },
    Attached {
        /// `http://host:port`, without a path.
        base_url: String,
        key: Secret,
    },
}

impl Gateway {
    /// `http://host:port`, without a path.
    pub fn base_url(&self) -> &str {
        match self {
            Self::Litellm(litellm) => litellm.base_url(),
            Self::Attached { base_url, .. } | Self::Absent { base_url, .. } | Self::Warm { base_url, .. } => {
                base_url
            }
        }
    }

    pub fn key(&self) -> &Secret {
        match self {
            Self::Litellm(litellm) => litellm.key(),
            Self::Attached { key, .. } | Self::Absent { key, .. } | Self::Warm { key, .. } => key,
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Litellm(_) | Self::Warm { .. } => "litellm",
            Self::Attached { .. } => "attached",
            Self::Absent { .. } => "none",
        }
    }

    /// Where its log lines are, if they are seen here.
    pub fn log(&self) -> Option<&Log> {
        match self {
            Self::Litellm(litellm) => Some(litellm.log()),
            Self::Warm { log, .. } => Some(log),
            Self::Attached { .. } | Self::Absent { .. } => None,
        }
    }

    pub async fn stop(self) {
        if let Self::Litellm(litellm) = self {
            litellm.stop().await;
        }
    }
}

/// Where LiteLLM says its version: 1.106 to those who show a key, older ones to everybody.
const VERSION_PATHS: [&str; 2] = ["/health/readiness/details", "/health/readiness"];

/// The gateway's version as it says itself, where it does: in one of LiteLLM's answers about its health, or in the
/// header `x-litellm-version` of it.
pub async fn version_of(base_url: &str, key: &Secret) -> Option<String> {
    for path in VERSION_PATHS {
        if let Some(version) = version_at(&format!("{base_url}{path}"), key).await {
            return Some(version);
        }
    }
    None
}

async fn version_at(url: &str, key: &Secret) -> Option<String> {
    let reply = reqwest::Client::new()
        .get(url)
        .bearer_auth(key.expose())
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
