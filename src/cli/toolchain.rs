//! `compat toolchain`: installs, shows, updates and verifies the pinned `claude` and LiteLLM.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::Utc;
use clap::{Args, Subcommand, ValueEnum};
use futures_util::future::OptionFuture;
use indicatif::HumanBytes;
use serde::Serialize;

use super::print::{TextOrJson, output, output_json, output_wrapped, status};
use super::project::{self, RootFlag};
use crate::digest::Sha512;
use crate::env::Environment;
use crate::process::{RunId, Watchdog};
use crate::progress;
use crate::text::{listed, suggestion};
use crate::toolchain::PackagePin;
use crate::toolchain::cache::{CacheEntry, Installed};
use crate::toolchain::npm::Registry;
use crate::toolchain::platform::Platform;
use crate::toolchain::{Installer, Lock, PythonPin, claude, litellm, lock, stamp, update, verify};
use crate::versions::claude_code::DEFAULT_MIN_AGE;
use crate::versions::{self, WantedVersion};

/// Install, show and update the pinned `claude` and LiteLLM
///
/// The folder `toolchain/` pins both: `claude` by the SHA-512 of each platform's package, LiteLLM by hashed requirements. The
/// cache (`$COMPAT_CACHE_DIR`, by default `~/.cache/compat-matrix`) may hold several versions. An installed tool needs no
/// network.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compat toolchain install                    install the tools for a run
  compat toolchain show                       which tools are pinned and installed, and where
  compat toolchain update                     pin the newest of each (`claude`: at least three days old)
  compat toolchain update --claude 2.1.327    pin this version of `claude`, leave the rest
  $(compat toolchain path claude) --version   run the pinned `claude`")]
pub struct Arguments {
    /// The folder of the lock
    #[arg(long, global = true, value_name = "FOLDER", default_value = lock::FOLDER)]
    lock: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install the pinned tools that are missing, and print their paths
    #[command(after_long_help = "Examples:\n  compat toolchain install\n  compat toolchain install claude")]
    Install {
        /// Only this tool
        tool: Option<Tool>,
    },
    /// Show the pinned and the installed tools with their paths
    #[command(after_long_help = "Examples:\n  compat toolchain show\n  compat toolchain show --format json")]
    Show {
        /// How to print it
        #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
        format: TextOrJson,
    },
    /// Pin other versions: ask the registries, rewrite the lock, print the changes
    ///
    /// Without options, this pins the newest version of each tool that is at least three days old. For LiteLLM, the version's
    /// requirements must be solvable. If a package index has no publication times, there is no minimum age.
    #[command(
        after_long_help = "Examples:\n  compat toolchain update\n  compat toolchain update --claude 2.1.327\n  compat toolchain update --litellm 1.106.2"
    )]
    Update(Versions),
    /// Check that the installed files are unchanged
    #[command(after_long_help = "Examples:\n  compat toolchain verify")]
    Verify,
    /// Print the path of an installed tool
    #[command(
        after_long_help = "Examples:\n  compat toolchain path claude\n  $(compat toolchain path claude) --version"
    )]
    Path {
        /// The tool
        tool: Tool,
    },
    /// Remove the installed tools
    #[command(
        after_long_help = "Examples:\n  compat toolchain clean --keep-pinned\n  compat toolchain clean"
    )]
    Clean {
        /// Keep the pinned tools
        #[arg(long)]
        keep_pinned: bool,
    },
}

/// The versions to pin; without any, the newest of each.
#[derive(Args, Debug)]
struct Versions {
    /// Pin this version of `claude`
    #[arg(long, value_name = "VERSION")]
    claude: Option<String>,
    /// Pin this version of LiteLLM, with its dependencies
    #[arg(long, value_name = "VERSION")]
    litellm: Option<String>,
    /// Pin the version in `gateways/NAME.yaml` of this gateway, with its dependencies
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    /// Pin this version of `uv`, the installer for machines without one
    #[arg(long, value_name = "VERSION")]
    uv: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Tool {
    Claude,
    Litellm,
}

/// The status is 1 if `verify` finds a change or `path` finds no installation.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new()?.block_on(run_async(arguments))
}

async fn run_async(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let folder = &arguments.lock;
    let lock = Lock::read(folder)?;
    let progress = progress::on_standard_error();
    let run = RunId::mint();
    let installer = Installer::new(Environment::from_process(), run, &*progress)?;
    // The installer's processes must not outlive an interrupted `compat`.
    let _watchdog = match arguments.command {
        Command::Install { .. } | Command::Update { .. } => Some(Watchdog::start(run)?),
        _ => None,
    };
    match arguments.command {
        Command::Install { tool } => install(&installer, &lock, tool).await?,
        Command::Show { format } => show(&installer, &lock, format)?,
        Command::Update(versions) => versions.update(&installer, &lock, folder).await?,
        Command::Verify => return verify(&installer, &lock).await,
        Command::Path { tool } => path(&installer, &lock, tool)?,
        Command::Clean { keep_pinned } => clean(&installer, &lock, folder, keep_pinned)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn install(installer: &Installer<'_>, lock: &Lock, tool: Option<Tool>) -> anyhow::Result<()> {
    let claude = (tool != Some(Tool::Litellm)).then(|| installer.ensure_claude(&lock.claude));
    let litellm = (tool != Some(Tool::Claude)).then(|| installer.ensure_litellm(&lock.litellm, &lock.uv));
    // Both run to the end: a failure of one must not discard the other's work.
    let (claude, litellm) = tokio::join!(OptionFuture::from(claude), OptionFuture::from(litellm));
    for program in [&claude, &litellm].into_iter().flatten().flatten() {
        output!("{}", program.display());
    }
    match (claude.transpose(), litellm.transpose()) {
        (Err(claude), Err(litellm)) => bail!("{claude:#}\nerror: {litellm:#}"),
        (claude, litellm) => claude.and(litellm).map(drop),
    }
}

/// A tool as `show` prints it.
#[derive(Serialize)]
struct Row {
    tool: String,
    version: String,
    pinned: bool,
    digest: String,
    installed: bool,
    path: Option<PathBuf>,
    bytes: Option<u64>,
}

fn row(tool: &str, version: &str, locked: Sha512, pinned: bool, installed: Option<&Installed>) -> Row {
    Row {
        tool: tool.to_owned(),
        version: version.to_owned(),
        pinned,
        digest: locked.to_string(),
        installed: installed.is_some(),
        path: installed.map(Installed::program),
        bytes: installed.map(Installed::size),
    }
}

fn show(installer: &Installer, lock: &Lock, format: TextOrJson) -> anyhow::Result<()> {
    let pinned = pinned(installer, lock)?;
    let mut rows = Vec::new();
    for entry in &pinned {
        let installed = entry.installed();
        rows.push(row(
            &entry.tool,
            &entry.version,
            entry.locked,
            true,
            installed.as_ref(),
        ));
    }
    for installed in installer.cache.installed()? {
        if !pinned.iter().any(|entry| entry.owns(&installed.directory)) {
            let receipt = &installed.receipt;
            rows.push(row(
                &receipt.tool,
                &receipt.version,
                receipt.locked,
                false,
                Some(&installed),
            ));
        }
    }
    if format == TextOrJson::Json {
        let document = serde_json::json!({ "cache": installer.cache.root(), "tools": rows });
        output_json(&document)?;
        return Ok(());
    }
    for row in &rows {
        let state = match (row.pinned, row.bytes) {
            (true, Some(bytes)) => format!("pinned, installed, {}", HumanBytes(bytes)),
            (false, Some(bytes)) => format!("installed, {}", HumanBytes(bytes)),
            (_, None) => "pinned, not installed".to_owned(),
        };
        output_wrapped(&format!("{:8} {:10} {state}", row.tool, row.version));
        if let Some(path) = &row.path {
            output!("         {}", path.display());
        }
    }
    Ok(())
}

/// The tools for a run, without `uv`: it is installed only on machines that need it.
fn pinned(installer: &Installer, lock: &Lock) -> anyhow::Result<[CacheEntry; 2]> {
    Ok([
        installer.claude_entry(&lock.claude)?,
        installer.python_entry(litellm::TOOL, &lock.litellm)?,
    ])
}

impl Versions {
    async fn update(&self, installer: &Installer<'_>, lock: &Lock, folder: &Path) -> anyhow::Result<()> {
        let all =
            self.claude.is_none() && self.litellm.is_none() && self.uv.is_none() && self.gateway.is_none();
        if let Some(name) = &self.gateway {
            pin_gateway(installer, lock, folder, &name.replace('-', "_")).await?;
        }
        if all || self.claude.is_some() {
            self.update_claude(installer, lock, folder).await?;
        }
        if all || self.uv.is_some() {
            let files = (lock::UV_SOURCE, lock::UV_FILE);
            update_python(installer, lock, folder, &lock.uv, files, self.uv.as_deref()).await?;
        }
        if all || self.litellm.is_some() {
            let files = (lock::LITELLM_SOURCE, lock::LITELLM_FILE);
            let version = self.litellm.as_deref();
            update_python(installer, lock, folder, &lock.litellm, files, version).await?;
        }
        Ok(())
    }

    async fn update_claude(
        &self,
        installer: &Installer<'_>,
        lock: &Lock,
        folder: &Path,
    ) -> anyhow::Result<()> {
        let version = match &self.claude {
            Some(version) => version.clone(),
            None => {
                let (min_age, at) = (DEFAULT_MIN_AGE, Utc::now());
                let wanted = WantedVersion::ClaudeCode { min_age, at };
                let resolved = versions::resolve(&wanted, &installer.tools).await?;
                status!("{}", resolved.reason);
                resolved.version
            }
        };
        let registry = Registry::find(&installer.tools).await?;
        let pin = update::pin_claude(&registry, &version, &Platform::ALL).await?;
        if pin == lock.claude {
            output!("claude {version}: unchanged");
        } else {
            pin.write(folder)?;
            output!("claude {} → {version}", lock.claude.version);
        }
        Ok(())
    }
}

async fn update_python(
    installer: &Installer<'_>,
    lock: &Lock,
    folder: &Path,
    old: &PythonPin,
    (source, target): (&str, &str),
    version: Option<&str>,
) -> anyhow::Result<()> {
    let wanted = update::with_version(&lock::read(&folder.join(source))?, &old.package, version);
    // A given version may be new. The newest one must be old enough, because bad versions are withdrawn within days.
    let published_by = version.is_none().then(|| Utc::now() - DEFAULT_MIN_AGE.0);
    let new = update::pin_python(installer, &lock.uv, &old.package, &wanted, published_by, None).await?;
    // The source gets the resolved version, so that the two files agree.
    let resolved = update::with_version(&wanted, &old.package, Some(&new.version));
    lock::write(&folder.join(source), &resolved)?;
    lock::write(&folder.join(target), &new.requirements)?;
    let differences = update::differences(&old.requirements, &new.requirements);
    if differences.is_empty() {
        output!("{} {}: unchanged", old.package, new.version);
    }
    for difference in differences {
        output!("{difference}");
    }
    Ok(())
}

/// Pins the package of a gateway of the catalogue.
async fn pin_gateway(
    installer: &Installer<'_>,
    lock: &Lock,
    folder: &Path,
    name: &str,
) -> anyhow::Result<()> {
    let root = RootFlag::default().find()?;
    let project = project::open(&root)?;
    let known = project.gateways();
    let known = || known.iter().map(String::as_str);
    anyhow::ensure!(
        known().any(|other| other == name),
        "there is no `gateways/{name}.yaml`{}; known are {}",
        suggestion(name, known()),
        listed(known())
    );
    let description = project.gateway(name).map_err(project::InvalidFiles)?;
    let entry = description.entry;
    let entry = entry
        .with_context(|| format!("`gateways/{name}.yaml` has no `install`, so there is nothing to pin"))?;
    let file = PackagePin::file(folder, name, &entry.install);
    let file =
        file.with_context(|| format!("the gateway `{name}` is no package, so there is nothing to pin"))?;
    let pin = installer.pin_package(&entry.install, &lock.uv, None).await?;
    pin.write(&file)?;
    output!("{name} {}: wrote `{}`", pin.version(), file.display());
    Ok(())
}

const NOT_INSTALLED: &str = "not installed; install it with `compat toolchain install`";

async fn verify(installer: &Installer<'_>, lock: &Lock) -> anyhow::Result<ExitCode> {
    let mut status = ExitCode::SUCCESS;
    for entry in pinned(installer, lock)? {
        let installed = entry.installed();
        let faults = match &installed {
            None => vec![NOT_INSTALLED.to_owned()],
            Some(installed) if entry.tool == claude::TOOL => {
                let fault = stamp::check_digest(installed).err();
                fault.iter().map(|error| format!("{error:#}")).collect()
            }
            Some(installed) => verify::litellm(installed, &lock.litellm, &installer.tools).await?,
        };
        let (tool, version) = (&entry.tool, &entry.version);
        if faults.is_empty() {
            output!("{tool} {version}: unchanged since it was installed");
            continue;
        }
        for fault in &faults {
            output_wrapped(&format!("{tool} {version}: {fault}"));
        }
        if installed.is_some() {
            status!("hint: install it again with `compat toolchain clean` and `compat toolchain install`");
        }
        status = ExitCode::FAILURE;
    }
    Ok(status)
}

fn path(installer: &Installer, lock: &Lock, tool: Tool) -> anyhow::Result<()> {
    let [claude, litellm] = pinned(installer, lock)?;
    let entry = match tool {
        Tool::Claude => claude,
        Tool::Litellm => litellm,
    };
    let installed = entry.installed().context(NOT_INSTALLED)?;
    output!("{}", installed.program().display());
    Ok(())
}

fn clean(installer: &Installer, lock: &Lock, folder: &Path, keep_pinned: bool) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    if keep_pinned {
        kept.extend(pinned(installer, lock)?);
        kept.push(installer.python_entry(litellm::UV_TOOL, &lock.uv)?);
        let project = project::open(&RootFlag::default().find()?)?;
        for name in project.gateways() {
            let description = project.gateway(&name).map_err(project::InvalidFiles)?;
            if let Some(entry) = description.entry {
                kept.extend(installer.pinned_entry(&name, &entry.install, folder, lock)?);
            }
        }
    }
    let keep = |directory: &Path| kept.iter().any(|entry| entry.owns(directory));
    let cleaned = installer.cache.clean(keep)?;
    for removed in &cleaned.removed {
        output!("removed {}", removed.display());
    }
    for used in &cleaned.in_use {
        status!("kept {}: a process uses it or installs into it", used.display());
    }
    Ok(())
}
