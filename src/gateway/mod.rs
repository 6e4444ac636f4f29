//! The gateway under test: started here as a program or a container, or already running.
//!
//! It starts, watches and stops gateways. It never reads what passes through them.

mod attached;
mod catalogued;
mod container;
mod credentials;
mod litellm;
mod log;
mod postgresql;
mod process;
mod sign_in;
mod signature;
mod transparent;
mod wanted;
mod watched;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

pub use attached::{checked_address, ensure_answers, version_of};
pub use catalogued::{CatalogueGateway, InstalledParts};
pub use container::{Image, pull, remove_containers_of, start_container};
pub use credentials::{config_files, live_providers, private_names, secrets};
pub use litellm::{configure_litellm, install_release, start_litellm};
pub use log::LogFile;
pub use process::{FIRST_EXCEPTION, GatewayProcess, NotReady, is_alive, wait_until_ready};
pub use signature::verify_signature;
pub use wanted::{NO_GATEWAY, WantedGateway, WantedTools, ensure_override_fits};
pub use watched::{GatewayRun, WatchedGateway};

use crate::catalogue::KeyHeader;
use crate::env::{Environment, LITELLM_LOCAL_TABLES, Secret, Variables};
use crate::http_server::HttpServer;
use crate::ids::ProviderId;
use crate::process::RunId;
use crate::wire::secrets::Secrets;

/// The name of the gateway that a run tests if no other one is attached.
pub const LITELLM: &str = "litellm";

/// The settings with which a gateway is started.
#[derive(Clone, Debug)]
pub struct GatewayOptions<'a> {
    pub config: &'a Path,
    /// A folder for the gateway alone: its home, its temporary files and its log.
    pub folder: &'a Path,
    pub environment: &'a Environment,
    /// Base URLs and credentials of the providers, under the names that `config` uses.
    pub providers: Variables,
    pub run: RunId,
}

impl GatewayOptions<'_> {
    /// Creates the folder, and the log of a gateway with `key`.
    fn prepare(&self, key: &Secret) -> anyhow::Result<LogFile> {
        let mut secrets = secrets(&self.providers, self.config);
        secrets.push(key.expose().to_owned());
        let secrets = Secrets::new(secrets);
        ["home", "tmp"]
            .iter()
            .try_for_each(|name| std::fs::create_dir_all(self.folder.join(name)))
            .and_then(|()| LogFile::create(&self.folder.join("gateway.log"), secrets))
            .with_context(|| format!("cannot prepare `{}` for the gateway", self.folder.display()))
    }
}

/// The variables that keep a LiteLLM from downloading its tables.
fn local_tables() -> [(&'static str, &'static str); LITELLM_LOCAL_TABLES.len()] {
    LITELLM_LOCAL_TABLES.map(|name| (name, "True"))
}

/// A gateway that is ready for requests.
pub struct RunningGateway {
    /// `http://host:port`, without a path.
    pub base_url: String,
    pub key: Secret,
    /// Its log, if this machine has it.
    pub log: Option<LogFile>,
    pub kind: GatewayKind,
    pub client: ClientHeaders,
}

/// What a gateway wants in the requests of its clients.
#[derive(Clone, Debug, Default)]
pub struct ClientHeaders {
    /// The header of the key.
    pub key: KeyHeader,
    /// Further headers of all requests.
    pub all: Vec<(String, String)>,
    /// Further headers of the requests of each column.
    pub columns: BTreeMap<ProviderId, Vec<(String, String)>>,
}

impl ClientHeaders {
    /// The further headers of a request of `column`.
    pub fn of(&self, column: Option<&ProviderId>) -> Vec<(String, String)> {
        let of_column = column.and_then(|column| self.columns.get(column));
        self.all
            .iter()
            .chain(of_column.into_iter().flatten())
            .cloned()
            .collect()
    }
}

pub enum GatewayKind {
    /// A gateway that this process started.
    Started(WatchedGateway),
    /// A gateway that is part of this program.
    BuiltIn(HttpServer),
    /// A gateway that another process runs, with the processes of this machine that we know of it and of its provider simulator.
    Running(Vec<u32>),
    /// No gateway: `claude` calls the provider simulator at the base URL.
    Absent,
}

impl RunningGateway {
    /// Stops it if this process started it.
    pub async fn stop(self) {
        match self.kind {
            GatewayKind::Started(gateway) => gateway.stop().await,
            GatewayKind::BuiltIn(server) => server.shutdown().await,
            GatewayKind::Running(_) | GatewayKind::Absent => {}
        }
    }

    /// Whether its user started it.
    pub fn is_attached(&self) -> bool {
        // The warm session runs in another process too, and has a log.
        matches!(self.kind, GatewayKind::Running(_)) && self.log.is_none()
    }

    /// Says, whenever asked, which processes of this machine pass the traffic besides this one.
    pub fn processes(&self) -> impl Fn() -> Vec<u32> + Send + 'static {
        let (known, watched) = match &self.kind {
            GatewayKind::Started(gateway) => (Vec::new(), Some(gateway.process())),
            GatewayKind::Running(known) => (known.clone(), None),
            GatewayKind::BuiltIn(_) | GatewayKind::Absent => (Vec::new(), None),
        };
        move || {
            let started = watched.as_ref().and_then(|process| process());
            known.iter().copied().chain(started).collect()
        }
    }

    /// The watch of a gateway that this process started.
    pub fn watched(&self) -> Option<&WatchedGateway> {
        match &self.kind {
            GatewayKind::Started(gateway) => Some(gateway),
            GatewayKind::BuiltIn(_) | GatewayKind::Running(_) | GatewayKind::Absent => None,
        }
    }
}

/// Watches the process on the current runtime.
impl From<GatewayProcess> for RunningGateway {
    fn from(process: GatewayProcess) -> Self {
        Self {
            base_url: process.base_url().to_owned(),
            key: process.key().clone(),
            log: Some(process.log().clone()),
            kind: GatewayKind::Started(WatchedGateway::new(process)),
            client: ClientHeaders::default(),
        }
    }
}
