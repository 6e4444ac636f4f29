//! The pinned `claude` binary: downloaded from the registry's platform package, verified, unpacked.
//!
//! This needs neither Node nor an install script. Nothing is unpacked before its digest matches the lock.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use flate2::bufread::GzDecoder;

use super::cache::{self, CacheEntry, InstalledFile};
use super::lock::ClaudePin;
use super::npm::Registry;
use super::platform::Platform;
use super::{Installer, ToolEnvironment, confinement, stamp};
use crate::env;
use crate::files::private_folder;
use crate::process::{self, Launch, ProcessTag};
use crate::progress::Work;

/// The name of the tool in the cache, and of its binary in the package.
pub const TOOL: &str = "claude";

impl Installer<'_> {
    /// The cache's entry of `pin` on this machine, installed or not.
    pub fn claude_entry(&self, pin: &ClaudePin) -> anyhow::Result<CacheEntry> {
        let platform = Platform::current()?;
        let digest = pin.digest(platform)?;
        Ok(self.cache.entry(TOOL, &pin.version, platform, digest))
    }

    /// Installs the `claude` of `pin` if it is missing, and returns its path. Needs the network only to install.
    pub async fn ensure_claude(&self, pin: &ClaudePin) -> anyhow::Result<PathBuf> {
        let install = async |directory: &Path| self.install_claude(pin, directory).await;
        let entry = self.claude_entry(pin)?;
        let installed = entry.ensure(self.progress, install).await?;
        let program = installed.program();
        let checked = tokio::task::spawn_blocking(move || stamp::check(&installed)).await?;
        checked.with_context(|| {
            format!(
                "the installed `claude` {} cannot be used (install it again with `compat toolchain clean` and `compat \
                 toolchain install`)",
                pin.version
            )
        })?;
        Ok(program)
    }

    async fn install_claude(
        &self,
        pin: &ClaudePin,
        directory: &Path,
    ) -> anyhow::Result<(PathBuf, Option<InstalledFile>)> {
        let archive = directory.join("package.tgz");
        self.download_claude(pin, &archive).await?;

        let _work = Work::begin(self.progress, format!("unpacking claude {}", pin.version));
        let program = directory.join(TOOL);
        let file = tokio::task::spawn_blocking(move || unpack(&archive, &program))
            .await?
            .map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull => cache::failed("write", directory)(error),
                _ => anyhow!("cannot unpack the package of `claude` {}: {error}", pin.version),
            })?;
        Ok((PathBuf::from(TOOL), Some(file)))
    }

    async fn download_claude(&self, pin: &ClaudePin, archive: &Path) -> anyhow::Result<()> {
        let (version, platform) = (&pin.version, Platform::current()?);
        let fetch = async || {
            let registry = Registry::find(&self.tools).await?;
            let package = registry.version(&platform.package(), version).await?;
            let work = Work::begin(self.progress, format!("claude {version} for {platform}"));
            let advance = |done, total| work.advance(done, total);
            registry.download(&package, archive, &advance).await
        };
        let (actual, address) = fetch()
            .await
            .with_context(|| format!("cannot install `claude` {version}"))?;
        let expected = pin.digest(platform)?;
        if actual == expected {
            return Ok(());
        }
        std::fs::remove_file(archive).map_err(cache::failed("remove", archive))?;
        bail!(
            "the downloaded file for `claude` {version} is not the pinned one\n  file:     {address}\n  expected: \
             {expected}\n  actual:   {actual}\nthe file was deleted and not unpacked; if this happens again, something \
             between this machine and the registry changes files"
        )
    }
}

/// The version that the program at `path` prints: `2.1.327`. The program is not trusted: it gets an empty home, none of the
/// clients' settings, and the cage that this machine has. `keeper` is as in [`confinement::cage`].
pub async fn version_of(
    path: &Path,
    tools: &ToolEnvironment,
    keeper: Option<&Path>,
) -> anyhow::Result<String> {
    let version = async || {
        let text = printed(path, "--version", tools, keeper).await?;
        let word = text.split_whitespace().next().unwrap_or_default();
        match semver::Version::parse(word) {
            Ok(_) => Ok(word.to_owned()),
            Err(_) => bail!("it printed `{}`", text.trim()),
        }
    };
    version()
        .await
        .with_context(|| format!("`{} --version` does not print a version", path.display()))
}

/// The flags that the help of the program at `path` names: `--model`, `--effort`, …. It runs as in [`version_of`].
pub async fn flags_of(
    path: &Path,
    tools: &ToolEnvironment,
    keeper: Option<&Path>,
) -> anyhow::Result<BTreeSet<String>> {
    let text = printed(path, "--help", tools, keeper)
        .await
        .with_context(|| format!("`{} --help` fails", path.display()))?;
    Ok(flags_in(&text))
}

fn flags_in(help: &str) -> BTreeSet<String> {
    let words = help.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    let flags = words.filter(|word| word.strip_prefix("--").is_some_and(|name| !name.is_empty()));
    flags.map(str::to_owned).collect()
}

/// What the program prints to standard output, if it ends well within a minute.
async fn printed(
    path: &Path,
    argument: &str,
    tools: &ToolEnvironment,
    keeper: Option<&Path>,
) -> anyhow::Result<String> {
    let home = private_folder::make("compat-")?;
    let layers = confinement::layers(&tools.environment);
    let cage = confinement::cage(&tools.environment, layers, None, keeper, None)?;
    let launch = Launch::new(path, ProcessTag::run(tools.run))
        .arguments([argument])
        .environment(tools.environment.inherited())
        .environment([(env::HOME, home.path()), (env::TMPDIR, home.path())])
        .directory(home.path())
        .confined(cage.as_ref(), home.path());
    let output = process::output(&launch, b"", Duration::from_secs(60)).await?;
    let text = output.stdout_text();
    if output.timed_out {
        bail!("it did not end within a minute");
    }
    if !output.is_success() {
        bail!("{}, printed `{}`", output.ended, text.trim());
    }
    Ok(text)
}

/// Unpacks `package/claude` from the archive, makes it executable, and deletes the archive.
fn unpack(archive: &Path, program: &Path) -> io::Result<InstalledFile> {
    let wanted = Path::new("package").join(TOOL);
    let reader = BufReader::with_capacity(1 << 20, File::open(archive)?);
    let mut package = tar::Archive::new(GzDecoder::new(reader));
    for entry in package.entries()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() && entry.path()? == wanted {
            let partial = program.with_extension("partial");
            let file = write_executable(entry, &partial)?;
            std::fs::rename(&partial, program)?;
            std::fs::remove_file(archive)?;
            return Ok(file);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!("it has no `{}`", wanted.display()),
    ))
}

fn write_executable(source: impl Read, path: &Path) -> io::Result<InstalledFile> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o755);
    let mut file = options.open(path)?;
    let bytes = io::copy(&mut BufReader::with_capacity(1 << 18, source), &mut file)?;
    file.sync_all()?;
    Ok(InstalledFile {
        bytes,
        sha512: stamp::digest_of(path)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claude::Invocation;

    #[test]
    fn a_cell_may_have_the_flags_that_the_help_names() {
        let help = "Options:\n  --allowedTools, --allowed-tools <tools...>  Tools (see --tools)\n  -p, --print  Print -- and exit\n";
        let own = flags_in(help);
        assert_eq!(
            Vec::from_iter(&own),
            ["--allowed-tools", "--allowedTools", "--print", "--tools"]
        );
        let missing = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
            Invocation::missing_flag(&flags, &own).map(str::to_owned)
        };
        assert_eq!(
            missing(&["--allowed-tools", "Bash", "-p", "--max-turns", "3"]),
            None
        );
        assert_eq!(
            missing(&["--print", "--effort=high"]).as_deref(),
            Some("--effort")
        );
    }
}
