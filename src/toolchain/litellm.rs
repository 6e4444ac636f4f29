//! The pinned LiteLLM: a virtual environment filled from hashed requirements.
//!
//! `uv` does it if it is on the PATH. If not, it is installed first, pinned and hashed itself, by `python3 -m venv` and
//! `pip`: uv's one wheel and then LiteLLM by uv take seconds, LiteLLM by pip alone takes over a minute.

use std::path::PathBuf;

use chrono::Utc;

use super::Installer;
use super::cache::{CacheError, Claim, Entry, Installed, Receipt, Reservation};
use super::lock::PythonPin;
use super::platform::{Platform, UnsupportedPlatform};
use super::program;
use super::progress::Work;
use super::python::{self, Python, PythonError};
use crate::env::Environment;

/// The name of the tool in the cache.
pub const TOOL: &str = "litellm";
/// The name of its installer in the cache.
pub const UV_TOOL: &str = "uv";

/// An installed LiteLLM.
#[derive(Clone, Debug, PartialEq)]
pub struct LitellmInstall {
    /// The Python of its virtual environment.
    pub python: PathBuf,
    /// Its command, `litellm`.
    pub bin: PathBuf,
}

/// LiteLLM could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallLitellmError {
    /// This machine is of no known kind.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedPlatform),
    /// Python or an installer failed.
    #[error("cannot install {package} {version}: {source}")]
    Python {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// Why.
        source: PythonError,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// The cache's entry of `pin` on this machine.
pub fn entry(installer: &Installer, tool: &str, pin: &PythonPin) -> Result<Entry, UnsupportedPlatform> {
    let platform = Platform::current()?;
    Ok(installer
        .cache
        .entry(tool, &pin.version, platform.as_str(), &pin.digest()))
}

/// Sees to it that the LiteLLM of `pin` is installed; from the second time on without network. `uv` is installed only
/// if LiteLLM has to be and there is no other.
pub async fn ensure(
    installer: &Installer<'_>,
    pin: &PythonPin,
    uv: &PythonPin,
) -> Result<LitellmInstall, InstallLitellmError> {
    let installed = match entry(installer, TOOL, pin)?.claim(installer.progress).await? {
        Claim::Installed(installed) => installed,
        Claim::Reserved(reservation) => match install(installer, pin, uv, &reservation).await {
            Ok(()) => finish(reservation, TOOL, pin)?,
            Err(error) => {
                reservation.abandon();
                return Err(error);
            }
        },
    };
    Ok(LitellmInstall {
        python: python::program(&installed.directory, "python"),
        bin: installed.program(),
    })
}

/// The `uv` to use: the one on the PATH, else the pinned one, installed if need be.
pub async fn ensure_uv(
    installer: &Installer<'_>,
    python: &Python,
    pin: &PythonPin,
) -> Result<PathBuf, InstallLitellmError> {
    if let Some(program) = installer.environment.find_program("uv") {
        return Ok(program);
    }
    match entry(installer, UV_TOOL, pin)?.claim(installer.progress).await? {
        Claim::Installed(installed) => Ok(installed.program()),
        Claim::Reserved(reservation) => match install_uv(installer, python, pin, &reservation).await {
            Ok(()) => Ok(finish(reservation, UV_TOOL, pin)?.program()),
            Err(error) => {
                reservation.abandon();
                Err(failed(pin, error))
            }
        },
    }
}

async fn install(
    installer: &Installer<'_>,
    pin: &PythonPin,
    uv: &PythonPin,
    reservation: &Reservation,
) -> Result<(), InstallLitellmError> {
    let directory = reservation.directory();
    let requirements = directory.join("requirements.txt");
    let python = python::find(&installer.environment)
        .await
        .map_err(|error| failed(pin, error))?;
    let uv = ensure_uv(installer, &python, uv).await?;
    let environment = python::environment_for_uv(&python, &installer.environment).await;
    let _work = Work::begin(
        installer.progress,
        format!(
            "installing {} {} for Python {}",
            pin.package, pin.version, python.version
        ),
    );
    let uv = |arguments: &[&std::ffi::OsStr]| {
        program::launch(&uv, environment.clone())
            .arguments(arguments)
            .directory(directory)
    };
    let make = uv(&[
        "venv".as_ref(),
        "--allow-existing".as_ref(),
        "--python".as_ref(),
        python.program.as_ref(),
        directory.as_ref(),
    ]);
    python::run(make, "uv venv")
        .await
        .map_err(|error| failed(pin, error))?;
    std::fs::write(&requirements, &pin.requirements).map_err(CacheError::of("write", &requirements))?;
    let interpreter = python::program(directory, "python");
    let fill = uv(&[
        "pip".as_ref(),
        "install".as_ref(),
        "--require-hashes".as_ref(),
        "--no-build".as_ref(),
        "--python".as_ref(),
        interpreter.as_ref(),
        "-r".as_ref(),
        requirements.as_ref(),
    ]);
    python::run(fill, "uv pip install")
        .await
        .map_err(|error| failed(pin, error))?;
    Ok(())
}

async fn install_uv(
    installer: &Installer<'_>,
    python: &Python,
    pin: &PythonPin,
    reservation: &Reservation,
) -> Result<(), PythonError> {
    let _work = Work::begin(installer.progress, format!("installing uv {}", pin.version));
    let directory = reservation.directory();
    let interpreter = python::make_venv(python, directory, &installer.environment).await?;
    let requirements = directory.join("requirements.txt");
    std::fs::write(&requirements, &pin.requirements).map_err(|error| PythonError::Installer {
        what: format!("writing `{}`", requirements.display()),
        reason: error.to_string(),
    })?;
    let pip = program::launch(interpreter, pip_environment(&installer.environment))
        .arguments([
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "-r",
        ])
        .arguments([requirements]);
    python::run(pip, "pip install uv").await?;
    Ok(())
}

fn pip_environment(environment: &Environment) -> Environment {
    let mut environment = environment.for_installers();
    environment.set("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    environment
}

fn finish(reservation: Reservation, tool: &str, pin: &PythonPin) -> Result<Installed, CacheError> {
    let program = python::program("".as_ref(), tool);
    reservation.finish(Receipt {
        tool: tool.to_owned(),
        version: pin.version.clone(),
        locked: pin.digest(),
        program,
        file: None,
        installed_at: Utc::now(),
    })
}

fn failed(pin: &PythonPin, source: PythonError) -> InstallLitellmError {
    InstallLitellmError::Python {
        package: pin.package.clone(),
        version: pin.version.clone(),
        source,
    }
}
