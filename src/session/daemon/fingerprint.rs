//! The inputs of a warm session. A run uses one only if it was started from identical inputs.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::spec_files::PROXY_CONFIG;
use crate::toolchain::integrity::Sha512;
use crate::toolchain::lock::{self, Lock};

/// A digest of this library's source (`build.rs`). All programs built from the same source share it.
const SOURCE: &str = env!("SOURCE_DIGEST");

/// The inputs of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The source of the program that runs it: the simulator is part of it.
    pub source: String,
    pub litellm: String,
    /// The digest of the hashed requirements of LiteLLM.
    pub requirements: Sha512,
    /// The digest of the gateway's configuration.
    pub proxy_config: Sha512,
}

impl Fingerprint {
    /// The inputs that this program would use for the project at `root`.
    pub fn of(root: &Path) -> anyhow::Result<Self> {
        let path = root.join(PROXY_CONFIG);
        let proxy_config =
            std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let pin = Lock::read(&root.join(lock::FOLDER))?.litellm;
        Ok(Self {
            source: SOURCE.into(),
            requirements: pin.digest(),
            litellm: pin.version,
            proxy_config: Sha512::of(&proxy_config),
        })
    }

    /// The first difference to the `wanted` inputs, if there is one.
    pub fn difference(&self, wanted: &Self) -> Option<String> {
        if self.source != wanted.source {
            return Some("the source of `compat` changed after it started".into());
        }
        if self.litellm != wanted.litellm {
            return Some(format!(
                "it runs LiteLLM {}, but {} is pinned",
                self.litellm, wanted.litellm
            ));
        }
        if self.requirements != wanted.requirements {
            return Some("the pinned requirements of LiteLLM changed after it started".into());
        }
        (self.proxy_config != wanted.proxy_config)
            .then(|| format!("`{PROXY_CONFIG}` changed after it started"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_input_is_a_difference() {
        let made = Fingerprint {
            source: "1".into(),
            litellm: "1.106.2".into(),
            requirements: Sha512::of(b"1"),
            proxy_config: Sha512::of(b"1"),
        };
        assert_eq!(made.difference(&made.clone()), None);
        let other = |change: fn(&mut Fingerprint)| {
            let mut wanted = made.clone();
            change(&mut wanted);
            made.difference(&wanted).unwrap()
        };
        assert!(other(|wanted| wanted.source = "2".into()).contains("the source of `compat`"));
        assert!(other(|wanted| wanted.litellm = "1.107.0".into()).contains("1.107.0 is pinned"));
        assert!(
            other(|wanted| wanted.requirements = Sha512::of(b"2")).contains("pinned requirements of LiteLLM")
        );
        assert!(
            other(|wanted| wanted.proxy_config = Sha512::of(b"2")).contains("`proxy_config.yaml` changed")
        );
    }
}
