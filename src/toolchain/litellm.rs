//! The pinned LiteLLM: a virtual environment filled from hashed requirements.
//!
//! `uv` on the PATH installs it. Without one, a pinned and hashed `uv` is installed first, by `python3 -m venv` and `pip`.
//! That takes seconds; installing LiteLLM by pip takes over a minute.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::Utc;

use super::Installer;
use super::cache::{self, CacheEntry, Installed, Receipt};
use super::lock::PythonPin;
use super::platform::Platform;
use super::python::{self, Python};
use crate::env;
use crate::progress::Work;

/// The name of the tool in the cache.
pub const TOOL: &str = "litellm";
/// The name of its installer in the cache.
pub const UV_TOOL: &str = "uv";

/// The cache's entry of `pin` on this machine.
pub fn entry(installer: &Installer, tool: &str, pin: &PythonPin) -> anyhow::Result<CacheEntry> {
    let platform = Platform::current()?;
    let cache = &installer.cache;
    Ok(cache.entry(tool, &pin.version, platform.as_str(), &pin.digest()))
}

impl Installer<'_> {
    /// Installs the LiteLLM of `pin` if it is missing, and returns its path. Needs the network only to install. The pinned `uv` is installed only if
    /// LiteLLM has to be installed and there is no `uv` on the PATH.
    pub async fn ensure_litellm(&self, pin: &PythonPin, uv: &PythonPin) -> anyhow::Result<PathBuf> {
        let install = async |directory: &Path| install(self, pin, uv, directory).await;
        Ok(ensure(self, TOOL, pin, install).await?.program())
    }
}

/// The `uv` on the PATH, else the pinned one, which is installed if it is missing.
pub async fn ensure_uv(
    installer: &Installer<'_>,
    python: &Python,
    pin: &PythonPin,
) -> anyhow::Result<PathBuf> {
    if let Some(program) = installer.tools.environment.find_program("uv") {
        return Ok(program);
    }
    let install = async |directory: &Path| install_uv(installer, python, pin, directory).await;
    Ok(ensure(installer, UV_TOOL, pin, install).await?.program())
}

async fn ensure(
    installer: &Installer<'_>,
    tool: &str,
    pin: &PythonPin,
    install: impl AsyncFnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<Installed> {
    let install = async |directory: &Path| {
        install(directory)
            .await
            .with_context(|| format!("cannot install {} {}", pin.package, pin.version))?;
        Ok(Receipt {
            tool: tool.to_owned(),
            version: pin.version.clone(),
            locked: pin.digest(),
            program: python::program("".as_ref(), tool),
            file: None,
            installed_at: Utc::now(),
        })
    };
    entry(installer, tool, pin)?
        .ensure(installer.progress, install)
        .await
}

async fn install(
    installer: &Installer<'_>,
    pin: &PythonPin,
    uv: &PythonPin,
    directory: &Path,
) -> anyhow::Result<()> {
    let tools = &installer.tools;
    let python = python::find(tools).await?;
    let uv = ensure_uv(installer, &python, uv).await?;
    let environment = python::environment_for_uv(&python, tools).await;
    let _work = Work::begin(
        installer.progress,
        format!(
            "installing {} {} for Python {}",
            pin.package, pin.version, python.version
        ),
    );
    // In the new folder uv finds no project's configuration.
    let uv = || {
        tools
            .launch(&uv)
            .environment(environment.iter())
            .directory(directory)
    };
    let make = uv()
        .arguments(["venv", "--allow-existing", "--python"])
        .arguments([&python.program, directory]);
    python::run(make, "uv venv").await?;
    // Wheels only: building a source distribution runs code that no hash covers.
    let fill = uv()
        .arguments(["pip", "install", "--require-hashes", "--no-build", "--python"])
        .arguments([python::program(directory, "python")])
        .arguments(["--requirements"])
        .arguments([write_requirements(directory, pin)?]);
    python::run(fill, "uv pip install").await?;
    Ok(())
}

async fn install_uv(
    installer: &Installer<'_>,
    python: &Python,
    pin: &PythonPin,
    directory: &Path,
) -> anyhow::Result<()> {
    let _work = Work::begin(installer.progress, format!("installing uv {}", pin.version));
    let interpreter = python::make_venv(python, directory, &installer.tools).await?;
    let pip = installer
        .tools
        .launch(interpreter)
        .environment([(env::PIP_DISABLE_PIP_VERSION_CHECK, "1")])
        .arguments(["-m", "pip", "install", "--require-hashes"])
        .arguments(["--only-binary", ":all:", "--requirement"])
        .arguments([write_requirements(directory, pin)?]);
    python::run(pip, "pip install uv").await?;
    Ok(())
}

fn write_requirements(directory: &Path, pin: &PythonPin) -> anyhow::Result<PathBuf> {
    let path = directory.join("requirements.txt");
    std::fs::write(&path, &pin.requirements).map_err(cache::failed("write", &path))?;
    Ok(path)
}
