//! Pins of published versions that the project does not pin. The cache keeps them; the committed lock stays.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::LazyLock;

use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Utc};
use regex::Regex;

use super::cache::PINS;
use super::index::{self, PackageRelease};
use super::lock::{self, ClaudePin, Lock, PythonPin};
use super::npm::{Package, Registry};
use super::packages::PackagePin;
use super::platform::{CLAUDE_PACKAGE, Platform};
use super::{Installer, claude, update};
use crate::catalogue::{Install, OwnTool};
use crate::digest::Sha512;
use crate::files::atomic_write;
use crate::progress::Work;
use crate::results::json::{self, timestamp::to_text as time_text};

/// The time that a release may take to publish all its files. Its dependencies, and the Claude Code of its day, are those of that
/// time.
pub const RELEASE_TIME: TimeDelta = TimeDelta::hours(24);

/// The version of a tool, as registries number it: `1.101.0`, `2.1.228`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolVersion(String);

impl ToolVersion {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is no pre-release: numbers alone, perhaps with a later build of the same release (`.post1`).
    pub fn is_final(&self) -> bool {
        let (_, rank, _) = self.order();
        rank > Rank::PreRelease
    }

    /// Its place among the versions of one tool: `1.9.0`, `1.99.0.dev3`, `1.99.0rc1`, `1.99.0`, `1.99.0.post1`, `1.100.0`.
    ///
    /// Sources: the order of versions in PEP 440, and in Semantic Versioning, item 11.
    pub fn order(&self) -> (Vec<u64>, Rank, Vec<u64>) {
        static RELEASE: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"^\d+(\.\d+)*").expect("the pattern is valid"));
        let end = RELEASE.find(&self.0).map_or(0, |found| found.end());
        let (release, rest) = self.0.split_at(end);
        let rank = match rest {
            "" => Rank::Final,
            _ if rest.starts_with(".post") => Rank::Later,
            _ => Rank::PreRelease,
        };
        let numbers = |text: &str| {
            let digits = text.split(|character: char| !character.is_ascii_digit());
            digits
                .filter_map(|number| number.parse().ok())
                .collect::<Vec<u64>>()
        };
        // `dev`, `alpha`, `beta` and `rc`, in this order.
        let kind = rest.trim_start_matches(['.', '-', '_']).chars().next();
        let kind = kind.and_then(|letter| "dabr".find(letter)).unwrap_or_default();
        let within = [kind as u64].into_iter().chain(numbers(rest)).collect();
        (numbers(release), rank, within)
    }
}

/// What a version is of its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    PreRelease,
    Final,
    Later,
}

impl fmt::Display for ToolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ToolVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
        let is_version = text.starts_with(|first: char| first.is_ascii_digit())
            && text.contains('.')
            && text.bytes().all(is_allowed);
        match is_version {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "`{text}` is not a version: expected the numbers of a release, such as `1.101.0`"
            )),
        }
    }
}

/// The published versions of a package.
#[derive(Clone, Debug)]
pub enum Releases {
    Pypi(Vec<PackageRelease>),
    Npm(Package),
}

impl Releases {
    /// All versions, each with whether it is current: neither withdrawn nor deprecated.
    pub fn versions(&self) -> Vec<(&str, bool)> {
        match self {
            Self::Pypi(releases) => releases
                .iter()
                .map(|release| (release.version.as_str(), !release.yanked))
                .collect(),
            Self::Npm(package) => package
                .versions
                .iter()
                .map(|(name, version)| (name.as_str(), version.deprecated.is_none()))
                .collect(),
        }
    }

    /// When `version` was published, if it is known.
    pub fn published(&self, version: &str) -> Option<DateTime<Utc>> {
        match self {
            Self::Pypi(releases) => {
                let release = releases.iter().find(|release| release.version == version);
                release.map(|release| release.published)
            }
            Self::Npm(package) => {
                let time = DateTime::parse_from_rfc3339(package.time.get(version)?);
                time.ok().map(|time| time.to_utc())
            }
        }
    }
}

/// What to do about a version whose requirements have no solution.
pub const BY_OVERRIDE: &str = "replace the requirement with `--override FILE` (docs/versions.md)";

impl Installer<'_> {
    /// The published versions of what `install` names.
    pub async fn releases(&self, install: &Install, lock: &Lock) -> anyhow::Result<Releases> {
        let npm = async |package: &str| {
            let registry = Registry::of(package, &self.tools).await?;
            anyhow::Ok(Releases::Npm(registry.package(package).await?))
        };
        match install {
            Install::Tool(OwnTool::Litellm) => self.litellm_releases(lock).await.map(Releases::Pypi),
            Install::Tool(OwnTool::Claude) => npm(CLAUDE_PACKAGE).await,
            Install::Npm { package, .. } => npm(package).await,
            Install::Pypi { package, .. } => self.pypi_releases(package, &lock.uv).await.map(Releases::Pypi),
            Install::BuiltIn(_) => bail!("it is part of this program, so it has no other version"),
        }
    }

    /// The time by which all files of a release, and its dependencies, were published.
    pub(super) async fn day_of(
        &self,
        install: &Install,
        version: &str,
        lock: &Lock,
    ) -> anyhow::Result<DateTime<Utc>> {
        let releases = self.releases(install, lock).await?;
        let published = releases.published(version).with_context(|| {
            let package = match install {
                Install::Npm { package, .. } | Install::Pypi { package, .. } => package,
                Install::Tool(OwnTool::Claude) => CLAUDE_PACKAGE,
                Install::Tool(OwnTool::Litellm) | Install::BuiltIn(_) => &lock.litellm.package,
            };
            let newest = newest_of(releases.versions().into_iter());
            format!("the package index has no `{package}` {version}; the newest is {newest}")
        })?;
        Ok(published + RELEASE_TIME)
    }

    /// The pin of LiteLLM at `version`, or of the committed lock. The dependencies are those of the release's own day, and
    /// `overrides` (a file of `uv --override`) replaces some. `folder` is the folder of the lock.
    pub async fn litellm_pin(
        &self,
        folder: &Path,
        lock: &Lock,
        version: Option<&ToolVersion>,
        overrides: Option<&Path>,
    ) -> anyhow::Result<PythonPin> {
        let pinned = &lock.litellm;
        let version = match version {
            Some(version) => version.as_str(),
            None if overrides.is_none() => return Ok(pinned.clone()),
            None => &pinned.version,
        };
        if version == pinned.version && overrides.is_none() {
            return Ok(pinned.clone());
        }
        let source = lock::read(&folder.join(lock::LITELLM_SOURCE))?;
        let wanted = update::with_version(&source, &pinned.package, Some(version));
        let replaced = overrides.map(read_override).transpose()?.unwrap_or_default();
        let inputs = Sha512::of(format!("{wanted}\n--override\n{replaced}").as_bytes());
        let path = self.pin_path(&format!("{}-{version}-{}.txt", pinned.package, inputs.short()));
        let kept = std::fs::read_to_string(&path).ok();
        // A damaged pin is made again.
        if let Some(Ok(pin)) = kept.map(|text| PythonPin::parse(text, &pinned.package, &path)) {
            return Ok(pin);
        }
        let label = format!("resolving {} {version}", pinned.package);
        let _work = Work::begin(self.progress, label);
        let by = self
            .day_of(&Install::Tool(OwnTool::Litellm), version, lock)
            .await?;
        let pin = update::pin_python(self, &lock.uv, &pinned.package, &wanted, Some(by), overrides)
            .await
            .map_err(with_override)?;
        let text = format!("# As of {}.\n{}", time_text(&by), pin.requirements);
        self.keep_pin(&path, &text)?;
        PythonPin::parse(text, &pinned.package, &path)
    }

    /// The pin of Claude Code at `version` for this machine, or the one of the committed lock.
    pub async fn claude_pin(&self, lock: &Lock, version: Option<&ToolVersion>) -> anyhow::Result<ClaudePin> {
        let version = match version {
            Some(version) if version.as_str() != lock.claude.version => version.as_str(),
            _ => return Ok(lock.claude.clone()),
        };
        let platform = Platform::current()?;
        let path = self.pin_path(&format!("{}-{version}-{platform}.json", claude::TOOL));
        let kept = std::fs::read_to_string(&path).ok();
        if let Some(Ok(pin)) = kept.map(|text| serde_json::from_str(&text)) {
            return Ok(pin);
        }
        let registry = Registry::find(&self.tools).await?;
        let pin = update::pin_claude(&registry, version, &[platform]).await?;
        self.keep_pin(&path, &json::write(&pin))?;
        Ok(pin)
    }

    /// The releases of LiteLLM in the package index, the oldest first.
    pub async fn litellm_releases(&self, lock: &Lock) -> anyhow::Result<Vec<PackageRelease>> {
        self.pypi_releases(&lock.litellm.package, &lock.uv).await
    }

    /// The releases of `package`, which may name extras, in the package index, the oldest first.
    async fn pypi_releases(&self, package: &str, uv: &PythonPin) -> anyhow::Result<Vec<PackageRelease>> {
        let uv = self.uv(uv).await?;
        let package = package.split('[').next().unwrap_or(package);
        index::releases(package, &uv.python, &uv.environment, &self.tools).await
    }

    /// Claude Code's metadata in the package registry.
    pub async fn claude_package(&self) -> anyhow::Result<Package> {
        Registry::find(&self.tools).await?.package(CLAUDE_PACKAGE).await
    }

    /// Whether the committed lock or the cache pins `version` of the gateway `name`, so that no registry has to be asked about it.
    pub fn is_pinned(&self, name: &str, install: &Install, version: &ToolVersion, lock: &Lock) -> bool {
        let version = version.as_str();
        let is_kept = |tool: &str| {
            let files = std::fs::read_dir(self.cache.root().join(PINS));
            let mut names = files.into_iter().flatten().flatten().map(|file| file.file_name());
            let start = format!("{tool}-{version}-");
            names.any(|file| file.to_string_lossy().starts_with(&start))
        };
        pinned_version(install, lock) == Some(version)
            || match install {
                Install::Tool(OwnTool::Litellm) => is_kept(&lock.litellm.package),
                Install::Tool(OwnTool::Claude) => is_kept(claude::TOOL),
                Install::Npm { .. } | Install::Pypi { .. } => {
                    let kept = PackagePin::file(&self.locks_of(version), name, install);
                    kept.is_some_and(|file| file.is_file())
                }
                Install::BuiltIn(_) => false,
            }
    }

    /// The folder with the locks of the gateways' packages at `version`, as of its own day.
    pub(super) fn locks_of(&self, version: &str) -> PathBuf {
        self.pin_path(&format!("{version}-of-its-day"))
    }

    fn pin_path(&self, name: &str) -> PathBuf {
        self.cache.root().join(PINS).join(name)
    }

    fn keep_pin(&self, path: &Path, text: &str) -> anyhow::Result<()> {
        let written = atomic_write::make_folder(&self.cache.root().join(PINS))
            .and_then(|()| atomic_write::write(path, text));
        written.with_context(|| format!("cannot write `{}`", path.display()))
    }
}

/// The version of `install` that the project pins. `None` for a part of this program.
pub fn pinned_version<'a>(install: &'a Install, lock: &'a Lock) -> Option<&'a str> {
    match install {
        Install::Tool(OwnTool::Litellm) => Some(&lock.litellm.version),
        Install::Tool(OwnTool::Claude) => Some(&lock.claude.version),
        Install::Npm { version, .. } | Install::Pypi { version, .. } => Some(version),
        Install::BuiltIn(_) => None,
    }
}

/// `error`, with the way out if the requirements have no solution.
fn with_override(error: anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}");
    match text.to_lowercase().contains("no solution found") {
        true => anyhow::anyhow!("{text}\n{BY_OVERRIDE}"),
        false => error,
    }
}

fn read_override(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| {
        format!(
            "cannot read the requirements of `--override` in `{}`",
            file.display()
        )
    })
}

/// The newest of `releases`, each with whether it is current, by its number: an older line may get a release later.
fn newest_of<'a>(releases: impl Iterator<Item = (&'a str, bool)>) -> String {
    let current = releases.filter(|(_, is_current)| *is_current);
    let versions = current.filter_map(|(version, _)| version.parse::<ToolVersion>().ok());
    let newest = versions
        .filter(ToolVersion::is_final)
        .max_by_key(ToolVersion::order);
    newest.map_or_else(|| "not known".to_owned(), |version| version.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_has_the_highest_number() {
        let releases = [
            ("1.98.0", true),
            ("1.100.0", true),
            ("1.101.0", false),
            ("1.102.0rc1", true),
            ("1.99.1", true),
        ];
        assert_eq!(newest_of(releases.into_iter()), "1.100.0");
    }
}
