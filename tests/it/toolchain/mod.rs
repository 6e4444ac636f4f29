//! Installing the pinned tools, with a registry double on loopback and doubles of `uv`, `python3` and `npm`.

mod cache;
mod claude;
mod npm;
mod python;

use std::path::{Path, PathBuf};

use compat_matrix::digest::Sha512;
use compat_matrix::env::Environment;
use compat_matrix::progress::{ProgressSink, Silent};
use compat_matrix::toolchain::platform::Platform;
use compat_matrix::toolchain::{Cache, ClaudePin, Installer, ToolEnvironment};

use crate::support::files::{Folder, files_below, write_program};
use crate::support::loopback::{Answer, Asked, Server, ok, ready};
use crate::support::registry::{self, VERSION, package, tool_environment};

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

pub fn metadata(tarball: &str, package: &[u8]) -> String {
    registry::metadata(&Platform::current().unwrap().package(), tarball, package)
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

/// A machine with a registry that serves [`real_package`], and its pin.
pub async fn with_registry() -> (Machine, Server, ClaudePin) {
    let server = Server::start(registry(real_package(), |_| ready(ok(real_package())))).await;
    (Machine::new().registry(&server), server, pin_of(&real_package()))
}

/// The home, the cache and the programs of one test.
pub struct Machine {
    pub folder: Folder,
    pub environment: Environment,
}

impl Machine {
    pub fn new() -> Self {
        let folder = Folder::new();
        for name in ["home", "bin"] {
            std::fs::create_dir(folder.path(name)).unwrap();
        }
        let path = |name: &str| folder.path(name).display().to_string();
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
        self.folder.write(path, text)
    }

    pub fn program(&self, name: &str, script: &str) {
        let path = self.folder.path("bin").join(name);
        write_program(&path, &format!("PATH=/usr/bin:/bin\n{script}"));
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path("cache")
    }

    pub fn tools(&self) -> ToolEnvironment {
        tool_environment(self.environment.clone())
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

/// The names of the files below `folder`, without the lock files.
pub fn files(folder: &Path) -> Vec<String> {
    files_below(folder)
        .into_iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == ".locks"))
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}
