//! A simulator that `compat provider serve` runs elsewhere, driven over its control routes.

use std::fmt;

use reqwest::{Client, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::control::{Arrival, Named, PREFIX, Register, SERVICE, Shown};
use crate::ids::TrialKey;
use crate::wire::exchange::ProviderExchange;
use crate::wire::script::Script;

/// Why a remote simulator does not do as it is told.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error(
        "cannot reach the provider simulator at `{url}`: {source}; is `compat provider serve` running there?"
    )]
    Unreachable { url: String, source: reqwest::Error },
    /// It does not take the control key.
    #[error(
        "the provider simulator at `{0}` refuses the control key; take the one that `compat provider serve` was started with"
    )]
    Key(String),
    #[error("the provider simulator at `{url}` answers {status}: {body}")]
    Refused {
        url: String,
        status: StatusCode,
        body: String,
    },
    #[error("what listens at `{0}` is no provider simulator of `compat provider serve`")]
    Stranger(String),
}

pub struct RemoteSimulator {
    client: Client,
    base_url: String,
    control_key: String,
    connected_ms: u64,
    first_byte_delay_ms: u64,
}

impl RemoteSimulator {
    /// Connects to the simulator at `base_url` (`http://host:port`).
    pub async fn connect(base_url: &str, control_key: &str) -> Result<Self, RemoteError> {
        let mut remote = Self {
            client: Client::new(),
            base_url: base_url.trim_end_matches('/').to_owned(),
            control_key: control_key.to_owned(),
            connected_ms: super::now_ms(),
            first_byte_delay_ms: 0,
        };
        let hello: Value = remote.ask("hello", &json!({})).await?;
        if hello["service"] != SERVICE {
            return Err(RemoteError::Stranger(remote.base_url));
        }
        remote.first_byte_delay_ms = hello["first_byte_delay_ms"].as_u64().unwrap_or_default();
        Ok(remote)
    }

    pub fn first_byte_delay_ms(&self) -> u64 {
        self.first_byte_delay_ms
    }

    /// Whether an error says that nobody, or somebody else, is where a simulator was.
    pub fn is_gone(error: &RemoteError) -> bool {
        match error {
            RemoteError::Unreachable { source, .. } => source.is_connect(),
            RemoteError::Key(_) | RemoteError::Stranger(_) | RemoteError::Refused { .. } => true,
        }
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    pub async fn register(&self, key: TrialKey, script: &Script) -> Result<(), RemoteError> {
        let script = script.clone();
        let _: Value = self.ask("register", &Register { key, script }).await?;
        Ok(())
    }

    pub async fn first_request(&self, key: TrialKey) -> Result<(), RemoteError> {
        loop {
            let arrival: Arrival = self.ask("first-request", &Named { key }).await?;
            if arrival.arrived {
                return Ok(());
            }
        }
    }

    pub async fn shown(&self, key: TrialKey, deltas: usize) -> Result<(), RemoteError> {
        let _: Value = self.ask("shown", &Shown { key, deltas }).await?;
        Ok(())
    }

    pub async fn take(&self, key: TrialKey) -> Result<Vec<ProviderExchange>, RemoteError> {
        self.ask("take", &Named { key }).await
    }

    /// As [`super::Simulator::orphans`], since the connection was made: what was before is an earlier run's.
    pub async fn orphans(&self) -> Result<Vec<ProviderExchange>, RemoteError> {
        let mut orphans: Vec<ProviderExchange> = self.ask("orphans", &json!({})).await?;
        orphans.retain(|orphan| orphan.request.at_ms >= self.connected_ms);
        Ok(orphans)
    }

    async fn ask<T: DeserializeOwned>(&self, command: &str, body: &impl Serialize) -> Result<T, RemoteError> {
        let url = format!("{}{PREFIX}{command}", self.base_url);
        let unreachable = |source| RemoteError::Unreachable {
            url: url.clone(),
            source,
        };
        let response = self
            .client
            .post(&url)
            .bearer_auth(&self.control_key)
            .json(body)
            .send()
            .await
            .map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|_| RemoteError::Stranger(url)),
            StatusCode::UNAUTHORIZED => Err(RemoteError::Key(self.base_url.clone())),
            _ => Err(RemoteError::Refused {
                url,
                status,
                body: String::from_utf8_lossy(&body).into_owned(),
            }),
        }
    }
}

impl fmt::Debug for RemoteSimulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSimulator")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}
