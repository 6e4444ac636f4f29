//! The cage of a session's `claude`, as strong as the machine and the run's options allow.

use std::convert::Infallible;
use std::future::pending;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};

use super::SessionOptions;
use crate::isolation::IsolationLevel;
use crate::process::{Cage, Door};
use crate::relay::Relay;
use crate::toolchain::confinement;

/// The isolation that a run asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedIsolation {
    /// The run does not start below this level.
    pub at_least: IsolationLevel,
    /// The run does not use layers above this level.
    pub at_most: IsolationLevel,
}

impl Default for WantedIsolation {
    fn default() -> Self {
        Self {
            at_least: IsolationLevel::None,
            at_most: IsolationLevel::Full,
        }
    }
}

impl WantedIsolation {
    /// Fails if `level` is not enough.
    pub fn check(self, level: IsolationLevel) -> anyhow::Result<()> {
        let wanted = self.at_least;
        ensure!(
            level >= wanted,
            "the run requires isolation level `{wanted}` and reaches only `{level}`; `compat doctor` says what is missing"
        );
        Ok(())
    }
}

/// The cage of a run whose `claude` may connect to `entrance` only; `None` if the run wants none.
pub(super) fn cage(options: &SessionOptions, entrance: &str) -> anyhow::Result<Option<Arc<Cage>>> {
    let environment = &options.environment;
    let layers = confinement::layers(environment).at_most(options.isolation.at_most);
    options.isolation.check(layers.level())?;
    let port = reqwest::Url::parse(entrance).ok().and_then(|url| url.port());
    let (root, keeper) = (options.root.as_path(), options.watchdog.as_deref());
    confinement::cage(environment, layers, Some(root), keeper, port)
}

/// Serves the network of a confined program in `folder` by `relay`, until the future is dropped.
pub(super) fn door(
    cage: Option<&Cage>,
    folder: &Path,
    relay: &Relay,
) -> anyhow::Result<impl Future<Output = Infallible>> {
    let door = match cage.is_some_and(Cage::has_door) {
        true => {
            Some(Door::wait_in(folder).with_context(|| format!("cannot listen in `{}`", folder.display()))?)
        }
        false => None,
    };
    Ok(async move {
        let listener = match door {
            Some(door) => door.listener().await.ok(),
            None => None,
        };
        let _server = listener.map(|listener| relay.serve_too(listener));
        pending().await
    })
}
