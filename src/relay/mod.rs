//! The relay: an HTTP proxy in front of the gateway or behind it. It records the exchanges of each trial, and applies a
//! trial's mutant.
//!
//! It never judges, and it changes nothing unless a mutant asks for it. It forwards the path, the bodies byte for byte, and
//! every header that does not belong to one connection. Streams go through as they arrive. It forwards a request only when
//! it is complete, because only its body may name the trial. It records a reply's head before it delays the reply.

mod guard;
mod passing;
mod recorder;
mod server;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::env::Secret;
use crate::http_server::{BoundServer, HttpServer};
use crate::ids::TrialKey;
use crate::ledger::Ledger;
use crate::mutants::{Mutant, RelayPosition, SideChange};
use crate::wire::Operation;
use crate::wire::exchange::GatewayExchange;
pub use guard::GatewayLogin;
use guard::Guard;
use server::RelayState;

/// A mutant that is applied to one trial.
#[derive(Debug)]
pub struct Mutation {
    pub mutant: Arc<Mutant>,
    changes: Arc<AtomicUsize>,
}

impl Mutation {
    pub fn new(mutant: Arc<Mutant>) -> Self {
        Self {
            mutant,
            changes: Arc::default(),
        }
    }

    /// The number of requests, replies and events that it changed.
    pub fn changes(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }

    /// Its part for the relay at `position`.
    fn at(&self, position: RelayPosition) -> Option<SideMutation> {
        let side = self.mutant.sides.iter().find(|side| side.position == position)?;
        Some(SideMutation {
            change: Arc::clone(side),
            changes: Arc::clone(&self.changes),
        })
    }
}

/// The part of a mutation that one relay applies.
#[derive(Clone, Debug)]
struct SideMutation {
    change: Arc<SideChange>,
    changes: Arc<AtomicUsize>,
}

impl SideMutation {
    fn count(&self, changes: usize) {
        self.changes.fetch_add(changes, Ordering::Relaxed);
    }
}

/// Delays the delivery of a reply until its future is ready.
pub type ReplyHold = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Delays a request of so many bytes until its permit is ready.
pub type RequestHold = Arc<dyn Fn(usize) -> BoxFuture<'static, Box<dyn RequestPermit>> + Send + Sync>;

/// A request may be under way until this is dropped.
pub trait RequestPermit: Send {
    /// The head of the reply arrived.
    fn replied(&mut self, status: u16, retry_after: Option<Duration>);
}

#[derive(Default)]
struct RelayedTrial {
    /// Whether its exchanges only pass, unrecorded.
    only_passes: bool,
    pace: Option<RequestHold>,
    ledger: Ledger<GatewayExchange>,
    turns: Mutex<HashMap<Operation, usize>>,
    mutation: Option<SideMutation>,
    hold: Option<ReplyHold>,
}

impl RelayedTrial {
    /// Counts a request: its number among the requests with this operation, from 1.
    fn next_turn(&self, operation: Operation) -> usize {
        let mut turns = self.turns.lock();
        let turn = turns.entry(operation).or_default();
        *turn += 1;
        *turn
    }
}

/// With a trial's key behind it, the beginning of a path that belongs to the trial. The relay removes it.
pub const TRIAL_PREFIX: &str = "/trial-";

/// A running relay. Dropping it stops it; [`Relay::shutdown`] also waits for its end.
pub struct Relay {
    shared: Arc<RelayState>,
    server: HttpServer,
}

impl Relay {
    /// Listens on loopback and forwards to `upstream` (`http://host:port`, with an optional path prefix). Every request
    /// passes.
    ///
    /// `aws_secret` is the key of the requests behind the gateway. A request that a mutant changes after the gateway signed it
    /// is signed again with it. A wrong signature stays wrong.
    pub async fn start(
        position: RelayPosition,
        upstream: &str,
        aws_secret: Option<&str>,
    ) -> anyhow::Result<Self> {
        let aws_secret = aws_secret.map(Secret::new);
        Self::listen(RelayState::new(position, upstream, aws_secret, None)).await
    }

    /// The same in front of a gateway, for the requests of [admitted](Self::admit) trials only.
    pub async fn start_guarded(upstream: &str) -> anyhow::Result<Self> {
        let guard = Some(Guard::default());
        Self::listen(RelayState::new(RelayPosition::Front, upstream, None, guard)).await
    }

    async fn listen(state: reqwest::Result<RelayState>) -> anyhow::Result<Self> {
        let bound = BoundServer::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
            .context("cannot listen on loopback for the relay")?;
        let shared = Arc::new(state.context("cannot make the relay's HTTP client")?);
        let server = bound.serve(router(&shared));
        Ok(Self { shared, server })
    }

    /// Serves a further listener, such as one in the network of a confined program. Dropping the result ends that.
    pub fn serve_too(&self, listener: TcpListener) -> HttpServer {
        BoundServer::of(listener, self.base_url()).serve(router(&self.shared))
    }

    /// A new token for a trial: its requests reach the gateway with `login`. A relay that is not guarded has none and
    /// returns the credential.
    pub fn admit(&self, key: TrialKey, login: impl Into<GatewayLogin>) -> Secret {
        let login = login.into();
        match &self.shared.guard {
            Some(guard) => guard.admit(key, login),
            None => login.credential,
        }
    }

    /// The valid tokens of a trial.
    pub fn tokens(&self, key: TrialKey) -> Vec<Secret> {
        let guard = self.shared.guard.as_ref();
        guard.map(|guard| guard.tokens(key)).unwrap_or_default()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> &str {
        self.server.base_url()
    }

    /// Registers a trial: requests with its `key` are recorded. A mutant of this relay's position is applied to them. A relay
    /// in front of the gateway delays the replies by `hold`.
    pub fn register(&self, key: TrialKey, mutation: Option<&Arc<Mutation>>, hold: Option<ReplyHold>) {
        let position = self.shared.position;
        let trial = RelayedTrial {
            mutation: mutation.and_then(|mutation| mutation.at(position)),
            hold: hold.filter(|_| position == RelayPosition::Front),
            ..RelayedTrial::default()
        };
        self.shared.trials.insert(key, trial);
    }

    /// Registers a trial of a live run, whose exchanges are recorded only if `records`; `pace` delays its requests to the model.
    pub fn register_paced(&self, key: TrialKey, pace: RequestHold, records: bool) {
        let trial = RelayedTrial {
            only_passes: !records,
            pace: Some(pace),
            ..RelayedTrial::default()
        };
        self.shared.trials.insert(key, trial);
    }

    /// The exchanges of a trial so far.
    pub fn exchanges(&self, key: TrialKey) -> Vec<GatewayExchange> {
        let trial = self.shared.trials.get(key);
        trial.map(|trial| trial.ledger.exchanges()).unwrap_or_default()
    }

    /// Removes a trial. Later requests pass unrecorded and unchanged; a guarded relay refuses them.
    pub fn remove(&self, key: TrialKey) {
        self.take(key);
    }

    /// Removes a trial and returns its exchanges, in order.
    pub fn take(&self, key: TrialKey) -> Vec<GatewayExchange> {
        if let Some(guard) = &self.shared.guard {
            guard.dismiss(key);
        }
        let trial = self.shared.trials.remove(key);
        trial.map(|trial| trial.ledger.take()).unwrap_or_default()
    }

    /// The number of connections so far that the server behind the relay refused.
    pub fn refused_connections(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Whether a reply so far had an id that only the simulator makes.
    pub fn has_met_simulator(&self) -> bool {
        self.shared.met_simulator.load(Ordering::Relaxed)
    }

    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

fn router(shared: &Arc<RelayState>) -> Router {
    Router::new()
        .fallback(server::handle)
        .with_state(Arc::clone(shared))
}
