//! The gateway under test: started here as a program or a container, or already running.
//!
//! It starts, watches and stops gateways. It never reads what passes through them.

mod attached;
mod container;
mod credentials;
mod litellm;
mod log;
mod process;

use std::path::Path;

pub use attached::version_of;
pub use container::{Image, pull, remove_containers_of, start_container};
pub use credentials::{live_providers, secrets};
pub use litellm::{install_release, start_litellm};
pub use log::LogFile;
pub use process::{GatewayProcess, NotReady, is_alive, wait_until_ready};

use crate::env::{Environment, Secret, Variables};
use crate::process::RunId;

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

#[derive(Debug)]
pub enum RunningGateway {
    /// A LiteLLM proxy that this process started.
    Process(Box<GatewayProcess>),
    /// A LiteLLM proxy that the background session runs.
    Daemon {
        /// `http://127.0.0.1:PORT`.
        base_url: String,
        key: Secret,
        log: LogFile,
    },
    /// A gateway that somebody else runs.
    Attached {
        /// `http://host:port`, without a path.
        base_url: String,
        key: Secret,
    },
    /// No gateway: `claude` calls the provider simulator at this address.
    Absent {
        /// `http://host:port`, without a path.
        base_url: String,
        /// The simulator's key for the Messages route.
        key: Secret,
    },
}

impl RunningGateway {
    /// `http://host:port`, without a path.
    pub fn base_url(&self) -> &str {
        match self {
            Self::Process(process) => process.base_url(),
            Self::Daemon { base_url, .. }
            | Self::Attached { base_url, .. }
            | Self::Absent { base_url, .. } => base_url,
        }
    }

    pub fn key(&self) -> &Secret {
        match self {
            Self::Process(process) => process.key(),
            Self::Daemon { key, .. } | Self::Attached { key, .. } | Self::Absent { key, .. } => key,
        }
    }

    /// Its log, if this machine has it.
    pub fn log(&self) -> Option<&LogFile> {
        match self {
            Self::Process(process) => Some(process.log()),
            Self::Daemon { log, .. } => Some(log),
            Self::Attached { .. } | Self::Absent { .. } => None,
        }
    }

    /// Stops it if this process started it.
    pub async fn stop(self) {
        if let Self::Process(process) = self {
            process.stop().await;
        }
    }
}
