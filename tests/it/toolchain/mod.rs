//! Installing the pinned tools, with a registry double on loopback and doubles of `uv`, `python3` and `npm`.

mod claude;
mod npm;
mod python;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use compat_matrix::digest::Sha512;
use compat_matrix::env::Environment;
use compat_matrix::http::RetryPolicy;
use compat_matrix::process::RunId;
use compat_matrix::progress::{ProgressSink, Silent};
use compat_matrix::toolchain::platform::Platform;
use compat_matrix::toolchain::{Cache, ClaudePin, Installer, ToolEnvironment};
use serde_json::json;
use tempfile::TempDir;

use crate::support::loopback::{Answer, Asked, Server, ok, ready};

pub const VERSION: &str = "2.1.327";

/// A platform package of the registry with the script `script` as its binary.
pub fn package(script: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    let mut add = |path: &str, content: &[u8], mode: u32| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_cksum();
        archive.append_data(&mut header, path, content).unwrap();
    };
    add("package/package.json", b"{}", 0o644);
    add("package/claude", script.as_bytes(), 0o644);
    add("package/README.md", b"read me", 0o644);
    archive.into_inner().unwrap().finish().unwrap()
}

pub fn real_package() -> Vec<u8> {
    package("#!/bin/sh\necho '2.1.327 (Claude Code)'\n")
}

pub fn pin_of(package: &[u8]) -> ClaudePin {
    let platform = Platform::current().unwrap();
    ClaudePin {
        version: VERSION.to_owned(),
        sha512: [(platform.to_string(), Sha512::of(package))].into(),
    }
}

/// The metadata of a package in its abbreviated form.
pub fn metadata(tarball: &str, package: &[u8]) -> String {
    let name = Platform::current().unwrap().package();
    json!({
        "name": name,
        "dist-tags": {"latest": VERSION},
        "versions": {VERSION: {
            "name": name,
            "version": VERSION,
            "dist": {"integrity": Sha512::of(package).to_string(), "shasum": "0", "tarball": tarball},
        }},
        "modified": "2026-11-17T20:33:19.000Z",
    })
    .to_string()
}

pub fn tarball_path() -> String {
    let name = Platform::current().unwrap().package();
    let bare = name.split('/').next_back().unwrap();
    format!("/{name}/-/{bare}-{VERSION}.tgz")
}

/// Serves the metadata of `package`; `file` answers requests for its archive.
pub fn registry(
    package: Vec<u8>,
    file: impl Fn(Asked) -> Answer + Send + Sync + 'static,
) -> impl Fn(Asked, String) -> Answer {
    move |asked, own| {
        if asked.target.ends_with(".tgz") {
            file(asked)
        } else {
            ready(ok(metadata(&format!("{own}{}", tarball_path()), &package)))
        }
    }
}

/// The home, the cache and the programs of one test.
pub struct Machine {
    pub folder: TempDir,
    pub environment: Environment,
}

impl Machine {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "bin"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let path = |name: &str| folder.path().join(name).display().to_string();
        let environment = [("HOME", path("home")), ("PATH", path("bin"))]
            .into_iter()
            .collect();
        Self { folder, environment }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.set(name, value);
        self
    }

    pub fn registry(self, server: &Server) -> Self {
        let address = server.address.clone();
        self.with("NPM_CONFIG_REGISTRY", &address)
    }

    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(path);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    pub fn program(&self, name: &str, script: &str) {
        let path = self.write(
            &format!("bin/{name}"),
            &format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n"),
        );
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub fn tools(&self) -> ToolEnvironment {
        ToolEnvironment {
            environment: self.environment.clone(),
            retry: RetryPolicy {
                attempts: 3,
                first_wait: Duration::ZERO,
                read_timeout: Duration::from_secs(20),
            },
            run: RunId::mint(),
        }
    }

    pub fn installer<'a>(&self, progress: &'a dyn ProgressSink) -> Installer<'a> {
        Installer {
            cache: Cache::at(self.cache()),
            tools: self.tools(),
            progress,
        }
    }

    pub async fn install(&self, pin: &ClaudePin) -> Result<PathBuf, String> {
        let installed = self.installer(&Silent).ensure_claude(pin).await;
        installed.map_err(|error| format!("{error:#}"))
    }
}

/// Every file below `folder`, without the lock files.
pub fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with(".locks"))
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path.file_name().unwrap().to_string_lossy().into_owned()],
        })
        .collect()
}
