//! The provider simulator: stands where Anthropic, Amazon Bedrock and Vertex AI would stand behind a gateway, answers as
//! they would, and records what it saw.
//!
//! It never judges a trial, and it knows no gateway: a request is its trial's by the key in it, its route by its
//! path. What a provider refuses is a table in `rules`. [`Simulator`] runs in this process; a [`RemoteSimulator`] is one
//! that `compat provider serve` runs elsewhere.

mod cache;
mod colour;
mod control;
mod credentials;
mod incoming;
mod oauth;
mod playback;
mod recording;
mod remote;
mod response;
mod rules;
mod server;
mod signature;
mod simulator;
mod trials;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub use credentials::{Credentials, new_control_key};
pub use remote::{RemoteError, RemoteSimulator};
pub use server::standalone_reply;
pub use simulator::{Simulator, StartError};

use crate::clock::now_ms;
use crate::ids::TrialKey;
use crate::wire::Route;
use crate::wire::exchange::{Matched, ProviderExchange, RecordedRequest};
use crate::wire::script::{ReplyMessage, Script};

#[derive(Clone)]
pub struct Options {
    /// Milliseconds added before the first byte of every reply to a Messages request: a provider's latency, for
    /// measurements.
    pub first_byte_delay_ms: u64,
    /// What a Messages request gets that no trial owns.
    pub unscripted: Unscripted,
    /// The address to listen on; port 0 for any that is free.
    pub listen: SocketAddr,
    /// The key for the control routes; `None` leaves them shut.
    pub control_key: Option<String>,
    /// Is told of every provider request as soon as its reply is decided.
    pub observe: Option<Observer>,
}

/// Is told of a request, its route, the status it gets and why.
pub type Observer = Arc<dyn Fn(&RecordedRequest, Option<Route>, u16, &Matched) + Send + Sync>;

impl Default for Options {
    /// On loopback, without delay; what no trial owns is refused.
    fn default() -> Self {
        Self {
            first_byte_delay_ms: 0,
            unscripted: Unscripted::Refuse,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            control_key: None,
            observe: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("first_byte_delay_ms", &self.first_byte_delay_ms)
            .field("unscripted", &self.unscripted)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// What a Messages request gets that no trial owns.
#[derive(Clone, Debug, PartialEq)]
pub enum Unscripted {
    Refuse,
    Reply(ReplyMessage),
}

/// The simulator behind the gateway, here or elsewhere.
#[derive(Debug)]
pub enum Provider {
    Embedded(Simulator),
    Remote(RemoteSimulator),
}

impl Provider {
    /// Milliseconds that it adds before the first byte of every reply to a Messages request.
    pub fn first_byte_delay_ms(&self) -> u64 {
        match self {
            Self::Embedded(simulator) => simulator.first_byte_delay_ms(),
            Self::Remote(remote) => remote.first_byte_delay_ms(),
        }
    }

    pub async fn register(&self, key: TrialKey, script: Script) -> Result<(), RemoteError> {
        match self {
            Self::Embedded(simulator) => simulator.register(key, script),
            Self::Remote(remote) => remote.register(key, &script).await?,
        }
        Ok(())
    }

    pub async fn first_request(&self, key: TrialKey) -> Result<(), RemoteError> {
        match self {
            Self::Embedded(simulator) => simulator.first_request(key).await,
            Self::Remote(remote) => remote.first_request(key).await?,
        }
        Ok(())
    }

    pub async fn shown(&self, key: TrialKey, deltas: usize) -> Result<(), RemoteError> {
        match self {
            Self::Embedded(simulator) => simulator.shown(key, deltas),
            Self::Remote(remote) => remote.shown(key, deltas).await?,
        }
        Ok(())
    }

    pub async fn take(&self, key: TrialKey) -> Result<Vec<ProviderExchange>, RemoteError> {
        match self {
            Self::Embedded(simulator) => Ok(simulator.take(key)),
            Self::Remote(remote) => remote.take(key).await,
        }
    }

    pub async fn orphans(&self) -> Result<Vec<ProviderExchange>, RemoteError> {
        match self {
            Self::Embedded(simulator) => Ok(simulator.orphans()),
            Self::Remote(remote) => remote.orphans().await,
        }
    }

    /// Ends an embedded simulator; a remote one stays.
    pub async fn shutdown(self) {
        match self {
            Self::Embedded(simulator) => simulator.shutdown().await,
            Self::Remote(_) => {}
        }
    }
}
