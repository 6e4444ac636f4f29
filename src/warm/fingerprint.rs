//! What a session is made of: a run takes one that is kept warm only where it would start the very same.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::spec_files::PROXY_CONFIG;
use crate::toolchain::integrity::Sha512;
use crate::toolchain::lock::{self, Lock, LockError};

/// What a session is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The `compat` that hosts it: the simulator is part of it.
    pub build: Build,
    /// The version of LiteLLM.
    pub litellm: String,
    /// The digest of the hashed requirements that LiteLLM is installed from.
    pub requirements: Sha512,
    /// The digest of the gateway's configuration.
    pub proxy_config: Sha512,
}

/// A program, as cargo has left it: what changes the library changes the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The file.
    pub program: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// When it was written, in milliseconds since the Unix epoch.
    pub written_ms: u64,
}

/// What a session would be made of cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FingerprintError {
    /// The program is not there.
    #[error("cannot look at `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is pinned cannot be read.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl Fingerprint {
    /// Of a session that `program` would host now for the project at `root`.
    pub fn of(root: &Path, program: &Path) -> Result<Self, FingerprintError> {
        let read = |path: &Path| {
            let path = path.to_owned();
            move |source| FingerprintError::Read { path, source }
        };
        let config = root.join(PROXY_CONFIG);
        let program = program.canonicalize().map_err(read(program))?;
        let metadata = program.metadata().map_err(read(&program))?;
        let written = metadata.modified().map_err(read(&program))?;
        let pin = Lock::read(&root.join(lock::FOLDER))?.litellm;
        Ok(Self {
            build: Build {
                bytes: metadata.len(),
                written_ms: written
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| since.as_millis() as u64),
                program,
            },
            requirements: pin.digest(),
            litellm: pin.version,
            proxy_config: Sha512::of(&std::fs::read(&config).map_err(read(&config))?),
        })
    }

    /// Why a session made of this is not the `wanted` one, if it is not.
    pub fn differs(&self, wanted: &Self) -> Option<String> {
        if self.build.program != wanted.build.program {
            return Some(format!(
                "it is kept by another program, `{}`",
                self.build.program.display()
            ));
        }
        if self.build != wanted.build {
            return Some(format!(
                "`{}` has been built anew since it began",
                wanted.build.program.display()
            ));
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
            build: Build {
                program: "/target/debug/compat".into(),
                bytes: 1,
                written_ms: 1,
            },
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
        assert!(
            other(|wanted| wanted.build.program = "/target/release/compat".into())
                .contains("another program")
        );
        assert!(other(|wanted| wanted.build.written_ms = 2).contains("built anew"));
        assert!(other(|wanted| wanted.litellm = "1.107.0".into()).contains("1.107.0 is pinned"));
        assert!(other(|wanted| wanted.requirements = Sha512::of(b"2")).contains("pinned for LiteLLM"));
        assert!(
            other(|wanted| wanted.proxy_config = Sha512::of(b"2"))
                .contains("`proxy_config.yaml` has changed")
        );
    }
}
