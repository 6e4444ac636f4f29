//! The relay: an HTTP proxy in front of the gateway or behind it. It records the exchanges of each trial, and applies a
//! trial's mutant.
//!
//! It never judges, and it changes nothing unless a mutant asks for it. It forwards the path, the bodies byte for byte, and
//! every header that does not belong to one connection. Streams go through as they arrive. It forwards a request only when
//! it is complete, because only its body may name the trial. It records a reply's head before it delays the reply.

mod passing;
mod recorder;
mod server;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use axum::Router;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::env::Secret;
use crate::http_server::{BoundServer, HttpServer};
use crate::ids::TrialKey;
use crate::ledger::Ledger;
use crate::mutants::{Mutant, RelayPosition};
use crate::wire::Operation;
use crate::wire::exchange::GatewayExchange;
use server::RelayState;

/// A mutant that is applied to one trial.
#[derive(Debug)]
pub struct Mutation {
    pub mutant: Arc<Mutant>,
    changes: AtomicUsize,
}

impl Mutation {
    pub fn new(mutant: Arc<Mutant>) -> Self {
        Self {
            mutant,
            changes: AtomicUsize::new(0),
        }
    }

    /// The number of requests, replies and events that it changed.
    pub fn changes(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }

    fn count(&self, changes: usize) {
        self.changes.fetch_add(changes, Ordering::Relaxed);
    }
}

/// Delays the delivery of a reply until its future is ready.
pub type ReplyHold = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

#[derive(Default)]
struct RelayedTrial {
    ledger: Ledger<GatewayExchange>,
    turns: Mutex<HashMap<Operation, usize>>,
    mutation: Option<Arc<Mutation>>,
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
    /// Listens on loopback and forwards to `upstream` (`http://host:port`, with an optional path prefix).
    ///
    /// `aws_secret` is the key of the requests behind the gateway. A request that a mutant changes after the gateway signed it
    /// is signed anew with it. A wrong signature stays wrong.
    pub async fn start(
        position: RelayPosition,
        upstream: &str,
        aws_secret: Option<&str>,
    ) -> anyhow::Result<Self> {
        let bound = BoundServer::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
            .context("cannot listen on loopback for the relay")?;
        let aws_secret = aws_secret.map(Secret::new);
        let shared =
            RelayState::new(position, upstream, aws_secret).context("cannot make the relay's HTTP client")?;
        let shared = Arc::new(shared);
        let router = Router::new()
            .fallback(server::handle)
            .with_state(Arc::clone(&shared));
        Ok(Self {
            shared,
            server: bound.serve(router),
        })
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
            mutation: mutation
                .filter(|mutation| mutation.mutant.position == position)
                .cloned(),
            hold: hold.filter(|_| position == RelayPosition::Front),
            ..RelayedTrial::default()
        };
        self.shared.trials.insert(key, trial);
    }

    /// The exchanges of a trial so far.
    pub fn exchanges(&self, key: TrialKey) -> Vec<GatewayExchange> {
        let trial = self.shared.trials.get(key);
        trial.map(|trial| trial.ledger.exchanges()).unwrap_or_default()
    }

    /// Removes a trial. Later requests pass unrecorded and unchanged.
    pub fn remove(&self, key: TrialKey) {
        self.shared.trials.remove(key);
    }

    /// Removes a trial and returns its exchanges, in order.
    pub fn take(&self, key: TrialKey) -> Vec<GatewayExchange> {
        let trial = self.shared.trials.remove(key);
        trial.map(|trial| trial.ledger.take()).unwrap_or_default()
    }

    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
