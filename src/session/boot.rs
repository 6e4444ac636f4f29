//! Starts the parts of a session: the watchdog, the gateway, the simulator behind it, and the `claude` to run.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use parking_lot::Mutex;
use tokio::time::timeout;

use super::daemon::{self, DaemonClient, DaemonUse, Fingerprint, Found, StateDir};
use super::{SessionOptions, machine};
use crate::catalogue::{BuiltIn, Install, OwnTool};
use crate::claude::Invocation;
use crate::env::{self, ClaudeChoice, Environment, Secret};
use crate::files::private_folder;
use crate::files::project::{PROXY_CONFIG, tier_models};
use crate::gateway::{
    self, CatalogueGateway, ClientHeaders, GatewayKind, GatewayOptions, GatewayProcess, InstalledParts,
    LogFile, RunningGateway, WantedTools,
};
use crate::mutants::RelayPosition;
use crate::process::{RunId, Watchdog};
use crate::progress::ProgressSink;
use crate::provider::{Provider, RemoteSimulator, Simulator, SimulatorOptions};
use crate::relay::Relay;
use crate::toolchain::{self, Installer, Lock, ToolEnvironment};

/// The longest wait for the first answer of a simulator that the user names. It needs no provider.
const HELLO_PATIENCE: Duration = Duration::from_secs(4);

/// The watchdog of a run, and the temporary folder that it removes at the end.
#[derive(Debug)]
pub(super) struct RunGuard {
    watchdog: Mutex<Watchdog>,
    run: RunId,
    executable: Option<PathBuf>,
    scratch: tempfile::TempDir,
}

impl RunGuard {
    /// The watchdog is `executable`, else the program that runs now.
    pub(super) fn start(run: RunId, executable: Option<&Path>) -> anyhow::Result<Self> {
        let scratch = private_folder::make("compat-").context("cannot make a temporary folder")?;
        machine::check(scratch.path())?;
        Ok(Self {
            watchdog: Mutex::new(watchdog(run, executable, scratch.path())?),
            run,
            executable: executable.map(Path::to_owned),
            scratch,
        })
    }

    /// Starts another watchdog if the first one has been killed.
    pub(super) fn ensure_watchdog(&self) -> anyhow::Result<()> {
        let mut current = self.watchdog.lock();
        if current.is_lost() {
            *current = watchdog(self.run, self.executable.as_deref(), self.scratch())?;
        }
        Ok(())
    }

    pub(super) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Ends every remaining process of the run.
    pub(super) async fn end(self) {
        let watchdog = self.watchdog.into_inner();
        // If this fails, the watchdog still does its work when this process ends.
        let _ = tokio::task::spawn_blocking(|| watchdog.finish()).await;
    }
}

fn watchdog(run: RunId, executable: Option<&Path>, scratch: &Path) -> anyhow::Result<Watchdog> {
    let mut watchdog = match executable {
        Some(executable) => Watchdog::start_from(executable, run),
        None => Watchdog::start(run),
    }?;
    watchdog
        .remove_at_end(scratch)
        .context("cannot reach the watchdog")?;
    Ok(watchdog)
}

/// The gateway of a session, and its provider.
pub(super) struct Backend {
    pub(super) provider: Option<Provider>,
    pub(super) back: Option<Relay>,
    pub(super) gateway: RunningGateway,
    /// The gateway's version, if it is known.
    pub(super) version: Option<String>,
    pub(super) lease: Option<File>,
}

impl Backend {
    fn new(provider: Option<Provider>, gateway: RunningGateway, version: Option<String>) -> Self {
        Self {
            provider,
            back: None,
            gateway,
            version,
            lease: None,
        }
    }

    fn of_daemon(client: DaemonClient) -> Self {
        let info = client.info;
        let gateway = RunningGateway {
            base_url: info.gateway,
            key: Secret::new(info.gateway_key),
            log: Some(LogFile::at(&info.gateway_log)),
            kind: GatewayKind::Running(info.gateway_pid.into_iter().chain([info.pid]).collect()),
            client: ClientHeaders::default(),
        };
        let provider = Provider::Remote(client.provider);
        Self {
            lease: Some(client.lease),
            ..Self::new(Some(provider), gateway, Some(info.litellm))
        }
    }
}

/// Finds or starts the backend that `options` and their environment ask for.
pub(super) async fn backend(
    options: &SessionOptions,
    run: RunId,
    scratch: &Path,
    progress: &dyn ProgressSink,
) -> anyhow::Result<Backend> {
    let environment = &options.environment;
    if let Some(base_url) = environment.get(env::LITELLM_PROXY_BASE_URL) {
        return attached(environment, base_url, &options.wanted.headers).await;
    }
    ensure!(
        environment.get(env::COMPAT_PROVIDER_URL).is_none(),
        "`{}` is set but `{}` is not: your own provider simulator needs your own gateway",
        env::COMPAT_PROVIDER_URL,
        env::LITELLM_PROXY_BASE_URL
    );
    if options.wanted.gateway.is_none() {
        let simulator = Simulator::start(simulator_options(&options.root)).await?;
        let gateway = RunningGateway {
            base_url: simulator.base_url().to_owned(),
            key: Secret::new(&simulator.credentials().anthropic_api_key),
            log: None,
            kind: GatewayKind::Absent,
            client: ClientHeaders::default(),
        };
        return Ok(Backend::new(Some(Provider::Embedded(simulator)), gateway, None));
    }
    // The warm session has no relay behind its gateway.
    if !options.mutants
        && options.wanted.is_pinned_gateway()
        && options.wanted.catalogue.is_none()
        && let Some(client) = daemon_client(options, progress).await?
    {
        return Ok(Backend::of_daemon(*client));
    }
    let boot_options = Boot {
        environment,
        root: &options.root,
        run,
        scratch,
        simulator: simulator_options(&options.root),
        relay_behind: options.mutants,
        wanted: &options.wanted,
    };
    if let Some(gateway) = &options.wanted.catalogue {
        return boot_catalogued(boot_options, gateway, progress).await;
    }
    let booted = boot(boot_options, progress).await?;
    let provider = Provider::Embedded(booted.simulator);
    Ok(Backend {
        back: booted.back,
        ..Backend::new(Some(provider), booted.gateway.into(), Some(booted.version))
    })
}

pub(super) fn simulator_options(root: &Path) -> SimulatorOptions {
    SimulatorOptions {
        tiers: tier_models(root),
        ..SimulatorOptions::default()
    }
}

async fn attached(
    environment: &Environment,
    base_url: &str,
    headers: &[(String, String)],
) -> anyhow::Result<Backend> {
    let base_url = gateway::checked_address(env::LITELLM_PROXY_BASE_URL, base_url)?;
    let key = environment.secret(env::LITELLM_PROXY_API_KEY).with_context(|| {
        format!(
            "`{}` is set but `{}` is not: set it to a key that the gateway accepts",
            env::LITELLM_PROXY_BASE_URL,
            env::LITELLM_PROXY_API_KEY
        )
    })?;
    ensure!(
        !key.expose().contains(char::is_control),
        "`{}` has a line break or another control character within: set it to the key alone",
        env::LITELLM_PROXY_API_KEY
    );
    let version = async { Ok(gateway::version_of(&base_url, &key).await) };
    let (provider, (), version) = tokio::try_join!(
        remote_provider(environment),
        gateway::ensure_answers(&base_url),
        version
    )?;
    let gateway = RunningGateway {
        base_url,
        key,
        log: None,
        kind: GatewayKind::Running(Vec::new()),
        client: ClientHeaders {
            all: headers.to_vec(),
            ..ClientHeaders::default()
        },
    };
    Ok(Backend::new(provider, gateway, version))
}

async fn remote_provider(environment: &Environment) -> anyhow::Result<Option<Provider>> {
    let Some(url) = environment.get(env::COMPAT_PROVIDER_URL) else {
        return Ok(None);
    };
    let key = match (
        environment.get(env::COMPAT_PROVIDER_CONTROL_KEY),
        environment.path(env::COMPAT_PROVIDER_CONTROL_KEY_FILE),
    ) {
        (Some(key), _) => key.to_owned(),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(&path);
            let text =
                text.with_context(|| format!("cannot read the control key from `{}`", path.display()))?;
            text.trim().to_owned()
        }
        (None, None) => bail!(
            "`{}` is set but neither `{}` nor `{}` is: `compat provider serve` prints the name of its key file",
            env::COMPAT_PROVIDER_URL,
            env::COMPAT_PROVIDER_CONTROL_KEY,
            env::COMPAT_PROVIDER_CONTROL_KEY_FILE
        ),
    };
    let url = gateway::checked_address(env::COMPAT_PROVIDER_URL, url)?;
    let connected = timeout(HELLO_PATIENCE, RemoteSimulator::connect(&url, &key)).await;
    let remote = connected.with_context(|| {
        format!(
            "the server at `{url}` does not answer within {} s: is `compat provider serve` running there?",
            HELLO_PATIENCE.as_secs()
        )
    })??;
    Ok(Some(Provider::Remote(remote)))
}

/// A client of the warm session, if the run may use one and one is usable.
async fn daemon_client(
    options: &SessionOptions,
    progress: &dyn ProgressSink,
) -> anyhow::Result<Option<Box<DaemonClient>>> {
    let (environment, root) = (&options.environment, &options.root);
    if options.daemon == DaemonUse::Never {
        return Ok(None);
    }
    let found = async {
        let state = StateDir::of(environment, root)?;
        match state.read() {
            Some(_) => daemon::find(&state, &Fingerprint::of(root)?).await,
            None => Ok(Found::Absent),
        }
    };
    match found.await {
        Ok(Found::Usable(client)) => {
            let info = &client.info;
            let since = info.since.with_timezone(&chrono::Local).format("%H:%M");
            progress.note(&format!(
                "using the warm session started at {since} (LiteLLM {} at {})",
                info.litellm, info.gateway
            ));
            return Ok(Some(client));
        }
        Ok(Found::Unusable(why)) => progress.note(&format!(
            "not using the warm session: {why}; `compat up` starts a new one"
        )),
        Ok(Found::Absent) => {}
        Err(error) => progress.note(&format!("not using the warm session: {error:#}")),
    }
    let DaemonUse::Shared { program, run } = &options.daemon else {
        return Ok(None);
    };
    let state = StateDir::of_run(environment, root, run)?;
    let started =
        daemon::find_or_start(&state, root, environment, program, daemon::SHARED_IDLE, progress).await?;
    Ok(Some(started.client))
}

pub(super) struct Boot<'a> {
    pub(super) environment: &'a Environment,
    pub(super) root: &'a Path,
    pub(super) run: RunId,
    pub(super) scratch: &'a Path,
    pub(super) simulator: SimulatorOptions,
    /// Whether there is a relay between gateway and simulator.
    pub(super) relay_behind: bool,
    pub(super) wanted: &'a WantedTools,
}

/// A gateway and the simulator behind it.
pub(super) struct Booted {
    pub(super) simulator: Simulator,
    pub(super) back: Option<Relay>,
    pub(super) gateway: GatewayProcess,
    /// The version of LiteLLM.
    pub(super) version: String,
}

/// Starts a simulator, and LiteLLM in front of it.
pub(super) async fn boot(boot: Boot<'_>, progress: &dyn ProgressSink) -> anyhow::Result<Booted> {
    let (simulator, back, provider_url) = start_provider(boot.simulator, boot.relay_behind).await?;
    let folder = boot.root.join(toolchain::lock::FOLDER);
    let lock = Lock::read(&folder)?;
    let installer = Installer::new(boot.environment.clone(), boot.run, progress)?;
    let (version, overrides) = (&boot.wanted.gateway.version, &boot.wanted.overrides);
    let pin = installer
        .litellm_pin(&folder, &lock, version.as_ref(), overrides.as_deref())
        .await?;
    let install = installer.ensure_litellm(&pin, &lock.uv).await?;
    let version = pin.version;
    let label = format!("starting LiteLLM {version}");
    progress.begin(&label);
    let mut providers = simulator.credentials().for_gateway(&provider_url);
    providers.extend(env::LITELLM_SHORT_WAITS.map(|(name, value)| (name.into(), value.into())));
    let folder = boot.scratch.join("gateway");
    let mut config = boot.root.join(PROXY_CONFIG);
    if let Some(configuration) = &boot.wanted.configuration {
        let configured = gateway::configure_litellm(configuration, &config, &mut providers, &folder);
        config =
            configured.with_context(|| format!("cannot make the configuration `{}`", configuration.name))?;
    }
    let options = GatewayOptions {
        config: &config,
        folder: &folder,
        environment: boot.environment,
        providers,
        run: boot.run,
    };
    let gateway = gateway::start_litellm(&options, &install).await;
    progress.end(&label);
    Ok(Booted {
        gateway: gateway?,
        simulator,
        back,
        version,
    })
}

/// Starts a simulator, and a relay in front of it if `has_relay`. Returns the address for the gateway too.
async fn start_provider(
    options: SimulatorOptions,
    has_relay: bool,
) -> anyhow::Result<(Simulator, Option<Relay>, String)> {
    let simulator = Simulator::start(options).await?;
    if !has_relay {
        let address = simulator.base_url().to_owned();
        return Ok((simulator, None, address));
    }
    let secret = &simulator.credentials().aws_secret_access_key;
    let relay = Relay::start(RelayPosition::Behind, simulator.base_url(), Some(secret)).await?;
    let address = relay.base_url().to_owned();
    Ok((simulator, Some(relay), address))
}

/// Starts a simulator, and a gateway of the catalogue in front of it.
async fn boot_catalogued(
    boot: Boot<'_>,
    gateway: &CatalogueGateway,
    progress: &dyn ProgressSink,
) -> anyhow::Result<Backend> {
    let (simulator, back, provider_url) = start_provider(boot.simulator, boot.relay_behind).await?;
    let folder = boot.root.join(toolchain::lock::FOLDER);
    let lock = Lock::read(&folder)?;
    let installer = Installer::new(boot.environment.clone(), boot.run, progress)?;
    let (name, install) = (&gateway.name, &gateway.entry.install);
    let wanted = boot.wanted.gateway.version.as_ref();
    let mut parts = InstalledParts::default();
    let mut version = None;
    if let Some(pin) = installer
        .package_pin(&folder, name, install, wanted, &lock)
        .await?
    {
        parts.package = Some(installer.ensure_package(name, &pin, &lock.uv).await?);
        version = Some(pin.version().to_owned());
    }
    if *install == Install::Tool(OwnTool::Claude) {
        let pin = installer.claude_pin(&lock, wanted).await?;
        parts.claude = Some(installer.ensure_claude(&pin).await?);
        version = Some(pin.version);
    }
    if *install == Install::BuiltIn(BuiltIn::Transparent) {
        version = Some(env!("CARGO_PKG_VERSION").to_owned());
    }
    let shown = version.as_deref().unwrap_or_default();
    let label = format!("starting {name} {shown}");
    progress.begin(&label);
    let options = GatewayOptions {
        config: &boot.root.join(PROXY_CONFIG),
        folder: &boot.scratch.join("gateway"),
        environment: boot.environment,
        providers: simulator.credentials().for_gateway(&provider_url),
        run: boot.run,
    };
    let started = gateway.start(&options, &parts).await;
    progress.end(&label);
    let provider = Provider::Embedded(simulator);
    Ok(Backend {
        back,
        ..Backend::new(Some(provider), started?, version)
    })
}

/// Installs the pinned `claude`, or finds the program that the environment names. Returns its path and its version, unless
/// the program does not report one.
pub(super) async fn claude_program(
    options: &SessionOptions,
    run: RunId,
    progress: &dyn ProgressSink,
) -> anyhow::Result<(PathBuf, Option<String>)> {
    let environment = &options.environment;
    let wanted = &options.wanted.claude;
    ensure!(
        wanted.is_none() || environment.claude().is_none(),
        "`--claude` and `{}` name two programs: unset the variable",
        env::COMPAT_CLAUDE
    );
    let Some(path) = own_claude(environment)? else {
        let lock = Lock::read(&options.root.join(toolchain::lock::FOLDER))?;
        let installer = Installer::new(environment.clone(), run, progress)?;
        let pin = installer.claude_pin(&lock, wanted.as_ref()).await?;
        return Ok((installer.ensure_claude(&pin).await?, Some(pin.version)));
    };
    let tools = ToolEnvironment::new(environment.clone(), run);
    let version = toolchain::claude_version(&path, &tools, options.watchdog.as_deref())
        .await
        .ok();
    Ok((path, version))
}

/// The flags of another version of Claude Code than the pinned one; `None` for the pinned one and for the environment's own.
/// Fails if it lacks a flag that each trial needs.
pub(super) async fn claude_flags(
    options: &SessionOptions,
    run: RunId,
    claude: &Path,
) -> anyhow::Result<Option<BTreeSet<String>>> {
    let Some(version) = &options.wanted.claude else {
        return Ok(None);
    };
    let tools = ToolEnvironment::new(options.environment.clone(), run);
    let flags = toolchain::claude_flags(claude, &tools, options.watchdog.as_deref()).await?;
    let missing = Invocation::FLAGS.iter().find(|flag| !flags.contains(**flag));
    if let Some(flag) = missing {
        bail!(
            "Claude Code {} has no `{flag}`, which each trial needs: run a later version",
            version.as_str()
        );
    }
    Ok(Some(flags))
}

/// The Claude Code that the environment names.
pub fn own_claude(environment: &Environment) -> anyhow::Result<Option<PathBuf>> {
    match environment.claude() {
        None => Ok(None),
        Some(ClaudeChoice::File(file)) => claude_file(&file).map(Some),
        Some(ClaudeChoice::OnPath) => environment
            .find_program("claude")
            .with_context(|| no_claude("in any folder of the `PATH`"))
            .map(Some),
    }
}

/// The absolute path of `file`, because a trial runs it in another folder. Fails if it cannot be executed.
fn claude_file(file: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(file).unwrap_or_default();
    ensure!(path.is_file(), no_claude(&format!("at `{}`", file.display())));
    ensure!(
        env::is_executable(&path),
        "`{}`, which `{}` names, is not executable: run `chmod +x` on it, or name another program",
        path.display(),
        env::COMPAT_CLAUDE
    );
    Ok(path)
}

fn no_claude(place: &str) -> String {
    format!(
        "there is no `claude` {place}: set `{}` to a file, to `path` for the one on the `PATH`, or leave it unset for \
         the pinned one",
        env::COMPAT_CLAUDE
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claude_file_is_made_absolute_and_must_be_executable() {
        use std::os::unix::fs::PermissionsExt;
        let here = std::env::current_dir().expect("a folder to be in");
        let folder = tempfile::tempdir_in(&here).expect("a folder below it");
        let file = folder.path().join("claude");
        let relative = file.strip_prefix(&here).expect("it is below").to_owned();
        let refusal = |path: &Path| claude_file(path).expect_err("no program").to_string();
        assert!(refusal(&relative).starts_with("there is no `claude` at"));
        std::fs::write(&file, "").expect("a file");
        let mode = |bits| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(bits));
        mode(0o644).expect("a mode");
        assert!(refusal(&relative).contains("is not executable"));
        mode(0o755).expect("a mode");
        assert_eq!(claude_file(&relative).expect("a program"), file);
    }
}
