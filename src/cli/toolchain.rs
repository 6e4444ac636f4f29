//! `compat toolchain`: the pinned `claude` and LiteLLM, installed, shown, verified.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::Utc;
use clap::{Args, Subcommand, ValueEnum};
use indicatif::HumanBytes;
use serde::Serialize;

use super::print::{TextOrJson, data, talk};
use super::progress;
use crate::env::Environment;
use crate::process::{RunId, Watchdog};
use crate::toolchain::cache::Installed;
use crate::toolchain::npm::Registry;
use crate::toolchain::platform::{CLAUDE_PACKAGE, Platform};
use crate::toolchain::{Installer, Lock, claude, litellm, lock, stamp, update, verify};
use crate::versions::claude_code;

/// Install, show and update the pinned `claude` and LiteLLM
///
/// Both are pinned in the folder `toolchain/`, `claude` by the SHA-512 of each platform's package, LiteLLM by hashed
/// requirements. They are kept in `$COMPAT_CACHE_DIR`, by default `~/.cache/compat-matrix`, several versions side by
/// side. What is installed already needs no network.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compat toolchain install                    install what a run needs
  compat toolchain show                       what is pinned, what is installed, where
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
    /// Install what is pinned and not installed yet, and print where it is
    #[command(after_long_help = "Examples:\n  compat toolchain install\n  compat toolchain install claude")]
    Install {
        /// Only this one
        tool: Option<Tool>,
    },
    /// Show what is pinned, what is installed, and where
    #[command(after_long_help = "Examples:\n  compat toolchain show\n  compat toolchain show --format json")]
    Show {
        /// How to print it
        #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
        format: TextOrJson,
    },
    /// Pin other versions: ask the registries, rewrite the lock, print what changed
    ///
    /// Without options, everything is brought to the newest version that is at least three days old, LiteLLM to the
    /// newest of these whose requirements can be met; an index that does not say how old its packages are is taken as
    /// it is.
    #[command(
        after_long_help = "Examples:\n  compat toolchain update\n  compat toolchain update --claude 2.1.327\n  compat toolchain update --litellm 1.106.2"
    )]
    Update {
        /// Pin this version of `claude`
        #[arg(long, value_name = "VERSION")]
        claude: Option<String>,
        /// Pin this version of LiteLLM, with all that it needs
        #[arg(long, value_name = "VERSION")]
        litellm: Option<String>,
        /// Pin this version of `uv`, the installer for machines without one
        #[arg(long, value_name = "VERSION")]
        uv: Option<String>,
    },
    /// Check that what is installed is what was installed, file by file
    #[command(after_long_help = "Examples:\n  compat toolchain verify")]
    Verify,
    /// Print the path of an installed tool
    #[command(
        after_long_help = "Examples:\n  compat toolchain path claude\n  $(compat toolchain path claude) --version"
    )]
    Path {
        /// Which one
        tool: Tool,
    },
    /// Remove what is installed
    #[command(
        after_long_help = "Examples:\n  compat toolchain clean --keep-pinned\n  compat toolchain clean"
    )]
    Clean {
        /// Keep what is pinned
        #[arg(long)]
        keep_pinned: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Tool {
    Claude,
    Litellm,
}

/// Runs `compat toolchain`. The status is 1 if `verify` finds a fault or `path` nothing installed.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new()?.block_on(run_async(arguments))
}

async fn run_async(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let folder = &arguments.lock;
    let lock = Lock::read(folder)?;
    let progress = progress::on_standard_error();
    let run = RunId::mint();
    let installer = Installer::new(Environment::from_process(), run, &*progress)?;
    // What an installer started is not to outlive an interrupted `compat`.
    let _watchdog = match arguments.command {
        Command::Install { .. } | Command::Update { .. } => Some(Watchdog::start(run)?),
        _ => None,
    };
    match arguments.command {
        Command::Install { tool } => install(&installer, &lock, tool).await,
        Command::Show { format } => show(&installer, &lock, format),
        Command::Update { claude, litellm, uv } => {
            let wanted = Wanted { claude, litellm, uv };
            wanted.update(&installer, &lock, folder).await
        }
        Command::Verify => verify(&installer, &lock).await,
        Command::Path { tool } => path(&installer, &lock, tool),
        Command::Clean { keep_pinned } => clean(&installer, &lock, keep_pinned),
    }
}

async fn install(installer: &Installer<'_>, lock: &Lock, tool: Option<Tool>) -> anyhow::Result<ExitCode> {
    let claude = async {
        match tool {
            Some(Tool::Litellm) => Ok(None),
            _ => installer.ensure_claude(&lock.claude).await.map(Some),
        }
    };
    let litellm = async {
        match tool {
            Some(Tool::Claude) => Ok(None),
            _ => installer.ensure_litellm(&lock.litellm, &lock.uv).await.map(Some),
        }
    };
    // Both go on to their ends: one that failed does not take the other's work away.
    let (claude, litellm) = tokio::join!(claude, litellm);
    if let Ok(Some(program)) = &claude {
        data!("{}", program.display());
    }
    if let Ok(Some(install)) = &litellm {
        data!("{}", install.bin.display());
    }
    match (claude, litellm) {
        (Ok(_), Ok(_)) => Ok(ExitCode::SUCCESS),
        (Err(claude), Ok(_)) => Err(claude.into()),
        (Ok(_), Err(litellm)) => Err(litellm.into()),
        (Err(claude), Err(litellm)) => anyhow::bail!("{claude}\nerror: {litellm}"),
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

fn show(installer: &Installer, lock: &Lock, format: TextOrJson) -> anyhow::Result<ExitCode> {
    let rows = rows(installer, lock)?;
    if format == TextOrJson::Json {
        let document = serde_json::json!({ "cache": installer.cache.root(), "tools": rows });
        data!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(ExitCode::SUCCESS);
    }
    for row in &rows {
        let state = match (row.pinned, row.bytes) {
            (true, Some(bytes)) => format!("pinned, installed, {}", HumanBytes(bytes)),
            (false, Some(bytes)) => format!("installed, {}", HumanBytes(bytes)),
            (_, None) => "pinned, not installed".to_owned(),
        };
        data!("{:8} {:10} {state}", row.tool, row.version);
        if let Some(path) = &row.path {
            data!("         {}", path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(installer: &Installer, lock: &Lock) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (tool, version, entry, digest) in pinned(installer, lock)? {
        let installed = entry.installed();
        rows.push(Row {
            tool: tool.to_owned(),
            version: version.to_owned(),
            pinned: true,
            digest,
            installed: installed.is_some(),
            path: installed.as_ref().map(Installed::program),
            bytes: installed.as_ref().map(Installed::size),
        });
    }
    for installed in others(installer, lock)? {
        rows.push(Row {
            tool: installed.receipt.tool.clone(),
            version: installed.receipt.version.clone(),
            pinned: false,
            digest: installed.receipt.locked.to_string(),
            installed: true,
            path: Some(installed.program()),
            bytes: Some(installed.size()),
        });
    }
    Ok(rows)
}

type Pinned<'a> = (&'static str, &'a str, crate::toolchain::cache::Entry, String);

/// What a run needs. `uv` is not among it: it is there only where it had to be installed.
fn pinned<'a>(installer: &Installer, lock: &'a Lock) -> anyhow::Result<Vec<Pinned<'a>>> {
    let digest = lock.claude.digest(Platform::current()?)?;
    Ok(vec![
        (
            claude::TOOL,
            lock.claude.version.as_str(),
            claude::entry(installer, &lock.claude)?,
            digest.to_string(),
        ),
        (
            litellm::TOOL,
            lock.litellm.version.as_str(),
            litellm::entry(installer, litellm::TOOL, &lock.litellm)?,
            lock.litellm.digest().to_string(),
        ),
    ])
}

fn others(installer: &Installer, lock: &Lock) -> anyhow::Result<Vec<Installed>> {
    let pinned = pinned(installer, lock)?;
    let mut installed = installer.cache.installed()?;
    installed.retain(|installed| {
        pinned
            .iter()
            .all(|(_, _, entry, _)| !entry.owns(&installed.directory))
    });
    Ok(installed)
}

/// The versions asked for; none at all means the newest of each.
struct Wanted {
    claude: Option<String>,
    litellm: Option<String>,
    uv: Option<String>,
}

impl Wanted {
    async fn update(
        &self,
        installer: &Installer<'_>,
        lock: &Lock,
        folder: &Path,
    ) -> anyhow::Result<ExitCode> {
        let everything = self.claude.is_none() && self.litellm.is_none() && self.uv.is_none();
        if everything || self.claude.is_some() {
            self.update_claude(installer, lock, folder).await?;
        }
        if everything || self.uv.is_some() {
            let files = (lock::UV_SOURCE, lock::UV_FILE);
            update_python(installer, lock, folder, &lock.uv, files, self.uv.as_deref()).await?;
        }
        if everything || self.litellm.is_some() {
            let files = (lock::LITELLM_SOURCE, lock::LITELLM_FILE);
            update_python(
                installer,
                lock,
                folder,
                &lock.litellm,
                files,
                self.litellm.as_deref(),
            )
            .await?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn update_claude(
        &self,
        installer: &Installer<'_>,
        lock: &Lock,
        folder: &Path,
    ) -> anyhow::Result<()> {
        let registry = Registry::find(&installer.surroundings).await?;
        let version = match &self.claude {
            Some(version) => version.clone(),
            None => {
                let package = registry.package(CLAUDE_PACKAGE).await?;
                let selected = claude_code::select(&package, claude_code::PATIENT, Utc::now())?;
                talk!("{}", selected.reason());
                selected.published.version.to_string()
            }
        };
        let pin = update::pin_claude(&registry, &version).await?;
        if pin == lock.claude {
            data!("claude {version}: unchanged");
        } else {
            pin.write(folder)?;
            data!("claude {} → {version}", lock.claude.version);
        }
        Ok(())
    }
}

async fn update_python(
    installer: &Installer<'_>,
    lock: &Lock,
    folder: &Path,
    old: &lock::PythonPin,
    (source, target): (&str, &str),
    version: Option<&str>,
) -> anyhow::Result<()> {
    let wanted = update::with_version(&lock::read(&folder.join(source))?, &old.package, version);
    // Who names a version has chosen it; a newest one is given the time in which bad ones are withdrawn.
    let published_by = version.is_none().then(|| Utc::now() - claude_code::PATIENT.0);
    let new = update::pin_python(installer, &lock.uv, &old.package, &wanted, published_by).await?;
    // What was found is written down as asked for, so that the two files agree.
    let asked = update::with_version(&wanted, &old.package, Some(&new.version));
    lock::write(&folder.join(source), &asked)?;
    lock::write(&folder.join(target), &new.requirements)?;
    let differences = update::differences(&old.requirements, &new.requirements);
    if differences.is_empty() {
        data!("{} {}: unchanged", old.package, new.version);
    }
    for difference in differences {
        data!("{difference}");
    }
    Ok(())
}

async fn verify(installer: &Installer<'_>, lock: &Lock) -> anyhow::Result<ExitCode> {
    let mut sound = true;
    for (tool, version, entry, _) in pinned(installer, lock)? {
        let faults = match entry.installed() {
            None => vec!["not installed; install it with `compat toolchain install`".to_owned()],
            Some(installed) if tool == claude::TOOL => stamp::read(&installed)
                .err()
                .iter()
                .map(ToString::to_string)
                .collect(),
            Some(installed) => verify::litellm(&installed, &lock.litellm, &installer.surroundings).await?,
        };
        if faults.is_empty() {
            data!("{tool} {version}: as installed");
        }
        for fault in &faults {
            data!("{tool} {version}: {fault}");
        }
        if entry.installed().is_some() && !faults.is_empty() {
            talk!("hint: install it again with `compat toolchain clean` and `compat toolchain install`");
        }
        sound &= faults.is_empty();
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn path(installer: &Installer, lock: &Lock, tool: Tool) -> anyhow::Result<ExitCode> {
    let entry = match tool {
        Tool::Claude => claude::entry(installer, &lock.claude)?,
        Tool::Litellm => litellm::entry(installer, litellm::TOOL, &lock.litellm)?,
    };
    match entry.installed() {
        Some(installed) => {
            data!("{}", installed.program().display());
            Ok(ExitCode::SUCCESS)
        }
        None => anyhow::bail!("not installed; install it with `compat toolchain install`"),
    }
}

fn clean(installer: &Installer, lock: &Lock, keep_pinned: bool) -> anyhow::Result<ExitCode> {
    let pinned = pinned(installer, lock)?;
    let keep = |directory: &Path| keep_pinned && pinned.iter().any(|(_, _, entry, _)| entry.owns(directory));
    for removed in installer.cache.clean(keep)? {
        data!("removed {}", removed.display());
    }
    Ok(ExitCode::SUCCESS)
}
