//! The simulator in this process: its server, and the handle to script it and to read its exchanges.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use axum::Router;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use super::as_live::LiveModel;
use super::credentials::Credentials;
use super::oauth::AccessTokens;
use super::server::{ORPHANS_KEPT, Server, handle};
use super::signature::Signer;
use super::trials::ScriptedTrial;
use super::{SimulatorOptions, Unscripted};
use crate::clock::now_ms;
use crate::http_server::{BoundServer, HttpServer};
use crate::ids::TrialKey;
use crate::ledger::{Ledger, TrialMap};
use crate::wire::exchange::ProviderExchange;
use crate::wire::script::Script;
use crate::wire::secrets::Secrets;

/// A running simulator. Dropping it stops it; [`Simulator::shutdown`] also waits for its end.
pub struct Simulator {
    server: Arc<Server>,
    http: HttpServer,
}

impl Simulator {
    /// Listens, makes credentials and serves on the current runtime.
    pub async fn start(options: SimulatorOptions) -> anyhow::Result<Self> {
        const NO_KEYS: &str = "cannot make keys for the provider simulator";
        let bound = BoundServer::bind(options.listen)
            .await
            .with_context(|| format!("cannot listen on `{}` for the provider simulator", options.listen))?;
        let base_url = bound.base_url().to_owned();
        let saved = options.credentials.clone();
        let credentials = spawn_blocking(move || match saved {
            Some(saved) => Credentials::from_saved(&saved, &base_url),
            None => Credentials::mint(&base_url).context(NO_KEYS),
        })
        .await
        .context(NO_KEYS)??;
        let access_tokens = AccessTokens::new(&credentials.secret);
        let mut secret_values = credentials.secrets();
        secret_values.push(access_tokens.stem().to_owned());
        secret_values.extend(options.control_key.clone());
        let standing = match &options.unscripted {
            Unscripted::Script(script) => Some(ScriptedTrial::repeating(script.clone())),
            Unscripted::AsLive(options) => Some(ScriptedTrial::of_model(LiveModel::new(options))),
            Unscripted::Reply(reply) => Some(ScriptedTrial::of_reply(reply.clone())),
            Unscripted::Refuse | Unscripted::Tape(_) => None,
        };
        let server = Arc::new(Server {
            secrets: Secrets::new(&secret_values),
            secret_values,
            options,
            trials: TrialMap::default(),
            orphans: Ledger::bounded(ORPHANS_KEPT),
            claimed: Mutex::default(),
            callers: Mutex::default(),
            forgets: AtomicBool::new(false),
            standing,
            signer: Signer::new(&credentials.secret),
            access_tokens,
            credentials,
        });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&server));
        Ok(Self {
            server,
            http: bound.serve(router),
        })
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    pub fn first_byte_delay_ms(&self) -> u64 {
        self.server.options.first_byte_delay_ms
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> &str {
        self.http.base_url()
    }

    pub fn is_metadata_server(&self) -> bool {
        self.server.options.metadata_server
    }

    pub fn credentials(&self) -> &Credentials {
        &self.server.credentials
    }

    /// The values that no recording may contain.
    pub fn secrets(&self) -> &[String] {
        &self.server.secret_values
    }

    /// An access token for Vertex AI, valid for an hour. It is for clients that request tokens from Google alone, as `claude`
    /// does.
    pub fn access_token(&self) -> String {
        self.server.access_tokens.mint(now_ms())
    }

    /// Registers a trial: requests with `key` get the replies of `script`. It replaces an earlier trial of this key.
    pub fn register(&self, key: TrialKey, script: Script) {
        self.server.register(key, script);
    }

    /// Searches later requests for `credential`, with which a client calls the gateway.
    pub fn watch(&self, credential: &str) {
        self.server.watch(credential.to_owned());
    }

    /// The client has shown `deltas` content deltas of the current stream in total: text, thinking and tool arguments, but no
    /// signatures.
    pub fn shown(&self, key: TrialKey, deltas: usize) {
        self.server.shown(key, deltas);
    }

    /// Removes a trial and returns its exchanges, in order.
    pub fn take(&self, key: TrialKey) -> Vec<ProviderExchange> {
        self.server.take(key)
    }

    /// The exchanges of a trial so far.
    pub fn exchanges(&self, key: TrialKey) -> Vec<ProviderExchange> {
        self.server.exchanges(key)
    }

    /// The requests so far that belong to no trial, without the claimed ones. Token requests are among them, because a gateway shares one token
    /// between trials.
    pub fn orphans(&self) -> Vec<ProviderExchange> {
        self.server.orphans()
    }

    /// Claims the orphan of this number for a trial; `false` if another trial has it.
    pub fn claim(&self, orphan: usize) -> bool {
        self.server.claim(orphan)
    }

    pub async fn shutdown(self) {
        self.http.shutdown().await;
    }
}
