//! The simulator in this process: a server on a socket of its own, and the handle that scripts it and reads its
//! record.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::credentials::Credentials;
use super::oauth::AccessTokens;
use super::recording::Ledger;
use super::server::{Server, handle};
use super::signature::Signer;
use super::trials::Trials;
use super::{Options, now_ms};
use crate::ids::TrialKey;
use crate::wire::exchange::ProviderExchange;
use crate::wire::script::Script;

/// How long open connections have to end at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}` for the provider simulator: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot make keys for the provider simulator")]
    Keys(#[from] Unspecified),
    /// The task that makes the keys did not end.
    #[error("cannot make keys for the provider simulator: {0}")]
    KeyTask(#[from] JoinError),
}

/// A running simulator. Dropping it ends it; [`Simulator::shutdown`] waits for that.
pub struct Simulator {
    server: Arc<Server>,
    base_url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Simulator {
    /// Listens, mints credentials and serves, on the runtime that this is called in.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let address = options.listen;
        let listen_error = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen_error)?;
        let base_url = format!("http://{}", listener.local_addr().map_err(listen_error)?);
        let token_base = base_url.clone();
        let credentials = spawn_blocking(move || Credentials::mint(&token_base)).await??;
        let server = Arc::new(Server {
            options,
            credentials,
            trials: Trials::default(),
            orphans: Ledger::default(),
            signer: Signer::new()?,
            access_tokens: AccessTokens::default(),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().fallback(handle).with_state(Arc::clone(&server));
        let serving = axum::serve(listener, router).with_graceful_shutdown(async {
            // Sent or dropped: either ends it.
            let _ = stopped.await;
        });
        Ok(Self {
            server,
            base_url,
            stop,
            task: tokio::spawn(async { serving.await }),
        })
    }

    pub fn first_byte_delay_ms(&self) -> u64 {
        self.server.options.first_byte_delay_ms
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What a gateway must show to it.
    pub fn credentials(&self) -> &Credentials {
        &self.server.credentials
    }

    /// An access token for Vertex AI, for clients that ask Google and nobody else for one (`claude` itself does). Good for
    /// an hour.
    pub fn access_token(&self) -> Result<String, Unspecified> {
        self.server.access_tokens.mint(now_ms())
    }

    /// Begins a trial: requests that carry `key` get the replies of `script`. An earlier trial of this key is
    /// forgotten.
    pub fn register(&self, key: TrialKey, script: Script) {
        self.server.trials.register(key, script);
    }

    /// Resolves once the trial's first request has arrived (or already had), or when there is no such trial (any
    /// more).
    pub async fn first_request(&self, key: TrialKey) {
        self.server.first_request(key).await;
    }

    /// The client has shown `deltas` content deltas (text, thinking and tool arguments, not signatures) of the stream
    /// that it reads now, in total.
    pub fn shown(&self, key: TrialKey, deltas: usize) {
        self.server.shown(key, deltas);
    }

    /// Ends a trial: its exchanges, in order. Requests that come after it belong to nobody.
    pub fn take(&self, key: TrialKey) -> Vec<ProviderExchange> {
        self.server.take(key)
    }

    /// The requests so far that no trial owns. Those for access tokens are always among them: a gateway shares
    /// one token between trials.
    pub fn orphans(&self) -> Vec<ProviderExchange> {
        self.server.orphans.exchanges()
    }

    /// Ends it. Streams under way are cut off after a moment.
    pub async fn shutdown(self) {
        // An error means that it has ended already.
        let _ = self.stop.send(());
        let _ = timeout(SHUTDOWN_GRACE, self.task).await;
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}
