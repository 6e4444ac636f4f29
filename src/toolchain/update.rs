//! Makes new pins from the registries' metadata.
//!
//! This module downloads and installs no tool. The pins name no registry.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use super::lock::{ClaudePin, PythonPin, pins};
use super::npm::Registry;
use super::platform::{OLDEST_CLAUDE, Platform};
use super::{Installer, ToolVersion, python};
use crate::files::private_folder;
use crate::process::ProgramOutput;
use crate::results::json::timestamp::to_text as time_text;

/// The oldest Python that the requirements are solved for.
const OLDEST_PYTHON: &str = "3.10";

/// The pin of a version of `claude`, with the registry's digest of the package for each of `platforms`.
pub async fn pin_claude(
    registry: &Registry,
    version: &str,
    platforms: &[Platform],
) -> anyhow::Result<ClaudePin> {
    let mut sha512 = BTreeMap::new();
    for platform in platforms {
        let package = platform.package();
        let metadata = registry.version(&package, version).await;
        let metadata = metadata.map_err(|error| with_oldest(error, version))?;
        let digest = metadata.dist.integrity.unwrap_or_default();
        let digest = digest
            .parse()
            .with_context(|| format!("the registry has no SHA-512 for `{package}` {version}"))?;
        sha512.insert(platform.to_string(), digest);
    }
    Ok(ClaudePin {
        version: version.to_owned(),
        sha512,
    })
}

/// Says why the registry has no package of an old version.
fn with_oldest(error: anyhow::Error, version: &str) -> anyhow::Error {
    let is_older = |oldest: ToolVersion| {
        let version: Option<ToolVersion> = version.parse().ok();
        version.is_some_and(|version| version.order() < oldest.order())
    };
    match OLDEST_CLAUDE.parse().is_ok_and(is_older) {
        true => error.context(format!(
            "Claude Code {version} has no package for a platform: the first version with one is {OLDEST_CLAUDE} (16 April 2026); take \
             that version or a later one, and with `--pairs contemporary` a version of the gateway from after that day"
        )),
        false => error,
    }
}

/// The pin of `package` with all dependencies of the requirements in `source`, for every platform and Python. `uv` pins the
/// solver for a machine without one. With `published_by`, later versions are ignored if the index gives the time. `overrides` is
/// a file of `uv --override`.
pub async fn pin_python(
    installer: &Installer<'_>,
    uv: &PythonPin,
    package: &str,
    source: &str,
    published_by: Option<DateTime<Utc>>,
    overrides: Option<&Path>,
) -> anyhow::Result<PythonPin> {
    solve_python(installer, uv, package, source, None, published_by, overrides).await
}

/// [`pin_python`] for `oldest` and newer Pythons; `None` for every one that this project supports.
pub(super) async fn solve_python(
    installer: &Installer<'_>,
    uv: &PythonPin,
    package: &str,
    source: &str,
    oldest: Option<&str>,
    published_by: Option<DateTime<Utc>>,
    overrides: Option<&Path>,
) -> anyhow::Result<PythonPin> {
    let oldest = oldest.unwrap_or(OLDEST_PYTHON);
    let output = solve(installer, uv, source, oldest, published_by, overrides)
        .await
        .with_context(|| format!("cannot pin {package}"))?;
    let text = format!(
        "# Made by `compat toolchain update`.\n{}",
        without_addresses(&output.stdout_text())
    );
    PythonPin::parse(text, package, Path::new("uv pip compile"))
}

async fn solve(
    installer: &Installer<'_>,
    uv: &PythonPin,
    source: &str,
    oldest: &str,
    published_by: Option<DateTime<Utc>>,
    overrides: Option<&Path>,
) -> anyhow::Result<ProgramOutput> {
    let uv = installer.uv(uv).await?;
    let folder = private_folder::make("compat-").context("cannot create a temporary folder")?;
    let input = folder.path().join("requirements.in");
    std::fs::write(&input, source).context("cannot write a temporary file")?;
    let launch = uv
        .launch(folder.path())
        .arguments(["pip", "compile", "--universal", "--python-version", oldest])
        .arguments(["--generate-hashes", "--no-header", "--no-build", "--quiet"])
        .arguments(["--python"])
        .arguments([&uv.python.program, &input])
        .arguments(published_by.map(|time| format!("--exclude-newer={}", time_text(&time))))
        .arguments(overrides.map(std::path::absolute).transpose()?.map(|file| {
            let mut flag = OsString::from("--override=");
            flag.push(file);
            flag
        }));
    python::run(launch, "uv pip compile").await
}

/// The requirements in `source` with `package` at `version`, or at any version for `None`.
pub fn with_version(source: &str, package: &str, version: Option<&str>) -> String {
    source
        .lines()
        .map(|line| {
            let name = line
                .split(['=', '<', '>', '~', '!', ' ', ';'])
                .next()
                .unwrap_or_default();
            match (name.split('[').next() == Some(package), version) {
                (true, Some(version)) => format!("{name}=={version}\n"),
                (true, None) => format!("{name}\n"),
                (false, _) => format!("{line}\n"),
            }
        })
        .collect()
}

/// The differences between two requirements files: `litellm 1.106.0 → 1.106.2`, `foo added at 1.0`, `bar removed`.
pub fn differences(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (versions(old), versions(new));
    let changed = new.iter().filter_map(|(name, version)| match old.get(name) {
        Some(before) if before == version => None,
        Some(before) => Some(format!("{name} {before} → {version}")),
        None => Some(format!("{name} added at {version}")),
    });
    let removed = old
        .keys()
        .filter(|name| !new.contains_key(*name))
        .map(|name| format!("{name} removed"));
    changed.chain(removed).collect()
}

/// Each pinned package with its versions: `1 or 2`.
fn versions(requirements: &str) -> BTreeMap<&str, String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, version) in pins(requirements) {
        versions.entry(name).or_default().push(version);
    }
    versions
        .into_iter()
        .map(|(name, versions)| (name, versions.join(" or ")))
        .collect()
}

/// The requirements without the lines that name an index: each machine has its own.
fn without_addresses(requirements: &str) -> String {
    requirements
        .lines()
        .filter(|line| !line.starts_with("--"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_package_s_line_changes_its_version() {
        let source = "litellm[proxy]==1.106.0\ngoogle-auth\n";
        let pinned = with_version(source, "litellm", Some("1.106.2"));
        assert_eq!(pinned, "litellm[proxy]==1.106.2\ngoogle-auth\n");
        let open = with_version(source, "litellm", None);
        assert_eq!(open, "litellm[proxy]\ngoogle-auth\n");
    }

    #[test]
    fn differences_name_changed_added_and_removed_packages() {
        let old = "a==1 \\\nb==1 ; python_version < '3.11' \\\nb==2 ; python_version >= '3.11'\nc==1\n";
        let new = "a==2\nb==1 ; x\nb==2 ; y\nd==3\n";
        assert_eq!(differences(old, new), ["a 1 → 2", "d added at 3", "c removed"]);
    }

    #[test]
    fn no_address_of_an_index_is_kept() {
        let made = "--index-url https://me:pw@index.example/simple\n--find-links /wheels\n\na==1 \\\n    --hash=sha256:aa\n";
        assert_eq!(without_addresses(made), "\na==1 \\\n    --hash=sha256:aa\n");
    }
}
