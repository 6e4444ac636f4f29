//! Runs the programs that an installation needs: `npm`, `python`, `uv`, `claude --version`.

use std::path::PathBuf;
use std::time::Duration;

use crate::env::Environment;
use crate::process::{self, Bounds, Launch, Mark, Output, ProcessError, RunId};

/// How long one may take: an installation of LiteLLM over a slow line.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A program with exactly the variables of `environment`, in a run of its own.
pub(super) fn launch(program: impl Into<PathBuf>, environment: Environment) -> Launch {
    Launch::new(program, Mark::run(RunId::mint())).environment(environment.variables().clone())
}

/// Runs it to its end.
pub(super) async fn output(launch: &Launch) -> Result<Output, ProcessError> {
    process::output(launch, b"", Bounds::deadline(PATIENCE)).await
}
