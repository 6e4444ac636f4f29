//! The pinned `claude` binary: fetched from the registry's platform package, verified, unpacked.
//!
//! Neither Node nor an install script has a part in it, and nothing is unpacked before its digest is known to be
//! the lock's.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use flate2::bufread::GzDecoder;

use super::cache::{CacheError, Claim, Entry, Installed, InstalledFile, Receipt, Reservation};
use super::http::{Fault, FetchError};
use super::integrity::{Hasher, Sha512};
use super::lock::{ClaudePin, UnpinnedPlatform};
use super::npm::{Registry, RegistryError};
use super::platform::{Platform, UnsupportedPlatform};
use super::progress::Work;
use super::stamp::{self, ProgramError};
use super::{Installer, Surroundings};
use crate::env;
use crate::process::{self, Bounds, Launch, Mark};

/// The name of the tool in the cache.
pub const TOOL: &str = "claude";

#[derive(Debug, thiserror::Error)]
pub enum InstallClaudeError {
    /// There is no package for this machine.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedPlatform),
    /// The lock knows no digest for this machine.
    #[error(transparent)]
    Unpinned(#[from] UnpinnedPlatform),
    /// The registry does not give it.
    #[error("cannot install `claude` {version}: {reason}")]
    Registry { version: String, reason: RegistryError },
    /// What came is not what the lock asks for.
    #[error(transparent)]
    Mismatch(#[from] Box<Mismatch>),
    /// The package is verified and yet has no binary.
    #[error("the package of `claude` {version} cannot be unpacked: {reason}")]
    Package { version: String, reason: String },
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// What is in the cache is not what was put there.
    #[error(
        "the installed `claude` {version} cannot be run: {reason}\ninstall it again with `compat toolchain clean` and `compat \
         toolchain install`"
    )]
    Program { version: String, reason: ProgramError },
}

/// A file that is not the pinned one.
#[derive(Debug, thiserror::Error)]
#[error(
    "the file that came for `claude` {version} is not the pinned one\n  file:     {file}\n  expected: {expected}\n  \
     actual:   {actual}\nit has been deleted, and nothing was unpacked; if it happens again, something between here and \
     the registry changes files"
)]
pub struct Mismatch {
    pub version: String,
    pub file: String,
    pub expected: Sha512,
    pub actual: Sha512,
}

/// The cache's entry of `pin` on this machine, whether it is installed or not.
pub fn entry(installer: &Installer, pin: &ClaudePin) -> Result<Entry, InstallClaudeError> {
    let platform = Platform::current()?;
    let digest = pin.digest(platform)?;
    Ok(installer
        .cache
        .entry(TOOL, &pin.version, platform.as_str(), &digest))
}

/// Sees to it that the `claude` of `pin` is installed, and says where; from the second time on without network.
pub async fn ensure(installer: &Installer<'_>, pin: &ClaudePin) -> Result<PathBuf, InstallClaudeError> {
    let platform = Platform::current()?;
    let expected = pin.digest(platform)?;
    match entry(installer, pin)?.claim(installer.progress).await? {
        Claim::Installed(installed) => looked_at(*installed, pin).await,
        Claim::Reserved(reservation) => {
            match install(installer, pin, platform, expected, reservation.directory()).await {
                Ok(file) => looked_at(finish(reservation, pin, platform, expected, file)?, pin).await,
                Err(error) => {
                    reservation.abandon();
                    Err(error)
                }
            }
        }
    }
}

/// Its program, which is what was installed: it may be half a gigabyte, so it is read only where something touched it.
async fn looked_at(installed: Installed, pin: &ClaudePin) -> Result<PathBuf, InstallClaudeError> {
    let program = installed.program();
    let failed = |reason| InstallClaudeError::Program {
        version: pin.version.clone(),
        reason,
    };
    let looked = tokio::task::spawn_blocking(move || stamp::look(&installed)).await;
    let unreadable = |error| ProgramError::Unreadable {
        path: program.clone(),
        reason: io::Error::other(error),
    };
    looked
        .unwrap_or_else(|error| Err(unreadable(error)))
        .map_err(failed)?;
    Ok(program)
}

/// A program that does not say which version of `claude` it is.
#[derive(Debug, thiserror::Error)]
#[error("`{} --version` does not say a version: {reason}", path.display())]
pub struct ClaudeVersionError {
    path: PathBuf,
    reason: String,
}

/// The version that the program at `path` says it is: `2.1.327`. It is not trusted: it gets a home of its own and none
/// of the clients' settings.
pub async fn version_of(path: &Path, surroundings: &Surroundings) -> Result<String, ClaudeVersionError> {
    let failed = |reason| ClaudeVersionError {
        path: path.to_owned(),
        reason,
    };
    let home = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
    let launch = Launch::new(path, Mark::run(surroundings.run))
        .arguments(["--version"])
        .environment(surroundings.environment.inherited())
        .environment([(env::HOME, home.path()), (env::TMPDIR, home.path())])
        .directory(home.path());
    let output = process::output(&launch, b"", Bounds::deadline(Duration::from_secs(60)))
        .await
        .map_err(|error| failed(error.to_string()))?;
    let text = output.stdout_text();
    let word = text.split_whitespace().next().unwrap_or_default();
    if output.timed_out {
        Err(failed("it did not end within a minute".to_owned()))
    } else if output.is_success() && semver::Version::parse(word).is_ok() {
        Ok(word.to_owned())
    } else {
        Err(failed(format!("{}, printed `{}`", output.ended, text.trim())))
    }
}

async fn install(
    installer: &Installer<'_>,
    pin: &ClaudePin,
    platform: Platform,
    expected: Sha512,
    directory: &Path,
) -> Result<InstalledFile, InstallClaudeError> {
    let archive = directory.join("package.tgz");
    download(installer, pin, platform, expected, &archive).await?;

    let _work = Work::begin(installer.progress, format!("unpacking claude {}", pin.version));
    let program = directory.join(platform.binary());
    let unpacked = tokio::task::spawn_blocking(move || unpack(&archive, platform.binary(), &program)).await;
    let failed = |reason: String| InstallClaudeError::Package {
        version: pin.version.clone(),
        reason,
    };
    unpacked
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull => CacheError::of("write", directory)(error).into(),
            _ => failed(error.to_string()),
        })
}

async fn download(
    installer: &Installer<'_>,
    pin: &ClaudePin,
    platform: Platform,
    expected: Sha512,
    archive: &Path,
) -> Result<(), InstallClaudeError> {
    let failed = |reason| match reason {
        RegistryError::Fetch(FetchError {
            fault: Fault::Write(error),
            ..
        }) => CacheError::of("write", archive)(error).into(),
        reason => InstallClaudeError::Registry {
            version: pin.version.clone(),
            reason,
        },
    };
    let registry = Registry::find(&installer.surroundings).await.map_err(failed)?;
    let version = registry
        .version(&platform.package(), &pin.version)
        .await
        .map_err(failed)?;
    let label = format!("claude {} for {platform}", pin.version);
    let work = Work::begin(installer.progress, label);
    let (actual, address) = registry
        .download(&version, archive, &|done, total| work.advance(done, total))
        .await
        .map_err(failed)?;
    if actual == expected {
        return Ok(());
    }
    std::fs::remove_file(archive).map_err(CacheError::of("remove", archive))?;
    let mismatch = Mismatch {
        version: pin.version.clone(),
        file: address,
        expected,
        actual,
    };
    Err(Box::new(mismatch).into())
}

/// Takes `package/<binary>` out of the archive, makes it executable, and deletes the archive.
fn unpack(archive: &Path, binary: &str, program: &Path) -> io::Result<InstalledFile> {
    let wanted = Path::new("package").join(binary);
    let reader = BufReader::with_capacity(1 << 20, File::open(archive)?);
    let mut package = tar::Archive::new(GzDecoder::new(reader));
    for entry in package.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() && entry.path()? == wanted {
            let partial = program.with_extension("partial");
            let file = write_executable(&mut entry, &partial)?;
            std::fs::rename(&partial, program)?;
            std::fs::remove_file(archive)?;
            return Ok(file);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!("there is no `{}` in it", wanted.display()),
    ))
}

fn write_executable(source: &mut impl Read, path: &Path) -> io::Result<InstalledFile> {
    let mut output = BufWriter::new(executable(path)?);
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        output.write_all(&buffer[..count])?;
        bytes += count as u64;
    }
    output
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    Ok(InstalledFile {
        bytes,
        sha512: hasher.finish(),
    })
}

fn executable(path: &Path) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o755);
    options.open(path)
}

fn finish(
    reservation: Reservation,
    pin: &ClaudePin,
    platform: Platform,
    locked: Sha512,
    file: InstalledFile,
) -> Result<Installed, CacheError> {
    reservation.finish(Receipt {
        tool: TOOL.to_owned(),
        version: pin.version.clone(),
        locked,
        program: PathBuf::from(platform.binary()),
        file: Some(file),
        installed_at: Utc::now(),
    })
}
