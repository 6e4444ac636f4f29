//! The name of the gateway under test, which selects its known findings.

use super::RunOptions;
use crate::env::{self, Environment};
use crate::files::Project;
use crate::files::project::GATEWAYS;
use crate::progress::ProgressSink;
use crate::text::{is_name, listed};

/// Notes that nothing is known about the gateway `name`, because it has no file.
pub(super) fn note_unknown_gateway(
    project: &Project,
    name: &str,
    progress: &dyn ProgressSink,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        is_name(name),
        "`{name}` is no name of a gateway: allowed are lower-case letters, digits and `_`, a letter first"
    );
    let known = project.gateways();
    if !known.iter().any(|other| other == name) {
        progress.note(&format!(
            "there is no `{GATEWAYS}/{name}.yaml`, so no finding of this gateway is known; known gateways: {}",
            listed(known.iter().map(String::as_str))
        ));
    }
    Ok(())
}

/// The name of the gateway under test: that of `--gateway`, unless another one is attached. A run without a gateway has none.
pub(super) fn gateway_name(options: &RunOptions, environment: &Environment) -> Option<String> {
    let given = options
        .gateway_name
        .as_deref()
        .or(environment.get(env::COMPAT_GATEWAY_NAME));
    match (options.is_control(), given) {
        (true, _) => None,
        (false, Some(name)) => Some(name.to_owned()),
        (false, None) => {
            let is_own = environment.get(env::LITELLM_PROXY_BASE_URL).is_none();
            is_own.then(|| options.gateway.file_name())
        }
    }
}
