//! The packages of the catalogue's gateways: each with all its dependencies, pinned in `toolchain/gateways/`.
//!
//! `<name>.json` is a lock of the npm client without a registry's address; `<name>.txt` has hashed requirements, as LiteLLM's
//! has. The package managers verify every download. No install script runs: it could do what no digest covers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::cache::{self, CacheEntry};
use super::lock::{Lock, PythonPin, read, write};
use super::platform::Platform;
use super::{Installer, ToolVersion, litellm, python, update};
use crate::catalogue::{Install, OwnTool};
use crate::digest::Sha512;
use crate::files::private_folder;
use crate::process::{self, Launch};
use crate::progress::Work;
use crate::results::json::timestamp::to_text as time_text;

/// The folder of these locks, in the folder of the lock.
pub const GATEWAYS: &str = "gateways";
/// The layout of an installation: one without an inventory is not this one.
const LAYOUT: &str = "package";
/// The longest call of the npm client: some hundred packages on a slow line.
const NPM_DEADLINE: Duration = Duration::from_secs(10 * 60);

/// One version of a package with all its dependencies.
#[derive(Clone, Debug, PartialEq)]
pub enum PackagePin {
    Npm(NpmPin),
    Pypi(PythonPin),
}

/// A lock of the npm client (`package-lock.json`, version 3), in which each package has its SHA-512.
///
/// Source: the manual page `package-lock-json` of the npm client, version 11 (`npm help package-lock-json`).
#[derive(Clone, Debug, PartialEq)]
pub struct NpmPin {
    pub package: String,
    pub version: String,
    lock: Value,
}

impl NpmPin {
    /// Parses the text of a lock that pins `package` at `version`; errors name `file`.
    pub fn parse(text: &str, package: &str, version: &str, file: &Path) -> anyhow::Result<Self> {
        let shown = file.display();
        let name = file.file_stem().unwrap_or_default().display();
        let lock: Value =
            serde_json::from_str(text).with_context(|| format!("`{shown}` is not a lock of npm"))?;
        ensure!(
            lock["lockfileVersion"] == 3,
            "`{shown}` is not a lock of npm of version 3: generate the file again with `compat toolchain update --gateway {name}`"
        );
        let packages = lock["packages"].as_object().cloned().unwrap_or_default();
        for (path, entry) in packages.iter().filter(|(path, _)| !path.is_empty()) {
            let integrity = entry["integrity"].as_str().unwrap_or_default();
            ensure!(
                integrity.starts_with("sha512-"),
                "`{shown}` pins `{path}` without a SHA-512: generate the file again with `compat toolchain update --gateway {name}`"
            );
            ensure!(
                entry.get("resolved").is_none(),
                "`{shown}` names an address for `{path}`: the npm client's settings name the registry"
            );
        }
        let pinned = packages
            .get(&format!("node_modules/{package}"))
            .and_then(|entry| entry["version"].as_str());
        let wanted = lock["packages"][""]["dependencies"][package].as_str();
        ensure!(
            pinned == Some(version) && wanted == Some(version),
            "`{shown}` does not pin `{package}` {version}{}: run `compat toolchain update --gateway {name}`",
            pinned.map_or_else(String::new, |pinned| format!(", but {pinned}"))
        );
        Ok(Self {
            package: package.to_owned(),
            version: version.to_owned(),
            lock,
        })
    }

    fn text(&self) -> String {
        format!("{:#}\n", self.lock)
    }
}

impl PackagePin {
    /// The lock's file for the gateway `name`, in the folder of the lock. `None` if the gateway is no package.
    pub fn file(folder: &Path, name: &str, install: &Install) -> Option<PathBuf> {
        let ending = match install {
            Install::Npm { .. } => "json",
            Install::Pypi { .. } => "txt",
            Install::Tool(_) | Install::BuiltIn(_) => return None,
        };
        Some(folder.join(GATEWAYS).join(format!("{name}.{ending}")))
    }

    /// Reads the lock of the gateway `name`. `None` if the gateway is no package.
    pub fn read(folder: &Path, name: &str, install: &Install) -> anyhow::Result<Option<Self>> {
        let Some(file) = Self::file(folder, name, install) else {
            return Ok(None);
        };
        let text = read(&file).with_context(|| {
            format!("the gateway `{name}` is not pinned: run `compat toolchain update --gateway {name}`")
        })?;
        Ok(Some(match install {
            Install::Pypi { package, version, .. } => {
                let name = package.split('[').next().unwrap_or(package);
                let pin = PythonPin::parse(text, name, &file)?;
                ensure!(
                    pin.version == *version,
                    "`{}` pins `{package}` {}, not {version}: run `compat toolchain update --gateway {name}`",
                    file.display(),
                    pin.version
                );
                Self::Pypi(pin)
            }
            Install::Npm { package, version } => Self::Npm(NpmPin::parse(&text, package, version, &file)?),
            Install::Tool(_) | Install::BuiltIn(_) => return Ok(None),
        }))
    }

    pub fn version(&self) -> &str {
        match self {
            Self::Npm(pin) => &pin.version,
            Self::Pypi(pin) => &pin.version,
        }
    }

    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let folder = file.parent().unwrap_or(Path::new(""));
        std::fs::create_dir_all(folder).map_err(cache::failed("create the folder", folder))?;
        match self {
            Self::Npm(pin) => write(file, &pin.text()),
            Self::Pypi(pin) => write(file, &pin.requirements),
        }
    }

    /// The pinned packages, a line `NAME==VERSION` for each.
    pub fn listing(&self) -> String {
        match self {
            Self::Pypi(pin) => pin.requirements.clone(),
            Self::Npm(pin) => {
                let packages = pin.lock["packages"].as_object().into_iter().flatten();
                let line = |(path, entry): (&String, &Value)| {
                    let (_, name) = path.rsplit_once("node_modules/")?;
                    Some(format!("{name}=={}\n", entry["version"].as_str()?))
                };
                packages.filter_map(line).collect()
            }
        }
    }

    /// It identifies the pin.
    pub fn digest(&self) -> Sha512 {
        match self {
            Self::Npm(pin) => Sha512::of(pin.text().as_bytes()),
            Self::Pypi(pin) => pin.digest(),
        }
    }
}

impl Installer<'_> {
    /// The cache's entry of `pin` on this machine, installed or not.
    pub fn package_entry(&self, name: &str, pin: &PackagePin) -> anyhow::Result<CacheEntry> {
        let platform = Platform::current()?;
        let entry = self.cache.entry(name, pin.version(), platform, pin.digest());
        Ok(entry.in_layout(LAYOUT))
    }

    /// The pin of the gateway `name` at `version`, or of the committed lock. `None` if the gateway is no package. The
    /// dependencies of another version are those of its own day.
    pub async fn package_pin(
        &self,
        folder: &Path,
        name: &str,
        install: &Install,
        version: Option<&ToolVersion>,
        lock: &Lock,
    ) -> anyhow::Result<Option<PackagePin>> {
        let Some(version) = version.map(ToolVersion::as_str) else {
            return PackagePin::read(folder, name, install);
        };
        let other = |pinned: &str| (pinned != version).then(|| version.to_owned());
        let install = match install {
            Install::Npm { package, version } => other(version).map(|version| Install::Npm {
                package: package.clone(),
                version,
            }),
            Install::Pypi {
                package,
                version,
                python,
            } => other(version).map(|version| Install::Pypi {
                package: package.clone(),
                version,
                python: python.clone(),
            }),
            Install::Tool(_) | Install::BuiltIn(_) => return Ok(None),
        }
        .unwrap_or_else(|| install.clone());
        if let Ok(Some(pinned)) = PackagePin::read(folder, name, &install) {
            return Ok(Some(pinned));
        }
        // The lock of another version stays in the cache.
        let folder = self.locks_of(version);
        if let Ok(Some(pinned)) = PackagePin::read(&folder, name, &install) {
            return Ok(Some(pinned));
        }
        let by = self.day_of(&install, version, lock).await;
        let by = by.with_context(|| format!("cannot pin the gateway `{name}` {version}"))?;
        let pin = self.pin_package(&install, &lock.uv, Some(by)).await?;
        if let Some(file) = PackagePin::file(&folder, name, &install) {
            pin.write(&file)?;
        }
        Ok(Some(pin))
    }

    /// The cache's entry of what the project pins for the gateway `name`, installed or not. `None` for a part of this program.
    pub fn pinned_entry(
        &self,
        name: &str,
        install: &Install,
        folder: &Path,
        lock: &Lock,
    ) -> anyhow::Result<Option<CacheEntry>> {
        match install {
            Install::Tool(OwnTool::Claude) => self.claude_entry(&lock.claude).map(Some),
            Install::Tool(OwnTool::Litellm) => self.python_entry(litellm::TOOL, &lock.litellm).map(Some),
            Install::Npm { .. } | Install::Pypi { .. } | Install::BuiltIn(_) => {
                let pin = PackagePin::read(folder, name, install)?;
                pin.map(|pin| self.package_entry(name, &pin)).transpose()
            }
        }
    }

    /// Installs the package of the gateway `name` if it is missing, and returns its folder.
    pub async fn ensure_package(
        &self,
        name: &str,
        pin: &PackagePin,
        uv: &PythonPin,
    ) -> anyhow::Result<PathBuf> {
        let install = async |directory: &Path| {
            Ok(match pin {
                PackagePin::Npm(pin) => self.install_npm(pin, directory).await?,
                PackagePin::Pypi(pin) => {
                    self.install_litellm(pin, uv, directory).await?;
                    python::program("".as_ref(), "python")
                }
            })
        };
        let title = format!("the gateway `{name}` {}", pin.version());
        let installed = self
            .ensure_listed(&self.package_entry(name, pin)?, &title, install)
            .await?;
        Ok(installed.directory)
    }

    async fn install_npm(&self, pin: &NpmPin, directory: &Path) -> anyhow::Result<PathBuf> {
        let (package, version) = (&pin.package, &pin.version);
        let _work = Work::begin(self.progress, format!("installing {package} {version}"));
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).map_err(cache::failed("write", &path))
        };
        write("package.json", manifest(package, version))?;
        write("package-lock.json", pin.text())?;
        let install = self
            .npm()?
            .directory(directory)
            .arguments(["ci"])
            .arguments(NPM_FLAGS);
        run_npm(&install, "npm ci").await?;
        Ok(Path::new("node_modules").join(package).join("package.json"))
    }

    /// Pins `install`, the package of a gateway, with its dependencies; with `published_by`, those of that time.
    pub async fn pin_package(
        &self,
        install: &Install,
        uv: &PythonPin,
        published_by: Option<DateTime<Utc>>,
    ) -> anyhow::Result<PackagePin> {
        match install {
            Install::Pypi {
                package,
                version,
                python,
            } => {
                let name = package.split('[').next().unwrap_or(package);
                let source = format!("{package}=={version}\n");
                let pin =
                    update::solve_python(self, uv, name, &source, python.as_deref(), published_by, None)
                        .await?;
                Ok(PackagePin::Pypi(pin))
            }
            Install::Npm { package, version } => {
                let folder = private_folder::make("compat-").context("cannot create a temporary folder")?;
                let path = folder.path().join("package.json");
                std::fs::write(&path, manifest(package, version)).map_err(cache::failed("write", &path))?;
                let lock = self
                    .npm()?
                    .directory(folder.path())
                    .arguments([
                        "install",
                        "--package-lock-only",
                        "--omit-lockfile-registry-resolved",
                    ])
                    .arguments(published_by.map(|time| format!("--before={}", time_text(&time))))
                    .arguments(NPM_FLAGS);
                run_npm(&lock, "npm install --package-lock-only").await?;
                let file = folder.path().join("package-lock.json");
                let mut lock: Value = serde_json::from_str(&read(&file)?)?;
                // It is the name of the temporary folder.
                if let Some(lock) = lock.as_object_mut() {
                    lock.shift_remove("name");
                }
                // They say nothing about the files, and contain addresses.
                for entry in lock["packages"].as_object_mut().into_iter().flatten() {
                    if let Some(entry) = entry.1.as_object_mut() {
                        entry.retain(|key, _| !["funding", "license", "deprecated"].contains(&key.as_str()));
                    }
                }
                let pin = NpmPin::parse(&lock.to_string(), package, version, Path::new("npm install"))?;
                Ok(PackagePin::Npm(pin))
            }
            Install::Tool(_) | Install::BuiltIn(_) => {
                bail!("this gateway is no package, so it is not pinned here")
            }
        }
    }

    fn npm(&self) -> anyhow::Result<Launch> {
        let npm = self.tools.environment.find_program("npm");
        let npm = npm.context("there is no `npm` on the PATH: install Node.js with npm")?;
        Ok(self.tools.launch(npm))
    }
}

const NPM_FLAGS: [&str; 4] = [
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
];

fn manifest(package: &str, version: &str) -> String {
    let mut dependencies = serde_json::Map::new();
    dependencies.insert(package.to_owned(), version.into());
    format!("{:#}\n", json!({ "private": true, "dependencies": dependencies }))
}

async fn run_npm(launch: &Launch, what: &str) -> anyhow::Result<()> {
    let output = process::output(launch, b"", NPM_DEADLINE).await?;
    if output.timed_out {
        bail!(
            "`{what}` did not end within {} minutes",
            NPM_DEADLINE.as_secs() / 60
        );
    }
    if !output.is_success() {
        let text = output.stderr_text();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .take(12)
            .collect();
        bail!("`{what}` failed: {}", lines.join("\n  "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(change: impl Fn(&mut Value)) -> anyhow::Result<NpmPin> {
        let mut lock = json!({
            "lockfileVersion": 3,
            "packages": {
                "": { "dependencies": { "@a/b": "1.0.0" } },
                "node_modules/@a/b": { "version": "1.0.0", "integrity": "sha512-aa" },
            }
        });
        change(&mut lock);
        NpmPin::parse(&lock.to_string(), "@a/b", "1.0.0", Path::new("b.json"))
    }

    #[test]
    fn a_lock_without_digests_or_with_addresses_is_refused() {
        lock(|_| ()).unwrap();
        let own = "node_modules/@a/b";
        let refused = |change: &dyn Fn(&mut Value)| lock(change).unwrap_err().to_string();
        let error = refused(&|lock| lock["packages"][own]["integrity"] = "sha1-aa".into());
        assert!(error.contains("`node_modules/@a/b` without a SHA-512"), "{error}");
        let error = refused(&|lock| lock["packages"][own]["resolved"] = "https://x.example/b.tgz".into());
        assert!(error.contains("names an address"), "{error}");
        let error = refused(&|lock| lock["packages"][own]["version"] = "1.0.1".into());
        assert!(error.contains("does not pin `@a/b` 1.0.0, but 1.0.1"), "{error}");
        let error = refused(&|lock| lock["lockfileVersion"] = 2.into());
        assert!(error.contains("not a lock of npm of version 3"), "{error}");
    }
}
