//! What the trials of a run share: the provider simulator, the gateway onto it, and the `claude` to run.
//!
//! Started once, for the first trial that needs it, and ended with everything it started. It judges nothing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::claude::Endpoint;
use crate::env::{self, ClaudeChoice, Environment, Secret, Variables};
use crate::evidence::Behind;
use crate::gateway::{self, Gateway, Litellm, LitellmOptions};
use crate::ids::{ProviderId, TrialKey};
use crate::mutant::Position;
use crate::process::{RunId, Watchdog, WatchdogError};
use crate::provider::{self, Provider, RemoteSimulator, Simulator, Unscripted};
use crate::relay::{self, Mutation, Relay};
use crate::schedule::{Answers, Gate, Schedule};
use crate::toolchain::{self, Installer, Lock, Progress, Surroundings};
use crate::warm::{self, Fingerprint, Found, Guest, Place, WarmError, Warmth};
use crate::wire::Route;
use crate::wire::exchange::GatewayExchange;

/// What a session is made from.
#[derive(Debug)]
pub struct Options {
    /// The environment of this process, read once.
    pub environment: Environment,
    /// The project's root, which has `proxy_config.yaml` and `toolchain/`.
    pub root: PathBuf,
    /// Milliseconds that the embedded provider waits before each first byte, beside what a cell says.
    pub first_byte_delay_ms: u64,
    /// Which relays stand beside the gateway.
    pub relays: Relays,
    /// Whether there is a gateway at all.
    pub control: bool,
    /// Which session that is kept warm may stand in for a gateway and a simulator of the run's own.
    pub warmth: Warmth,
    /// The executable whose `main` calls [`crate::process::run_hidden_mode_if_asked`], to be the watchdog; `None` for the
    /// one that runs now.
    pub watchdog: Option<PathBuf>,
}

/// Which relays stand beside the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relays {
    /// One in front of it in a simulated run, to record what is sent; none in a live run.
    #[default]
    Simulated,
    /// One in front of it, whatever stands behind.
    Always,
    Never,
    /// One in front of it and one behind it, for mutants. A gateway that already runs can have none behind it.
    Mutants,
}

/// What the trials of a run share.
#[derive(Debug)]
pub struct Session {
    /// The simulator behind the gateway; `None` in a live run.
    pub provider: Option<Provider>,
    pub gateway: Gateway,
    /// The gateway's version, if it says.
    pub gateway_version: Option<String>,
    /// Passes on what is sent to the gateway, and records it.
    pub front: Option<Relay>,
    /// Passes on what the gateway sends to the provider.
    pub back: Option<Relay>,
    pub claude: PathBuf,
    /// Its version: that of the lock, or of another than the pinned one what it says, if it does.
    pub claude_version: Option<String>,
    pub run: RunId,
    /// What every child may know of the environment.
    pub inherited: Variables,
    /// When a further `claude` may start.
    pub schedule: Arc<Schedule>,
    /// Asks the gateway what a cell asks it directly. One for all trials: each new one reads the system's certificates.
    pub client: reqwest::Client,
    scratch: tempfile::TempDir,
    watchdog: Option<Watchdog>,
    /// While it is held, what is kept warm stays.
    lease: Option<File>,
}

/// What the requests of a run go through.
struct Way {
    provider: Option<Provider>,
    back: Option<Relay>,
    gateway: Gateway,
    lease: Option<File>,
}

/// What a gateway and a simulator behind it are started from.
pub(crate) struct Boot<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) root: &'a Path,
    pub(crate) run: RunId,
    /// A folder that goes with whoever asks.
    pub(crate) scratch: &'a Path,
    pub(crate) simulator: provider::Options,
    /// Whether a relay stands between the two.
    pub(crate) relay_behind: bool,
}

/// A gateway and a simulator behind it.
pub(crate) struct Booted {
    pub(crate) simulator: Simulator,
    pub(crate) back: Option<Relay>,
    pub(crate) litellm: Litellm,
}

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Watchdog(#[from] WatchdogError),
    #[error("cannot make a temporary folder: {0}")]
    Scratch(std::io::Error),
    /// What is pinned cannot be read.
    #[error(transparent)]
    Lock(#[from] toolchain::lock::LockError),
    /// There is no place for installed tools.
    #[error(transparent)]
    Cache(#[from] toolchain::cache::CacheError),
    /// The pinned `claude` could not be installed.
    #[error(transparent)]
    InstallClaude(#[from] toolchain::InstallClaudeError),
    /// The pinned LiteLLM could not be installed.
    #[error(transparent)]
    InstallLitellm(#[from] toolchain::InstallLitellmError),
    /// The simulator that already runs cannot be used.
    #[error(transparent)]
    Remote(#[from] provider::RemoteError),
    /// The provider simulator could not be started or reached.
    #[error(transparent)]
    Provider(#[from] provider::StartError),
    /// A relay could not be started.
    #[error(transparent)]
    Relay(#[from] relay::StartError),
    #[error(transparent)]
    Gateway(#[from] gateway::StartError),
    /// A gateway to attach to, but no key for it.
    #[error(
        "`{}` is set but `{}` is not: set it to a key that the gateway accepts",
        env::LITELLM_PROXY_BASE_URL,
        env::LITELLM_PROXY_API_KEY
    )]
    KeyMissing,
    /// A simulator to judge by, but no gateway that it stands behind.
    #[error(
        "`{}` is set but `{}` is not: a provider simulator of your own goes with a gateway of your own",
        env::COMPAT_PROVIDER_URL,
        env::LITELLM_PROXY_BASE_URL
    )]
    GatewayMissing,
    /// The control key of the simulator could not be read.
    #[error("cannot read the control key from `{}`: {source}", path.display())]
    ControlKey { path: PathBuf, source: std::io::Error },
    /// A simulator without its control key.
    #[error(
        "`{}` is set but neither `{}` nor `{}` is: `compat provider serve` prints the file that holds the key",
        env::COMPAT_PROVIDER_URL,
        env::COMPAT_PROVIDER_CONTROL_KEY,
        env::COMPAT_PROVIDER_CONTROL_KEY_FILE
    )]
    ControlKeyMissing,
    /// No session could be kept warm for all processes of the run.
    #[error(transparent)]
    Warm(#[from] Box<WarmError>),
    /// The `claude` asked for cannot be run.
    #[error(
        "`{}`, which `{variable}` names, is not executable: run `chmod +x` on it, or name the program itself",
        .0.display(),
        variable = env::COMPAT_CLAUDE
    )]
    ClaudeNotExecutable(PathBuf),
    /// The `claude` asked for is not there.
    #[error(
        "there is no `claude` at {place}: set `{}` to a file, to `path` for the one on the `PATH`, or leave it unset for \
         the pinned one",
        env::COMPAT_CLAUDE
    )]
    NoClaude { place: String },
}

impl Session {
    /// Starts whatever the run needs; says on `progress` what takes long.
    pub async fn start(options: &Options, progress: &dyn Progress) -> Result<Self, SessionError> {
        let environment = &options.environment;
        let run = RunId::mint();
        let mut watchdog = match &options.watchdog {
            Some(executable) => Watchdog::start_from(executable, run),
            None => Watchdog::start(run),
        }?;
        let scratch = tempfile::Builder::new()
            .prefix("compat-")
            .tempdir()
            .map_err(SessionError::Scratch)?;
        watchdog
            .remove_at_end(scratch.path())
            .map_err(WatchdogError::from)?;
        let (Claude { program, version }, way) = tokio::try_join!(
            claude(options, run, progress),
            way(options, run, scratch.path(), progress)
        )?;
        let Way {
            provider,
            back,
            gateway,
            lease,
        } = way;
        let gateway_version = match &gateway {
            Gateway::Litellm(_) => Some(
                Lock::read(&options.root.join(toolchain::lock::FOLDER))?
                    .litellm
                    .version,
            ),
            Gateway::Attached { base_url, key } => gateway::version_of(base_url, key).await,
            Gateway::Warm { version, .. } => Some(version.clone()),
            Gateway::Absent { .. } => None,
        };
        let front = front(options, provider.as_ref(), &gateway).await?;
        let answers = match &provider {
            // A mutant may be what takes long.
            Some(_) if options.relays == Relays::Mutants => Answers::InItsTime,
            Some(provider) if provider.first_byte_delay_ms() == 0 => Answers::AtOnce,
            Some(_) | None => Answers::InItsTime,
        };
        Ok(Self {
            provider,
            front,
            back,
            gateway_version,
            gateway,
            claude: program,
            claude_version: version,
            run,
            inherited: environment.inherited(),
            schedule: Schedule::new(cores(), answers),
            client: reqwest::Client::new(),
            scratch,
            watchdog: Some(watchdog),
            lease,
        })
    }

    pub fn behind(&self) -> Behind {
        match self.provider {
            Some(_) => Behind::Simulated,
            None => Behind::Live,
        }
    }

    /// Whether there is a gateway between `claude` and the provider.
    pub fn has_gateway(&self) -> bool {
        !matches!(self.gateway, Gateway::Absent { .. })
    }

    /// Where requests to the gateway go.
    pub fn entrance(&self) -> &str {
        match &self.front {
            Some(relay) => relay.base_url(),
            None => self.gateway.base_url(),
        }
    }

    /// How `claude` is to reach `provider`: through the gateway, or where there is none in the provider's own way.
    pub fn endpoint(&self, provider: &ProviderId) -> Endpoint {
        let route = Route::ALL
            .into_iter()
            .find(|route| route.as_str() == provider.as_str());
        let base_url = self.entrance().to_owned();
        match (&self.gateway, &self.provider, route) {
            (Gateway::Absent { .. }, Some(Provider::Embedded(simulator)), Some(Route::BedrockInvoke)) => {
                let credentials = simulator.credentials();
                Endpoint::Bedrock {
                    base_url,
                    region: credentials.aws_region.clone(),
                    token: Secret::new(&credentials.bedrock_api_key),
                }
            }
            (Gateway::Absent { .. }, Some(Provider::Embedded(simulator)), Some(Route::VertexAi)) => {
                let credentials = simulator.credentials();
                Endpoint::Vertex {
                    base_url: format!("{base_url}/v1"),
                    region: credentials.vertex_location.clone(),
                    project: credentials.vertex_project.clone(),
                    // Without a token the simulator refuses the request, and the trial says so.
                    token: Secret::new(simulator.access_token().unwrap_or_default()),
                }
            }
            _ => Endpoint::Gateway {
                base_url,
                token: self.gateway.key().clone(),
            },
        }
    }

    /// Begins a trial at the relays; what it is answered passes `gate`.
    pub fn relay(&self, key: TrialKey, mutation: Option<&Arc<Mutation>>, gate: &Gate) {
        for relay in [&self.front, &self.back].into_iter().flatten() {
            relay.register(key, mutation, Some(gate.clone()));
        }
    }

    /// Ends a trial at the relays: what was sent to the gateway and came back.
    pub fn relayed(&self, key: TrialKey) -> Vec<GatewayExchange> {
        if let Some(back) = &self.back {
            back.take(key);
        }
        self.front
            .as_ref()
            .map(|front| front.take(key))
            .unwrap_or_default()
    }

    /// A folder that goes with the session.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Stops everything that was started, and waits for it.
    pub async fn end(mut self) {
        self.gateway.stop().await;
        for relay in [self.front, self.back].into_iter().flatten() {
            relay.shutdown().await;
        }
        if let Some(provider) = self.provider {
            provider.shutdown().await;
        }
        drop(self.lease.take());
        if let Some(watchdog) = self.watchdog.take() {
            // It has nothing left to end but what escaped; that it cannot be waited for harms nobody.
            let _ = tokio::task::spawn_blocking(|| watchdog.finish()).await;
        }
    }
}

/// Processor cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

struct Claude {
    program: PathBuf,
    version: Option<String>,
}

async fn claude(options: &Options, run: RunId, progress: &dyn Progress) -> Result<Claude, SessionError> {
    let environment = &options.environment;
    let program = match environment.claude() {
        None => {
            let pin = Lock::read(&options.root.join(toolchain::lock::FOLDER))?.claude;
            let installer = Installer::new(environment.clone(), run, progress)?;
            return Ok(Claude {
                program: installer.ensure_claude(&pin).await?,
                version: Some(pin.version),
            });
        }
        Some(ClaudeChoice::File(file)) => claude_file(&file)?,
        Some(ClaudeChoice::OnPath) => environment.find_program("claude").ok_or(SessionError::NoClaude {
            place: "any folder of the `PATH`".into(),
        })?,
    };
    let surroundings = Surroundings::new(environment.clone(), run);
    let version = toolchain::claude_version(&program, &surroundings).await.ok();
    Ok(Claude { program, version })
}

/// The absolute path of a `claude` that can be run: a trial runs it in a folder of its own.
fn claude_file(file: &Path) -> Result<PathBuf, SessionError> {
    let missing = || SessionError::NoClaude {
        place: format!("`{}`", file.display()),
    };
    let file = std::path::absolute(file).map_err(|_| missing())?;
    if !file.is_file() {
        return Err(missing());
    }
    if !env::is_executable(&file) {
        return Err(SessionError::ClaudeNotExecutable(file));
    }
    Ok(file)
}

async fn way(
    options: &Options,
    run: RunId,
    scratch: &Path,
    progress: &dyn Progress,
) -> Result<Way, SessionError> {
    let environment = &options.environment;
    if let Some(base_url) = environment.get(env::LITELLM_PROXY_BASE_URL) {
        let gateway = Gateway::Attached {
            base_url: base_url.trim_end_matches('/').to_owned(),
            key: environment
                .secret(env::LITELLM_PROXY_API_KEY)
                .ok_or(SessionError::KeyMissing)?,
        };
        return Ok(Way::new(remote_provider(environment).await?, gateway));
    }
    if environment.get(env::COMPAT_PROVIDER_URL).is_some() {
        return Err(SessionError::GatewayMissing);
    }
    let simulator = provider::Options {
        first_byte_delay_ms: options.first_byte_delay_ms,
        unscripted: Unscripted::Refuse,
        ..provider::Options::default()
    };
    if options.control {
        let simulator = Simulator::start(simulator).await?;
        let gateway = Gateway::Absent {
            base_url: simulator.base_url().to_owned(),
            key: Secret::new(&simulator.credentials().anthropic_api_key),
        };
        return Ok(Way::new(Some(Provider::Embedded(simulator)), gateway));
    }
    // A warm simulator answers at once, and nothing stands behind a warm gateway.
    let is_plain = options.first_byte_delay_ms == 0 && options.relays != Relays::Mutants;
    if is_plain && let Some(guest) = guest(options, progress).await? {
        return Ok(Way::through(*guest));
    }
    let boot_options = Boot {
        environment,
        root: &options.root,
        run,
        scratch,
        simulator,
        relay_behind: options.relays == Relays::Mutants,
    };
    let booted = boot(boot_options, progress).await?;
    Ok(Way {
        provider: Some(Provider::Embedded(booted.simulator)),
        back: booted.back,
        gateway: Gateway::Litellm(Box::new(booted.litellm)),
        lease: None,
    })
}

impl Way {
    fn new(provider: Option<Provider>, gateway: Gateway) -> Self {
        Self {
            provider,
            back: None,
            gateway,
            lease: None,
        }
    }

    fn through(guest: Guest) -> Self {
        let description = guest.description;
        Self {
            lease: Some(guest.lease),
            ..Self::new(
                Some(Provider::Remote(guest.provider)),
                Gateway::Warm {
                    base_url: description.gateway,
                    key: Secret::new(description.gateway_key),
                    version: description.made_of.litellm,
                    log: gateway::Log::at(&description.gateway_log),
                },
            )
        }
    }
}

/// The session that is kept warm, if the run may use one and there is one that fits.
async fn guest(options: &Options, progress: &dyn Progress) -> Result<Option<Box<Guest>>, SessionError> {
    let warm = |error: WarmError| SessionError::Warm(Box::new(error));
    let (environment, root) = (&options.environment, &options.root);
    if options.warmth == Warmth::Cold {
        return Ok(None);
    }
    let found = async {
        let place = Place::of(environment, root)?;
        match place.read() {
            Some(_) => warm::find(&place, &Fingerprint::of(root)?).await,
            None => Ok(Found::Nothing),
        }
    };
    match found.await {
        Ok(Found::Fits(guest)) => {
            progress.note(&format!(
                "using the session that is kept warm since {} (LiteLLM {} at {})",
                guest
                    .description
                    .since
                    .with_timezone(&chrono::Local)
                    .format("%H:%M"),
                guest.description.made_of.litellm,
                guest.description.gateway
            ));
            return Ok(Some(guest));
        }
        Ok(Found::Unfit(why)) => progress.note(&format!(
            "not using the session that is kept warm: {why}; `compat up` renews it"
        )),
        Ok(Found::Nothing) => {}
        // A run can do without it.
        Err(error) => progress.note(&format!("not using a session that is kept warm: {error}")),
    }
    let Warmth::Shared { program, run } = &options.warmth else {
        return Ok(None);
    };
    let place = Place::of_run(environment, root, run).map_err(|error| warm(error.into()))?;
    let started = warm::ensure(&place, root, environment, program, warm::SHARED_IDLE, progress).await;
    Ok(Some(started.map_err(warm)?.guest))
}

/// Starts a simulator and a gateway onto it.
pub(crate) async fn boot(boot: Boot<'_>, progress: &dyn Progress) -> Result<Booted, SessionError> {
    let simulator = Simulator::start(boot.simulator).await?;
    let back = match boot.relay_behind {
        true => Some(Relay::start(Position::Behind, simulator.base_url()).await?),
        false => None,
    };
    let provider_url = back.as_ref().map_or(simulator.base_url(), Relay::base_url);
    let lock = Lock::read(&boot.root.join(toolchain::lock::FOLDER))?;
    let installer = Installer::new(boot.environment.clone(), boot.run, progress)?;
    let install = installer.ensure_litellm(&lock.litellm, &lock.uv).await?;
    let booting = format!("starting LiteLLM {}", lock.litellm.version);
    progress.begin(&booting);
    let litellm = Litellm::start(&LitellmOptions {
        program: install.bin,
        config: boot.root.join("proxy_config.yaml"),
        folder: boot.scratch.join("gateway"),
        inherited: boot.environment.inherited(),
        providers: simulator.credentials().for_gateway(provider_url),
        run: boot.run,
    })
    .await;
    progress.end(&booting);
    Ok(Booted {
        litellm: litellm?,
        simulator,
        back,
    })
}

async fn front(
    options: &Options,
    provider: Option<&Provider>,
    gateway: &Gateway,
) -> Result<Option<Relay>, SessionError> {
    let is_wanted = match options.relays {
        Relays::Simulated => provider.is_some(),
        Relays::Always | Relays::Mutants => true,
        Relays::Never => false,
    };
    Ok(match is_wanted {
        true => Some(Relay::start(Position::Front, gateway.base_url()).await?),
        false => None,
    })
}

async fn remote_provider(environment: &Environment) -> Result<Option<Provider>, SessionError> {
    let Some(url) = environment.get(env::COMPAT_PROVIDER_URL) else {
        return Ok(None);
    };
    let key = match (
        environment.get(env::COMPAT_PROVIDER_CONTROL_KEY),
        environment.path(env::COMPAT_PROVIDER_CONTROL_KEY_FILE),
    ) {
        (Some(key), _) => key.to_owned(),
        (None, Some(path)) => std::fs::read_to_string(&path)
            .map(|text| text.trim().to_owned())
            .map_err(|source| SessionError::ControlKey { path, source })?,
        (None, None) => return Err(SessionError::ControlKeyMissing),
    };
    Ok(Some(Provider::Remote(RemoteSimulator::connect(url, &key).await?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_claude_of_ones_own_is_an_absolute_path_that_can_be_run() {
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
