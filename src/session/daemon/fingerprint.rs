//! The inputs of a warm session. A run uses one only if it was started from identical inputs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::digest::Sha512;
use crate::files::project::PROXY_CONFIG;
use crate::gateway;
use crate::toolchain::lock::{self, Lock};

/// A digest of this library's source (`build.rs`). All programs built from the same source share it. The simulator is part
/// of the source.
pub const SOURCE: &str = env!("SOURCE_DIGEST");

/// A version or a digest of each input, by its name for messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(BTreeMap<String, String>);

impl Fingerprint {
    /// The inputs that this program would use for the project at `root`.
    pub fn of(root: &Path) -> anyhow::Result<Self> {
        let path = root.join(PROXY_CONFIG);
        let mut config = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        for file in gateway::config_files(&path).iter().skip(1) {
            config.extend(std::fs::read(file).unwrap_or_default());
        }
        let pin = Lock::read(&root.join(lock::FOLDER))?.litellm;
        let inputs = [
            ("the source of `compat`".to_owned(), SOURCE.to_owned()),
            ("the pinned LiteLLM".to_owned(), pin.digest().to_string()),
            (format!("`{PROXY_CONFIG}`"), Sha512::of(&config).to_string()),
        ];
        Ok(Self(inputs.into()))
    }

    /// The first difference to the `wanted` inputs, if there is one.
    pub fn difference(&self, wanted: &Self) -> Option<String> {
        let mut changed = wanted
            .0
            .iter()
            .filter(|(input, value)| self.0.get(*input) != Some(*value));
        changed
            .next()
            .map(|(input, _)| format!("{input} changed after it started"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_input_is_a_difference() {
        let made = Fingerprint::of(Path::new(".")).unwrap();
        assert_eq!(made.difference(&made.clone()), None);
        assert_eq!(made.0.len(), 3);
        for input in made.0.keys() {
            let mut wanted = made.clone();
            wanted.0.insert(input.clone(), "other".into());
            let difference = made.difference(&wanted).unwrap();
            assert_eq!(difference, format!("{input} changed after it started"));
        }
    }
}
