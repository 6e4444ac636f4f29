//! The pinned LiteLLM: a virtual environment filled from hashed requirements.
//!
//! `uv` on the PATH installs it. Without one, a pinned and hashed `uv` is installed first, by `python3 -m venv` and `pip`.
//! That takes seconds; installing LiteLLM by pip takes over a minute.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Installer;
use super::cache::{self, CacheEntry, Installed};
use super::inventory;
use super::lock::PythonPin;
use super::platform::Platform;
use super::proxy;
use super::python::{self, Python};
use crate::env::{self, Environment};
use crate::process::Launch;
use crate::progress::Work;

/// The name of the tool in the cache.
pub const TOOL: &str = "litellm";
/// The layout of an installation: one without an inventory is not this one.
pub const LAYOUT: &str = "inventory";
/// The name of its installer in the cache.
pub const UV_TOOL: &str = "uv";

impl Installer<'_> {
    /// The cache's entry of `pin` on this machine, installed or not.
    pub fn python_entry(&self, tool: &str, pin: &PythonPin) -> anyhow::Result<CacheEntry> {
        let platform = Platform::current()?;
        let entry = self.cache.entry(tool, &pin.version, platform, pin.digest());
        Ok(entry.in_layout(LAYOUT))
    }

    /// Installs the LiteLLM of `pin` if it is missing, and returns its path. Needs the network only to install. The pinned
    /// `uv` is installed only if LiteLLM has to be installed and there is no `uv` on the PATH.
    pub async fn ensure_litellm(&self, pin: &PythonPin, uv: &PythonPin) -> anyhow::Result<PathBuf> {
        self.ensure_python(TOOL, pin, async |directory| {
            self.install_litellm(pin, uv, directory).await
        })
        .await
    }

    async fn ensure_python(
        &self,
        tool: &str,
        pin: &PythonPin,
        install: impl AsyncFnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let install = async |directory: &Path| {
            install(directory).await?;
            Ok(python::program("".as_ref(), tool))
        };
        let title = format!("{} {}", pin.package, pin.version);
        let installed = self
            .ensure_listed(&self.python_entry(tool, pin)?, &title, install)
            .await?;
        Ok(installed.program())
    }

    /// Installs a folder of many files and takes its inventory, or checks the files of the one that is there. `install` returns
    /// the program's path in the folder; `title` is for errors.
    pub(super) async fn ensure_listed(
        &self,
        entry: &CacheEntry,
        title: &str,
        install: impl AsyncFnOnce(&Path) -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Installed> {
        let install = async |directory: &Path| {
            let program = install(directory).await;
            let program = program.with_context(|| format!("cannot install {title}"))?;
            let folder = directory.to_owned();
            tokio::task::spawn_blocking(move || inventory::take(&folder))
                .await?
                .map_err(cache::failed("list the files of", directory))?;
            Ok((program, None))
        };
        let installed = entry.ensure(self.progress, install).await?;
        let folder = installed.directory.clone();
        let checked = tokio::task::spawn_blocking(move || inventory::check(&folder)).await?;
        checked.with_context(|| {
            format!(
                "the installation of {title} cannot be used (remove it with `compat toolchain clean`: the next run installs it again)"
            )
        })?;
        Ok(installed)
    }

    /// Fills `directory` with the package of `pin`, which need not be LiteLLM.
    pub(super) async fn install_litellm(
        &self,
        pin: &PythonPin,
        uv: &PythonPin,
        directory: &Path,
    ) -> anyhow::Result<()> {
        proxy::ensure_answers(&self.tools.environment).await?;
        let uv = self.uv(uv).await?;
        let python = &uv.python;
        let (package, version) = (&pin.package, &pin.version);
        let label = format!("installing {package} {version} for Python {}", python.version);
        let work = Work::begin(self.progress, label);
        let make = uv
            .launch(directory)
            .arguments(["venv", "--allow-existing", "--python"])
            .arguments([&python.program, directory]);
        python::run(make, "uv venv").await?;
        // Wheels only: building a source distribution runs code that no hash covers.
        let fill = uv
            .launch(directory)
            // Python writes no compiled file later: it would not be in the inventory.
            .arguments([
                "pip",
                "install",
                "--require-hashes",
                "--no-build",
                "--compile-bytecode",
                "--python",
            ])
            .arguments([python::program(directory, "python")])
            .arguments(["--requirements"])
            .arguments([write_requirements(directory, pin)?]);
        python::run_uv(fill, "uv pip install", &work).await.map(drop)
    }

    /// The `uv` on the PATH, else the pinned one, which is installed if it is missing.
    pub(super) async fn uv(&self, pin: &PythonPin) -> anyhow::Result<Uv> {
        let tools = &self.tools;
        let python = python::find(tools).await?;
        let program = match tools.environment.find_program("uv") {
            Some(program) => program,
            None => {
                let install = async |directory: &Path| self.install_uv(&python, pin, directory).await;
                self.ensure_python(UV_TOOL, pin, install).await?
            }
        };
        let environment = python::environment_for_uv(&python, tools).await;
        Ok(Uv {
            launch: tools.launch(program).environment(environment.iter()),
            python,
            environment,
        })
    }

    async fn install_uv(&self, python: &Python, pin: &PythonPin, directory: &Path) -> anyhow::Result<()> {
        proxy::ensure_answers(&self.tools.environment).await?;
        let _work = Work::begin(self.progress, format!("installing uv {}", pin.version));
        let interpreter = python::make_venv(python, directory, &self.tools).await?;
        let pip = self
            .tools
            .launch(interpreter)
            .environment([(env::PIP_DISABLE_PIP_VERSION_CHECK, "1")])
            .arguments(["-m", "pip", "install", "--require-hashes"])
            .arguments(["--only-binary", ":all:", "--requirement"])
            .arguments([write_requirements(directory, pin)?]);
        python::run(pip, "pip install uv").await.map(drop)
    }
}

/// `uv`, with the Python that it installs for.
pub(super) struct Uv {
    pub(super) python: Python,
    /// The variables with which it runs.
    pub(super) environment: Environment,
    launch: Launch,
}

impl Uv {
    /// Prepares a call in `directory`, which must not have a project's configuration.
    pub(super) fn launch(&self, directory: &Path) -> Launch {
        self.launch.clone().directory(directory)
    }
}

fn write_requirements(directory: &Path, pin: &PythonPin) -> anyhow::Result<PathBuf> {
    let path = directory.join("requirements.txt");
    std::fs::write(&path, &pin.requirements).map_err(cache::failed("write", &path))?;
    Ok(path)
}
