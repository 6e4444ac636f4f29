//! The committed lock: which `claude` and which LiteLLM, down to the bytes.
//!
//! A folder, `toolchain/`, with one file a tool: `claude.json` (version and SHA-512 per platform), `litellm.txt` and
//! `uv.txt` (hashed requirements, made from the `.in` files beside them). No address of a registry stands in it.
//! This module reads and writes; it never asks a registry.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::integrity::Sha512;
use super::platform::Platform;

/// The folder of the lock, below the project's.
pub const FOLDER: &str = "toolchain";
pub const CLAUDE_FILE: &str = "claude.json";
/// The file that pins LiteLLM and all it needs.
pub const LITELLM_FILE: &str = "litellm.txt";
/// The file that pins the installer of last resort.
pub const UV_FILE: &str = "uv.txt";
pub const LITELLM_SOURCE: &str = "litellm.in";
pub const UV_SOURCE: &str = "uv.in";

#[derive(Clone, Debug)]
pub struct Lock {
    pub claude: ClaudePin,
    pub litellm: PythonPin,
    /// `uv`, for machines that have none.
    pub uv: PythonPin,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaudePin {
    pub version: String,
    /// The digest of each platform's package, keyed by the platform's name.
    pub sha512: BTreeMap<String, Sha512>,
}

/// One version of a Python package with everything that it needs, each by its hashes.
#[derive(Clone, Debug, PartialEq)]
pub struct PythonPin {
    pub package: String,
    pub version: String,
    /// A requirements file in which each line has hashes.
    pub requirements: String,
}

/// A lock that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("cannot read the lock file `{}`: {reason}", file.display())]
    Read { file: PathBuf, reason: io::Error },
    #[error("cannot write the lock file `{}`: {reason}", file.display())]
    Write { file: PathBuf, reason: io::Error },
    /// `claude.json` is not what it should be.
    #[error("`{}` is not a lock of `claude`: {reason}", file.display())]
    Claude {
        file: PathBuf,
        reason: serde_json::Error,
    },
    /// A requirements file does not pin what it is there for.
    #[error("`{}` has no line `{package}==VERSION`: make it again with `compat toolchain update`", file.display())]
    Unpinned {
        file: PathBuf,
        /// The package that is not pinned.
        package: String,
    },
    /// A requirements file has a line that no hash covers.
    #[error("`{}` pins `{requirement}` without a hash: make it again with `compat toolchain update`", file.display())]
    Unhashed { file: PathBuf, requirement: String },
}

/// The lock has no digest for this platform.
#[derive(Debug, thiserror::Error)]
#[error(
    "the lock has no digest of `claude` {version} for `{platform}`: add it with `compat toolchain update --claude {version}`"
)]
pub struct UnpinnedPlatform {
    version: String,
    platform: Platform,
}

impl Lock {
    pub fn read(folder: &Path) -> Result<Self, LockError> {
        Ok(Self {
            claude: ClaudePin::read(&folder.join(CLAUDE_FILE))?,
            litellm: PythonPin::read(&folder.join(LITELLM_FILE), "litellm")?,
            uv: PythonPin::read(&folder.join(UV_FILE), "uv")?,
        })
    }
}

impl ClaudePin {
    pub fn digest(&self, platform: Platform) -> Result<Sha512, UnpinnedPlatform> {
        self.sha512
            .get(platform.as_str())
            .copied()
            .ok_or_else(|| UnpinnedPlatform {
                version: self.version.clone(),
                platform,
            })
    }

    pub fn write(&self, folder: &Path) -> Result<(), LockError> {
        let text = serde_json::to_string_pretty(self).expect("strings are JSON") + "\n";
        write(&folder.join(CLAUDE_FILE), &text)
    }

    fn read(file: &Path) -> Result<Self, LockError> {
        serde_json::from_str(&read(file)?).map_err(|reason| LockError::Claude {
            file: file.to_owned(),
            reason,
        })
    }
}

impl PythonPin {
    /// Takes a requirements file's text; `file` is where errors point.
    pub fn parse(requirements: String, package: &str, file: &Path) -> Result<Self, LockError> {
        if let Some(requirement) = first_without_hash(&requirements) {
            return Err(LockError::Unhashed {
                file: file.to_owned(),
                requirement: requirement.to_owned(),
            });
        }
        let version = version_of(&requirements, package)
            .ok_or_else(|| LockError::Unpinned {
                file: file.to_owned(),
                package: package.to_owned(),
            })?
            .to_owned();
        Ok(Self {
            package: package.to_owned(),
            version,
            requirements,
        })
    }

    /// What tells this pin from every other: the digest of its requirements, comments left out.
    pub fn digest(&self) -> Sha512 {
        let requirements: Vec<&str> = self
            .requirements
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .collect();
        Sha512::of(requirements.join("\n").as_bytes())
    }

    fn read(file: &Path, package: &str) -> Result<Self, LockError> {
        Self::parse(read(file)?, package, file)
    }
}

/// The pinned packages of a requirements file with their versions; one that depends on the Python is there twice.
pub fn pins(requirements: &str) -> Vec<(&str, &str)> {
    requirements
        .lines()
        .filter(|line| !line.starts_with([' ', '#', '-']))
        .filter_map(|line| line.split_once("=="))
        .filter_map(|(name, rest)| Some((name.split('[').next()?, rest.split([' ', ';', '\\']).next()?)))
        .collect()
}

fn version_of<'a>(requirements: &'a str, package: &str) -> Option<&'a str> {
    pins(requirements)
        .into_iter()
        .find(|(name, _)| *name == package)
        .map(|(_, version)| version)
}

/// The first requirement, lines joined at their backslashes, that has no hash.
fn first_without_hash(requirements: &str) -> Option<&str> {
    let mut lines = requirements.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let mut hashed = line.contains("--hash=");
        let mut continued = line.ends_with('\\');
        while continued && let Some(next) = lines.next() {
            hashed |= next.contains("--hash=");
            continued = next.ends_with('\\');
        }
        if !hashed {
            return Some(line.trim_end_matches(['\\', ' ']));
        }
    }
    None
}

/// Reads a file of the lock.
pub fn read(file: &Path) -> Result<String, LockError> {
    std::fs::read_to_string(file).map_err(|reason| LockError::Read {
        file: file.to_owned(),
        reason,
    })
}

/// Writes a file of the lock whole or not at all.
pub fn write(file: &Path, text: &str) -> Result<(), LockError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let try_write = || {
        let mut partial = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        partial.write_all(text.as_bytes())?;
        partial.persist(file)?;
        Ok(())
    };
    try_write().map_err(|reason| LockError::Write {
        file: file.to_owned(),
        reason,
    })
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

    fn parse(text: &str) -> Result<PythonPin, LockError> {
        PythonPin::parse(text.to_owned(), "litellm", Path::new("litellm.txt"))
    }

    #[test]
    fn the_version_is_that_of_the_pinned_line() {
        assert_eq!(parse(REQUIREMENTS).unwrap().version, "1.106.0");
        assert_eq!(
            pins(REQUIREMENTS),
            [("aiohttp", "3.14.5"), ("litellm", "1.106.0")]
        );
    }

    #[test]
    fn a_requirement_without_a_hash_is_an_error_that_names_it() {
        let error = parse(&format!("{REQUIREMENTS}evil==1.0\n")).unwrap_err();
        assert!(
            error.to_string().contains("`evil==1.0` without a hash"),
            "{error}"
        );
    }

    #[test]
    fn a_file_without_the_package_is_an_error_that_says_how_to_make_it() {
        let error = parse("uv==1 --hash=sha256:aa\n").unwrap_err();
        assert!(
            error.to_string().contains("no line `litellm==VERSION`"),
            "{error}"
        );
    }

    #[test]
    fn an_address_in_a_requirements_file_is_refused_as_unhashed() {
        assert!(
            parse(&format!(
                "--index-url https://index.example/simple\n{REQUIREMENTS}"
            ))
            .is_err()
        );
    }
}
