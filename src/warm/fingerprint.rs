//! What a session is made of: a run takes one that is kept warm only where it would start the very same.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Sha512;
use crate::spec_files::PROXY_CONFIG;
use crate::toolchain::lock::{self, Lock};

/// A digest of the source that this library is built from (`build.rs`), the same in each program that has it in it.
const SOURCE: &str = env!("SOURCE_DIGEST");

/// What a session is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The source of the program that hosts it: the simulator is part of it.
    pub source: String,
    pub litellm: String,
    /// The digest of the hashed requirements that LiteLLM is installed from.
    pub requirements: Sha512,
    /// The digest of the gateway's configuration.
    pub proxy_config: Sha512,
}

/// What a session would be made of cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FingerprintError {
    /// The gateway's configuration is not there.
    #[error("cannot look at `{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// What is pinned cannot be read.
    #[error("{0:#}")]
    Lock(anyhow::Error),
}

impl Fingerprint {
    /// Of a session that this program would host now for the project at `root`.
    pub fn of(root: &Path) -> Result<Self, FingerprintError> {
        let path = root.join(PROXY_CONFIG);
        let proxy_config = match std::fs::read(&path) {
            Ok(bytes) => Sha512::of(&bytes),
            Err(source) => return Err(FingerprintError::Read { path, source }),
        };
        let pin = Lock::read(&root.join(lock::FOLDER))
            .map_err(FingerprintError::Lock)?
            .litellm;
        Ok(Self {
            source: SOURCE.into(),
            requirements: pin.digest(),
            litellm: pin.version,
            proxy_config,
        })
    }

    /// Why a session made of this is not the `wanted` one, if it is not.
    pub fn differs(&self, wanted: &Self) -> Option<String> {
        if self.source != wanted.source {
            return Some("the source of `compat` has changed since it began".into());
        }
        if self.litellm != wanted.litellm {
            return Some(format!(
                "it runs LiteLLM {}, and {} is pinned",
                self.litellm, wanted.litellm
            ));
        }
        if self.requirements != wanted.requirements {
            return Some("what is pinned for LiteLLM has changed since it began".into());
        }
        (self.proxy_config != wanted.proxy_config)
            .then(|| format!("`{PROXY_CONFIG}` has changed since it began"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_session_is_made_of_makes_it_another_one_when_it_changes() {
        let made = Fingerprint {
            source: "1".into(),
            litellm: "1.106.2".into(),
            requirements: Sha512::of(b"1"),
            proxy_config: Sha512::of(b"1"),
        };
        assert_eq!(made.differs(&made.clone()), None);
        let other = |change: fn(&mut Fingerprint)| {
            let mut wanted = made.clone();
            change(&mut wanted);
            made.differs(&wanted).unwrap()
        };
        assert!(other(|wanted| wanted.source = "2".into()).contains("the source of `compat`"));
        assert!(other(|wanted| wanted.litellm = "1.107.0".into()).contains("1.107.0 is pinned"));
        assert!(other(|wanted| wanted.requirements = Sha512::of(b"2")).contains("pinned for LiteLLM"));
        assert!(
            other(|wanted| wanted.proxy_config = Sha512::of(b"2"))
                .contains("`proxy_config.yaml` has changed")
        );
    }
}
