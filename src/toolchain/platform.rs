//! The platforms of Claude Code, by the names of its packages.

use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::text::listed;

/// A platform's package has this name, `-` and the platform.
pub const CLAUDE_PACKAGE: &str = "@anthropic-ai/claude-code";

/// The first version with a package for each platform, of 16 April 2026. Earlier ones were one package for Node.
pub const OLDEST_CLAUDE: &str = "2.1.110";

/// A platform with its own package: `linux-x64-musl`.
///
/// The list is that of `optionalDependencies` in the metadata of `@anthropic-ai/claude-code` 2.1.327.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Platform(&'static str);

impl Platform {
    /// Every platform, in the order of the lock.
    pub const ALL: [Self; 8] = [
        Self("darwin-arm64"),
        Self("darwin-x64"),
        Self("linux-arm64"),
        Self("linux-arm64-musl"),
        Self("linux-x64"),
        Self("linux-x64-musl"),
        Self("win32-arm64"),
        Self("win32-x64"),
    ];

    pub fn current() -> anyhow::Result<Self> {
        Self::of(std::env::consts::OS, std::env::consts::ARCH, has_only_musl())
    }

    /// The platform for Rust's names of operating system and architecture; `musl` matters on Linux only.
    pub fn of(operating_system: &str, architecture: &str, musl: bool) -> anyhow::Result<Self> {
        let system = match operating_system {
            "macos" => "darwin",
            "windows" => "win32",
            other => other,
        };
        let processor = match architecture {
            "x86_64" => "x64",
            "aarch64" => "arm64",
            other => other,
        };
        let musl = if musl && system == "linux" { "-musl" } else { "" };
        let name = format!("{system}-{processor}{musl}");
        let platform = Self::ALL.into_iter().find(|platform| platform.0 == name);
        platform.with_context(|| {
            format!(
                "Claude Code has no package for `{operating_system}` on `{architecture}`; it has packages for {}",
                listed(Self::ALL.map(Self::as_str))
            )
        })
    }

    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// The npm package with this platform's binary.
    pub fn package(self) -> String {
        format!("{CLAUDE_PACKAGE}-{self}")
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// Whether this machine has the loader of musl binaries and not that of glibc binaries. The target of `compat` itself does
/// not matter: a static musl build runs on every Linux.
fn has_only_musl() -> bool {
    let loaders = match std::env::consts::ARCH {
        "x86_64" => ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"),
        "aarch64" => ("/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-aarch64.so.1"),
        _ => return false,
    };
    !Path::new(loaders.0).exists() && Path::new(loaders.1).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_machine_has_a_listed_platform() {
        for system in ["linux", "macos", "windows"] {
            for architecture in ["x86_64", "aarch64"] {
                for musl in [false, true] {
                    let platform = Platform::of(system, architecture, musl).unwrap();
                    assert!(Platform::ALL.contains(&platform));
                }
            }
        }
    }

    #[test]
    fn the_error_for_an_unknown_machine_lists_the_packages() {
        let error = Platform::of("freebsd", "riscv64", false).unwrap_err().to_string();
        assert!(
            error.contains("`freebsd` on `riscv64`") && error.contains("`linux-x64-musl`"),
            "{error}"
        );
    }
}
