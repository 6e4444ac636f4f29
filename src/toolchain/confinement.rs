//! What a confined `claude` may read, and what is hidden from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use super::Cache;
use crate::env::{self, Environment};
use crate::isolation::IsolationLevel;
use crate::process::{Cage, CageLayers};

/// The layers of the cage that this machine has.
pub fn layers(environment: &Environment) -> CageLayers {
    CageLayers::of_this_machine(environment.find_program("bwrap"))
}

/// A cage of `layers` for a `claude` that connects to `port` only; `None` without layers. It reads no file of the project at
/// `root`, of the user's home, of the cache, and no temporary file. `keeper` is the executable to use as the keeper, else
/// the program that runs now.
pub fn cage(
    environment: &Environment,
    layers: CageLayers,
    root: Option<&Path>,
    keeper: Option<&Path>,
    port: Option<u16>,
) -> anyhow::Result<Option<Arc<Cage>>> {
    if layers.level() == IsolationLevel::None {
        return Ok(None);
    }
    let hidden = hidden(environment, root);
    let also = readable(environment, &hidden);
    let cage = Cage::new(keeper, layers, &also, &hidden, port);
    Ok(Some(Arc::new(
        cage.context("cannot find this executable for the cage")?,
    )))
}

/// The folders of the user.
fn hidden(environment: &Environment, root: Option<&Path>) -> Vec<PathBuf> {
    let cache = Cache::of(environment).ok();
    [
        root.map(Path::to_owned),
        environment.home(),
        cache.map(|cache| cache.root().to_owned()),
        environment.path(env::TMPDIR).or_else(|| Some("/tmp".into())),
    ]
    .into_iter()
    .flatten()
    .flat_map(|path| [path.canonicalize().ok(), Some(path)])
    .flatten()
    .collect()
}

/// The folders of programs, and the certificates, that a confined program needs besides the system's.
fn readable(environment: &Environment, hidden: &[PathBuf]) -> Vec<PathBuf> {
    let programs = environment.get_os(env::PATH).map(std::env::split_paths);
    let programs = programs
        .into_iter()
        .flatten()
        .filter(|folder| folder.is_absolute() && !hidden.iter().any(|hidden| folder.starts_with(hidden)));
    let certificates = [env::SSL_CERT_FILE, env::SSL_CERT_DIR, env::NODE_EXTRA_CA_CERTS];
    programs
        .chain(certificates.iter().filter_map(|name| environment.path(name)))
        .collect()
}
