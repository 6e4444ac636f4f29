//! Makes the lock anew from what the registries say.
//!
//! Reads metadata alone: nothing is downloaded, installed or run but `uv pip compile`. What is written names no registry.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::Installer;
use super::integrity::{IntegrityError, Sha512};
use super::litellm::{self, InstallLitellmError};
use super::lock::{ClaudePin, LockError, PythonPin, pins};
use super::npm::{Registry, RegistryError};
use super::platform::Platform;
use super::python::{self, PythonError};

/// The oldest Python that the requirements are solved for.
const OLDEST_PYTHON: &str = "3.10";

/// The lock could not be made.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A digest of another kind than the lock's.
    #[error("the registry's digest of `{package}` {version} is no sha512: {reason}")]
    Integrity {
        package: String,
        version: String,
        reason: IntegrityError,
    },
    #[error(transparent)]
    Uv(#[from] InstallLitellmError),
    /// Python, or `uv` when it solved the requirements.
    #[error("cannot pin {package}: {reason}")]
    Python { package: String, reason: PythonError },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("cannot write a temporary file: {0}")]
    Temporary(std::io::Error),
}

/// The pin of a version of `claude`: the digest of each platform's package, as the registry gives it.
pub async fn pin_claude(registry: &Registry, version: &str) -> Result<ClaudePin, UpdateError> {
    let mut sha512 = BTreeMap::new();
    for platform in Platform::ALL {
        sha512.insert(
            platform.to_string(),
            digest(registry, &platform.package(), version).await?,
        );
    }
    Ok(ClaudePin {
        version: version.to_owned(),
        sha512,
    })
}

async fn digest(registry: &Registry, package: &str, version: &str) -> Result<Sha512, UpdateError> {
    let metadata = registry.version(package, version).await?;
    let integrity = metadata.dist.integrity.ok_or_else(|| RegistryError::NoDigest {
        package: package.to_owned(),
        version: version.to_owned(),
    })?;
    integrity.parse().map_err(|reason| UpdateError::Integrity {
        package: package.to_owned(),
        version: version.to_owned(),
        reason,
    })
}

/// The pin of `package` with all that the requirements in `source` need, for every platform and Python; `uv` is the one
/// to solve them with on a machine that has none. With `published_by`, nothing newer is taken, as far as the index says
/// when its files were published.
pub async fn pin_python(
    installer: &Installer<'_>,
    uv: &PythonPin,
    package: &str,
    source: &str,
    published_by: Option<DateTime<Utc>>,
) -> Result<PythonPin, UpdateError> {
    let failed = |reason| UpdateError::Python {
        package: package.to_owned(),
        reason,
    };
    let surroundings = &installer.surroundings;
    let python = python::find(surroundings).await.map_err(failed)?;
    let uv = litellm::ensure_uv(installer, &python, uv).await?;
    let environment = python::environment_for_uv(&python, surroundings).await;
    let folder = tempfile::tempdir().map_err(UpdateError::Temporary)?;
    let input = folder.path().join("requirements.in");
    std::fs::write(&input, source).map_err(UpdateError::Temporary)?;
    let launch = surroundings
        .launch(uv)
        .environment(environment.iter())
        .directory(folder.path())
        .arguments(["pip", "compile", "--universal", "--python-version", OLDEST_PYTHON])
        .arguments([
            "--generate-hashes",
            "--no-header",
            "--no-build",
            "--quiet",
            "--python",
        ])
        .arguments([&python.program, &input])
        .arguments(published_by.map(|time| format!("--exclude-newer={}", time.format("%Y-%m-%dT%H:%M:%SZ"))));
    let output = python::run(launch, "uv pip compile").await.map_err(failed)?;
    let text = format!(
        "# Made by `compat toolchain update`.\n{}",
        without_addresses(&output.stdout_text())
    );
    Ok(PythonPin::parse(text, package, Path::new("uv pip compile"))?)
}

/// The requirements in `source` with `package` at `version`, or at any if there is none.
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

/// What differs between two requirements files: `litellm 1.106.0 → 1.106.2`, `foo added at 1.0`, `bar removed`.
pub fn differences(old: &str, new: &str) -> Vec<String> {
    let versions = |text: &str| {
        let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, version) in pins(text) {
            versions
                .entry(name.to_owned())
                .or_default()
                .push(version.to_owned());
        }
        versions
            .into_iter()
            .map(|(name, versions)| (name, versions.join(" or ")))
            .collect::<BTreeMap<_, _>>()
    };
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

/// Requirements without the lines that say where packages come from: that is each machine's own affair.
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
    fn a_version_is_put_into_the_source_and_the_rest_stays() {
        let source = "litellm[proxy]==1.106.0\ngoogle-auth\n";
        assert_eq!(
            with_version(source, "litellm", Some("1.106.2")),
            "litellm[proxy]==1.106.2\ngoogle-auth\n"
        );
        assert_eq!(
            with_version(source, "litellm", None),
            "litellm[proxy]\ngoogle-auth\n"
        );
    }

    #[test]
    fn differences_name_what_changed_came_and_went() {
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
