//! The committed lock: exact `claude` and LiteLLM, by version and digest.
//!
//! The folder `toolchain/` has one file for each tool. `claude.json` has the version and each platform's SHA-512.
//! `litellm.txt` and `uv.txt` are hashed requirements, generated from the `.in` files beside them. No file names a registry.
//! This module reads and writes; it sends no request.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context as _, bail};
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::platform::Platform;
use crate::digest::Sha512;
use crate::files::atomic_write;
use crate::results::json;

/// The folder of the lock, in the project's root.
pub const FOLDER: &str = "toolchain";
pub const CLAUDE_FILE: &str = "claude.json";
/// Pins LiteLLM and its dependencies.
pub const LITELLM_FILE: &str = "litellm.txt";
/// Pins the installer for machines without `uv`.
pub const UV_FILE: &str = "uv.txt";
pub const LITELLM_SOURCE: &str = "litellm.in";
pub const UV_SOURCE: &str = "uv.in";

#[derive(Clone, Debug)]
pub struct Lock {
    pub claude: ClaudePin,
    pub litellm: PythonPin,
    /// `uv`, for machines without one.
    pub uv: PythonPin,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaudePin {
    pub version: String,
    /// The digest of each platform's package, keyed by the platform's name.
    pub sha512: BTreeMap<String, Sha512>,
}

/// One version of a Python package with all its dependencies, each with its hashes.
#[derive(Clone, Debug, PartialEq)]
pub struct PythonPin {
    pub package: String,
    pub version: String,
    /// A requirements file in which each requirement has hashes.
    pub requirements: String,
}

impl Lock {
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            claude: ClaudePin::read(&folder.join(CLAUDE_FILE))?,
            litellm: PythonPin::read(&folder.join(LITELLM_FILE), "litellm")?,
            uv: PythonPin::read(&folder.join(UV_FILE), "uv")?,
        })
    }
}

impl ClaudePin {
    pub fn digest(&self, platform: Platform) -> anyhow::Result<Sha512> {
        let digest = self.sha512.get(platform.as_str()).copied();
        digest.with_context(|| {
            format!(
                "the lock has no digest of `claude` {0} for `{platform}`: add it with `compat toolchain update --claude {0}`",
                self.version
            )
        })
    }

    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        write(&folder.join(CLAUDE_FILE), &json::write(self))
    }

    fn read(file: &Path) -> anyhow::Result<Self> {
        serde_json::from_str(&read(file)?)
            .with_context(|| format!("`{}` is not a lock of `claude`", file.display()))
    }
}

impl PythonPin {
    /// Parses the text of a requirements file; errors name `file`.
    pub fn parse(requirements: String, package: &str, file: &Path) -> anyhow::Result<Self> {
        let file = file.display();
        if let Some(requirement) = first_without_hash(&requirements) {
            bail!(
                "`{file}` pins `{requirement}` without a hash: generate the file again with `compat toolchain update`"
            );
        }
        let Some((_, version)) = pins(&requirements).into_iter().find(|(name, _)| *name == package) else {
            bail!(
                "`{file}` has no line `{package}==VERSION`: generate the file again with `compat toolchain update`"
            );
        };
        Ok(Self {
            package: package.to_owned(),
            version: version.to_owned(),
            requirements,
        })
    }

    /// The digest of the requirements without comments: it identifies the pin.
    pub fn digest(&self) -> Sha512 {
        let requirements: Vec<&str> = self
            .requirements
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .collect();
        Sha512::of(requirements.join("\n").as_bytes())
    }

    fn read(file: &Path, package: &str) -> anyhow::Result<Self> {
        Self::parse(read(file)?, package, file)
    }
}

/// The pinned packages of a requirements file with their versions. A package that depends on the Python version appears
/// twice.
pub fn pins(requirements: &str) -> Vec<(&str, &str)> {
    requirements
        .lines()
        .filter(|line| !line.starts_with([' ', '#', '-']))
        .filter_map(|line| line.split_once("=="))
        .filter_map(|(name, rest)| Some((name.split('[').next()?, rest.split([' ', ';', '\\']).next()?)))
        .collect()
}

/// The first line of the first requirement without a hash. A backslash at the end of a line continues a requirement.
fn first_without_hash(requirements: &str) -> Option<&str> {
    static REQUIREMENT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?m)^\s*[^\s#](?:\\\n|.)*$").expect("the pattern is valid"));
    REQUIREMENT
        .find_iter(requirements)
        .find(|requirement| !requirement.as_str().contains("--hash="))
        .and_then(|requirement| requirement.as_str().trim().lines().next())
        .map(|line| line.trim_end_matches(['\\', ' ']))
}
pub fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read the lock file `{}`", file.display()))
}

/// Writes a file of the lock whole or not at all.
pub fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    atomic_write::write(file, text)
        .with_context(|| format!("cannot write the lock file `{}`", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUIREMENTS: &str = "\
# made by uv
aiohttp==3.14.5 ; python_full_version < '3.11' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via litellm
litellm[proxy]==1.106.0 \\
    --hash=sha256:cc
";

    fn parse(text: &str) -> anyhow::Result<PythonPin> {
        PythonPin::parse(text.to_owned(), "litellm", Path::new("litellm.txt"))
    }

    #[test]
    fn the_version_is_read_from_the_pinned_line() {
        assert_eq!(parse(REQUIREMENTS).unwrap().version, "1.106.0");
        let pins = pins(REQUIREMENTS);
        assert_eq!(pins, [("aiohttp", "3.14.5"), ("litellm", "1.106.0")]);
    }

    #[test]
    fn a_requirement_without_a_hash_or_package_is_refused() {
        let unhashed = format!("{REQUIREMENTS}evil==1.0\n");
        let with_address = format!("--index-url https://index.example/simple\n{REQUIREMENTS}");
        for (text, expected) in [
            (unhashed.as_str(), "`evil==1.0` without a hash"),
            ("uv==1 --hash=sha256:aa\n", "no line `litellm==VERSION`"),
            (
                &with_address,
                "`--index-url https://index.example/simple` without",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
