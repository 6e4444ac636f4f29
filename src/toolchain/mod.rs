//! The pinned `claude` and LiteLLM: lock, download, verify, cache.
//!
//! [`Lock::read`] says what is pinned, an [`Installer`] sees to it that it is there. What is installed already is
//! found without network; what is not verified is never unpacked or run.
//!
//! An error's text says all that there is to say; none has a further source that would repeat part of it.

pub mod lock;
pub mod platform;
pub mod integrity;
pub mod progress;
pub mod cache;
pub mod http;
pub mod npmrc;
pub mod npm;
pub mod python;
pub mod claude;
pub mod litellm;
pub mod update;
pub mod stamp;
pub mod verify;

use std::path::PathBuf;

pub use self::cache::Cache;
pub use self::claude::{InstallClaudeError, version_of as claude_version};
pub use self::litellm::{InstallLitellmError, LitellmInstall};
pub use self::lock::{ClaudePin, Lock, PythonPin};
pub use self::progress::{Progress, Silent};

use self::http::Patience;
use crate::env::Environment;
use crate::process::{Launch, Mark, RunId};

/// What registries and their clients are asked with.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The clients' configuration, the PATH, proxies, certificates.
    pub environment: Environment,
    pub patience: Patience,
    /// What the clients' processes belong to.
    pub run: RunId,
}

pub struct Installer<'a> {
    pub cache: Cache,
    pub surroundings: Surroundings,
    pub progress: &'a dyn Progress,
}

impl Surroundings {
    /// Those that `environment` tells of, for processes of `run`.
    pub fn new(environment: Environment, run: RunId) -> Self {
        Self {
            environment,
            patience: Patience::default(),
            run,
        }
    }

    /// `program`, to be run with what an installer may see.
    fn launch(&self, program: impl Into<PathBuf>) -> Launch {
        Launch::new(program, Mark::run(self.run)).environment(self.environment.for_installers().iter())
    }
}

impl<'a> Installer<'a> {
    /// An installer that sees `environment`, into the cache that it names.
    pub fn new(
        environment: Environment,
        run: RunId,
        progress: &'a dyn Progress,
    ) -> Result<Self, cache::CacheError> {
        let surroundings = Surroundings::new(environment, run);
        Ok(Self {
            cache: Cache::of(&surroundings.environment)?,
            surroundings,
            progress,
        })
    }

    /// The `claude` of `pin`, installed if it is not; a second call needs no network.
    pub async fn ensure_claude(&self, pin: &ClaudePin) -> Result<PathBuf, InstallClaudeError> {
        claude::ensure(self, pin).await
    }

    /// The LiteLLM of `pin`, installed if it is not; a second call needs no network. `uv` is what installs it on a
    /// machine that has no `uv`.
    pub async fn ensure_litellm(
        &self,
        pin: &PythonPin,
        uv: &PythonPin,
    ) -> Result<LitellmInstall, InstallLitellmError> {
        litellm::ensure(self, pin, uv).await
    }
}
