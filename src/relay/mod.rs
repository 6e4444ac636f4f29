//! The relay: passes HTTP on between Claude Code and the gateway (in front), or between the gateway and the provider
//! (behind), as it comes and at once; records what passes for a trial; and, where a trial is under a mutant, is the bug.
//!
//! It never judges, and it changes nothing that no mutant asks it to: the path and every header but those that belong to
//! one connection go through untouched, bodies byte for byte, streams as they come. A request is passed on once it is
//! whole, because its trial may be named by its body alone. A reply passes the gate of its trial's schedule once its head
//! has come, which is written down before.

mod ledger;
mod passing;
mod server;

use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::clock::now_ms;
use crate::ids::TrialKey;
use crate::mutant::{Mutant, Position};
use crate::schedule::Gate;
use crate::wire::Operation;
use crate::wire::exchange::GatewayExchange;
use ledger::Ledger;
use server::Shared;

/// How long open connections have to end at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port can be listened on.
    #[error("cannot listen on loopback for the relay: {0}")]
    Listen(io::Error),
    #[error("cannot make the relay's HTTP client: {0}")]
    Client(reqwest::Error),
}

/// A mutant at work on one trial.
#[derive(Debug)]
pub struct Mutation {
    pub mutant: Arc<Mutant>,
    changes: AtomicUsize,
}

impl Mutation {
    /// A mutant that has changed nothing yet.
    pub fn new(mutant: Arc<Mutant>) -> Self {
        Self {
            mutant,
            changes: AtomicUsize::new(0),
        }
    }

    /// How many requests, replies and events it has changed.
    pub fn changes(&self) -> usize {
        self.changes.load(Ordering::Relaxed)
    }

    fn count(&self, changes: usize) {
        self.changes.fetch_add(changes, Ordering::Relaxed);
    }
}

/// What a relay knows of one trial.
#[derive(Default)]
struct Trial {
    ledger: Ledger,
    turns: Mutex<HashMap<Operation, usize>>,
    mutation: Option<Arc<Mutation>>,
    gate: Option<Gate>,
}

impl Trial {
    /// Counts a request: its number among those of its kind, from 1.
    fn next_turn(&self, operation: Operation) -> usize {
        let mut turns = self.turns.lock();
        let turn = turns.entry(operation).or_default();
        *turn += 1;
        *turn
    }
}

/// A running relay. Dropping it ends it; [`Relay::shutdown`] waits for that.
pub struct Relay {
    shared: Arc<Shared>,
    base_url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Relay {
    /// Listens on loopback and passes on to `upstream` (`http://host:port`, perhaps with a path before all paths), on the
    /// runtime that this is called in.
    pub async fn start(position: Position, upstream: &str) -> Result<Self, StartError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(StartError::Listen)?;
        let base_url = format!("http://{}", listener.local_addr().map_err(StartError::Listen)?);
        let shared = Arc::new(Shared::new(position, upstream).map_err(StartError::Client)?);
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new()
            .fallback(server::handle)
            .with_state(Arc::clone(&shared));
        // Small events would wait for one another's acknowledgement.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let serving = axum::serve(listener, router).with_graceful_shutdown(async {
            // Sent or dropped: either ends it.
            let _ = stopped.await;
        });
        Ok(Self {
            shared,
            base_url,
            stop,
            task: tokio::spawn(async { serving.await }),
        })
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Begins a trial: what carries `key` is recorded and, under a mutant of this relay's position, changed; in front of the
    /// gateway its replies pass `gate`.
    pub fn register(&self, key: TrialKey, mutation: Option<&Arc<Mutation>>, gate: Option<Gate>) {
        let position = self.shared.position;
        let trial = Trial {
            mutation: mutation
                .filter(|mutation| mutation.mutant.position == position)
                .cloned(),
            gate: gate.filter(|_| position == Position::Front),
            ..Trial::default()
        };
        self.shared.trials.lock().insert(key, Arc::new(trial));
    }

    /// Ends a trial: what passed for it, in order. What comes after it passes unrecorded and unchanged.
    pub fn take(&self, key: TrialKey) -> Vec<GatewayExchange> {
        let trial = self.shared.trials.lock().remove(&key);
        trial.map(|trial| trial.ledger.take()).unwrap_or_default()
    }

    /// Ends it. Streams under way are cut off after a moment.
    pub async fn shutdown(self) {
        // An error means that it has ended already.
        let _ = self.stop.send(());
        let _ = timeout(SHUTDOWN_GRACE, self.task).await;
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("position", &self.shared.position)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}
