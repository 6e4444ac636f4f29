//! Runs `git` in a folder of the user.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;

use crate::env::Environment;
use crate::process::{self, Launch, ProcessTag, RunId};

/// The time limit for a git command on this machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// The output of `git` with `arguments` in `folder`.
pub fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let launch = Launch::new("git", ProcessTag::run(RunId::mint()))
        .arguments(arguments)
        .environment(Environment::from_process().inherited())
        .directory(folder);
    let output = process::output_blocking(&launch, b"", DEADLINE)?;
    if !output.is_success() {
        bail!(
            "`git {}` in `{}`: {}",
            arguments.join(" "),
            folder.display(),
            output.stderr_text().trim()
        );
    }
    if output.truncated {
        bail!("`git {}`: more than 16 MiB", arguments.join(" "));
    }
    Ok(output.stdout_text())
}

/// The files below `folder` that differ from `revision`, and those that git does not know and does not ignore. Relative to
/// `folder`.
pub fn changed_files(folder: &Path, revision: &str) -> anyhow::Result<Vec<PathBuf>> {
    let tracked = git(
        folder,
        &["diff", "--name-only", "--relative", "-z", revision, "--"],
    )?;
    let new = git(folder, &["ls-files", "--others", "--exclude-standard", "-z"])?;
    let names = tracked.split('\0').chain(new.split('\0'));
    Ok(names.filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}
