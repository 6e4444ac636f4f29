//! The pinned `claude` and LiteLLM: lock, download, verify, cache.
//!
//! [`Lock::read`] says what is pinned, an [`Installer`] sees to it that it is there. What is installed already is
//! found without network; what is not verified is never unpacked or run.

pub mod lock;
pub mod platform;
pub mod integrity;
pub mod program;
mod progress;
pub mod cache;
pub mod http;
pub mod npmrc;
pub mod npm;
pub mod python;
pub mod claude;
pub mod litellm;

use std::path::PathBuf;

pub use self::cache::Cache;
pub use self::claude::{InstallClaudeError, version_of as claude_version};
pub use self::litellm::{InstallLitellmError, LitellmInstall};
pub use self::lock::{ClaudePin, Lock, PythonPin};
pub use self::progress::{Progress, Silent};

use self::http::Patience;
use crate::env::Environment;

/// Installs tools into a cache.
pub struct Installer<'a> {
    /// Where to.
    pub cache: Cache,
    /// What the registries' clients see: their configuration, the PATH, proxies, certificates.
    pub environment: Environment,
    /// How long to keep trying.
    pub patience: Patience,
    /// Who hears of the progress.
    pub progress: &'a dyn Progress,
}

impl<'a> Installer<'a> {
    /// An installer that sees `environment`, into the cache that it names.
    pub fn new(environment: Environment, progress: &'a dyn Progress) -> Result<Self, cache::CacheError> {
        Ok(Self {
            cache: Cache::of(&environment)?,
            environment,
            patience: Patience::default(),
            progress,
        })
    }

    /// The `claude` of `pin`, installed if it is not; a second call needs no network.
    pub async fn ensure_claude(&self, pin: &ClaudePin) -> Result<PathBuf, InstallClaudeError> {
        claude::ensure(self, pin).await
    }

    /// The LiteLLM of `pin`, installed if it is not; a second call needs no network.
    pub async fn ensure_litellm(
        &self,
        pin: &PythonPin,
        uv: &PythonPin,
    ) -> Result<LitellmInstall, InstallLitellmError> {
        litellm::ensure(self, pin, uv).await
    }
}
