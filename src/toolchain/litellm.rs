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
use super::progress::Work;
use super::python::{self, Python, PythonError};
use crate::env;

/// The name of the tool in the cache.
pub const TOOL: &str = "litellm";
/// The name of its installer in the cache.
pub const UV_TOOL: &str = "uv";

#[derive(Clone, Debug, PartialEq)]
pub struct LitellmInstall {
    /// The Python of its virtual environment.
    pub python: PathBuf,
    pub bin: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum InstallLitellmError {
    /// This machine is of no known kind.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedPlatform),
    #[error("cannot install {package} {version}: {reason}")]
    Python {
        package: String,
        version: String,
        reason: PythonError,
    },
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
        Claim::Installed(installed) => *installed,
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
    if let Some(program) = installer.surroundings.environment.find_program("uv") {
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
    let surroundings = &installer.surroundings;
    let directory = reservation.directory();
    let requirements = directory.join("requirements.txt");
    let python = python::find(surroundings)
        .await
        .map_err(|error| failed(pin, error))?;
    let uv = ensure_uv(installer, &python, uv).await?;
    let environment = python::environment_for_uv(&python, surroundings).await;
    let _work = Work::begin(
        installer.progress,
        format!(
            "installing {} {} for Python {}",
            pin.package, pin.version, python.version
        ),
    );
    // In a folder of its own, so that no project's configuration of uv is found.
    let uv = || {
        surroundings
            .launch(&uv)
            .environment(environment.iter())
            .directory(directory)
    };
    let make = uv()
        .arguments(["venv", "--allow-existing", "--python"])
        .arguments([&python.program, directory]);
    python::run(make, "uv venv")
        .await
        .map_err(|error| failed(pin, error))?;
    std::fs::write(&requirements, &pin.requirements).map_err(CacheError::of("write", &requirements))?;
    // Wheels alone: to build a source distribution is to run code that no hash has named.
    let fill = uv()
        .arguments(["pip", "install", "--require-hashes", "--no-build", "--python"])
        .arguments([python::program(directory, "python")])
        .arguments(["--requirements"])
        .arguments([&requirements]);
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
    let interpreter = python::make_venv(python, directory, &installer.surroundings).await?;
    let requirements = directory.join("requirements.txt");
    std::fs::write(&requirements, &pin.requirements).map_err(|error| PythonError::Installer {
        what: format!("writing `{}`", requirements.display()),
        reason: error.to_string(),
    })?;
    let pip = installer
        .surroundings
        .launch(interpreter)
        .environment([(env::PIP_DISABLE_PIP_VERSION_CHECK, "1")])
        .arguments([
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--requirement",
        ])
        .arguments([requirements]);
    python::run(pip, "pip install uv").await?;
    Ok(())
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

fn failed(pin: &PythonPin, reason: PythonError) -> InstallLitellmError {
    InstallLitellmError::Python {
        package: pin.package.clone(),
        version: pin.version.clone(),
        reason,
    }
}
