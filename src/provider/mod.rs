//! The provider simulator: it replaces Anthropic, Amazon Bedrock and Vertex AI behind a gateway, replies as they do, and
//! records every request.
//!
//! It never judges a trial, and it knows no gateway. The key in a request names its trial, and the path names its route.
//! `rules` is the table of requests that a provider refuses. [`Simulator`] runs in this process; `compat provider serve`
//! runs a [`RemoteSimulator`] elsewhere.

mod again;
pub mod as_live;
mod cache;
mod callers;
mod colour;
mod control;
mod credentials;
mod incoming;
mod metadata;
mod model_list;
mod oauth;
mod playback;
mod remote;
mod response;
mod rules;
mod server;
mod signature;
mod simulator;
mod standalone;
mod trials;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub use as_live::LiveOptions;
pub use credentials::{Credentials, new_control_key};
pub use metadata::TOKEN as METADATA_TOKEN_PATH;
pub use remote::RemoteSimulator;
pub use simulator::Simulator;
pub use standalone::standalone_reply;

use crate::drift::tape::Tape;
use crate::ids::TrialKey;
use crate::wire::exchange::ProviderExchange;
use crate::wire::redaction::SUBSCRIPTION_PREFIX;
use crate::wire::script::{ReplyMessage, Script};
use crate::wire::secrets::Secrets;

#[derive(Clone)]
pub struct SimulatorOptions {
    /// Milliseconds before the first byte of every reply to a Messages request: the latency of a provider, for
    /// measurements.
    pub first_byte_delay_ms: u64,
    pub unscripted: Unscripted,
    /// The address to listen on; port 0 for any that is free.
    pub listen: SocketAddr,
    /// The key for the control routes; `None` disables them.
    pub control_key: Option<String>,
    /// Models that the table of models lacks, by their names without a date: tiers of the manifest.
    pub tiers: Vec<String>,
    /// The credentials of an earlier simulator, from [`Credentials::saved`]; `None` for new ones.
    pub credentials: Option<String>,
    /// Whether it is Google's metadata server too. That server gives access tokens to everyone who can reach it.
    pub metadata_server: bool,
    pub observe: Option<Observer>,
}

/// Receives the secrets to hide and what the simulator did.
pub type Observer = Arc<dyn Fn(&Secrets, Notice<'_>) + Send + Sync>;

/// What a simulator did.
pub enum Notice<'a> {
    /// The reply to a provider request is decided.
    Answered {
        exchange: &'a ProviderExchange,
        /// The message of an error, else empty.
        error: &'a str,
    },
    /// The metadata server answered a request for this path.
    Metadata { path: &'a str, status: u16 },
    /// From now on the oldest requests of no trial are forgotten. Sent once.
    Forgetting { kept: usize },
}

impl Default for SimulatorOptions {
    /// On loopback, without delay. Requests that belong to no trial are refused.
    fn default() -> Self {
        Self {
            first_byte_delay_ms: 0,
            unscripted: Unscripted::Refuse,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            control_key: None,
            tiers: Vec::new(),
            credentials: None,
            metadata_server: false,
            observe: None,
        }
    }
}

/// The reply to a Messages request that belongs to no trial.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a simulator has one")]
pub enum Unscripted {
    Refuse,
    /// This reply, or the call of a tool or the JSON that the request forces.
    Reply(ReplyMessage),
    /// The replies of a model that reads the request. No request belongs to a trial then.
    AsLive(LiveOptions),
    /// The replies in order, then from the first again. Nobody reports deltas as shown, so lockstep has no effect.
    Script(Script),
    /// The replies of a cassette, also to requests for anything else than a message. The rules about credentials still hold.
    Tape(Arc<Tape>),
}

/// The simulator behind the gateway: in this process or in another.
pub enum Provider {
    Embedded(Simulator),
    Remote(RemoteSimulator),
}

impl Provider {
    pub fn first_byte_delay_ms(&self) -> u64 {
        match self {
            Self::Embedded(simulator) => simulator.first_byte_delay_ms(),
            Self::Remote(remote) => remote.first_byte_delay_ms(),
        }
    }

    /// The values that no recording may contain.
    pub fn secrets(&self) -> Vec<String> {
        match self {
            Self::Embedded(simulator) => simulator.secrets().to_vec(),
            Self::Remote(remote) => remote.secrets(),
        }
    }

    /// The token of a Claude subscription; `None` for an older simulator in another process.
    pub fn oauth_token(&self) -> Option<String> {
        let mut secrets = self.secrets().into_iter();
        secrets.find(|secret| secret.starts_with(SUBSCRIPTION_PREFIX))
    }

    pub async fn register(&self, key: TrialKey, script: Script) -> anyhow::Result<()> {
        match self {
            Self::Embedded(simulator) => simulator.register(key, script),
            Self::Remote(remote) => remote.register(key, &script).await?,
        }
        Ok(())
    }

    /// Searches later requests for `credential`, with which `claude` calls the gateway.
    pub async fn watch(&self, credential: &str) -> anyhow::Result<()> {
        match self {
            Self::Embedded(simulator) => simulator.watch(credential),
            Self::Remote(remote) => remote.watch(credential).await?,
        }
        Ok(())
    }

    /// The variables of the gateway's environment that say where requests are processed.
    pub fn place(&self) -> BTreeMap<String, String> {
        match self {
            Self::Embedded(simulator) => simulator.credentials().place(),
            Self::Remote(remote) => remote.place().clone(),
        }
    }

    pub async fn shown(&self, key: TrialKey, deltas: usize) -> anyhow::Result<()> {
        match self {
            Self::Embedded(simulator) => simulator.shown(key, deltas),
            Self::Remote(remote) => remote.shown(key, deltas).await?,
        }
        Ok(())
    }

    pub async fn take(&self, key: TrialKey) -> anyhow::Result<Vec<ProviderExchange>> {
        match self {
            Self::Embedded(simulator) => Ok(simulator.take(key)),
            Self::Remote(remote) => remote.take(key).await,
        }
    }

    /// The exchanges of a trial so far.
    pub async fn exchanges(&self, key: TrialKey) -> anyhow::Result<Vec<ProviderExchange>> {
        match self {
            Self::Embedded(simulator) => Ok(simulator.exchanges(key)),
            Self::Remote(remote) => remote.exchanges(key).await,
        }
    }

    /// Claims the orphan of this number for a trial; `false` if another trial has it.
    pub async fn claim(&self, orphan: usize) -> anyhow::Result<bool> {
        match self {
            Self::Embedded(simulator) => Ok(simulator.claim(orphan)),
            Self::Remote(remote) => remote.claim(orphan).await,
        }
    }

    pub async fn orphans(&self) -> anyhow::Result<Vec<ProviderExchange>> {
        match self {
            Self::Embedded(simulator) => Ok(simulator.orphans()),
            Self::Remote(remote) => remote.orphans().await,
        }
    }

    /// Stops an embedded simulator. A remote one continues to run.
    pub async fn shutdown(self) {
        if let Self::Embedded(simulator) = self {
            simulator.shutdown().await;
        }
    }
}
