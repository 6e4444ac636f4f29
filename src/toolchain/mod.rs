//! The pinned `claude`, LiteLLM and other gateways: lock, download, verification, cache.
//!
//! [`Lock::read`] reads the pins; an [`Installer`] installs them. An installed tool is found without network. Nothing is
//! unpacked or run before it is verified.

pub mod platform;
pub mod lock;
pub mod cache;
mod proxy;
pub mod npmrc;
pub mod npm;
pub mod python;
pub mod index;
pub mod stamp;
pub mod inventory;
pub mod confinement;
pub mod claude;
pub mod litellm;
pub mod packages;
pub mod update;
pub mod published;
pub mod verify;

use std::path::PathBuf;

pub use self::cache::Cache;
pub use self::claude::{flags_of as claude_flags, version_of as claude_version};
pub use self::lock::{ClaudePin, Lock, PythonPin};
pub use self::packages::PackagePin;
pub use self::published::ToolVersion;

use crate::env::Environment;
use crate::http::RetryPolicy;
use crate::process::{Launch, ProcessTag, RunId};
use crate::progress::ProgressSink;

/// The settings for requests to registries and for the processes of their clients.
#[derive(Clone, Debug)]
pub struct ToolEnvironment {
    /// The clients' configuration, the PATH, proxies, certificates.
    pub environment: Environment,
    pub retry: RetryPolicy,
    /// The run that the processes belong to.
    pub run: RunId,
}

pub struct Installer<'a> {
    pub cache: Cache,
    pub tools: ToolEnvironment,
    pub progress: &'a dyn ProgressSink,
}

impl ToolEnvironment {
    pub fn new(environment: Environment, run: RunId) -> Self {
        Self {
            environment,
            retry: RetryPolicy::default(),
            run,
        }
    }

    /// Prepares `program` with the variables that an installer may see.
    fn launch(&self, program: impl Into<PathBuf>) -> Launch {
        let variables = self.environment.for_installers();
        Launch::new(program, ProcessTag::run(self.run)).environment(variables.iter())
    }
}

impl<'a> Installer<'a> {
    /// An installer with `environment`, into the cache that it names.
    pub fn new(environment: Environment, run: RunId, progress: &'a dyn ProgressSink) -> anyhow::Result<Self> {
        Ok(Self {
            cache: Cache::of(&environment)?,
            tools: ToolEnvironment::new(environment, run),
            progress,
        })
    }
}
